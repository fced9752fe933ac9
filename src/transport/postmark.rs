//! Postmark: a batch becomes one `batchWithTemplates` call.
//!
//! In scope: building calls, reading replies, splitting. Out of scope: what a reply means
//! (`verdict/postmark.rs`), when to try again, the speed.
//! <https://postmarkapp.com/developer/api/templates-api#send-batch-with-templates>

mod trial;

use super::{Transport, ready, report, scrub};
use crate::clock::Clock;
use crate::http::{Http, Reply};
use crate::model::{Batch, Message, Outcome, Scope};
use crate::template::Templates;
use crate::verdict::{self, CallVerdict, Fault, Refusal};
use serde_json::{Value, json};
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
pub use trial::{Answer, Trial};
use zeroize::Zeroizing;

const TAG: &str = "POSTMARK";
/// The most messages in a call.
const MESSAGES: usize = 500;
/// No call of a batch begins later than this after its first one: the lease must outlast it.
const BUDGET: Duration = Duration::from_secs(60);

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

/// A message on its way: its place in the batch, itself, its template.
type Item<'a> = (usize, &'a Message, &'a str);

impl Postmark {
    /// Opens nothing yet.
    pub fn new(settings: Settings, http: Http) -> Postmark {
        Postmark { settings, http }
    }

    /// Makes one call. `Ok` has an outcome for each item, in its order; an error comes with
    /// Postmark's code and text.
    fn call(&self, items: &[Item]) -> Result<Vec<Outcome>, (CallVerdict, Refusal)> {
        let all = |outcome| (CallVerdict::Each(outcome), Refusal::default());
        let request =
            http::Request::post(format!("{}/email/batchWithTemplates", self.settings.url))
                .header("accept", "application/json")
                .header("content-type", "application/json")
                .header("x-postmark-server-token", self.settings.token.as_str())
                .body(body(&self.settings.source, items))
                // The error could quote the token.
                .map_err(|_| all(verdict::no_credentials("the token cannot stand in a header")))?;
        match self.http.call(request) {
            Ok(reply) if reply.status.is_success() => Ok(results(&reply, items)),
            Ok(reply) => {
                let now = OffsetDateTime::from((self.settings.clock.wall)());
                let refusal = refusal(&reply, items, now);
                Err((verdict::postmark::call(&refusal), refusal))
            }
            Err(fault) => Err(all(verdict::fault(fault.class, &fault.why))),
        }
    }

    /// Calls until every item has its outcome; says each to `put`.
    fn deliver(&self, items: &[Item], put: &mut dyn FnMut(usize, Outcome, Duration)) {
        let now = self.settings.clock.now;
        let start = now();
        let mut held: Option<Outcome> = None;
        let mut parts: Vec<&[Item]> = items.chunks(MESSAGES).rev().collect();
        while let Some(part) = parts.pop() {
            let begun = now();
            let late = begun.saturating_duration_since(start) > BUDGET;
            let result = match &held {
                Some(hold) => Err((CallVerdict::Each(hold.clone()), Refusal::default())),
                None if late => {
                    let why = "the calls before it took too long";
                    let outcome = verdict::fault(Fault::NothingSent, why);
                    Err((CallVerdict::Each(outcome), Refusal::default()))
                }
                None => self.call(part),
            };
            let took = now().saturating_duration_since(begun);
            match (result, part) {
                (Ok(outcomes), _) => {
                    part.iter()
                        .zip(outcomes)
                        .for_each(|((index, ..), outcome)| put(*index, outcome, took));
                }
                (Err((CallVerdict::Split(_), refusal)), [(index, message, _)]) => {
                    put(*index, alone(&refusal, message.action), took);
                }
                (Err((CallVerdict::Split(_), _)), many) => {
                    let (left, right) = many.split_at(many.len() / 2);
                    parts.extend([right, left]);
                }
                (Err((verdict, refusal)), _) => {
                    let outcome = match verdict {
                        CallVerdict::Each(outcome) => outcome,
                        // Remedies that only signatures have.
                        _ => verdict::fault(Fault::Unknown, &refusal.message),
                    };
                    if let Outcome::Hold { scope: Scope::All, .. } = &outcome {
                        held = Some(outcome.clone());
                    }
                    part.iter().for_each(|(index, ..)| put(*index, outcome.clone(), took));
                }
            }
        }
    }
}

