//! When batches go out: full ones at once, partial ones when the window ends.

use crate::support::cluster::Database;
use crate::support::program::{Program, messages};
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
