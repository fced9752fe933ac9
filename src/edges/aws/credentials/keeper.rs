//! Keeping credentials, and fetching them anew before they expire.
//!
//! In scope: when to ask the sources. Out of scope: the sources.

use crate::edges::aws::Credentials;
use crate::edges::aws::credentials::{Failure, Found, Outside, find};
use crate::edges::log;
use std::time::{Duration, SystemTime};

const TAG: &str = "AWS";
/// How long before their end new ones are asked for.
const EARLY: Duration = Duration::from_secs(300);
/// The time between two tries while the last ones live.
const PAUSE: Duration = Duration::from_secs(30);

/// The credentials of this process: found when first asked for, kept, and renewed five minutes
/// before they expire. If that fails, the last ones serve as long as they live.
pub struct Keeper {
    outside: Outside,
    kept: Option<Kept>,
    /// The source that was named in the log.
    told: String,
}

struct Kept {
    found: Found,
    /// When to ask the sources again; `None`: not until [`Keeper::forget`].
    renew: Option<SystemTime>,
}

impl Keeper {
    /// Nothing is read yet.
    pub fn new(outside: Outside) -> Keeper {
        Keeper { outside, kept: None, told: String::new() }
    }

    /// The credentials.
    ///
    /// # Errors
    /// There are none that live: what is missing or broken and what to do about it, without any
    /// value.
    pub fn get(&mut self) -> Result<Credentials, Failure> {
        let now = (self.outside.wall)();
        let due = |kept: &&mut Kept| kept.renew.is_some_and(|at| now >= at);
        if let Some(kept) = self.kept.as_mut().filter(|kept| !due(kept)) {
            return Ok(kept.found.credentials.clone());
        }
        match find(&self.outside) {
            Ok(found) => {
                if self.told != found.source {
                    log::info(TAG, format_args!("credentials from {}", found.source));
                    self.told.clone_from(&found.source);
                }
                let credentials = found.credentials.clone();
                let renew = found.expires.and_then(|end| now.checked_add(wait(now, end)));
                self.kept = Some(Kept { found, renew });
                Ok(credentials)
            }
            Err(failure) => match self.kept.as_mut().filter(|kept| lives(&kept.found, now)) {
                Some(kept) => {
                    log::warn(
                        TAG,
                        format_args!(
                            "the credentials could not be renewed and serve until they expire: {failure}"
                        ),
                    );
                    kept.renew = now.checked_add(PAUSE);
                    Ok(kept.found.credentials.clone())
                }
                None => {
                    self.kept = None;
                    Err(failure)
                }
            },
        }
    }

    /// Where the last ones came from, in words.
    pub fn source(&self) -> &str {
        &self.told
    }

    /// Forgets what is kept: the provider refused it. The next [`Keeper::get`] asks the sources
    /// again.
    pub fn forget(&mut self) {
        self.kept = None;
    }
}

fn lives(found: &Found, now: SystemTime) -> bool {
    found.expires.is_none_or(|end| end > now)
}

/// How long credentials that were fetched now serve before new ones are asked for.
fn wait(now: SystemTime, end: SystemTime) -> Duration {
    match end.duration_since(now) {
        // Short ones serve for half of their life at most.
        Ok(left) => left.saturating_sub(EARLY).max((left / 2).min(PAUSE)),
        // They look expired but were given now: it may be the clock. The provider will tell.
        Err(_) => PAUSE,
    }
}
