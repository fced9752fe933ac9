//! The two ways to write a connection string, taken apart into keywords and values.
//!
//! In scope: quoting, escapes, percent-encoding and positions, as libpq reads them. Out of scope:
//! what a keyword means. No error repeats what stands in the string: any part of a string that is
//! malformed may be a piece of the password.
//! <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING>

use percent_encoding::percent_decode_str;

/// One keyword with its value.
pub(crate) struct Setting {
    /// The keyword as written.
    pub(crate) key: String,
    /// The value, unquoted and decoded.
    pub(crate) value: String,
    /// Where the value begins: characters from the start, counted from 1.
    pub(crate) at: usize,
    /// Whether the keyword may be repeated in a message: it is surely no piece of a password.
    pub(crate) plain: bool,
}

/// Takes a connection string apart. A string that is neither form is the name of a database.
///
/// # Errors
/// What is wrong, where, and what to do.
pub(crate) fn split(text: &str) -> Result<Vec<Setting>, String> {
    let text = text.trim();
    let at = |from| Piece { whole: text, from, to: text.len() };
    if let Some(nul) = text.find('\0') {
        return at(nul).bad("a NUL character cannot stand in a connection string");
    }
    for prefix in ["postgres://", "postgresql://"] {
        if text.starts_with(prefix) {
            return uri(at(prefix.len()));
        }
    }
    if text.split(['=', '\'']).next().is_some_and(|head| head.contains("://")) {
        let what = "this scheme is not known: a URI begins with postgres:// or postgresql://";
        return at(0).bad(what);
    }
    if text.contains('=') || text.is_empty() {
        return words(at(0));
    }
    match text.find(|c: char| c.is_whitespace() || "@/:'\"".contains(c)) {
        Some(odd) => {
            at(odd).bad("this is no URI, no keyword=value string and no name of a database")
        }
        None => Ok(at(0).setting("dbname", text.to_owned()).into_iter().collect()),
    }
}

/// A piece of the string; its bounds are bytes.
#[derive(Clone, Copy)]
struct Piece<'a> {
    whole: &'a str,
    from: usize,
    to: usize,
}

impl<'a> Piece<'a> {
    fn text(self) -> &'a str {
        self.whole.get(self.from..self.to).unwrap_or_default()
    }

    /// Where it begins: characters from the start, counted from 1.
    fn at(self) -> usize {
        self.whole.get(..self.from).unwrap_or_default().chars().count() + 1
    }

    fn bad<T>(self, what: &str) -> Result<T, String> {
        Err(format!("connection string, character {}: {what}", self.at()))
    }

    /// Cuts off what stands before the first of `stops`, or all.
    fn take(&mut self, stops: &[char]) -> Piece<'a> {
        let end = self.text().find(stops).map_or(self.to, |length| self.from + length);
        let taken = Piece { to: end, ..*self };
        self.from = end;
        taken
    }

    /// Cuts off `mark`, if it begins with it.
    fn skip(&mut self, mark: char) -> bool {
        let found = self.text().starts_with(mark);
        self.from += if found { mark.len_utf8() } else { 0 };
        found
    }

    fn skip_space(&mut self) {
        self.from = self.to - self.text().trim_ascii_start().len();
    }

    /// A setting that begins here; none if it is empty.
    fn setting(self, key: &str, value: String) -> Option<Setting> {
        let setting = Setting { key: key.to_owned(), value, at: self.at(), plain: true };
        Some(setting).filter(|setting| !setting.value.is_empty())
    }

    fn decode(self) -> Result<String, String> {
        for (at, _) in self.text().match_indices('%') {
            let here = Piece { from: self.from + at, ..self };
            match here.text().get(1..3) {
                Some("00") => return here.bad("%00 cannot stand in a connection string"),
                Some(code) if code.bytes().all(|digit| digit.is_ascii_hexdigit()) => {}
                _ => {
                    return here.bad("\"%\" needs two hex digits after it: write % itself as %25");
                }
            }
        }
        let decoded = percent_decode_str(self.text()).decode_utf8();
        decoded
            .map(|text| text.into_owned())
            .or_else(|_| self.bad("the percent-encoded bytes are not UTF-8"))
    }

    /// As `decode`, for what stands behind the user. An `@` there means that the password holds an
    /// `@` or a `/` as it is, and that a piece of it would be taken for a host or a database.
    fn name(self) -> Result<String, String> {
        match self.text().find('@') {
            Some(at) => Piece { from: self.from + at, ..self }.bad(
                "an \"@\" that is not the first, or comes after a \"/\": \
                 in a user, password or name write @ as %40, / as %2F and : as %3A",
            ),
            None => self.decode(),
        }
    }
}

