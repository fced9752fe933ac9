//! `send` reads events: what is refused, what is kept, and what arrives in which order.

use super::{collect, event};
use crate::support::cluster::Database;
use crate::support::endpoint::Endpoint;
use crate::support::program::{Finished, Program};
use crate::support::records::{activation, activations, record, token};
use mailroom::mail::model::{Kind, Message, Ticket};
use mailroom::mail::wire::cloudevents::{Decoder, encode};
use mailroom::mail::wire::{Decode as _, RECORD_LIMIT, Record};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

fn send(endpoint: &Endpoint) -> Program {
    Program::send(&endpoint.url()).env("MAILROOM_FORMAT", "cloudevents")
}

fn recipients(endpoint: &Endpoint) -> Vec<String> {
    endpoint.accepted().into_iter().map(|mail| mail.to).collect()
}

fn lines(events: impl IntoIterator<Item = Value>) -> Vec<u8> {
    events.into_iter().flat_map(|event| format!("{event}\n").into_bytes()).collect()
}

/// Reads `bytes` in pieces of these sizes, over and over, and then the end.
fn read(bytes: &[u8], sizes: &[usize]) -> Vec<Record> {
    let mut decoder = Decoder::default();
    let mut records = Vec::new();
    let mut sizes = sizes.iter().copied().cycle();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (mut piece, later) = rest.split_at(sizes.next().unwrap().clamp(1, rest.len()));
        while !piece.is_empty() {
            let (taken, record) = decoder.push(piece);
            assert!(taken > 0, "the decoder makes no progress");
            records.extend(record);
            piece = &piece[taken..];
        }
        rest = later;
    }
    records.extend(decoder.finish());
    records
}

proptest! {
    #[test]
    fn what_is_written_is_read_again_in_pieces_of_any_size(
        rows in vec((1u16..=0x7fff, "[^\\p{Cc}]{1,20}@[^\\p{Cc}@]{1,20}", any::<String>(),
                     "([0-9]{5})?"), 1..20),
        queue in any::<String>(),
        sizes in vec(1usize..400, 1..5),
    ) {
        let messages: Vec<Message> = rows
            .into_iter()
            .map(|(action, email, login, code)| {
                let token = token(u32::from(action));
                let kind = Kind::numbered(action).into();
                Message { kind, email, login, token, code, ..Message::default() }
            })
            .collect();
        let mut bytes = Vec::new();
        encode(&messages, &queue, &mut bytes);
        let records = read(&bytes, &sizes);
        let bad: Vec<&str> = records.iter().flat_map(|record| &record.bad).map(|bad| bad.why.as_str()).collect();
        prop_assert!(bad.is_empty(), "{bad:?}");
        let good: Vec<Message> = records.into_iter().flat_map(|record| record.good).map(|(_, message)| message).collect();
        prop_assert_eq!(good, messages);
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        bytes in prop_oneof![
            vec(any::<u8>(), 0..2000),
            vec(proptest::sample::select(&b"{}[]\",:\n\r1a \\"[..]), 0..2000),
        ],
        sizes in vec(1usize..100, 1..5),
    ) {
        let lines = bytes.split(|byte| *byte == b'\n');
        let filled = lines.filter(|line| !line.trim_ascii().is_empty()).count();
        let records = read(&bytes, &sizes);
        prop_assert_eq!(records.len(), filled);
        prop_assert!(records.iter().all(|record| record.good.is_empty() && record.bad.len() == 1));
    }
}

#[test]
fn an_event_of_a_delivery_has_its_id_again_when_it_is_written_again() {
    let ticket = Ticket { delivery: 42, lease: "a".into(), attempts: 1, age: None };
    let again = Ticket { lease: "b".into(), attempts: 2, ..ticket.clone() };
    let [first, second] = [ticket, again].map(|ticket| {
        let message = Message {
            kind: Kind::numbered(1).into(),
            email: "john@example.com".into(),
            login: "john".into(),
            token: token(1),
            code: String::new(),
            ticket: Some(ticket),
            ..Message::default()
        };
        let mut line = Vec::new();
        encode(&[message], "mailroom", &mut line);
        line
    });
    assert_eq!(first, second);
    let event: Value = serde_json::from_slice(&first).unwrap();
    assert_eq!((&event["id"], &event["source"]), (&json!("42"), &json!("/mailroom/mailroom")));
}

