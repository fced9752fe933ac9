//! Datagrams for DogStatsD.

use crate::support::cluster::Database;
use crate::support::endpoint::Endpoint;
use crate::support::program::{Finished, Program};
use std::collections::{BTreeMap, BTreeSet};
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// One line of a datagram, read to the letter.
#[derive(Debug)]
struct Line {
    name: String,
    values: Vec<f64>,
    kind: String,
    tags: BTreeSet<String>,
}

/// Reads `name:value[:value…]|c|#tag:value,…`, and nothing else.
/// <https://docs.datadoghq.com/developers/dogstatsd/datagram_shell/>
fn lines(datagram: &[u8], limit: usize) -> Vec<Line> {
    assert!(datagram.len() <= limit, "{} bytes", datagram.len());
    let text = std::str::from_utf8(datagram).unwrap();
    let read = |line: &str| {
        let parts: Vec<&str> = line.split('|').collect();
        let [values, kind, tags] = parts[..] else { panic!("{line}") };
        let (name, values) = values.split_once(':').unwrap();
        let legal = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
        assert!(name.starts_with("mailroom.") && name.chars().all(legal), "{line}");
        assert!(["c", "g", "d"].contains(&kind), "{line}");
        let values: Vec<f64> = values.split(':').map(|value| value.parse().unwrap()).collect();
        assert!(kind == "d" || values.len() == 1, "{line}");
        assert!(kind != "c" || values[0] >= 1.0, "nothing was added: {line}");
        let tags = tags.strip_prefix('#').unwrap().split(',').map(str::to_owned);
        let tags: BTreeSet<String> = tags.collect();
        assert!(tags.iter().all(|tag| tag.contains(':')), "{line}");
        Line { name: name.to_owned(), values, kind: kind.to_owned(), tags }
    };
    text.split('\n').map(read).collect()
}

/// Everything that came: counts added up, the last levels, how many durations.
fn sums(lines: &[Line], wanted: &[&str]) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    let wanted: BTreeSet<String> = wanted.iter().map(|tag| (*tag).to_owned()).collect();
    for line in lines {
        assert!(line.tags.is_superset(&wanted), "{line:?}");
        let own: Vec<&str> = line.tags.difference(&wanted).map(String::as_str).collect();
        let sum = sums.entry(format!("{} {}", line.name, own.join(","))).or_insert(0.0);
        match line.kind.as_str() {
            "c" => *sum += line.values[0],
            "g" => *sum = line.values[0],
            _ => *sum += line.values.len() as f64,
        }
    }
    sums
}

/// Sends 60 mails with these settings, to the end.
fn send(settings: &[(&str, &str)]) -> Finished {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    database.accounts("user", 60);
    let mut run = Program::run(&database, &endpoint.url());
    for (name, value) in settings {
        run = run.env(name, value);
    }
    let run = run.start();
    endpoint.wait_for(60, Duration::from_secs(30));
    crate::support::program::wait_until("all are settled", || database.in_state("sent") == 60);
    let finished = run.stop();
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    finished
}

fn check(lines: &[Line], tags: &[&str]) {
    let sums = sums(lines, tags);
    for (name, value) in [
        ("mailroom.sent ", 60.0),
        ("mailroom.attempts outcome:accepted", 60.0),
        ("mailroom.queue.latency ", 60.0),
        ("mailroom.send.duration ", 6.0),
        ("mailroom.holds.active ", 0.0),
        ("mailroom.database.up ", 1.0),
    ] {
        assert_eq!(sums.get(name), Some(&value), "{name} in {sums:#?}");
    }
    assert!(sums["mailroom.last_progress.age "] < 10.0, "{sums:#?}");
    assert!(!sums.contains_key("mailroom.failed "), "{sums:#?}");
}