/// `keyword=value` pairs between white space; values in single quotes may hold anything.
fn words(mut rest: Piece<'_>) -> Result<Vec<Setting>, String> {
    let mut found: Vec<Setting> = Vec::new();
    while !rest.text().is_empty() {
        let key = rest.take(&['=', ' ', '\t', '\n', '\x0c', '\r']);
        rest.skip_space();
        if !rest.skip('=') {
            return key.bad("this word has no \"=\": a value that holds spaces needs 'quotes'");
        }
        rest.skip_space();
        let at = rest.at();
        let value = word_value(&mut rest)?;
        rest.skip_space();
        // After an unquoted password with a space in it, the next "keyword" is a piece of it.
        let plain = found.iter().all(|earlier| earlier.key != "password");
        found.push(Setting { key: key.text().to_owned(), value, at, plain });
    }
    Ok(found)
}

fn word_value(rest: &mut Piece<'_>) -> Result<String, String> {
    let start = *rest;
    let quoted = rest.skip('\'');
    let mut value = String::new();
    let mut chars = rest.text().chars();
    loop {
        match chars.next() {
            None if quoted => return start.bad("this quote is never closed"),
            Some('\'') if quoted => break,
            Some('\\') => value.extend(chars.next()),
            Some(c) if quoted || !c.is_ascii_whitespace() => value.push(c),
            // White space is skipped anyway.
            _ => break,
        }
    }
    rest.from = rest.to - chars.as_str().len();
    Ok(value)
}

/// `user:password@host:port,host:port/dbname?keyword=value&…`
fn uri(mut rest: Piece<'_>) -> Result<Vec<Setting>, String> {
    let mut found = Vec::new();
    let mut behind = rest;
    let mut password = behind.take(&['@', '/']);
    if behind.skip('@') {
        rest = behind;
        let user = password.take(&[':']);
        found.extend(user.setting("user", user.decode()?));
        password.skip(':');
        found.extend(password.setting("password", password.decode()?));
    }
    places(&mut rest, &mut found)?;
    if rest.skip('/') {
        let dbname = rest.take(&['?']);
        found.extend(dbname.setting("dbname", dbname.name()?));
    }
    rest.skip('?');
    let plain = !rest.text().contains('@');
    while !rest.text().is_empty() {
        let key = rest.take(&['=', '&']);
        if !rest.skip('=') {
            return key.bad("this parameter has no \"=\"");
        }
        let value = rest.take(&['=', '&']);
        if rest.text().starts_with('=') {
            return rest.bad("a second \"=\" in one parameter: write it as %3D");
        }
        rest.skip('&');
        let (key, at, value) = (key.decode()?, value.at(), value.decode()?);
        found.push(match (key.as_str(), value.as_str()) {
            // What JDBC users write.
            ("ssl", "true") => {
                Setting { key: "sslmode".into(), value: "require".into(), at, plain }
            }
            _ => Setting { key, value, at, plain },
        });
    }
    Ok(found)
}

/// Hosts and ports between commas. Either list keeps its empty parts.
fn places(rest: &mut Piece<'_>, found: &mut Vec<Setting>) -> Result<(), String> {
    let (first_host, mut first_port) = (*rest, None);
    let (mut hosts, mut ports) = (String::new(), String::new());
    loop {
        hosts += &host(rest)?.name()?;
        if rest.skip(':') {
            let port = rest.take(&['/', '?', ',']);
            first_port.get_or_insert(port);
            ports += &port.name()?;
        }
        if !rest.skip(',') {
            break;
        }
        hosts.push(',');
        ports.push(',');
    }
    found.extend(first_host.setting("host", hosts));
    found.extend(first_port.unwrap_or(first_host).setting("port", ports));
    Ok(())
}

/// A host: an IPv6 address in brackets, or anything else up to its end.
fn host<'a>(rest: &mut Piece<'a>) -> Result<Piece<'a>, String> {
    let start = *rest;
    if !rest.skip('[') {
        return Ok(rest.take(&[':', '/', '?', ',']));
    }
    let address = rest.take(&[']']);
    match (rest.skip(']'), address.text(), rest.text().chars().next()) {
        (false, ..) => start.bad("this bracket of an IPv6 address is never closed"),
        (_, "", _) => address.bad("an IPv6 address cannot be empty"),
        (_, _, None | Some(':' | '/' | '?' | ',')) => Ok(address),
        _ => rest.bad("after an IPv6 address only \":\", \"/\", \"?\" or \",\" go"),
    }
}