impl Transport for Postmark {
    fn send(&mut self, batch: &Batch) -> Vec<Outcome> {
        let missing = || verdict::fault(Fault::NothingSent, "it was left out");
        let mut outcomes: Vec<(Outcome, Duration)> =
            batch.messages.iter().map(|_| (missing(), Duration::ZERO)).collect();
        let mut put = |index: usize, outcome, took| {
            if let Some(place) = outcomes.get_mut(index) {
                *place = (outcome, took);
            }
        };
        let mut items: Vec<Item> = Vec::new();
        for (index, message) in batch.messages.iter().enumerate() {
            match ready(message, &self.settings.templates) {
                Ok(template) => items.push((index, message, template)),
                Err(outcome) => put(index, outcome, Duration::ZERO),
            }
        }
        self.deliver(&items, &mut put);
        for (message, (outcome, took)) in batch.messages.iter().zip(&outcomes) {
            report(TAG, message, outcome, *took);
        }
        outcomes.into_iter().map(|(outcome, _)| outcome).collect()
    }
}

/// The verdict on a message that was refused alone, by the refusal of its call.
fn alone(refusal: &Refusal, action: u16) -> Outcome {
    match refusal.code.parse() {
        Ok(code) if code != 0 => verdict::postmark::message(code, &refusal.message, "", action),
        _ => Outcome::Reject { why: format!("HTTP {}", refusal.status) },
    }
}

/// The body of a call.
fn body(source: &str, items: &[Item]) -> Vec<u8> {
    let messages: Vec<Value> = items
        .iter()
        .map(|(_, message, template)| {
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

/// The outcomes that a reply with a success status tells: matched by order.
fn results(reply: &Reply, items: &[Item]) -> Vec<Outcome> {
    let unknown = |why: &str| vec![verdict::fault(Fault::Unknown, why); items.len()];
    let Ok(body) = serde_json::from_slice::<Value>(&reply.body) else {
        return unknown("the reply is not JSON");
    };
    let Some(results) = body.as_array() else {
        return unknown("the reply has no results");
    };
    if results.len() != items.len() {
        let (got, sent) = (results.len(), items.len());
        return unknown(&format!("the reply has {got} results for {sent} messages"));
    }
    let text = |entry: &Value, name: &str| {
        entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let outcome = |(entry, (_, message, _)): (&Value, &Item)| {
        // A result without a code says nothing of its message.
        let Some(code) = entry.get("ErrorCode").and_then(Value::as_u64) else {
            return verdict::fault(Fault::Unknown, "the reply has a result without ErrorCode");
        };
        let said = scrub(&text(entry, "Message"), items.iter().map(|(_, message, _)| *message));
        verdict::postmark::message(code, &said, &text(entry, "MessageID"), message.action)
    };
    results.iter().zip(items).map(outcome).collect()
}

/// The facts of a reply with another status.
fn refusal(reply: &Reply, items: &[Item], now: OffsetDateTime) -> Refusal {
    let body = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
    let text = body.get("Message").and_then(Value::as_str).unwrap_or_default();
    let code = body.get("ErrorCode").and_then(Value::as_u64);
    Refusal {
        status: reply.status.as_u16(),
        code: code.map(|code| code.to_string()).unwrap_or_default(),
        message: scrub(text, items.iter().map(|(_, message, _)| *message)),
        after: verdict::wait_asked(None, reply.header("retry-after"), |text| {
            (OffsetDateTime::parse(text, &Rfc2822).ok()? - now).try_into().ok()
        }),
    }
}
