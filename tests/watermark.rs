//! Where claims and looks begin: what lies before is found soon, whatever happened meanwhile.

use crate::support::cluster::{Database, insert, tag};
use crate::support::program::{Program, Running, addresses, wait_until};
use mailroom::queue::store::Statements;
use mailroom::queue::store::values::Levels;
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

/// When the collector asked last.
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
fn what_commits_with_an_earlier_moment_or_a_priority_that_nothing_had_is_found_without_a_healthcheck()
 {
    let database = Database::migrated();
    let collect = collector(&database, "1", "300");
    let mut client = database.client();
    let changes = [
        "due_at = now() - interval '1 hour'",
        "due_at = now() - interval '500 ms'",
        "priority = -7",
        "priority = 99",
    ];
    for (n, change) in changes.into_iter().enumerate() {
        insert(&mut client, &format!("before{n}"));
        wait_until("it is settled", || database.in_state("sent") == 2 * n as i64 + 1);
        let mut transaction = client.transaction().unwrap();
        insert(&mut transaction, &format!("odd{n}"));
        let sql = format!("UPDATE deliveries SET {change} WHERE state = 'pending'");
        assert_eq!(transaction.execute(&sql, &[]).unwrap(), 1);
        transaction.commit().unwrap();
        wait_until("the odd one is settled", || database.in_state("sent") == 2 * n as i64 + 2);
    }
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn a_search_that_goes_back_for_seconds_finds_what_is_late_and_forgets_nothing_that_was_found() {
    let database = Database::migrated();
    let mut client = database.client();
    let mut statements = Statements::prepare(&mut client, "mailroom").unwrap();
    let mut search = |back: Option<u64>, known: &Levels| {
        let back = back.map(Duration::from_secs);
        let (levels, due, lapse) = statements.levels(&mut client, back, known).unwrap();
        // For each priority, how many seconds ago its deliveries begin, in tens.
        let sql = format!(
            "SELECT string_agg(priority || ':' || round(extract(epoch FROM now() - floor)::numeric, -1), ' ')
               FROM unnest('{}'::smallint[], '{}'::timestamptz[]) AS level (priority, floor)",
            levels.priorities.as_deref().unwrap(),
            levels.floors.as_deref().unwrap(),
        );
        let ages: String = database.client().query_one(&sql, &[]).unwrap().get(0);
        (levels, ages, due, lapse.is_some())
    };
    let add = |priority: i32, age: i32| {
        database.run(&format!(
            "INSERT INTO deliveries (kind, priority, due_at)
             VALUES ('activation', {priority}, now() - {age} * interval '1 second')"
        ));
    };
    add(20, 3600);
    add(7, 600);
    let (known, ages, due, _) = search(None, &Levels::default());
    assert_eq!((ages.as_str(), due), ("7:600 10:0 20:3600", true));
    add(10, 60);
    add(10, 10);
    let (known, ages, due, _) = search(Some(4), &known);
    assert_eq!((ages.as_str(), due), ("7:600 10:0 20:3600", true));
    let (known, ages, ..) = search(Some(16), &known);
    assert_eq!(ages, "7:600 10:10 20:3600");
    // What went is passed over, and what was there before it is found by the next that goes so far.
    database.run(
        "DELETE FROM deliveries WHERE due_at > now() - interval '30 seconds' OR priority = 20",
    );
    let (known, ages, ..) = search(Some(4), &known);
    assert_eq!(ages, "7:600 10:0 20:0");
    database.run("UPDATE deliveries SET state = 'leased', lease = 'x:1' WHERE priority = 7");
    let (known, ages, due, lapse) = search(Some(4), &known);
    assert_eq!((ages.as_str(), due, lapse), ("7:0 10:0 20:0", false, false));
    // A priority that was once there is not forgotten: something of it may commit late.
    let (_, ages, due, lapse) = search(None, &known);
    assert_eq!((ages.as_str(), due, lapse), ("7:0 10:60 20:0", true, true));
}

#[test]
fn a_look_leaves_a_tenth_of_a_second_after_a_claim_and_the_next_one_no_more() {
    let database = Database::migrated();
    let mut client = database.client();
    let mut statements = Statements::prepare(&mut client, "mailroom").unwrap();
    database.run(
        "INSERT INTO deliveries (kind, priority, due_at)
         VALUES ('activation', 20, '2026-01-01 00:00:00'), ('activation', 20, '2026-01-01 12:00:00')",
    );
    let text = |seconds: &str| format!("{{\"2026-01-01 {seconds}+00\"}}");
    let mut levels = Levels {
        priorities: Some("{20}".to_owned()),
        floors: Some(text("00:00:00")),
        reached: Some(text("12:00:00.05")),
        claimed: true,
        lists: None,
    };
    let mut look = |levels: &mut Levels| {
        let found = statements.look(&mut client, 10, levels, false).unwrap();
        (found.due, levels.reached.clone().unwrap(), levels.claimed)
    };
    for _ in 0..2 {
        assert_eq!(look(&mut levels), (1, text("11:59:59.95"), false));
    }
    // Never below the watermark.
    levels.reached = Some(text("00:00:00.05"));
    levels.claimed = true;
    assert_eq!(look(&mut levels), (2, text("00:00:00"), false));
}

/// Index entries that claims and looks met until now. A backend has counted all when it ended.
fn entries_read(database: &Database) -> i64 {
    wait_until("the collector's backend ended", || {
        database.number(
            "SELECT count(*) FROM pg_stat_activity
              WHERE datname = current_database() AND application_name LIKE 'mailroom%'",
        ) == 0
    });
    database.number(
        "SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes WHERE indexrelname IN
         ('deliveries_claim_idx', 'deliveries_wake_idx')",
    )
}

#[test]
fn beside_a_long_transaction_claims_do_not_pass_over_what_was_claimed_since_it_began() {
    let database = Database::migrated();
    let mut client = database.client();
    let mut long = client.build_transaction();
    long = long.isolation_level(postgres::IsolationLevel::RepeatableRead);
    let mut long = long.start().unwrap();
    long.query("SELECT count(*) FROM deliveries", &[]).unwrap();
    database.accounts("early", 4000);
    database.run("UPDATE deliveries SET due_at = now() - interval '1 hour'");
    let collector = || Program::collect(&database).env("MAILROOM_BATCH_LIMIT", "10").start();
    let early = collector();
    wait_until("all are settled", || database.in_state("sent") == 4000);
    assert_eq!(early.stop().code, Some(0));
    let before = entries_read(&database);
    // A watermark leaves two seconds for transactions that are under way.
    wait_until("they are older than that", || {
        database.number(
            "SELECT count(*) FROM deliveries WHERE created_at > now() - interval '3 seconds'",
        ) == 0
    });
    let late = collector();
    late.wait_log("connected");
    for n in 0..100 {
        database.accounts(&format!("late{n}-"), 10);
    }
    wait_until("all are settled", || database.in_state("sent") == 5000);
    assert_eq!(late.stop().code, Some(0));
    // The early ones left 8,000 entries in one index and 4,000 in the other. 100 claims and looks
    // that pass over them meet more than three million.
    let met = entries_read(&database) - before;
    assert!(met < 1_000_000, "{met} entries were met");
    long.rollback().unwrap();
}

#[test]
fn a_lease_that_another_took_between_a_watermark_and_its_look_is_put_back_when_it_runs_out() {
    let database = Database::migrated();
    let collect = collector(&database, "10", "600000");
    database.accounts("taken", 1);
    wait_quiet(&database);
    // The search for watermarks reads this table, a look does not; with the other it is the other way round.
    let (mut one, mut other) = (database.client(), database.client());
    let (mut one, mut other) = (one.transaction().unwrap(), other.transaction().unwrap());
    one.batch_execute("LOCK TABLE kinds IN ACCESS EXCLUSIVE MODE").unwrap();
    database.run("NOTIFY token_insert");
    wait_until("the search waits", || database.blocked("levels") > 0);
    other.batch_execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE").unwrap();
    one.rollback().unwrap();
    wait_until("its look waits", || database.blocked("look") > 0);
    let sql = "UPDATE deliveries SET state = 'leased', lease = 'collect:other',
                      due_at = clock_timestamp() + interval '2 seconds' WHERE state = 'pending'";
    assert_eq!(other.execute(sql, &[]).unwrap(), 1);
    other.commit().unwrap();
    // Whoever took it is gone.
    wait_until("the lease is put back", || database.in_state("pending") == 1);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn after_a_search_for_watermarks_that_waited_for_a_lock_the_next_one_is_not_minutes_away() {
    let database = Database::migrated();
    let collect = collector(&database, "2", "300");
    wait_quiet(&database);
    let mut other = database.client();
    let mut lock = other.transaction().unwrap();
    lock.batch_execute("LOCK TABLE kinds IN ACCESS EXCLUSIVE MODE").unwrap();
    // A wake-up that brings nothing: a look, and a search for watermarks, which reads this table.
    database.run("NOTIFY token_insert");
    let waits = format!(
        "SELECT count(*) FROM pg_stat_activity
          WHERE datname = current_database() AND wait_event_type = 'Lock'
            AND starts_with(query, '{}') AND now() - query_start > interval '1 s'",
        tag("levels")
    );
    wait_until("the search has waited for a while", || database.number(&waits) == 1);
    lock.rollback().unwrap();
    wait_quiet(&database);
    let mut late = database.client();
    let mut late = late.transaction().unwrap();
    insert(&mut late, "a");
    late.batch_execute("UPDATE deliveries SET due_at = now() - interval '1 hour'").unwrap();
    late.commit().unwrap();
    let lines = collect.wait_lines(1);
    assert_eq!(addresses(&lines), ["a@example.com"]);
    assert_eq!(collect.stop().code, Some(0));
}
