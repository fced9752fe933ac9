//! A batch as text: one CSV record, or CloudEvents (`wire/events.rs`); and back.
//!
//! [RFC 4180](https://www.rfc-editor.org/rfc/rfc4180) with `,` and `"`, quoted only where needed,
//! ended by a line feed; five fields a message: `action,email,login,secret,code`. In scope: bytes
//! in, messages out, with positions in what is bad. Out of scope: reading, writing, and whether
//! there is a template for an action.

pub mod events;

use crate::mail::model::{Batch, Message};
use crate::mail::token;

/// Fields of a message.
const FIELDS: usize = 5;

/// The longest record that is read, in bytes: far more than 50 messages can need. A quote that is
/// never closed must not swallow the memory, nor what stands within quotes become a record.
pub const RECORD_LIMIT: usize = 256 * 1024;

/// What is wrong with a record without its line feed.
const CUT: &str =
    "the record does not end with a line feed, so it may be cut short; it was not sent";

/// Most fields of a record: more messages than one batch may hold, so that it can be reported.
const ENDS_LIMIT: usize = FIELDS * 1024;

/// Writes a batch as one CSV record at the end of `out`.
pub fn encode(batch: &Batch, out: &mut Vec<u8>) {
    let numbers: Vec<String> = batch.messages.iter().map(|m| m.action.to_string()).collect();
    let fields = batch.messages.iter().zip(&numbers).flat_map(|(message, action)| {
        [
            action.as_bytes(),
            message.email.as_bytes(),
            message.login.as_bytes(),
            message.token.as_bytes(),
            message.code.as_bytes(),
        ]
    });
    encode_fields(fields, out);
}

/// Writes fields as one CSV record at the end of `out`.
fn encode_fields<'a>(fields: impl IntoIterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::Any(b'\n'))
        .buffer_capacity(1024)
        .from_writer(out);
    // Writing into memory cannot fail, and records of any length are allowed one at a time.
    let _ = writer.write_record(fields);
    let _ = writer.flush();
}

/// A record that was read: its good messages, and what was bad.
#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    /// Counted from 1; of an event, that of its line.
    pub number: u64,
    /// The messages that can be sent.
    pub good: Vec<Message>,
    /// Those that cannot.
    pub bad: Vec<Bad>,
}

/// A message, or a whole record, that cannot be used.
#[derive(PartialEq, Eq)]
pub struct Bad {
    /// Place of the message in its record, from 1; `None`: the whole record.
    pub message: Option<usize>,
    /// What is wrong, without the content.
    pub why: String,
    /// The same text again, encoded, to be kept for a person. Empty if it was too long to keep.
    pub raw: Vec<u8>,
}

impl std::fmt::Debug for Bad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bad({:?}: {})", self.message, self.why)
    }
}

/// What reads the text, as it was written.
pub enum Reader {
    /// CSV records.
    Records(Box<Decoder>),
    /// CloudEvents.
    Events(events::Decoder),
}

impl Reader {
    /// As [`Decoder::push`]; an event is a record of one message.
    pub fn push(&mut self, input: &[u8]) -> (usize, Option<Record>) {
        match self {
            Reader::Records(decoder) => decoder.push(input),
            Reader::Events(decoder) => decoder.push(input),
        }
    }

    /// What the numbers of the records count.
    pub fn counts(&self) -> &'static str {
        match self {
            Reader::Records(_) => "record",
            Reader::Events(_) => "line",
        }
    }

    /// Whether nothing more can be read: where the next record begins cannot be told.
    pub fn is_lost(&self) -> bool {
        match self {
            Reader::Records(decoder) => decoder.is_lost(),
            // No line feed stands within JSON.
            Reader::Events(_) => false,
        }
    }

    /// As [`Decoder::finish`].
    pub fn finish(&mut self) -> Option<Record> {
        match self {
            Reader::Records(decoder) => decoder.finish(),
            Reader::Events(decoder) => decoder.finish(),
        }
    }
}

/// Reads records from bytes as they come.
pub struct Decoder {
    reader: csv_core::Reader,
    fields: Vec<u8>,
    used: usize,
    ends: Vec<usize>,
    ended: usize,
    number: u64,
    /// After a record that was too long.
    lost: bool,
    /// Whether bytes of a record that has not ended were seen.
    open: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder::new()
    }
}

impl Decoder {
    /// A decoder that has seen nothing.
    pub fn new() -> Decoder {
        Decoder {
            reader: csv_core::Reader::new(),
            fields: vec![0; 4096],
            used: 0,
            ends: vec![0; 64 * FIELDS],
            ended: 0,
            number: 0,
            lost: false,
            open: false,
        }
    }

