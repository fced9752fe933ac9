//! Calls to the SES v2 API: signed, sent, read; what more than one part of mailroom asks of it.
//!
//! In scope: one call with the account's credentials and the provider's time; the calls about
//! templates, the sender and the account. Out of scope: sending mail (`transport/ses.rs`), what a
//! refusal means (`verdict/ses.rs`). It logs nothing.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Operations.html>

use crate::edges::aws::credentials::Keeper;
use crate::edges::aws::endpoint::Endpoint;
use crate::edges::aws::sign::sign;
use crate::edges::http;
use crate::edges::http::{Http, Reply};
use crate::mail::model::Cause;
use crate::mail::policy;
use crate::mail::policy::{CallVerdict, ErrorReply, Remedies};
use ::http::{Method, Request};
use aws_credential_types::Credentials;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde_json::Value;
use std::fmt;
use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// The longest part of a provider's text that is passed on, in characters.
const TEXT_LIMIT: usize = 300;

/// What stands for itself in a URI: <https://www.rfc-editor.org/rfc/rfc3986#section-2.3>
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Makes calls, one at a time.
pub struct Client {
    endpoint: Endpoint,
    http: Http,
    keeper: Keeper,
    clock: Box<dyn Fn() -> SystemTime>,
    /// The provider's clock minus ours, as far as it is known.
    offset: time::Duration,
    /// The same, as the last reply with a date had it.
    seen: Option<time::Duration>,
}

/// Why a call has no reply.
#[derive(Debug)]
pub enum Failure {
    /// There is nothing to sign with.
    NoCredentials(String),
    /// The call cannot be put into words: a fault of the settings.
    Malformed(String),
    /// It was sent, or not; no whole reply came.
    Lost(http::Fault),
}

impl Client {
    /// Opens nothing yet. `clock` is the wall clock.
    pub fn new(
        endpoint: Endpoint,
        http: Http,
        keeper: Keeper,
        clock: Box<dyn Fn() -> SystemTime>,
    ) -> Client {
        Client { endpoint, http, keeper, clock, offset: time::Duration::ZERO, seen: None }
    }

    /// The time by our clock.
    pub fn now(&self) -> OffsetDateTime {
        OffsetDateTime::from((self.clock)())
    }

    /// Makes one call; any status is a reply. `path` begins with `/v2/email/`; a body is JSON.
    ///
    /// # Errors
    /// Why there is no reply.
    pub fn call(&mut self, method: Method, path: &str, body: Vec<u8>) -> Result<Reply, Failure> {
        let credentials = self.credentials()?;
        self.call_as(&credentials, method, path, body)
    }

    /// The credentials that a call is signed with; they may have to be fetched first.
    ///
    /// # Errors
    /// There are none.
    pub fn credentials(&mut self) -> Result<Credentials, Failure> {
        self.keeper.get().map_err(|why| Failure::NoCredentials(why.to_string()))
    }

    /// As [`Client::call`], with these credentials: it takes no longer than one HTTP call.
    ///
    /// # Errors
    /// Why there is no reply.
    pub fn call_as(
        &mut self,
        credentials: &Credentials,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Reply, Failure> {
        let mut request =
            Request::builder().method(method).uri(format!("{}{path}", self.endpoint.url));
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        let mut request =
            request.body(body).map_err(|error| Failure::Malformed(error.to_string()))?;
        let now = self.now();
        let time = now.checked_add(self.offset).unwrap_or(now).into();
        sign(&mut request, credentials, &self.endpoint.region, "ses", time)
            .map_err(Failure::NoCredentials)?;
        let reply = self.http.call(request).map_err(Failure::Lost)?;
        self.seen = date(&reply).map(|date| date - self.now()).or(self.seen);
        Ok(reply)
    }

    /// By how much the provider's clock was ahead of ours when it answered last, to the second;
    /// `None` if it has not said.
    pub fn ahead(&self) -> Option<time::Duration> {
        self.seen
    }

    /// Forgets the credentials: the next call fetches them anew.
    pub fn forget_credentials(&mut self) {
        self.keeper.forget();
    }

    /// Takes the provider's clock from its reply; gives how many seconds it is ahead of ours.
    pub fn correct_clock(&mut self, reply: &Reply) -> i64 {
        if let Some(date) = date(reply) {
            self.offset = date - self.now();
        }
        self.offset.whole_seconds()
    }

    /// Makes one call and reads its answer, with each of the remedies once.
    ///
    /// # Errors
    /// What the provider, or the way to it, said instead.
    pub fn ask(
        &mut self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Refused> {
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let mut tried = Remedies::default();
        loop {
            let reply = self.call(method.clone(), path, body.clone()).map_err(Refused::from)?;
            if reply.status.is_success() {
                return read(&reply);
            }
            let refusal = refusal(&reply, self.now(), policy::clean);
            match crate::send::ses::causes::call(&refusal, tried) {
                CallVerdict::RefreshCredentials(_) => {
                    self.forget_credentials();
                    tried.refreshed = true;
                }
                CallVerdict::CorrectClock(_) => {
                    self.correct_clock(&reply);
                    tried.corrected = true;
                }
                verdict => return Err(Refused::by(&refusal, &verdict)),
            }
        }
    }
}

/// A name as a part of a path.
pub(crate) fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, UNRESERVED)
}

