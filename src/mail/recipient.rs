//! Whether a recipient's address is one address that a provider can send to, and what stands in a
//! From.
//!
//! In scope: RFC 5321 mailboxes of plain atoms, and a name before one of them. Out of scope:
//! whether anybody reads mail there.
//! Providers parse what they are given as an RFC 5322 list, so a comma, a quote, a blank or an
//! angle bracket could make one recipient two, or another: no such address is let through.
//! A domain in other letters stands in its `xn--` form on the wire; a part before the `@` in other
//! letters needs a provider that takes it (SMTPUTF8).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// The longest address. <https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1>
const LIMIT: usize = 254;
/// The longest part in front of the `@`.
const LOCAL_LIMIT: usize = 64;
/// The longest label of a domain.
const LABEL_LIMIT: usize = 63;

/// Checks one address, whose part before the `@` may have other letters than ASCII's.
///
/// # Errors
/// Says what is wrong with it without quoting it.
pub fn check_any(address: &str) -> Result<(), &'static str> {
    let address = converted(address)?;
    let (local, domain) = address.rsplit_once('@').unwrap_or_default();
    if address.len() > LIMIT || local.len() > LOCAL_LIMIT {
        return Err("the address is too long");
    }
    let fits = |c: char| match u8::try_from(c) {
        Ok(byte) if byte.is_ascii() => is_atext(byte),
        _ => is_letter(c),
    };
    if !local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(fits)) {
        return Err("the part before the @ is not a plain name");
    }
    if !domain.split('.').all(is_label) {
        return Err("the address's domain is not a domain name");
    }
    Ok(())
}

/// Checks one address that every provider takes.
///
/// # Errors
/// As [`check_any`].
pub fn check(address: &str) -> Result<(), &'static str> {
    match is_ascii(address) {
        true => check_any(address),
        false => Err("the part before the @ is not ASCII"),
    }
}

/// Whether the part before the `@` has no other letters than ASCII's.
pub fn is_ascii(address: &str) -> bool {
    address.rsplit_once('@').is_none_or(|(local, _)| local.is_ascii())
}

/// An address that was checked, as it stands on the wire: its domain in ASCII.
pub fn wire(address: &str) -> Cow<'_, str> {
    converted(address).unwrap_or(Cow::Borrowed(address))
}

/// <https://www.rfc-editor.org/rfc/rfc5891#section-5>
fn converted(address: &str) -> Result<Cow<'_, str>, &'static str> {
    let (local, domain) = address.rsplit_once('@').ok_or("the address has no @")?;
    if domain.is_ascii() {
        return Ok(Cow::Borrowed(address));
    }
    let domain = idna::domain_to_ascii_strict(domain)
        .map_err(|_| "the address's domain is not a domain name in any script")?;
    Ok(Cow::Owned(format!("{local}@{domain}")))
}

/// Whether a character that is not ASCII may stand before the `@`: none that is not seen, that turns
/// the text round, or that looks like one of the signs with a meaning.
/// <https://www.rfc-editor.org/rfc/rfc6531#section-3.3>
fn is_letter(c: char) -> bool {
    let hidden = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}')
        || ('\u{2000}'..='\u{206f}').contains(&c)
        || ('\u{fff0}'..='\u{ffff}').contains(&c)
        || c >= '\u{e0000}';
    let sign = ('\u{fe50}'..='\u{fe6f}').contains(&c) || ('\u{ff01}'..='\u{ff20}').contains(&c);
    !(c.is_control() || c.is_whitespace() || hidden || sign)
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
    let address = wire(address);
    let (text, words) = unquote(name);
    if ascii && !text.is_ascii() {
        format!("{} <{address}>", encoded(&text))
    } else if name.is_empty() {
        address.into_owned()
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
pub fn is_label(label: &str) -> bool {
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
    fn a_domain_in_other_letters_stands_in_ascii_on_the_wire() {
        for (address, on_the_wire) in [
            ("user@b\u{fc}cher.example", "user@xn--bcher-kva.example"),
            ("user@B\u{dc}CHER.Example", "user@xn--bcher-kva.example"),
            // Written in two characters.
            ("user@bu\u{308}cher.example", "user@xn--bcher-kva.example"),
            // Kept since 2008. <https://www.rfc-editor.org/rfc/rfc5894#section-7.2>
            ("user@fa\u{df}.example", "user@xn--fa-hia.example"),
            ("user@\u{4f8b}\u{3048}.\u{30c6}\u{30b9}\u{30c8}", "user@xn--r8jz45g.xn--zckzah"),
            ("user@\u{645}\u{62b}\u{627}\u{644}.example", "user@xn--mgbh0fb.example"),
            ("user@under_score.example", "user@under_score.example"),
        ] {
            assert_eq!(check(address), Ok(()), "{address}");
            assert_eq!(wire(address), on_the_wire);
            assert_eq!(from(&format!("A <{address}>"), true), format!("A <{on_the_wire}>"));
        }
    }

    #[test]
    fn a_local_part_in_other_letters_is_for_those_who_take_it() {
        for address in ["j\u{f6}rg@example.com", "\u{7528}\u{6237}@b\u{fc}cher.example"] {
            assert_eq!(check_any(address), Ok(()), "{address}");
            assert!(check(address).is_err() && !is_ascii(address), "{address}");
        }
        for local in ["a\u{a0}b", "a\u{85}", "a\u{202e}b", "a\u{200b}", "\u{ff20}", "a\u{2028}"] {
            assert!(check_any(&format!("{local}@example.com")).is_err(), "{local:?}");
        }
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
            "john@b\u{fc}cher\u{2028}.example",
            "john@\u{fc}\u{ff20}eve.example",
            "john@-\u{fc}.example",
            "john@\u{fc}..example",
            "john@xn--a\u{fc}.example",
            "john@\u{5d0}a.example",
        ] {
            assert!(check(address).is_err(), "{address:?}");
        }
        assert!(check(&format!("{}@example.com", "a".repeat(65))).is_err());
        assert!(check(&format!("a@{}.com", "a".repeat(64))).is_err());
        assert!(check(&format!("a@{}com", "a.".repeat(150))).is_err());
    }
}
