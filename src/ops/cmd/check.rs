//! `mailroom check`: whether all that `mailroom run` needs is there, before it is needed.
//!
//! One failed check does not end it: what does not depend on it is looked at too. Nothing is sent.

use crate::edges::log;
use crate::edges::log::line::Level;
use crate::edges::stop::Stop;
use crate::mail::error::{Error, Kind};
use crate::ops::check::{Checks, Round, Status, database, settings};
use crate::ops::screen;
use crate::ops::settings::{Settings, Verb};
use crate::ops::terminal::{look, print};
use pico_args::Arguments;

/// Reads its words.
pub fn words(args: &mut Arguments) -> Verb {
    let json = args.contains("--json");
    Box::new(move |given, stop| run(given, json, stop))
}

/// Makes all checks and shows them.
fn run(given: &Settings, json: bool, stop: &Stop) -> Result<(), Error> {
    let config = &given.config;
    // What is worth a line of the log here is a check.
    let level = match config.log_level {
        Level::Debug => Level::Debug,
        other => other.min(Level::Warn),
    };
    log::configure(level, config.log_format);
    let (problems, kinds, checks) = (&given.problems, Vec::new(), Checks::default());
    let mut round = Round { config, problems, stop, kinds, checks };
    settings::check(&mut round);
    database::check(&mut round);
    settings::output(&mut round);
    settings::metrics(&mut round);
    provider(&mut round, given);
    let checks = round.checks;
    match json {
        true => print(&format!("{}\n", checks.json()))?,
        false => print(&screen::checks::checks(&checks, look()))?,
    }
    match checks.worst() {
        Status::Ok | Status::Warning => Ok(()),
        Status::Unreachable => Err(Error::new(Kind::Unavailable, "")),
        Status::Misconfigured => Err(Error::config("")),
    }
}

fn provider(round: &mut Round<'_>, given: &Settings) {
    let Some(provider) = &given.provider else {
        return round.checks.unknown("provider", "its settings are wrong");
    };
    if round.config.debug && !round.is_wrong("MAILROOM_DEBUG") {
        let detail = "not needed: MAILROOM_DEBUG is true; it is looked at without that";
        return round.checks.ok("provider", detail);
    }
    provider.check(round);
}
