//! The credentials of this process: where they come from, in the order of botocore, and when they
//! are fetched anew.
//!
//! Out of scope: using them. Sources are asked in turn; the first that has credentials wins, and one
//! that is set up but broken is an error, not a reason to go on to the next.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>

mod container;
mod imds;
mod keys;
mod role;
pub mod source;
mod sts;
mod web_identity;

use crate::edges::aws::shared::Shared;
use crate::edges::http::WHOLE;
use crate::edges::log;
use aws_credential_types::Credentials;
use source::{BUDGET, Failure, Found, Look, Outside};
use std::time::{Duration, SystemTime};

/// The longest that looking for credentials takes: one more call that began within the budget.
pub const LONGEST: Duration = Duration::from_secs(BUDGET.as_secs() + WHOLE.as_secs());
const TAG: &str = "AWS";
/// How long before their end new ones are asked for.
const EARLY: Duration = Duration::from_secs(300);
/// The time between two tries while the last ones live.
const PAUSE: Duration = Duration::from_secs(30);

/// A source, asked on behalf of the profile in use.
type Source = fn(&Look) -> Result<Found, Failure>;

/// All sources, in their order. It is botocore's; some other SDKs ask a profile's static keys
/// before the web identity of the environment.
const SOURCES: &[(&str, Source)] = &[
    ("environment", keys::of_environment),
    ("role", role::find),
    ("web identity", web_identity::find),
    ("profile", |look| keys::of_profile(look, &look.shared.profile)),
    ("container", container::find),
    ("EC2 instance", |look| imds::find(look, false)),
];

/// Asks the sources in turn.
fn find(outside: &Outside) -> Result<Found, Failure> {
    let shared = Shared::read(&*outside.variables).map_err(Failure::Setup)?;
    let look = Look { outside, shared, begun: (outside.now)() };
    let mut tried: Vec<String> = Vec::new();
    for (name, source) in SOURCES {
        match source(&look) {
            Ok(found) => return Ok(found),
            Err(Failure::Unset(why)) => tried.push(format!("{name}: {why}")),
            Err(failure) => return Err(failure.of(name)),
        }
    }
    Err(Failure::Setup(format!(
        "no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or set up one of the \
         others that were tried: {}",
        tried.join("; ")
    )))
}

/// The credentials of this process: found when first asked for, kept, and renewed five minutes
/// before they expire. If that fails, the last ones serve as long as they live.
pub struct Keeper {
    outside: Outside,
    kept: Option<Kept>,
    /// The source that was named in the log.
    source: String,
}

struct Kept {
    found: Found,
    /// When to ask the sources again; `None`: not until [`Keeper::forget`].
    renew: Option<SystemTime>,
}

impl Keeper {
    /// Nothing is read yet.
    pub fn new(outside: Outside) -> Keeper {
        Keeper { outside, kept: None, source: String::new() }
    }

    /// The credentials.
    ///
    /// # Errors
    /// There are none that live: what is missing or broken and what to do about it, without any
    /// value.
    pub fn get(&mut self) -> Result<Credentials, Failure> {
        let now = (self.outside.wall)();
        if let Some(kept) = &self.kept
            && kept.renew.is_none_or(|at| now < at)
        {
            return Ok(kept.found.credentials.clone());
        }
        let kept = match (find(&self.outside), self.kept.take()) {
            (Ok(found), _) => {
                if self.source != found.source {
                    log::info(TAG, format_args!("credentials from {}", found.source));
                    self.source.clone_from(&found.source);
                }
                let renew =
                    found.credentials.expiry().and_then(|end| now.checked_add(wait(now, end)));
                Kept { found, renew }
            }
            (Err(failure), Some(Kept { found, .. }))
                if found.credentials.expiry().is_none_or(|end| end > now) =>
            {
                log::warn(
                    TAG,
                    format_args!(
                        "the credentials could not be renewed and serve until they expire: {failure}"
                    ),
                );
                Kept { found, renew: now.checked_add(PAUSE) }
            }
            (Err(failure), _) => return Err(failure),
        };
        Ok(self.kept.insert(kept).found.credentials.clone())
    }

    /// Where the last ones came from, in words.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Forgets what is kept: the provider refused it. The next [`Keeper::get`] asks the sources
    /// again.
    pub fn forget(&mut self) {
        self.kept = None;
    }
}

/// How long credentials that were fetched now serve before new ones are asked for.
fn wait(now: SystemTime, end: SystemTime) -> Duration {
    match end.duration_since(now) {
        // Short ones serve for half of their life at most.
        Ok(left) => left.saturating_sub(EARLY).max((left / 2).min(PAUSE)),
        // They look expired but were given now: it may be the clock. The provider knows.
        Err(_) => PAUSE,
    }
}
