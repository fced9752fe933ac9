//! `mailroom queue`: deliveries looked at, tried again, given up; the queue paused and resumed.

mod change;

use crate::edges::pg::session::Session;
use crate::edges::stop::Stop;
use crate::mail::error::{Error, Kind};
use crate::ops::cli::queue::{Queue, View};
use crate::ops::config::Config;
use crate::ops::database::{STEP, session, unusable};
use crate::ops::screen::page::clean;
use crate::ops::screen::{deliveries, json};
use crate::ops::terminal::{look_whole, print};
use crate::queue::operate;
use crate::queue::operate::STATES;

/// States that `list` shows if none is named: what needs a look.
const OPEN: [&str; 3] = ["leased", "pending", "failed"];

/// Does it.
pub fn run(config: &Config, what: Queue, stop: &Stop) -> Result<(), Error> {
    let mut session = session(config, "queue", stop)?;
    match what {
        Queue::List { state, limit, view } => list(config, &mut session, state, limit, view),
        Queue::Show { id, view } => show(&mut session, id, view),
        Queue::Retry(chosen) => change::retry(config, &mut session, &chosen),
        Queue::Drop(chosen) => change::drop(config, &mut session, &chosen),
        Queue::Pause { reason } => pause(config, &mut session, Some(&reason)),
        Queue::Resume => pause(config, &mut session, None),
    }
}

fn list(
    config: &Config,
    session: &mut Session,
    state: Option<String>,
    limit: i64,
    view: View,
) -> Result<(), Error> {
    let states = match state.as_deref() {
        None => OPEN.to_vec(),
        Some("all") => STATES.to_vec(),
        Some(state) => vec![state],
    };
    let found = session
        .call(STEP, |client| operate::list(client, &config.queue, &states, limit, view.reveal))
        .map_err(unusable)?;
    if view.json {
        let all: Vec<_> = found.iter().map(json::entry).collect();
        return print(&format!("{}\n", serde_json::Value::from(all)));
    }
    match found.is_empty() {
        true => print("none\n"),
        false => print(&deliveries::list(&found, look_whole())),
    }
}

fn show(session: &mut Session, id: i64, view: View) -> Result<(), Error> {
    let found = session.call(STEP, |client| operate::show(client, &[id], view.reveal));
    match found.map_err(unusable)?.first() {
        Some(entry) if view.json => print(&format!("{}\n", json::entry(entry))),
        Some(entry) => print(&deliveries::show(entry)),
        None => Err(Error::new(Kind::Data, format!("there is no delivery {id}"))),
    }
}

fn pause(config: &Config, session: &mut Session, reason: Option<&str>) -> Result<(), Error> {
    let before = session.call(STEP, |client| operate::pause(client, &config.queue, reason));
    let before = before.map_err(|fault| {
        let mut error = unusable(fault);
        if error.kind == Kind::Config {
            error.message += "; let the owner of the tables run: mailroom migrate grants ROLE \
                              --operator";
        }
        error
    })?;
    session.call(STEP, |client| operate::wake(client, &config.channel)).map_err(unusable)?;
    let queue = clean(&config.queue);
    print(&match (reason, before.unwrap_or_default()) {
        (Some(_), false) => {
            format!("queue {queue} is paused: nothing is claimed; what is on its way is settled\n")
        }
        (Some(""), true) => format!("queue {queue} was paused before and stays so\n"),
        (Some(_), true) => format!("queue {queue} was paused before; the reason is new\n"),
        (None, true) => format!("queue {queue} goes on\n"),
        (None, false) => format!("queue {queue} was not paused\n"),
    })
}
