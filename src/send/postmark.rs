//! Postmark: a batch becomes one `batchWithTemplates` call.
//!
//! In scope: the body of a call and what its reply says of each message. Out of scope: dividing a
//! batch (`calls.rs`), what an answer means (`causes.rs`), when to try again, the speed.
//! <https://postmarkapp.com/developer/api/templates-api#send-batch-with-templates>

pub mod causes;

use crate::edges::clock::Clock;
use crate::edges::http::{self, Http, Reply};
use crate::mail::ends::Transport;
use crate::mail::kind::{Templates, data};
use crate::mail::model::{Batch, Cause, Message, Outcome, Refusal};
use crate::mail::recipient;
use crate::send::calls::{Answer, BUDGET, Calls, Item, WORST, alike, headers, is_without_template};
use crate::send::images::{self, Image};
use crate::send::locale::Missing;
use crate::send::reply::{Ruling, each, lost, unreadable, wait_asked};
use crate::send::text::{identifier, reason_about};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io;
use std::path::PathBuf;
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
        let (now, mut parts) = (self.settings.clock.now, Vec::new());
        for item in items {
            let template = self.missing.choose(item.message, item.template, '.', now);
            match self.images(item, &template) {
                Ok(images) => parts.push((template, images)),
                // With each half, until the one at fault is alone.
                Err(why) => {
                    let why = reason_about("", &why, &messages(items));
                    return Answer::Halves(Refusal { cause: Cause::Template, why, after: None });
                }
            }
        }
        let answer = self.ask(items, &parts);
        // Those with a language are all of one template.
        if is_without_template(&answer)
            && let Some(((template, _), item)) = parts.into_iter().zip(items).next()
            && self.missing.note(template, item.template, now())
        {
            return Answer::Again;
        }
        answer
    }

    /// The same; `parts` are the template of each message, and its images.
    fn ask(&self, items: &[Item], parts: &[(String, Vec<Image>)]) -> Answer {
        let request =
            ::http::Request::post(format!("{}/email/batchWithTemplates", self.settings.url))
                .header("accept", "application/json")
                .header("content-type", "application/json")
                .header("x-postmark-server-token", (self.settings.token)().as_str())
                .body(body(&self.settings.source, items, parts));
        // The error could quote the token.
        let Ok(request) = request else {
            let why = "the token cannot stand in a header".to_owned();
            return Answer::None(Refusal { cause: Cause::Credentials, why, after: None });
        };
        match self.http.call(request) {
            Ok(reply) if reply.status.is_success() => outcomes(&reply, items),
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
        let after = wait_asked(reply, (self.settings.clock.wall)().into());
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
        calls.deliver(batch, &templates, &mut |items, _| self.call(items))
    }
}

fn messages<'a>(items: &[Item<'a>]) -> Vec<&'a Message> {
    items.iter().map(|item| item.message).collect()
}

/// The body of a call.
fn body(source: &str, items: &[Item], parts: &[(String, Vec<Image>)]) -> Vec<u8> {
    let message = |(Item { message, .. }, (template, images)): (&Item, &(String, Vec<Image>))| {
        let sender = message.kind.sender.as_ref().map(|sender| recipient::from(sender, false));
        let mut call = json!({
            "From": sender.as_deref().unwrap_or(source),
            "To": recipient::wire(&message.email),
            "TemplateAlias": template,
            "TemplateModel": data(message),
        });
        if let Some(reply_to) = &message.reply_to {
            call["ReplyTo"] = recipient::wire(reply_to).into();
        }
        if !images.is_empty() {
            call["Attachments"] = images.iter().map(attachment).collect();
        }
        if let Some(list) = &message.list {
            call["Headers"] = headers(list).into();
            call["MessageStream"] = BROADCAST.into();
        }
        call
    };
    let messages: Vec<Value> = items.iter().zip(parts).map(message).collect();
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
fn outcomes(reply: &Reply, items: &[Item]) -> Answer {
    let (entries, messages) = (serde_json::from_slice(&reply.body).ok(), messages(items));
    each(entries, &messages, |entry: Entry, message| {
        // A result without a code says nothing of its message.
        let Some(code) = entry.error_code else {
            return Outcome::Refused(unreadable("the reply has a result without ErrorCode"));
        };
        if is_of_another(&entry.to.unwrap_or_default(), &recipient::wire(&message.email)) {
            let why = "the reply names another recipient in this place";
            return Outcome::Refused(unreadable(why));
        }
        let text = entry.message.unwrap_or_default();
        let Some(cause) = causes::message(code, &text) else {
            let id = entry.message_id.unwrap_or_default();
            return Outcome::Accepted { provider_id: identifier(&id) };
        };
        Outcome::refused(cause, reason_about(&format!("error {code}"), &text, &messages))
    })
}

/// Whether a result names somebody else. An address that is not ASCII may come back in another
/// form, so it says nothing.
fn is_of_another(named: &str, ours: &str) -> bool {
    let named = named.trim();
    let plain = named.is_ascii() && ours.is_ascii();
    !named.is_empty() && plain && !named.eq_ignore_ascii_case(ours.trim())
}
