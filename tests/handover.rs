//! The moment a batch leaves: the reader goes, stalls or is full, and signals come in between.

use crate::support::cluster::Database;
use crate::support::pipe::{stalled, stuck};
use crate::support::program::{KEY, Program, Text, addresses, messages, wait_until, whole_lines};
use nix::sys::signal::Signal;
use std::fs::OpenOptions;
use std::time::Duration;

/// Deliveries that may be claimed now.
const CLAIMABLE: &str = "SELECT count(*) FROM deliveries \
                          WHERE state = 'pending' AND due_at <= now() AND lease IS NULL";

#[test]
fn a_reader_that_closes_the_pipe_ends_it_with_74_and_the_batch_is_pending_at_once() {
    let database = Database::migrated();
    database.accounts("user", 60);
    let (collect, reader) = stuck(Program::collect(&database), &database);
    drop(reader);
    let finished = collect.finish();
    assert_eq!(finished.code, Some(74), "{}", finished.log);
    assert!(finished.log.contains("standard output"), "{}", finished.log);
    assert_eq!(database.number(CLAIMABLE), 60);
    let attempts = "SELECT count(*) FROM deliveries WHERE attempts > 0";
    assert_eq!(database.number(attempts), 0);
    let next = Program::collect(&database).env("MAILROOM_BATCH_LIMIT", "50").start();
    assert_eq!(addresses(&next.wait_lines(2)).len(), 60);
    assert_eq!(next.stop().code, Some(0));
}

#[test]
fn a_collector_that_is_killed_while_its_reader_does_not_read_leaves_no_half_record() {
    let database = Database::migrated();
    database.accounts("user", 400);
    let (reader, output) = std::io::pipe().unwrap();
    let collect = |output| {
        Program::collect(&database)
            .env("MAILROOM_BATCH_LIMIT", "50")
            .env("MAILROOM_LEASE", "1000")
            .stdout(output)
            .start()
    };
    let first = collect(output.try_clone().unwrap());
    // One is in the pipe, and the next one waits for it to be read.
    wait_until("a batch is under way", || {
        (database.in_state("sent"), database.in_state("leased")) == (50, 50)
    });
    first.kill();
    let second = collect(output);
    let out = Text::follow(reader);
    wait_until("all are sent", || database.in_state("sent") == 400);
    assert_eq!(second.stop().code, Some(0));
    out.wait_end();
    let text = out.get();
    assert!(text.ends_with('\n'));
    let mut sent: Vec<String> =
        text.lines().flat_map(|line| addresses(&[line.to_owned()])).collect();
    assert_eq!(sent.len(), 400);
    sent.sort();
    sent.dedup();
    assert_eq!(sent.len(), 400, "none is missing");
}

#[test]
fn a_file_that_takes_no_more_keeps_whole_records_and_one_with_half_a_record_is_refused() {
    let database = Database::migrated();
    database.accounts("user", 60);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("batches.csv");
    let open = || OpenOptions::new().create(true).append(true).open(&path).unwrap();
    let collect = |first: &str| Program::collect(&database).after(first).stdout(open());
    // 4096 bytes.
    let finished = collect("ulimit -f 8").output();
    assert_eq!(finished.code, Some(74), "{}", finished.log);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.ends_with('\n'), "{text:?}");
    let written = text.lines().flat_map(messages).count();
    assert!((10..60).contains(&written), "{written}");
    assert_eq!(database.number(CLAIMABLE), 60 - written as i64);
    std::fs::write(&path, "1,john@example.com,\"jo").unwrap();
    let refused = collect(":").output();
    assert_eq!(refused.code, Some(78), "{}", refused.log);
    assert!(refused.log.contains("ends in the middle of a record"), "{}", refused.log);
    assert_eq!(database.number(CLAIMABLE), 60 - written as i64);
}

