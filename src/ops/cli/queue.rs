//! The words of `mailroom queue`.

use crate::mail::error::Error;
use crate::mail::model::Cause;
use crate::ops::cli::words::usage;
use pico_args::Arguments;

/// What is to be done with the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Show some deliveries.
    List {
        /// Only this state, or `all`; `None`: what waits, is leased or failed.
        state: Option<String>,
        /// Only those to this address, the latest first; then `None` is every state.
        to: Option<String>,
        /// At most so many.
        limit: i64,
        /// How it is shown.
        view: View,
    },
    /// Show what there is to one address, in any queue.
    Find {
        /// Whatever its case.
        address: String,
        /// At most so many.
        limit: i64,
        /// How it is shown.
        view: View,
    },
    /// Show one delivery.
    Show {
        /// Which.
        id: i64,
        /// How it is shown.
        view: View,
    },
    /// Let failed deliveries be tried again.
    Retry(Chosen),
    /// Give deliveries up.
    Drop(Chosen),
    /// Claim nothing more.
    Pause {
        /// Why; may be empty.
        reason: String,
    },
    /// Go on.
    Resume,
}

/// How deliveries are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// As JSON.
    pub json: bool,
    /// With address and login in full.
    pub reveal: bool,
}

/// Which deliveries are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// These; `None`: all.
    pub ids: Option<Vec<i64>>,
    /// Only those of which people read a text that begins so.
    pub reason: Option<String>,
    /// Only those of this cause.
    pub cause: Option<String>,
}

const STATES: [&str; 7] = ["pending", "leased", "sent", "failed", "expired", "superseded", "all"];

/// Reads the words after `queue`.
///
/// # Errors
/// What is wrong with them.
pub fn parse(args: &mut Arguments) -> Result<Queue, Error> {
    let word = args.subcommand().map_err(usage)?.unwrap_or_default();
    match word.as_str() {
        "list" => {
            let state: Option<String> = args.opt_value_from_str("--state").map_err(usage)?;
            let state = state.map(known_state).transpose()?;
            let to = args.opt_value_from_str("--to").map_err(usage)?;
            Ok(Queue::List { state, to, limit: read_limit(args)?, view: view(args) })
        }
        "find" => {
            let (limit, view) = (read_limit(args)?, view(args));
            let address = args.opt_free_from_str().map_err(usage)?;
            let address = address.ok_or_else(|| Error::usage("queue find needs an address"))?;
            Ok(Queue::Find { address, limit, view })
        }
        "show" => {
            let view = view(args);
            match ids(args)?.as_slice() {
                [id] => Ok(Queue::Show { id: *id, view }),
                _ => Err(Error::usage("queue show needs the id of one delivery")),
            }
        }
        "retry" => chosen(args, &word).map(Queue::Retry),
        "drop" => {
            let yes = args.contains("--yes");
            match chosen(args, &word)? {
                Chosen { ids: None, .. } if !yes => Err(Error::usage(
                    "queue drop --all gives up every delivery that waits or failed; if that is \
                     meant, add --yes",
                )),
                chosen => Ok(Queue::Drop(chosen)),
            }
        }
        "pause" => {
            let reason: Option<String> = args.opt_value_from_str("--reason").map_err(usage)?;
            Ok(Queue::Pause { reason: reason.unwrap_or_default() })
        }
        "resume" => Ok(Queue::Resume),
        _ => Err(Error::usage(
            "queue needs one of: list, find ADDRESS, show ID, retry, drop, pause, resume",
        )),
    }
}

fn view(args: &mut Arguments) -> View {
    View { json: args.contains("--json"), reveal: args.contains("--reveal") }
}

fn known_state(state: String) -> Result<String, Error> {
    match STATES.contains(&state.as_str()) {
        true => Ok(state),
        false => Err(Error::usage(format!("--state must be one of: {}", STATES.join(", ")))),
    }
}

fn read_limit(args: &mut Arguments) -> Result<i64, Error> {
    let limit: Option<String> = args.opt_value_from_str("--limit").map_err(usage)?;
    match limit.as_deref().unwrap_or("50").parse() {
        Ok(limit) if (1..=1_000_000).contains(&limit) => Ok(limit),
        _ => Err(Error::usage("--limit must be a whole number from 1 to 1000000")),
    }
}

fn chosen(args: &mut Arguments, word: &str) -> Result<Chosen, Error> {
    // Flags first: what is left over are words.
    let reason: Option<String> = args.opt_value_from_str("--reason").map_err(usage)?;
    let cause: Option<String> = args.opt_value_from_str("--cause").map_err(usage)?;
    let all = args.contains("--all");
    if let Some(cause) = cause.as_deref().filter(|cause| Cause::named(cause).is_none()) {
        let known: Vec<&str> = Cause::all().map(Cause::name).collect();
        let known = known.join(", ");
        return Err(Error::usage(format!("there is no cause {cause:?}; there are: {known}")));
    }
    let ids = ids(args)?;
    match (ids.is_empty(), all) {
        (true, true) => Ok(Chosen { ids: None, reason, cause }),
        (_, false) if reason.is_some() || cause.is_some() => {
            Err(Error::usage("--reason and --cause go with --all"))
        }
        (false, false) => Ok(Chosen { ids: Some(ids), reason, cause }),
        (true, false) => {
            Err(Error::usage(format!("queue {word} needs ids of deliveries, or --all")))
        }
        (false, true) => Err(Error::usage("give ids or --all, not both")),
    }
}

fn ids(args: &mut Arguments) -> Result<Vec<i64>, Error> {
    let mut ids = Vec::new();
    while let Some(word) = args.opt_free_from_str::<String>().map_err(usage)? {
        match word.parse() {
            Ok(id) if id > 0 => ids.push(id),
            _ => return Err(Error::usage(format!("{word:?} is no id of a delivery"))),
        }
    }
    Ok(ids)
}
