//! Amazon SES: a batch becomes one `SendBulkEmail` call for each action in it.
//!
//! In scope: the calls and their replies, splitting, and keeping the replies that were no plain
//! success. Out of scope: signing and sending a call (`ses/mod.rs`), what a reply means
//! (`verdict.rs`), when to try again (the pump and the source), the speed.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendBulkEmail.html>

use super::{Transport, ready, report, scrub};
use crate::aws::credentials::Keeper;
use crate::aws::endpoint::Endpoint;
use crate::http::{Http, Reply};
use crate::log;
use crate::model::{Batch, Message, Outcome, Scope};
use crate::pace::Quota;
use crate::ses::{Client, Failure, account, refusal};
use crate::template::{Templates, data, empty_data};
use crate::verdict::{self, CallVerdict, Fault, Remedies};
use http::Method;
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;

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
    settings: Said,
    client: Client,
    /// It was said that the quota may not be read.
    told: bool,
}

/// What is left of the settings when the client has its part.
struct Said {
    templates: Templates,
    source: String,
    config_set: String,
    output: PathBuf,
}

/// What became of a message, and how long the call took that decided it.
type Answered = Option<(Outcome, Duration)>;

/// Some messages of one action on their way: positions in the batch.
struct Part<'a> {
    action: u16,
    template: &'a str,
    indexes: Vec<usize>,
}

impl Ses {
    /// Opens nothing yet.
    pub fn new(settings: Settings, http: Http, keeper: Keeper) -> Ses {
        let Settings { endpoint, templates, source, config_set, output, clock } = settings;
        let client = Client::new(endpoint, http, keeper, clock);
        Ses { settings: Said { templates, source, config_set, output }, client, told: false }
    }
}

impl Transport for Ses {
    fn send(&mut self, batch: &Batch) -> Vec<Outcome> {
        let mut outcomes: Vec<Answered> = vec![None; batch.messages.len()];
        let templates = self.settings.templates.clone();
        let mut parts = parts(batch, &templates, &mut outcomes);
        let mut tried = Remedies::default();
        let mut held = None;
        let start = self.client.now();
        while let Some(part) = parts.pop() {
            let begun = self.client.now();
            let late = begun - start > BUDGET;
            let verdict = match &held {
                Some(hold) => Err(CallVerdict::Each(Clone::clone(hold))),
                None if late => Err(CallVerdict::Each(verdict::fault(
                    Fault::NothingSent,
                    "the calls before it took too long",
                ))),
                None => self.call(batch, &part, tried),
            };
            // By the wall clock, which may be set back meanwhile.
            let took = Duration::try_from(self.client.now() - begun).unwrap_or_default();
            match verdict {
                Ok(results) => {
                    for (index, outcome) in part.indexes.iter().zip(results) {
                        put(&mut outcomes, *index, outcome, took);
                    }
                }
                Err(CallVerdict::Each(outcome)) => {
                    if matches!(outcome, Outcome::Hold { scope: Scope::All, .. }) {
                        held = Some(outcome.clone());
                    }
                    for index in part.indexes {
                        put(&mut outcomes, index, outcome.clone(), took);
                    }
                }
                Err(CallVerdict::Split(why)) => match part.indexes.as_slice() {
                    [one] => put(&mut outcomes, *one, Outcome::Reject { why }, took),
                    many => {
                        let (left, right) = many.split_at(many.len() / 2);
                        for half in [right, left] {
                            parts.push(Part { indexes: half.to_vec(), ..part });
                        }
                    }
                },
                Err(CallVerdict::RefreshCredentials(why)) => {
                    log::info(TAG, format_args!("fetching the credentials anew: {why}"));
                    self.client.forget_credentials();
                    tried.refreshed = true;
                    parts.push(part);
                }
                Err(CallVerdict::CorrectClock(_)) => {
                    tried.corrected = true;
                    parts.push(part);
                }
            }
        }
        let missing = || (verdict::fault(Fault::NothingSent, "it was left out"), Duration::ZERO);
        let tell = |(message, answered): (&Message, Answered)| {
            let (outcome, took) = answered.unwrap_or_else(missing);
            report(TAG, message, &outcome, took);
            outcome
        };
        batch.messages.iter().zip(outcomes).map(tell).collect()
    }

    fn quota(&mut self) -> Option<Quota> {
        match account::quota(&mut self.client) {
            Ok(quota) => Some(quota),
            Err(refused) => {
                if !std::mem::replace(&mut self.told, true) {
                    log::info(
                        TAG,
                        format_args!(
                            "the account's quota cannot be read ({refused}); going by \
                             MAILROOM_SEND_RATE and MAILROOM_DAILY_LIMIT alone"
                        ),
                    );
                }
                None
            }
        }
    }
}

fn put(outcomes: &mut [Answered], index: usize, outcome: Outcome, took: Duration) {
    if let Some(place) = outcomes.get_mut(index) {
        *place = Some((outcome, took));
    }
}

/// The calls of a batch, the first one last; what needs no call gets its outcome at once.
fn parts<'a>(batch: &Batch, templates: &'a Templates, outcomes: &mut [Answered]) -> Vec<Part<'a>> {
    let mut parts: Vec<Part<'a>> = Vec::new();
    for (index, message) in batch.messages.iter().enumerate() {
        let action = message.action;
        let template = match ready(message, templates) {
            Ok(template) => template,
            Err(outcome) => {
                put(outcomes, index, outcome, Duration::ZERO);
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
        let body = body(&self.settings, part.template, &messages);
        let sent = self.client.call(Method::POST, "/v2/email/outbound-bulk-emails", body);
        match sent {
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
                if reply.status == 403 {
                    // If the key was refused, there may be another one at the next try.
                    self.client.forget_credentials();
                }
                let refusal = refusal(&reply, self.client.now(), |text| {
                    scrub(text, messages.iter().copied())
                });
                let verdict = verdict::ses::call(&refusal, part.action, tried);
                if let CallVerdict::CorrectClock(why) = &verdict {
                    let ahead = self.client.correct_clock(&reply);
                    log::warn(TAG, format_args!("taking SES's clock, {ahead} s from ours: {why}"));
                }
                Err(verdict)
            }
            Err(Failure::NoCredentials(why)) => {
                Err(CallVerdict::Each(verdict::no_credentials(&why)))
            }
            Err(Failure::Malformed(why)) => {
                Err(CallVerdict::Each(verdict::fault(Fault::NothingSent, &why)))
            }
            Err(Failure::Lost(fault)) => {
                if let Some(partial) = &fault.partial {
                    self.keep(partial, part.action);
                }
                Err(CallVerdict::Each(verdict::fault(fault.class, &fault.why)))
            }
        }
    }

    /// Saves a reply for people to read; the request is never saved.
    fn keep(&self, reply: &Reply, action: u16) {
        if let Err(error) = save(&self.settings.output, self.client.now(), action, reply) {
            let path = self.settings.output.display();
            log::warn(TAG, format_args!("cannot save SES's reply in {path}: {error}"));
        }
    }
}

/// The body of a call.
fn body(settings: &Said, template: &str, messages: &[&Message]) -> Vec<u8> {
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
            verdict::ses::entry(&text(entry, "Status"), &error, &text(entry, "MessageId"), action)
        })
        .collect()
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
