//! Calls to the API of SES besides sending.

use crate::edges::aws::credentials::Keeper;
use crate::edges::aws::credentials::source::{Failure, Outside};
use crate::edges::aws::endpoint::Endpoint;
use crate::edges::aws::shared::Shared;
use crate::edges::http::Http;
use crate::edges::log;
use crate::edges::stop::Stop;
use crate::mail::error::{Error, Kind};
use crate::mail::kind::{data_text, example, unsent};
use crate::ops::environment::env;
use crate::ops::provider::templates::unknown;
use crate::pump::system_clock;
use crate::send::ses::client::{Client, Refused};
use crate::send::ses::template::{Rendered, get, render};
use crate::send::text;
use std::time::Duration;

/// SES takes one of these calls a second.
const PAUSE: Duration = Duration::from_millis(1100);
/// How often a call is made that comes too soon.
const TRIES: u32 = 10;

/// Calls to the provider that wait when they come too soon.
pub struct Calls {
    /// Makes them.
    pub client: Client,
    stop: Stop,
    /// What is being done, for errors.
    what: String,
}

impl Calls {
    /// Calls that are for `what`.
    pub fn new(client: Client, stop: &Stop, what: &str) -> Calls {
        Calls { client, stop: stop.clone(), what: what.to_owned() }
    }

    /// Makes a call, again while it comes too soon.
    pub fn make<T>(
        &mut self,
        mut call: impl FnMut(&mut Client) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        let mut tries = 1;
        loop {
            match call(&mut self.client) {
                Err(refused) if refused.is_throttled() && tries < TRIES => {
                    log::debug("SES", format_args!("{}: {refused}; waiting", self.what));
                    self.stop.sleep(PAUSE);
                    tries += 1;
                }
                other => return other,
            }
        }
    }

    /// The end of a command: what failed, and of which template.
    pub fn failed(&self, name: &str, refused: &Refused) -> Error {
        let kind = match refused {
            refused if refused.is_throttled() => Kind::Temporary,
            Refused { status: Some(_), .. } if refused.is_bad_request() => Kind::Data,
            _ => Kind::Unavailable,
        };
        let space = if name.is_empty() { "" } else { " " };
        Error::new(kind, format!("{}{space}{name} failed: {refused}", self.what))
    }
}

/// Lets the provider render a template with data like that of a mail; gives what is wrong with it.
pub fn examine(calls: &mut Calls, action: u16, name: &str) -> Result<Option<String>, Refused> {
    let data = data_text(&example(action));
    Ok(match calls.make(|client| render(client, name, &data))? {
        Rendered::Good => None,
        Rendered::NoTemplate => {
            Some("is not at the provider; see `mailroom template push`".to_owned())
        }
        Rendered::NoVariable(variable) => Some(unknown(&[variable])),
        Rendered::Bad(why) => {
            let content = calls.make(|client| get(client, name))?.unwrap_or_default();
            let parts = [&content.subject, &content.text, &content.html];
            let all: Vec<String> = parts.iter().flat_map(|part| unsent(part)).collect();
            let none = all.is_empty();
            Some(if none { format!("cannot be rendered: {why}") } else { unknown(&all) })
        }
    })
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

/// Calls to the API of SES besides sending.
pub fn client(stop: &Stop) -> Result<Client, Error> {
    let endpoint = Endpoint::read(&env).map_err(Error::config)?;
    let (http, mut keeper) = identity(stop)?;
    keeper.get().map_err(|failure| match failure {
        Failure::Unset(why) | Failure::Setup(why) => Error::config(why),
        Failure::Passing(why) => Error::new(Kind::Temporary, why),
    })?;
    Ok(Client::new(endpoint, http, keeper, Box::new(system_clock().wall)))
}
