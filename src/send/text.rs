//! A provider's words as they may be kept and shown: short, on one line, and without what they may
//! quote of a mail.

use crate::mail::model::{Message, mask};
use crate::mail::recipient;

/// The longest reason that is kept, in characters; a provider's text may be of any length.
const WHY_LIMIT: usize = 300;

/// The longest id of a message; a token is longer.
const ID_LIMIT: usize = 80;

/// The shortest run of letters and digits that could be a secret: 32 bytes in base64.
const SECRET_LEN: usize = 43;

/// The first row of a table with a name that fits; the names of a row stand with `, ` between them.
pub(crate) fn look_up<T: Copy>(table: &[(T, &str)], fits: impl Fn(&str) -> bool) -> Option<T> {
    table.iter().find(|(_, names)| names.split(", ").any(&fits)).map(|(row, _)| *row)
}

/// `what: detail`, where the detail is a provider's about these messages.
pub(crate) fn reason_about(what: &str, detail: &str, messages: &[&Message]) -> String {
    let mut text = detail.to_owned();
    for message in messages {
        for address in [&message.email, &*recipient::wire(&message.email)] {
            text = text.replace(address, &mask(address));
        }
        for secret in [&message.token, &message.code] {
            if !secret.is_empty() {
                text = text.replace(secret.as_str(), "***");
            }
        }
    }
    reason(what, &text)
}

/// A text with all that looks like an address or a secret masked.
pub fn clean(text: &str) -> String {
    reason(text, "")
}

/// `what: detail`, or the one that there is, with all that looks like an address or a secret masked.
pub(crate) fn reason(what: &str, detail: &str) -> String {
    let parts: Vec<&str> = [what, detail].into_iter().filter(|part| !part.is_empty()).collect();
    let words: Vec<String> = parts.join(": ").split_whitespace().map(without_secrets).collect();
    let line = words.join(" ");
    match line.char_indices().nth(WHY_LIMIT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// A word with what stands before its last `@` masked; nothing of it if it could be a token.
fn without_secrets(word: &str) -> String {
    let is_token = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if word.split(|c| !is_token(c)).any(|run| run.len() >= SECRET_LEN) {
        "***".to_owned()
    } else if word.contains('@') {
        mask(word)
    } else {
        word.to_owned()
    }
}

/// A provider's id of a message, if it is one: whoever answers might quote what it was sent.
pub(crate) fn identifier(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_id = text.len() <= ID_LIMIT && text.chars().all(is_plain);
    if is_id { text.to_owned() } else { "(no id)".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_short_line_without_the_address() {
        let text = format!("Address <john@example.com>\n is bad {}", "x ".repeat(1000));
        let why = reason("MESSAGE_REJECTED", &text);
        assert!(why.starts_with("MESSAGE_REJECTED: Address "), "{why}");
        assert!(!why.contains("john") && !why.contains('\n'));
        assert_eq!(why.chars().count(), WHY_LIMIT + 1);
    }

    #[test]
    fn a_reason_shows_no_token_and_no_secret() {
        let secrets = ["aZ-_".repeat(22), "5a".repeat(32), format!("{}=", "A".repeat(43))];
        for secret in secrets {
            let text = format!("bad data {{\"secret\":\"{secret}\"}} here");
            assert_eq!(reason("MESSAGE_REJECTED", &text), "MESSAGE_REJECTED: bad data *** here");
        }
    }

    #[test]
    fn an_id_that_quotes_what_was_sent_is_none() {
        let real = "0107018f2c5b3a4d-1f0e8c5e-7a0b-4d7c-9a55-3d1c2b6f9e10-000000";
        assert_eq!(identifier(real), real);
        assert_eq!(identifier(""), "");
        for quoted in ["ann@example.com", "{\"code\":\"12345\"}", &"aZ-_".repeat(22), "a\nb"] {
            assert_eq!(identifier(quoted), "(no id)");
        }
    }
}
