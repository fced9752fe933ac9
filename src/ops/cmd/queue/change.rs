//! Deliveries tried again or given up: piece by piece, with a word on each that was not.

use crate::edges::pg::session::Session;
use crate::edges::pg::{Client, StatementError};
use crate::mail::error::{Error, Kind};
use crate::mail::model::Cause;
use crate::ops::config::Config;
use crate::ops::database::{STEP, unusable};
use crate::ops::screen::page::{clean, span};
use crate::ops::terminal::print;
use crate::queue::operate;
use crate::queue::operate::{CHUNK, Which};
use crate::queue::snapshot::Entry;
use nix::unistd::{User, geteuid};
use std::time::Duration;

/// The longest a statement that changes many rows may take; the server's own limit is shorter.
const CHANGE: Duration = Duration::from_secs(30);

/// Which deliveries are meant.
pub struct Chosen {
    /// These; `None`: all.
    pub ids: Option<Vec<i64>>,
    /// Only those of which people read a text that begins so.
    pub reason: Option<String>,
    /// Only those of this cause.
    pub cause: Option<String>,
}

/// Lets failed deliveries be tried again.
pub fn retry(config: &Config, session: &mut Session, chosen: &Chosen) -> Result<(), Error> {
    let change =
        |client: &mut Client, which: Which<'_>| operate::retry(client, &config.queue, which);
    let done = all(session, chosen, change)?;
    session.call(STEP, |client| operate::wake(client, &config.channel)).map_err(unusable)?;
    report(session, chosen, &done, "will be tried again", why_not_retried)?;
    report_left_out(config, session, chosen)
}

/// Gives deliveries up, in the name of the user who runs this.
pub fn drop(config: &Config, session: &mut Session, chosen: &Chosen) -> Result<(), Error> {
    let who = User::from_uid(geteuid()).ok().flatten().map(|user| user.name);
    let who = who.unwrap_or_else(|| format!("user {}", geteuid()));
    let until = session.call(STEP, operate::now).map_err(unusable)?;
    let change = |client: &mut Client, which: Which<'_>| {
        operate::drop(client, &config.queue, which, &who, until)
    };
    let done = all(session, chosen, change)?;
    report(session, chosen, &done, "dropped", why_not_dropped)
}

fn which(chosen: &Chosen) -> Which<'_> {
    let Chosen { ids, reason, cause } = chosen;
    Which { ids: ids.as_deref(), reason: reason.as_deref(), cause: cause.as_deref() }
}

/// Changes what was chosen, piece by piece; gives the ids.
fn all(
    session: &mut Session,
    chosen: &Chosen,
    mut change: impl FnMut(&mut Client, Which<'_>) -> Result<Vec<i64>, StatementError>,
) -> Result<Vec<i64>, Error> {
    let mut done = Vec::new();
    loop {
        let some =
            session.call(CHANGE, |client| change(client, which(chosen))).map_err(|fault| {
                let so_far = done.len();
                let mut error = unusable(fault);
                error.message += &format!("; deliveries changed before that: {so_far}");
                error
            })?;
        done.extend_from_slice(&some);
        if (some.len() as i64) < CHUNK {
            return Ok(done);
        }
    }
}

/// Says what was done, and of each that was named, why not.
fn report(
    session: &mut Session,
    chosen: &Chosen,
    done: &[i64],
    what: &str,
    why_not: fn(&Entry) -> String,
) -> Result<(), Error> {
    let many = if done.len() == 1 { "delivery" } else { "deliveries" };
    print(&format!("{} {many} {what}\n", done.len()))?;
    let Some(ids) = &chosen.ids else { return Ok(()) };
    let left: Vec<i64> = ids.iter().copied().filter(|id| !done.contains(id)).collect();
    if left.is_empty() {
        return Ok(());
    }
    let found = session.call(STEP, |client| operate::show(client, &left, false));
    let found = found.map_err(unusable)?;
    let lines: Vec<String> = left
        .iter()
        .map(|id| match found.iter().find(|entry| entry.id == *id) {
            Some(entry) => format!("delivery {id}: {}", why_not(entry)),
            None => format!("there is no delivery {id}"),
        })
        .collect();
    Err(Error::new(Kind::Data, lines.join("\n")))
}

/// Of all that failed, those that nothing can be sent for any more.
fn report_left_out(config: &Config, session: &mut Session, chosen: &Chosen) -> Result<(), Error> {
    if chosen.ids.is_some() {
        return Ok(());
    }
    let left =
        session.call(STEP, |client| operate::beyond_retry(client, &config.queue, which(chosen)));
    match left.map_err(unusable)? {
        0 => Ok(()),
        1 => Err(Error::new(Kind::Data, "1 left as it is: its token expired or was used")),
        left => {
            let why = format!("{left} left as they are: their tokens expired or were used");
            Err(Error::new(Kind::Data, why))
        }
    }
}

fn why_not_retried(entry: &Entry) -> String {
    match entry.state.as_str() {
        "failed" if entry.consumed => "its token was used, so there is nothing to send".to_owned(),
        "failed" if entry.expires.is_some_and(|ago| ago >= 0.0) => format!(
            "its token expired {} ago; its link would not work: a new token is needed",
            span(entry.expires.unwrap_or_default())
        ),
        "failed" => other_queue(entry),
        state => format!("it is {state}; only what failed can be tried again"),
    }
}

fn why_not_dropped(entry: &Entry) -> String {
    match entry.state.as_str() {
        "leased" => format!(
            "it is being sent by {}; pause the queue, or wait until it is settled or its lease \
             runs out",
            clean(&entry.lease)
        ),
        "failed" if entry.cause == Cause::Dropped.name() => "it was dropped before".to_owned(),
        "pending" | "failed" => other_queue(entry),
        state => format!("it is {state}, which is final"),
    }
}

fn other_queue(entry: &Entry) -> String {
    format!("it is in queue {}: set MAILROOM_QUEUE_NAME", clean(&entry.queue))
}
