//! Whether a recipient's address is one address that a provider can send to.
//!
//! In scope: RFC 5321 mailboxes of plain atoms. Out of scope: whether anybody reads mail there.
//! Providers parse what they are given as an RFC 5322 list, so a comma, a quote, a blank or an
//! angle bracket could make one recipient two, or another: no such address is let through.
//! Domains that are not ASCII must be stored in their `xn--` form: turning one into the other
//! needs Unicode tables that are larger than mailroom.

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
