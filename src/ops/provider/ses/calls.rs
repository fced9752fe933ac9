//! Calls to the API of SES besides sending.

use crate::edges::aws::credentials::Keeper;
use crate::edges::aws::credentials::source::{Failure, Outside};
use crate::edges::aws::endpoint::Endpoint;
use crate::edges::aws::shared::Shared;
use crate::edges::http::Http;
use crate::edges::log;
use crate::edges::stop::Stop;
use crate::mail::error::{Error, Kind};
use crate::ops::environment::env;
use crate::pump::system_clock;
use crate::send::ses::client::{Client, Refused};
use crate::send::text;
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde_json::Value;
use std::time::Duration;

/// What stands for itself in a URI: <https://www.rfc-editor.org/rfc/rfc3986#section-2.3>
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// SES takes one of these calls a second.
const PAUSE: Duration = Duration::from_millis(1100);
/// How often a call is made that comes too soon.
const TRIES: u32 = 10;

/// Calls to the provider that wait when they come too soon.
pub struct Calls {
    /// Makes them.
    pub client: Client,
    /// The request to stop.
    pub stop: Stop,
}

impl Calls {
    /// Makes a call and reads its answer; again while it comes too soon.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn ask(
        &mut self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Refused> {
        let mut tries = 1;
        loop {
            match self.client.ask(method, path, body) {
                Err(refused) if refused.is_throttled() && tries < TRIES => {
                    log::debug("SES", format_args!("{method} {path}: {refused}; waiting"));
                    self.stop.sleep(PAUSE);
                    tries += 1;
                }
                other => return other,
            }
        }
    }
}

/// A name as a part of a path.
pub fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, UNRESERVED)
}

/// The way to AWS, and who we are there.
pub fn identity(stop: &Stop) -> Result<(Http, Keeper), Error> {
    let shared = Shared::read(&env).map_err(Error::config)?;
    let variables = |name: &str| shared.setting(name);
    let http = Http::new(&variables, stop.clone()).map_err(Error::config)?;
    let keeper = Keeper::new(Outside {
        variables: Box::new(env),
        http: http.clone(),
        wall: Box::new(system_clock().wall),
        now: Box::new(system_clock().now),
        stop: stop.clone(),
        clean: text::clean,
    });
    Ok((http, keeper))
}

/// Where SES is, how it is reached, and who asks.
///
/// # Errors
/// All that is wrong with that, a line each.
pub fn place(stop: &Stop) -> Result<(Endpoint, Http, Keeper), Error> {
    match (Endpoint::read(&env), identity(stop)) {
        (Ok(endpoint), Ok((http, keeper))) => Ok((endpoint, http, keeper)),
        (endpoint, identity) => {
            let identity = identity.err().map(|error| error.message);
            let mut problems: Vec<_> = endpoint.err().into_iter().chain(identity).collect();
            // Both read the files of AWS.
            problems.dedup();
            if env("MAILROOM_TRANSPORT").is_none() {
                let others = "MAILROOM_TRANSPORT: is ses; smtp and postmark need nothing of AWS";
                problems.push(others.to_owned());
            }
            Err(Error::config(problems.join("\n")))
        }
    }
}

/// Calls to the API of SES besides sending.
pub fn client(stop: &Stop) -> Result<Client, Error> {
    let (endpoint, http, mut keeper) = place(stop)?;
    keeper.get().map_err(|failure| match failure {
        Failure::Unset(why) | Failure::Setup(why) => Error::config(why),
        Failure::Passing(why) => Error::new(Kind::Temporary, why),
    })?;
    Ok(Client::new(endpoint, http, keeper, system_clock().wall))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tokens_are_encoded_for_a_path() {
        assert_eq!(encoded("activation_v1-x").to_string(), "activation_v1-x");
        assert_eq!(encoded("a/b c+é=").to_string(), "a%2Fb%20c%2B%C3%A9%3D");
    }
}
