//! Where the credentials come from, in the order of botocore.
//!
//! In scope: the order, and the words that the sources share. Out of scope: using credentials.
//! Sources are asked in turn; the first that has credentials wins, and one that is set up but
//! broken is an error, not a reason to go on to the next.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>

mod container;
mod document;
mod environment;
mod imds;
mod keeper;
mod process;
mod profile;
mod role;
mod sts;
mod web_identity;

use crate::edges::aws::{Credentials, Shared, Variables};
use crate::edges::http::{Http, WHOLE};
use crate::edges::stop::Stop;
use document::read as document;
pub use keeper::Keeper;
use process::run as process;
use std::fmt;
use std::time::{Duration, Instant, SystemTime};
use sts::{Role, assume, assume_with_web_identity};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

/// What the sources may look at.
pub struct Outside {
    /// The environment.
    pub variables: Box<Variables<'static>>,
    /// For STS and metadata services.
    pub http: Http,
    /// The wall clock: credentials expire by it.
    pub wall: Box<dyn Fn() -> SystemTime>,
    /// A clock that is never set back, for the time that looking may take.
    pub now: Box<dyn Fn() -> Instant>,
    /// Ends the wait for a credential process.
    pub stop: Stop,
    /// Takes addresses and secrets out of what others say.
    pub clean: fn(&str) -> String,
}

/// Why there are no credentials. Shows nothing of any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// None are set up, or what is set up cannot work: a person must act.
    Setup(String),
    /// A source is set up but did not give any now: it may soon.
    Passing(String),
}

impl Failure {
    /// The same, said of something.
    fn of(self, what: impl fmt::Display) -> Failure {
        match self {
            Failure::Setup(why) => Failure::Setup(format!("{what}: {why}")),
            Failure::Passing(why) => Failure::Passing(format!("{what}: {why}")),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Failure::Setup(why) | Failure::Passing(why)) = self;
        f.write_str(why)
    }
}

/// Credentials that a source gave.
#[derive(Clone, Debug)]
struct Found {
    credentials: Credentials,
    /// `None`: never, as far as is known.
    expires: Option<SystemTime>,
    /// The source, in words.
    source: String,
}

/// What a source says if nothing is wrong.
enum Answer {
    Found(Found),
    /// It is not set up: why it counts as that, in a few words.
    Nothing(String),
}

/// What a source is asked with.
struct Look<'a> {
    outside: &'a Outside,
    shared: Shared,
    begun: Instant,
}

/// No call for credentials begins later than this after the first one: mails that are leased wait.
const BUDGET: Duration = Duration::from_secs(20);
/// The longest that looking for credentials takes: one more call that began within the budget.
pub const LONGEST: Duration = Duration::from_secs(BUDGET.as_secs() + WHOLE.as_secs());

impl Look<'_> {
    /// Whether it is too late to begin another call.
    fn late(&self) -> bool {
        (self.outside.now)().saturating_duration_since(self.begun) > BUDGET
    }

    /// A variable's value, unless it is not set or blank.
    fn variable(&self, name: &str) -> Option<String> {
        crate::edges::aws::value(&*self.outside.variables, name)
    }
}

/// A source, asked on behalf of the profile in use.
type Source = fn(&Look) -> Result<Answer, Failure>;

/// All sources, in their order. It is botocore's; some other SDKs ask a profile's static keys
/// before the web identity of the environment.
const SOURCES: &[(&str, Source)] = &[
    ("environment", environment::find),
    ("role", role::find),
    ("web identity", web_identity::find),
    ("profile", |look| profile::find(look, look.shared.profile())),
    ("container", container::find),
    ("EC2 instance", imds::find),
];

/// Asks the sources in turn.
fn find(outside: &Outside) -> Result<Found, Failure> {
    let shared = Shared::read(&*outside.variables).map_err(Failure::Setup)?;
    let look = Look { outside, shared, begun: (outside.now)() };
    let mut tried: Vec<String> = Vec::new();
    for (name, source) in SOURCES {
        match source(&look) {
            Ok(Answer::Found(found)) => return Ok(found),
            Ok(Answer::Nothing(why)) => tried.push(format!("{name}: {why}")),
            Err(failure) => return Err(failure.of(name)),
        }
    }
    Err(Failure::Setup(format!(
        "no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or set up one of the \
         others that were tried: {}",
        tried.join("; ")
    )))
}

/// The source that `credential_source` of a role names.
fn named(look: &Look, name: &str) -> Option<Result<Answer, Failure>> {
    match name {
        "Environment" => Some(environment::find(look)),
        "EcsContainer" => Some(container::find(look)),
        "Ec2InstanceMetadata" => Some(imds::find_named(look)),
        _ => None,
    }
}

/// The credentials of a role's `source_profile` that assumes no role itself.
fn of_profile(look: &Look, profile: &str) -> Result<Answer, Failure> {
    match web_identity::of_profile(look, profile)? {
        Answer::Nothing(_) => profile::find(look, profile),
        found => Ok(found),
    }
}

impl Found {
    /// Credentials as a source gave them; blank ones are missing.
    ///
    /// # Errors
    /// What is missing or cannot stand in a request, without any value.
    fn new(
        source: impl Into<String>,
        id: Option<String>,
        secret: Option<String>,
        token: Option<String>,
        expires: Option<&str>,
    ) -> Result<Found, String> {
        let secret = secret.map(Zeroizing::new);
        let token = token.map(Zeroizing::new).filter(|token| !token.trim().is_empty());
        let missing = |name: &str| format!("the {name} is missing");
        let access_key_id =
            id.filter(|id| !id.is_empty()).ok_or_else(|| missing("access key id"))?;
        let secret_access_key = secret
            .filter(|secret| !secret.is_empty())
            .ok_or_else(|| missing("secret access key"))?;
        let parts = [
            ("access key id", Some(access_key_id.as_str())),
            ("secret access key", Some(secret_access_key.as_str())),
            ("session token", token.as_ref().map(|token| token.as_str())),
        ];
        for (name, part) in parts {
            // They become parts of headers.
            if part.is_some_and(|part| !part.bytes().all(|byte| byte.is_ascii_graphic())) {
                return Err(format!("the {name} has a blank or a character that no key has"));
            }
        }
        let expires = match expires {
            Some(text) => Some(
                OffsetDateTime::parse(text, &Rfc3339)
                    .map_err(|_| "the expiration is no date such as 2026-11-22T13:37:00Z")?
                    .into(),
            ),
            None => None,
        };
        let credentials = Credentials { access_key_id, secret_access_key, session_token: token };
        Ok(Found { credentials, expires, source: source.into() })
    }
}
