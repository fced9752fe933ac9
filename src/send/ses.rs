//! Amazon SES: a batch becomes one `SendBulkEmail` call for each kind of mail in it.
//!
//! In scope: the body of a call and what its reply says of each message. Out of scope: dividing a
//! batch (`calls.rs`), signing and sending a call (`client.rs`), what an answer means (`causes.rs`),
//! when to try again, the speed.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendBulkEmail.html>

pub mod bulk;
pub mod causes;
pub mod client;
mod saved;

use crate::edges::aws::credentials;
use crate::edges::aws::endpoint::Endpoint;
use crate::edges::clock::Clock;
use crate::edges::http::{self, Reply};
use crate::edges::log;
use crate::mail::ends::Transport;
use crate::mail::kind::Templates;
use crate::mail::model::{Batch, Cause, Message, Outcome, Quota, Refusal};
use crate::mail::recipient;
use crate::send::calls::{Answer, BUDGET, Budget, Calls, Item, WORST, alike, is_without_template};
use crate::send::locale::Missing;
use crate::send::reply::{Ruling, each, wait_asked};
use crate::send::text::{identifier, reason_about};
use ::http::Method;
use bulk::Through;
use client::{Client, Lost, Refused, quota};
use saved::Saved;
use std::path::PathBuf;

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

/// What the transport needs to know.
pub struct Settings {
    /// Where mails go.
    pub endpoint: Endpoint,
    /// The template of each action.
    pub templates: Templates,
    /// The From address.
    pub source: String,
    /// What of the account mails go through.
    pub through: Through,
    /// The directory for replies that were no plain success.
    pub output: PathBuf,
    /// Time.
    pub clock: Clock,
}

/// The transport.
pub struct Ses {
    settings: Settings,
    client: Client,
    saved: Saved,
    missing: Missing,
    /// It was logged that the quota may not be read.
    quota_refused: bool,
}

impl Ses {
    /// Opens nothing yet. `client` makes all calls.
    pub fn new(mut settings: Settings, client: Client) -> Ses {
        // SES takes ASCII alone.
        settings.source = recipient::from(&settings.source, true);
        Ses {
            client,
            saved: Saved::default(),
            missing: Missing::default(),
            quota_refused: false,
            settings,
        }
    }

    /// Makes one call for messages of one kind; `tried` are the remedies that this batch has used.
    fn call(&mut self, items: &[Item], budget: Budget, tried: &mut Vec<Ruling>) -> Answer {
        let Item { message: first, template: name, .. } = items[0];
        let kind = &first.kind;
        let now = self.settings.clock.now;
        let template = self.missing.choose(first, name, '-', now);
        let from = match &kind.sender {
            Some(sender) => recipient::from(sender, true),
            None => self.settings.source.clone(),
        };
        let messages: Vec<&Message> = items.iter().map(|item| item.message).collect();
        let sent = self.client.credentials().and_then(|credentials| {
            // They may have taken long to come.
            if budget.is_over() {
                return Err(Lost { refusal: Budget::refusal(), partial: None });
            }
            let Settings { endpoint, through, .. } = &self.settings;
            let body = bulk::body(&from, through, &template, &messages);
            self.client.call(&credentials, endpoint, &Method::POST, PATH, body)
        });
        let reply = match sent {
            Ok(reply) => reply,
            Err(Lost { refusal, partial }) => {
                if let Some(partial) = partial {
                    self.saved.keep(&self.settings.output, &partial, kind, self.client.now());
                }
                return Answer::None(refusal);
            }
        };
        let (_, address) = recipient::split(&from);
        let answer = match reply.status.is_success() {
            true => self.outcomes(&reply, &messages, address),
            false => self.refused(&reply, &messages, address, tried),
        };
        // A stand-in may say of a template in a language no more than that something is not there.
        let bare = reply.status == 404 && Refused::read(&reply).code.is_empty();
        if (bare || is_without_template(&answer)) && self.missing.note(template, name, now()) {
            return Answer::Again;
        }
        if !matches!(&answer, Answer::Each(all) if all.iter().all(Outcome::is_accepted)) {
            self.saved.keep(&self.settings.output, &reply, kind, self.client.now());
        }
        answer
    }

    /// What to do about a call that was refused; a remedy is applied here.
    fn refused(
        &mut self,
        reply: &Reply,
        messages: &[&Message],
        from: &str,
        tried: &mut Vec<Ruling>,
    ) -> Answer {
        let refused = Refused::read(reply);
        let ruling = refused.ruling(from, &self.at_fault(messages));
        let why = reason_about(&refused.what(), &refused.text, messages);
        if self.client.mend(ruling, reply, tried) {
            match (ruling, self.client.ahead()) {
                (Ruling::ItsClock, Some(ahead)) => {
                    let ahead = ahead.whole_seconds();
                    log::warn(TAG, format_args!("taking SES's clock, {ahead} s from ours: {why}"));
                }
                _ => log::info(TAG, format_args!("fetching the credentials anew: {why}")),
            }
            return Answer::Again;
        }
        let cause = match ruling {
            Ruling::Each(cause) => cause,
            Ruling::NewCredentials | Ruling::ItsClock => Cause::Credentials,
            Ruling::Halves => {
                return Answer::Halves(Refusal { cause: Cause::Rejected, why, after: None });
            }
        };
        Answer::None(Refusal { cause, why, after: wait_asked(reply, self.client.now()) })
    }

    /// Whose address may be at fault if one is not verified. Of an endpoint's regions one may be in the
    /// sandbox, where no recipient's is.
    fn at_fault<'a>(&self, messages: &[&'a Message]) -> Vec<&'a str> {
        let one = self.settings.through.endpoint_id.is_empty();
        messages.iter().filter(|_| one).map(|message| message.email.as_str()).collect()
    }

    /// What a reply with a success status says of each message.
    fn outcomes(&self, reply: &Reply, messages: &[&Message], from: &str) -> Answer {
        each(bulk::results(&reply.body), messages, |result, message| {
            let status = result.status.as_deref().unwrap_or("no status");
            let error = result.error.as_deref().unwrap_or_default();
            let Some(cause) = causes::entry(status, error, from, &self.at_fault(&[message])) else {
                let id = result.message_id.as_deref().unwrap_or_default();
                return Outcome::Accepted { provider_id: identifier(id) };
            };
            Outcome::refused(cause, reason_about(status, error, messages))
        })
    }
}

impl Transport for Ses {
    fn send(&mut self, batch: &Batch) -> Vec<Outcome> {
        let (templates, now) = (self.settings.templates.clone(), self.settings.clock.now);
        let calls = Calls { tag: TAG, most: ENTRIES, together: alike, now, ascii: Some("SES") };
        let mut tried = Vec::new();
        calls.deliver(batch, &templates, &mut |items, budget| self.call(items, budget, &mut tried))
    }

    fn quota(&mut self) -> Option<Quota> {
        let account = self.client.account().map_err(|refused| refused.to_string());
        let why = match account.as_ref().map(quota) {
            Ok(Some(quota)) => return Some(quota),
            Ok(None) => "the reply has no SendQuota",
            Err(why) => why,
        };
        if !std::mem::replace(&mut self.quota_refused, true) {
            let text = format!(
                "the account's quota cannot be read ({why}); going by MAILROOM_SEND_RATE and \
                 MAILROOM_DAILY_LIMIT alone"
            );
            log::info(TAG, text);
        }
        None
    }
}
