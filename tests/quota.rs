//! Limits and holds of the whole program: the day is counted in the database, the provider's
//! quota is heeded, and what expires while it is held is counted.

use crate::support::cluster::Database;
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::program::{Program, wait_until};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// A delivery that was sent so long ago, in PostgreSQL's words.
fn sent(database: &Database, name: &str, count: u32, ago: &str) {
    database.accounts(name, count);
    database.run(&format!(
        "UPDATE deliveries d SET state = 'sent', due_at = now() - interval '{ago}' \
           FROM tokens t JOIN accounts a ON a.id = t.account \
          WHERE t.id = d.id AND a.login LIKE '{name}%'; \
         INSERT INTO tallies (queue, minute, writer, sent) \
              VALUES ('mailroom', date_trunc('minute', now() - interval '{ago}'), 0, {count})"
    ));
}

#[test]
fn the_daily_limit_is_counted_in_the_database_and_outlives_a_restart() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    sent(&database, "old", 7, "25 hours");
    sent(&database, "new", 4, "3 hours");
    database.accounts("user", 9);
    let program = || Program::run(&database, &endpoint.url()).env("MAILROOM_DAILY_LIMIT", "10");
    let run = program().start();
    run.wait_log("the limit of recipients in 24 h is reached; looking again in ");
    assert_eq!(endpoint.accepted().len(), 6);
    let finished = run.stop();
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    let wait = finished.log.split("looking again in ").nth(1).unwrap().split(' ').next().unwrap();
    let wait: u64 = wait.parse().unwrap();
    assert!((590..=600).contains(&wait), "{wait}");

    // Another process, and two more when one falls out of the day.
    let run = program().start();
    run.wait_log("the limit of recipients in 24 h is reached");
    assert_eq!(run.stop().code, Some(0));
    assert_eq!(endpoint.accepted().len(), 6);
    database.run(
        "UPDATE tallies SET sent = sent - 2 \
          WHERE minute BETWEEN now() - interval '4 hours' AND now() - interval '2 hours'",
    );
    let run = program().start();
    endpoint.wait_for(8, SOON);
    run.wait_log("the limit of recipients in 24 h is reached");
    assert_eq!(run.stop().code, Some(0));
    assert_eq!(endpoint.accepted().len(), 8);
    assert_eq!(database.number("SELECT sum(attempts) FROM deliveries WHERE state = 'pending'"), 0);
}

#[test]
fn a_sender_with_a_database_counts_there_too_and_one_without_does_not() {
    let database = Database::migrated();
    sent(&database, "new", 4, "3 hours");
    database.accounts("user", 9);
    let collect = Program::collect(&database).env("MAILROOM_ACK", "sent").start();
    let lines = collect.wait_lines(1).join("\n") + "\n";
    assert_eq!(collect.stop().code, Some(0));
    for (ack, expected) in [("sent", 6), ("written", 9)] {
        let endpoint = Endpoint::start();
        let mut send = Program::send(&endpoint.url())
            .on(&database)
            .env("MAILROOM_ACK", ack)
            .env("MAILROOM_DAILY_LIMIT", if ack == "sent" { "10" } else { "9" })
            .start();
        send.write(&lines);
        send.wait_log("the limit of recipients in 24 h is reached");
        assert_eq!(endpoint.accepted().len(), expected, "{ack}");
        let _ = send.stop();
    }
}

#[test]
fn processes_on_one_queue_never_pass_the_limit_together() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    database.accounts("user", 400);
    // What somebody else has in hand may have been sent already.
    database.run(
        "UPDATE deliveries SET state = 'leased', lease = 'other:1:1', due_at = now() + '1 hour' \
          WHERE id IN (SELECT id FROM deliveries ORDER BY id LIMIT 30)",
    );
    let program = || {
        Program::run(&database, &endpoint.url())
            .env("MAILROOM_DAILY_LIMIT", "157")
            .env("MAILROOM_SEND_RATE", "1000")
            .start()
    };
    let runs = [program(), program(), program()];
    endpoint.wait_for(127, SOON);
    // Until that is settled the claims find the limit reached, and ask again.
    database.run("UPDATE deliveries SET due_at = now() WHERE lease = 'other:1:1'");
    for run in &runs {
        run.wait_log("the limit of recipients in 24 h is reached");
    }
    for run in runs {
        assert_eq!(run.stop().code, Some(0));
    }
    assert_eq!(endpoint.accepted().len(), 157);
    assert_eq!(database.in_state("sent"), 157);
    assert_eq!(database.in_state("leased"), 0);
}

