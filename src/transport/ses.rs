//! Amazon SES: a batch becomes one `SendBulkEmail` call for each action in it.
//!
//! In scope: building and signing calls, reading replies, splitting, and keeping the replies that
//! were no plain success. Out of scope: what a reply means (`verdict.rs`), when to try again (the
//! pump and the source), the speed.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendBulkEmail.html>

use super::{Transport, ready, report, scrub};
use crate::aws::credentials::Keeper;
use crate::aws::endpoint::Endpoint;
use crate::aws::sign::sign;
use crate::http::{Http, Reply};
use crate::log;
use crate::model::{Batch, Message, Outcome, Scope};
use crate::template::{Templates, data, empty_data};
use crate::verdict::{self, CallVerdict, Fault, Refusal, Remedies};
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

const TAG: &str = "SES";
/// The most entries in a call.
const ENTRIES: usize = 50;
/// No call of a batch begins later than this after its first one: the lease must outlast it.
const BUDGET: Duration = Duration::from_secs(60);

/// What the transport is told.
pub struct Settings {
    /// Where SES is.
    pub endpoint: Endpoint,
    /// The template of each action.
    pub templates: Templates,
    /// The From address.
    pub source: String,
    /// The configuration set; empty for none.
    pub config_set: String,
    /// The directory for replies that were no plain success.
    pub output: PathBuf,
    /// The wall clock.
    pub clock: Box<dyn Fn() -> SystemTime>,
}

/// The transport.
pub struct Ses {
    settings: Settings,
    http: Http,
    keeper: Keeper,
    /// The provider's clock minus ours, as far as it is known.
    offset: time::Duration,
}

/// Some messages of one action on their way: positions in the batch.
struct Part<'a> {
    action: u16,
    template: &'a str,
    indexes: Vec<usize>,
}

impl Ses {
    /// Opens nothing yet.
    pub fn new(settings: Settings, http: Http, keeper: Keeper) -> Ses {
        Ses { settings, http, keeper, offset: time::Duration::ZERO }
    }
}

impl Transport for Ses {
    fn send(&mut self, batch: &Batch) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; batch.messages.len()];
        let templates = self.settings.templates.clone();
        let mut parts = parts(batch, &templates, &mut outcomes);
        let mut tried = Remedies::default();
        let mut held = None;
        let start = (self.settings.clock)();
        while let Some(part) = parts.pop() {
            let late = (self.settings.clock)().duration_since(start).unwrap_or_default() > BUDGET;
            let verdict = match &held {
                Some(hold) => Err(CallVerdict::Each(Clone::clone(hold))),
                None if late => Err(CallVerdict::Each(verdict::fault(
                    Fault::NothingSent,
                    "the calls before it took too long",
                ))),
                None => self.call(batch, &part, tried),
            };
            match verdict {
                Ok(results) => {
                    for (index, outcome) in part.indexes.iter().zip(results) {
                        put(&mut outcomes, *index, outcome);
                    }
                }
                Err(CallVerdict::Each(outcome)) => {
                    if matches!(outcome, Outcome::Hold { scope: Scope::All, .. }) {
                        held = Some(outcome.clone());
                    }
                    for index in part.indexes {
                        put(&mut outcomes, index, outcome.clone());
                    }
                }
                Err(CallVerdict::Split(why)) => match part.indexes.as_slice() {
                    [one] => put(&mut outcomes, *one, Outcome::Reject { why }),
                    many => {
                        let (left, right) = many.split_at(many.len() / 2);
                        for half in [right, left] {
                            parts.push(Part { indexes: half.to_vec(), ..part });
                        }
                    }
                },
                Err(CallVerdict::RefreshCredentials(why)) => {
                    log::info(TAG, format_args!("fetching the credentials anew: {why}"));
                    self.keeper.forget();
                    tried.refreshed = true;
                    parts.push(part);
                }
                Err(CallVerdict::CorrectClock(why)) => {
                    let ahead = self.offset.whole_seconds();
                    log::warn(TAG, format_args!("taking SES's clock, {ahead} s from ours: {why}"));
                    tried.corrected = true;
                    parts.push(part);
                }
            }
        }
        let outcomes = outcomes.into_iter().map(|outcome| {
            outcome.unwrap_or_else(|| verdict::fault(Fault::NothingSent, "it was left out"))
        });
        let outcomes: Vec<Outcome> = outcomes.collect();
        for (message, outcome) in batch.messages.iter().zip(&outcomes) {
            report(TAG, message, outcome);
        }
        outcomes
    }
}

fn put(outcomes: &mut [Option<Outcome>], index: usize, outcome: Outcome) {
    if let Some(place) = outcomes.get_mut(index) {
        *place = Some(outcome);
    }
}

/// The calls of a batch, the first one last; what needs no call gets its outcome at once.
fn parts<'a>(
    batch: &Batch,
    templates: &'a Templates,
    outcomes: &mut [Option<Outcome>],
) -> Vec<Part<'a>> {
    let mut parts: Vec<Part<'a>> = Vec::new();
    for (index, message) in batch.messages.iter().enumerate() {
        let action = message.action;
        let template = match ready(message, templates) {
            Ok(template) => template,
            Err(outcome) => {
                put(outcomes, index, outcome);
                continue;
            }
        };
        let open = |part: &&mut Part| part.action == action && part.indexes.len() < ENTRIES;
        match parts.iter_mut().find(open) {
            Some(part) => part.indexes.push(index),
            None => parts.push(Part { action, template, indexes: vec![index] }),
        }
    }
    parts.reverse();
    parts
}

