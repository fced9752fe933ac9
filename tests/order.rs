//! Which rows go, and in which order: nothing is skipped, nothing goes twice, the urgent first.

use crate::support::cluster::{Database, insert};
use crate::support::pipe::stalled;
use crate::support::program::{Program, addresses, messages, wait_until};
use mailroom::queue::store::Statements;
use mailroom::queue::store::values::{Levels, Want};
use std::time::Duration;

#[test]
fn a_lower_id_that_commits_after_a_higher_one_was_sent_is_still_sent() {
    let database = Database::migrated();
    let collect = Program::collect(&database).env("MAILROOM_BATCH_LIMIT", "1").start();
    collect.wait_log("connected");
    let mut slow = database.client();
    let mut transaction = slow.transaction().unwrap();
    insert(&mut transaction, "low");
    insert(&mut database.client(), "high");
    assert_eq!(addresses(&collect.wait_lines(1)), ["high@example.com"]);
    wait_until("the higher one is settled", || database.in_state("sent") == 1);
    transaction.commit().unwrap();
    assert_eq!(addresses(&collect.wait_lines(2)), ["high@example.com", "low@example.com"]);
    let ids = "SELECT (min(id) FILTER (WHERE login = 'low') < min(id) FILTER (WHERE login = 'high')\
               )::int::bigint FROM accounts";
    assert_eq!(database.number(ids), 1);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn eight_sessions_of_fifty_inserts_in_overlapping_transactions_give_exactly_400() {
    let database = Database::migrated();
    let collect = Program::collect(&database).start();
    collect.wait_log("connected");
    let all = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for session in 0..8 {
            let (database, all) = (&database, &all);
            scope.spawn(move || {
                let mut client = database.client();
                let mut done = 0;
                for size in [1, 2, 3, 4, 5, 6, 7, 8, 9, 5] {
                    let mut transaction = client.transaction().unwrap();
                    for _ in 0..size {
                        insert(&mut transaction, &format!("user{session}-{done}"));
                        done += 1;
                    }
                    // All eight are open now.
                    all.wait();
                    transaction.commit().unwrap();
                }
                assert_eq!(done, 50);
            });
        }
    });
    wait_until("all are sent", || database.in_state("sent") == 400);
    let finished = collect.stop();
    assert_eq!(finished.code, Some(0));
    let mut sent = addresses(&finished.out.lines().map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(sent.len(), 400);
    sent.sort();
    sent.dedup();
    assert_eq!(sent.len(), 400, "some went twice");
    assert_eq!(database.number("SELECT last_seq FROM jobs"), 400);
}

/// So many collectors at once drain 2,000 rows: a part is there before, a part comes meanwhile.
fn share(collectors: usize) {
    let database = Database::migrated();
    database.accounts("early", 1000);
    let running: Vec<_> = (0..collectors).map(|_| Program::collect(&database).start()).collect();
    for n in 0..10 {
        database.accounts(&format!("late{n}-"), 100);
    }
    wait_until("all are sent", || database.in_state("sent") == 2000);
    let finished: Vec<_> = running.into_iter().map(|one| one.stop()).collect();
    let lines: Vec<String> =
        finished.iter().flat_map(|one| one.out.lines()).map(str::to_owned).collect();
    let mut sent = addresses(&lines);
    assert_eq!(sent.len(), 2000);
    sent.sort();
    sent.dedup();
    assert_eq!(sent.len(), 2000, "some went twice");
    for one in finished {
        assert_eq!(one.code, Some(0));
        assert!(!one.log.contains("WARN") && !one.log.contains("ERROR"), "{}", one.log);
    }
}

#[test]
fn two_collectors_share_a_queue_without_a_duplicate() {
    share(2);
}

#[test]
fn four_collectors_share_a_queue_without_a_duplicate() {
    share(4);
}

#[test]
fn a_claim_goes_by_its_indexes_whatever_the_statistics_say() {
    let database = Database::migrated();
    database.accounts("user", 2000);
    let mut client = database.client();
    Statements::prepare(&mut client, "mailroom").unwrap();
    let types = "text, bigint, bigint, text, float8, text[], float8, bigint, text, text, text,
        bigint[], text[], text[], text[], text[], float8[], bool[], bool, bool, smallint, bigint";
    let turn = include_str!("../src/queue/sql/turn.sql");
    for rows in [0, 1, 2000, 1_000_000_000] {
        client
            .batch_execute(&format!(
                "UPDATE pg_class SET reltuples = {rows}, relpages = greatest(1, {rows} / 50)
                  WHERE relname IN ('tokens', 'accounts', 'deliveries');
                 PREPARE turn ({types}) AS {turn}"
            ))
            .unwrap();
        let sql = "EXPLAIN EXECUTE turn ('mailroom', 10, 1, 'x', 9, '{}', 9, 10, '{20}', '{-infinity}', 'mail',
            '{}', '{}', '{}', '{}', '{}', '{}', '{}', false, false, NULL, 9)";
        let plan = client.query(sql, &[]).unwrap();
        let plan: String = plan.iter().map(|row| row.get::<_, String>(0) + "\n").collect();
        for by in [
            "Index Cond: (id = ANY (ARRAY[o.id]))",
            "Index Cond: (id = ready.id)",
            "Index Cond: (id = tokens",
            "TID Cond: (ctid = ANY (",
        ] {
            assert!(plan.contains(by), "no {by:?} with {rows} rows:\n{plan}");
        }
        client.batch_execute("DEALLOCATE turn").unwrap();
    }
}

