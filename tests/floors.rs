//! Where claims and looks begin: what lies before is found soon, whatever happened meanwhile.

use crate::support::cluster::Database;
use crate::support::program::{Program, Running, addresses, wait_until};
use std::time::{Duration, Instant};

/// A collector that no healthcheck helps.
fn collector(database: &Database, limit: &str, timeout: &str) -> Running {
    let collect = Program::collect(database)
        .env("MAILROOM_BATCH_LIMIT", limit)
        .env("MAILROOM_HEALTHCHECK_INTERVAL", "600000")
        .env("MAILROOM_BATCH_TIMEOUT", timeout)
        .start();
    collect.wait_log("connected");
    collect
}

/// Statements of the collector that ended until now, told apart by when they began.
fn last_statement(database: &Database) -> String {
    database
        .client()
        .query_one(
            "SELECT coalesce(max(query_start)::text, '') FROM pg_stat_activity
              WHERE datname = current_database() AND application_name LIKE 'mailroom%'",
            &[],
        )
        .unwrap()
        .get(0)
}

/// Waits until the collector has asked nothing for two seconds.
fn wait_quiet(database: &Database) {
    let (mut last, mut since) = (last_statement(database), Instant::now());
    wait_until("the collector asks nothing", || {
        let now = last_statement(database);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        since.elapsed() > Duration::from_secs(2)
    });
}

#[test]
fn a_lease_that_another_took_between_a_survey_and_its_look_is_put_back_when_it_runs_out() {
    let database = Database::migrated();
    let collect = collector(&database, "10", "20000");
    database.accounts("first", 10);
    let mut other = database.client();
    collect.wait_lines(1);
    // The survey after the first batch is at most a second away; the next one is a second later.
    database.accounts("taken", 1);
    collect.wait_log_times("NOTIFY called; waking up", 2);
    let mut taking = other.transaction().unwrap();
    // A look reads this table, a survey does not.
    taking.batch_execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE").unwrap();
    wait_until("the look after the survey waits", || {
        database.blocked("-- How many deliveries") > 0
    });
    taking
        .batch_execute(
            "UPDATE deliveries SET state = 'leased', lease = 'collect:other',
                    due_at = clock_timestamp() + interval '3 seconds' WHERE state = 'pending'",
        )
        .unwrap();
    taking.commit().unwrap();
    // Whoever took it is gone.
    wait_until("the lease is put back and the mail goes", || database.in_state("sent") == 11);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn after_a_survey_that_waited_for_a_lock_the_next_one_is_not_minutes_away() {
    let database = Database::migrated();
    let collect = collector(&database, "1", "300");
    wait_quiet(&database);
    let mut other = database.client();
    let mut lock = other.transaction().unwrap();
    lock.batch_execute("LOCK TABLE actions IN ACCESS EXCLUSIVE MODE").unwrap();
    // A wake-up that brings nothing: a look, and a survey, which reads this table.
    database.run("NOTIFY token_insert");
    wait_until("the survey waits", || database.blocked("-- Where the pending") > 0);
    std::thread::sleep(Duration::from_secs(4));
    lock.rollback().unwrap();
    wait_quiet(&database);
    let mut late = database.client();
    let mut late = late.transaction().unwrap();
    late.batch_execute("INSERT INTO accounts (email, login) VALUES ('a@example.com', 'a')")
        .unwrap();
    late.batch_execute("UPDATE deliveries SET due_at = now() - interval '1 hour'").unwrap();
    late.commit().unwrap();
    let lines = collect.wait_lines(1);
    assert_eq!(addresses(&lines), ["a@example.com"]);
    assert_eq!(collect.stop().code, Some(0));
}
