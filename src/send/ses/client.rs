//! Calls to the SES v2 API: signed, sent, read; what more than one part of mailroom asks of it.
//!
//! In scope: one call with the account's credentials and the provider's time. Out of scope: what is
//! asked, and what a refusal means (`causes.rs`). It logs nothing.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Operations.html>

use crate::edges::aws::credentials::Keeper;
use crate::edges::aws::endpoint::Endpoint;
use crate::edges::aws::sign::sign;
use crate::edges::http::{self, Http, Reply};
use crate::mail::model::{Cause, Quota, Refusal};
use crate::send::reply::{Ruling, lost};
use crate::send::ses::causes;
use crate::send::text::reason;
use ::http::{Method, Request};
use aws_credential_types::Credentials;
use serde_json::Value;
use std::fmt;
use std::time::SystemTime;
use time::OffsetDateTime;

/// Makes calls, one at a time.
pub struct Client {
    /// Where all calls go but those that send mail.
    endpoint: Endpoint,
    http: Http,
    keeper: Keeper,
    wall: fn() -> SystemTime,
    /// The provider's clock minus ours, as far as it is known.
    offset: time::Duration,
    /// The same, as the last reply with a date had it.
    seen: Option<time::Duration>,
}

/// Why a call has no reply, and what was read of one before it broke off.
pub(crate) struct Lost {
    pub(crate) refusal: Refusal,
    pub(crate) partial: Option<Box<Reply>>,
}

impl Lost {
    fn unsigned(why: &str) -> Lost {
        let why = reason("no credentials", why);
        Lost { refusal: Refusal { cause: Cause::Credentials, why, after: None }, partial: None }
    }
}

impl From<http::Fault> for Lost {
    fn from(fault: http::Fault) -> Lost {
        Lost { refusal: lost(&fault), partial: fault.partial }
    }
}

impl Client {
    /// Opens nothing yet. `wall` is the wall clock.
    pub fn new(endpoint: Endpoint, http: Http, keeper: Keeper, wall: fn() -> SystemTime) -> Client {
        Client { endpoint, http, keeper, wall, offset: time::Duration::ZERO, seen: None }
    }

    /// The time by our clock.
    pub(crate) fn now(&self) -> OffsetDateTime {
        OffsetDateTime::from((self.wall)())
    }

    /// By how much the provider's clock was ahead of ours when it answered last, to the second;
    /// `None` if it has not said.
    pub fn ahead(&self) -> Option<time::Duration> {
        self.seen
    }

    /// The credentials that a call is signed with; they may have to be fetched first.
    pub(crate) fn credentials(&mut self) -> Result<Credentials, Lost> {
        self.keeper.get().map_err(|why| Lost::unsigned(&why.to_string()))
    }

    /// Makes one call to an endpoint; any status is a reply. `path` begins with `/v2/email/`; a body
    /// is JSON. It takes no longer than one HTTP call.
    pub(crate) fn call(
        &mut self,
        credentials: &Credentials,
        endpoint: &Endpoint,
        method: &Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Reply, Lost> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", endpoint.url))
            .header("content-type", "application/json")
            .body(body)
            .map_err(http::Fault::from)?;
        let now = self.now();
        let time = now.checked_add(self.offset).unwrap_or(now).into();
        sign(&mut request, credentials, &endpoint.region, "ses", time)
            .map_err(|why| Lost::unsigned(&why))?;
        let reply = self.http.call(request)?;
        self.seen = reply.date().map(|date| date - self.now()).or(self.seen);
        Ok(reply)
    }

