//! The log: one line an event on standard error, in UTC, as text or JSON.
//!
//! In scope: stamping, levels, escaping, masking of addresses. Out of scope: deciding what is
//! worth a line. A line never holds a secret, token, code, key, password or the body of a mail;
//! callers see to that, and the tests search for them.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;
use std::cell::RefCell;
use std::fmt::{self, Display, Write as _};
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use time::OffsetDateTime;
use time::macros::format_description;

/// How important a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something is broken and a person should look.
    Error,
    /// Something went wrong and is being dealt with.
    Warn,
    /// What a person wants to see of normal work.
    Info,
    /// Everything, with addresses in full.
    Debug,
}

/// The shape of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `2026/11/22 13:37:00 [PG] connected`
    Text,
    /// `{"time":"2026-11-22T13:37:00Z","level":"info","unit":"PG","message":"connected"}`
    Json,
}

static SETTINGS: OnceLock<(Level, Format)> = OnceLock::new();

/// Sets level and shape, once a process; before that, and by default, `info` and text.
pub fn configure(level: Level, format: Format) {
    let _ = SETTINGS.set((level, format));
}

fn settings() -> (Level, Format) {
    SETTINGS.get().copied().unwrap_or((Level::Info, Format::Text))
}

/// Whether lines of `level` are written.
pub fn enabled(level: Level) -> bool {
    level <= settings().0
}

/// Writes an error line. `unit` names the part of the program: `PG`, `SES`, `RUN`.
pub fn error(unit: &str, text: impl Display) {
    write(Level::Error, unit, &text);
}

/// Writes a warning line.
pub fn warn(unit: &str, text: impl Display) {
    write(Level::Warn, unit, &text);
}

/// Writes an ordinary line.
pub fn info(unit: &str, text: impl Display) {
    write(Level::Info, unit, &text);
}

/// Writes a debug line.
pub fn debug(unit: &str, text: impl Display) {
    write(Level::Debug, unit, &text);
}

/// A value behind a text.
#[derive(Clone, Copy, Debug)]
pub enum Field<'a> {
    /// Words.
    Text(&'a str),
    /// A count, or an identifier.
    Number(i64),
}

impl<'a> Field<'a> {
    fn cut(&(name, value): &(&'a str, Field<'a>)) -> (&'a str, Field<'a>) {
        match value {
            Field::Text(text) => (name, Field::Text(part(text))),
            Field::Number(_) => (name, value),
        }
    }
}

/// Lines that are written together: several events of one moment.
///
/// A reader of the pipe gets whole lines, whoever else writes to it, because no write is longer than
/// what the system takes in one piece.
pub struct Lines<'a> {
    unit: &'a str,
    now: OffsetDateTime,
    text: String,
    count: u64,
}

