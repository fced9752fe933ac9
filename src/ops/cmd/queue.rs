//! `mailroom queue`: deliveries looked at, tried again, given up; the queue paused and resumed.

mod change;

use crate::edges::log;
use crate::edges::pg::session::Session;
use crate::edges::pg::{Client, StatementError};
use crate::edges::stop::Stop;
use crate::mail::error::{Error, Kind};
use crate::ops::cli::queue::{Queue, View};
use crate::ops::config::Config;
use crate::ops::database::{STEP, session, unusable};
use crate::ops::screen::page::clean;
use crate::ops::screen::{deliveries, json};
use crate::ops::terminal::{look_whole, page, print};
use crate::queue::operate;
use crate::queue::operate::STATES;
use std::time::Duration;

/// States that `list` shows if none is named: what needs a look.
const OPEN: [&str; 3] = ["leased", "pending", "failed"];

/// The longest that looking for deliveries may take; the server's own limit is shorter.
const LOOK: Duration = Duration::from_secs(30);

/// Does it.
pub fn run(config: &Config, what: Queue, stop: &Stop) -> Result<(), Error> {
    let mut session = session(config, "queue", stop)?;
    match what {
        Queue::List { state, to, limit, view } => {
            let states = match state.as_deref() {
                None if to.is_none() => OPEN.to_vec(),
                None | Some("all") => STATES.to_vec(),
                Some(state) => vec![state],
            };
            let queue = config.queue.as_str();
            list(&mut session, limit, view, |client, most| match &to {
                Some(to) => operate::find(client, to, Some(queue), &states, most),
                None => operate::list(client, queue, &states, most),
            })
        }
        Queue::Find { address, limit, view } => list(&mut session, limit, view, |client, most| {
            operate::find(client, &address, None, &STATES, most)
        }),
        Queue::Show { id, view } => show(&mut session, id, view),
        Queue::Retry(chosen) => change::retry(config, &mut session, &chosen),
        Queue::Drop(chosen) => change::drop(config, &mut session, &chosen),
        Queue::Pause { reason } => pause(config, &mut session, Some(&reason)),
        Queue::Resume => pause(config, &mut session, None),
    }
}

/// Shows the first `limit` of those that `choose` gives, and says so if there are more.
fn list(
    session: &mut Session,
    limit: i64,
    view: View,
    choose: impl FnOnce(&mut Client, i64) -> Result<Vec<i64>, StatementError>,
) -> Result<(), Error> {
    let mut ids = session.call(LOOK, |client| choose(client, limit + 1)).map_err(unusable)?;
    let is_cut = ids.len() as i64 > limit;
    ids.truncate(limit as usize);
    let found = session.call(LOOK, |client| operate::show(client, &ids, view.reveal));
    let found = found.map_err(unusable)?;
    if view.json {
        let all: Vec<_> = found.iter().map(json::entry).collect();
        page(&format!("{}\n", serde_json::Value::from(all)))?;
    } else if found.is_empty() {
        page("none\n")?;
    } else {
        page(&deliveries::list(&found, look_whole()))?;
    }
    if is_cut {
        log::end(format_args!("there are more than these {limit}; --limit N shows N of them"));
    }
    Ok(())
}

fn show(session: &mut Session, id: i64, view: View) -> Result<(), Error> {
    let found = session.call(STEP, |client| operate::show(client, &[id], view.reveal));
    match found.map_err(unusable)?.first() {
        Some(entry) if view.json => page(&format!("{}\n", json::entry(entry))),
        Some(entry) => page(&deliveries::show(entry)),
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
