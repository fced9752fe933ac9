//! When batches go out: full ones at once, partial ones when the window ends.

use crate::support::cluster::{Database, logged, shared, tag, telling};
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::program::{Program, Running, assert_no_busy_loop, messages, wait_until};
use std::time::Duration;

fn sizes(lines: &[String]) -> Vec<usize> {
    lines.iter().map(|line| messages(line).len()).collect()
}

#[test]
fn a_limit_of_three_and_five_inserts_give_three_at_once_and_two_after_the_timeout() {
    let database = Database::migrated();
    let collect = Program::collect(&database)
        .env("MAILROOM_BATCH_LIMIT", "3")
        .env("MAILROOM_BATCH_TIMEOUT", "2000")
        .start();
    collect.wait_log("connected");
    for n in 1..=5 {
        database.accounts(&format!("user{n}-"), 1);
    }
    assert_eq!(sizes(&collect.wait_lines(2)), [3, 2]);
    wait_until("all are settled", || database.in_state("sent") == 5);
    let waited = "SELECT (max(due_at) >= min(created_at) + interval '2 s')::int::bigint
                    FROM deliveries";
    assert_eq!(database.number(waited), 1, "the partial batch did not wait");
    let finished = collect.stop();
    assert_eq!(finished.code, Some(0));
    for line in [
        "NOTIFY called; waking up",
        "processing 3 rows... (max reached)",
        "processing 2 rows... (timeout)",
    ] {
        assert!(finished.log.contains(line), "no {line:?} in:\n{}", finished.log);
    }
}

#[test]
fn a_thousand_rows_in_one_transaction_go_at_once_in_full_batches() {
    let database = Database::migrated();
    let collect = Program::collect(&database)
        .env("MAILROOM_BATCH_LIMIT", "50")
        .env("MAILROOM_BATCH_TIMEOUT", "600000")
        .env("MAILROOM_HEALTHCHECK_INTERVAL", "600000")
        .start();
    collect.wait_log("connected");
    database.accounts("user", 1000);
    assert_eq!(sizes(&collect.wait_lines(20)), [50; 20]);
    assert_eq!(collect.stop().code, Some(0));
    assert_eq!(database.in_state("sent"), 1000);
}

#[test]
fn later_notifications_do_not_extend_the_window() {
    let database = Database::migrated();
    let collect = Program::collect(&database)
        .env("MAILROOM_BATCH_LIMIT", "50")
        .env("MAILROOM_BATCH_TIMEOUT", "1500")
        .start();
    collect.wait_log("connected");
    database.accounts("first", 1);
    // If each began the window anew, nothing would go as long as they come. What they tell of is gone
    // again, so that no batch is full.
    let mut told = 0;
    wait_until("the window ends", || {
        database.accounts("later", 1);
        database.run("DELETE FROM accounts WHERE login LIKE 'later%'");
        told += 1;
        collect.out().contains('\n')
    });
    assert!(told > 3, "{told} notifications prove nothing");
    let early = "SELECT count(*) FROM deliveries
                  WHERE created_at = (SELECT min(created_at) FROM deliveries)
                    AND due_at < created_at + interval '1500 milliseconds'";
    assert_eq!(database.number(early), 0, "it did not wait for the window");
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn the_smallest_and_the_largest_limit_are_kept() {
    for (limit, rows, expected) in [("1", 3, vec![1, 1, 1]), ("50", 51, vec![50, 1])] {
        let database = Database::migrated();
        let collect = Program::collect(&database).env("MAILROOM_BATCH_LIMIT", limit).start();
        collect.wait_log("connected");
        database.accounts("user", rows);
        assert_eq!(sizes(&collect.wait_lines(expected.len())), expected);
        assert_eq!(collect.stop().code, Some(0));
    }
}

/// A collector that sends nothing by itself for ten minutes.
fn patient(database: &Database) -> Program {
    Program::collect(database)
        .env("MAILROOM_BATCH_TIMEOUT", "600000")
        .env("MAILROOM_HEALTHCHECK_INTERVAL", "600000")
}

#[test]
fn what_waits_at_the_start_goes_at_once_partial_batch_included() {
    let database = Database::migrated();
    database.accounts("user", 13);
    let collect = patient(&database).start();
    assert_eq!(sizes(&collect.wait_lines(2)), [10, 3]);
    assert_eq!(collect.stop().code, Some(0));
    assert_eq!(database.in_state("sent"), 13);
}

#[test]
fn an_insert_while_disconnected_is_found_on_reconnect() {
    let database = Database::migrated();
    let mut application = database.client();
    let collect = patient(&database).start();
    collect.wait_log("connected");
    let mut admin = crate::support::cluster::connect(&shared().url("postgres")).unwrap();
    let allow = |admin: &mut postgres::Client, yes: bool| {
        let sql = format!("ALTER DATABASE {} ALLOW_CONNECTIONS {yes}", database.name);
        admin.batch_execute(&sql).unwrap();
    };
    allow(&mut admin, false);
    application
        .batch_execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
              WHERE datname = current_database() AND application_name LIKE 'mailroom%'",
        )
        .unwrap();
    collect.wait_log("connection failed");
    application
        .batch_execute("INSERT INTO accounts (email, login) VALUES ('a@example.com', 'a')")
        .unwrap();
    assert_eq!(collect.out(), "");
    allow(&mut admin, true);
    assert_eq!(sizes(&collect.wait_lines(1)), [1]);
    assert_eq!(collect.stop().code, Some(0));
}

