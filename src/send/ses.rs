//! Amazon SES: a batch becomes one `SendBulkEmail` call for each action in it.
//!
//! In scope: the calls and their replies, and keeping the replies that were no plain success. Out
//! of scope: dividing a batch (`parts.rs`), signing and sending a call (`ses/mod.rs`), what a reply
//! means (`verdict/ses.rs`), when to try again (the pump and the source), the speed.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendBulkEmail.html>

pub mod account;
pub mod causes;
pub mod client;
pub mod sender;
pub mod template;

use crate::edges::aws::credentials;
use crate::edges::aws::credentials::Keeper;
use crate::edges::aws::endpoint::Endpoint;
use crate::edges::clock::Clock;
use crate::edges::http;
use crate::edges::http::{Http, Reply};
use crate::edges::log;
use crate::mail::ends::Transport;
use crate::mail::kind::{Templates, empty_data, quote, quote_data};
use crate::mail::model::{Batch, Cause, Message, Outcome};
use crate::mail::pace::Quota;
use crate::mail::policy;
use crate::mail::policy::{CallVerdict, Remedies};
use crate::mail::recipient;
use crate::send::ses::client::{Client, Failure, refusal};
use crate::send::{BUDGET, Budget, Calls, Item, WORST, scrub};
use ::http::Method;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;
use time::OffsetDateTime;

const TAG: &str = "SES";
/// Where bulk mails go.
const PATH: &str = "/v2/email/outbound-bulk-emails";
/// The most entries in a call.
const ENTRIES: usize = 50;
// Credentials may take their time until just before the end of the budget, or past it, when no call
// follows; a call that began before the end may take its own.
const _: () = assert!(
    BUDGET.as_secs() + credentials::LONGEST.as_secs() <= WORST.as_secs()
        && BUDGET.as_secs() + http::WHOLE.as_secs() <= WORST.as_secs()
);

/// About so many bytes does an entry take.
const ENTRY: usize = 320;
/// So many replies are saved: an outage must not fill the disk.
const SAVED: usize = 1000;

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
    /// Time.
    pub clock: Clock,
}

/// The transport.
pub struct Ses {
    settings: Said,
    client: Client,
    now: fn() -> Instant,
    /// It was said that the quota may not be read.
    told: bool,
    /// How many replies were saved.
    saved: usize,
}

/// What is left of the settings when the client has its part.
struct Said {
    templates: Rc<Templates>,
    source: String,
    config_set: String,
    output: PathBuf,
}

impl Ses {
    /// Opens nothing yet.
    pub fn new(settings: Settings, http: Http, keeper: Keeper) -> Ses {
        let Settings { endpoint, templates, source, config_set, output, clock } = settings;
        let client = Client::new(endpoint, http, keeper, Box::new(clock.wall));
        // SES takes ASCII alone.
        let source = recipient::from(&source, true);
        let settings = Said { templates: Rc::new(templates), source, config_set, output };
        Ses { settings, client, now: clock.now, told: false, saved: 0 }
    }
}

