//! `mailroom status`: whether mail moves, once or again and again.

use crate::edges::metrics::textfile;
use crate::edges::pg::session::Session;
use crate::edges::signal;
use crate::edges::stop::Stop;
use crate::lists::issue::{Issue, issues};
use crate::lists::members;
use crate::mail::error::{Error, Kind};
use crate::ops::config::Config;
use crate::ops::database::{STEP, inspect, open};
use crate::ops::screen;
use crate::ops::screen::page::redrawn;
use crate::ops::settings::Verb;
use crate::ops::terminal::{look, page, print, size};
use crate::queue::fit::Severity;
use crate::queue::snapshot::Snapshot;
use crate::queue::status::snapshot;
use pico_args::Arguments;
use serde_json::json;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

/// Between two screens of `--watch`.
const AGAIN: Duration = Duration::from_secs(2);

/// How long a browser shows a page before it loads the next one, in seconds.
const REFRESH: u64 = 5;

/// How the state of the queue is shown.
struct Wanted {
    /// As JSON.
    json: bool,
    /// Into this file, as a page of HTML.
    html: Option<PathBuf>,
    /// Again and again.
    watch: bool,
    /// Say it in the exit status too.
    exit_code: bool,
}

/// Reads its words.
///
/// # Errors
/// What is wrong with them.
pub fn words(args: &mut Arguments) -> Result<Verb, Error> {
    let html: Option<PathBuf> = args.opt_value_from_str("--html")?;
    let [json, watch, exit_code] =
        ["--json", "--watch", "--exit-code"].map(|flag| args.contains(flag));
    if json && html.is_some() {
        return Err(Error::usage("give --json or --html, not both"));
    }
    let wanted = Wanted { json, html, watch, exit_code };
    Ok(Box::new(move |given, stop| run(&given.config, &wanted, stop)))
}

/// Shows how the queue is.
fn run(config: &Config, wanted: &Wanted, stop: &Stop) -> Result<(), Error> {
    if wanted.watch {
        return watch(config, wanted, stop);
    }
    let found = read(config, &mut None, stop)?;
    show(config, wanted, Ok(&found))?;
    let wrong = found.failed > 0 || found.movement(config.max_age).is_fault();
    if wanted.exit_code && wrong {
        return Err(Error::new(Kind::No, ""));
    }
    Ok(())
}

/// Reads on a connection that stays for the next time.
fn read(config: &Config, kept: &mut Option<Session>, stop: &Stop) -> Result<Snapshot, Error> {
    let mut session = match kept.take() {
        Some(session) => session,
        None => open(config, "status", stop)?,
    };
    let findings = inspect(config, &mut session)?;
    let found = session.call(STEP, |client| snapshot(client, &config.queue))?;
    let lists = session.call(STEP, members::confirmed)?;
    let issues = session.call(STEP, |client| issues(client, None))?;
    *kept = Some(session);
    let mut found =
        found.ok_or_else(|| Error::config(format!("the queue {:?} is gone", config.queue)))?;
    found.lists = lists;
    let issue = |one: Issue| {
        let what =
            format!("{} of {}, {} sent, {} failed", one.state, one.list, one.sent, one.failed);
        (one.key.clone(), one.left(), what)
    };
    found.issues = issues.into_iter().map(issue).collect();
    // That it is paused is in the snapshot.
    found.findings = findings
        .into_iter()
        .filter(|one| one.severity != Severity::Good && one.subject != "pause")
        .collect();
    Ok(found)
}

/// Shows it again and again until the process is asked to stop. A database that is away is no reason to
/// end.
fn watch(config: &Config, wanted: &Wanted, stop: &Stop) -> Result<(), Error> {
    signal::install(stop, 0).map_err(|why| Error::new(Kind::Bug, why))?;
    if in_place(wanted) {
        print("\u{1b}[2J")?;
    }
    let mut kept = None;
    while !stop.requested() {
        let found = read(config, &mut kept, stop);
        if found.is_ok() || !stop.requested() {
            show(config, wanted, found.as_ref())?;
        }
        stop.sleep(AGAIN);
    }
    // The last line may have no end yet.
    if in_place(wanted) { print("\n") } else { Ok(()) }
}

/// Whether a screen is drawn over the one before it.
fn in_place(wanted: &Wanted) -> bool {
    wanted.watch && !wanted.json && wanted.html.is_none() && std::io::stdout().is_terminal()
}

/// Shows what was found, or why nothing was, in the file or on the terminal.
fn show(config: &Config, wanted: &Wanted, found: Result<&Snapshot, &Error>) -> Result<(), Error> {
    if wanted.json {
        let value = match found {
            Ok(found) => screen::json::status(found, config.max_age),
            Err(error) => json!({"error": error.message}),
        };
        return page(&format!("{value}\n"));
    }
    let report = match found {
        Ok(found) => screen::status::report(found, config.max_age),
        Err(error) => screen::status::away(&config.queue, &error.message),
    };
    if let Some(path) = &wanted.html {
        let text = screen::html::page(&report, wanted.watch.then_some(REFRESH));
        return textfile::write(path, &text)
            .map_err(|error| Error::io(format_args!("cannot write {}", path.display()), error));
    }
    let text = screen::report::text(&report, look());
    match in_place(wanted) {
        true => print(&redrawn(&text, size().map_or(usize::MAX, |(_, rows)| rows))),
        false if wanted.watch => page(&format!("{text}\n")),
        false => page(&text),
    }
}