#[test]
fn a_full_standard_output_ends_it_with_74_and_nothing_is_lost() {
    let database = Database::migrated();
    database.accounts("user", 13);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let finished = Program::collect(&database).stdout(full).output();
    assert_eq!(finished.code, Some(74), "{}", finished.log);
    assert!(finished.log.contains("No space left"), "{}", finished.log);
    assert_eq!(database.number(CLAIMABLE), 13);
}

#[test]
fn a_reader_that_stalls_does_not_keep_it_from_ending_and_the_rows_can_be_claimed() {
    let database = Database::migrated();
    database.accounts("user", 60);
    let (collect, reader) = stuck(Program::collect(&database), &database);
    let finished = collect.stop_in_time();
    assert!(finished.log.contains("the reader did not read"), "{}", finished.log);
    assert_eq!(database.number(CLAIMABLE), 60);
    let out = reader.read();
    out.wait_end();
    assert!(whole_lines(&out.get()).is_empty(), "a whole batch was written and not settled");
}

#[test]
fn a_reader_that_stalls_and_reads_on_after_the_signal_gets_the_batch_and_it_is_settled() {
    let database = Database::migrated();
    database.accounts("user", 60);
    let (collect, reader) = stuck(Program::collect(&database), &database);
    collect.signal(Signal::SIGTERM);
    let out = reader.read();
    let finished = collect.finish();
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    out.wait_end();
    assert_eq!(addresses(&whole_lines(&out.get())).len(), 50);
    assert_eq!(database.in_state("sent"), 50);
    assert_eq!(database.number(CLAIMABLE), 10);
}

#[test]
fn notifications_that_come_while_the_reader_stalls_take_no_memory() {
    let database = Database::migrated();
    database.accounts("user", 50);
    let (reader, writer) = stalled();
    let collect = Program::collect(&database)
        .env("MAILROOM_BATCH_LIMIT", "50")
        .env("MAILROOM_BATCH_TIMEOUT", "100")
        .env("MAILROOM_HEALTHCHECK_INTERVAL", "500")
        .stdout(writer)
        .start();
    reader.wait_full();
    // In one transaction the same one would be told once.
    database.run("SELECT pg_notify('token_insert', i::text) FROM generate_series(1, 300000) i");
    database.accounts("later", 1);
    let before = collect.status("VmRSS");
    wait_until("its healthcheck is overdue", || {
        database.number(
            "SELECT count(*) FROM pg_stat_activity
              WHERE datname = current_database() AND application_name LIKE 'mailroom%'
                AND now() - state_change > interval '1 second'",
        ) == 1
    });
    let out = reader.read();
    wait_until("all are sent", || database.in_state("sent") == 51);
    collect.wait_log("; connecting anew");
    // Each would take 119 bytes: 36 MB in all.
    let more = collect.status("VmHWM").saturating_sub(before);
    assert!(more < 10_000, "{more} kB more");
    assert_eq!(collect.stop().code, Some(0));
    out.wait_end();
    assert_eq!(addresses(&whole_lines(&out.get())).len(), 51);
}

#[test]
fn asked_to_stop_while_idle_it_ends_at_once() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let database = Database::migrated();
        let collect = Program::collect(&database).start();
        collect.wait_log("connected");
        collect.signal(signal);
        let finished = collect.finish();
        assert_eq!((finished.code, finished.out.as_str()), (Some(0), ""));
    }
}

#[test]
fn asked_to_stop_while_draining_every_line_is_settled_and_every_other_row_pending() {
    let database = Database::migrated();
    database.accounts("user", 3000);
    let collect = Program::collect(&database).start();
    collect.wait_lines(5);
    let finished = collect.stop_in_time();
    let sent = finished.written();
    assert!(sent.len() >= 50 && sent.len() < 3000, "{} were written", sent.len());
    let mut settled: Vec<String> = database
        .client()
        .query(
            "SELECT email FROM deliveries d JOIN tokens t ON t.id = d.id \
               JOIN accounts a ON a.id = t.account WHERE d.state = 'sent'",
            &[],
        )
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    let mut written = sent.clone();
    written.sort();
    settled.sort();
    assert_eq!(written, settled);
    assert_eq!(database.number(CLAIMABLE), 3000 - i64::try_from(sent.len()).unwrap());
}