/// An answer that is not the one asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// HTTP status; `None` if there was no reply.
    pub status: Option<u16>,
    /// The provider's code for it; may be empty.
    pub code: String,
    /// The provider's explanation, or why there was no reply.
    pub text: String,
    /// Whether the call came too soon after another.
    pub throttled: bool,
}

impl Refused {
    fn by(refusal: &ErrorReply, verdict: &CallVerdict) -> Refused {
        let throttled =
            matches!(verdict, CallVerdict::Each(refusal) if refusal.cause == Cause::Throttled);
        let text = refusal.message.chars().take(TEXT_LIMIT).collect();
        Refused { status: Some(refusal.status), code: refusal.code.clone(), text, throttled }
    }

    /// Whether what was asked about is not there.
    pub fn is_missing(&self) -> bool {
        self.code == "NotFoundException" || self.code.is_empty() && self.status == Some(404)
    }

    /// Whether the provider understood the request and did not like it.
    pub fn is_bad_request(&self) -> bool {
        self.code == "BadRequestException" || self.code.is_empty() && self.status == Some(400)
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Refused {
        let text = match failure {
            Failure::NoCredentials(why) => format!("no credentials: {why}"),
            Failure::Malformed(why) => why,
            Failure::Lost(fault) => fault.why,
        };
        Refused { status: None, code: String::new(), text, throttled: false }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.status, self.code.as_str(), self.text.as_str()) {
            (Some(status), "", "") => write!(f, "HTTP {status}"),
            (Some(status), "", text) => write!(f, "HTTP {status}: {text}"),
            (_, code, "") => f.write_str(code),
            (_, "", text) => f.write_str(text),
            (_, code, text) => write!(f, "{code}: {text}"),
        }
    }
}

/// The JSON of a reply; nothing at all counts as nothing.
fn read(reply: &Reply) -> Result<Value, Refused> {
    if reply.body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&reply.body).map_err(|_| Refused {
        status: Some(reply.status.as_u16()),
        code: String::new(),
        text: "the reply is not JSON".to_owned(),
        throttled: false,
    })
}

/// The facts of a reply that is no success; `clean` takes out of its text what must not be shown.
pub fn refusal(
    reply: &Reply,
    now: OffsetDateTime,
    clean: impl FnOnce(&str) -> String,
) -> ErrorReply {
    let body = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
    let message = body.get("message").or_else(|| body.get("Message")).and_then(Value::as_str);
    ErrorReply {
        status: reply.status.as_u16(),
        code: crate::send::ses::causes::error_code(reply.header("x-amzn-errortype"), &body),
        message: clean(message.unwrap_or_default()),
        after: policy::wait_asked(
            reply.header("x-amz-retry-after"),
            reply.header("retry-after"),
            |text| (OffsetDateTime::parse(text, &Rfc2822).ok()? - now).try_into().ok(),
        ),
    }
}

/// The time at which the provider answered, by its clock.
fn date(reply: &Reply) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(reply.header("date")?, &Rfc2822).ok()
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
