//! One mail: rendered from its template, and put into the form of RFC 5322.
//!
//! Out of scope: sending it. Everything that a template or an account can say ends up in the text
//! of a header or a body, never in their structure.

use crate::mail::kind::{data, example};
use crate::mail::model::Message;
use crate::mail::recipient::{split, unquote};
use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use ring::digest;
use serde_json::{Map, Value};
use std::path::Path;
use std::time::SystemTime;

/// The files of one template, as they are.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    name: String,
    subject: String,
    text: String,
    html: String,
}

impl Template {
    /// Reads `NAME.subject`, `NAME.txt` and `NAME.html`.
    ///
    /// # Errors
    /// Which file, and what is wrong with it.
    pub(crate) fn load(dir: &Path, name: &str) -> Result<Template, String> {
        let read = |ending: &str| {
            let path = dir.join(format!("{name}.{ending}"));
            std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let (subject, text, html) = (read("subject")?, read("txt")?, read("html")?);
        Ok(Template { name: name.to_owned(), subject, text, html })
    }

    /// Fills the template; a variable that the data has not is found here.
    pub(crate) fn render(&self, data: &Map<String, Value>) -> Result<Rendered, String> {
        let data = minijinja::Value::from(Serde(data));
        let mut engine = Environment::new();
        engine.set_undefined_behavior(UndefinedBehavior::Strict);
        let one = |ending: &str, source: &str| {
            let name = format!("{}.{ending}", self.name);
            // The ending decides: what goes into .html is escaped, elsewhere it stands as it is.
            engine.render_named_str(&name, source, &data).map_err(|error| match error.line() {
                Some(line) => format!("{name}, line {line}: {}", error.kind()),
                None => format!("{name}: {}", error.kind()),
            })
        };
        let subject = one("subject", &self.subject)?;
        Ok(Rendered {
            // A header is one line, whatever a login holds.
            subject: subject.split(char::is_control).collect::<Vec<_>>().join(" ").trim().into(),
            text: lines(&one("txt", &self.text)?),
            html: lines(&one("html", &self.html)?),
        })
    }
}

/// Reads a template's files in `dir` and renders them once.
///
/// # Errors
/// Which file, and what is wrong with it.
pub(crate) fn check(dir: &Path, name: &str) -> Result<(), String> {
    Template::load(dir, name)?.render(&data(&example(1))).map(drop)
}

pub(crate) struct Rendered {
    subject: String,
    text: String,
    html: String,
}

/// Who mails come from.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    mailbox: Mailbox,
}

impl Sender {
    /// Reads `local@domain` or `Name <local@domain>`; the address was checked.
    pub(crate) fn new(text: &str) -> Sender {
        let (name, at) = split(text);
        let (name, _) = unquote(name);
        Sender { mailbox: Mailbox::new((!name.is_empty()).then_some(name), address(at)) }
    }

    /// The address alone.
    pub(crate) fn address(&self) -> Address {
        self.mailbox.email.clone()
    }
}

/// The Message-ID of a message, without its brackets. The same message has the same one each time
/// it is tried: where a duplicate arrives, its reader's server can know it.
pub(crate) fn id(message: &Message, from: &Sender) -> String {
    let mut text = digest::Context::new(&digest::SHA256);
    let kind = &message.kind;
    let kind = kind.number.map_or_else(|| kind.name.to_string(), |number| number.to_string());
    let delivery = message.ticket.as_ref().map(|ticket| ticket.delivery.to_string());
    let own = delivery.or_else(|| message.data.clone()).filter(|_| message.token.is_empty());
    let parts = [&kind, &message.email, &message.token].into_iter().chain(own.as_ref());
    for part in parts.filter(|part| !part.is_empty()) {
        text.update(part.as_bytes());
        text.update(&[0]);
    }
    let hash = hex::encode(&text.finish().as_ref()[..16]);
    format!("{hash}@{}", from.mailbox.email.domain())
}

/// The mail, with CRLF line ends and without the dots that SMTP adds. It says that no person wrote
/// it, so that no reader's holiday notice is sent back:
/// <https://www.rfc-editor.org/rfc/rfc3834#section-5>
///
/// # Errors
/// What is wrong with the template.
pub(crate) fn make(
    template: &Template,
    message: &Message,
    from: &Sender,
    id: &str,
    now: SystemTime,
) -> Result<Vec<u8>, String> {
    let rendered = template.render(&data(message))?;
    let body = MultiPart::alternative_plain_html(rendered.text, rendered.html);
    let mail = lettre::Message::builder();
    let mail = match &message.reply_to {
        Some(reply_to) => mail.reply_to(Mailbox::new(None, address(reply_to))),
        None => mail,
    };
    mail.from(from.mailbox.clone())
        .to(Mailbox::new(None, address(&message.email)))
        .subject(rendered.subject)
        .message_id(Some(format!("<{id}>")))
        .date(now)
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .multipart(body)
        .map(|mail| mail.formatted())
        .map_err(|error| error.to_string())
}

/// A body with line feeds alone, which become line ends on the way: some servers take a carriage
/// return by itself for one too. <https://www.rfc-editor.org/rfc/rfc5321#section-2.3.8>
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// An address that [`crate::mail::recipient::check`] has passed: it knows no quotes and no other
/// alphabet, so there is nothing left to check.
pub(crate) fn address(text: &str) -> Address {
    let (user, domain) = text.rsplit_once('@').unwrap_or((text, "localhost"));
    Address::new_dangerous(user, domain)
}