#[test]
fn asked_to_stop_while_a_window_is_open_it_leaves_the_rows_to_others() {
    let database = Database::migrated();
    let collect = Program::collect(&database).env("MAILROOM_BATCH_TIMEOUT", "60000").start();
    collect.wait_log("connected");
    database.accounts("user", 3);
    collect.wait_log("NOTIFY called; waking up");
    let finished = collect.stop_in_time();
    assert_eq!(finished.out, "");
    assert_eq!(database.number(CLAIMABLE), 3);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let database = Database::migrated();
    database.accounts("user", 60);
    let (collect, _reader) = stuck(Program::collect(&database), &database);
    collect.signal(Signal::SIGTERM);
    // It goes on trying to write.
    collect.wait_turns(2);
    let finished = collect.insist(Signal::SIGINT);
    // At the end of the grace it would be 0, and the rows pending.
    assert_eq!(finished.code, Some(1));
    assert_eq!(database.in_state("leased"), 50);
}

#[test]
fn asked_to_stop_while_a_claim_waits_for_a_lock_it_ends_in_time_and_takes_nothing() {
    let database = Database::migrated();
    let collect = Program::collect(&database).start();
    collect.wait_log("connected");
    database.accounts("user", 9);
    let mut client = database.client();
    let mut lock = client.transaction().unwrap();
    lock.batch_execute("LOCK accounts IN ACCESS EXCLUSIVE MODE").unwrap();
    wait_until("the claim waits", || database.blocked("turn") == 1);
    let finished = collect.stop_in_time();
    assert_eq!(finished.out, "");
    lock.rollback().unwrap();
    let next = Program::collect(&database).env("MAILROOM_LEASE", "1000").start();
    // The server may have gone on with the claim of the one that is gone: its lease must not be
    // waited for longer than this test is patient.
    database.run("UPDATE deliveries SET due_at = now() + interval '1 second'");
    database.run("NOTIFY token_insert");
    assert_eq!(addresses(&next.wait_lines(1)).len(), 9);
    assert_eq!(next.stop().code, Some(0));
}

#[test]
fn asked_to_stop_while_settling_waits_for_a_lock_it_ends_in_time_and_says_what_is_ambiguous() {
    let database = Database::migrated();
    database.accounts("user", 50);
    let (collect, reader) = stuck(Program::collect(&database), &database);
    let mut client = database.client();
    let mut lock = client.transaction().unwrap();
    lock.batch_execute("SELECT FROM deliveries FOR UPDATE").unwrap();
    let out = reader.read();
    assert_eq!(addresses(&out.wait_lines(1)).len(), 50);
    wait_until("settling waits", || database.blocked("turn") >= 1);
    let finished = collect.stop_in_time();
    assert!(finished.log.contains("is ambiguous"), "{}", finished.log);
    lock.rollback().unwrap();
}

#[test]
fn a_reader_that_stalls_for_longer_than_the_lease_gets_a_batch_that_another_one_has_too() {
    let database = Database::migrated();
    database.accounts("user", 50);
    let collect = || {
        Program::collect(&database).env("MAILROOM_BATCH_LIMIT", "50").env("MAILROOM_LEASE", "1000")
    };
    let (reader, output) = stalled();
    let slow = collect().stdout(output).start();
    wait_until("a batch is claimed", || database.in_state("leased") == 50);
    reader.wait_full();
    let other = collect().start();
    let lines = other.wait_lines(1);
    let out = reader.read();
    assert_eq!(addresses(&out.wait_lines(1)), addresses(&lines));
    for collect in [slow, other] {
        assert_eq!(collect.stop().code, Some(0));
    }
    assert_eq!(database.in_state("sent"), 50);
}

