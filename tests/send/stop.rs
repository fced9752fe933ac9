//! Asked to stop: what is in the pipe is still sent, and what cannot be is kept.

use super::sent;
use crate::support::cluster::Database;
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::pipe::wait_full;
use crate::support::program::{Program, Running, messages, wait_until};
use crate::support::records::activations;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use std::io::{Read as _, Seek as _, Write as _};
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::sync::mpsc;
use std::time::{Duration, Instant};

fn kept(undelivered: &str) -> usize {
    undelivered.lines().map(|line| messages(line).len()).sum()
}

#[test]
fn what_is_in_the_pipe_is_still_sent() {
    let endpoint = Endpoint::start();
    endpoint.push(Reply::Slow(Duration::from_millis(700), Box::new(Reply::Accept)));
    let mut send = Program::send(&endpoint.url()).start();
    send.write(activations("a", 10));
    wait_until("the call is under way", || endpoint.requests().len() == 1);
    for name in ["b", "c", "d"] {
        send.write(activations(name, 10));
    }
    let finished = send.stop_in_time();
    assert_eq!(sent(&endpoint).len(), 40, "{}", finished.log);
    assert_eq!(finished.undelivered, "");
}

#[test]
fn a_terminal_that_is_closed_stops_it_unless_nohup_has_it_ignored() {
    let mut send = std::process::Command::new("sh")
        .args(["-c", "trap '' HUP; exec \"$0\" send", env!("CARGO_BIN_EXE_mailroom")])
        .env("MAILROOM_DEBUG", "true")
        .env("AWS_REGION", "eu-central-1")
        .env("MAILROOM_SES_OUTPUT_PATH", tempfile::tempdir().unwrap().path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let pid = i32::try_from(send.id()).unwrap();
    wait_until("signals are handled", || handles(pid, Signal::SIGTERM));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGHUP).unwrap();
    send.stdin.as_mut().unwrap().write_all(&activations("later", 1)).unwrap();
    let finished = send.wait_with_output().unwrap();
    assert_eq!(finished.status.code(), Some(0));
    // Two are no impatience: a shell passes on what its terminal tells both.
    let endpoint = Endpoint::start();
    endpoint.push(Reply::Slow(Duration::from_millis(700), Box::new(Reply::Accept)));
    let mut send = Program::send(&endpoint.url()).start();
    send.write(activations("twice", 1));
    wait_until("the call is under way", || endpoint.requests().len() == 1);
    send.signal(Signal::SIGHUP);
    send.signal(Signal::SIGTERM);
    send.signal(Signal::SIGHUP);
    assert_eq!(send.finish().code, Some(0));
    assert_eq!(sent(&endpoint), ["twice1@example.com"]);
    assert!(String::from_utf8_lossy(&finished.stdout).contains("later1@example.com"));
}

#[test]
fn bad_records_without_end_do_not_keep_it_from_stopping() {
    let endpoint = Endpoint::start();
    let (reader, mut input) = std::io::pipe().unwrap();
    let send = Program::send(&endpoint.url()).stdin(reader).start();
    let writer = std::thread::spawn(move || while input.write_all(b"no,message\n").is_ok() {});
    send.wait_log("bad input: record 3");
    let finished = send.stop();
    writer.join().unwrap();
    assert!(finished.log.contains("asked to stop"));
    assert!(matches!(finished.code, Some(65 | 74)), "{:?}", finished.code);
}

#[test]
fn an_idle_sender_stops_at_once() {
    let endpoint = Endpoint::start();
    let mut send = Program::send(&endpoint.url()).start();
    send.write(activations("a", 1));
    endpoint.wait_for(1, Duration::from_secs(10));
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let send = Program::send(&endpoint.url()).start();
        send.wait_log("configured");
        // The line stands before the handlers do.
        wait_until("signals are handled", || handles(send.pid(), signal));
        send.signal(signal);
        assert_eq!(send.finish().code, Some(0));
    }
    assert_eq!(send.stop().code, Some(0));
}

/// Whether the process has a handler for a signal.
fn handles(pid: i32, signal: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("SigCgt:")).unwrap();
    let caught = u64::from_str_radix(line["SigCgt:".len()..].trim(), 16).unwrap();
    caught & (1 << (signal as i32 - 1)) != 0
}

#[test]
fn while_the_provider_does_not_answer_it_still_stops_and_keeps_everything() {
    let endpoint = Endpoint::start();
    endpoint.set(Reply::Slow(Duration::from_secs(60), Box::new(Reply::Reset)));
    let mut send = Program::send(&endpoint.url()).start();
    send.write(activations("a", 10));
    wait_until("the call is under way", || endpoint.requests().len() == 1);
    send.write(activations("b", 5));
    let finished = send.stop_in_time();
    assert_eq!(kept(&finished.undelivered), 15, "{}", finished.log);
}

