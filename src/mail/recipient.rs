//! Whether a recipient's address is one address that a provider can send to, and what stands in a
//! From.
//!
//! In scope: RFC 5321 mailboxes of plain atoms, and a name before one of them. Out of scope:
//! whether anybody reads mail there.
//! Providers parse what they are given as an RFC 5322 list, so a comma, a quote, a blank or an
//! angle bracket could make one recipient two, or another: no such address is let through.
//! Domains that are not ASCII must be stored in their `xn--` form: turning one into the other
//! needs Unicode tables that are larger than mailroom.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The longest address. <https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1>
const LIMIT: usize = 254;
/// The longest part in front of the `@`.
const LOCAL_LIMIT: usize = 64;
/// The longest label of a domain.
const LABEL_LIMIT: usize = 63;

/// Checks one address.
///
/// # Errors
/// Says what is wrong with it without quoting it.
pub fn check(address: &str) -> Result<(), &'static str> {
    let (local, domain) = address.rsplit_once('@').ok_or("the address has no @")?;
    if !domain.is_ascii() {
        return Err("the address's domain is not ASCII: store it in its xn-- form (punycode)");
    }
    if !local.is_ascii() {
        return Err("the part before the @ is not ASCII, which SES does not take");
    }
    if address.len() > LIMIT || local.len() > LOCAL_LIMIT {
        return Err("the address is too long");
    }
    if !local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext)) {
        return Err("the part before the @ is not a plain name");
    }
    if !domain.split('.').all(is_label) {
        return Err("the address's domain is not a domain name");
    }
    Ok(())
}

/// What stands before the `<` of `Name <local@domain>`, if it has one, and the address.
pub fn split(from: &str) -> (&str, &str) {
    match from.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some((name, address)) => (name.trim(), address),
        None => ("", from),
    }
}

/// A name without its quotes, and whether it is made of words and quoted strings alone, so that it
/// can stand in a header as it is. A quote that is not closed is a character like others.
/// <https://www.rfc-editor.org/rfc/rfc5322#section-3.2.5>
pub fn unquote(name: &str) -> (String, bool) {
    let (mut text, mut quoted, mut words) = (String::new(), false, true);
    let mut chars = name.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => quoted = !quoted,
            '\\' if quoted => text.extend(chars.next()),
            _ => {
                let fits = u8::try_from(char).map_or(true, |byte| byte == b' ' || is_atext(byte));
                words &= quoted || fits || !char.is_ascii();
                text.push(char);
            }
        }
    }
    if quoted { (name.to_owned(), false) } else { (text, words) }
}

