//! What is read, what is refused, and what arrives.

use super::{recipients, sent};
use crate::support::endpoint::Endpoint;
use crate::support::program::Program;
use crate::support::records::{activation, activations, record, token};
use std::io::{Seek as _, Write as _};

#[test]
fn bad_messages_are_reported_and_kept_and_the_good_ones_beside_them_are_sent() {
    let endpoint = Endpoint::start();
    let good = |n: u32| activation(&format!("good{n}"), n).map(String::into_bytes);
    let with = |index: usize, value: &[u8]| {
        let mut fields = activation("bad", 99).map(String::into_bytes);
        fields[index] = value.to_vec();
        fields
    };
    let bad = [
        (with(0, b"9"), "no template for action 9"),
        (with(0, b"x"), "the action is not a number"),
        (with(1, b"nobody"), "no @"),
        (with(1, b"a\nb@example.com"), "control characters"),
        (with(2, b"caf\xe9"), "the login is not UTF-8"),
        (with(3, b"short"), "not a token"),
        (with(3, "!".repeat(86).as_bytes()), "not a token"),
        (with(4, b"1234"), "five digits"),
    ];
    let mut input = record(good(0));
    for (n, (fields, _)) in (1..).zip(&bad) {
        input.extend(record(good(n).iter().chain(fields).chain(&good(n + 100))));
    }
    input.extend(record(["1", "four@example.com", "fields", "only"]));
    input.extend(record(good(200)));

    let dir = tempfile::tempdir().unwrap();
    let finished =
        Program::send(&endpoint.url()).env("MAILROOM_SES_OUTPUT_PATH", dir.path()).input(&input);
    assert_eq!(finished.code, Some(65), "{}", finished.log);
    for (number, (_, why)) in (2..).zip(&bad) {
        let line = finished.log.lines().find(|line| line.contains(&format!("record {number}")));
        let line = line.unwrap_or_else(|| panic!("nothing of record {number}:\n{}", finished.log));
        assert!(line.contains(why) && line.contains("message 2"), "{line}");
    }
    assert!(finished.log.contains("record 10: has 4 fields"), "{}", finished.log);
    let to = sent(&endpoint);
    assert_eq!(to.len(), 2 + 2 * bad.len());
    assert!(to.iter().all(|to| to.starts_with("good")));

    let kept = std::fs::read(dir.path().join("undelivered.csv")).unwrap();
    let mut expected: Vec<u8> = bad.iter().flat_map(|(fields, _)| record(fields)).collect();
    expected.extend(record(["1", "four@example.com", "fields", "only"]));
    assert_eq!(kept, expected, "{}", String::from_utf8_lossy(&kept));
}

#[test]
fn good_input_ends_with_status_0_and_leaves_no_file() {
    let endpoint = Endpoint::start();
    let finished = Program::send(&endpoint.url()).input(activations("user", 3));
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert_eq!(finished.undelivered, "");
    let to = ["user1@example.com", "user2@example.com", "user3@example.com"];
    assert_eq!(recipients(&endpoint.accepted()), to);
    let nothing = Program::send(&endpoint.url()).input("");
    assert_eq!(nothing.code, Some(0), "{}", nothing.log);
}

#[test]
fn lines_that_end_in_crlf_are_read() {
    let endpoint = Endpoint::start();
    let lf = String::from_utf8([activations("a", 2), activations("b", 1)].concat()).unwrap();
    let finished = Program::send(&endpoint.url()).input(lf.replace('\n', "\r\n"));
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    let mails = endpoint.accepted();
    assert_eq!(recipients(&mails), ["a1@example.com", "a2@example.com", "b1@example.com"]);
    assert_eq!(mails[2].data["code"], "");
}

