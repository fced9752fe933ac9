//! A queue at one moment, read in one transaction that writes nothing.
//!
//! In scope: the statements, none of which reads settled rows that were sent, so that the answer
//! costs the same whatever was sent before. Out of scope: what it looks like.

use crate::edges::pg::statement::{of_row, sql};
use crate::mail::model::{Cause, mask};
use crate::mail::policy::{self, Wait};
use crate::queue::schema;
use crate::queue::snapshot::{Listener, Pause, Reason, Recipient, Snapshot};
use postgres::{Client, Error, IsolationLevel, Transaction};
use std::cmp::Reverse;

/// The latest failures whose reasons are counted, and the latest mails whose recipients are.
pub const LATEST: i64 = 5000;

/// So many mails of one recipient in an hour are worth a line.
const MANY: i64 = 3;

/// All that is known of `queue` now; `None`: there is no such queue.
///
/// # Errors
/// As the statements.
pub fn snapshot(client: &mut Client, queue: &str) -> Result<Option<Snapshot>, Error> {
    let mut reading = begin(client)?;
    let Some(mut found) = read(&mut reading, queue)? else { return Ok(None) };
    ended(&mut reading, queue, &mut found)?;
    for row in reading.query(sql!("sql/status/recipients.sql"), &[&queue, &LATEST, &MANY])? {
        found.more_recipients = row.try_get("people")?;
        found.hour_is_cut = row.try_get("cut")?;
        found.recipients.push(of_row!(row, Recipient {
            asked, sent, superseded, limited, latest; address: mask(row.try_get("address")?)
        }));
    }
    found.more_recipients -= found.recipients.len() as i64;
    Ok(Some(found))
}

/// What of it [`Snapshot::movement`] goes by: what waits, who listens, a pause.
///
/// # Errors
/// As the statements.
pub fn moving(client: &mut Client, queue: &str) -> Result<Option<Snapshot>, Error> {
    read(&mut begin(client)?, queue)
}

fn begin(client: &mut Client) -> Result<Transaction<'_>, Error> {
    let level = IsolationLevel::RepeatableRead;
    let mut reading = client.build_transaction().isolation_level(level).read_only(true).start()?;
    // Whatever the statistics say: a plan that reads the whole table is never the better one.
    reading.batch_execute("SET LOCAL enable_seqscan = off; SET LOCAL jit = off")?;
    Ok(reading)
}

fn read(reading: &mut Transaction<'_>, queue: &str) -> Result<Option<Snapshot>, Error> {
    let Some(row) = reading.query_opt(sql!("sql/status/queue.sql"), &[&queue])? else {
        return Ok(None);
    };
    let mut found = Snapshot {
        queue: queue.to_owned(),
        time: row.try_get("now")?,
        last_seq: row.try_get("last_seq")?,
        ..Snapshot::default()
    };
    let (reason, seconds) = (row.try_get("reason")?, row.try_get::<_, Option<f64>>("paused_for")?);
    found.pause = seconds.map(|seconds| Pause { reason, seconds });
    waiting(reading, queue, &mut found)?;
    for row in reading.query(sql!("sql/status/listeners.sql"), &[&schema::LISTENER, &queue])? {
        found.listeners.push(of_row!(row, Listener { pid, role, name, address, seconds }));
    }
    Ok(Some(found))
}

fn waiting(reading: &mut Transaction<'_>, queue: &str, found: &mut Snapshot) -> Result<(), Error> {
    let since_made: Vec<&str> =
        policy::causes(Wait::Held).chain(policy::causes(Wait::PutOff)).map(Cause::name).collect();
    for row in reading.query(sql!("sql/status/waiting.sql"), &[&queue, &since_made])? {
        let count = |name| row.try_get::<_, i64>(name);
        let (pending, due, leased) = (count("pending")?, count("due")?, count("leased")?);
        found.pending += pending;
        found.due += due;
        found.retrying += count("retrying")?;
        found.leased += leased;
        let kind = found.kinds.entry(row.try_get("kind")?).or_default();
        kind.pending += pending;
        kind.due += due;
        kind.leased += leased;
        found.oldest_pending = older(found.oldest_pending, row.try_get("oldest_pending")?);
        found.oldest_due = older(found.oldest_due, row.try_get("oldest_due")?);
        if let Some(cause) = row.try_get::<_, Option<&str>>("cause")?.and_then(Cause::named) {
            let text = row.try_get("why")?;
            add(&mut found.waiting, Reason { cause: Some(cause), text, count: pending });
        }
    }
    found.waiting.sort_by_key(|reason| Reverse(reason.count));
    Ok(())
}

/// Adds to those of the same cause, whose text stays that of its largest part: it comes first. A kind that
/// is held has a reason of its own.
fn add(reasons: &mut Vec<Reason>, more: Reason) {
    let own = more.cause == Some(Cause::Template);
    let same = |one: &&mut Reason| one.cause == more.cause && (!own || one.text == more.text);
    match reasons.iter_mut().find(same) {
        Some(one) => one.count += more.count,
        None => reasons.push(more),
    }
}

fn older(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).reduce(f64::max)
}

fn ended(reading: &mut Transaction<'_>, queue: &str, found: &mut Snapshot) -> Result<(), Error> {
    let row = reading.query_one(sql!("sql/status/ended.sql"), &[&queue])?;
    found.failed = row.try_get("failed")?;
    found.dropped = row.try_get("dropped")?;
    found.expired = row.try_get("expired")?;
    found.ineligible = row.try_get("ineligible")?;
    found.superseded = row.try_get("superseded")?;
    for row in reading.query(sql!("sql/status/failures.sql"), &[&queue, &LATEST])? {
        let count = row.try_get("count")?;
        let cause = Cause::named(row.try_get("cause")?);
        add(&mut found.failures, Reason { cause, text: row.try_get("reason")?, count });
        found.kinds.entry(row.try_get("kind")?).or_default().failed += count;
    }
    found.failures.sort_by_key(|reason| Reverse((reason.is_ours(), reason.count)));
    let row = reading.query_one(sql!("sql/status/sent.sql"), &[&queue])?;
    found.sent = row.try_get("ever")?;
    found.sent_last_24h = row.try_get("day")?;
    found.sent_by_five_minutes = row.try_get("hour")?;
    Ok(())
}
