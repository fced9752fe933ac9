//! Postmark: a batch becomes one `batchWithTemplates` call.
//!
//! In scope: the body of a call and what its reply says of each message. Out of scope: dividing a
//! batch (`calls.rs`), what an answer means (`causes.rs`), when to try again, the speed.
//! <https://postmarkapp.com/developer/api/templates-api#send-batch-with-templates>

pub mod causes;

use crate::edges::clock::Clock;
use crate::edges::http;
use crate::edges::http::{Http, Reply};
use crate::mail::ends::Transport;
use crate::mail::kind::{Templates, data};
use crate::mail::model::{Batch, Cause, Message, Outcome, Refusal};
use crate::mail::recipient;
use crate::send::calls::{Answer, BUDGET, Calls, Item, WORST, alike, is_without_template};
use crate::send::images::{self, Image};
use crate::send::locale::Missing;
use crate::send::reply::{Ruling, lost, unreadable, wait_asked};
use crate::send::text::{identifier, reason_about};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io;
use std::path::PathBuf;
use time::OffsetDateTime;
use zeroize::Zeroizing;

const TAG: &str = "POSTMARK";
/// The stream of what is sent to many, as each server has it at first.
/// <https://postmarkapp.com/developer/user-guide/send-email-with-api#message-stream>
const BROADCAST: &str = "broadcast";
/// The most messages in a call.
const MESSAGES: usize = 500;
const _: () = assert!(BUDGET.as_secs() + http::WHOLE.as_secs() <= WORST.as_secs());

/// What the transport needs to know.
pub struct Settings {
    /// Where Postmark is, without a slash at the end.
    pub url: String,
    /// The server's API token, as it is at the time of a call.
    pub token: Box<dyn Fn() -> Zeroizing<String>>,
    /// The alias of each action's template.
    pub templates: Templates,
    /// Where the files are that the templates were pushed from, with their images.
    pub directory: PathBuf,
    /// The From address.
    pub source: String,
    /// Time.
    pub clock: Clock,
}

/// The transport.
pub struct Postmark {
    settings: Settings,
    http: Http,
    missing: Missing,
}

impl Postmark {
    /// Opens nothing yet.
    pub fn new(mut settings: Settings, http: Http) -> Postmark {
        settings.source = recipient::from(&settings.source, false);
        Postmark { settings, http, missing: Missing::default() }
    }

    /// Makes one call.
    fn call(&mut self, items: &[Item]) -> Answer {
        let Some(first) = items.first() else { return Answer::Each(Vec::new()) };
        let localized = first.message.locale.is_some();
        let template =
            self.missing.choose(first.message, first.template, '.', self.settings.clock.now);
        let images =
            |item: &Item| self.images(item, if localized { &template } else { item.template });
        let images = match items.iter().map(images).collect::<Result<Vec<_>, _>>() {
            Ok(images) => images,
            // With each half, until the one at fault is alone.
            Err(why) => {
                let why = reason_about("template", &why, &messages(items));
                return Answer::Halves(Refusal { cause: Cause::Template, why, after: None });
            }
        };
        let answer = self.ask(items, localized.then_some(template.as_str()), &images);
        if localized
            && is_without_template(&answer)
            && self.missing.note(template, first.template, (self.settings.clock.now)())
        {
            return Answer::Again;
        }
        answer
    }

    /// Makes one call; `localized` is the template of all, if it is not the one of each.
    fn ask(&self, items: &[Item], localized: Option<&str>, images: &[Vec<Image>]) -> Answer {
        let request =
            ::http::Request::post(format!("{}/email/batchWithTemplates", self.settings.url))
                .header("accept", "application/json")
                .header("content-type", "application/json")
                .header("x-postmark-server-token", (self.settings.token)().as_str())
                .body(body(&self.settings.source, localized, items, images));
        // The error could quote the token.
        let Ok(request) = request else {
            let why = "the token cannot stand in a header".to_owned();
            return Answer::None(Refusal { cause: Cause::Credentials, why, after: None });
        };
        match self.http.call(request) {
            Ok(reply) if reply.status.is_success() => Answer::Each(outcomes(&reply, items)),
            Ok(reply) => self.refused(&reply, items),
            Err(fault) => Answer::None(lost(&fault)),
        }
    }

