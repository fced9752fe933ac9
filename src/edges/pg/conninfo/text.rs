//! The two ways to write a connection string, taken apart into keywords and values.
//!
//! In scope: quoting, escapes, percent-encoding and positions, as libpq reads them. Out of scope:
//! what a keyword means. No error repeats what stands in the string: any part of a string that is
//! malformed may be a piece of the password.
//! <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING>

use crate::edges::pg::conninfo::Setting;

/// What is wrong, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Characters from the start, counted from 1.
    pub at: usize,
    /// What is wrong and what to do.
    pub what: String,
}

/// Takes a connection string apart. A string that is neither form is the name of a database.
pub fn split(text: &str) -> Result<Vec<Setting>, Malformed> {
    let text = text.trim();
    let chars: Vec<char> = text.chars().collect();
    if let Some(at) = chars.iter().position(|c| *c == '\0') {
        return bad(at, "a NUL character cannot stand in a connection string");
    }
    for prefix in ["postgres://", "postgresql://"] {
        if text.starts_with(prefix) {
            return Uri { chars: &chars, at: prefix.len() }.settings();
        }
    }
    let head = text.split(['=', '\'']).next().unwrap_or_default();
    if head.contains("://") {
        return bad(0, "this scheme is not known: a URI begins with postgres:// or postgresql://");
    }
    if text.contains('=') || chars.is_empty() {
        return words(&chars);
    }
    match chars.iter().position(|c| c.is_whitespace() || "@/:'\"".contains(*c)) {
        Some(at) => bad(at, "this is no URI, no keyword=value string and no name of a database"),
        None => Ok(vec![setting("dbname", chars.iter().collect(), 0)]),
    }
}

fn setting(key: &str, value: String, at: usize) -> Setting {
    Setting { key: key.to_owned(), value, at: at + 1, plain: true }
}

fn bad<T>(at: usize, what: &str) -> Result<T, Malformed> {
    Err(Malformed { at: at + 1, what: what.to_owned() })
}

/// `keyword=value` pairs between white space; values in single quotes may hold anything.
fn words(chars: &[char]) -> Result<Vec<Setting>, Malformed> {
    let get = |i: usize| chars.get(i).copied();
    let skip = |mut i: usize| {
        while get(i).is_some_and(|c| c.is_ascii_whitespace()) {
            i += 1;
        }
        i
    };
    let mut found: Vec<Setting> = Vec::new();
    let mut i = skip(0);
    while i < chars.len() {
        let start = i;
        while get(i).is_some_and(|c| c != '=' && !c.is_ascii_whitespace()) {
            i += 1;
        }
        let key: String = chars.iter().skip(start).take(i - start).collect();
        i = skip(i);
        if get(i) != Some('=') {
            return bad(start, "this word has no \"=\": a value that holds spaces needs 'quotes'");
        }
        i = skip(i + 1);
        let at = i;
        let (value, next) = word_value(chars, i)?;
        i = skip(next);
        // After an unquoted password with a space in it, the next "keyword" is a piece of it.
        let plain = found.iter().all(|s| s.key != "password");
        found.push(Setting { key, value, at: at + 1, plain });
    }
    Ok(found)
}

/// The value that begins at `i`, and where it ends.
fn word_value(chars: &[char], mut i: usize) -> Result<(String, usize), Malformed> {
    let start = i;
    let quoted = chars.get(i) == Some(&'\'');
    i += usize::from(quoted);
    let mut value = String::new();
    loop {
        match chars.get(i) {
            None if quoted => return bad(start, "this quote is never closed"),
            None => return Ok((value, i)),
            Some('\'') if quoted => return Ok((value, i + 1)),
            Some(c) if !quoted && c.is_ascii_whitespace() => return Ok((value, i)),
            Some('\\') => {
                value.extend(chars.get(i + 1));
                i += 2;
            }
            Some(c) => {
                value.push(*c);
                i += 1;
            }
        }
    }
}

/// `postgres://user:password@host:port,host:port/dbname?keyword=value&…`
struct Uri<'a> {
    chars: &'a [char],
    at: usize,
}