#[test]
fn a_line_that_is_too_long_is_reported_and_the_next_one_is_read() {
    for ending in ["\n", "   \n"] {
        let mut bytes = vec![b'x'; RECORD_LIMIT * 2];
        bytes.extend_from_slice(ending.as_bytes());
        bytes.extend(lines([event("a", 1)]));
        for size in [1000, RECORD_LIMIT, usize::MAX] {
            let records = read(&bytes, &[size]);
            assert_eq!(records.len(), 2);
            let why = &records[0].bad[0].why;
            assert!(why.contains("longer than"), "{why}");
            assert_eq!((records[1].number, records[1].good.len()), (2, 1));
        }
    }
}

/// What is changed of a good event to make it bad, and what is said of it.
fn bad_events() -> Vec<(Value, &'static str)> {
    let with = |place: &str, value: Value| {
        let mut event = event("bad", 99);
        *event.pointer_mut(place).unwrap() = value;
        event
    };
    let without = |place: &str| {
        let mut event = event("bad", 99);
        let (parent, name) = place.rsplit_once('/').unwrap();
        event.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
        event
    };
    vec![
        (json!(["1", "a"]), "is not a JSON object"),
        (without("/specversion"), "lacks specversion"),
        (without("/id"), "lacks id"),
        (without("/source"), "lacks source"),
        (without("/type"), "lacks type"),
        (with("/id", json!("")), "the attribute id is not a text, or empty"),
        (with("/id", json!(1)), "the attribute id is not a text, or empty"),
        (with("/specversion", json!("0.3")), "the specversion is not 1.0"),
        (with("/type", json!("com.example.order")), "the type is not mailroom.message"),
        (with("/datacontenttype", json!("text/csv")), "the datacontenttype is not"),
        (without("/data"), "its data is not an object"),
        (with("/data", json!("{}")), "its data is not an object"),
        (without("/data/code"), "its data lacks code"),
        (with("/data/login", json!(null)), "the login is not a text"),
        (with("/data/action", json!("1")), "the action is not a number"),
        (with("/data/action", json!(1.5)), "the action is not a number"),
        (with("/data/action", json!(0)), "the action is not a number"),
        (with("/data/email", json!("nobody")), "no @"),
        (with("/data/email", json!("a\nb@example.com")), "control characters"),
        (with("/data/secret", json!("short")), "not a token"),
        (with("/data/code", json!("1234")), "five digits"),
        // Found when it is to go, so after those that were read with it.
        (with("/data/action", json!(9)), "no template for action 9"),
    ]
}

/// Sends lines, with what was kept.
fn sent_with(endpoint: &Endpoint, input: &[u8]) -> (Finished, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let finished = send(endpoint).env("MAILROOM_SES_OUTPUT_PATH", dir.path()).input(input);
    let kept = std::fs::read(dir.path().join("undelivered.csv")).unwrap_or_default();
    (finished, kept)
}

#[test]
fn bad_events_are_reported_and_kept_and_the_good_ones_between_them_are_sent_in_order() {
    let endpoint = Endpoint::start();
    let bad = bad_events();
    let mut input = Vec::new();
    let mut expected = Vec::new();
    for (n, (event_, why)) in (1..).zip(&bad) {
        input.extend(lines([event(&format!("good{n}"), n), event_.clone()]));
        // One that is sound, and only has no template, is kept as the message that it holds.
        expected.extend(match why.contains("no template") {
            true => {
                let text = |name: &str| event_["data"][name].as_str().unwrap().to_owned();
                let action = event_["data"]["action"].to_string();
                record([action, text("email"), text("login"), text("secret"), text("code")])
            }
            false => record([event_.to_string()]),
        });
    }
    let (finished, kept) = sent_with(&endpoint, &input);
    assert_eq!(finished.code, Some(65), "{}", finished.log);
    for (number, (_, why)) in (1..).zip(&bad) {
        let start = format!("line {}", number * 2);
        let mut found = finished.log.lines().filter(|line| {
            line.contains(&format!("{start}:")) || line.contains(&format!("{start},"))
        });
        let line = found.next().unwrap_or_else(|| panic!("no {start}:\n{}", finished.log));
        assert!(line.contains(why) && found.next().is_none(), "{line}");
    }
    let good: Vec<String> = (1..=bad.len()).map(|n| format!("good{n}@example.com")).collect();
    assert_eq!(recipients(&endpoint), good);
    assert_eq!(kept, expected, "{}", String::from_utf8_lossy(&kept));
}