/// Waits until the collector had its turn so many times and asked nothing; gives how much it has asked
/// until then. Nothing wakes it more often than twice a second while it has nothing to do.
fn silent(collect: &Running, database: &Database, turns: u64) -> usize {
    let mut last = logged(database).len();
    wait_until("no more statements come", || {
        collect.wait_turns(turns);
        let before = std::mem::replace(&mut last, logged(database).len());
        before == last
    });
    last
}

#[test]
fn an_idle_collector_sends_no_query() {
    let database = telling().migrated("idle");
    let collect = patient(&database).start();
    collect.wait_log("connected");
    let before = silent(&collect, &database, 2);
    assert!(before > 0, "nothing is logged");
    collect.wait_turns(6);
    assert_eq!(logged(&database).len(), before);
    // The same while a batch waits for its window.
    database.accounts("user", 1);
    collect.wait_log("NOTIFY called; waking up");
    let before = silent(&collect, &database, 2);
    collect.wait_turns(4);
    assert_eq!(logged(&database).len(), before);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn a_batch_that_was_heard_to_be_full_is_claimed_without_a_look() {
    let database = telling().migrated("heard");
    let collect = patient(&database).env("MAILROOM_BATCH_LIMIT", "1").start();
    collect.wait_log("connected");
    for n in 1..=3 {
        // A second after the last work come watermarks, and a look with them.
        wait_until("they are taken", || {
            let log = logged(&database);
            let tags = ["levels", "look"].map(tag);
            let ends = |(line, tag): (&String, &String)| line.ends_with(tag.trim_end());
            log.len() > 2 && log[log.len() - 2..].iter().zip(&tags).all(ends)
        });
        let before = silent(&collect, &database, 2);
        database.accounts(&format!("user{n}-"), 1);
        assert_eq!(sizes(&collect.wait_lines(n)), vec![1; n]);
        let first = logged(&database).swap_remove(before);
        assert!(first.contains(tag("turn").trim_end()), "{first}");
    }
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn a_version_of_the_row_that_claims_read_is_not_made_for_each_batch() {
    let database = Database::migrated();
    database.run(
        "CREATE TABLE versions (n int);
         CREATE FUNCTION count_version() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN INSERT INTO versions VALUES (1); RETURN NULL; END';
         CREATE TRIGGER count_version AFTER UPDATE ON jobs FOR EACH ROW
             EXECUTE FUNCTION count_version()",
    );
    let collect = patient(&database).env("MAILROOM_BATCH_LIMIT", "1").start();
    for n in 1..=10 {
        database.accounts(&format!("user{n}-"), 1);
        collect.wait_lines(n);
    }
    // Whoever starts next is told where this one ended.
    assert_eq!(collect.stop().code, Some(0));
    assert_eq!(database.number("SELECT last_seq FROM jobs"), 10);
    let versions = database.number("SELECT count(*) FROM versions");
    assert!(versions <= 2, "{versions} versions");
}

/// How many notifications are a flood.
const FLOOD: usize = 5000;

/// Notifies without a pause.
fn flood(database: &Database) {
    let mut client = database.client();
    for n in 0..FLOOD {
        client.batch_execute(&format!("NOTIFY token_insert, 'forged {n}'")).unwrap();
    }
}

fn cpu_ticks(collect: &Running) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", collect.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn spoofed_and_flooded_notifications_cause_no_batch_and_no_busy_loop() {
    let database = telling().migrated("flood");
    let collect = patient(&database).start();
    collect.wait_log("connected");
    for waiting in [0, 2] {
        if waiting > 0 {
            database.accounts("user", waiting);
            collect.wait_log_times("NOTIFY called; waking up", 2);
        }
        let before = silent(&collect, &database, 2);
        let ticks = cpu_ticks(&collect);
        flood(&database);
        let asked = silent(&collect, &database, 2) - before;
        assert!(asked < FLOOD / 10, "{FLOOD} notifications caused {asked} statements");
        assert!(asked > 0, "nobody listened");
        assert!(cpu_ticks(&collect) - ticks < 100, "more than a second of processor time");
    }
    assert_eq!(collect.out(), "");
    assert_eq!(database.in_state("pending"), 2);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn a_wake_up_after_a_forged_one_is_told() {
    let database = telling().migrated("forged");
    let collect = patient(&database).env("MAILROOM_BATCH_LIMIT", "1").start();
    collect.wait_log("connected");
    database.run("NOTIFY token_insert");
    collect.wait_log("NOTIFY called; waking up");
    silent(&collect, &database, 2);
    database.accounts("user", 1);
    assert_eq!(sizes(&collect.wait_lines(1)), [1]);
    collect.wait_log_times("NOTIFY called; waking up", 2);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn a_row_of_jobs_that_somebody_holds_stops_no_mail() {
    let database = Database::migrated();
    let mut other = database.client();
    let mut lock = other.transaction().unwrap();
    lock.batch_execute("SELECT FROM jobs FOR UPDATE").unwrap();
    let collect = Program::collect(&database).env("MAILROOM_BATCH_LIMIT", "1").start();
    for n in 1..=3 {
        database.accounts(&format!("user{n}-"), 1);
        collect.wait_lines(n);
    }
    assert_eq!(collect.stop().code, Some(0));
    assert_eq!(database.number("SELECT last_seq FROM jobs"), 0);
    lock.rollback().unwrap();
}

#[test]
fn rows_that_somebody_locks_cause_no_busy_loop_and_go_when_they_are_free() {
    let database = telling().migrated("locked");
    database.accounts("user", 20);
    let mut other = database.client();
    let mut lock = other.transaction().unwrap();
    lock.batch_execute("SELECT FROM deliveries FOR UPDATE").unwrap();
    let collect = patient(&database).start();
    collect.wait_log("connected");
    assert_no_busy_loop(&database);
    assert_eq!(collect.out(), "");
    lock.rollback().unwrap();
    assert_eq!(sizes(&collect.wait_lines(2)), [10, 10]);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn notifications_that_come_while_it_always_has_work_do_not_pile_up() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    endpoint.set(Reply::Slow(Duration::from_millis(20), Box::new(Reply::Accept)));
    database.accounts("user", 5000);
    let run = Program::run(&database, &endpoint.url()).env("MAILROOM_SEND_RATE", "100000").start();
    wait_until("it works", || database.in_state("sent") > 0);
    let before = run.status("VmHWM");
    let mut client = database.client();
    let many = format!(
        "SELECT pg_notify('token_insert', '{}' || n) FROM generate_series(1, 100) AS n",
        "x".repeat(7900)
    );
    // 40 MB in all, a little with each batch.
    for _ in 0..50 {
        client.batch_execute(&many).unwrap();
        let sent = database.in_state("sent");
        wait_until("it goes on", || database.in_state("sent") > sent);
    }
    assert!(database.in_state("pending") > 0, "it had no work any more");
    let grown = run.status("VmHWM") - before;
    assert!(grown < 15_000, "{grown} kB");
    assert_eq!(run.stop().code, Some(0));
}