#[test]
fn with_ack_sent_the_leases_stand() {
    let database = Database::migrated();
    database.accounts("user", 13);
    let collect = Program::collect(&database).env("MAILROOM_ACK", "sent").start();
    assert_eq!(addresses(&collect.wait_lines(2)).len(), 13);
    let finished = collect.stop_in_time();
    assert_eq!(database.in_state("leased"), 13);
    let long = "SELECT count(*) FROM deliveries WHERE due_at > now() + interval '1 minute'";
    assert_eq!(database.number(long), 13);
    assert_eq!(whole_lines(&finished.out).len(), 2);
}

#[test]
fn with_ack_sent_a_lease_that_nobody_settles_runs_out_and_the_mail_goes_again() {
    let database = Database::migrated();
    database.accounts("user", 3);
    let collect = Program::collect(&database)
        .env("MAILROOM_ACK", "sent")
        .env("MAILROOM_LEASE", "700")
        .start();
    let lines = collect.wait_lines(2);
    assert_eq!(addresses(&lines[..1]), addresses(&lines[1..2]));
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn odd_logins_survive_byte_for_byte() {
    let logins = [
        "comma, comma".to_owned(),
        "quote \" and \"\" quote".to_owned(),
        "line\nfeed".to_owned(),
        "carriage\r\nreturn".to_owned(),
        "back\\slash \\n".to_owned(),
        "party \u{1f389} \u{1f469}\u{200d}\u{1f4bb}".to_owned(),
        "\u{e9}".repeat(254),
        " spaces ".to_owned(),
        "1,victim@example.com,x,AAAA,12345\n1,other@example.com,y,BBBB,12345".to_owned(),
        "\u{2028}\t\u{7f}\u{85}".to_owned(),
    ];
    let database = Database::migrated();
    let mut client = database.client();
    for (n, login) in logins.iter().enumerate() {
        let sql = "INSERT INTO accounts (email, login) VALUES ($1, $2)";
        client.execute(sql, &[&format!("user{n}@example.com"), login]).unwrap();
    }
    let collect = Program::collect(&database).start();
    collect.wait_lines(1);
    wait_until("they are settled", || database.in_state("sent") == 10);
    let finished = collect.stop();
    let read: Vec<(String, String)> =
        messages(&finished.out).into_iter().map(|[_, email, login, ..]| (email, login)).collect();
    let expected: Vec<(String, String)> = logins
        .iter()
        .enumerate()
        .map(|(n, login)| (format!("user{n}@example.com"), login.clone()))
        .collect();
    assert_eq!(read, expected);
}

#[test]
fn a_request_to_stop_at_any_moment_of_the_start_is_heard() {
    for step in 0..60 {
        let program = Program::new(&["collect"])
            .env("MAILROOM_DATABASE_URL", "host=127.0.0.1 port=1 dbname=x")
            .env("MAILROOM_SECRET_KEY", "ab".repeat(32));
        let running = program.start();
        std::thread::sleep(Duration::from_micros(250 * step));
        running.signal(Signal::SIGTERM);
        running.finish();
    }
}

#[test]
fn a_standard_output_that_is_closed_ends_it_with_74_before_anything_is_taken() {
    let database = Database::migrated();
    database.accounts("user", 3);
    let finished = std::process::Command::new("sh")
        .args(["-c", "exec \"$0\" collect >&-", env!("CARGO_BIN_EXE_mailroom")])
        .env("MAILROOM_DATABASE_URL", &database.url)
        .env("MAILROOM_SECRET_KEY", KEY)
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&finished.stderr);
    assert_eq!(finished.status.code(), Some(74), "{log}");
    assert!(log.contains("standard output is unusable: it is closed"), "{log}");
    assert_eq!(database.in_state("pending"), 3);
}
