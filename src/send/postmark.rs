//! Postmark: a batch becomes one `batchWithTemplates` call.
//!
//! In scope: building calls, reading replies. Out of scope: dividing a batch (`parts.rs`), what a
//! reply means (`verdict/postmark.rs`), when to try again, the speed.
//! <https://postmarkapp.com/developer/api/templates-api#send-batch-with-templates>

pub mod causes;
mod trial;

use crate::edges::clock::Clock;
use crate::edges::http;
use crate::edges::http::{Http, Reply};
use crate::mail::ends::Transport;
use crate::mail::kind::Templates;
use crate::mail::model::{Batch, Cause, Outcome};
use crate::mail::policy;
use crate::mail::policy::{CallVerdict, ErrorReply};
use crate::mail::recipient;
use crate::send::{BUDGET, Calls, Item, WORST, scrub};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
pub use trial::{Answer, Trial};
use zeroize::Zeroizing;

const TAG: &str = "POSTMARK";
/// The most messages in a call.
const MESSAGES: usize = 500;
const _: () = assert!(BUDGET.as_secs() + http::WHOLE.as_secs() <= WORST.as_secs());

/// What the transport is told.
pub struct Settings {
    /// Where Postmark is, without a slash at the end.
    pub url: String,
    /// The server's API token.
    pub token: Zeroizing<String>,
    /// The alias of each action's template.
    pub templates: Templates,
    /// The From address.
    pub source: String,
    /// Time.
    pub clock: Clock,
}

/// The transport.
pub struct Postmark {
    settings: Settings,
    http: Http,
}

impl Postmark {
    /// Opens nothing yet.
    pub fn new(mut settings: Settings, http: Http) -> Postmark {
        settings.source = recipient::from(&settings.source, false);
        Postmark { settings, http }
    }

    /// Makes one call. `Ok` has an outcome for each item, in its order.
    fn call(&self, items: &[Item]) -> Result<Vec<Outcome>, CallVerdict> {
        let request =
            ::http::Request::post(format!("{}/email/batchWithTemplates", self.settings.url))
                .header("accept", "application/json")
                .header("content-type", "application/json")
                .header("x-postmark-server-token", self.settings.token.as_str())
                .body(body(&self.settings.source, items))
                .map_err(|_| {
                    // The error could quote the token.
                    let why = "the token cannot stand in a header".to_owned();
                    CallVerdict::Each(policy::refusal(Cause::Credentials, why, None))
                })?;
        let reply = match self.http.call(request) {
            Ok(reply) if reply.status.is_success() => return Ok(results(&reply, items)),
            Ok(reply) => reply,
            Err(fault) => return Err(CallVerdict::Each(policy::fault(fault.sent, &fault.why))),
        };
        let now = OffsetDateTime::from((self.settings.clock.wall)());
        let refusal = refusal(&reply, items, now);
        Err(match (causes::call(&refusal), items) {
            (CallVerdict::Split(_), [_]) => return Ok(vec![alone(&refusal)]),
            (verdict, _) => verdict,
        })
    }
}

impl Transport for Postmark {
    fn send(&mut self, batch: &Batch) -> Vec<Outcome> {
        let now = self.settings.clock.now;
        let calls = Calls { tag: TAG, most: MESSAGES, together: |_, _| true, now };
        calls.deliver(batch, &self.settings.templates, |items, _| self.call(items))
    }
}

/// The verdict on a message that was refused alone, by the refusal of its call.
fn alone(refusal: &ErrorReply) -> Outcome {
    match refusal.code.parse() {
        Ok(code) if code != 0 => causes::message(code, &refusal.message, ""),
        _ => Outcome::refused(Cause::Rejected, format!("HTTP {}", refusal.status)),
    }
}

/// The body of a call.
fn body(source: &str, items: &[Item]) -> Vec<u8> {
    let messages: Vec<Value> = items
        .iter()
        .map(|Item { message, template, .. }| {
            json!({
                "From": source,
                "To": message.email,
                "TemplateAlias": template,
                "TemplateModel": {
                    "login": message.login, "secret": message.token, "code": message.code
                },
            })
        })
        .collect();
    json!({ "Messages": messages }).to_string().into_bytes()
}

/// The outcomes that a reply with a success status tells: matched by order, and held against the
/// addresses where it names them.
fn results(reply: &Reply, items: &[Item]) -> Vec<Outcome> {
    let lost = |why: &str| Outcome::Refused(policy::fault(true, why));
    let unknown = |why: &str| vec![lost(why); items.len()];
    let Ok(body) = serde_json::from_slice::<Value>(&reply.body) else {
        return unknown("the reply is not JSON");
    };
    let Some(results) = body.as_array() else {
        return unknown("the reply has no results");
    };
    if results.len() != items.len() {
        let (got, sent) = (results.len(), items.len());
        return unknown(&format!("results in the reply: {got}, messages in the call: {sent}"));
    }
    let text = |entry: &Value, name: &str| {
        entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let outcome = |(entry, Item { message, .. }): (&Value, &Item)| {
        // A result without a code says nothing of its message.
        let Some(code) = entry.get("ErrorCode").and_then(Value::as_u64) else {
            return lost("the reply has a result without ErrorCode");
        };
        if is_of_another(&text(entry, "To"), &message.email) {
            return lost("the reply names another recipient in this place");
        }
        let said = scrub(&text(entry, "Message"), items.iter().map(|item| item.message));
        causes::message(code, &said, &text(entry, "MessageID"))
    };
    results.iter().zip(items).map(outcome).collect()
}

/// Whether a result names somebody else. An address that is not ASCII may come back in another
/// form, so it says nothing.
fn is_of_another(named: &str, ours: &str) -> bool {
    let named = named.trim();
    let plain = named.is_ascii() && ours.is_ascii();
    !named.is_empty() && plain && !named.eq_ignore_ascii_case(ours.trim())
}

/// The facts of a reply with another status.
fn refusal(reply: &Reply, items: &[Item], now: OffsetDateTime) -> ErrorReply {
    let body = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
    let text = body.get("Message").and_then(Value::as_str).unwrap_or_default();
    let code = body.get("ErrorCode").and_then(Value::as_u64);
    ErrorReply {
        status: reply.status.as_u16(),
        code: code.map(|code| code.to_string()).unwrap_or_default(),
        message: scrub(text, items.iter().map(|item| item.message)),
        after: policy::wait_asked(None, reply.header("retry-after"), |text| {
            (OffsetDateTime::parse(text, &Rfc2822).ok()? - now).try_into().ok()
        }),
    }
}