#[test]
fn fifty_messages_go_in_one_call_and_fifty_one_in_two() {
    let endpoint = Endpoint::start();
    for (count, calls) in [(50, 1), (51, 2)] {
        let before = endpoint.requests().len();
        let finished = Program::send(&endpoint.url()).input(activations("user", count));
        assert_eq!(finished.code, Some(0), "{}", finished.log);
        assert_eq!(endpoint.requests().len() - before, calls);
    }
    assert_eq!(endpoint.accepted().len(), 101);
}

#[test]
fn odd_logins_arrive_verbatim_at_one_recipient_each() {
    let endpoint = Endpoint::start();
    let forged = format!("x\n1,eve@example.com,eve,{},\n", token(7));
    let logins = [
        "comma, and \"quote\"".to_owned(),
        "line\nfeed\r\nand return".to_owned(),
        "back\\slash \\n \\\"".to_owned(),
        "\u{1F600} {{secret}} </script>".to_owned(),
        "é".repeat(254),
        "\u{0}\u{7f}\u{2028}".to_owned(),
        format!("a\",\"b{forged}"),
        forged,
    ];
    let fields = logins.iter().zip(1..).flat_map(|(login, n)| {
        let mut fields = activation(&format!("user{n}"), n);
        fields[2] = login.clone();
        fields
    });
    let finished = Program::send(&endpoint.url()).input(record(fields));
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    let mails = endpoint.accepted();
    assert_eq!(mails.len(), logins.len());
    for ((mail, login), n) in mails.iter().zip(&logins).zip(1..) {
        assert_eq!(mail.to, format!("user{n}@example.com"));
        assert_eq!(mail.data["login"], login.as_str());
        assert_eq!(mail.data["secret"], token(n).as_str());
    }
}

#[test]
fn each_action_goes_by_its_own_template() {
    let endpoint = Endpoint::start();
    let mut recovery = activation("two", 2);
    (recovery[0], recovery[4]) = ("2".to_owned(), "01234".to_owned());
    let fields = [activation("one", 1), recovery, activation("three", 3)].concat();
    let finished = Program::send(&endpoint.url())
        .env("MAILROOM_TEMPLATES", "1=welcome,2=forgotten")
        .input(record(fields));
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    let mails = endpoint.accepted();
    let seen: Vec<_> = mails.iter().map(|mail| (&mail.to[..3], mail.template.as_str())).collect();
    assert_eq!(seen, [("one", "welcome"), ("thr", "welcome"), ("two", "forgotten")]);
    assert_eq!(mails[2].data["code"], "01234");
    assert_eq!(endpoint.requests().len(), 2);
}