#[test]
fn the_count_of_a_day_is_the_same_whatever_rows_are_kept_and_reads_few() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    database.accounts("user", 30);
    let run = Program::run(&database, &endpoint.url()).env("MAILROOM_RETENTION", "0").start();
    endpoint.wait_for(30, SOON);
    wait_until("settled", || database.number("SELECT count(*) FROM deliveries") == 0);
    assert_eq!(run.stop().code, Some(0));
    database.run(
        "INSERT INTO tallies SELECT 'mailroom', now() - n * interval '1 minute', 1, 1 \
           FROM generate_series(1, 5000) AS n",
    );
    let room = include_str!("../src/queue/sql/room.sql").replace("$1", "2000");
    let counted = 2000 - database.number(&room);
    // Never fewer, and at most those of one minute too many.
    assert!((30 + 1440..=30 + 1441).contains(&counted), "{counted}");
    database.accounts("leased", 5);
    database.run(
        "UPDATE deliveries SET state = 'leased', lease = 'other:1:1', due_at = now() + '1 hour'",
    );
    let (of_leases, unsent) = ("SELECT unleased - room FROM", "SELECT unleased FROM");
    assert_eq!(database.number(&format!("{of_leases} ({room}) AS counted")), 5);
    let counted = 2000 - database.number(&format!("{unsent} ({room}) AS counted"));
    assert!((30 + 1440..=30 + 1441).contains(&counted), "{counted}");

    let mut client = database.client();
    client.batch_execute("ANALYZE tallies; SET enable_seqscan = off").unwrap();
    let rows = client.query(&format!("EXPLAIN {room}"), &[]).unwrap();
    let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let plan = plan.join("\n");
    assert!(plan.contains("tallies_pkey"), "{plan}");
    assert!(!plan.contains("Seq Scan"), "{plan}");
}

#[test]
fn the_providers_quota_is_heeded_where_it_is_lower() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    endpoint.allow(5.0, 200.0, 193.0);
    database.accounts("user", 20);
    let run = Program::run(&database, &endpoint.url()).start();
    run.wait_log(
        "the provider allows 5 recipients/s and 200 in 24 h, 7 of them left; sending 5 a second",
    );
    run.wait_log("the limit of recipients in 24 h is reached; looking again in ");
    assert_eq!(endpoint.accepted().len(), 7);
    let sizes: Vec<usize> = endpoint
        .requests()
        .iter()
        .map(|request| request.json()["BulkEmailEntries"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [5, 2]);
    assert_eq!(endpoint.quota_asked(), 1);
    assert_eq!(run.stop().code, Some(0));
}

#[test]
fn a_quota_that_may_not_be_read_is_said_once_and_mail_goes() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    database.accounts("user", 30);
    let run = Program::run(&database, &endpoint.url()).start();
    endpoint.wait_for(30, SOON);
    let finished = run.stop();
    let text = "the account's quota cannot be read (AccessDeniedException: not allowed: \
                GetAccount); going by MAILROOM_SEND_RATE and MAILROOM_DAILY_LIMIT alone";
    assert_eq!(finished.log.matches(text).count(), 1, "{}", finished.log);
    assert_eq!(endpoint.quota_asked(), 1);
}

#[test]
fn what_expires_while_everything_is_held_is_counted_and_used_no_attempt() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    endpoint.set(Reply::error(400, "SendingPausedException", "sending is paused"));
    database.accounts("user", 12);
    database
        .run("UPDATE tokens SET expires_at = extract(epoch FROM now())::bigint + 4 WHERE id <= 5");
    let run = Program::run(&database, &endpoint.url())
        .env("MAILROOM_HEALTHCHECK_INTERVAL", "500")
        .start();
    run.wait_log(
        "everything is held: SendingPausedException: sending is paused; next probe in 30 s",
    );
    wait_until("five expire", || database.in_state("expired") == 5);
    assert_eq!(endpoint.requests().len(), 1, "it is not probed meanwhile");
    assert_eq!(database.number("SELECT sum(attempts) FROM deliveries"), 0);
    assert_eq!(database.in_state("pending"), 7);
    let held = database.number(
        "SELECT count(*) FROM deliveries WHERE state = 'expired' AND error LIKE '%paused%'",
    );
    assert!(held >= 1, "those that were tried keep the reason");
    run.wait_log("expired before they could be sent");
    let finished = run.stop();
    assert_eq!(finished.code, Some(0));
}
