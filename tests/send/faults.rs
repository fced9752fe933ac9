//! The provider refuses, breaks off, or says nothing sensible.

use super::sent;
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::pipe::{do_not_block, offer};
use crate::support::program::{Program, messages, wait_until};
use crate::support::records::{activation, activations, record};
use std::fs::File;
use std::io::Write as _;

#[test]
fn what_can_pass_is_tried_again_in_place_until_it_is_accepted() {
    let endpoint = Endpoint::start();
    for (reply, copies) in [
        (Reply::error(429, "TooManyRequestsException", "slow down"), 1),
        (Reply::Full(503, Vec::new(), "<html>".to_owned()), 1),
        // Whether it was accepted cannot be known; here it was not.
        (Reply::Reset, 1),
        (Reply::Statuses(vec![("TRANSIENT_FAILURE", "later")]), 1),
        // Here it was.
        (Reply::AcceptThenReset, 2),
        (Reply::Truncated, 2),
    ] {
        let before = endpoint.accepted().len();
        let shown = format!("{reply:?}");
        let ambiguous = copies == 2 || matches!(reply, Reply::Reset);
        endpoint.push(reply);
        let finished = Program::send(&endpoint.url()).input(activations("user", 1));
        assert_eq!(finished.code, Some(0), "{shown}: {}", finished.log);
        assert_eq!(endpoint.accepted().len() - before, copies, "{shown}: {}", finished.log);
        assert_eq!(finished.log.contains("ambiguous"), ambiguous, "{shown}: {}", finished.log);
        assert_eq!(finished.undelivered, "", "{shown}");
    }
}

#[test]
fn while_it_tries_again_nothing_more_is_read_and_what_was_read_is_kept_at_the_end() {
    let endpoint = Endpoint::start();
    let busy = vec![("retry-after", "600".to_owned())];
    endpoint.set(Reply::Full(503, busy, String::new()));
    let (reader, mut writer) = std::io::pipe().unwrap();
    do_not_block(&writer);
    let dir = tempfile::tempdir().unwrap();
    let send = Program::send(&endpoint.url())
        .env("MAILROOM_SES_OUTPUT_PATH", dir.path())
        .stdin(reader)
        .start();
    let line = activations("user", 50);
    writer.write_all(&line).unwrap();
    send.wait_log("not now");

    // The pipe fills, and stays full.
    let mut rest = line.repeat(100);
    let whole = line.len() + rest.len();
    offer(&mut writer, &send, &mut rest, 1);
    let written = whole - rest.len();
    assert!(written < 128 * 1024, "{written} bytes were taken");
    assert_eq!(endpoint.requests().len(), 1);

    // It must stop, and the writer has handed over all of this.
    let finished = send.stop_in_time();
    let kept = std::fs::read_to_string(dir.path().join("undelivered.csv")).unwrap();
    let whole = written / line.len();
    assert!(whole > 5, "{written}");
    let count: usize = kept.lines().map(|line| messages(line).len()).sum();
    assert_eq!(count, whole * 50, "{}", finished.log);
}

#[test]
fn what_is_rejected_or_out_of_attempts_is_kept_and_can_be_replayed_from_the_very_file() {
    let endpoint = Endpoint::start();
    let dir = tempfile::tempdir().unwrap();
    let send = || {
        Program::send(&endpoint.url())
            .env("MAILROOM_SES_OUTPUT_PATH", dir.path())
            .env("MAILROOM_MAX_ATTEMPTS", "1")
    };
    let file = dir.path().join("undelivered.csv");
    let kept = || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let mut lines: Vec<String> =
            text.lines().map(|line| messages(line)[0][1].clone()).collect();
        lines.sort();
        lines
    };
    endpoint.push(Reply::Statuses(vec![
        ("MESSAGE_REJECTED", "Email address is on the suppression list"),
        ("SUCCESS", ""),
        ("FAILED", "try again"),
    ]));
    let mut odd = activation("user4", 4);
    odd[2] = "a,\"b\"\nc".to_owned();
    let input = [activations("user", 3), record(odd)].concat();
    let finished = send().input(&input);
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert_eq!(kept(), ["user1@example.com", "user3@example.com"]);
    assert!(finished.log.contains("u***@example.com: MESSAGE_REJECTED"), "{}", finished.log);
    assert!(finished.log.contains("undelivered.csv"), "{}", finished.log);
    let saved = std::fs::read_dir(dir.path())
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().ends_with("_0.http"));
    assert_eq!(saved.count(), 1, "the reply was not saved");

    // Still refused: it is kept again, once, and the reading ends.
    endpoint.set(Reply::Statuses(vec![("MESSAGE_REJECTED", "no")]));
    let finished = send().stdin(File::open(&file).unwrap()).output();
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert_eq!(kept(), ["user1@example.com", "user3@example.com"]);

    endpoint.set(Reply::Accept);
    let finished = send().stdin(File::open(&file).unwrap()).output();
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert!(!file.exists(), "what was delivered is still kept");
    let mut to = sent(&endpoint);
    to.sort();
    assert_eq!(to.len(), 4);
    to.dedup();
    assert_eq!(to.len(), 4, "{to:?}");
}

