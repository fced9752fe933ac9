//! The log of sending: one line for each attempt, with what a person needs to follow a mail, and
//! nothing that is nobody's business.

use crate::support::cluster::Database;
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::program::{Finished, Program, wait_until};
use crate::support::records::activations;
use serde_json::Value;
use std::io::Read as _;
use std::time::Duration;

/// The value of a field at the end of a text line.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

/// The lines of attempts that came out so.
fn attempts<'a>(log: &'a str, status: &str) -> Vec<&'a str> {
    log.lines().filter(|line| field(line, "status") == Some(status)).collect()
}

const WAIT: Duration = Duration::from_millis(120);

/// One mail is accepted, one is rejected, one is tried twice; the first call takes a while.
fn three_mails(database: &Database, endpoint: &Endpoint, format: &str) -> Finished {
    let statuses = vec![
        ("SUCCESS", ""),
        ("MESSAGE_REJECTED", "refused: user2@example.com"),
        ("TRANSIENT_FAILURE", "later"),
    ];
    endpoint.push(Reply::Slow(WAIT, Box::new(Reply::Statuses(statuses))));
    database.accounts("user", 3);
    let run = Program::run(database, &endpoint.url()).env("MAILROOM_LOG_FORMAT", format).start();
    wait_until("all is settled", || {
        database.in_state("sent") == 2 && database.in_state("failed") == 1
    });
    let finished = run.stop();
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert!(!finished.log.contains("user2@"), "an address is in the log:\n{}", finished.log);
    finished
}

#[test]
fn each_attempt_has_its_line_with_what_it_was_and_what_came_of_it() {
    let (database, endpoint) = (Database::migrated(), Endpoint::start());
    let finished = three_mails(&database, &endpoint, "text");
    let log = &finished.log;
    let sent = attempts(log, "sent");
    assert_eq!(sent.len(), 2, "{log}");
    assert!(sent[0].contains(" [SES] u***@example.com: accepted status=sent "), "{}", sent[0]);
    let fields = |line| ["delivery", "attempt", "action", "id"].map(|name| field(line, name));
    assert_eq!(fields(sent[0]), [Some("1"), Some("1"), Some("1"), Some("id-000001")]);
    assert_eq!(fields(sent[1]), [Some("3"), Some("2"), Some("1"), Some("id-000002")]);
    let rejected = attempts(log, "rejected");
    assert_eq!(rejected.len(), 1, "{log}");
    assert!(rejected[0].contains("ERROR: u***@example.com: rejected: MESSAGE_REJECTED"), "{log}");
    assert_eq!(fields(rejected[0]), [Some("2"), Some("1"), Some("1"), None]);
    let retry = attempts(log, "retry");
    assert_eq!(retry.len(), 1, "{log}");
    assert!(retry[0].contains("WARN: u***@example.com: not now: TRANSIENT_FAILURE"), "{log}");
    assert_eq!(fields(retry[0]), [Some("3"), Some("1"), Some("1"), None]);
    // The time of the call, which was one for all three.
    for line in [sent[0], rejected[0], retry[0]] {
        let took: u128 = field(line, "ms").unwrap().parse().unwrap();
        assert!((WAIT.as_millis()..20_000).contains(&took), "{line}");
    }
    // It is the one that the database has.
    let known = "SELECT count(*) FROM deliveries WHERE id = 3 AND provider_id = 'id-000002'";
    assert_eq!(database.number(known), 1);
}

#[test]
fn in_json_the_fields_are_members() {
    let (database, endpoint) = (Database::migrated(), Endpoint::start());
    let finished = three_mails(&database, &endpoint, "json");
    let lines: Vec<Value> =
        finished.log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |delivery: i64| lines.iter().filter(move |line| line["delivery"] == delivery);
    let seen: Vec<(&str, &str, i64)> = of(3)
        .map(|line| {
            let word = |name: &str| line[name].as_str().unwrap();
            (word("level"), word("status"), line["attempt"].as_i64().unwrap())
        })
        .collect();
    assert_eq!(seen, [("warn", "retry", 1), ("info", "sent", 2)]);
    let first = of(1).next().unwrap();
    assert_eq!((&first["unit"], &first["id"]), (&"SES".into(), &"id-000001".into()));
    assert_eq!(first["message"], "u***@example.com: accepted");
    assert!(u128::from(first["ms"].as_u64().unwrap()) >= WAIT.as_millis(), "{first}");
}

#[test]
fn without_a_database_a_line_names_no_delivery_and_ambiguous_ones_say_so() {
    let endpoint = Endpoint::start();
    endpoint.push(Reply::AcceptThenReset);
    let record = format!("1,john@example.com,john,{},\n", "A".repeat(86));
    let finished = Program::send(&endpoint.url()).input(record);
    let ambiguous = attempts(&finished.log, "ambiguous");
    assert_eq!(ambiguous.len(), 1, "{}", finished.log);
    assert!(ambiguous[0].contains("j***@example.com: ambiguous, it may have been sent: "));
    let sent = attempts(&finished.log, "sent");
    assert_eq!(sent.len(), 1, "{}", finished.log);
    assert_eq!((field(sent[0], "delivery"), field(sent[0], "attempt")), (None, None));
    assert_eq!(field(sent[0], "action"), Some("1"));
}