    /// The images of a mail, as far as its template was pushed from files that are here.
    fn images(&self, item: &Item, template: &str) -> Result<Vec<Image>, String> {
        let directory = &self.settings.directory;
        match std::fs::read_to_string(directory.join(format!("{template}.html"))) {
            Ok(html) => {
                let loaded = images::load(&html, directory, &data(item.message));
                loaded.map_err(|wrong| format!("{template}.html: {}", wrong.why))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(format!("{template}.html: {error}")),
        }
    }

    /// What to do about a call that was refused.
    fn refused(&self, reply: &Reply, items: &[Item]) -> Answer {
        let error: Entry = serde_json::from_slice(&reply.body).unwrap_or_default();
        let (status, code) = (reply.status.as_u16(), error.error_code.unwrap_or(0));
        let text = error.message.unwrap_or_default();
        let what = match code {
            0 => format!("HTTP {status}"),
            code => format!("error {code}"),
        };
        let why = reason_about(&what, &text, &messages(items));
        let now = OffsetDateTime::from((self.settings.clock.wall)());
        let after = wait_asked(reply, now);
        match causes::call(status, code, &text) {
            Ruling::Each(cause) => Answer::None(Refusal { cause, why, after }),
            _ => {
                let cause = causes::message(code, &text).unwrap_or(Cause::Rejected);
                Answer::Halves(Refusal { cause, why, after: None })
            }
        }
    }
}

impl Transport for Postmark {
    fn send(&mut self, batch: &Batch) -> Vec<Outcome> {
        let now = self.settings.clock.now;
        let together = |one: &Message, other: &Message| {
            one.locale.is_none() && other.locale.is_none() || alike(one, other)
        };
        let calls = Calls { tag: TAG, most: MESSAGES, together, now, ascii: Some("Postmark") };
        let templates = self.settings.templates.clone();
        calls.deliver(batch, &templates, |items, _| self.call(items))
    }
}

fn messages<'a>(items: &[Item<'a>]) -> Vec<&'a Message> {
    items.iter().map(|item| item.message).collect()
}

/// The body of a call.
fn body(source: &str, localized: Option<&str>, items: &[Item], images: &[Vec<Image>]) -> Vec<u8> {
    let message = |(Item { message, template, .. }, images): (&Item, &Vec<Image>)| {
        let sender = message.kind.sender.as_ref().map(|sender| recipient::from(sender, false));
        let mut call = json!({
            "From": sender.as_deref().unwrap_or(source),
            "To": recipient::wire(&message.email),
            "TemplateAlias": localized.unwrap_or(template),
            "TemplateModel": data(message),
        });
        if let Some(reply_to) = &message.reply_to {
            call["ReplyTo"] = recipient::wire(reply_to).into();
        }
        if !images.is_empty() {
            call["Attachments"] = images.iter().map(attachment).collect();
        }
        if let Some(list) = &message.list {
            let headers =
                list.headers().map(|(name, value)| json!({ "Name": name, "Value": value }));
            call["Headers"] = headers.to_vec().into();
            call["MessageStream"] = BROADCAST.into();
        }
        call
    };
    let messages: Vec<Value> = items.iter().zip(images).map(message).collect();
    json!({ "Messages": messages }).to_string().into_bytes()
}

/// An image that the HTML shows.
/// <https://postmarkapp.com/developer/user-guide/send-email-with-api#attachments>
fn attachment(image: &Image) -> Value {
    json!({
        "Name": image.name,
        "Content": STANDARD.encode(&image.bytes),
        "ContentType": image.media,
        "ContentID": format!("cid:{}", image.name),
    })
}

/// What Postmark says of one message, or of a whole call.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Entry {
    error_code: Option<u64>,
    message: Option<String>,
    #[serde(rename = "MessageID")]
    message_id: Option<String>,
    to: Option<String>,
}

/// What a reply with a success status says of each message: matched by order, and held against the
/// addresses where it names them.
fn outcomes(reply: &Reply, items: &[Item]) -> Vec<Outcome> {
    let unreadable = |why: &str| Outcome::Refused(unreadable(why));
    let Ok(entries) = serde_json::from_slice::<Vec<Entry>>(&reply.body) else {
        return vec![unreadable("the reply has no results"); items.len()];
    };
    if entries.len() != items.len() {
        let (got, sent) = (entries.len(), items.len());
        let why = format!("results in the reply: {got}, messages in the call: {sent}");
        return vec![unreadable(&why); items.len()];
    }
    let messages = messages(items);
    let outcome = |(entry, message): (Entry, &&Message)| {
        // A result without a code says nothing of its message.
        let Some(code) = entry.error_code else {
            return unreadable("the reply has a result without ErrorCode");
        };
        if is_of_another(&entry.to.unwrap_or_default(), &recipient::wire(&message.email)) {
            return unreadable("the reply names another recipient in this place");
        }
        let text = entry.message.unwrap_or_default();
        match causes::message(code, &text) {
            None => {
                let id = entry.message_id.unwrap_or_default();
                Outcome::Accepted { provider_id: identifier(&id) }
            }
            Some(cause) => {
                let why = reason_about(&format!("error {code}"), &text, &messages);
                Outcome::refused(cause, why)
            }
        }
    };
    entries.into_iter().zip(&messages).map(outcome).collect()
}

/// Whether a result names somebody else. An address that is not ASCII may come back in another
/// form, so it says nothing.
fn is_of_another(named: &str, ours: &str) -> bool {
    let named = named.trim();
    let plain = named.is_ascii() && ours.is_ascii();
    !named.is_empty() && plain && !named.eq_ignore_ascii_case(ours.trim())
}
