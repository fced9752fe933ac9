//! Servers that die, freeze or never answer.

use super::{ask, open, parse_with, probe};
use crate::support::cluster::{Cluster, shared};
use crate::support::program::PATIENCE;
use mailroom::edges::pg::connect;
use mailroom::edges::pg::fault::Fault;
use mailroom::edges::pg::session::Session;
use mailroom::edges::stop::Stop;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// A stopped process, which goes on when this is dropped.
struct Frozen(Pid);

impl Frozen {
    fn new(pid: i32) -> Frozen {
        kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
        Frozen(Pid::from_raw(pid))
    }

    fn backend(session: &mut Session) -> Frozen {
        Frozen::new(ask(session, "SELECT pg_backend_pid()::text").parse().unwrap())
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGCONT);
    }
}

fn both_ways(cluster: &Cluster) -> [String; 2] {
    [cluster.url("postgres"), cluster.tcp_url("postgres")]
}

/// Runs `step`, and fails if it took less than so many seconds. How long it may take at most is that it
/// ends at all: what it waits for never comes, or after more than [`PATIENCE`].
fn timed<T>(least: f32, step: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = step();
    let took = begun.elapsed();
    assert!(took.as_secs_f32() >= least && took < PATIENCE, "took {took:?}, at least {least} s");
    done
}

fn lost<T>(result: Result<T, Fault>) -> String {
    match result {
        Err(Fault::Lost(text)) => text,
        Err(other) => panic!("not lost: {other:?}"),
        Ok(_) => panic!("there was an answer"),
    }
}

#[test]
fn a_terminated_backend_is_noticed_while_waiting() {
    let cluster = shared();
    for url in both_ways(cluster) {
        let mut session = open(&url).unwrap();
        let pid = ask(&mut session, "SELECT pg_backend_pid()::text");
        // Takes the answer to the closing of that statement, so that the next word is the last.
        probe(&mut session).unwrap();
        let mut other = open(&url).unwrap();
        assert_eq!(ask(&mut other, &format!("SELECT pg_terminate_backend({pid})::text")), "true");
        let text = lost(session.wait(Instant::now() + Duration::from_secs(20)));
        assert!(text.contains("57P01"), "{text}");
        lost(session.wait(Instant::now() + Duration::from_secs(20)));
        lost(probe(&mut session));
    }
}

#[test]
fn a_frozen_backend_is_noticed_at_the_deadline_and_closing_does_not_wait_for_it() {
    let cluster = Cluster::start(&[]);
    for url in both_ways(&cluster) {
        let mut session = open(&url).unwrap();
        let frozen = Frozen::backend(&mut session);
        let text = timed(0.9, || {
            lost(session.call(Duration::from_secs(1), |client| client.simple_query("SELECT 1")))
        });
        assert!(text.contains("no answer within 1.0 s"), "{text}");
        lost(probe(&mut session));
        timed(0.0, || drop(session));
        drop(frozen);

        let mut unasked = open(&url).unwrap();
        let frozen = Frozen::backend(&mut unasked);
        timed(0.0, || drop(unasked));
        drop(frozen);
    }
}

#[test]
fn a_frozen_server_is_noticed_while_connecting() {
    let cluster = Cluster::start(&[]);
    let frozen = Frozen::new(cluster.pid());
    for url in both_ways(&cluster) {
        let text = timed(0.9, || lost(open(&format!("{url} connect_timeout=1"))));
        assert!(text.contains("no answer"), "{text}");
    }
    drop(frozen);
    for url in both_ways(&cluster) {
        probe(&mut open(&url).unwrap()).unwrap();
    }
}

#[test]
fn a_port_that_accepts_and_never_answers_is_noticed() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    for mode in ["disable", "prefer", "require"] {
        let text =
            format!("host=127.0.0.1 port={port} user=u dbname=d sslmode={mode} connect_timeout=1");
        let text = timed(0.9, || lost(open(&text)));
        assert!(text.contains("no answer"), "{text}");
    }
}

/// A port of a listener whose queue is full: the kernel drops every new connection's packets.
fn black_hole() -> (std::os::fd::OwnedFd, Vec<std::net::TcpStream>, u16) {
    use nix::sys::socket::*;
    use std::os::fd::AsRawFd as _;
    let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(fd.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
    listen(&fd, Backlog::new(0).unwrap()).unwrap();
    let address: SockaddrIn = getsockname(fd.as_raw_fd()).unwrap();
    let to = std::net::SocketAddr::from(([127, 0, 0, 1], address.port()));
    let mut queued = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&to, Duration::from_millis(300)) {
        queued.push(stream);
    }
    (fd, queued, address.port())
}

#[test]
fn an_address_that_swallows_packets_is_given_up_at_the_timeout_and_at_the_stop_flag() {
    let (_fd, _queued, port) = black_hole();
    let text = format!("host=127.0.0.1 port={port} user=u dbname=d");
    timed(2.8, || lost(open(&format!("{text} connect_timeout=3"))));
    let target = parse_with(&text, &[]).unwrap();
    let stop = Stop::new();
    stopped_after(Duration::from_millis(300), &stop, || {
        timed(0.2, || lost(connect(&target, &stop)));
    });
}

/// Raises the flag from another thread while `step` runs.
fn stopped_after(delay: Duration, stop: &Stop, step: impl FnOnce()) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(delay);
            stop.request();
        });
        step();
    });
}

#[test]
fn the_stop_flag_ends_a_wait_within_two_seconds_and_a_blocked_call_within_four() {
    let cluster = shared();
    let stop = Stop::new();
    let target = parse_with(&cluster.url("postgres"), &[]).unwrap();
    let mut session = connect(&target, &stop).unwrap();
    stopped_after(Duration::from_millis(200), &stop, || {
        let until = Instant::now() + 2 * PATIENCE;
        assert_eq!(timed(0.1, || session.wait(until)).unwrap(), 0);
    });
    // What is asked after the request is still answered.
    probe(&mut session).unwrap();

    let stop = Stop::new();
    let mut session = connect(&target, &stop).unwrap();
    stopped_after(Duration::from_millis(200), &stop, || {
        let sleep = "SET statement_timeout = 0; SELECT pg_sleep(60)";
        let text = timed(3.0, || {
            lost(session.call(Duration::from_secs(60), |client| client.batch_execute(sleep)))
        });
        assert!(text.contains("asked to stop"), "{text}");
    });
}

#[test]
fn a_session_outlives_many_calls_and_waits_after_its_deadline_was_lifted() {
    let mut session = open(&shared().tcp_url("postgres")).unwrap();
    for _ in 0..5 {
        session.call(Duration::from_millis(400), |client| client.simple_query("SELECT 1")).unwrap();
        assert_eq!(session.wait(Instant::now() + Duration::from_millis(500)).unwrap(), 0);
    }
    probe(&mut session).unwrap();
}

#[test]
fn a_server_that_was_restarted_ends_the_wait_and_takes_a_new_session() {
    let cluster = Cluster::start(&[]);
    let mut session = open(&cluster.url("postgres")).unwrap();
    cluster.control(&["stop", "-m", "fast"]);
    lost(session.wait(Instant::now() + Duration::from_secs(20)));
    lost(open(&cluster.url("postgres")));
    lost(open(&cluster.tcp_url("postgres")));
    cluster.control(&["start"]);
    probe(&mut open(&cluster.url("postgres")).unwrap()).unwrap();
}