#[test]
fn a_stalled_reply_over_tls_is_given_up_and_kept_when_it_must_stop() {
    let endpoint = Endpoint::start_tls();
    endpoint.set(Reply::Slow(Duration::from_secs(60), Box::new(Reply::Reset)));
    let dir = tempfile::tempdir().unwrap();
    let authority = dir.path().join("ca.pem");
    std::fs::write(&authority, endpoint.ca_pem()).unwrap();
    let mut send = Program::send(&endpoint.url()).env("AWS_CA_BUNDLE", &authority).start();
    send.write(activations("a", 3));
    wait_until("the call is under way", || endpoint.requests().len() == 1);
    is_given_up(send, "ambiguous, it may have been sent");
}

#[test]
fn a_stalled_body_or_handshake_is_given_up_and_kept_when_it_must_stop() {
    // What is said before the silence, and whether a call is under way then.
    for (scheme, said) in
        [("http", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"), ("https", "")]
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let (told, silent) = mpsc::channel();
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 1 << 16]);
                stream.write_all(said.as_bytes()).unwrap();
                open.push(stream);
                let _ = told.send(());
            }
        });
        let mut send = Program::send(&url).start();
        send.write(activations("a", 3));
        silent.recv_timeout(Duration::from_secs(10)).unwrap();
        is_given_up(send, "asked to stop");
    }
}

/// In time, with status 0, and with all three messages.
fn is_given_up(send: Running, told: &str) {
    let finished = send.stop_in_time();
    assert_eq!(kept(&finished.undelivered), 3, "{}", finished.log);
    assert!(finished.log.contains(told), "{}", finished.log);
}

#[test]
fn what_is_held_is_kept_when_it_must_stop() {
    let endpoint = Endpoint::start();
    endpoint.set(Reply::error(400, "SendingPausedException", "paused for review"));
    let mut send = Program::send(&endpoint.url()).start();
    send.write(activations("a", 3));
    send.wait_log("everything is held: SendingPausedException: paused for review");
    send.write(activations("b", 3));
    let finished = send.stop_in_time();
    assert_eq!(kept(&finished.undelivered), 6, "{}", finished.log);
    assert_eq!(sent(&endpoint), [""; 0]);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let endpoint = Endpoint::start();
    endpoint.set(Reply::Slow(Duration::from_secs(60), Box::new(Reply::Reset)));
    let mut send = Program::send(&endpoint.url()).start();
    send.write(activations("a", 1));
    wait_until("the call is under way", || endpoint.requests().len() == 1);
    send.signal(Signal::SIGTERM);
    // The end of the grace would be another status.
    assert_eq!(send.insist(Signal::SIGTERM).code, Some(1));
}

#[test]
fn two_signals_at_once_are_one_request() {
    let endpoint = Endpoint::start();
    endpoint.set(Reply::Slow(Duration::from_secs(60), Box::new(Reply::Reset)));
    loop {
        let before = endpoint.requests().len();
        let mut send = Program::send(&endpoint.url()).start();
        send.write(activations("a", 3));
        wait_until("the call is under way", || endpoint.requests().len() > before);
        // As timeout(1) does: the program, then its group.
        let begun = Instant::now();
        send.signal(Signal::SIGTERM);
        send.wait_delivered();
        send.signal(Signal::SIGTERM);
        if begun.elapsed() < Duration::from_secs(1) {
            return is_given_up(send, "asked to stop");
        }
        // A machine that is so slow made two of them.
        send.kill();
    }
}

#[test]
fn a_sender_that_something_holds_up_ends_all_the_same_and_owns_up_to_what_only_it_had() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    let begin = |ack: &str| {
        let dir = tempfile::tempdir().unwrap();
        let mut send = Program::send(&endpoint.url())
            .on(&database)
            .env("MAILROOM_ACK", ack)
            .env("MAILROOM_SES_OUTPUT_PATH", dir.path())
            .start();
        send.write("no,message\n");
        send.wait_log("kept in");
        // Opening it to write waits for a reader now, and no signal ends that.
        let file = dir.path().join("undelivered.csv");
        std::fs::remove_file(&file).unwrap();
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
        send.write("no,message\n");
        (dir, send)
    };
    let sole = begin("written");
    let leased = begin("sent");
    for (_, send) in [&sole, &leased] {
        send.signal(Signal::SIGTERM);
    }
    for ((_dir, send), code) in [(sole, 74), (leased, 0)] {
        let finished = send.finish();
        assert_eq!(finished.code, Some(code), "{}", finished.log);
    }
}

