//! `undelivered.csv` cannot be written: what can be sent is sent all the same, what cannot be kept
//! waits in memory for the disk, and what was lost is counted.

use super::sent;
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::pipe::{do_not_block, offer};
use crate::support::program::{PATIENCE, Program, messages};
use crate::support::records::{activation, activations, record};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A directory whose `undelivered.csv` is on a disk without room.
fn full_disk() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("undelivered.csv");
    symlink("/dev/full", &file).unwrap();
    (dir, file)
}

fn send(endpoint: &Endpoint, dir: &Path) -> Program {
    Program::send(&endpoint.url()).env("MAILROOM_SES_OUTPUT_PATH", dir)
}

/// The fields of a message that is refused.
fn bad(name: &str, number: u32) -> [String; 5] {
    let mut fields = activation(name, number);
    fields[3] = "short".to_owned();
    fields
}

/// A record of one message that is refused and nine that are not.
fn mixed(name: &str) -> Vec<u8> {
    let good = (1..10).flat_map(|n| activation(&format!("{name}{n}"), n));
    record(bad(name, 99).into_iter().chain(good))
}

/// The addresses that are kept.
fn kept(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "half a record is kept: {text}");
    text.lines().flat_map(messages).map(|[_, email, ..]| email).collect()
}

#[test]
fn a_full_disk_loses_no_mail_that_can_be_sent_and_what_it_loses_is_counted() {
    let endpoint = Endpoint::start();
    let (dir, _) = full_disk();
    let input = [mixed("a"), mixed("b"), activations("c", 10)].concat();
    let finished = send(&endpoint, dir.path()).input(input);
    assert_eq!(sent(&endpoint).len(), 28, "{}", finished.log);
    assert_eq!(finished.code, Some(74), "{}", finished.log);
    assert!(finished.log.contains("messages lost: 2; "), "{}", finished.log);
    assert!(finished.log.contains("No space left"), "{}", finished.log);
}

#[test]
fn a_file_that_may_not_grow_is_as_a_full_disk() {
    let endpoint = Endpoint::start();
    let dir = tempfile::tempdir().unwrap();
    let mut send = send(&endpoint, dir.path()).start();
    send.wait_log("configured");
    let limited = std::process::Command::new("prlimit")
        .args(["--fsize=10", "--pid", &send.pid().to_string()])
        .status();
    assert!(limited.unwrap().success());
    send.write(mixed("a"));
    send.close_input();
    let finished = send.finish();
    assert_eq!(sent(&endpoint).len(), 9, "{}", finished.log);
    assert_eq!(finished.code, Some(74), "{}", finished.log);
    assert!(finished.log.contains("File too large"), "{}", finished.log);
    assert_eq!(kept(&dir.path().join("undelivered.csv")), [""; 0]);
}

#[test]
fn what_is_rejected_while_the_disk_is_full_does_not_end_the_sending() {
    let endpoint = Endpoint::start();
    let (dir, _) = full_disk();
    endpoint.push(Reply::Statuses(vec![("MESSAGE_REJECTED", "no such mailbox")]));
    let finished =
        send(&endpoint, dir.path()).input([activations("a", 2), activations("b", 2)].concat());
    assert_eq!(sent(&endpoint).len(), 3, "{}", finished.log);
    assert_eq!(finished.code, Some(74), "{}", finished.log);
    assert!(finished.log.contains("messages lost: 1; "), "{}", finished.log);
}

#[test]
fn a_disk_that_has_room_again_gets_what_waited_for_it() {
    let endpoint = Endpoint::start();
    let (dir, file) = full_disk();
    let mut send = send(&endpoint, dir.path()).start();
    send.write([mixed("a"), mixed("b")].concat());
    endpoint.wait_for(18, PATIENCE);
    send.wait_log_times("held in memory", 2);
    std::fs::remove_file(&file).unwrap();
    // Nothing is read meanwhile: it tries again by itself.
    send.wait_log("messages from memory now kept");
    assert_eq!(kept(&file), ["a@example.com", "b@example.com"]);
    send.write(mixed("c"));
    send.close_input();
    let finished = send.finish();
    assert_eq!(finished.code, Some(65), "{}", finished.log);
    assert_eq!(sent(&endpoint).len(), 27);
    assert_eq!(kept(&file), ["a@example.com", "b@example.com", "c@example.com"]);
}

#[test]
fn a_record_that_did_not_fit_leaves_no_half_of_it_behind() {
    let endpoint = Endpoint::start();
    let dir = tempfile::tempdir().unwrap();
    let count = 30;
    let input: Vec<u8> = (0..count).flat_map(|n| record(bad(&format!("user{n}"), n))).collect();
    // No file may be longer than one block: a write beyond it is cut short, then refused.
    let finished = send(&endpoint, dir.path()).after("trap '' XFSZ; ulimit -f 1").input(&input);
    assert_eq!(finished.code, Some(74), "{}", finished.log);
    let kept = kept(&dir.path().join("undelivered.csv"));
    assert!(kept.len() > 5 && kept.len() < 30, "{} are kept", kept.len());
    let expected: Vec<String> = (0..kept.len()).map(|n| format!("user{n}@example.com")).collect();
    assert_eq!(kept, expected);
    let lost = format!("messages lost: {}; ", count as usize - kept.len());
    assert!(finished.log.contains(&lost), "{}", finished.log);
}

#[test]
fn when_a_mebibyte_waits_for_the_disk_nothing_more_is_read_until_there_is_room() {
    let endpoint = Endpoint::start();
    let (dir, file) = full_disk();
    let (reader, mut writer) = std::io::pipe().unwrap();
    do_not_block(&writer);
    let send = send(&endpoint, dir.path()).stdin(reader).start();

    let count = 60;
    let mut input: Vec<u8> = (0..count)
        .flat_map(|n| {
            let mut fields = bad(&format!("user{n}"), n);
            fields[2] = "x".repeat(50_000);
            record(fields)
        })
        .collect();
    let whole = input.len();
    offer(&mut writer, &send, &mut input, 1 << 20);
    let taken = whole - input.len();
    assert!((1 << 20..3 << 19).contains(&taken), "{taken} of {whole} bytes were taken");
    std::fs::remove_file(&file).unwrap();
    let rest = input.len();
    offer(&mut writer, &send, &mut input, rest);
    assert!(input.is_empty(), "{} bytes were not taken", input.len());
    drop(writer);
    let finished = send.finish();
    assert_eq!(finished.code, Some(65), "{}", finished.log);
    let expected: Vec<String> = (0..count).map(|n| format!("user{n}@example.com")).collect();
    assert_eq!(kept(&file), expected);
}

#[test]
fn asked_to_stop_while_the_disk_is_full_it_ends_in_time_and_says_what_is_lost() {
    let endpoint = Endpoint::start();
    let (dir, _) = full_disk();
    endpoint.set(Reply::error(400, "SendingPausedException", "paused for review"));
    let mut send = send(&endpoint, dir.path()).start();
    send.write(activations("a", 3));
    send.wait_log("everything is held");
    send.write(activations("b", 4));
    let finished = send.stop();
    assert_eq!(finished.code, Some(74), "{}", finished.log);
    assert!(finished.log.contains("messages lost: 7; "), "{}", finished.log);
}