impl Transport for Ses {
    fn send(&mut self, batch: &Batch) -> Vec<Outcome> {
        let templates = Rc::clone(&self.settings.templates);
        let together = |one: &Message, other: &Message| one.action == other.action;
        let calls = Calls { tag: TAG, most: ENTRIES, together, now: self.now };
        let mut tried = Remedies::default();
        calls.deliver(batch, &templates, |part, budget| self.call(part, budget, &mut tried))
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

impl Ses {
    /// Makes one call for messages of one action. `Ok` has an outcome for each of them.
    fn call(
        &mut self,
        part: &[Item],
        budget: Budget,
        tried: &mut Remedies,
    ) -> Result<Vec<Outcome>, CallVerdict> {
        let Some(Item { message: Message { action, .. }, template, .. }) = part.first() else {
            return Ok(Vec::new());
        };
        let messages: Vec<&Message> = part.iter().map(|item| item.message).collect();
        let body = body(&self.settings, template, &messages);
        let credentials = self.client.credentials();
        // They may have taken long to come.
        if credentials.is_ok() && budget.is_over() {
            return Err(CallVerdict::Each(Budget::refusal()));
        }
        let sent = credentials
            .and_then(|credentials| self.client.call_as(&credentials, Method::POST, PATH, body));
        match sent {
            Ok(reply) if reply.status.is_success() => {
                let results = results(&reply, &messages);
                if !results.iter().all(Outcome::is_accepted) {
                    self.keep(&reply, *action);
                }
                Ok(results)
            }
            Ok(reply) => {
                self.keep(&reply, *action);
                Err(self.refused(&reply, &messages, tried))
            }
            Err(Failure::NoCredentials(why)) => {
                let why = policy::reason("no credentials", &why);
                Err(CallVerdict::Each(policy::refusal(Cause::Credentials, why, None)))
            }
            Err(Failure::Malformed(why)) => Err(CallVerdict::Each(policy::fault(false, &why))),
            Err(Failure::Lost(fault)) => {
                if let Some(partial) = &fault.partial {
                    self.keep(partial, *action);
                }
                Err(CallVerdict::Each(policy::fault(fault.sent, &fault.why)))
            }
        }
    }

    /// The verdict on a call that was refused; a remedy is applied here.
    fn refused(
        &mut self,
        reply: &Reply,
        messages: &[&Message],
        tried: &mut Remedies,
    ) -> CallVerdict {
        if reply.status == 403 {
            // If the key was refused, there may be another one at the next try.
            self.client.forget_credentials();
        }
        let refusal =
            refusal(reply, self.client.now(), |text| scrub(text, messages.iter().copied()));
        let verdict = causes::call(&refusal, *tried);
        match &verdict {
            CallVerdict::RefreshCredentials(why) => {
                log::info(TAG, format_args!("fetching the credentials anew: {why}"));
                self.client.forget_credentials();
                tried.refreshed = true;
            }
            CallVerdict::CorrectClock(why) => {
                let ahead = self.client.correct_clock(reply);
                log::warn(TAG, format_args!("taking SES's clock, {ahead} s from ours: {why}"));
                tried.corrected = true;
            }
            CallVerdict::Each(_) | CallVerdict::Split(_) => {}
        }
        verdict
    }

    /// Saves a reply for people to read, if it is not one of too many; the request is never saved.
    fn keep(&mut self, reply: &Reply, action: u16) {
        if self.saved >= SAVED {
            return;
        }
        let path = self.settings.output.display();
        if let Err(error) = save(&self.settings.output, self.client.now(), action, reply) {
            log::warn(TAG, format_args!("cannot save SES's reply in {path}: {error}"));
            return;
        }
        self.saved += 1;
        if self.saved == SAVED {
            let what = "replies saved; this process saves no more";
            log::warn(TAG, format_args!("{SAVED} {what} in {path}"));
        }
    }
}

/// The body of a call. It is written as it goes: a tree would be most of the work on a message.
fn body(settings: &Said, template: &str, messages: &[&Message]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + ENTRY * messages.len());
    out.extend_from_slice(br#"{"BulkEmailEntries":["#);
    for (index, message) in messages.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(br#"{"Destination":{"ToAddresses":["#);
        quote(&message.email, &mut out);
        out.extend_from_slice(
            br#"]},"ReplacementEmailContent":{"ReplacementTemplate":{"ReplacementTemplateData":"#,
        );
        quote_data(message, &mut out);
        out.extend_from_slice(b"}}}");
    }
    out.push(b']');
    if !settings.config_set.is_empty() {
        out.extend_from_slice(br#","ConfigurationSetName":"#);
        quote(&settings.config_set, &mut out);
    }
    out.extend_from_slice(br#","DefaultContent":{"Template":{"TemplateData":"#);
    quote(&empty_data(), &mut out);
    out.extend_from_slice(br#","TemplateName":"#);
    quote(template, &mut out);
    out.extend_from_slice(br#"}},"FromEmailAddress":"#);
    quote(&settings.source, &mut out);
    out.push(b'}');
    out
}

/// A reply as it almost always is: without escapes, and with texts alone in its entries.
type Plain<'a> = BTreeMap<&'a str, Vec<BTreeMap<&'a str, Option<&'a str>>>>;

/// Where a reply has its entries.
const RESULTS: &str = "BulkEmailEntryResults";

/// The outcomes that a reply with a success status tells.
fn results(reply: &Reply, messages: &[&Message]) -> Vec<Outcome> {
    // A tree of the whole reply would take more than all else that is done with it.
    if let Ok(body) = serde_json::from_slice::<Plain>(&reply.body)
        && let Some(entries) = body.get(RESULTS)
    {
        let text = |index, name| *entries.get::<usize>(index)?.get(name)?;
        return told(entries.len(), text, messages);
    }
    let Ok(body) = serde_json::from_slice::<Value>(&reply.body) else {
        return unknown("the reply is not JSON", messages);
    };
    let Some(entries) = body.get(RESULTS).and_then(Value::as_array) else {
        return unknown("the reply has no results", messages);
    };
    let text = |index, name| entries.get::<usize>(index)?.get(name)?.as_str();
    told(entries.len(), text, messages)
}

fn unknown(why: &str, messages: &[&Message]) -> Vec<Outcome> {
    vec![Outcome::Refused(policy::fault(true, why)); messages.len()]
}

/// What so many entries tell; `text` gives a member of one of them, if it is there and is text.
fn told<'a>(
    count: usize,
    text: impl Fn(usize, &'static str) -> Option<&'a str>,
    messages: &[&Message],
) -> Vec<Outcome> {
    if count != messages.len() {
        let why = format!("the reply has {count} results for {} messages", messages.len());
        return unknown(&why, messages);
    }
    let text = |index, name| text(index, name).unwrap_or_default();
    let outcome = |index| {
        let error = scrub(text(index, "Error"), messages.iter().copied());
        causes::entry(text(index, "Status"), &error, text(index, "MessageId"))
    };
    (0..count).map(outcome).collect()
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
