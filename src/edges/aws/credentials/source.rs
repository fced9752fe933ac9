//! What a source of credentials is asked with, and what it answers.

use crate::edges::aws::shared::{Shared, Variables};
use crate::edges::http::{Fault, Http};
use crate::edges::stop::Stop;
use aws_credential_types::Credentials;
use serde_json::Value;
use std::fmt;
use std::time::{Duration, Instant, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

/// No call for credentials begins later than this after the first one: mails that are leased wait.
pub(crate) const BUDGET: Duration = Duration::from_secs(20);

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

/// What a source is asked with.
pub(crate) struct Look<'a> {
    pub outside: &'a Outside,
    pub shared: Shared<'a>,
    pub begun: Instant,
}

impl Look<'_> {
    /// Whether it is too late to begin another call.
    pub fn late(&self) -> bool {
        (self.outside.now)().saturating_duration_since(self.begun) > BUDGET
    }

    /// Asks a neighbour: the status and the body of its reply.
    pub fn near(
        &self,
        request: http::request::Builder,
    ) -> Result<(u16, Zeroizing<Vec<u8>>), Fault> {
        let reply = self.outside.http.near(request.body(Vec::new())?)?;
        Ok((reply.status.as_u16(), Zeroizing::new(reply.body)))
    }
}

/// Why there are no credentials. Shows nothing of any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A source is not set up: why it counts as that, in a few words. The next one is asked.
    Unset(String),
    /// None are set up, or what is set up cannot work: a person must act.
    Setup(String),
    /// A source is set up but did not give any now: it may soon.
    Passing(String),
}

impl Failure {
    /// The same, said of something.
    pub(crate) fn of(mut self, what: impl fmt::Display) -> Failure {
        let (Failure::Unset(why) | Failure::Setup(why) | Failure::Passing(why)) = &mut self;
        *why = format!("{what}: {why}");
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Failure::Unset(why) | Failure::Setup(why) | Failure::Passing(why)) = self;
        f.write_str(why)
    }
}

/// Credentials that a source gave.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Without an end: they live for ever, as far as is known. Wiped when dropped.
    pub credentials: Credentials,
    /// The source, in words.
    pub source: String,
}

impl Found {
    /// Credentials as a source gave them; blank ones are missing.
    ///
    /// # Errors
    /// What is missing or cannot stand in a request, without any value.
    pub fn new(
        source: impl Into<String>,
        [id, secret, token]: [Option<String>; 3],
        expires: Option<&str>,
    ) -> Result<Found, String> {
        let part = |name: &str, text: Option<String>| {
            let text = text.map(Zeroizing::new).filter(|text| !text.trim().is_empty());
            // They become parts of headers.
            match text.as_ref().is_none_or(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))
            {
                true => Ok(text),
                false => Err(format!("the {name} has a blank or a character that no key has")),
            }
        };
        let (id, secret) = (part("access key id", id)?, part("secret access key", secret)?);
        let token = part("session token", token)?;
        let date = |text| OffsetDateTime::parse(text, &Rfc3339).map(SystemTime::from);
        let expires = expires.map(date).transpose();
        let expires =
            expires.map_err(|_| "the expiration is no date such as 2026-11-22T13:37:00Z")?;
        let take = |mut text: Zeroizing<String>| std::mem::take(&mut *text);
        let credentials = Credentials::new(
            take(id.ok_or("the access key id is missing")?),
            take(secret.ok_or("the secret access key is missing")?),
            token.map(take),
            expires,
            "mailroom",
        );
        Ok(Found { credentials, source: source.into() })
    }

    /// The same of a JSON object with `AccessKeyId`, `SecretAccessKey`, `Expiration`, and the
    /// session token under the name it has there. The last two may be missing.
    ///
    /// # Errors
    /// As those of [`Found::new`], or what is not a text.
    pub fn of_json(
        mut object: Value,
        token: &str,
        source: impl Into<String>,
    ) -> Result<Found, String> {
        let mut text = |name: &str| match object.get_mut(name).map(Value::take) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("{name} is not a text")),
        };
        let key = [text("AccessKeyId")?, text("SecretAccessKey")?, text(token)?];
        Found::new(source, key, text("Expiration")?.as_deref())
    }
}
