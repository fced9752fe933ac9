//! The wire format: what is written is read again, and nothing else is.

use crate::support::records::{activation, record, token};
use mailroom::mail::model::{Kind, Message};
use mailroom::mail::wire::csv::Decoder;
use mailroom::mail::wire::fields::encode;
use mailroom::mail::wire::{Decode as _, RECORD_LIMIT, Record};
use proptest::collection::vec;
use proptest::prelude::*;

fn message(action: u16, email: String, login: String, code: &str) -> Message {
    let token = token(u32::from(action));
    Message {
        kind: Kind::numbered(action).into(),
        email,
        login,
        token,
        code: code.to_owned(),
        ..Message::default()
    }
}

/// Reads `bytes` in pieces of these sizes, over and over, and then the end.
fn read(bytes: &[u8], sizes: &[usize]) -> Vec<Record> {
    let mut decoder = Decoder::default();
    let mut records = Vec::new();
    let mut sizes = sizes.iter().copied().cycle();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(sizes.next().unwrap_or(1).clamp(1, rest.len()));
        let mut piece = piece;
        while !piece.is_empty() {
            let (taken, record) = decoder.push(piece);
            assert!(taken > 0 || record.is_some(), "the decoder makes no progress");
            records.extend(record);
            piece = &piece[taken..];
        }
        rest = later;
    }
    records.extend(decoder.finish());
    records
}

/// The messages that can be sent.
fn good(records: Vec<Record>) -> Vec<Message> {
    let good = records.into_iter().flat_map(|record| record.good);
    good.map(|(_, message)| message).collect()
}

fn logins() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[,\"\n\r\\\\ a\u{1F600}]{0,12}"]
}

fn emails() -> impl Strategy<Value = String> {
    "[^\\p{Cc}]{1,20}@[^\\p{Cc}@]{1,20}"
}

proptest! {
    #[test]
    fn what_is_written_is_read_again_in_pieces_of_any_size(
        rows in vec((1u16..=0x7fff, emails(), logins(), "([0-9]{5})?"), 1..60),
        sizes in vec(1usize..40, 1..5),
    ) {
        let messages: Vec<Message> = rows
            .into_iter()
            .map(|(action, email, login, code)| message(action, email, login, &code))
            .collect();
        let mut bytes = Vec::new();
        for chunk in messages.chunks(20) {
            encode(chunk, &mut bytes);
        }
        let records = read(&bytes, &sizes);
        let bad: Vec<_> = records.iter().flat_map(|record| &record.bad).collect();
        let bad: Vec<&str> = bad.iter().map(|bad| bad.why.as_str()).collect();
        prop_assert!(bad.is_empty(), "{bad:?}");
        let good: Vec<Message> = good(records);
        prop_assert_eq!(good, messages);
    }

    #[test]
    fn any_bytes_are_read_without_panic_and_make_no_message_of_fewer_than_five_fields(
        bytes in prop_oneof![
            vec(any::<u8>(), 0..2000),
            vec(proptest::sample::select(&b",,,\"\n\r1a@"[..]), 0..2000),
        ],
        sizes in vec(1usize..100, 1..5),
    ) {
        let commas = bytes.iter().filter(|byte| matches!(byte, b',' | b'\n' | b'\r')).count();
        let records = read(&bytes, &sizes);
        for record in &records {
            prop_assert!(record.good.len() + record.bad.len() > 0);
        }
        let groups: usize = records
            .iter()
            .map(|record| {
                let whole = record.bad.iter().filter(|bad| bad.message.is_none()).count();
                record.good.len() + record.bad.len() - whole
            })
            .sum();
        // Five fields need four commas and an end.
        prop_assert!(groups * 5 <= commas, "{groups} messages of {commas} separators");
    }

    #[test]
    fn a_login_shaped_like_messages_addresses_nobody_else(
        before in "[\",\n]{0,3}", after in "[\",\n]{0,3}",
    ) {
        let forged = record(activation("eve", 9));
        let login = format!("x{before},{}{after}", String::from_utf8(forged).unwrap());
        let victim = message(1, "john@example.com".to_owned(), login, "");
        let mut bytes = Vec::new();
        encode(std::slice::from_ref(&victim), &mut bytes);
        let records = read(&bytes, &[7]);
        prop_assert_eq!(records.len(), 1);
        prop_assert_eq!(good(records), [victim]);
    }
}

#[test]
fn plain_values_are_the_line_of_the_seed_documents() {
    let mut line = Vec::new();
    let message = message(2, "john@example.com".into(), "john".into(), "01234");
    encode(&[message.clone(), message], &mut line);
    let one = format!("2,john@example.com,john,{},01234", token(2));
    assert_eq!(String::from_utf8(line).unwrap(), format!("{one},{one}\n"));
}

#[test]
fn a_record_without_its_line_feed_is_not_sent() {
    let mut bytes = record(activation("a", 1));
    let cut = record(activation("b", 2));
    bytes.extend_from_slice(&cut[..cut.len() - 1]);
    let records = read(&bytes, &[1000]);
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].good.len(), 1);
    assert!(records[1].good.is_empty() && records[1].bad[0].why.contains("line feed"));
    assert!(records[1].bad[0].raw.is_empty());
}

#[test]
fn nothing_is_read_after_a_record_that_is_too_long() {
    let next = record(activation("a", 1));
    let fill = |byte: u8| vec![byte; RECORD_LIMIT * 2];
    // A login that looks like a message after a line feed, in each place of a record.
    let forged = [b"\n", next.as_slice()].concat();
    let login = [b"1,a@example.com,\"", fill(b'x').as_slice(), &forged].concat();
    let later = [fill(b'x').as_slice(), b",\"", &forged].concat();
    let fields = [fill(b',').as_slice(), b",\"", &forged].concat();
    for bytes in [login, later, fields, fill(b'x')] {
        let bytes = [bytes.as_slice(), b"\n", &next].concat();
        for size in [1000, 16 * 1024, usize::MAX] {
            let records = read(&bytes, &[size]);
            assert_eq!(records.len(), 1);
            assert_eq!((records[0].number, records[0].good.len()), (1, 0));
            let why = &records[0].bad[0].why;
            assert!(why.contains("longer than") && why.contains("nothing after it"), "{why}");
        }
    }
}
