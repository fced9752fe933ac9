//! Through RabbitMQ and back, with the lines of docs/EVENTS.md and the tools that they name.

use super::{collect, event};
use crate::support::cluster::Database;
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::program::{KEY, PATIENCE, Program, Running, wait_until};
use crate::support::rabbitmq::RabbitMq;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The broker of all tests here; `None` where RabbitMQ is not installed, and need not be.
fn shared() -> Option<&'static RabbitMq> {
    static SHARED: OnceLock<RabbitMq> = OnceLock::new();
    if !RabbitMq::is_installed() && std::env::var_os("CI").is_none() {
        eprintln!("left out: RabbitMQ is not installed; scripts/setup does it");
        return None;
    }
    Some(SHARED.get_or_init(RabbitMq::start))
}

/// The line of docs/EVENTS.md that begins so, in one of its examples.
fn documented(start: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/EVENTS.md");
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().find(|line| line.starts_with(start));
    line.unwrap_or_else(|| panic!("{path} has no line {start:?}")).to_owned()
}

/// A line for the shell and everything that it started. Dropping it kills them.
pub struct Line {
    child: Child,
    dir: tempfile::TempDir,
}

impl Line {
    /// Starts a documented line as a person would; `broker` is the variable that names it.
    pub fn start(
        line: &str,
        broker: (&str, &str),
        database: &Database,
        endpoint: &Endpoint,
    ) -> Line {
        let dir = tempfile::tempdir().unwrap();
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_mailroom")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
        let child = Command::new("sh")
            .args(["-c", line])
            .env("PATH", path)
            .env(broker.0, broker.1)
            .env("MAILROOM_FORMAT", "cloudevents")
            .env("MAILROOM_ACK", "sent")
            .env("MAILROOM_DATABASE_URL", &database.url)
            .env("MAILROOM_SECRET_KEY", KEY)
            .env("MAILROOM_BATCH_TIMEOUT", "100")
            .env("AWS_ENDPOINT_URL", endpoint.url())
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
            .env("AWS_REGION", "eu-central-1")
            .current_dir(dir.path())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        Line { child, dir }
    }

    fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(-i32::try_from(self.child.id()).unwrap()), signal);
    }

    /// Whether all of it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Asks all of it to end and waits for that.
    pub fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        wait_until("the line ends", || self.child.try_wait().unwrap().is_some());
    }

    /// Waits for its end, which must be a good one.
    fn finish(mut self) {
        let mut ended = None;
        wait_until("the line ends", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap();
        assert!(ended.unwrap().success(), "{ended:?}: {log}");
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// A tool that reads or writes a pipe. Dropping it kills it.
struct Tool(Child);

impl Tool {
    fn end(mut self) -> Option<i32> {
        let mut ended = None;
        wait_until("the tool ends", || {
            ended = self.0.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap().code()
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `collect` with this acknowledgement into a queue.
fn publish(broker: &RabbitMq, database: &Database, ack: &str, queue: &str) -> (Running, Tool) {
    let (reader, writer) = std::io::pipe().unwrap();
    let collect = collect(database)
        .env("MAILROOM_ACK", ack)
        .env("MAILROOM_LEASE", "3000")
        .env("MAILROOM_HEALTHCHECK_INTERVAL", "500")
        .stdout(writer)
        .start();
    let words = ["-l", "-p", "-C", "application/cloudevents+json", "-r", queue];
    let publish = broker.tool("amqp-publish", &words).stdin(reader).spawn().unwrap();
    (collect, Tool(publish))
}

/// A queue into `send`.
fn consume(
    broker: &RabbitMq,
    database: &Database,
    endpoint: &Endpoint,
    queue: &str,
) -> (Tool, Running) {
    let (reader, writer) = std::io::pipe().unwrap();
    let words = ["-q", queue, "-p", "50", "cat"];
    let consume = broker.tool("amqp-consume", &words).stdout(writer).spawn().unwrap();
    let send = Program::send(&endpoint.url())
        .on(database)
        .env("MAILROOM_FORMAT", "cloudevents")
        .env("MAILROOM_ACK", "sent")
        .stdin(reader)
        .start();
    (Tool(consume), send)
}

#[test]
fn the_documented_lines_bring_every_mail_through_rabbitmq() {
    let Some(broker) = shared() else { return };
    let (database, endpoint) = (Database::migrated(), Endpoint::start());
    let url = broker.url();
    let broker = ("AMQP_URL", url.as_str());
    Line::start(&documented("amqp-declare-queue"), broker, &database, &endpoint).finish();
    database.accounts("before", 60);
    let [out, back] = ["mailroom collect | amqp-publish", "amqp-consume"]
        .map(|start| Line::start(&documented(start), broker, &database, &endpoint));
    database.accounts("after", 60);
    database.recovery("jane");
    wait_until("all are settled", || database.in_state("sent") == 121);
    let mut to: Vec<String> = endpoint.accepted().into_iter().map(|mail| mail.to).collect();
    assert_eq!(to.len(), 121);
    to.sort_unstable();
    to.dedup();
    assert_eq!(to.len(), 121, "somebody got two mails");
    out.stop();
    back.stop();
}

#[test]
fn a_message_for_each_line_arrives_with_its_line_feed_and_its_content_type() {
    let Some(broker) = shared() else { return };
    let database = Database::migrated();
    broker.queue("lines");
    database.accounts("user", 3);
    let (collect, publish) = publish(broker, &database, "written", "lines");
    wait_until("all were written", || database.in_state("sent") == 3);
    assert_eq!(collect.stop().code, Some(0));
    assert_eq!(publish.end(), Some(0));
    for n in 1..=3 {
        let mut message = None;
        wait_until("a message comes", || {
            message = broker.get("lines");
            message.is_some()
        });
        let message = message.unwrap();
        assert!(message.ends_with("}\n"), "{message}");
        let event: serde_json::Value = serde_json::from_str(&message).unwrap();
        assert_eq!(event["data"]["email"], format!("user{n}@example.com"));
    }
}

#[test]
fn with_ack_sent_mails_that_are_lost_between_the_broker_and_send_come_again() {
    let Some(broker) = shared() else { return };
    let (database, endpoint) = (Database::migrated(), Endpoint::start());
    broker.queue("lossy");
    let (collect, publish) = publish(broker, &database, "sent", "lossy");
    database.accounts("user", 20);
    // Takes all of them from the broker into a pipe, and dies with it.
    let (reader, writer) = std::io::pipe().unwrap();
    let words = ["-q", "lossy", "-c", "20", "cat"];
    let taker = broker.tool("amqp-consume", &words).stdout(writer).spawn().unwrap();
    assert_eq!(Tool(taker).end(), Some(0));
    assert!(broker.get("lossy").is_none());
    drop(reader);
    assert_eq!((database.in_state("sent"), endpoint.accepted().len()), (0, 0));

    let (consume, send) = consume(broker, &database, &endpoint, "lossy");
    endpoint.wait_for(20, PATIENCE);
    wait_until("all are settled", || database.in_state("sent") == 20);
    let mut to: Vec<String> = endpoint.accepted().into_iter().map(|mail| mail.to).collect();
    to.sort_unstable();
    to.dedup();
    assert_eq!((to.len(), endpoint.accepted().len()), (20, 20));
    assert_eq!(collect.stop().code, Some(0));
    assert_eq!(publish.end(), Some(0));
    drop(consume);
    assert_eq!(send.finish().code, Some(0));
}

#[test]
fn a_process_for_each_message_acknowledges_it_to_the_broker_once_it_was_sent() {
    let Some(broker) = shared() else { return };
    let (database, endpoint) = (Database::migrated(), Endpoint::start());
    broker.queue("single");
    database.accounts("user", 3);
    let (collect, publish) = publish(broker, &database, "written", "single");
    wait_until("all were written", || database.in_state("sent") == 3);
    assert_eq!(collect.stop().code, Some(0));
    assert_eq!(publish.end(), Some(0));
    // A command that dies leaves its message to the next consumer.
    let line = "amqp-consume --url=\"$AMQP_URL\" -q single -p 1 -- sh -c 'touch taken; kill -9 $$'";
    let url = broker.url();
    let failing = Line::start(line, ("AMQP_URL", &url), &database, &endpoint);
    wait_until("a message was taken", || failing.dir.path().join("taken").exists());
    drop(failing);
    let each = documented("amqp-consume --url=\"$AMQP_URL\" -q mail -p 1 -- mailroom send");
    let each = each.replace("-q mail", "-q single -c 3");
    let each = format!("MAILROOM_ACK=written {each}");
    Line::start(&each, ("AMQP_URL", &url), &database, &endpoint).finish();
    let to: Vec<String> = endpoint.accepted().into_iter().map(|mail| mail.to).collect();
    assert_eq!(to, ["user1@example.com", "user2@example.com", "user3@example.com"]);
    assert!(broker.get("single").is_none());
}

#[test]
fn what_cannot_be_sent_comes_back_three_times_and_then_lies_in_a_queue_of_its_own() {
    let Some(node) = shared() else { return };
    let (database, endpoint) = (Database::migrated(), Endpoint::start());
    for start in ["add_vhost", "set_permissions", "set_policy"] {
        node.control(&documented(&format!("rabbitmqctl {start}")));
    }
    let url = format!("{}/mailroom", node.url());
    let start = |line: &str| Line::start(line, ("AMQP_URL", &url), &database, &endpoint);
    let declared = documented("amqp-declare-queue");
    for queue in ["mail.dead", "mail"] {
        start(&declared.replace("-q mail", &format!("-q {queue}"))).finish();
    }
    let queues = || node.control("rabbitmqctl -q list_queues -p mailroom name type messages");
    assert!(queues().contains("mail.dead\tquorum\t0"), "{}", queues());

    let publish = |text: &str| {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let words = [&format!("--url={url}"), "-l", "-p", "-r", "mail"];
        let publish = Command::new("amqp-publish").args(words).stdin(reader).spawn().unwrap();
        writer.write_all(text.as_bytes()).unwrap();
        drop(writer);
        assert_eq!(Tool(publish).end(), Some(0));
    };

    // In front of the good one: a bad one, and one that the provider refuses each time.
    endpoint.set(Reply::Statuses(vec![("MESSAGE_REJECTED", "no")]));
    publish(&format!("no event\n{}\n", event("refused", 1)));
    let own = "export MAILROOM_ACK=written TMPDIR=$PWD";
    let (export, each) =
        (documented("export MAILROOM_SES_OUTPUT"), documented("while amqp-consume"));
    let consumer = start(&format!("{own}\n{export}\n{each}"));
    let dead = |count| {
        wait_until("they moved", || {
            let queues = queues();
            queues.contains(&format!("mail.dead\tquorum\t{count}\n"))
                && queues.contains("mail\tquorum\t0\n")
        })
    };
    dead(2);
    let log = || std::fs::read_to_string(consumer.dir.path().join("log")).unwrap();
    assert_eq!(log().matches("ERROR: bad input:").count(), 4, "{}", log());
    assert_eq!(log().matches("not delivered to").count(), 4, "{}", log());
    assert!(endpoint.accepted().is_empty());
    endpoint.set(Reply::Accept);
    publish(&format!("{}\n", event("good", 2)));
    endpoint.wait_for(1, PATIENCE);

    // The provider takes it now: what lies there goes back, and the bad one comes again.
    let back = documented("amqp-consume --url=\"$AMQP_URL\" -q mail.dead");
    start(&back.replace("-p 1", "-p 1 -c 2")).finish();
    endpoint.wait_for(2, PATIENCE);
    wait_until("the bad one was tried again", || log().matches("ERROR: bad input:").count() == 8);
    dead(1);
    let to: Vec<String> = endpoint.accepted().into_iter().map(|mail| mail.to).collect();
    assert_eq!(to, ["good@example.com", "refused@example.com"]);
    let kept = std::fs::read_dir(consumer.dir.path()).unwrap().flatten();
    let kept: Vec<_> = kept.map(|one| one.path().join("undelivered.csv")).collect();
    let kept: Vec<_> = kept.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect();
    assert!(kept.iter().all(|kept| kept.lines().count() == 1), "{kept:?}");
}