    /// Takes bytes from the front of `input`, at most up to the end of a record.
    ///
    /// Gives the number of bytes taken and the record, if one ended. Call again with the rest.
    /// `input` must not be empty: that would mean the end, which is [`Decoder::finish`]. After a
    /// record that is too long all of it is taken, and nothing is read of it.
    pub fn push(&mut self, mut input: &[u8]) -> (usize, Option<Record>) {
        let before = input.len();
        while !input.is_empty() && !self.lost {
            let (result, taken, written, ended) = self.reader.read_record(
                input,
                &mut self.fields[self.used..],
                &mut self.ends[self.ended..],
            );
            self.open |= input[..taken].iter().any(|b| !matches!(b, b'\r' | b'\n'));
            input = &input[taken..];
            self.used += written;
            self.ended += ended;
            match result {
                csv_core::ReadRecordResult::Record => {
                    return (before - input.len(), Some(self.take()));
                }
                csv_core::ReadRecordResult::OutputFull if self.used < RECORD_LIMIT => {
                    self.fields.resize((self.fields.len() * 2).min(RECORD_LIMIT), 0);
                }
                csv_core::ReadRecordResult::OutputEndsFull if self.ends.len() < ENDS_LIMIT => {
                    self.ends.resize((self.ends.len() * 2).min(ENDS_LIMIT), 0);
                }
                csv_core::ReadRecordResult::OutputFull
                | csv_core::ReadRecordResult::OutputEndsFull => {
                    return (before - input.len(), Some(self.too_long()));
                }
                csv_core::ReadRecordResult::InputEmpty | csv_core::ReadRecordResult::End => {}
            }
        }
        (before, None)
    }

    /// Whether a record was too long. The next line feed may stand within its quotes, and what
    /// follows be a login that looks like a message.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// The end of the input. A record without its line feed was not handed over completely: it is
    /// bad, whatever it looks like, and is not kept, because the writer still has it.
    pub fn finish(&mut self) -> Option<Record> {
        if !std::mem::take(&mut self.open) {
            return None;
        }
        self.reset();
        Some(self.whole(CUT, Vec::new()))
    }

    fn reset(&mut self) {
        self.reader.reset();
        (self.used, self.ended, self.open) = (0, 0, false);
    }

    fn whole(&mut self, why: impl Into<String>, raw: Vec<u8>) -> Record {
        self.number += 1;
        let bad = Bad { message: None, why: why.into(), raw };
        Record { number: self.number, good: Vec::new(), bad: vec![bad] }
    }

    fn too_long(&mut self) -> Record {
        self.reset();
        self.lost = true;
        let why = format!(
            "longer than {RECORD_LIMIT} bytes; where the next record begins cannot be told, so \
             nothing after it is read"
        );
        self.whole(why, Vec::new())
    }

    /// Turns the record that just ended into messages.
    fn take(&mut self) -> Record {
        let ends = &self.ends[..self.ended];
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let fields: Vec<&[u8]> =
            starts.zip(ends).map(|(start, &end)| &self.fields[start..end]).collect();
        if !fields.len().is_multiple_of(FIELDS) {
            let mut why = format!("has {} fields, which is no multiple of {FIELDS}", fields.len());
            if fields.first().is_some_and(|field| field.starts_with(b"{")) {
                why.push_str("; if it is a CloudEvents object: set MAILROOM_FORMAT=cloudevents");
            }
            let mut raw = Vec::new();
            encode_fields(fields, &mut raw);
            self.reset();
            return self.whole(why, raw);
        }
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for (index, fields) in fields.chunks_exact(FIELDS).enumerate() {
            match message(fields) {
                Ok(message) => good.push(message),
                Err(why) => {
                    let mut raw = Vec::new();
                    encode_fields(fields.iter().copied(), &mut raw);
                    bad.push(Bad { message: Some(index + 1), why, raw });
                }
            }
        }
        self.reset();
        self.number += 1;
        Record { number: self.number, good, bad }
    }
}

/// Reads the five fields of a message.
fn message(fields: &[&[u8]]) -> Result<Message, String> {
    let mut texts = [""; FIELDS];
    let names = ["action", "email", "login", "secret", "code"];
    for ((text, field), name) in texts.iter_mut().zip(fields).zip(names) {
        *text = std::str::from_utf8(field).map_err(|_| format!("the {name} is not UTF-8"))?;
    }
    let [action, email, login, token, code] = texts;
    let action = match action.parse::<u16>() {
        Ok(number) if (1..=0x7fff).contains(&number) && !action.starts_with(['+', '0']) => number,
        _ => return Err("the action is not a number from 1 to 32767".to_owned()),
    };
    check_address(email)?;
    if !token::is_well_formed(token) {
        return Err("the secret is not a token of 86 base64url characters".to_owned());
    }
    if !(code.is_empty() || token::is_code(code)) {
        return Err("the code is neither empty nor five digits".to_owned());
    }
    Ok(Message {
        action,
        email: email.to_owned(),
        login: login.to_owned(),
        token: token.to_owned(),
        code: code.to_owned(),
        ticket: None,
    })
}

/// Whether a mail can be addressed to this text at all.
///
/// # Errors
/// What is wrong with it, without the text.
pub fn check_address(email: &str) -> Result<(), String> {
    if email.chars().any(char::is_control) {
        return Err("the address has control characters".to_owned());
    }
    match email.rsplit_once('@') {
        None => Err("the address has no @".to_owned()),
        Some((local, domain)) if local.is_empty() || domain.is_empty() => {
            Err("the address has nothing on one side of its @".to_owned())
        }
        Some(_) => Ok(()),
    }
}
