//! `undelivered.csv`: several processes, and a file that is not what it should be.

use crate::support::endpoint::{Endpoint, Reply};
use crate::support::program::{Program, Running, wait_until};
use crate::support::records::activations;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::Path;

/// A sender whose mail will be refused for good, and kept in `dir`.
fn refused(endpoint: &Endpoint, dir: &Path) -> Running {
    endpoint.set(Reply::Statuses(vec![("MESSAGE_REJECTED", "no")]));
    let mut send = Program::send(&endpoint.url()).env("MAILROOM_SES_OUTPUT_PATH", dir).start();
    send.write(activations("user", 1));
    send.close_input();
    send.wait_log("MESSAGE_REJECTED");
    send
}

/// Waits until it has this file open.
fn wait_open(send: &Running, path: &Path) {
    let open = format!("/proc/{}/fd", send.pid());
    wait_until("it has the file open", || {
        let mut open = std::fs::read_dir(&open).unwrap().flatten();
        open.any(|one| std::fs::read_link(one.path()).is_ok_and(|to| to == path))
    });
}

#[test]
fn a_record_is_not_kept_in_the_middle_of_that_of_another_process() {
    let endpoint = Endpoint::start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("undelivered.csv");
    let file = File::options().append(true).create(true).open(&path).unwrap();
    let mut locked = Flock::lock(file, FlockArg::LockExclusive).unwrap();
    let other = activations("other", 2);
    let (half, rest) = other.split_at(50);
    locked.write_all(half).unwrap();
    let send = refused(&endpoint, dir.path());
    wait_open(&send, &path);
    // It had its turn: without the lock it would have written.
    send.wait_turns(3);
    locked.write_all(rest).unwrap();
    drop(locked);
    assert_eq!(send.finish().code, Some(0));
    assert_eq!(std::fs::read(&path).unwrap(), [other, activations("user", 1)].concat());
}

#[test]
fn a_record_does_not_go_into_a_file_that_was_given_another_name_while_it_waited() {
    let endpoint = Endpoint::start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("undelivered.csv");
    let file = File::options().append(true).create(true).open(&path).unwrap();
    let locked = Flock::lock(file, FlockArg::LockExclusive).unwrap();
    let send = refused(&endpoint, dir.path());
    // It has opened the file, and waits for the lock.
    wait_open(&send, &path);
    let renamed = dir.path().join("undelivered.1.csv");
    std::fs::rename(&path, &renamed).unwrap();
    drop(locked);
    assert_eq!(send.finish().code, Some(0));
    assert_eq!(std::fs::read(&path).unwrap(), activations("user", 1));
    assert_eq!(std::fs::read(&renamed).unwrap(), b"");
}

#[test]
fn a_process_that_never_lets_the_lock_go_keeps_no_record_from_being_kept() {
    let endpoint = Endpoint::start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("undelivered.csv");
    let file = File::options().append(true).create(true).open(&path).unwrap();
    let _locked = Flock::lock(file, FlockArg::LockExclusive).unwrap();
    assert_eq!(refused(&endpoint, dir.path()).finish().code, Some(0));
    assert_eq!(std::fs::read(&path).unwrap(), activations("user", 1));
}

#[test]
fn a_file_that_cannot_be_written_to_is_found_before_anything_is_read() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("undelivered.csv")).unwrap();
    let mut input = tempfile::tempfile().unwrap();
    input.write_all(&activations("user", 1)).unwrap();
    input.rewind().unwrap();
    let finished = Program::send("http://127.0.0.1:9")
        .env("MAILROOM_SES_OUTPUT_PATH", dir.path())
        .stdin(input.try_clone().unwrap())
        .output();
    assert_eq!(finished.code, Some(78), "{}", finished.log);
    assert!(finished.log.contains("MAILROOM_SES_OUTPUT_PATH"), "{}", finished.log);
    assert!(finished.log.contains("undelivered.csv: Is a directory"), "{}", finished.log);
    assert_eq!(input.stream_position().unwrap(), 0, "something was read");
}

#[test]
fn a_file_that_is_read_again_takes_the_name_of_no_other() {
    let endpoint = Endpoint::start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("undelivered.csv");
    for round in 1..=3 {
        std::fs::write(&path, activations("user", round)).unwrap();
        let finished = Program::send(&endpoint.url())
            .env("MAILROOM_SES_OUTPUT_PATH", dir.path())
            .stdin(File::open(&path).unwrap())
            .output();
        assert_eq!(finished.code, Some(0), "{}", finished.log);
        let files = std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(files, round as usize, "a file was written over");
    }
}