#[test]
fn one_message_at_fault_does_not_take_the_others_of_its_call_with_it() {
    let endpoint = Endpoint::start();
    // The whole call is refused, then its first half; the rest goes.
    endpoint.push(Reply::error(400, "BadRequestException", "one of them is bad"));
    endpoint.push(Reply::error(400, "BadRequestException", "one of them is bad"));
    let finished = Program::send(&endpoint.url()).input(activations("user", 2));
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert_eq!(sent(&endpoint), ["user2@example.com"]);
    assert_eq!(messages(finished.undelivered.lines().next().unwrap())[0][1], "user1@example.com");
}

#[test]
fn an_address_that_a_provider_could_read_as_two_is_kept_and_nobody_is_written_to() {
    let endpoint = Endpoint::start();
    let mut fields = activation("user", 1);
    fields[1] = "john@example.com,eve@example.com".to_owned();
    let finished = Program::send(&endpoint.url()).input(record(fields));
    assert_eq!(endpoint.requests().len(), 0);
    assert!(finished.undelivered.contains("eve@example.com"), "{}", finished.log);
}

#[test]
fn no_more_than_a_thousand_replies_are_saved_and_that_is_said_once() {
    let endpoint = Endpoint::start();
    // Of each record one message is refused.
    endpoint.set(Reply::Statuses(vec![("MESSAGE_REJECTED", "bad")]));
    let dir = tempfile::tempdir().unwrap();
    let input: Vec<u8> = (0..1010).flat_map(|n| activations(&format!("user{n}-"), 2)).collect();
    let finished =
        Program::send(&endpoint.url()).env("MAILROOM_SES_OUTPUT_PATH", dir.path()).input(input);
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert_eq!(endpoint.requests().len(), 1010);
    let saved = std::fs::read_dir(dir.path())
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().ends_with("_0.http"));
    assert_eq!(saved.count(), 1000);
    assert_eq!(finished.log.matches("1000 replies saved").count(), 1, "{}", finished.log);
}

#[test]
fn after_the_end_of_its_input_it_says_what_it_waits_for_and_keeps_the_rest_in_time() {
    let endpoint = Endpoint::start();
    let dir = tempfile::tempdir().unwrap();
    for (reply, reason) in [
        (Reply::error(400, "SendingPausedException", "paused"), "everything is held: Sending"),
        (Reply::Statuses(vec![("TRANSIENT_FAILURE", "later"); 50]), "not now: TRANSIENT_FAILURE"),
    ] {
        endpoint.set(reply);
        let send = || {
            Program::send(&endpoint.url())
                .env("MAILROOM_SES_OUTPUT_PATH", dir.path())
                .env("MAILROOM_END_TIMEOUT", "1s")
        };
        let finished = send().input(activations("user", 3));
        assert_eq!(finished.code, Some(75), "{}", finished.log);
        assert!(finished.log.contains(reason), "{}", finished.log);
        let waits = "the input is at its end, and messages wait for another try: 3; what is left \
                     after 1 s (MAILROOM_END_TIMEOUT), or when process ";
        assert!(finished.log.contains(waits), "{}", finished.log);
        let file = dir.path().join("undelivered.csv");
        assert!(finished.log.contains(&format!("3; kept in {}", file.display())));
        let kept = std::fs::read_to_string(&file).unwrap();
        assert_eq!(kept.lines().map(|line| messages(line).len()).sum::<usize>(), 3, "{kept}");
        // The rest goes another time.
        endpoint.set(Reply::Accept);
        let before = endpoint.accepted().len();
        assert_eq!(send().stdin(File::open(&file).unwrap()).output().code, Some(0));
        assert_eq!(endpoint.accepted().len(), before + 3);
    }
}

#[test]
fn one_mail_that_is_put_off_keeps_no_other_in_the_pipe() {
    let endpoint = Endpoint::start();
    endpoint.push(Reply::Statuses(vec![("TRANSIENT_FAILURE", "later")]));
    let mut send = Program::send(&endpoint.url()).env("MAILROOM_MAX_ATTEMPTS", "1").start();
    send.write(activations("late", 1));
    send.wait_log("not now: TRANSIENT_FAILURE");
    send.write(activations("user", 3));
    // Its own next try comes within a second, perhaps before them.
    wait_until("the others are sent", || {
        sent(&endpoint).iter().filter(|to| to.starts_with("user")).count() == 3
    });
}
