//! Deliveries tried again or given up: piece by piece, with a word on each that was not.

use crate::edges::pg::session::Session;
use crate::edges::pg::{Client, StatementError};
use crate::mail::error::{Error, Kind};
use crate::mail::model::Cause;
use crate::ops::config::Config;
use crate::ops::database::{LONG, STEP};
use crate::ops::screen::page::{clean, span};
use crate::ops::terminal::print;
use crate::queue::operate;
use crate::queue::operate::{CHUNK, Which};
use crate::queue::snapshot::Entry;
use nix::unistd::{User, geteuid};

/// Lets failed deliveries be tried again.
pub fn retry(config: &Config, session: &mut Session, which: &Which) -> Result<(), Error> {
    let done = all(session, |client| operate::retry(client, &config.queue, which))?;
    session.call(STEP, |client| operate::wake(client, &config.channel))?;
    report(session, which, &done, "will be tried again", why_not_retried)?;
    report_left_out(config, session, which)
}

/// Gives deliveries up, in the name of the user who runs this.
pub fn drop(config: &Config, session: &mut Session, which: &Which) -> Result<(), Error> {
    let who = User::from_uid(geteuid()).ok().flatten().map(|user| user.name);
    let who = who.unwrap_or_else(|| format!("user {}", geteuid()));
    let until = session.call(STEP, operate::now)?;
    let done = all(session, |client| operate::drop(client, &config.queue, which, &who, until))?;
    report(session, which, &done, "dropped", why_not_dropped)
}

/// Changes all that was chosen, piece by piece; gives the ids.
fn all(
    session: &mut Session,
    mut change: impl FnMut(&mut Client) -> Result<Vec<i64>, StatementError>,
) -> Result<Vec<i64>, Error> {
    let mut done = Vec::new();
    loop {
        let some = session.call(LONG, &mut change).map_err(|fault| {
            let mut error = Error::from(fault);
            error.message += &format!("; deliveries changed before that: {}", done.len());
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
    which: &Which,
    done: &[i64],
    what: &str,
    why_not: fn(&Entry) -> String,
) -> Result<(), Error> {
    let many = if done.len() == 1 { "delivery" } else { "deliveries" };
    print(&format!("{} {many} {what}\n", done.len()))?;
    let Some(ids) = &which.ids else { return Ok(()) };
    let left: Vec<i64> = ids.iter().copied().filter(|id| !done.contains(id)).collect();
    if left.is_empty() {
        return Ok(());
    }
    let found = session.call(STEP, |client| operate::show(client, &left, false))?;
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
fn report_left_out(config: &Config, session: &mut Session, which: &Which) -> Result<(), Error> {
    if which.ids.is_some() {
        return Ok(());
    }
    let queue = config.queue.as_str();
    let why = match session.call(STEP, |client| operate::beyond_retry(client, queue, which))? {
        0 => return Ok(()),
        1 => "1 left as it is: its token expired or was used".to_owned(),
        left => format!("{left} left as they are: their tokens expired or were used"),
    };
    Err(Error::new(Kind::Data, why))
}

fn why_not_retried(entry: &Entry) -> String {
    match entry.state.as_str() {
        "failed" if entry.token_used => {
            "its token was used, so there is nothing to send".to_owned()
        }
        "failed" => match entry.token_expires_in_seconds.filter(|until| *until <= 0.0) {
            Some(until) => format!(
                "its token expired {} ago; its link would not work: a new token is needed",
                span(-until)
            ),
            None => other_queue(entry),
        },
        "pending" => "it is pending, and tried by itself; what is held is tried at once by a start of run or send"
            .to_owned(),
        state => format!("it is {state}; only what failed can be tried again"),
    }
}

fn why_not_dropped(entry: &Entry) -> String {
    match entry.state.as_str() {
        "leased" => format!(
            "it is being sent by {}; pause the queue, or wait until it is settled or its lease \
             runs out",
            clean(entry.lease.as_deref().unwrap_or_default())
        ),
        "failed" if entry.cause.as_deref() == Some(Cause::Dropped.name()) => {
            "it was dropped before".to_owned()
        }
        "pending" | "failed" => other_queue(entry),
        state => format!("it is {state}, which is final"),
    }
}

fn other_queue(entry: &Entry) -> String {
    format!("it is in queue {}: set MAILROOM_QUEUE_NAME", clean(&entry.queue))
}