#[test]
fn a_level_above_info_leaves_out_what_went_well() {
    let endpoint = Endpoint::start();
    let record = format!("1,john@example.com,john,{},\n", "A".repeat(86));
    let finished = Program::send(&endpoint.url()).env("MAILROOM_LOG_LEVEL", "warn").input(record);
    assert_eq!((finished.code, finished.log.as_str()), (Some(0), ""));
    assert_eq!(endpoint.accepted().len(), 1);
}

#[test]
fn a_process_that_is_asked_to_stop_says_so_once_and_how_it_ended() {
    let (database, endpoint) = (Database::migrated(), Endpoint::start());
    database.accounts("user", 3);
    let told = |finished: &Finished, unit: &str, count: usize| {
        assert_eq!(finished.code, Some(0), "{}", finished.log);
        let lines: Vec<&str> = finished.log.lines().collect();
        let [.., asked, stopped] = lines.as_slice() else { panic!("{}", finished.log) };
        assert!(asked.ends_with(&format!("[{unit}] asked to stop; finishing what was begun")));
        let end = format!("[{unit}] stopped; {count} messages handed over");
        assert!(stopped.ends_with(&end), "{}", finished.log);
        assert_eq!(finished.log.matches("asked to stop").count(), 1, "{}", finished.log);
    };
    let collect = Program::collect(&database).start();
    collect.wait_lines(1);
    wait_until("all are settled", || database.in_state("sent") == 3);
    told(&collect.stop(), "PG", 3);
    let run = Program::run(&database, &endpoint.url()).start();
    run.wait_log("connected");
    database.accounts("more", 2);
    wait_until("all are settled", || database.in_state("sent") == 5);
    told(&run.stop(), "RUN", 2);
    let mut send = Program::send(&endpoint.url()).start();
    send.write(activations("user", 4));
    send.wait_log_times("status=sent", 4);
    told(&send.stop(), "SES", 4);
    let ended = Program::send(&endpoint.url()).input(activations("user", 1));
    assert!(ended.log.ends_with("[SES] end of input; 1 messages handed over\n"), "{}", ended.log);
    assert!(!ended.log.contains("asked to stop"), "{}", ended.log);
}

#[test]
fn a_log_that_nobody_reads_stops_no_mail() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    // More lines than a pipe holds.
    database.accounts("user", 1500);
    let run = Program::run(&database, &endpoint.url())
        .env("MAILROOM_SEND_RATE", "100000")
        .after("mkfifo log && exec 3<>log 2>log")
        .start();
    wait_until("all is settled", || database.in_state("sent") == 1500);
    assert_eq!(run.stop().code, Some(0));
}

/// What is written to standard error while this input is read, a write each.
fn writes(program: Program, input: Vec<u8>, code: i32) -> Vec<String> {
    // Each read of such a pipe gives what one write wrote.
    let (ours, theirs) = nix::unistd::pipe2(nix::fcntl::OFlag::O_DIRECT).unwrap();
    let finished = program.stderr(theirs).input(input);
    assert_eq!(finished.code, Some(code));
    let (mut ours, mut writes) = (std::fs::File::from(ours), Vec::new());
    loop {
        let mut buffer = vec![0; 1 << 16];
        let length = ours.read(&mut buffer).unwrap();
        if length == 0 {
            return writes;
        }
        writes.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
    }
}

#[test]
fn a_line_is_cut_rather_than_longer_than_a_pipe_takes_in_one_piece() {
    let endpoint = Endpoint::start();
    for format in ["text", "json"] {
        let program = Program::send(&endpoint.url()).env("MAILROOM_LOG_FORMAT", format);
        let input = String::from_utf8(activations("user", 1)).unwrap();
        let input = input.replace("example.com", &"b".repeat(9000)).into_bytes();
        let writes = writes(program, input, 0);
        assert!(writes.iter().all(|text| text.len() <= 4096), "{writes:?}");
        let is_cut = |text: &String| text.contains("bbb…") && text.contains("action");
        assert!(writes.iter().any(is_cut), "{writes:?}");
    }
}

#[test]
fn the_lines_of_a_batch_are_written_together_and_no_line_is_torn() {
    let endpoint = Endpoint::start();
    let writes = writes(Program::send(&endpoint.url()), activations("user", 50), 0);
    assert_eq!(attempts(&writes.concat(), "sent").len(), 50, "{writes:?}");
    // Longer ones may be mixed with those of others.
    assert!(writes.iter().all(|text| text.len() <= 4096 && text.ends_with('\n')), "{writes:?}");
    let of_the_batch = writes.iter().filter(|text| !attempts(text, "sent").is_empty());
    assert_eq!(of_the_batch.count(), 2, "{writes:?}");
}
