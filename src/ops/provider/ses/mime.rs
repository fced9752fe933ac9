//! A mail as SES renders it, read for people to look at: subject, text and HTML.
//!
//! Out of scope: mails of anybody else. <https://www.rfc-editor.org/rfc/rfc2045>

use crate::ops::provider::templates::Content;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Reads it; what is not there, or cannot be read, is empty.
pub fn read(mail: &str) -> Content {
    let mut content = Content::default();
    let mail = mail.replace("\r\n", "\n");
    content.subject = subject(&header(mail.split("\n\n").next().unwrap_or_default(), "subject"));
    part(&mail, &mut content);
    content
}

fn part(text: &str, into: &mut Content) {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let media = header(head, "content-type");
    let lower = media.to_ascii_lowercase();
    if let Some(at) = lower.find("boundary=").filter(|_| lower.starts_with("multipart/")) {
        let rest = media[at + "boundary=".len()..].trim_start_matches('"');
        let boundary = format!("\n--{}", rest.split(['"', ';']).next().unwrap_or_default().trim());
        let body = format!("\n{body}");
        let parts: Vec<&str> = body.split(&boundary).skip(1).collect();
        return parts.iter().filter(|one| !one.starts_with("--")).for_each(|one| {
            part(one.trim_start_matches([' ', '\t']).trim_start_matches('\n'), into);
        });
    }
    let encoding = header(head, "content-transfer-encoding").to_ascii_lowercase();
    let bytes = match encoding.trim() {
        "base64" => STANDARD.decode(body.replace('\n', "")).unwrap_or_default(),
        "quoted-printable" => quoted(&body.replace("=\n", "")),
        _ => body.as_bytes().to_vec(),
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let place = if lower.starts_with("text/html") { &mut into.html } else { &mut into.text };
    *place = text;
}

/// The value of a header on one line, or nothing.
fn header(head: &str, name: &str) -> String {
    let unfolded = head.replace("\n ", " ").replace("\n\t", " ");
    let found = unfolded.lines().filter_map(|line| line.split_once(':'));
    let found = found.into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

/// `=C3=A9` and the like. <https://www.rfc-editor.org/rfc/rfc2045#section-6.7>
fn quoted(text: &str) -> Vec<u8> {
    let mut parts = text.split('=');
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let code = part.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok());
        out.extend(code);
        out.extend(part.get(2..).unwrap_or_default().bytes());
    }
    out
}

/// Encoded words as what they mean. <https://www.rfc-editor.org/rfc/rfc2047>
fn subject(text: &str) -> String {
    let joined = text.replace("?= =?", "?==?");
    let (mut rest, mut out) = (joined.as_str(), Vec::new());
    while let Some((before, word)) = rest.split_once("=?") {
        out.extend(before.bytes());
        let mut fields = word.splitn(3, '?').skip(1);
        let (way, text) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let (text, after) = text.split_once("?=").unwrap_or((text, ""));
        out.extend(match way {
            "B" | "b" => STANDARD.decode(text).unwrap_or_default(),
            _ => quoted(&text.replace('_', " ")),
        });
        rest = after;
    }
    out.extend(rest.bytes());
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_program_writes_is_read() {
        let plain =
            read("Subject: Hi =?utf-8?Q?caf=C3=A9_au?= lait\nMIME-Version: 1.0\n\nJust text");
        assert_eq!(
            (plain.subject.as_str(), plain.text.as_str()),
            ("Hi caf\u{e9} au lait", "Just text")
        );
        assert_eq!(read("Subject: =?UTF-8?B?2YHYpw==?= 1\n\n").subject, "فا 1");
        assert_eq!(read(""), Content::default());
    }

    #[cfg(feature = "smtp")]
    #[test]
    fn what_lettre_writes_is_read() {
        let subject = "فاتورة 17, caf\u{e9} and a good deal more so that it has to be folded";
        let (text, html) = ("caf\u{e9} = 1\n".repeat(40), "<p>\u{1F600} x = 1</p>\n".repeat(99));
        for (text, html) in [(text.as_str(), html.as_str()), ("plain\n", "<p>plain</p>\n")] {
            let mail = lettre_made(subject, text, html);
            let read = read(&mail);
            assert_eq!(read.subject, subject);
            assert_eq!(
                (read.text.trim_end(), read.html.trim_end()),
                (text.trim_end(), html.trim_end())
            );
        }
    }

    #[cfg(feature = "smtp")]
    fn lettre_made(subject: &str, text: &str, html: &str) -> String {
        let mail = lettre::Message::builder().subject(subject);
        let mail = mail.from("a@example.com".parse().unwrap()).to("b@example.com".parse().unwrap());
        let body =
            lettre::message::MultiPart::alternative_plain_html(text.to_owned(), html.to_owned());
        String::from_utf8(mail.multipart(body).unwrap().formatted()).unwrap()
    }
}
