//! What the two wire formats have in common: the five fields of a message, and what reading gives.
//!
//! In scope: what a message must be, and what is said of one that is bad. Out of scope: how fields
//! become text (`wire/csv.rs`, `wire/cloudevents.rs`), files, and whether there is a template for an
//! action.

pub mod cloudevents;
pub mod csv;
pub mod fields;

use crate::mail::model::{Kind, Message};
use crate::mail::token::{self, Parsed};

/// Fields of a message: `action,email,login,secret,code`.
pub const FIELDS: usize = 5;

/// The longest record that is read, in bytes: far more than 50 messages can need. A quote that is
/// never closed must not swallow the memory.
pub const RECORD_LIMIT: usize = 256 * 1024;

/// What is wrong with a record at the end of the input that has no line feed. It was not handed over
/// completely: it is bad, whatever it looks like, and is not kept, because the writer still has it.
pub const CUT: &str =
    "the record does not end with a line feed, so it may be cut short; it was not sent";

/// What is wrong with a message whose action is none.
const NO_ACTION: &str = "the action is not a number from 1 to 32767";

/// A record that was read: its good messages, and what was bad.
pub struct Record {
    /// Counted from 1; of an event, that of its line.
    pub number: u64,
    /// The messages that can be sent, each with its place in the record, from 1.
    pub good: Vec<(usize, Message)>,
    /// Those that cannot.
    pub bad: Vec<Bad>,
}

/// A message, or a whole record, that cannot be used.
pub struct Bad {
    /// Place of the message in its record, from 1; `None`: the whole record.
    pub message: Option<usize>,
    /// What is wrong, without the content.
    pub why: String,
    /// The same text again as a CSV record, to be kept for a person. Empty if it was too long to keep.
    pub raw: Vec<u8>,
}

impl Record {
    /// A record of which nothing can be used.
    pub fn bad(number: u64, why: impl Into<String>, raw: Vec<u8>) -> Record {
        let bad = vec![Bad { message: None, why: why.into(), raw }];
        Record { number, good: Vec::new(), bad }
    }
}

/// Reads records from bytes as they come.
pub trait Decode {
    /// Takes bytes from the front of `input`, at most up to the end of a record.
    ///
    /// Gives the number of bytes taken and the record, if one ended. Call again with the rest.
    /// `input` must not be empty: that would mean the end, which is [`Decode::finish`].
    fn push(&mut self, input: &[u8]) -> (usize, Option<Record>);

    /// The end of the input. What has no line feed by then is bad.
    fn finish(&mut self) -> Option<Record>;

    /// Whether a record is a batch, as its writer made it; else it is one message.
    fn is_batch(&self) -> bool;

    /// Whether nothing more can be read: where the next record begins is not known.
    fn is_lost(&self) -> bool {
        false
    }
}

/// Reads the five fields of a message. The others it has from `blank`, whose kind becomes its own: most
/// that come after one another are of one kind.
///
/// # Errors
/// What is wrong with it, without the content.
pub fn message(fields: [&[u8]; FIELDS], blank: &mut Message) -> Result<Message, String> {
    let mut texts = [""; FIELDS];
    let names = ["action", "email", "login", "secret", "code"];
    for ((text, field), name) in texts.iter_mut().zip(fields).zip(names) {
        *text = std::str::from_utf8(field).map_err(|_| format!("the {name} is not UTF-8"))?;
    }
    let [action, email, login, token, code] = texts;
    let number = Kind::parse_number(action).ok_or(NO_ACTION)?;
    let [email, login, token, code] = [email, login, token, code].map(str::to_owned);
    if blank.kind.number != Some(number) {
        blank.kind = Kind::numbered(number).into();
    }
    checked(Message { email, login, token, code, ..blank.clone() })
}

/// The message, if it can be sent as it is. One that names its kind, and with it a template, may
/// have no token.
///
/// # Errors
/// What is wrong with it, without the content.
pub fn checked(message: Message) -> Result<Message, String> {
    check_address(&message.email)?;
    let without = message.token.is_empty() && message.kind.template.is_some();
    if !without && Parsed::from_text(&message.token).is_err() {
        return Err("the secret is not a token of 86 base64url characters".to_owned());
    }
    if !(message.code.is_empty() || token::is_code(&message.code)) {
        return Err("the code is neither empty nor five digits".to_owned());
    }
    Ok(message)
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
        Some(("", _) | (_, "")) => Err("the address has nothing on one side of its @".to_owned()),
        Some(_) => Ok(()),
    }
}