impl Ses {
    /// Makes one call. `Ok` has an outcome for each message of the part, in its order.
    fn call(
        &mut self,
        batch: &Batch,
        part: &Part,
        tried: Remedies,
    ) -> Result<Vec<Outcome>, CallVerdict> {
        let messages: Vec<&Message> =
            part.indexes.iter().filter_map(|index| batch.messages.get(*index)).collect();
        let all = |outcome| CallVerdict::Each(outcome);
        let credentials = self.keeper.get().map_err(|why| all(verdict::no_credentials(&why)))?;
        let mut request = http::Request::post(format!(
            "{}/v2/email/outbound-bulk-emails",
            self.settings.endpoint.url
        ))
        .header("content-type", "application/json")
        .body(body(&self.settings, part.template, &messages))
        .map_err(|error| all(verdict::fault(Fault::NothingSent, &error.to_string())))?;
        let now = OffsetDateTime::from((self.settings.clock)());
        let time = now.checked_add(self.offset).unwrap_or(now).into();
        sign(&mut request, &credentials, &self.settings.endpoint.region, "ses", time)
            .map_err(|why| all(verdict::no_credentials(&why)))?;
        match self.http.call(request) {
            Ok(reply) if reply.status.is_success() => {
                let results = results(&reply, &messages, part.action);
                let plain = |outcome: &Outcome| matches!(outcome, Outcome::Accepted { .. });
                if !results.iter().all(plain) {
                    self.keep(&reply, part.action);
                }
                Ok(results)
            }
            Ok(reply) => {
                self.keep(&reply, part.action);
                let verdict = verdict::call(&refusal(&reply, &messages, now), part.action, tried);
                if let (CallVerdict::CorrectClock(_), Some(date)) = (&verdict, date(&reply)) {
                    self.offset = date - now;
                }
                Err(verdict)
            }
            Err(fault) => {
                if let Some(partial) = &fault.partial {
                    self.keep(partial, part.action);
                }
                Err(all(verdict::fault(fault.class, &fault.why)))
            }
        }
    }

    /// Saves a reply for people to read; the request is never saved.
    fn keep(&self, reply: &Reply, action: u16) {
        let now = OffsetDateTime::from((self.settings.clock)());
        if let Err(error) = save(&self.settings.output, now, action, reply) {
            let path = self.settings.output.display();
            log::warn(TAG, format_args!("cannot save SES's reply in {path}: {error}"));
        }
    }
}

/// The body of a call.
fn body(settings: &Settings, template: &str, messages: &[&Message]) -> Vec<u8> {
    let entries: Vec<Value> = messages
        .iter()
        .map(|message| {
            json!({
                "Destination": { "ToAddresses": [message.email] },
                "ReplacementEmailContent": {
                    "ReplacementTemplate": { "ReplacementTemplateData": data(message) }
                }
            })
        })
        .collect();
    let mut body = json!({
        "FromEmailAddress": settings.source,
        "DefaultContent": {
            "Template": { "TemplateName": template, "TemplateData": empty_data() }
        },
        "BulkEmailEntries": entries,
    });
    if !settings.config_set.is_empty() {
        body["ConfigurationSetName"] = Value::from(settings.config_set.as_str());
    }
    body.to_string().into_bytes()
}

/// The outcomes that a reply with a success status tells.
fn results(reply: &Reply, messages: &[&Message], action: u16) -> Vec<Outcome> {
    let unknown = |why: &str| vec![verdict::fault(Fault::Unknown, why); messages.len()];
    let Ok(body) = serde_json::from_slice::<Value>(&reply.body) else {
        return unknown("the reply is not JSON");
    };
    let Some(results) = body.get("BulkEmailEntryResults").and_then(Value::as_array) else {
        return unknown("the reply has no results");
    };
    if results.len() != messages.len() {
        let (got, sent) = (results.len(), messages.len());
        return unknown(&format!("the reply has {got} results for {sent} messages"));
    }
    let text = |entry: &Value, name: &str| {
        entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    results
        .iter()
        .map(|entry| {
            let error = scrub(&text(entry, "Error"), messages.iter().copied());
            verdict::entry(&text(entry, "Status"), &error, &text(entry, "MessageId"), action)
        })
        .collect()
}

/// The facts of a reply with another status.
fn refusal(reply: &Reply, messages: &[&Message], now: OffsetDateTime) -> Refusal {
    let body = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
    let message = body.get("message").or_else(|| body.get("Message")).and_then(Value::as_str);
    Refusal {
        status: reply.status.as_u16(),
        code: verdict::error_code(reply.header("x-amzn-errortype"), &body),
        message: scrub(message.unwrap_or_default(), messages.iter().copied()),
        after: verdict::wait_asked(
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

/// Writes `ses_YYYYmmddHHMMSS.mmm_{action-1}.http`; if the name is taken, a later millisecond's.
fn save(dir: &Path, now: OffsetDateTime, action: u16, reply: &Reply) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let format = time::macros::format_description!(
        "[year][month][day][hour][minute][second].[subsecond digits:3]"
    );
    let mut text = format!("HTTP/1.1 {}\r\n", reply.status).into_bytes();
    for (name, value) in &reply.headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(&reply.body);
    let mut at = now;
    loop {
        let stamp = at.format(format).map_err(std::io::Error::other)?;
        let path = dir.join(format!("ses_{stamp}_{}.http", action.saturating_sub(1)));
        match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(mut file) => return file.write_all(&text),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                at += time::Duration::MILLISECOND;
            }
            Err(error) => return Err(error),
        }
    }
}
