//! Messages as CloudEvents 1.0 in JSON, one object a line; and back.
//!
//! In scope: what an event must have to be one of ours, and its message. A line is read as
//! strictly as a CSV record, and one that is bad is kept as CSV. Out of scope: batches, for there
//! are none here, and brokers.
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>

use crate::mail::model::{Batch, Message};
use crate::mail::wire::{Bad, CUT, FIELDS, RECORD_LIMIT, Record, encode_fields, message};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

/// The attribute `type` of our events.
pub const TYPE: &str = "mailroom.message";

/// What stands for itself in a URI: <https://www.rfc-editor.org/rfc/rfc3986#section-2.3>
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Writes each message as one event on a line of its own, at the end of `out`.
///
/// `id` is the delivery, so that an event that is written again can be told: the pair of `source`
/// and `id` is the same.
pub fn encode(batch: &Batch, queue: &str, out: &mut Vec<u8>) {
    for message in &batch.messages {
        let id = message.ticket.as_ref().map(|ticket| ticket.delivery).unwrap_or_default();
        let event = json!({
            "specversion": "1.0",
            "id": id.to_string(),
            "source": source(queue),
            "type": TYPE,
            "subject": message.action.to_string(),
            "datacontenttype": "application/json",
            "data": {
                "action": message.action,
                "email": message.email,
                "login": message.login,
                "secret": message.token,
                "code": message.code,
            },
        });
        out.extend_from_slice(event.to_string().as_bytes());
        out.push(b'\n');
    }
}

/// `/mailroom/QUEUE` as a URI reference, which `source` must be.
fn source(queue: &str) -> String {
    format!("/mailroom/{}", utf8_percent_encode(queue, UNRESERVED))
}

/// Reads events from bytes as they come.
#[derive(Default)]
pub struct Decoder {
    line: Vec<u8>,
    /// Line feeds so far.
    ended: u64,
    /// Skipping to the next line feed, after a line that was too long.
    skipping: bool,
}

impl Decoder {
    /// A decoder that has seen nothing.
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// Takes bytes from the front of `input`, at most up to the end of a line.
    ///
    /// Gives the number of bytes taken and the record, if one ended; empty lines are none. Call
    /// again with the rest.
    pub fn push(&mut self, input: &[u8]) -> (usize, Option<Record>) {
        let end = input.iter().position(|&byte| byte == b'\n');
        let taken = end.map_or(input.len(), |end| end + 1);
        let number = self.ended + 1;
        self.ended += u64::from(end.is_some());
        if self.skipping {
            self.skipping = end.is_none();
            return (taken, None);
        }
        let piece = &input[..end.unwrap_or(input.len())];
        if self.line.len() + piece.len() > RECORD_LIMIT {
            self.line = Vec::new();
            self.skipping = end.is_none();
            let why = format!("longer than {RECORD_LIMIT} bytes; skipped up to the next line feed");
            return (taken, Some(bad(number, why, Vec::new())));
        }
        self.line.extend_from_slice(piece);
        if end.is_none() {
            return (taken, None);
        }
        let line = std::mem::take(&mut self.line);
        let record = match line.trim_ascii() {
            [] => None,
            text => Some(take(number, text)),
        };
        self.line = line;
        self.line.clear();
        (taken, record)
    }

    /// The end of the input. As with CSV, a line without its line feed is bad and is not kept.
    pub fn finish(&mut self) -> Option<Record> {
        let line = std::mem::take(&mut self.line);
        let number = self.ended + 1;
        (!line.trim_ascii().is_empty()).then(|| bad(number, CUT.to_owned(), Vec::new()))
    }
}

fn take(number: u64, line: &[u8]) -> Record {
    match read(line) {
        Ok(message) => Record { number, good: vec![message], bad: Vec::new() },
        Err(Wrong { why, raw }) => bad(number, why, raw),
    }
}

fn bad(number: u64, why: String, raw: Vec<u8>) -> Record {
    Record { number, good: Vec::new(), bad: vec![Bad { message: None, why, raw }] }
}

/// What is wrong with a line, and the CSV record that keeps it.
struct Wrong {
    why: String,
    raw: Vec<u8>,
}