#[test]
fn a_writer_that_never_ends_does_not_fill_the_memory_of_a_sender_that_must_stop() {
    let endpoint = Endpoint::start();
    endpoint.set(Reply::error(400, "SendingPausedException", "paused for review"));
    let (reader, mut writer) = std::io::pipe().unwrap();
    // So much that the sender, which logs each message, never sees it empty.
    fcntl(&reader, FcntlArg::F_SETPIPE_SZ(1 << 20)).unwrap();
    // In half a second the writer brings more than that.
    let send = Program::send(&endpoint.url()).after("ulimit -d 3000").stdin(reader).start();
    writer.write_all(&activations("a", 1)).unwrap();
    send.wait_log("everything is held");
    let watched = writer.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        let record = activations("user", 50);
        (0..).take_while(|_| writer.write_all(&record).is_ok()).count()
    });
    wait_full(&watched);
    let finished = send.stop();
    let written = writing.join().unwrap();
    // Whatever the pipe takes until it is closed is nobody's: that is said.
    assert_eq!(finished.code, Some(74), "{}", finished.log);
    assert!(finished.log.contains("asked to stop while the input went on"), "{}", finished.log);
    let kept = kept(&finished.undelivered);
    assert!(kept > 1000 && kept <= 1 + 50 * written, "{kept} of {written} records were kept");
}

#[test]
fn a_file_is_not_read_on_after_the_signal_and_the_log_says_from_where() {
    let endpoint = Endpoint::start();
    endpoint.push(Reply::Slow(Duration::from_millis(700), Box::new(Reply::Accept)));
    let mut file = tempfile::tempfile().unwrap();
    for name in ["a", "b", "c"] {
        file.write_all(&activations(name, 2)).unwrap();
    }
    file.rewind().unwrap();
    let send = Program::send(&endpoint.url()).stdin(file).start();
    wait_until("the call is under way", || endpoint.requests().len() == 1);
    let finished = send.stop();
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert_eq!(sent(&endpoint).len(), 2, "{}", finished.log);
    assert_eq!(finished.undelivered, "", "{}", finished.log);
    let said = "asked to stop before the end of the input, after record 1; the rest is in its file";
    assert!(finished.log.contains(said), "{}", finished.log);
}

#[test]
fn a_file_that_was_read_to_its_end_is_not_said_to_hold_more() {
    let endpoint = Endpoint::start();
    endpoint.set(Reply::error(400, "SendingPausedException", "paused for review"));
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&activations("a", 2)).unwrap();
    file.rewind().unwrap();
    let send = Program::send(&endpoint.url()).stdin(file).start();
    send.wait_log("everything is held");
    let finished = send.stop();
    assert_eq!(kept(&finished.undelivered), 2, "{}", finished.log);
    assert!(!finished.log.contains("the end of the input"), "{}", finished.log);
}

#[test]
fn after_its_last_look_nobody_can_write_into_the_pipe() {
    let endpoint = Endpoint::start();
    endpoint.set(Reply::error(400, "SendingPausedException", "paused for review"));
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut send = Program::send(&endpoint.url()).stdin(reader).start();
    writer.write_all(&activations("a", 3)).unwrap();
    send.wait_log("everything is held");
    // Opening it to write waits for a reader: it stands still where it keeps what it has.
    std::fs::create_dir_all(send.output_dir()).unwrap();
    let file = send.output_dir().join("undelivered.csv");
    nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
    send.signal(Signal::SIGTERM);
    wait_until("there is no reader", || {
        let mut fds = [PollFd::new(writer.as_fd(), PollFlags::empty())];
        poll(&mut fds, PollTimeout::ZERO).unwrap();
        fds[0].revents().unwrap().contains(PollFlags::POLLERR)
    });
    assert!(send.is_running(), "its end closed the pipe");
    std::fs::remove_file(&file).unwrap();
    send.kill();
}

#[test]
fn a_fifo_with_a_name_is_refused_for_a_record_may_begin_in_its_middle() {
    let endpoint = Endpoint::start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let open = || std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let finished = Program::send(&endpoint.url()).stdin(open()).start().finish();
    assert_eq!(finished.code, Some(78), "{}", finished.log);
    assert!(finished.log.contains("MAILROOM_ACK=sent"), "{}", finished.log);

    let database = Database::migrated();
    let send = Program::send(&endpoint.url()).on(&database).env("MAILROOM_ACK", "sent");
    let send = send.stdin(open()).start();
    send.wait_log("configured; ");
    assert_eq!(send.stop().code, Some(0));
}
