//! Messages, and any fields, as one CSV record.
//!
//! [RFC 4180](https://www.rfc-editor.org/rfc/rfc4180) with `,` and `"`, quoted only where needed,
//! ended by a line feed; five fields a message: `action,email,login,secret,code`. In scope: writing.
//! Out of scope: what reads it (`wire/csv.rs`).

use crate::mail::model::Message;

/// Writes messages as one CSV record at the end of `out`.
pub fn encode(messages: &[Message], out: &mut Vec<u8>) {
    let number = |message: &Message| message.kind.number.unwrap_or_default().to_string();
    let numbers: Vec<String> = messages.iter().map(number).collect();
    let fields = messages.iter().zip(&numbers).flat_map(|(message, action)| {
        let Message { email, login, token, code, .. } = message;
        [action, email, login, token, code]
    });
    out.extend(record(fields));
}

/// Fields as one CSV record.
pub fn record(fields: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::Any(b'\n'))
        .buffer_capacity(1024)
        .from_writer(Vec::new());
    // Writing into memory cannot fail, and records of any length are allowed one at a time.
    let _ = writer.write_record(fields);
    writer.into_inner().unwrap_or_default()
}