#[test]
fn what_is_no_json_is_reported_without_its_content() {
    let endpoint = Endpoint::start();
    let csv = String::from_utf8(activations("user", 1)).unwrap();
    let two = format!("{}{}", event("a", 1), event("b", 2));
    let cut = event("cut", 3).to_string();
    let mut input = format!("{csv}{two}\n{}\n", &cut[..cut.len() - 9]).into_bytes();
    input.extend(b"{\"id\": \"caf\xe9\"}\n");
    input.extend(lines([event("good", 4)]));
    let (finished, kept) = sent_with(&endpoint, &input);
    assert_eq!(finished.code, Some(65), "{}", finished.log);
    for (number, why) in [
        (1, "set MAILROOM_FORMAT=csv"),
        (2, "is not a JSON object: Syntax at byte"),
        (3, "is not a JSON object: Eof at byte"),
        (4, "is not UTF-8"),
    ] {
        let found = format!("line {number}: ");
        let line = finished.log.lines().find(|line| line.contains(&found)).unwrap();
        assert!(line.contains(why) && !line.contains("example.com"), "{line}");
    }
    assert_eq!(recipients(&endpoint), ["good@example.com"]);
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(&kept[..]);
    let kept: Vec<csv::ByteRecord> = reader.byte_records().map(Result::unwrap).collect();
    assert_eq!(kept.len(), 4);
    assert_eq!(&kept[0][0], csv.trim_end().as_bytes());
    assert_eq!(&kept[1][0], two.as_bytes());
}

#[test]
fn the_number_of_a_bad_line_counts_empty_lines_too() {
    let good = event("good", 1).to_string();
    let long = "x".repeat(RECORD_LIMIT + 1);
    let input = format!("\n{good}\n\n  \r\nbad\n{long}\n\nbad\n\ncut");
    for sizes in [[1, 7], [usize::MAX, 1], [4096, 3]] {
        let records = read(input.as_bytes(), &sizes);
        let numbers: Vec<u64> = records.iter().map(|record| record.number).collect();
        assert_eq!(numbers, [2, 5, 6, 8, 10]);
    }
}