#[test]
fn a_server_on_udp_gets_every_number_with_the_unified_tags() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let place = socket.local_addr().unwrap().to_string();
    let finished = send(&[
        ("MAILROOM_STATSD", &place),
        ("DD_ENV", "prod|eu"),
        ("DD_SERVICE", "post"),
        ("DD_VERSION", "1.2.3"),
        ("DD_ENTITY_ID", "0f-e1"),
    ]);
    assert!(!finished.log.contains("METRICS"), "{}", finished.log);
    let mut all = Vec::new();
    let mut buffer = [0; 65_536];
    while let Ok(size) = socket.recv(&mut buffer) {
        all.extend(lines(&buffer[..size], 1432));
    }
    let tags = ["env:prod_eu", "service:post", "version:1.2.3", "dd.internal.entity_id:0f-e1"];
    check(&all, &[&tags[..], &["command:run", "queue:mailroom"]].concat());
}

#[test]
fn a_server_on_a_unix_socket_gets_them_too_and_service_and_version_are_ours_by_default() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dsd.socket");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_nonblocking(true).unwrap();
    send(&[("MAILROOM_STATSD", &format!("unix://{}", path.display()))]);
    let mut all = Vec::new();
    let mut buffer = [0; 65_536];
    while let Ok(size) = socket.recv(&mut buffer) {
        all.extend(lines(&buffer[..size], 8192));
    }
    let version = format!("version:{}", env!("CARGO_PKG_VERSION"));
    check(&all, &["service:mailroom", &version, "command:run", "queue:mailroom"]);
}

#[test]
fn a_server_that_is_absent_full_or_unreachable_stops_no_mail_and_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let full = dir.path().join("full.socket");
    let _never_read = UnixDatagram::bind(&full).unwrap();
    let filler = UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send_to(&[0; 1000], &full).is_ok() {}
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (place, told) in [
        (format!("unix://{}", full.display()), 1),
        (format!("unix://{}/none.socket", dir.path().display()), 1),
        // Nobody says that nobody listens.
        (closed, 0),
        // An address that is not in use anywhere. RFC 5737.
        ("192.0.2.1:8125".to_owned(), 0),
    ] {
        // Whoever waited for the full one would wait for ever.
        let finished = send(&[("MAILROOM_STATSD", &place)]);
        let lines = finished.log.matches("[METRICS] WARN: sending to DogStatsD at").count();
        // Without a network the system may know that it is unreachable.
        assert!(lines == told || told == 0 && lines == 1, "{place}: {}", finished.log);
    }
}

#[test]
fn a_name_that_is_not_found_stops_no_mail() {
    let finished = send(&[("MAILROOM_STATSD", "agent.invalid:8125")]);
    let told = "[METRICS] WARN: sending to DogStatsD at agent.invalid:8125: ";
    assert_eq!(finished.log.matches(told).count(), 1, "{}", finished.log);
}

#[test]
fn a_server_that_comes_later_or_is_started_again_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dsd.socket");
    let database = Database::migrated();
    let collect = Program::collect(&database)
        .env("MAILROOM_STATSD", format!("unix://{}", path.display()))
        .start();
    collect.wait_log("[METRICS] WARN");
    for _ in 0..2 {
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut buffer = [0; 65_536];
        let size = socket.recv(&mut buffer).unwrap();
        assert!(!lines(&buffer[..size], 8192).is_empty());
        std::fs::remove_file(&path).unwrap();
    }
    let finished = collect.stop();
    assert_eq!(finished.code, Some(0));
    assert!(finished.log.contains("works again"), "{}", finished.log);
}

#[test]
fn a_place_that_is_none_is_refused_by_name() {
    let finished = Program::new(&["send", "--statsd", "agent", "--metrics-file", "dir/"]).input("");
    assert_eq!(finished.code, Some(78), "{}", finished.log);
    for text in ["MAILROOM_STATSD: must be host:port", "MAILROOM_METRICS_FILE: must be the path"] {
        assert!(finished.log.contains(text), "{}", finished.log);
    }
}
