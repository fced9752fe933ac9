//! Whether the settings can be read and make sense, and whether replies can be kept.

use crate::ops::check::Round;
use crate::ops::daemon::short_lease;
use crate::ops::environment::unknown_settings;
use crate::pipe::undelivered;
use nix::unistd::{AccessFlags, access};
use std::path::Path;

/// Everything that is wrong with the settings, a line each.
pub fn check(round: &mut Round) {
    for problem in round.problems {
        let advice = "see `mailroom help check` for what each setting takes";
        round.checks.misconfigured("settings", problem, advice);
    }
    if round.problems.is_empty() {
        round.checks.ok("settings", "all can be read");
    }
    for name in unknown_settings() {
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
pub fn output(round: &mut Round) {
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

/// Whether numbers can be written to the file that is to have them.
pub fn metrics(round: &mut Round) {
    const NAME: &str = "metrics file";
    let Some(file) = &round.config.metrics_file else { return };
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let path = file.display();
    match access(dir, AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) if !file.is_dir() => round.checks.ok(NAME, format!("{path} can be written")),
        Ok(()) => {
            round.checks.misconfigured(NAME, format!("{path} is a directory"), "name a file in it");
        }
        Err(error) => {
            let detail = format!("{path} cannot be written: {error}");
            let advice =
                "let MAILROOM_METRICS_FILE name a file in a directory that this user may write to";
            round.checks.misconfigured(NAME, detail, advice);
        }
    }
}
