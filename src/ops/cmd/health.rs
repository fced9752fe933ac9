//! `mailroom health`: 0 or 1, judged on whether mail moves, not on whether a process breathes.

use crate::edges::stop::Stop;
use crate::mail::error::{Error, Kind};
use crate::mail::policy::Wait;
use crate::ops::config::Config;
use crate::ops::database::{STEP, session};
use crate::ops::screen::page::{clean, span};
use crate::ops::terminal::print;
use crate::queue::snapshot::{Movement, Snapshot};
use crate::queue::status::moving;
use std::time::Duration;

/// Says in one line whether mail moves, and why not.
pub fn run(config: &Config, stop: &Stop) -> Result<(), Error> {
    let unhealthy = |why: String| Error::new(Kind::No, format!("not healthy: {why}"));
    let found = session(config, "health", stop)
        .and_then(|mut session| Ok(session.call(STEP, |client| moving(client, &config.queue))?));
    let found = found.map_err(|error| unhealthy(error.message))?.unwrap_or_default();
    match verdict(&found, config.max_age) {
        Ok(line) => print(&format!("healthy: {line}\n")),
        Err(why) => Err(unhealthy(why)),
    }
}

/// What is said of it; `Err` if mail does not move although it should.
fn verdict(found: &Snapshot, max_age: Duration) -> Result<String, String> {
    let queue = clean(&found.queue);
    let due = match found.oldest_due {
        Some(age) => format!("the oldest mail has been due for {}", span(age)),
        None => "nothing is due".to_owned(),
    };
    let waits = [(Wait::Held, "held"), (Wait::PutOff, "put off")];
    let held = waits.into_iter().find_map(|(wait, how)| {
        let reason = found.waiting_for(wait).next()?;
        Some(format!("; {how}: {}", clean(&reason.text)))
    });
    let held = held.unwrap_or_default();
    let listening = found.listeners.len();
    match found.movement(max_age) {
        Movement::Stopped(_) => Err(format!("nobody listens on queue {queue}; {due}")),
        Movement::Stuck(_) => {
            let limit = span(max_age.as_secs_f64());
            Err(format!("{due}, {limit} are allowed{held}"))
        }
        Movement::Paused(pause) => {
            let why = if pause.reason.is_empty() { "" } else { ": " };
            let since = span(pause.seconds);
            let why = format!("{why}{}", clean(&pause.reason));
            Ok(format!("{listening} listening; {due}{held}; paused for {since}{why}"))
        }
        Movement::Held(_) | Movement::PutOff(_) | Movement::Moving | Movement::Idle => {
            Ok(format!("{listening} listening; {due}{held}"))
        }
    }
}
