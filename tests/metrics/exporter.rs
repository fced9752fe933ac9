//! The node exporter, which reads the file for Prometheus.

use super::Numbers;
use crate::support::cluster::Database;
use crate::support::endpoint::Endpoint;
use crate::support::program::{Program, wait_until};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const PROGRAM: &str = "/usr/bin/prometheus-node-exporter";

/// The exporter with nothing but the files of a folder. Dropping it stops it.
struct Exporter {
    port: u16,
    process: Child,
}

impl Exporter {
    fn start(folder: &Path) -> Exporter {
        assert!(Path::new(PROGRAM).exists(), "the node exporter is missing: run scripts/setup");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let process = Command::new(PROGRAM)
            .args(["--collector.disable-defaults", "--collector.textfile"])
            .args([
                "--web.disable-exporter-metrics",
                &format!("--web.listen-address=127.0.0.1:{port}"),
            ])
            .arg(format!("--collector.textfile.directory={}", folder.display()))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let exporter = Exporter { port, process };
        wait_until("the exporter answers", || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        exporter
    }

    /// Status line and body of what Prometheus would read.
    fn read(&self) -> (String, String) {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What is ours of a text.
fn ours(text: &str) -> String {
    let lines = text.lines().filter(|line| line.contains("mailroom_"));
    lines.filter(|line| !line.starts_with("node_")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_node_exporter_gives_each_number_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailroom.prom");
    let (database, endpoint) = (Database::migrated(), Endpoint::start());
    let run = Program::run(&database, &endpoint.url()).env("MAILROOM_METRICS_FILE", &path).start();
    database.accounts("user", 3);
    wait_until("they are sent", || database.in_state("sent") == 3);
    assert_eq!(run.stop().code, Some(0));
    let exporter = Exporter::start(folder.path());
    let (status, text) = exporter.read();
    assert!(status.contains(" 200 "), "{status}");
    assert!(text.contains("node_textfile_scrape_error 0"), "{text}");
    let (read, written) =
        (Numbers::parse(&ours(&text), "run", "mailroom"), Numbers::read(&path, "run"));
    assert_eq!(read.families, written.families);
    assert_eq!(read.values, written.values);
    assert_eq!(read.get("sent_total"), 3.0);
}

/// How often the exporter could not put together what it read.
fn faults(text: &str) -> u32 {
    let name = "promhttp_metric_handler_errors_total{cause=\"gathering\"} ";
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
}

#[test]
fn of_two_files_that_say_the_same_numbers_or_explain_them_otherwise_one_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let sent = |command: &str, help: &str, count: u32| {
        format!(
            "# HELP mailroom_sent_total {help}\n# TYPE mailroom_sent_total counter\n\
             mailroom_sent_total{{command=\"{command}\",queue=\"mailroom\"}} {count}\n"
        )
    };
    let (one, other) = (folder.path().join("one.prom"), folder.path().join("other.prom"));
    std::fs::write(&one, sent("run", "Sent.", 3)).unwrap();
    let exporter = Exporter::start(folder.path());
    for (text, given, fault) in [
        (sent("send", "Sent.", 7), 2, false),
        (sent("run", "Sent.", 7), 1, true),
        (sent("send", "Mails that were sent.", 7), 1, true),
    ] {
        std::fs::write(&other, &text).unwrap();
        let before = faults(&exporter.read().1);
        let (status, read) = exporter.read();
        assert!(status.contains(" 200 "), "{status}");
        // All that Prometheus could go by is as if nothing were wrong.
        assert!(read.contains("node_textfile_scrape_error 0"), "{read}");
        assert_eq!(read.matches("node_textfile_mtime_seconds{").count(), 2, "{read}");
        let lines = read.lines().filter(|line| line.starts_with("mailroom_sent_total{"));
        assert_eq!(lines.count(), given, "beside {text}: {read}");
        assert_eq!(faults(&read) > before, fault, "beside {text}: {read}");
    }
}