fn read(line: &[u8]) -> Result<Message, Wrong> {
    // What has no five fields is kept as a record of one: the line as it was.
    let wrong = |why: String| {
        let mut raw = Vec::new();
        encode_fields([line], &mut raw);
        Wrong { why, raw }
    };
    let fields = fields(line).map_err(wrong)?;
    let fields: Vec<&[u8]> = fields.iter().map(String::as_bytes).collect();
    message(&fields).map_err(|why| {
        let mut raw = Vec::new();
        encode_fields(fields, &mut raw);
        Wrong { why, raw }
    })
}

/// The five fields of the message that an event holds.
fn fields(line: &[u8]) -> Result<[String; FIELDS], String> {
    let text = std::str::from_utf8(line).map_err(|_| "is not UTF-8".to_owned())?;
    // Not in serde_json's own words: they may quote the line.
    let event: Value = serde_json::from_str(text).map_err(|error| {
        let hint =
            if text.starts_with('{') { "" } else { "; to read CSV: set MAILROOM_FORMAT=csv" };
        format!("is not a JSON object: {:?} at byte {}{hint}", error.classify(), error.column())
    })?;
    let Value::Object(event) = event else { return Err("is not a JSON object".to_owned()) };
    if let Some(key) = repeated(text) {
        return Err(format!("has the key {} twice in one object", named(&key)));
    }
    for name in ["specversion", "id", "source", "type"] {
        match event.get(name) {
            Some(Value::String(text)) if !text.is_empty() => {}
            Some(_) => return Err(format!("the attribute {name} is not a text, or empty")),
            None => return Err(format!("lacks {name}, which every CloudEvents event has")),
        }
    }
    if event["specversion"] != "1.0" {
        return Err("the specversion is not 1.0".to_owned());
    }
    if event["type"] != TYPE {
        return Err(format!("the type is not {TYPE}"));
    }
    let json = match event.get("datacontenttype") {
        None | Some(Value::Null) => true,
        Some(found) => found.as_str().is_some_and(is_json),
    };
    if !json {
        return Err("the datacontenttype is not application/json".to_owned());
    }
    if event.get("data_base64").is_some_and(|data| !data.is_null()) {
        let has =
            if event.contains_key("data") { "both data and data_base64" } else { "data_base64" };
        return Err(format!("has {has}; the message must be an object in data alone"));
    }
    let Some(Value::Object(data)) = event.get("data") else {
        return Err("its data is not an object".to_owned());
    };
    let action = match data.get("action") {
        Some(Value::Number(number)) => number.to_string(),
        _ => return Err("the action is not a number from 1 to 32767".to_owned()),
    };
    Ok([
        action,
        text_of(data, "email")?,
        text_of(data, "login")?,
        text_of(data, "secret")?,
        text_of(data, "code")?,
    ])
}

/// A key that stands twice in one object of a text that is JSON: readers differ in which value
/// they take. <https://www.rfc-editor.org/rfc/rfc8259#section-4>
fn repeated(json: &str) -> Option<String> {
    let mut objects: Vec<Map<String, Value>> = Vec::new();
    let mut rest = json;
    while let Some(at) = rest.find(['{', '}', '"']) {
        let (mark, after) = rest.split_at(at + 1);
        rest = after;
        if mark.ends_with('{') {
            objects.push(Map::new());
        } else if mark.ends_with('}') {
            objects.pop();
        } else {
            let (string, after) = after.split_at(end_of_string(after)?);
            rest = after.strip_prefix('"')?;
            if rest.trim_start().starts_with(':') {
                // An escape in it does not make it another key.
                let Value::String(key) = serde_json::from_str(&format!("\"{string}\"")).ok()?
                else {
                    return None;
                };
                let keys = objects.last_mut()?;
                if keys.contains_key(&key) {
                    return Some(key);
                }
                keys.insert(key, Value::Null);
            }
        }
    }
    None
}

/// Where the quote is that ends a string of JSON.
fn end_of_string(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

/// A key as it may stand in the log: whole if it is a name, for it could be anything.
/// <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#attribute-naming-convention>
fn named(key: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if key.len() <= 20 && key.chars().all(plain) {
        format!("{key:?}")
    } else {
        "\"…\"".to_owned()
    }
}

/// Whether a media type, with or without parameters, is JSON's.
fn is_json(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn text_of(data: &Map<String, Value>, name: &str) -> Result<String, String> {
    match data.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(format!("the {name} is not a text")),
        None => Err(format!("its data lacks {name}")),
    }
}
