//! `kill -9` of `collect` at every step of its loop, and leases that change hands: nothing is
//! lost, and at most one batch goes twice.
//!
//! A step is held up from outside, by a lock that a statement waits for or by a reader that does
//! not read, so that the kill strikes exactly there.

use crate::support::cluster::Database;
use crate::support::pipe::{Stalled, stalled, stuck};
use crate::support::program::{Program, Running, addresses, wait_until, whole_lines};
use std::collections::HashMap;
use std::time::Duration;

/// Lets another collector finish the work and gives what it wrote.
fn finish(database: &Database, rows: i64) -> Vec<String> {
    let next = Program::collect(database).limit(50).lease(300).start();
    wait_until("all are sent", || database.in_state("sent") == rows);
    let finished = next.stop();
    assert_eq!(finished.code, Some(0));
    finished.written()
}

/// Each of these rows was written, and so many were written once more.
fn assert_written(written: &[String], rows: usize, repeated: usize) {
    let mut times: HashMap<&str, usize> = HashMap::new();
    for address in written {
        *times.entry(address).or_default() += 1;
    }
    assert_eq!(times.len(), rows, "rows were lost");
    assert!(written.len() - rows <= repeated, "{} rows went twice", written.len() - rows);
}

/// Kills a collector that is idle when work comes, while the statement that begins so waits for a
/// lock on this table. Nothing was written before it, so nothing may go twice.
fn kill_in(statement: &str, table: &str) {
    let database = Database::migrated();
    database.accounts("user", 120);
    database.run("UPDATE deliveries SET due_at = now() + interval '1 hour'");
    let killed = Program::collect(&database).limit(50).lease(300).start();
    killed.wait_log("connected");
    // No notification: it does not know yet.
    database.run("UPDATE deliveries SET due_at = now()");
    let mut client = database.client();
    let mut lock = client.transaction().unwrap();
    lock.batch_execute(&format!("LOCK {table} IN ACCESS EXCLUSIVE MODE")).unwrap();
    database.run("NOTIFY token_insert");
    wait_until("the statement waits", || database.blocked(statement) == 1);
    assert_eq!(killed.kill().out, "");
    // Nobody tells the server: the statement runs on, and may claim for a process that is gone.
    lock.rollback().unwrap();
    assert_written(&finish(&database, 120), 120, 0);
}

#[test]
fn killed_in_the_look_nothing_is_lost() {
    kill_in("look", "deliveries");
}

#[test]
fn killed_in_the_claim_nothing_is_lost() {
    kill_in("turn", "accounts");
}

#[test]
fn killed_in_the_rescue_nothing_is_lost() {
    let database = Database::migrated();
    database.accounts("user", 120);
    database.run(
        "UPDATE deliveries SET state = 'leased', lease = 'gone', \
                due_at = now() + interval '1 second'",
    );
    let killed = Program::collect(&database).limit(50).lease(300).start();
    killed.wait_log("connected");
    let mut client = database.client();
    let mut lock = client.transaction().unwrap();
    lock.batch_execute("LOCK deliveries IN ACCESS EXCLUSIVE MODE").unwrap();
    wait_until("the statement waits", || database.blocked("rescue") == 1);
    assert_eq!(killed.kill().out, "");
    lock.rollback().unwrap();
    assert_written(&finish(&database, 120), 120, 0);
}

#[test]
fn killed_in_the_middle_of_a_write_nothing_is_lost_and_half_a_line_is_no_line() {
    let database = Database::migrated();
    database.accounts("user", 120);
    let (killed, reader) = stuck(Program::collect(&database).lease(300), &database);
    killed.kill();
    let out = reader.read();
    out.wait_end();
    assert!(!out.get().is_empty());
    assert!(whole_lines(&out.get()).is_empty());
    assert_written(&finish(&database, 120), 120, 0);
}

/// Kills a collector whose batch was written, while settling it waits for a lock. Gives what the
/// two collectors wrote; the server is told of the death, or runs the statement to its end.
fn kill_in_settle(told: bool) -> Vec<String> {
    let database = Database::migrated();
    database.accounts("user", 120);
    let (killed, reader) = stuck(Program::collect(&database).lease(300), &database);
    let mut client = database.client();
    let mut lock = client.transaction().unwrap();
    lock.batch_execute("SELECT FROM deliveries WHERE state = 'leased' FOR UPDATE").unwrap();
    let out = reader.read();
    let lines = out.wait_lines(1);
    wait_until("the statement waits", || database.blocked("turn") == 1);
    killed.kill();
    if told {
        database.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
              WHERE datname = current_database() AND application_name LIKE 'mailroom%'",
        );
        wait_until("the statement has ended", || database.blocked("turn") == 0);
    }
    lock.rollback().unwrap();
    let mut written = addresses(&lines);
    assert_eq!(written.len(), 50);
    written.extend(finish(&database, 120));
    written
}

#[test]
fn killed_after_the_write_and_before_it_is_settled_one_batch_is_repeated() {
    let written = kill_in_settle(true);
    assert_written(&written, 120, 50);
    assert_eq!(written.len(), 170, "the batch that nobody settled must go again");
}

