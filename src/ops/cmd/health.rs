//! `mailroom health`: 0 or 1, judged on whether mail moves, not on whether a process breathes.

use crate::edges::stop::Stop;
use crate::mail::error::{Error, Kind};
use crate::mail::policy::Wait;
use crate::ops::config::Config;
use crate::ops::database::{STEP, session, unusable};
use crate::ops::screen::page::{clean, span};
use crate::ops::terminal::print;
use crate::queue::snapshot::Snapshot;
use crate::queue::status::snapshot;
use std::time::Duration;

/// Says in one line whether mail moves, and why not.
pub fn run(config: &Config, stop: &Stop) -> Result<(), Error> {
    let unhealthy = |why: String| Error::new(Kind::No, format!("not healthy: {why}"));
    let found = session(config, "health", stop).and_then(|mut session| {
        session.call(STEP, |client| snapshot(client, &config.queue)).map_err(unusable)
    });
    let found = found.map_err(|error| unhealthy(error.message))?.unwrap_or_default();
    match verdict(&found, config.max_age) {
        Ok(line) => print(&format!("healthy: {line}\n")),
        Err(why) => Err(unhealthy(why)),
    }
}

fn verdict(found: &Snapshot, max_age: Duration) -> Result<String, String> {
    let queue = clean(&found.queue);
    let due = match found.oldest_due {
        Some(age) => format!("the oldest mail has been due for {}", span(age)),
        None => "nothing is due".to_owned(),
    };
    let waits = [(Wait::Held, "held"), (Wait::PutOff, "put off")];
    let held = waits.into_iter().find_map(|(wait, how)| {
        let (why, _) = found.waiting_for(wait).next()?;
        Some(format!("; {how}: {}", clean(why)))
    });
    let held = held.unwrap_or_default();
    if found.listeners.is_empty() {
        return Err(format!("nobody listens on queue {queue}; {due}"));
    }
    if found.is_late(max_age) {
        let limit = span(max_age.as_secs_f64());
        return Err(format!("{due}, {limit} are allowed{held}"));
    }
    let paused = found.pause.as_ref().map(|pause| match pause.reason.as_str() {
        "" => format!("; paused for {}", span(pause.seconds)),
        why => format!("; paused for {}: {}", span(pause.seconds), clean(why)),
    });
    let listening = found.listeners.len();
    Ok(format!("{listening} listening; {due}{held}{}", paused.unwrap_or_default()))
}
