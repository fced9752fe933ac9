//! `mailroom queue`: deliveries looked at, tried again, given up; the queue paused and resumed.

mod change;

use crate::edges::log;
use crate::edges::pg::session::Session;
use crate::edges::pg::{Client, StatementError};
use crate::mail::error::{Error, Kind};
use crate::mail::model::Cause;
use crate::ops::config::Config;
use crate::ops::database::{LONG, STEP};
use crate::ops::screen::deliveries;
use crate::ops::screen::page::clean;
use crate::ops::settings::{Verb, operation};
use crate::ops::terminal::{look_whole, page, print};
use crate::queue::operate;
use crate::queue::operate::{STATES, Which};
use pico_args::Arguments;
use serde_json::json;

/// States that `list` shows if none is named: what needs a look.
const OPEN: [&str; 3] = ["leased", "pending", "failed"];

/// How deliveries are shown.
#[derive(Clone, Copy)]
struct View {
    /// As JSON.
    json: bool,
    /// With address and login in full.
    reveal: bool,
}

/// What is done with a connection to the queue.
fn verb(what: impl FnOnce(&Config, &mut Session) -> Result<(), Error> + 'static) -> Verb {
    operation("queue", move |config, session, _| what(config, session))
}

/// Reads the words after `queue`.
///
/// # Errors
/// What is wrong with them.
pub fn words(args: &mut Arguments) -> Result<Verb, Error> {
    let word = args.subcommand()?.unwrap_or_default();
    Ok(match word.as_str() {
        "list" => {
            let state = args.opt_value_from_str("--state")?;
            let to: Option<String> = args.opt_value_from_str("--to")?;
            let (states, limit, view) =
                (states(state, to.is_none())?, read_limit(args)?, view(args));
            verb(move |config, session| {
                let queue = config.queue.as_str();
                list(session, limit, view, |client, most| match &to {
                    Some(to) => operate::find(client, to, Some(queue), &states, most),
                    None => operate::list(client, queue, &states, most),
                })
            })
        }
        "find" => {
            let (limit, view) = (read_limit(args)?, view(args));
            let address: Option<String> = args.opt_free_from_str()?;
            let address = address.ok_or_else(|| Error::usage("queue find needs an address"))?;
            verb(move |_, session| {
                list(session, limit, view, |client, most| {
                    operate::find(client, &address, None, &STATES, most)
                })
            })
        }
        "show" => {
            let view = view(args);
            let [id] = ids(args)?[..] else {
                return Err(Error::usage("queue show needs the id of one delivery"));
            };
            verb(move |_, session| show(session, id, view))
        }
        "retry" => {
            let chosen = chosen(args, &word)?;
            verb(move |config, session| change::retry(config, session, &chosen))
        }
        "drop" => {
            let yes = args.contains("--yes");
            let chosen = chosen(args, &word)?;
            if chosen.ids.is_none() && !yes {
                return Err(Error::usage(
                    "queue drop --all gives up every delivery that waits or failed; if that is \
                     meant, add --yes",
                ));
            }
            verb(move |config, session| change::drop(config, session, &chosen))
        }
        "pause" => {
            let reason: Option<String> = args.opt_value_from_str("--reason")?;
            let reason = reason.unwrap_or_default();
            verb(move |config, session| pause(config, session, Some(&reason)))
        }
        "resume" => verb(|config, session| pause(config, session, None)),
        _ => {
            return Err(Error::usage(
                "queue needs one of: list, find ADDRESS, show ID, retry, drop, pause, resume",
            ));
        }
    })
}

fn view(args: &mut Arguments) -> View {
    View { json: args.contains("--json"), reveal: args.contains("--reveal") }
}

/// The states that a word means.
fn states(word: Option<String>, open: bool) -> Result<Vec<&'static str>, Error> {
    match word.as_deref() {
        None if open => Ok(OPEN.to_vec()),
        None | Some("all") => Ok(STATES.to_vec()),
        Some(word) => match STATES.iter().find(|state| **state == word) {
            Some(state) => Ok(vec![state]),
            None => {
                let known = STATES.join(", ");
                Err(Error::usage(format!("--state must be one of: {known}, all")))
            }
        },
    }
}

fn read_limit(args: &mut Arguments) -> Result<i64, Error> {
    let limit: Option<String> = args.opt_value_from_str("--limit")?;
    match limit.as_deref().unwrap_or("50").parse() {
        Ok(limit) if (1..=1_000_000).contains(&limit) => Ok(limit),
        _ => Err(Error::usage("--limit must be a whole number from 1 to 1000000")),
    }
}

fn chosen(args: &mut Arguments, word: &str) -> Result<Which, Error> {
    // Flags first: what is left over are words.
    let reason: Option<String> = args.opt_value_from_str("--reason")?;
    let cause: Option<String> = args.opt_value_from_str("--cause")?;
    let all = args.contains("--all");
    if let Some(cause) = cause.as_deref().filter(|cause| Cause::named(cause).is_none()) {
        let known: Vec<&str> = Cause::all().map(Cause::name).collect();
        let known = known.join(", ");
        return Err(Error::usage(format!("there is no cause {cause:?}; there are: {known}")));
    }
    let ids = ids(args)?;
    match (ids.is_empty(), all) {
        (true, true) => Ok(Which { ids: None, reason, cause }),
        (_, false) if reason.is_some() || cause.is_some() => {
            Err(Error::usage("--reason and --cause go with --all"))
        }
        (false, false) => Ok(Which { ids: Some(ids), reason, cause }),
        (true, false) => {
            Err(Error::usage(format!("queue {word} needs ids of deliveries, or --all")))
        }
        (false, true) => Err(Error::usage("give ids or --all, not both")),
    }
}

fn ids(args: &mut Arguments) -> Result<Vec<i64>, Error> {
    let mut ids = Vec::new();
    while let Some(word) = args.opt_free_from_str::<String>()? {
        match word.parse() {
            Ok(id) if id > 0 => ids.push(id),
            _ => return Err(Error::usage(format!("{word:?} is no id of a delivery"))),
        }
    }
    Ok(ids)
}

/// Shows the first `limit` of those that `choose` gives, and says so if there are more.
fn list(
    session: &mut Session,
    limit: i64,
    view: View,
    choose: impl FnOnce(&mut Client, i64) -> Result<Vec<i64>, StatementError>,
) -> Result<(), Error> {
    let mut ids = session.call(LONG, |client| choose(client, limit + 1))?;
    let is_cut = ids.len() as i64 > limit;
    ids.truncate(limit as usize);
    let found = session.call(LONG, |client| operate::show(client, &ids, view.reveal))?;
    if view.json {
        page(&format!("{}\n", json!(found)))?;
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
    match session.call(STEP, |client| operate::show(client, &[id], view.reveal))?.first() {
        Some(entry) if view.json => page(&format!("{}\n", json!(entry))),
        Some(entry) => page(&deliveries::show(entry)),
        None => Err(Error::new(Kind::Data, format!("there is no delivery {id}"))),
    }
}

fn pause(config: &Config, session: &mut Session, reason: Option<&str>) -> Result<(), Error> {
    let before = session.call(STEP, |client| operate::pause(client, &config.queue, reason))?;
    session.call(STEP, |client| operate::wake(client, &config.channel))?;
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
