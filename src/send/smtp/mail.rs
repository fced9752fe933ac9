//! One mail: rendered from its template, and put into the form of RFC 5322.
//!
//! Out of scope: sending it. Everything that a template or an account can say ends up in the text
//! of a header or a body, never in their structure.

use crate::mail::kind::data;
use crate::mail::model::{List, Message};
use crate::mail::recipient::{split, unquote, wire};
use crate::send::images::{self, Image, Wrong};
use email_encoding::body::Encoding;
use email_encoding::headers::rfc2047;
use email_encoding::headers::writer::EmailWriter;
use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Body, Mailbox, MultiPart, SinglePart};
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, Template, UndefinedBehavior};
use ring::digest;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Templates in a directory. Each file is read and compiled when it is first needed, and kept: that
/// takes longer than to fill it.
pub struct Files {
    dir: PathBuf,
    engine: Environment<'static>,
}

impl Files {
    /// Reads nothing yet.
    pub fn new(dir: &Path) -> Files {
        let mut engine = Environment::new();
        engine.set_undefined_behavior(UndefinedBehavior::Strict);
        let from = dir.to_owned();
        engine.set_loader(move |name| {
            let path = from.join(name);
            std::fs::read_to_string(&path).map(Some).map_err(|error| {
                let why = format!("{}: {error}", path.display());
                minijinja::Error::new(ErrorKind::TemplateNotFound, why)
            })
        });
        Files { dir: dir.to_owned(), engine }
    }

    /// Whether there is a template of this name.
    pub fn has(&self, name: &str) -> bool {
        self.dir.join(format!("{name}.subject")).exists()
    }

    /// Each file is read again when it is next needed: a person may have mended it.
    pub(crate) fn forget(&mut self) {
        self.engine.clear_templates();
    }

    /// Fills `NAME.subject`, `NAME.txt` and `NAME.html`.
    ///
    /// # Errors
    /// Which file, and what is wrong with it: it cannot be read, not be understood, or not be filled.
    pub(crate) fn render(&self, name: &str, data: &Value) -> Result<Rendered, Wrong> {
        let values = minijinja::Value::from(Serde(data));
        let one = |ending: &str| {
            let file = format!("{name}.{ending}");
            // The ending decides: what goes into .html is escaped, elsewhere it stands as it is.
            let wrong = |error| Wrong { why: fault(&file, &error), by_data: false };
            let template = self.engine.get_template(&file).map_err(wrong)?;
            template.render(&values).map_err(|error| match error.kind() {
                ErrorKind::UndefinedError => {
                    let why = fault(&file, &error) + &missing(&template, data);
                    Wrong { why, by_data: true }
                }
                _ => wrong(error),
            })
        };
        let (subject, text, html) = (one("subject")?, lines(one("txt")?), lines(one("html")?));
        let images = images::load(&html, &self.dir, data)
            .map_err(|wrong| Wrong { why: format!("{name}.html: {}", wrong.why), ..wrong })?;
        // A header is one line, whatever a login holds.
        let subject = subject.split(char::is_control).collect::<Vec<_>>().join(" ").trim().into();
        Ok(Rendered { subject, text, html, images })
    }
}

/// Names that a template may ask for, and the data has not.
fn missing(template: &Template<'_, '_>, data: &Value) -> String {
    let has = |name: &String| name.split('.').try_fold(data, |data, name| data.get(name)).is_some();
    let names = template.undeclared_variables(true).into_iter().filter(|name| !has(name));
    let names: Vec<String> = names.collect::<BTreeSet<_>>().into_iter().collect();
    if names.is_empty() {
        String::new()
    } else {
        format!("; not in the data: {}", names.join(", "))
    }
}

/// Where a template is wrong, and how.
fn fault(name: &str, error: &minijinja::Error) -> String {
    match (error.detail(), error.line()) {
        // Ours.
        (Some(why), _) if error.kind() == ErrorKind::TemplateNotFound => why.to_owned(),
        // Other details may quote the data.
        (_, Some(line)) => format!("{name}, line {line}: {}", error.kind()),
        (_, None) => format!("{name}: {}", error.kind()),
    }
}

/// A mail's parts.
pub(crate) struct Rendered {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
    /// What the HTML names.
    pub(crate) images: Vec<Image>,
}

/// Who mails come from: reads `local@domain` or `Name <local@domain>`; the address was checked.
pub fn sender(text: &str) -> Mailbox {
    let (name, at) = split(text);
    let (name, _) = unquote(name);
    Mailbox::new((!name.is_empty()).then_some(name), address(at))
}

/// The Message-ID of a message, without its brackets. The same message has the same one each time
/// it is tried: where a duplicate arrives, its reader's server can know it.
pub fn id(message: &Message, from: &Mailbox) -> String {
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
    format!("{hash}@{}", from.email.domain())
}

