//! CSV records, as `wire/fields.rs` writes them, to batches.
//!
//! In scope: bytes in, messages out, with positions in what is bad. A record of one field may hold an
//! event: so `undelivered.csv` keeps what five fields cannot say. Out of scope: files.

use crate::mail::model::Message;
use crate::mail::wire::fields::record;
use crate::mail::wire::{Bad, CUT, Decode, FIELDS, RECORD_LIMIT, Record, cloudevents, message};
use csv_core::ReadRecordResult;

/// Most fields of a record: more messages than one batch may hold, so that it can be reported.
const ENDS_LIMIT: usize = FIELDS * 1024;

/// Reads records from bytes as they come.
pub struct Decoder {
    reader: csv_core::Reader,
    /// The fields of the record so far, without quotes and commas; `used` bytes of them are filled.
    fields: Vec<u8>,
    used: usize,
    /// Where each field ends; `ended` of them are filled.
    ends: Vec<usize>,
    ended: usize,
    number: u64,
    /// After a record that was too long: the next line feed may stand within its quotes, and what
    /// follows be a login that looks like a message.
    lost: bool,
}

impl Default for Decoder {
    /// A decoder that has seen nothing.
    fn default() -> Decoder {
        // Reader::default() would read nothing.
        let reader = csv_core::Reader::new();
        let (fields, ends) = (vec![0; 4096], vec![0; 64 * FIELDS]);
        Decoder { reader, fields, used: 0, ends, ended: 0, number: 0, lost: false }
    }
}

impl Decoder {
    fn read(&mut self, input: &[u8]) -> (ReadRecordResult, usize) {
        let (fields, ends) = (&mut self.fields[self.used..], &mut self.ends[self.ended..]);
        let (result, taken, used, ended) = self.reader.read_record(input, fields, ends);
        (self.used, self.ended) = (self.used + used, self.ended + ended);
        (result, taken)
    }

    /// Turns the record that just ended into messages.
    fn take(&mut self) -> Record {
        let ends = &self.ends[..self.ended];
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let fields = starts.zip(ends).map(|(start, &end)| &self.fields[start..end]);
        let fields: Vec<&[u8]> = fields.collect();
        if let [event @ [b'{', ..]] = fields.as_slice() {
            return cloudevents::read(self.number, event);
        }
        let (messages, rest) = fields.as_chunks::<FIELDS>();
        if !rest.is_empty() {
            let mut why = format!("has {} fields, which is no multiple of {FIELDS}", fields.len());
            if fields[0].starts_with(b"{") {
                why.push_str("; if it is a CloudEvents object: set MAILROOM_FORMAT=cloudevents");
            }
            return Record::bad(self.number, why, record(&fields));
        }
        let (good, mut blank) = (Vec::with_capacity(messages.len()), Message::default());
        let mut read = Record { number: self.number, good, bad: Vec::new() };
        for (place, fields) in (1..).zip(messages) {
            match message(*fields, &mut blank) {
                Ok(message) => read.good.push((place, message)),
                Err(why) => read.bad.push(Bad { message: Some(place), why, raw: record(fields) }),
            }
        }
        read
    }
}

impl Decode for Decoder {
    /// After a record that is too long all of `input` is taken, and nothing is read of it.
    fn push(&mut self, input: &[u8]) -> (usize, Option<Record>) {
        let mut done = 0;
        while done < input.len() && !self.lost {
            let (result, taken) = self.read(&input[done..]);
            done += taken;
            match result {
                ReadRecordResult::InputEmpty | ReadRecordResult::End => {}
                ReadRecordResult::OutputFull if self.used < RECORD_LIMIT => {
                    self.fields.resize((2 * self.fields.len()).min(RECORD_LIMIT), 0);
                }
                ReadRecordResult::OutputEndsFull if self.ended < ENDS_LIMIT => {
                    self.ends.resize((2 * self.ends.len()).min(ENDS_LIMIT), 0);
                }
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    self.number += 1;
                    self.lost = true;
                    let why = format!(
                        "longer than {RECORD_LIMIT} bytes; where the next record begins cannot be \
                         told, so nothing after it is read"
                    );
                    return (done, Some(Record::bad(self.number, why, Vec::new())));
                }
                ReadRecordResult::Record => {
                    self.number += 1;
                    let record = self.take();
                    (self.used, self.ended) = (0, 0);
                    return (done, Some(record));
                }
            }
        }
        (input.len(), None)
    }

    fn finish(&mut self) -> Option<Record> {
        let whole = self.lost || matches!(self.read(&[]).0, ReadRecordResult::End);
        (!whole).then(|| Record::bad(self.number + 1, CUT, Vec::new()))
    }

    fn is_batch(&self) -> bool {
        true
    }

    fn is_lost(&self) -> bool {
        self.lost
    }
}
