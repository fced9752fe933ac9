//! Through Kafka and back, with the lines of docs/EVENTS.md and kcat. The brokers are those that the
//! library behind kcat has for tests.

use super::broker::Line;
use crate::support::cluster::Database;
use crate::support::endpoint::Endpoint;
use crate::support::program::wait_until;
use crate::support::python::python;
use crate::support::tools::tool;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// Brokers that live as long as this does.
struct Brokers {
    child: Child,
    names: String,
}

impl Brokers {
    /// `None` where kcat or the library is not installed, and need not be.
    fn start() -> Option<Brokers> {
        tool("kcat")?;
        let mut child = Command::new(python())
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/events/kafka_brokers.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut names = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut names).unwrap();
        let brokers = Brokers { child, names: names.trim().to_owned() };
        if brokers.names.is_empty() {
            assert!(std::env::var_os("CI").is_none(), "no confluent_kafka: run scripts/setup");
            eprintln!("left out, not installed: confluent_kafka; scripts/setup does it");
            return None;
        }
        Some(brokers)
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The documented producer, which is a loop, and the documented consumer.
fn documented() -> (String, String) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/EVENTS.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let block = blocks.find(|block| block.contains("kcat -P")).expect("an example with kcat");
    let (producer, consumer) = block.split_at(block.find("\nkcat -u ").expect("a consumer"));
    (producer.to_owned(), consumer.trim().to_owned())
}

#[test]
fn the_documented_lines_bring_every_mail_through_kafka_and_one_does_not_wait_for_the_next() {
    let Some(brokers) = Brokers::start() else { return };
    let (database, endpoint) = (Database::migrated(), Endpoint::start());
    let (producer, consumer) = documented();
    let broker = ("BROKERS", brokers.names.as_str());
    let out = Line::start(&producer, broker, &database, &endpoint);
    database.accounts("alone", 1);
    let back = Line::start(&consumer, broker, &database, &endpoint);
    wait_until("the only mail is settled", || database.in_state("sent") == 1);
    database.accounts("more", 30);
    wait_until("all are settled", || database.in_state("sent") == 31);
    let mut to: Vec<String> = endpoint.accepted().into_iter().map(|mail| mail.to).collect();
    assert_eq!(to.len(), 31);
    to.sort_unstable();
    to.dedup();
    assert_eq!(to.len(), 31, "somebody got two mails");
    out.stop();
    back.stop();
}

#[test]
fn the_documented_producer_ends_when_no_broker_takes_the_event() {
    if tool("kcat").is_none() {
        return;
    }
    let (database, endpoint) = (Database::migrated(), Endpoint::start());
    let (producer, _) = documented();
    let mut out = Line::start(&producer, ("BROKERS", "127.0.0.1:9"), &database, &endpoint);
    // One for the loop to end at, one for `collect` to notice.
    database.accounts("first", 1);
    let mut number = 0;
    wait_until("the line ends", || {
        number += 1;
        database.accounts(&format!("next{number}x"), 1);
        out.has_ended()
    });
    assert_eq!(endpoint.accepted().len(), 0);
    wait_until("what was not taken over waits", || database.in_state("pending") > 0);
}