#[test]
fn what_is_planned_while_tables_are_small_reads_none_of_them_whole_when_they_are_large() {
    let database = Database::migrated();
    let mut client = database.client();
    Statements::prepare(&mut client, "mailroom").unwrap();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/queue/sql");
    for rows in [0, 1, 40, 100] {
        database.accounts(&format!("of{rows}x"), rows);
        for vacuum in ["", "VACUUM ANALYZE"] {
            client.batch_execute(vacuum).unwrap();
            for name in ["turn", "look", "levels", "rescue", "adopt", "expire"] {
                let sql = std::fs::read_to_string(format!("{folder}/{name}.sql")).unwrap();
                let count = (1..).take_while(|n| sql.contains(&format!("${n}::"))).count();
                let nulls = vec!["NULL"; count].join(", ");
                client.batch_execute(&format!("PREPARE planned AS {sql}")).unwrap();
                let explain = format!("EXPLAIN EXECUTE planned ({nulls})");
                let plan = client.query(&explain, &[]).unwrap();
                let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
                for (place, line) in plan.iter().enumerate() {
                    let is_scan = ["deliveries", "tokens", "accounts"]
                        .iter()
                        .any(|table| line.contains(&format!(" Scan using {table}_")));
                    let by_index =
                        plan[place + 1..].iter().take(2).any(|l| l.contains("Index Cond"));
                    assert!(!is_scan || by_index, "{name}, {rows} rows: {line}\n{plan:#?}");
                    assert!(!line.contains("Seq Scan on deliveries"), "{name}: {plan:#?}");
                }
                client.batch_execute("DEALLOCATE planned").unwrap();
            }
        }
    }
}

#[test]
fn a_recovery_overtakes_a_backlog_of_activations() {
    let database = Database::migrated();
    database.accounts("user", 400);
    let (reader, output) = stalled();
    let collect =
        Program::collect(&database).env("MAILROOM_BATCH_LIMIT", "50").stdout(output).start();
    wait_until("a batch is claimed", || database.in_state("leased") == 50);
    database.recovery("urgent");
    let out = reader.read();
    let lines = out.wait_lines(8);
    let first: Vec<String> = messages(&lines[0]).into_iter().map(|[action, ..]| action).collect();
    assert_eq!(first, vec!["1"; 50]);
    let [action, email, ..] = &messages(&lines[1])[0];
    assert_eq!((action.as_str(), email.as_str()), ("2", "urgent@example.com"));
    wait_until("all are sent", || database.in_state("sent") == 401);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn a_recovery_that_commits_late_is_next_though_full_batches_follow_one_another() {
    let database = Database::migrated();
    database.accounts("user", 10);
    database.run(
        "INSERT INTO accounts (email, login, status) VALUES ('early@example.com', 'early', 'active')",
    );
    let mut slow = database.client();
    let mut late = slow.transaction().unwrap();
    late.execute(
        "INSERT INTO tokens (account, action)
         SELECT id, 'password_recovery' FROM accounts WHERE login = 'early'",
        &[],
    )
    .unwrap();
    database.recovery("other");
    let mut client = database.client();
    let mut statements = Statements::prepare(&mut client, "mailroom").unwrap();
    let known = Levels::default();
    let (mut levels, ..) = statements.levels(&mut client, None, &known).unwrap();
    let mut claim = || {
        let want = Want {
            limit: 3,
            least: 1,
            look: 3,
            lease: "test",
            lease_for: Duration::from_secs(60),
            priorities: levels.priorities.as_deref(),
            reached: levels.reached.as_deref(),
            carries: "mail",
            ..Want::default()
        };
        let turn = statements.turn(&mut client, &[], (false, false), want).unwrap();
        levels.reached = turn.reached;
        turn.claims.into_iter().filter_map(|claim| claim.recipient).collect::<Vec<String>>()
    };
    let first = claim();
    assert_eq!((first.len(), first[0].as_str()), (3, "other@example.com"));
    late.commit().unwrap();
    assert_eq!(claim()[0], "early@example.com");
}

#[test]
fn several_queues_do_not_touch_each_other() {
    let database = Database::migrated();
    database.run("ALTER TYPE job_type ADD VALUE 'other'");
    database.run("INSERT INTO jobs (job_type, last_seq) VALUES ('other', 0)");
    database.run("UPDATE kinds SET queue = 'other' WHERE kind = 'password_recovery'");
    database.accounts("user", 25);
    for n in 0..5 {
        database.recovery(&format!("lost{n}"));
    }
    let other = Program::collect(&database).env("MAILROOM_QUEUE_NAME", "other").start();
    other.wait_lines(1);
    wait_until("its queue is empty", || database.in_state("sent") == 5);
    assert_eq!(database.in_state("pending"), 25);
    let first = Program::collect(&database).start();
    wait_until("all are sent", || database.in_state("sent") == 30);
    database.recovery("late");
    database.accounts("late", 1);
    wait_until("all are sent", || database.in_state("sent") == 32);
    for (collect, action, count) in [(other, "2", 6), (first, "1", 26)] {
        let finished = collect.stop();
        assert_eq!(finished.code, Some(0));
        let actions: Vec<String> =
            finished.out.lines().flat_map(messages).map(|[action, ..]| action).collect();
        assert_eq!(actions, vec![action; count]);
    }
}
