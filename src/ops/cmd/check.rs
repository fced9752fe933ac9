//! `mailroom check`: whether all that `mailroom run` needs is there, before it is needed.
//!
//! One failed check does not end it: what does not depend on it is looked at too. Nothing is sent.

mod database;
#[cfg(feature = "postmark")]
mod postmark;
mod ses;
#[cfg(feature = "smtp")]
mod smtp;

use crate::edges::log;
use crate::edges::stop::Stop;
use crate::mail::error::{Error, Kind};
use crate::ops::checks::{Checks, Status};
use crate::ops::cmd::{look, print, short_lease, strangers};
use crate::ops::config::{Config, Provider, is_about};
use crate::ops::screen;
use crate::pipe::undelivered;
use std::time::{Duration, SystemTime};

/// Clocks that are further apart than this are worth a word.
const APART: Duration = Duration::from_secs(10);

/// Settings that say which provider is meant, and how to reach it.
const PROVIDER: [&str; 5] = [
    "MAILROOM_TRANSPORT",
    "MAILROOM_SMTP_URL",
    "MAILROOM_SMTP_PASSWORD",
    "MAILROOM_POSTMARK_TOKEN",
    "MAILROOM_POSTMARK_URL",
];

/// What every part is given.
struct Round<'a> {
    config: &'a Config,
    problems: &'a [String],
    stop: &'a Stop,
    checks: Checks,
}

impl Round<'_> {
    /// Whether a setting is wrong, so that what it says is not known.
    fn is_wrong(&self, name: &str) -> bool {
        self.problems.iter().any(|problem| is_about(problem, name))
    }
}

/// Makes all checks and shows them; `problems` are those of the settings.
pub fn run(config: &Config, problems: &[String], json: bool, stop: &Stop) -> Result<(), Error> {
    // What is worth a line of the log here is a check.
    let level = match config.log_level {
        log::Level::Debug => log::Level::Debug,
        other => other.min(log::Level::Warn),
    };
    log::configure(level, config.log_format);
    let mut round = Round { config, problems, stop, checks: Checks::default() };
    settings(&mut round);
    database::check(&mut round);
    output(&mut round);
    provider(&mut round);
    let checks = round.checks;
    match json {
        true => print(&format!("{}\n", checks.json()))?,
        false => print(&screen::checks(&checks, look()))?,
    }
    match checks.worst() {
        Status::Ok | Status::Warning => Ok(()),
        Status::Unreachable => Err(Error::new(Kind::Unavailable, "")),
        Status::Misconfigured => Err(Error::config("")),
    }
}

/// Everything that is wrong with the settings, a line each.
fn settings(round: &mut Round) {
    for problem in round.problems {
        let advice = "see `mailroom help check` for what each setting takes";
        round.checks.misconfigured("settings", problem, advice);
    }
    if round.problems.is_empty() {
        round.checks.ok("settings", "all can be read");
    }
    for name in strangers() {
        let advice = "correct its name, or take it away; `mailroom help check` lists them";
        round.checks.warning("settings", format!("{name} is no setting"), advice);
    }
    if round.config.debug {
        let advice = "take it away where mail is to be sent";
        round.checks.warning("debug", "MAILROOM_DEBUG is true: requests are only printed", advice);
    }
    if !round.is_wrong("MAILROOM_LEASE") {
        lease(round);
    }
    if round.is_wrong("MAILROOM_SES_SOURCE") {
        return;
    }
    let source = &round.config.source;
    if source.trim_end_matches('>').ends_with("@localhost") {
        let advice = "set MAILROOM_SES_SOURCE to an address that the provider lets you send from";
        round.checks.warning("sender", format!("mails come from {source}"), advice);
    } else {
        round.checks.ok("sender", source.as_str());
    }
}

/// Whether a batch that is on its way stays ours.
fn lease(round: &mut Round) {
    let detail = format!("{} ms", round.config.lease.as_millis());
    match short_lease(round.config) {
        None => round.checks.ok("lease", detail),
        Some(why) => {
            let advice = "set MAILROOM_LEASE to 120000, or leave it out";
            round.checks.warning("lease", why, advice);
        }
    }
}

/// Whether replies and undelivered mails can be kept.
fn output(round: &mut Round) {
    const NAME: &str = "output directory";
    if round.is_wrong("MAILROOM_SES_OUTPUT_PATH") {
        return round.checks.unknown(NAME, "its setting is wrong");
    }
    let path = round.config.output.display().to_string();
    match undelivered::make_dir(&round.config.output) {
        Ok(()) => round.checks.ok(NAME, format!("{path} can be written to")),
        Err(error) => {
            let advice =
                "let MAILROOM_SES_OUTPUT_PATH name a directory that this user may write to";
            round.checks.misconfigured(NAME, format!("cannot write to {path}: {error}"), advice);
        }
    }
}

fn provider(round: &mut Round) {
    if PROVIDER.iter().any(|name| round.is_wrong(name)) {
        return round.checks.unknown("provider", "its settings are wrong");
    }
    if round.config.debug && !round.is_wrong("MAILROOM_DEBUG") {
        let told = "not needed: MAILROOM_DEBUG is true; it is looked at without that";
        return round.checks.ok("provider", told);
    }
    match &round.config.provider {
        Provider::Ses => ses::check(round),
        #[cfg(feature = "smtp")]
        Provider::Smtp(server) => smtp::check(round, server),
        #[cfg(feature = "postmark")]
        Provider::Postmark(token) => postmark::check(round, token),
    }
}

/// By how much another clock is ahead of ours, in seconds; it was read between two looks at ours.
fn ahead(other: SystemTime, before: SystemTime, after: SystemTime) -> f64 {
    let seconds = |from: SystemTime, to: SystemTime| match to.duration_since(from) {
        Ok(later) => later.as_secs_f64(),
        Err(earlier) => -earlier.duration().as_secs_f64(),
    };
    f64::midpoint(seconds(before, other), seconds(after, other))
}

/// How far apart two clocks are, for people.
fn apart(whose: &str, seconds: f64) -> String {
    let way = if seconds < 0.0 { "behind" } else { "ahead of" };
    match seconds.abs() {
        little if little < 1.0 => format!("{whose} clock agrees with ours"),
        much => format!("{whose} clock is {} {way} ours", screen::span(much)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_compared_at_the_middle_of_the_question() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        for (other, seconds, said) in [
            (105, 0.0, "x's clock agrees with ours"),
            (165, 60.0, "x's clock is 1 min 0 s ahead of ours"),
            (45, -60.0, "x's clock is 1 min 0 s behind ours"),
        ] {
            let found = ahead(at(other), at(100), at(110));
            assert_eq!((found, apart("x's", found).as_str()), (seconds, said));
        }
    }
}