#[test]
fn a_login_that_looks_like_a_message_after_a_record_that_is_too_long_is_sent_to_nobody() {
    let endpoint = Endpoint::start();
    let victim = String::from_utf8(activations("victim", 1)).unwrap();
    let login = format!("{}\n{victim}", "x".repeat(300_000));
    let bad = record(["1", "eve@example.com", &login, &token(2), ""]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("input.csv");
    std::fs::write(&path, [activations("good", 1), bad, activations("behind", 1)].concat())
        .unwrap();
    let input = std::fs::File::open(&path).unwrap();
    let finished = Program::send(&endpoint.url()).stdin(input).output();
    assert_eq!(finished.code, Some(65), "{}", finished.log);
    assert!(finished.log.contains("record 2: longer than"), "{}", finished.log);
    assert!(finished.log.contains("nothing after it is read"), "{}", finished.log);
    assert_eq!(sent(&endpoint), ["good1@example.com"]);
}

#[test]
fn two_that_would_read_one_pipe_are_told_apart() {
    let endpoint = Endpoint::start();
    let (reader, writer) = std::io::pipe().unwrap();
    let first = Program::send(&endpoint.url()).stdin(reader.try_clone().unwrap()).start();
    first.wait_log("configured");
    let second = Program::send(&endpoint.url()).stdin(reader).output();
    assert_eq!(second.code, Some(78), "{}", second.log);
    assert!(second.log.contains("another process reads this standard input"), "{}", second.log);
    drop(writer);
    assert_eq!(first.finish().code, Some(0));
    // One after the other may read the same.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("input.csv");
    std::fs::write(&path, activations("user", 1)).unwrap();
    for _ in 0..2 {
        let input = std::fs::File::open(&path).unwrap();
        let finished = Program::send(&endpoint.url()).stdin(input).output();
        assert_eq!(finished.code, Some(0), "{}", finished.log);
    }
}

#[test]
fn a_last_record_without_its_line_feed_is_not_sent() {
    let endpoint = Endpoint::start();
    let mut input = [activations("whole", 1), activations("cut", 1)].concat();
    input.pop();
    let finished = Program::send(&endpoint.url()).input(&input);
    assert_eq!(finished.code, Some(65), "{}", finished.log);
    assert!(finished.log.contains("record 2: the record does not end with a line feed"));
    // It is kept nowhere, so nobody is sent to look.
    assert!(
        finished.log.ends_with("bad records or messages in the input: 1\n"),
        "{}",
        finished.log
    );
    assert_eq!(sent(&endpoint), ["whole1@example.com"]);
}

#[test]
fn an_output_directory_that_cannot_be_written_to_is_found_before_anything_is_read() {
    let endpoint = Endpoint::start();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&activations("user", 1)).unwrap();
    file.rewind().unwrap();
    let finished = Program::send(&endpoint.url())
        .env("MAILROOM_SES_OUTPUT_PATH", "/dev/null/output")
        .stdin(file.try_clone().unwrap())
        .output();
    assert_eq!(finished.code, Some(78), "{}", finished.log);
    assert!(finished.log.contains("MAILROOM_SES_OUTPUT_PATH"), "{}", finished.log);
    assert_eq!(file.stream_position().unwrap(), 0, "something was read");
}

#[test]
fn debug_mode_prints_the_requests_and_sends_nothing() {
    let endpoint = Endpoint::start();
    let finished = Program::send(&endpoint.url())
        .env("MAILROOM_DEBUG", "true")
        .env("MAILROOM_SES_SOURCE", "Acme, Inc. <a@example.com>")
        .input(activations("user", 2));
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert_eq!(endpoint.connections(), 0);
    assert!(finished.out.contains("\"Acme, Inc.\" <a@example.com>"), "{}", finished.out);
    let url = format!("POST {}/v2/email/outbound-bulk-emails", endpoint.url());
    for text in [&url, "activationv1", "user1@example.com", "user2@example.com", &token(2)] {
        assert!(finished.out.contains(text), "no {text:?} in:\n{}", finished.out);
    }
}

#[test]
fn debug_mode_whose_reader_is_gone_keeps_what_it_read_and_blames_nobody() {
    let endpoint = Endpoint::start();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let program = Program::send(&endpoint.url()).env("MAILROOM_DEBUG", "true").stdout(writer);
    let finished = program.input(activations("user", 2));
    assert_eq!(finished.code, Some(74), "{}", finished.log);
    assert_eq!(finished.undelivered.lines().count(), 2, "{}", finished.log);
    assert!(finished.log.contains("the process could not go on; kept in"), "{}", finished.log);
    assert!(!finished.log.contains("asked to stop"), "{}", finished.log);
}

#[test]
fn debug_mode_needs_no_credentials() {
    let finished = Program::send("http://127.0.0.1:9")
        .without("AWS_ACCESS_KEY_ID")
        .without("AWS_SECRET_ACCESS_KEY")
        .env("MAILROOM_DEBUG", "true")
        .input(activations("user", 1));
    assert_eq!(finished.code, Some(0), "{}", finished.log);
}

#[test]
fn without_credentials_it_does_not_begin() {
    let finished = Program::send("http://127.0.0.1:9").without("AWS_ACCESS_KEY_ID").input("");
    assert_eq!(finished.code, Some(78), "{}", finished.log);
    assert!(finished.log.contains("AWS_ACCESS_KEY_ID"), "{}", finished.log);
}