#[test]
fn a_key_that_stands_twice_or_data_in_two_forms_is_refused_by_line_and_name() {
    let endpoint = Endpoint::start();
    let good = event("good", 1).to_string();
    let cases = [
        (good.replacen('{', r#"{"id":"0","#, 1), r#"has the key "id" twice in one object"#),
        // Written with an escape it is the same key; in a text it is none.
        (
            good.replace(r#""login":"#, r#""note":"\"login\":","lo\u0067in":"x","login":"#),
            r#"has the key "login" twice in one object"#,
        ),
        (good.replacen('{', r#"{"x":[{"a":1,"a":2}],"#, 1), r#"has the key "a" twice"#),
        (good.replacen('{', r#"{"SECRET!":1,"SECRET!":2,"#, 1), r#"has the key "…" twice"#),
        (good.replacen('{', r#"{"data_base64":"e30=","#, 1), "has both data and data_base64"),
        (good.replacen(r#""data":"#, r#""data_base64":"#, 1), "has data_base64; the message must"),
    ];
    // One key in several objects, or as a value, is no key twice.
    let fine = good.replacen('{', r#"{"x":[{"a":1},{"a":"id"}],"a":"\\","#, 1);
    let mut input = format!("{fine}\n\n");
    for (line, _) in &cases {
        input += &format!("{line}\n");
    }
    let (finished, kept) = sent_with(&endpoint, input.as_bytes());
    assert_eq!(finished.code, Some(65), "{}", finished.log);
    for (number, (_, why)) in (3..).zip(&cases) {
        let start = format!("bad input: line {number}: {why}");
        assert!(finished.log.contains(&start), "no {start:?}:\n{}", finished.log);
    }
    assert!(!finished.log.contains("SECRET!"));
    assert_eq!(recipients(&endpoint), ["good@example.com"]);
    let expected: Vec<u8> = cases.iter().flat_map(|(line, _)| record([line.clone()])).collect();
    assert_eq!(kept, expected, "each line is kept as it was");
}

#[test]
fn a_last_line_without_its_line_feed_is_not_sent() {
    let endpoint = Endpoint::start();
    let mut input = lines([event("whole", 1), event("cut", 2)]);
    input.pop();
    let (finished, kept) = sent_with(&endpoint, &input);
    assert_eq!((finished.code, kept.len()), (Some(65), 0), "{}", finished.log);
    assert!(finished.log.contains("line 2: the record does not end with a line feed"));
    assert_eq!(recipients(&endpoint), ["whole@example.com"]);
}

#[test]
fn empty_lines_and_crlf_and_attributes_of_others_are_no_fault() {
    let endpoint = Endpoint::start();
    let mut other = event("b", 2);
    other["traceparent"] = json!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    other["datacontenttype"] = json!("Application/JSON; charset=utf-8");
    // An attribute that is null is as if it were not there.
    let mut unset = event("c", 3);
    (unset["datacontenttype"], unset["data_base64"]) = (json!(null), json!(null));
    let input = format!("\n{}\r\n\r\n  {other} \n\n{unset}\n", event("a", 1));
    let (finished, _) = sent_with(&endpoint, input.as_bytes());
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert_eq!(recipients(&endpoint), ["a@example.com", "b@example.com", "c@example.com"]);
}

#[test]
fn events_that_are_there_go_in_full_batches() {
    let endpoint = Endpoint::start();
    let events = (1..=120).map(|n| event(&format!("user{n}"), n));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), lines(events)).unwrap();
    let finished = send(&endpoint).stdin(std::fs::File::open(file.path()).unwrap()).output();
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    let expected: Vec<String> = (1..=120).map(|n| format!("user{n}@example.com")).collect();
    assert_eq!(recipients(&endpoint), expected);
    assert_eq!(endpoint.requests().len(), 3, "{}", finished.log);
}

#[test]
fn what_could_not_be_sent_is_kept_as_csv_and_can_be_sent_again() {
    let endpoint = Endpoint::start();
    let dir = tempfile::tempdir().unwrap();
    let finished = send(&endpoint)
        .env("MAILROOM_SES_OUTPUT_PATH", dir.path())
        .env("MAILROOM_TEMPLATES", "2=other")
        .input(lines([event("user", 1)]));
    assert_eq!(finished.code, Some(65), "{}", finished.log);
    let kept = std::fs::read(dir.path().join("undelivered.csv")).unwrap();
    assert_eq!(kept, record(activation("user", 1)));
    let again = Program::send(&endpoint.url()).input(kept);
    assert_eq!(again.code, Some(0), "{}", again.log);
    assert_eq!(recipients(&endpoint), ["user@example.com"]);
}

#[test]
fn events_that_are_read_as_csv_are_told() {
    let endpoint = Endpoint::start();
    let finished = Program::send(&endpoint.url()).input(lines([event("user", 1)]));
    assert_eq!(finished.code, Some(65), "{}", finished.log);
    assert!(finished.log.contains("set MAILROOM_FORMAT=cloudevents"), "{}", finished.log);
}

#[test]
fn with_a_database_deliveries_are_settled_by_the_sender_of_events() {
    let (database, endpoint) = (Database::migrated(), Endpoint::start());
    database.accounts("user", 25);
    let (reader, writer) = std::io::pipe().unwrap();
    let collect = collect(&database).env("MAILROOM_ACK", "sent").stdout(writer).start();
    let send = send(&endpoint).on(&database).env("MAILROOM_ACK", "sent").stdin(reader).start();
    endpoint.wait_for(25, crate::support::program::PATIENCE);
    crate::support::program::wait_until("all are settled", || database.in_state("sent") == 25);
    let ids = "SELECT count(DISTINCT provider_id) FROM deliveries WHERE provider_id LIKE 'id-%'";
    assert_eq!(database.number(ids), 25);
    assert_eq!(collect.stop().code, Some(0));
    assert_eq!(send.finish().code, Some(0));
    assert_eq!(endpoint.accepted().len(), 25);
}