/// The mail, with CRLF line ends and without the dots that SMTP adds. It says that no person wrote
/// it, so that no reader's holiday notice is sent back:
/// <https://www.rfc-editor.org/rfc/rfc3834#section-5>
///
/// # Errors
/// What is wrong with the template.
pub fn make(
    files: &Files,
    template: &str,
    message: &Message,
    from: &Mailbox,
    now: SystemTime,
) -> Result<Vec<u8>, String> {
    let rendered = files.render(template, &data(message)).map_err(|wrong| wrong.why)?;
    let text = MultiPart::alternative().singlepart(SinglePart::plain(body(rendered.text)));
    let html = SinglePart::html(body(rendered.html));
    let body = match rendered.images.is_empty() {
        true => text.singlepart(html),
        false => {
            let mut related = MultiPart::related().singlepart(html);
            for Image { name, media, bytes } in rendered.images {
                let media = ContentType::parse(media).map_err(|error| error.to_string())?;
                let image = Attachment::new_inline_with_name(name.clone(), name);
                related = related.singlepart(image.body(bytes, media));
            }
            text.multipart(related)
        }
    };
    let mut mail = lettre::Message::builder();
    if let Some(reply_to) = &message.reply_to {
        mail = mail.reply_to(Mailbox::new(None, address(reply_to)));
    }
    for (name, value) in message.list.iter().flat_map(List::headers) {
        let name = HeaderName::new_from_ascii_str(name);
        mail = mail.raw_header(HeaderValue::dangerous_new_pre_encoded(name, value.clone(), value));
    }
    let to = address(&message.email);
    // The session has its own, but where there is none here, one is read out of the headers.
    let envelope = Envelope::new(Some(from.email.clone()), vec![to.clone()]);
    mail.envelope(envelope.map_err(|error| error.to_string())?)
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .raw_header(subject(rendered.subject))
        .message_id(Some(format!("<{}>", id(message, from))))
        .date(now)
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .multipart(body)
        .map(|mail| mail.formatted())
        .map_err(|error| error.to_string())
}

/// The longest word that is left as it is in a subject: a line should have 78 characters at most.
/// <https://www.rfc-editor.org/rfc/rfc5322#section-2.1.1>
const WORD: usize = 60;

/// The header of a subject. What reads like an encoded word is encoded itself, or its reader would see
/// something else; and so is a word that no line takes.
fn subject(text: String) -> HeaderValue {
    const NAME: &str = "Subject";
    let name = HeaderName::new_from_ascii_str(NAME);
    if !text.contains("=?") && text.split(' ').all(|word| word.len() <= WORD) {
        return HeaderValue::new(name, text);
    }
    let mut encoded = String::new();
    let mut writer = EmailWriter::new(&mut encoded, NAME.len() + ": ".len(), 0, false);
    // A text takes all that is written to it.
    let _ = rfc2047::encode(&text, &mut writer);
    drop(writer);
    HeaderValue::dangerous_new_pre_encoded(name, text, encoded)
}

/// A body with line feeds alone, which become line ends on the way: some servers take a carriage
/// return by itself for one too. <https://www.rfc-editor.org/rfc/rfc5321#section-2.3.8>
fn lines(text: String) -> String {
    match text.contains('\r') {
        true => text.replace("\r\n", "\n").replace('\r', "\n"),
        false => text,
    }
}

/// A text as the body of a part. `Body::new` would do the same, but goes through it character by
/// character for its line ends, and moves the rest of it at each.
fn body(text: String) -> Body {
    let wire = |text: String| text.replace('\n', "\r\n");
    let (bytes, encoding) = match Encoding::choose(text.as_str(), false) {
        Encoding::SevenBit => (wire(text).into(), ContentTransferEncoding::SevenBit),
        Encoding::QuotedPrintable => {
            (quoted_printable::encode(wire(text)), ContentTransferEncoding::QuotedPrintable)
        }
        _ => return Body::new(text),
    };
    Body::dangerous_pre_encoded(bytes, encoding)
}

/// An address that [`crate::mail::recipient::check_any`] has passed: it knows no quotes, so there is
/// nothing left to check.
pub(crate) fn address(text: &str) -> Address {
    let text = wire(text);
    let (user, domain) = text.rsplit_once('@').unwrap_or((&text, "localhost"));
    Address::new_dangerous(user, domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_the_one_that_lettre_makes() {
        let long = "<p style=\"color: red\">".repeat(20);
        let texts =
            ["", "\n", "a\n\nb", "a \n.\n", "é = e\n", "Привет\nмир\n", &long, "\u{7f}\t\n"];
        for text in texts.iter().flat_map(|text| [(*text).to_owned(), format!("{text}{long}\n")]) {
            let (own, theirs) = (body(text.clone()), Body::new(text));
            assert_eq!((own.encoding(), own.as_ref()), (theirs.encoding(), theirs.as_ref()));
        }
    }
}
