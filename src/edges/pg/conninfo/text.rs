//! The two ways to write a connection string, taken apart into keywords and values.
//!
//! In scope: quoting, escapes and percent-encoding, as libpq reads them. Out of scope: what a keyword
//! means. No error repeats what stands in the string: any part of a string that is malformed may be a
//! piece of the password.
//! <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING>

use percent_encoding::percent_decode_str;
use std::fmt::Display;

/// Where a value is from that stands in the string.
pub(crate) const STRING: &str = "connection string";

/// One keyword with its value.
#[derive(Default)]
pub(crate) struct Word {
    /// The keyword as written.
    pub(crate) key: String,
    /// The value, unquoted and decoded.
    pub(crate) value: String,
    /// Where it was given: [`STRING`], or the name of a variable.
    pub(crate) place: &'static str,
    /// Whether the keyword may be repeated in a message: it is surely no piece of a password.
    pub(crate) plain: bool,
}

/// Takes a connection string apart. A string that is neither form is the name of a database.
///
/// # Errors
/// What is wrong, in which part, and what to do.
pub(crate) fn split(text: &str) -> Result<Vec<Word>, String> {
    let text = text.trim();
    let uri = ["postgres://", "postgresql://"].iter().find_map(|start| text.strip_prefix(start));
    let found = if let Some(rest) = uri {
        of_uri(rest)?
    } else if text.split(['=', '\'']).next().is_some_and(|head| head.contains("://")) {
        return bad("this scheme is not known: a URI begins with postgres:// or postgresql://");
    } else if text.contains('=') || text.is_empty() {
        of_words(text)?
    } else if text.contains(|c: char| c.is_whitespace() || "@/:'\"".contains(c)) {
        return bad("this is no URI, no keyword=value string and no name of a database");
    } else {
        vec![word("dbname", text.to_owned(), true)]
    };
    match found.iter().find(|one| one.key.contains('\0') || one.value.contains('\0')) {
        Some(_) => bad("a NUL character cannot stand in it"),
        None => Ok(found),
    }
}

fn word(key: &str, value: String, plain: bool) -> Word {
    Word { key: key.to_owned(), value, place: STRING, plain }
}

fn bad<T>(what: impl Display) -> Result<T, String> {
    Err(format!("{STRING}: {what}"))
}

/// `keyword=value` pairs between white space; values in single quotes may hold anything.
fn of_words(mut rest: &str) -> Result<Vec<Word>, String> {
    let mut found: Vec<Word> = Vec::new();
    while !rest.is_empty() {
        let pair = rest.split_once('=').map(|(key, behind)| (key.trim_ascii_end(), behind));
        let is_word = |key: &str| !key.contains(|c: char| c.is_ascii_whitespace());
        let Some((key, behind)) = pair.filter(|(key, _)| is_word(key)) else {
            return bad("a word has no \"=\": a value that holds spaces needs 'quotes'");
        };
        let (value, behind) = word_value(behind.trim_ascii_start())?;
        rest = behind.trim_ascii_start();
        // After an unquoted password with a space in it, the next "keyword" is a piece of it.
        let plain = found.iter().all(|earlier| earlier.key != "password");
        found.push(word(key, value, plain));
    }
    Ok(found)
}

/// The value at the start of a text, and what follows it.
fn word_value(text: &str) -> Result<(String, &str), String> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut chars = text.get(usize::from(quoted)..).unwrap_or_default().chars();
    loop {
        match chars.next() {
            None if quoted => return bad("a quote is never closed"),
            Some('\'') if quoted => break,
            Some('\\') => value.extend(chars.next()),
            Some(c) if quoted || !c.is_ascii_whitespace() => value.push(c),
            // White space is skipped anyway.
            _ => break,
        }
    }
    Ok((value, chars.as_str()))
}

/// `user:password@host:port,host:port/dbname?keyword=value&…`
fn of_uri(text: &str) -> Result<Vec<Word>, String> {
    let (who, rest) = match text.split_once('@') {
        Some((who, rest)) if !who.contains('/') => (who, rest),
        _ => ("", text),
    };
    let (user, password) = who.split_once(':').unwrap_or((who, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (places, dbname) = rest.split_once('/').unwrap_or((rest, ""));
    // Either list keeps its empty parts.
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for one in places.split(',') {
        let (host, port) = place(one)?;
        hosts.push(name("host", host)?);
        ports.push(name("port", port)?);
    }
    let parts = [
        ("user", decode("user", user)?),
        ("password", decode("password", password)?),
        ("host", hosts.join(",")),
        ("port", ports.join(",")),
        ("dbname", name("dbname", dbname)?),
    ];
    // What is left out may come from elsewhere.
    let given = parts.into_iter().filter(|(_, value)| !value.is_empty());
    let mut found: Vec<Word> = given.map(|(key, value)| word(key, value, true)).collect();
    let plain = !query.contains('@');
    for pair in query.split_terminator('&') {
        let Some((key, value)) = pair.split_once('=') else {
            return bad("a parameter has no \"=\"");
        };
        let (key, value) = (decode("a parameter", key)?, decode("a parameter", value)?);
        found.push(match (key.as_str(), value.as_str()) {
            // What JDBC users write.
            ("ssl", "true") => word("sslmode", "require".to_owned(), plain),
            _ => word(&key, value, plain),
        });
    }
    Ok(found)
}

/// Host and port of one place; an IPv6 address stands in brackets.
fn place(text: &str) -> Result<(&str, &str), String> {
    let Some(rest) = text.strip_prefix('[') else {
        return Ok(text.split_once(':').unwrap_or((text, "")));
    };
    let parts = rest.split_once(']').and_then(|(address, behind)| match behind {
        "" => Some((address, "")),
        port => Some((address, port.strip_prefix(':')?)),
    });
    match parts.filter(|(address, _)| !address.is_empty()) {
        Some(parts) => Ok(parts),
        None => bad("host: an IPv6 address in brackets is written as [::1] or [::1]:5432"),
    }
}

fn decode(part: &str, text: &str) -> Result<String, String> {
    let is_code = |code: &str| code.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !text.split('%').skip(1).all(|rest| rest.get(..2).is_some_and(is_code)) {
        return bad(format_args!(
            "{part}: \"%\" needs two hex digits after it: write % itself as %25"
        ));
    }
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(|text| text.into_owned())
        .or_else(|_| bad(format_args!("{part}: the percent-encoded bytes are not UTF-8")))
}

/// As `decode`, for what stands behind the user. An `@` there means that the password holds an `@` or
/// a `/` as it is, and that a piece of it would be taken for a host or a database.
fn name(part: &str, text: &str) -> Result<String, String> {
    match text.contains('@') {
        true => bad(format_args!(
            "{part}: an \"@\" that is not the first, or comes after a \"/\": in a user, password or \
             name write @ as %40, / as %2F and : as %3A"
        )),
        false => decode(part, text),
    }
}