/// A From, `local@domain` or `Name <local@domain>`, as a provider takes it: a name with a comma or
/// the like in quotes. With `ascii` a name in other letters is encoded.
/// <https://www.rfc-editor.org/rfc/rfc5322#section-3.4>
pub fn from(from: &str, ascii: bool) -> String {
    let (name, address) = split(from);
    let (text, words) = unquote(name);
    if ascii && !text.is_ascii() {
        format!("{} <{address}>", encoded(&text))
    } else if name.is_empty() {
        address.to_owned()
    } else if words {
        format!("{name} <{address}>")
    } else {
        format!("\"{}\" <{address}>", text.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

/// Bytes of text in an encoded word, which may have 75 characters.
const ENCODED: usize = 45;

/// <https://www.rfc-editor.org/rfc/rfc2047#section-2>
fn encoded(mut text: &str) -> String {
    let mut out = String::new();
    while !text.is_empty() {
        let fits = |end: &usize| text.is_char_boundary(*end);
        let end = (0..=ENCODED.min(text.len())).rfind(fits).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        let blank = if out.is_empty() { "" } else { " " };
        out += &format!("{blank}=?UTF-8?B?{}?=", STANDARD.encode(word));
        text = rest;
    }
    out
}

/// <https://www.rfc-editor.org/rfc/rfc5322#section-3.2.3>
fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

/// Letters, digits and hyphens inside; underscores, which some hosts have, are let through.
fn is_label(label: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=LABEL_LIMIT).contains(&label.len())
        && label.bytes().all(fits)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_with_a_comma_is_quoted_and_one_with_accents_is_encoded() {
        for (given, ascii, utf8) in [
            ("a@example.com", "a@example.com", None),
            ("<a@example.com>", "a@example.com", None),
            ("Acme\u{a0}<a@example.com>", "Acme <a@example.com>", None),
            ("\u{a0} <a@example.com>", "a@example.com", None),
            ("Mail Room <a@example.com>", "Mail Room <a@example.com>", None),
            ("Acme, Inc. <a@example.com>", "\"Acme, Inc.\" <a@example.com>", None),
            ("\"Acme, Inc.\" <a@example.com>", "\"Acme, Inc.\" <a@example.com>", None),
            ("\"Acme, Inc.\" Post <a@example.com>", "\"Acme, Inc.\" Post <a@example.com>", None),
            ("Acme (\\) <a@example.com>", "\"Acme (\\\\)\" <a@example.com>", None),
            ("12\" Discs <a@example.com>", "\"12\\\" Discs\" <a@example.com>", None),
            ("=?UTF-8?B?w6k=?= <a@example.com>", "=?UTF-8?B?w6k=?= <a@example.com>", None),
            (
                "Caf\u{e9} <a@example.com>",
                "=?UTF-8?B?Q2Fmw6k=?= <a@example.com>",
                Some("Caf\u{e9} <a@example.com>"),
            ),
            (
                "\"Caf\u{e9}, Bar\" <a@example.com>",
                "=?UTF-8?B?Q2Fmw6ksIEJhcg==?= <a@example.com>",
                Some("\"Caf\u{e9}, Bar\" <a@example.com>"),
            ),
            (
                "Caf\u{e9}, Bar <a@example.com>",
                "=?UTF-8?B?Q2Fmw6ksIEJhcg==?= <a@example.com>",
                Some("\"Caf\u{e9}, Bar\" <a@example.com>"),
            ),
        ] {
            assert_eq!(from(given, true), ascii);
            assert_eq!(from(given, false), utf8.unwrap_or(ascii));
        }
    }

    proptest! {
        #[test]
        fn a_reader_of_mail_sees_the_name_that_was_set(name in "\\PC{0,80}") {
            let name = name.trim().replace('"', "");
            let header = from(&format!("{name} <a@example.com>"), true);
            prop_assert!(header.is_ascii());
            prop_assert!(header.split(' ').all(|word| !word.starts_with("=?") || word.len() <= 75
                || name.is_ascii()));
            let read = mailparse::addrparse_header(
                &mailparse::parse_header(format!("From: {header}").as_bytes()).unwrap().0,
            ).unwrap();
            let read = read.extract_single_info().unwrap();
            prop_assert_eq!(read.addr, "a@example.com");
            // Blanks between words are no part of a name.
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            prop_assert_eq!(words(&read.display_name.unwrap_or_default()), words(&name));
        }
    }

    #[test]
    fn ordinary_addresses_pass() {
        for address in [
            "john@example.com",
            "john.doe+tag@mail.example.co.uk",
            "o'brien@example.com",
            "a!#$%&'*+-/=?^_`{|}~z@xn--bcher-kva.example",
            "x@localhost",
            "x@under_score.example",
        ] {
            assert_eq!(check(address), Ok(()), "{address}");
        }
        assert_eq!(check(&format!("{}@example.com", "a".repeat(64))), Ok(()));
    }

    #[test]
    fn what_could_address_somebody_else_is_refused() {
        for address in [
            "",
            "john",
            "@example.com",
            "john@",
            "a@example.com,b@example.com",
            "a@example.com, b@example.com",
            "a@example.com;b@example.com",
            "a@example.com b@example.com",
            "John <john@example.com>",
            "<john@example.com>",
            "\"a@x.example,b\"@example.com",
            "\"john\"@example.com",
            "john@example.com\r\nBcc: eve@example.com",
            "john@example.com\n",
            "jo\0hn@example.com",
            "john(comment)@example.com",
            "group:a@example.com",
            "a@b@example.com",
            "a..b@example.com",
            ".a@example.com",
            "john@[127.0.0.1]",
            "john@example..com",
            "john@-example.com",
            "john@example.com.",
            "j\u{f6}hn@example.com",
            "john@b\u{fc}cher.example",
        ] {
            assert!(check(address).is_err(), "{address:?}");
        }
        assert!(check(&format!("{}@example.com", "a".repeat(65))).is_err());
        assert!(check(&format!("a@{}.com", "a".repeat(64))).is_err());
        assert!(check(&format!("a@{}com", "a.".repeat(150))).is_err());
    }
}