#[test]
fn killed_while_the_server_settles_at_most_that_batch_is_repeated() {
    // The server gives up if it cannot answer: the next batch is a part of the answer.
    assert_written(&kill_in_settle(false), 120, 50);
}

#[test]
fn killed_twenty_times_while_draining_nothing_is_lost_and_a_batch_a_kill_is_repeated() {
    let database = Database::migrated();
    database.accounts("user", 3000);
    let mut written = Vec::new();
    for n in 0..20 {
        let killed = Program::collect(&database).limit(10).lease(300).start();
        // Anywhere from connecting to many batches later.
        killed.wait_log(if n % 2 == 0 { "connecting" } else { "connected" });
        std::thread::sleep(Duration::from_millis(n * 37 % 60));
        written.extend(addresses(&whole_lines(&killed.kill().out)));
    }
    let before = written.len();
    written.extend(finish(&database, 3000));
    assert!(before > 0, "the kills struck before the work");
    assert_written(&written, 3000, 20 * 10);
}

#[test]
fn a_lease_that_runs_out_is_rescued_by_another_collector() {
    let database = Database::migrated();
    database.accounts("user", 50);
    let (killed, _reader) = stuck(Program::collect(&database).lease(300), &database);
    let other = Program::collect(&database).limit(50).lease(300).start();
    killed.kill();
    wait_until("all are sent", || database.in_state("sent") == 50);
    let finished = other.stop();
    assert_eq!(finished.written().len(), 50);
    assert!(finished.log.contains("leases that ran out: 50"), "{}", finished.log);
}

#[test]
fn a_lease_that_runs_out_while_a_batch_is_written_is_rescued_after_it() {
    let database = Database::migrated();
    database.accounts("lost", 1);
    database.run(
        "UPDATE deliveries SET state = 'leased', lease = 'gone', \
                due_at = now() + interval '1 second'",
    );
    let (reader, output) = stalled();
    let collect = Program::collect(&database).env("MAILROOM_BATCH_LIMIT", "50").stdout(output);
    let collect = collect.start();
    collect.wait_log("connected");
    database.accounts("user", 50);
    reader.wait_full();
    wait_until("the lease has run out", || {
        database.number("SELECT count(*) FROM deliveries WHERE due_at < now()") == 1
    });
    let out = reader.read();
    let written = addresses(&out.wait_lines(2));
    assert_eq!(written.last().map(String::as_str), Some("lost1@example.com"));
    wait_until("all are sent", || database.in_state("sent") == 51);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn a_lease_that_ran_out_while_nobody_looked_is_rescued_at_the_next_look() {
    let database = Database::migrated();
    database.accounts("lost", 1);
    database.run("UPDATE deliveries SET due_at = now() + interval '1 hour'");
    let collect = Program::collect(&database).limit(50).lease(300).start();
    collect.wait_log("connected");
    database.run(
        "UPDATE deliveries SET state = 'leased', lease = 'gone', \
                due_at = now() - interval '1 second'; \
         NOTIFY token_insert",
    );
    assert_eq!(addresses(&collect.wait_lines(1)), ["lost1@example.com"]);
    wait_until("it is sent", || database.in_state("sent") == 1);
    assert_eq!(collect.stop().code, Some(0));
}

/// A slow collector whose lease ran out, the reader it waits for, and one that took its batch
/// over, with its reader.
fn taken_over(database: &Database) -> [(Running, Stalled); 2] {
    database.accounts("user", 50);
    let slow = stuck(Program::collect(database).lease(300), database);
    let first = lease(database);
    let (reader, output) = stalled();
    let other = Program::collect(database).limit(50).lease(60_000).stdout(output).start();
    wait_until("the batch is taken over", || {
        database.in_state("leased") == 50 && lease(database) != first
    });
    reader.wait_full();
    [slow, (other, reader)]
}

/// The lease of the first delivery.
fn lease(database: &Database) -> String {
    let sql = "SELECT coalesce(lease, '') FROM deliveries WHERE id = 1";
    database.client().query_one(sql, &[]).unwrap().get(0)
}

#[test]
fn a_late_failure_does_not_overwrite_newer_work() {
    let database = Database::migrated();
    let [(slow, slow_reader), (other, other_reader)] = taken_over(&database);
    let newer = lease(&database);
    drop(slow_reader);
    let finished = slow.finish();
    assert_eq!(finished.code, Some(74));
    assert!(finished.log.contains("its lease had run out"), "{}", finished.log);
    assert_eq!((lease(&database), database.in_state("leased")), (newer, 50));
    let out = other_reader.read();
    assert_eq!(addresses(&out.wait_lines(1)).len(), 50);
    wait_until("all are sent", || database.in_state("sent") == 50);
    assert_eq!(other.stop().code, Some(0));
}

#[test]
fn a_late_success_counts_and_the_failure_of_the_newer_work_does_not_undo_it() {
    let database = Database::migrated();
    let [(slow, slow_reader), (other, other_reader)] = taken_over(&database);
    let out = slow_reader.read();
    assert_eq!(addresses(&out.wait_lines(1)).len(), 50);
    wait_until("all are sent", || database.in_state("sent") == 50);
    drop(other_reader);
    assert_eq!(other.finish().code, Some(74));
    assert_eq!(database.in_state("sent"), 50);
    assert_eq!(slow.stop().code, Some(0));
}
