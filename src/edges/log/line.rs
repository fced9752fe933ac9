//! What a line of the log looks like, as text or JSON: one event, one line. Out of scope: where it
//! goes.

use std::fmt::{self, Write as _};
use time::OffsetDateTime;
use time::macros::format_description;

/// How important a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something is broken and a person should look.
    Error,
    /// Something went wrong and is being dealt with.
    Warn,
    /// What a person wants to see of normal work.
    #[default]
    Info,
    /// Everything, with addresses in full.
    Debug,
}

impl Level {
    /// What stands before the text of a line, and its name in JSON.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Level::Error => ("ERROR: ", "error"),
            Level::Warn => ("WARN: ", "warn"),
            Level::Info => ("", "info"),
            Level::Debug => ("DEBUG: ", "debug"),
        }
    }
}

/// The shape of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `2026/11/22 13:37:00 [PG] connected`
    #[default]
    Text,
    /// `{"level":"info","message":"connected","time":"2026-11-22T13:37:00.000Z","unit":"PG"}`
    Json,
}

impl Format {
    /// A moment, as lines of this shape have it.
    pub fn stamp(self, moment: OffsetDateTime) -> String {
        let text = format_description!("[year]/[month]/[day] [hour]:[minute]:[second]");
        let json = format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        );
        let wanted = if self == Format::Text { text } else { json };
        moment.format(wanted).unwrap_or_default()
    }
}

/// The value of a field.
#[derive(Clone, Copy, Debug)]
pub enum Field<'a> {
    /// In quotes where it could be read as two.
    Text(&'a str),
    /// As it is.
    Number(i64),
}

/// One event.
pub(crate) struct Line<'a> {
    /// How important it is.
    pub level: Level,
    /// The part of the program.
    pub unit: &'a str,
    /// Parts of one text.
    pub text: &'a [&'a str],
    /// Names and values behind the text.
    pub fields: &'a [(&'a str, Field<'a>)],
    /// Its moment: [`Format::stamp`].
    pub stamp: &'a str,
}

/// So many characters are left of a text, and of each field, of a line that is too long. With escapes
/// they can be up to ten times as many.
const PART: usize = 200;

impl Line<'_> {
    /// Adds the line, with its end, to `out`.
    pub fn add_to(&self, out: &mut String, format: Format) {
        // Writing into memory cannot fail.
        let _ = match format {
            Format::Text => self.as_text(out),
            Format::Json => self.as_json(out),
        };
    }

    /// The same with the beginning of the text and of each field.
    pub fn add_short_to(&self, out: &mut String, format: Format) {
        let text = self.text.concat();
        let fields = self.fields.iter().map(|(name, value)| match value {
            Field::Text(text) => (*name, Field::Text(beginning(text))),
            number => (*name, *number),
        });
        let fields: Vec<(&str, Field)> = fields.collect();
        let text = [beginning(&text), "…"];
        Line { text: &text, fields: &fields, ..*self }.add_to(out, format);
    }

    fn as_text(&self, out: &mut String) -> fmt::Result {
        let (mark, _) = self.level.words();
        [self.stamp, " [", self.unit, "] ", mark].iter().for_each(|part| out.push_str(part));
        for part in self.text {
            escape(part, out);
        }
        for (name, value) in self.fields {
            [" ", name, "="].iter().for_each(|part| out.push_str(part));
            match value {
                Field::Text(text) if is_plain(text) => out.push_str(text),
                Field::Text(text) => write!(out, "{text:?}")?,
                Field::Number(number) => write!(out, "{number}")?,
            }
        }
        out.push('\n');
        Ok(())
    }

    fn as_json(&self, out: &mut String) -> fmt::Result {
        let (_, level) = self.level.words();
        let mut object = serde_json::json!({
            "time": self.stamp, "level": level, "unit": self.unit, "message": self.text.concat(),
        });
        for (name, value) in self.fields {
            object[*name] = match value {
                Field::Text(text) => (*text).into(),
                Field::Number(number) => (*number).into(),
            };
        }
        writeln!(out, "{object}")
    }
}

/// The beginning of a text.
fn beginning(text: &str) -> &str {
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
pub(crate) fn escape(text: &str, out: &mut String) {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let mut rest = text;
    while let Some((at, c)) = rest.char_indices().find(|(_, c)| breaks(*c)) {
        out.push_str(&rest[..at]);
        out.extend(c.escape_default());
        rest = &rest[at + c.len_utf8()..];
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
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
        let stamp = &format.stamp(NOW);
        Line { level, unit, text: &[text], fields, stamp }.add_to(&mut out, format);
        out
    }

    #[test]
    fn a_text_line_looks_like_those_of_the_seed_documents() {
        let line = line(Level::Info, Format::Text, "PG", "connected", &[]);
        assert_eq!(line, "2026/11/22 13:37:00 [PG] connected\n");
    }

    #[test]
    fn an_event_with_newlines_and_controls_stays_one_line() {
        let line = line(Level::Warn, Format::Text, "PG", "a\nb\u{1b}[31m\u{2028}c", &[]);
        assert_eq!(line, "2026/11/22 13:37:00 [PG] WARN: a\\nb\\u{1b}[31m\\u{2028}c\n");
    }

    #[test]
    fn a_json_line_is_one_object() {
        let line = line(Level::Error, Format::Json, "SES", "a\n\"b\"", &[]);
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["time"], "2026-11-22T13:37:00.000Z");
        assert_eq!(value["level"], "error");
        assert_eq!(value["message"], "a\n\"b\"");
        assert_eq!(line.matches('\n').count(), 1);
    }

    #[test]
    fn fields_stand_behind_a_text_and_are_members_of_json() {
        let id = Field::Text("a b\nc=\"d\"");
        let fields = [("ms", Field::Number(12)), ("id", id), ("status", Field::Text("sent"))];
        let text = line(Level::Info, Format::Text, "SES", "done", &fields);
        let wanted = "2026/11/22 13:37:00 [SES] done ms=12 id=\"a b\\nc=\\\"d\\\"\" status=sent\n";
        assert_eq!(text, wanted);
        let text = line(Level::Info, Format::Json, "SES", "done", &fields);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["message"], &value["ms"]), (&"done".into(), &12.into()));
        assert_eq!(value["id"], "a b\nc=\"d\"");
    }
}
