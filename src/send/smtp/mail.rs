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
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use ring::digest;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The files of one template, compiled as they were when it was loaded: that takes longer than to
/// fill them.
#[derive(Debug)]
pub struct Template {
    name: String,
    /// Where its images are.
    dir: PathBuf,
    engine: Environment<'static>,
}

impl Template {
    /// Reads `NAME.subject`, `NAME.txt` and `NAME.html`.
    ///
    /// # Errors
    /// Which file, and what is wrong with it: it cannot be read, or not be understood.
    pub fn load(dir: &Path, name: &str) -> Result<Template, String> {
        let mut engine = Environment::new();
        engine.set_undefined_behavior(UndefinedBehavior::Strict);
        for ending in ["subject", "txt", "html"] {
            let file = format!("{name}.{ending}");
            let path = dir.join(&file);
            let source = std::fs::read_to_string(&path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            let compiled = engine.add_template_owned(file.clone(), source);
            compiled.map_err(|error| fault(&file, &error))?;
        }
        Ok(Template { name: name.to_owned(), dir: dir.to_owned(), engine })
    }

    /// Fills the template.
    ///
    /// # Errors
    /// Which file, and what is wrong with it.
    pub(crate) fn render(&self, data: &Map<String, Value>) -> Result<Rendered, Wrong> {
        let values = minijinja::Value::from(Serde(data));
        let one = |ending: &str| {
            let name = format!("{}.{ending}", self.name);
            // The ending decides: what goes into .html is escaped, elsewhere it stands as it is.
            let file = self.engine.get_template(&name);
            file.and_then(|file| file.render(&values)).map_err(|error| Wrong {
                why: fault(&name, &error),
                by_data: error.kind() == ErrorKind::UndefinedError,
            })
        };
        let (subject, html) = (one("subject")?, lines(one("html")?));
        Ok(Rendered {
            // A header is one line, whatever a login holds.
            subject: subject.split(char::is_control).collect::<Vec<_>>().join(" ").trim().into(),
            text: lines(one("txt")?),
            images: images::load(&html, &self.dir, data).map_err(|wrong| Wrong {
                why: format!("{}.html: {}", self.name, wrong.why),
                ..wrong
            })?,
            html,
        })
    }
}

/// Where a template is wrong, and how.
fn fault(name: &str, error: &minijinja::Error) -> String {
    match error.line() {
        Some(line) => format!("{name}, line {line}: {}", error.kind()),
        None => format!("{name}: {}", error.kind()),
    }
}

/// A mail's parts.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
    /// What the HTML names.
    pub(crate) images: Vec<Image>,
}

/// Who mails come from.
#[derive(Clone, Debug)]
pub struct Sender {
    mailbox: Mailbox,
}

impl Sender {
    /// Reads `local@domain` or `Name <local@domain>`; the address was checked.
    pub fn new(text: &str) -> Sender {
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
pub fn id(message: &Message, from: &Sender) -> String {
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
pub fn make(
    template: &Template,
    message: &Message,
    from: &Sender,
    id: &str,
    now: SystemTime,
) -> Result<Vec<u8>, String> {
    let rendered = template.render(&data(message)).map_err(|wrong| wrong.why)?;
    let text = MultiPart::alternative().singlepart(SinglePart::plain(body(rendered.text)));
    let html = SinglePart::html(body(rendered.html));
    let body = match rendered.images.is_empty() {
        true => text.singlepart(html),
        false => text.multipart(
            rendered
                .images
                .into_iter()
                .try_fold(MultiPart::related().singlepart(html), |related, image| {
                    inline(image).map(|part| related.singlepart(part))
                })?,
        ),
    };
    let mail = lettre::Message::builder();
    let mail = match &message.reply_to {
        Some(reply_to) => mail.reply_to(Mailbox::new(None, address(reply_to))),
        None => mail,
    };
    let headers = message.list.iter().flat_map(List::headers);
    let mail = headers.fold(mail, |mail, (name, value)| {
        let name = HeaderName::new_from_ascii_str(name);
        mail.raw_header(HeaderValue::dangerous_new_pre_encoded(name, value.clone(), value))
    });
    let to = address(&message.email);
    // The session has its own, but where there is none here, one is read out of the headers.
    let envelope = Envelope::new(Some(from.address()), vec![to.clone()]);
    mail.envelope(envelope.map_err(|error| error.to_string())?)
        .from(from.mailbox.clone())
        .to(Mailbox::new(None, to))
        .raw_header(subject(rendered.subject))
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

/// An image as a part of a mail, which its HTML shows.
fn inline(image: Image) -> Result<SinglePart, String> {
    let media = ContentType::parse(image.media).map_err(|error| error.to_string())?;
    let name = image.name;
    Ok(Attachment::new_inline_with_name(name.clone(), name).body(image.bytes, media))
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
    {
        let mut writer = EmailWriter::new(&mut encoded, NAME.len() + ": ".len(), 0, false);
        // A text takes all that is written to it.
        let _ = rfc2047::encode(&text, &mut writer);
    }
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
    match Encoding::choose(text.as_str(), false) {
        Encoding::SevenBit => {
            Body::dangerous_pre_encoded(wire(text).into(), ContentTransferEncoding::SevenBit)
        }
        Encoding::QuotedPrintable => Body::dangerous_pre_encoded(
            quoted_printable::encode(wire(text)),
            ContentTransferEncoding::QuotedPrintable,
        ),
        _ => Body::new(text),
    }
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
