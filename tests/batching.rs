//! When batches go out: full ones at once, partial ones when the window ends.

use crate::support::cluster::{Cluster, Database, shared};
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::program::{PATIENCE, Program, Running, messages, wait_until};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

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
    let start = Instant::now();
    for n in 1..=5 {
        database.accounts(&format!("user{n}-"), 1);
    }
    assert_eq!(sizes(&collect.wait_lines(1)), [3]);
    assert!(start.elapsed() < Duration::from_secs(2), "the full batch waited for the window");
    assert_eq!(sizes(&collect.wait_lines(2)), [3, 2]);
    assert!(start.elapsed() >= Duration::from_secs(2), "the partial batch did not wait");
    let finished = collect.stop();
    assert_eq!(finished.code, Some(0));
    for line in [
        "NOTIFY called; waking up",
        "processing 3 rows... (max reached)",
        "processing 2 rows... (timeout)",
    ] {
        assert!(finished.log.contains(line), "no {line:?} in:\n{}", finished.log);
    }
    assert_eq!(database.in_state("sent"), 5);
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
    let start = Instant::now();
    // If each began the window anew, nothing would go before the fiftieth.
    for n in 1..50 {
        database.accounts(&format!("user{n}-"), 1);
        if collect.out().contains('\n') {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let first = sizes(&collect.wait_lines(1));
    assert!(start.elapsed() >= Duration::from_millis(1500), "it did not wait for the window");
    assert!(first[0] < 40, "the window was extended: {first:?}");
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

/// A server that logs every statement with the database it came from.
fn telling() -> &'static Cluster {
    static TELLING: OnceLock<Cluster> = OnceLock::new();
    TELLING.get_or_init(|| Cluster::start(&["log_statement = 'all'", "log_line_prefix = '%a@%d|'"]))
}

/// First lines of the statements that the program has sent to this database.
fn told(database: &Database) -> Vec<String> {
    let log = std::fs::read_to_string(telling().dir.join("log")).unwrap();
    let from = format!("@{}|LOG:", database.name);
    let ours = log.lines().filter(|line| line.starts_with("mailroom") && line.contains(&from));
    ours.map(str::to_owned).collect()
}

/// How many statements the program has sent to this database.
fn statements(database: &Database) -> usize {
    told(database).len()
}

/// Waits until the program has sent nothing for so long, and gives how many statements there are.
fn silent(database: &Database, long: Duration) -> usize {
    let mut last = (statements(database), Instant::now());
    wait_until("no more statements come", || {
        let count = statements(database);
        if count != last.0 {
            last = (count, Instant::now());
        }
        last.1.elapsed() > long
    });
    last.0
}

/// As [`silent`], for half a second.
fn settled_statements(database: &Database) -> usize {
    silent(database, Duration::from_millis(500))
}

#[test]
fn an_idle_collector_sends_no_query() {
    let database = telling().migrated("idle");
    let collect = patient(&database).start();
    collect.wait_log("connected");
    let before = settled_statements(&database);
    assert!(before > 0, "nothing is logged");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(statements(&database), before);
    // The same while a batch waits for its window.
    database.accounts("user", 1);
    collect.wait_log("NOTIFY called; waking up");
    let before = settled_statements(&database);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(statements(&database), before);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn a_batch_that_was_heard_to_be_full_is_claimed_without_a_look() {
    let database = telling().migrated("heard");
    let collect = patient(&database).env("MAILROOM_BATCH_LIMIT", "1").start();
    collect.wait_log("connected");
    for n in 1..=3 {
        // A second after the last work comes a survey, and a look with it.
        let before = silent(&database, Duration::from_millis(1500));
        database.accounts(&format!("user{n}-"), 1);
        assert_eq!(sizes(&collect.wait_lines(n)), vec![1; n]);
        let first = told(&database).swap_remove(before);
        assert!(first.contains("-- Takes up to $2 due deliveries"), "{first}");
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

/// Notifies without a pause for two seconds; gives how often.
fn flood(database: &Database) -> usize {
    let (mut client, start, mut count) = (database.client(), Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(2) {
        client.batch_execute(&format!("NOTIFY token_insert, 'forged {count}'")).unwrap();
        count += 1;
    }
    count
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
        let before = settled_statements(&database);
        let ticks = cpu_ticks(&collect);
        let sent = flood(&database);
        assert!(sent > 200, "{sent} notifications are no flood");
        let asked = settled_statements(&database) - before;
        assert!(asked < 100, "{sent} notifications caused {asked} statements");
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
    settled_statements(&database);
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
    let before = statements(&database);
    std::thread::sleep(Duration::from_secs(2));
    let asked = statements(&database) - before;
    assert!(asked < 400, "{asked} statements in two seconds");
    assert_eq!(collect.out(), "");
    lock.rollback().unwrap();
    let start = Instant::now();
    assert_eq!(sizes(&collect.wait_lines(2)), [10, 10]);
    assert!(start.elapsed() < PATIENCE);
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