    /// Mends what a refusal asks for before another try: other credentials, or the provider's
    /// clock. Each is `tried` once; gives whether there is to be another try.
    pub(crate) fn mend(&mut self, ruling: Ruling, reply: &Reply, tried: &mut Vec<Ruling>) -> bool {
        // If the key was refused, there may be another one at the next try.
        if reply.status == 403 || ruling == Ruling::NewCredentials {
            self.keeper.forget();
        }
        let remedy = matches!(ruling, Ruling::NewCredentials | Ruling::ItsClock);
        if !remedy || tried.contains(&ruling) {
            return false;
        }
        if ruling == Ruling::ItsClock {
            self.offset = reply.date().map_or(self.offset, |date| date - self.now());
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
        let (mut tried, endpoint) = (Vec::new(), self.endpoint.clone());
        loop {
            let credentials = self.credentials()?;
            let reply = self.call(&credentials, &endpoint, method, path, body.clone())?;
            if reply.status.is_success() {
                // Nothing at all counts as nothing.
                return match reply.body.as_slice() {
                    [] => Ok(Value::Null),
                    body => serde_json::from_slice(body)
                        .map_err(|_| Refused::without_code(&reply, "the reply is not JSON")),
                };
            }
            let refused = Refused::read(&reply);
            if !self.mend(refused.ruling("", &[]), &reply, &mut tried) {
                return Err(refused);
            }
        }
    }

    /// What SES says of this account; needs the permission ses:GetAccount.
    /// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetAccount.html>
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn account(&mut self) -> Result<Value, Refused> {
        self.ask(&Method::GET, "/v2/email/account", None)
    }
}

/// What an account may send, if it says so. `Max24HourSend` is -1 where there is no limit.
pub fn quota(account: &Value) -> Option<Quota> {
    let quota = account.get("SendQuota")?;
    let number = |name: &str| quota.get(name).and_then(Value::as_f64).filter(|n| n.is_finite());
    let daily = number("Max24HourSend").filter(|most| *most >= 0.0);
    let sent = number("SentLast24Hours").unwrap_or(0.0).max(0.0);
    Some(Quota {
        rate: number("MaxSendRate").filter(|rate| *rate > 0.0),
        daily: daily.map(|most| most as u64),
        left: daily.map(|most| (most - sent).max(0.0) as u64),
    })
}

/// An answer that is not the one asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// HTTP status; `None` if there was no reply.
    pub status: Option<u16>,
    /// The provider's code for it; may be empty.
    pub code: String,
    /// The provider's explanation as it came, or why there was no reply. It may quote what was
    /// sent: to be shown as a part of the whole alone.
    pub text: String,
}

impl Refused {
    /// Reads a reply; one that is not SES's has neither code nor text.
    pub(crate) fn read(reply: &Reply) -> Refused {
        let body = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
        let text = body.get("message").or_else(|| body.get("Message")).and_then(Value::as_str);
        let code = causes::error_code(reply.header("x-amzn-errortype"), &body);
        Refused { code, ..Refused::without_code(reply, text.unwrap_or_default()) }
    }

    pub(crate) fn without_code(reply: &Reply, text: &str) -> Refused {
        let status = Some(reply.status.as_u16());
        Refused { status, code: String::new(), text: text.to_owned() }
    }

    /// What to do about it, where it is about mail from and to these addresses.
    pub(crate) fn ruling(&self, from: &str, to: &[&str]) -> Ruling {
        causes::call(self.status.unwrap_or_default(), &self.code, &self.text, from, to)
    }

    /// Its code, or else its status.
    pub(crate) fn what(&self) -> String {
        match (self.code.as_str(), self.status) {
            ("", Some(status)) => format!("HTTP {status}"),
            (code, _) => code.to_owned(),
        }
    }

    /// Whether the call came too soon after another.
    pub fn is_throttled(&self) -> bool {
        self.ruling("", &[]) == Ruling::Each(Cause::Throttled)
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

impl From<Lost> for Refused {
    fn from(lost: Lost) -> Refused {
        Refused { status: None, code: String::new(), text: lost.refusal.why }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&reason(&self.what(), &self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_quota_is_read_and_what_is_missing_or_unlimited_is_no_limit() {
        let read = |of: Value| quota(&json!({ "SendQuota": of }));
        let sandbox = json!({"Max24HourSend": 200.0, "MaxSendRate": 1.0, "SentLast24Hours": 50.0});
        let wanted = Quota { rate: Some(1.0), daily: Some(200), left: Some(150) };
        assert_eq!(read(sandbox), Some(wanted));
        let free = json!({"Max24HourSend": -1, "MaxSendRate": 14, "SentLast24Hours": 9});
        assert_eq!(read(free), Some(Quota { rate: Some(14.0), daily: None, left: None }));
        let over = json!({"Max24HourSend": 10, "SentLast24Hours": 11});
        assert_eq!(read(over), Some(Quota { rate: None, daily: Some(10), left: Some(0) }));
        assert_eq!(quota(&json!({})), None);
    }
}
