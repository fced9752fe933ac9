//! Calls to the SES v2 API: signed, sent, read; what more than one part of mailroom asks of it.
//!
//! In scope: one call with the account's credentials and the provider's time; the calls about
//! templates, the sender and the account. Out of scope: sending mail (`ses.rs`), what a
//! refusal means (`causes.rs`). It logs nothing.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Operations.html>

use crate::edges::aws::credentials::Keeper;
use crate::edges::aws::endpoint::Endpoint;
use crate::edges::aws::sign::sign;
use crate::edges::http;
use crate::edges::http::{Http, Reply};
use crate::mail::model::Cause;
use crate::send::reply::Ruling;
use crate::send::ses::causes;
use crate::send::text::clean;
use ::http::{Method, Request};
use aws_credential_types::Credentials;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde_json::Value;
use std::fmt;
use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

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
    /// No whole reply came.
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

    /// The credentials that a call is signed with; they may have to be fetched first.
    ///
    /// # Errors
    /// There are none.
    pub fn credentials(&mut self) -> Result<Credentials, Failure> {
        self.keeper.get().map_err(|why| Failure::NoCredentials(why.to_string()))
    }

    /// Makes one call; any status is a reply. `path` begins with `/v2/email/`; a body is JSON. It
    /// takes no longer than one HTTP call.
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
        let malformed = |error: ::http::Error| {
            Failure::Lost(http::Fault { sent: false, why: error.to_string(), partial: None })
        };
        let mut request = request.body(body).map_err(malformed)?;
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

    /// Mends what a refusal asks for before another try: other credentials, or the provider's
    /// clock. Each is `tried` once; gives whether there is to be another try.
    pub(crate) fn mend(&mut self, ruling: Ruling, reply: &Reply, tried: &mut Vec<Ruling>) -> bool {
        // If the key was refused, there may be another one at the next try.
        if reply.status == 403 {
            self.keeper.forget();
        }
        match ruling {
            Ruling::Each(_) | Ruling::Halves => return false,
            _ if tried.contains(&ruling) => return false,
            Ruling::NewCredentials => self.keeper.forget(),
            Ruling::ItsClock => {
                self.offset = date(reply).map_or(self.offset, |date| date - self.now());
            }
        }
        tried.push(ruling);
        true
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
        let mut tried = Vec::new();
        loop {
            let credentials = self.credentials()?;
            let reply = self.call_as(&credentials, method.clone(), path, body.clone())?;
            if reply.status.is_success() {
                return read(&reply);
            }
            let error = ErrorReply::read(&reply);
            let ruling = causes::call(error.status, &error.code, &error.text, "", &[]);
            if !self.mend(ruling, &reply, &mut tried) {
                let throttled = ruling == Ruling::Each(Cause::Throttled);
                let (status, text) = (Some(error.status), clean(&error.text));
                return Err(Refused { status, code: error.code, text, throttled });
            }
        }
    }
}

/// What stands in a reply that is no success.
pub(crate) struct ErrorReply {
    /// HTTP status.
    pub(crate) status: u16,
    /// The error code; empty if there is none.
    pub(crate) code: String,
    /// The provider's explanation as it came: it may quote what it was sent.
    pub(crate) text: String,
}

impl ErrorReply {
    /// Reads a reply; one that is not SES's has neither code nor text.
    pub(crate) fn read(reply: &Reply) -> ErrorReply {
        let body = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
        let text = body.get("message").or_else(|| body.get("Message")).and_then(Value::as_str);
        ErrorReply {
            status: reply.status.as_u16(),
            code: causes::error_code(reply.header("x-amzn-errortype"), &body),
            text: text.unwrap_or_default().to_owned(),
        }
    }

    /// Its code, or else its status.
    pub(crate) fn what(&self) -> String {
        match self.code.as_str() {
            "" => format!("HTTP {}", self.status),
            code => code.to_owned(),
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