impl Uri<'_> {
    fn settings(mut self) -> Result<Vec<Setting>, Malformed> {
        let mut found = Vec::new();
        self.user(&mut found)?;
        self.places(&mut found)?;
        if self.peek() == Some('/') {
            self.at += 1;
            let (start, end) = self.take_until("?");
            self.refuse_at_sign(start, end)?;
            self.push(&mut found, "dbname", start, end)?;
        }
        if self.peek() == Some('?') {
            self.at += 1;
            self.parameters(&mut found)?;
        }
        Ok(found)
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    /// Moves to the first of `stops` or the end; gives the range passed over.
    fn take_until(&mut self, stops: &str) -> (usize, usize) {
        let start = self.at;
        while self.peek().is_some_and(|c| !stops.contains(c)) {
            self.at += 1;
        }
        (start, self.at)
    }

    fn push(
        &self,
        found: &mut Vec<Setting>,
        key: &str,
        start: usize,
        end: usize,
    ) -> Result<(), Malformed> {
        if start < end {
            found.push(setting(key, self.decode(start, end)?, start));
        }
        Ok(())
    }

    /// The user and the password, if there is an `@` before the first `/`.
    fn user(&mut self, found: &mut Vec<Setting>) -> Result<(), Malformed> {
        let start = self.at;
        self.take_until("@/");
        let end = self.at;
        let given = self.peek() == Some('@');
        self.at = start;
        if !given {
            return Ok(());
        }
        let (from, to) = self.take_until(":@");
        self.push(found, "user", from, to)?;
        if to < end {
            self.push(found, "password", to + 1, end)?;
        }
        self.at = end + 1;
        Ok(())
    }

    /// Hosts and ports between commas. Either list keeps its empty parts.
    fn places(&mut self, found: &mut Vec<Setting>) -> Result<(), Malformed> {
        let start = self.at;
        let (mut hosts, mut ports) = (String::new(), String::new());
        let mut port_at = None;
        loop {
            let (from, to) =
                if self.peek() == Some('[') { self.bracketed()? } else { self.take_until(":/?,") };
            self.refuse_at_sign(from, to)?;
            hosts.push_str(&self.decode(from, to)?);
            if self.peek() == Some(':') {
                self.at += 1;
                let (from, to) = self.take_until("/?,");
                self.refuse_at_sign(from, to)?;
                port_at.get_or_insert(from);
                ports.push_str(&self.decode(from, to)?);
            }
            if self.peek() != Some(',') {
                break;
            }
            self.at += 1;
            hosts.push(',');
            ports.push(',');
        }
        if !hosts.is_empty() {
            found.push(setting("host", hosts, start));
        }
        if !ports.is_empty() {
            found.push(setting("port", ports, port_at.unwrap_or(start)));
        }
        Ok(())
    }

    /// An IPv6 address.
    fn bracketed(&mut self) -> Result<(usize, usize), Malformed> {
        self.at += 1;
        let (from, to) = self.take_until("]");
        if self.peek().is_none() {
            return bad(from - 1, "this bracket of an IPv6 address is never closed");
        }
        if from == to {
            return bad(from, "an IPv6 address cannot be empty");
        }
        self.at += 1;
        match self.peek() {
            None | Some(':' | '/' | '?' | ',') => Ok((from, to)),
            Some(_) => bad(self.at, "after an IPv6 address only \":\", \"/\", \"?\" or \",\" go"),
        }
    }

    fn parameters(&mut self, found: &mut Vec<Setting>) -> Result<(), Malformed> {
        let plain = !self.chars.iter().skip(self.at).any(|c| *c == '@');
        while self.at < self.chars.len() {
            let (from, to) = self.take_until("=&");
            if self.peek() != Some('=') {
                return bad(from, "this parameter has no \"=\"");
            }
            let key = self.decode(from, to)?;
            self.at += 1;
            let (from, to) = self.take_until("=&");
            if self.peek() == Some('=') {
                return bad(self.at, "a second \"=\" in one parameter: write it as %3D");
            }
            let value = self.decode(from, to)?;
            self.at += 1;
            // What JDBC users write.
            found.push(match (key.as_str(), value.as_str()) {
                ("ssl", "true") => setting("sslmode", "require".into(), from),
                _ => Setting { key, value, at: from + 1, plain },
            });
        }
        Ok(())
    }

    /// An `@` after the user means that the password holds an `@` or a `/` as it is, and that a
    /// piece of it would be taken for a host or a database.
    fn refuse_at_sign(&self, from: usize, to: usize) -> Result<(), Malformed> {
        match (from..to).find(|i| self.chars.get(*i) == Some(&'@')) {
            Some(at) => bad(
                at,
                "an \"@\" that is not the first, or comes after a \"/\": \
                 in a user, password or name write @ as %40, / as %2F and : as %3A",
            ),
            None => Ok(()),
        }
    }

    fn decode(&self, from: usize, to: usize) -> Result<String, Malformed> {
        let mut bytes = Vec::new();
        let mut i = from;
        while let Some(c) = self.chars.get(i).filter(|_| i < to) {
            if *c != '%' {
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                i += 1;
                continue;
            }
            let digit =
                |n: usize| self.chars.get(n).filter(|_| n < to).and_then(|c| c.to_digit(16));
            match (digit(i + 1), digit(i + 2)) {
                (Some(0), Some(0)) => return bad(i, "%00 cannot stand in a connection string"),
                (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
                _ => return bad(i, "\"%\" needs two hex digits after it: write % itself as %25"),
            }
            i += 3;
        }
        String::from_utf8(bytes).or_else(|_| bad(from, "the percent-encoded bytes are not UTF-8"))
    }
}
