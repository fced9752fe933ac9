//! `mailroom status`: whether mail moves, once or again and again.

use crate::edges::pg::session::Session;
use crate::edges::signal;
use crate::edges::stop::Stop;
use crate::mail::error::{Error, Kind};
use crate::ops::config::Config;
use crate::ops::database::{STEP, inspect, open, unusable};
use crate::ops::screen;
use crate::ops::screen::page::{note, redrawn};
use crate::ops::terminal::{look, page, print, size};
use crate::queue::fit::Severity;
use crate::queue::snapshot::Snapshot;
use crate::queue::status::snapshot;
use std::io::IsTerminal as _;
use std::time::Duration;

/// Between two screens of `--watch`.
const AGAIN: Duration = Duration::from_secs(2);

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// As JSON.
    pub json: bool,
    /// Again and again.
    pub watch: bool,
    /// Say it in the exit status too.
    pub exit_code: bool,
}

/// Shows how the queue is.
pub fn run(config: &Config, wanted: Wanted, stop: &Stop) -> Result<(), Error> {
    if wanted.watch {
        return watch(config, wanted, stop);
    }
    let found = read(config, &mut None, stop)?;
    page(&shown(config, wanted, &found))?;
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
    let found = session.call(STEP, |client| snapshot(client, &config.queue)).map_err(unusable)?;
    *kept = Some(session);
    let mut found =
        found.ok_or_else(|| Error::config(format!("the queue {:?} is gone", config.queue)))?;
    // That it is paused is in the snapshot.
    found.findings = findings
        .into_iter()
        .filter(|one| one.severity != Severity::Good && one.subject != "pause")
        .collect();
    Ok(found)
}

/// Shows it again and again, in place on a terminal, until the process is asked to stop. A
/// database that is away is no reason to end.
fn watch(config: &Config, wanted: Wanted, stop: &Stop) -> Result<(), Error> {
    signal::install(stop, 0).map_err(|why| Error::new(Kind::Bug, why))?;
    let in_place = std::io::stdout().is_terminal() && !wanted.json;
    if in_place {
        print("\u{1b}[2J")?;
    }
    let mut kept = None;
    while !stop.requested() {
        let text = match read(config, &mut kept, stop) {
            Ok(found) => shown(config, wanted, &found),
            Err(_) if stop.requested() => break,
            Err(error) if wanted.json => {
                format!("{}\n", serde_json::json!({"error": error.message}))
            }
            Err(error) => {
                let text = format!("the database cannot be asked: {}", error.message);
                note(&text, look())
            }
        };
        match in_place {
            true => print(&redrawn(&text, size().map_or(usize::MAX, |(_, rows)| rows)))?,
            false if wanted.json => page(&text)?,
            false => page(&format!("{text}\n"))?,
        }
        stop.sleep(AGAIN);
    }
    // The last line may have no end yet.
    if in_place { print("\n") } else { Ok(()) }
}

fn shown(config: &Config, wanted: Wanted, found: &Snapshot) -> String {
    match wanted.json {
        true => format!("{}\n", screen::json::status(found, config.max_age)),
        false => screen::status::status(found, look(), config.max_age),
    }
}