impl<'a> Lines<'a> {
    /// None yet; their moment is this one. `unit` names the part of the program.
    pub fn new(unit: &'a str) -> Lines<'a> {
        Lines { unit, now: OffsetDateTime::now_utc(), text: String::new(), count: 0 }
    }

    /// Adds a line: the parts of a text, then fields, ` name=value` each, or members of the JSON
    /// object. A field must not have the name of a member that every line has.
    pub fn event(&mut self, level: Level, text: &[&str], fields: &[(&str, Field)]) {
        let (threshold, format) = settings();
        if level > threshold {
            return;
        }
        let (before, now) = (self.text.len(), self.now);
        self.text.reserve(LINE);
        line(&mut self.text, level, format, self.unit, text, fields, now);
        if self.text.len() - before > WHOLE {
            // Waiting for a reader to make room for more than one piece could stop the mail.
            let fields: Vec<(&str, Field)> = fields.iter().map(Field::cut).collect();
            self.text.truncate(before);
            let text = text.concat();
            line(&mut self.text, level, format, self.unit, &[part(&text), "…"], &fields, now);
        }
        if self.text.len() > WHOLE && before > 0 {
            let rest = self.text.split_off(before);
            self.write();
            self.text = rest;
        }
        self.count += 1;
    }

    /// Writes what was added.
    pub fn write(&mut self) {
        put(self.unit, &self.text, self.count);
        self.text.clear();
        self.count = 0;
    }
}

/// Writes why a command ends that a person started: `mailroom: text`, as Unix tools do, or in JSON.
pub fn end(text: impl Display) {
    if settings().1 == Format::Text {
        let _ = std::io::stderr().write_all(plain(&text.to_string()).as_bytes());
    } else {
        error("RUN", text);
    }
}

fn plain(text: &str) -> String {
    let mut line = "mailroom: ".to_owned();
    escape(text, &mut line);
    line.push('\n');
    line
}

/// An address as it may be logged now: masked, or in full when debugging.
pub fn address(email: &str) -> String {
    if enabled(Level::Debug) { email.to_owned() } else { crate::model::mask(email) }
}

fn write(level: Level, unit: &str, text: &dyn Display) {
    if !enabled(level) {
        return;
    }
    let mut lines = Lines::new(unit);
    lines.event(level, &[&text.to_string()], &[]);
    lines.write();
}

/// Writes so many lines.
fn put(unit: &str, text: &str, count: u64) {
    if count == 0 {
        return;
    }
    // A log that cannot be written must not stop the mail.
    let lost = LOST.load(Relaxed);
    if !is_taken(if lost > 0 { PollTimeout::ZERO } else { PATIENCE.into() }) {
        LOST.store(lost + count, Relaxed);
        return;
    }
    if lost > 0 {
        LOST.store(0, Relaxed);
        let text = format!("lines lost because nobody read them: {lost}");
        let mut told = String::new();
        let now = OffsetDateTime::now_utc();
        line(&mut told, Level::Warn, settings().1, unit, &[&text], &[], now);
        let _ = std::io::stderr().write_all(told.as_bytes());
    }
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// About so many bytes does a line take.
const LINE: usize = 192;
/// The longest write that a pipe takes in one piece (PIPE_BUF), without the line about lost ones.
const WHOLE: usize = 4096 - 256;
/// So many characters are left of a text, and of each field, where a line would be longer than
/// that. With escapes they can be six times as many.
const PART: usize = 200;
/// How long, in milliseconds, a reader of the log may keep it up; once it did, not at all.
const PATIENCE: u16 = 1000;
static LOST: AtomicU64 = AtomicU64::new(0);

/// Whether standard error takes a line now. A pipe that does holds at least PIPE_BUF bytes.
/// <https://man7.org/linux/man-pages/man7/pipe.7.html>
fn is_taken(wait: PollTimeout) -> bool {
    let stderr = std::io::stderr();
    let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    // An interrupted wait, or a descriptor that cannot be waited for, is no reader that is stuck.
    poll(&mut fds, wait) != Ok(0)
}

/// Adds a line to `out`.
fn line(
    out: &mut String,
    level: Level,
    format: Format,
    unit: &str,
    text: &[&str],
    fields: &[(&str, Field)],
    now: OffsetDateTime,
) {
    // Writing into memory cannot fail.
    let _ = match format {
        Format::Text => text_line(out, level, unit, text, fields, now),
        Format::Json => json_line(out, level, unit, text, fields, now),
    };
}

fn text_line(
    out: &mut String,
    level: Level,
    unit: &str,
    text: &[&str],
    fields: &[(&str, Field)],
    now: OffsetDateTime,
) -> fmt::Result {
    let mark = match level {
        Level::Error => "ERROR: ",
        Level::Warn => "WARN: ",
        Level::Info => "",
        Level::Debug => "DEBUG: ",
    };
    stamp(out, now);
    for part in [" [", unit, "] "] {
        out.push_str(part);
    }
    out.push_str(mark);
    for part in text {
        escape(part, out);
    }
    for (name, value) in fields {
        out.push(' ');
        out.push_str(name);
        out.push('=');
        match value {
            Field::Text(text) if is_plain(text) => out.push_str(text),
            Field::Text(text) => write!(out, "{text:?}")?,
            Field::Number(number) => write!(out, "{number}")?,
        }
    }
    out.push('\n');
    Ok(())
}

/// `2026/11/22 13:37:00`
fn stamp(out: &mut String, now: OffsetDateTime) {
    thread_local! {
        // Many lines are of one second.
        static LAST: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
    }
    let second = now.unix_timestamp();
    LAST.with_borrow_mut(|(last, text)| {
        if *last != second {
            let wanted = format_description!("[year]/[month]/[day] [hour]:[minute]:[second]");
            (*last, *text) = (second, now.format(wanted).unwrap_or_default());
        }
        out.push_str(text);
    });
}

/// The beginning of a text.
fn part(text: &str) -> &str {
    let end = text.char_indices().nth(PART).map(|(end, _)| end);
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// Whether a value cannot be read as two.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'=');
    !text.is_empty() && text.bytes().all(plain)
}

/// Adds a text with control characters, and the line separators of Unicode, as escapes: a line stays
/// one line.
fn escape(text: &str, out: &mut String) {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        out.push_str(text);
        return;
    }
    for c in text.chars() {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
}

fn json_line(
    out: &mut String,
    level: Level,
    unit: &str,
    text: &[&str],
    fields: &[(&str, Field)],
    now: OffsetDateTime,
) -> fmt::Result {
    let stamp = now
        .format(format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        ))
        .unwrap_or_default();
    let level = match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
    };
    let mut object = serde_json::json!({
        "time": stamp, "level": level, "unit": unit, "message": text.concat(),
    });
    for (name, value) in fields {
        object[*name] = match value {
            Field::Text(text) => Value::from(*text),
            Field::Number(number) => Value::from(*number),
        };
    }
    writeln!(out, "{object}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-22 13:37:00 UTC);

    fn line(
        level: Level,
        format: Format,
        unit: &str,
        text: &str,
        fields: &[(&str, Field)],
    ) -> String {
        let mut out = String::new();
        super::line(&mut out, level, format, unit, &[text], fields, NOW);
        out
    }

    #[test]
    fn a_text_line_looks_like_those_of_the_seed_documents() {
        let line = line(Level::Info, Format::Text, "PG", "connected", &[]);
        assert_eq!(line, "2026/11/22 13:37:00 [PG] connected\n");
    }

    #[test]
    fn the_end_of_a_command_has_neither_time_nor_unit_and_stays_one_line() {
        assert_eq!(plain("which\ncommand?"), "mailroom: which\\ncommand?\n");
    }

    #[test]
    fn an_event_with_newlines_and_controls_stays_one_line() {
        let line = line(Level::Warn, Format::Text, "PG", "a\nb\u{1b}[31m\u{2028}c", &[]);
        assert_eq!(line, "2026/11/22 13:37:00 [PG] WARN: a\\nb\\u{1b}[31m\\u{2028}c\n");
    }

    #[test]
    fn a_json_line_is_one_object() {
        let line = line(Level::Error, Format::Json, "SES", "a\n\"b\"", &[]);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["time"], "2026-11-22T13:37:00.000Z");
        assert_eq!(value["level"], "error");
        assert_eq!(value["message"], "a\n\"b\"");
        assert_eq!(line.matches('\n').count(), 1);
    }

    #[test]
    fn fields_stand_behind_a_text_and_are_members_of_json() {
        let fields = [
            ("ms", Field::Number(12)),
            ("id", Field::Text("a b\nc=\"d\"")),
            ("status", Field::Text("sent")),
        ];
        let text = line(Level::Info, Format::Text, "SES", "done", &fields);
        let wanted = "2026/11/22 13:37:00 [SES] done ms=12 id=\"a b\\nc=\\\"d\\\"\" status=sent\n";
        assert_eq!(text, wanted);
        let text = line(Level::Info, Format::Json, "SES", "done", &fields);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["message"], &value["ms"]), (&"done".into(), &12.into()));
        assert_eq!(value["id"], "a b\nc=\"d\"");
    }
}
