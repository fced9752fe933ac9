//! Who is sent a mail: rows that may not go wait or end, and spoil nothing beside them.

use crate::support::cluster::{Database, telling};
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::program::{Program, addresses, assert_no_busy_loop, messages, wait_until};

#[test]
fn rows_whose_account_is_gone_or_hidden_stand_in_nobodys_way_and_say_so() {
    let database = Database::migrated();
    database.accounts("gone", 12);
    database.accounts("hidden", 12);
    database.accounts("good", 3);
    // As on a subscriber, or after a restore without triggers: nothing is deleted with them.
    database.run(
        "SET session_replication_role = replica;
         DELETE FROM tokens t USING accounts a WHERE a.id = t.account AND a.login LIKE 'gone%';
         RESET session_replication_role",
    );
    let role = format!("hidden_from_{}", database.name);
    database.run(&format!(
        "CREATE ROLE {role} LOGIN;
         ALTER TABLE accounts ENABLE ROW LEVEL SECURITY;
         CREATE POLICY mine ON accounts TO {role} USING (login NOT LIKE 'hidden%')"
    ));
    let granted = Program::new(&["migrate", "grants", &role]).on(&database).output();
    assert_eq!(granted.code, Some(0), "{}", granted.log);
    let url = database.url.replace("user=postgres", &format!("user={role}"));
    let collect = Program::collect(&database).env("MAILROOM_DATABASE_URL", url).start();
    let lines = collect.wait_lines(1);
    assert!(lines[0].contains("good1@example.com"), "{lines:?}");
    let waits = "SELECT count(*) FROM deliveries WHERE state = 'pending' \
                 AND cause = 'ineligible' AND error LIKE 'its token or account is not there%'";
    wait_until("they say so", || database.number(waits) == 24);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn who_is_suspended_and_unsuspended_before_expiry_gets_the_mail() {
    let database = Database::migrated();
    database.accounts("user", 1);
    database.recovery("known");
    database.run("UPDATE accounts SET activated_at = 1 WHERE login = 'known'");
    database.run("UPDATE accounts SET status = 'suspended'");
    let collect = Program::collect(&database).window(100).start();
    wait_until("both were looked at", || {
        let sql = "SELECT count(*) FROM deliveries \
                    WHERE state = 'pending' AND cause = 'ineligible' AND error = 'its account is suspended'";
        database.number(sql) == 2
    });
    assert_eq!(collect.out(), "");
    // Never active before, so it becomes provisioned again.
    database.run("UPDATE accounts SET status = 'active' WHERE login = 'user1'");
    assert_eq!(addresses(&collect.wait_lines(1)), ["user1@example.com"]);
    database.run("UPDATE accounts SET status = 'active' WHERE login = 'known'");
    let expected = ["user1@example.com", "known@example.com"];
    assert_eq!(addresses(&collect.wait_lines(2)), expected);
    wait_until("both are settled", || database.in_state("sent") == 2);
    assert_eq!(database.number("SELECT count(error) FROM deliveries"), 0);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn a_token_that_expires_while_it_waits_becomes_expired() {
    let database = Database::migrated();
    database.accounts("user", 2);
    database.run(
        "UPDATE accounts SET status = 'suspended'; \
         UPDATE tokens SET expires_at = extract(epoch FROM now())::bigint + 2",
    );
    let collect = Program::collect(&database).window(100).start();
    wait_until("they were looked at", || {
        database.number("SELECT count(*) FROM deliveries WHERE cause = 'ineligible'") == 2
    });
    assert_eq!(database.in_state("pending"), 2);
    wait_until("they are expired", || database.in_state("expired") == 2);
    let finished = collect.stop();
    assert_eq!((finished.code, finished.out.as_str()), (Some(0), ""));
    // They could not have been sent earlier either.
    assert!(!finished.log.contains("expired"), "{}", finished.log);
}

#[test]
fn a_token_that_expired_before_anybody_looked_is_said_to_have() {
    let database = Database::migrated();
    database.accounts("late", 2);
    database.run("UPDATE tokens SET expires_at = extract(epoch FROM now())::bigint - 1");
    let collect = Program::collect(&database).window(100).start();
    wait_until("they are expired", || database.in_state("expired") == 2);
    let finished = collect.stop();
    assert_eq!((finished.code, finished.out.as_str()), (Some(0), ""));
    assert!(finished.log.contains("2 expired before they could be sent"), "{}", finished.log);
}

#[test]
fn a_token_that_expires_between_two_tries_becomes_expired_and_keeps_the_reason() {
    let database = Database::migrated();
    database.accounts("user", 1);
    database.run(
        "UPDATE tokens SET expires_at = extract(epoch FROM now())::bigint + 2; \
         UPDATE deliveries SET attempts = 1, error = 'the provider was busy', \
                due_at = to_timestamp(extract(epoch FROM now())::bigint + 2)",
    );
    let collect = Program::collect(&database).window(100).start();
    collect.wait_log("connected");
    assert_eq!(database.in_state("pending"), 1);
    wait_until("it is expired", || database.in_state("expired") == 1);
    let kept = "SELECT count(*) FROM deliveries \
                 WHERE error = 'the provider was busy' AND due_at <= now() AND state = 'expired'";
    assert_eq!(database.number(kept), 1);
    let finished = collect.stop();
    assert_eq!((finished.code, finished.out.as_str()), (Some(0), ""));
}

#[test]
fn a_retry_goes_when_it_is_due_without_a_notification() {
    let database = Database::migrated();
    database.accounts("user", 1);
    database.run(
        "UPDATE deliveries SET attempts = 1, error = 'the provider was busy', \
                due_at = now() + interval '1500 milliseconds'",
    );
    let collect = Program::collect(&database).window(100).start();
    collect.wait_log("connected");
    assert_eq!(collect.wait_lines(1).len(), 1);
    wait_until("it is sent", || database.in_state("sent") == 1);
    let early = "SELECT count(*) FROM deliveries \
                  WHERE due_at < created_at + interval '1500 milliseconds'";
    assert_eq!(database.number(early), 0);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn a_batch_that_is_not_full_does_not_wait_until_its_tokens_have_expired() {
    let database = Database::migrated();
    let collect =
        Program::collect(&database).window(100).env("MAILROOM_BATCH_TIMEOUT", "60000").start();
    collect.wait_log("connected");
    // A machine that stands still for a second misses it, but not always.
    let sent = (1..=5).any(|n| {
        database.run(&format!(
            "BEGIN; INSERT INTO accounts (email, login) VALUES ('u{n}@example.com', 'u{n}'); \
             UPDATE tokens SET expires_at = extract(epoch FROM now())::bigint + 4; \
             UPDATE deliveries SET due_at = now() + interval '2 seconds' \
              WHERE state = 'pending'; COMMIT"
        ));
        wait_until("it has an end", || database.in_state("pending") == 0);
        wait_until("it is settled", || database.in_state("leased") == 0);
        database.in_state("sent") > 0
    });
    assert!(sent, "{}", collect.log());
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn rows_that_somebody_has_locked_are_not_asked_for_all_the_time() {
    for (rows, limit) in [(1, "10"), (30, "10"), (30, "1")] {
        let database = telling().migrated(&format!("locked_{rows}_{limit}"));
        database.accounts("user", rows);
        let mut client = database.client();
        let mut lock = client.transaction().unwrap();
        lock.batch_execute("SELECT FROM deliveries FOR UPDATE").unwrap();
        let collect = Program::collect(&database)
            .window(100)
            .env("MAILROOM_BATCH_TIMEOUT", "1")
            .env("MAILROOM_BATCH_LIMIT", limit)
            .start();
        collect.wait_log("connected");
        assert_no_busy_loop(&database);
        lock.rollback().unwrap();
        wait_until("they are sent", || database.in_state("sent") == i64::from(rows));
        assert_eq!(collect.stop().code, Some(0));
    }
}

#[test]
fn a_list_of_statuses_with_a_hole_lets_nobody_through_it() {
    let database = Database::migrated();
    database.accounts("user", 2);
    database.run(
        "UPDATE kinds SET account_status = '{provisioned,NULL}'; \
         UPDATE accounts SET status = 'suspended' WHERE login = 'user1'",
    );
    let collect = Program::collect(&database).window(100).start();
    assert_eq!(addresses(&collect.wait_lines(1)), ["user2@example.com"]);
    wait_until("it is said why", || {
        let sql = "SELECT count(*) FROM deliveries WHERE cause = 'ineligible' AND error = 'its account is suspended'";
        database.number(sql) == 1
    });
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn a_token_that_was_used_is_not_sent() {
    let database = Database::migrated();
    database.accounts("user", 3);
    // An application that used it and did not touch the account.
    database.run(
        "ALTER TABLE tokens DISABLE TRIGGER after_token_consumed; \
         UPDATE tokens SET consumed_at = extract(epoch FROM now())::bigint WHERE id = 2; \
         ALTER TABLE tokens ENABLE TRIGGER after_token_consumed",
    );
    let collect = Program::collect(&database).window(100).start();
    let sent = addresses(&collect.wait_lines(1));
    assert_eq!(sent, ["user1@example.com", "user3@example.com"]);
    wait_until("it is said why", || {
        let sql = "SELECT count(*) FROM deliveries \
                    WHERE id = 2 AND state = 'pending' AND error = 'its token was used'";
        database.number(sql) == 1
    });
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn ineligible_rows_in_front_do_not_slow_claims() {
    let database = Database::migrated();
    database.run("ALTER TABLE accounts DISABLE TRIGGER USER");
    database.run(
        "INSERT INTO accounts (email, login, status) \
         SELECT 's' || n || '@example.com', 's' || n, 'suspended' FROM generate_series(1, 20000) n; \
         INSERT INTO tokens (account, action) SELECT id, 'activation' FROM accounts ORDER BY id; \
         UPDATE deliveries SET due_at = now() - interval '1 minute'",
    );
    database.run("ALTER TABLE accounts ENABLE TRIGGER USER");
    database.accounts("good", 10);
    let commits = || {
        let sql = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
        database.number(sql)
    };
    let before = commits();
    let collect = Program::collect(&database).window(100).start();
    assert_eq!(addresses(&collect.wait_lines(1)).len(), 10);
    wait_until("they are settled", || database.in_state("sent") == 10);
    // Twenty-one looks of a thousand rows and some of ten, not two thousand of ten; the rest is
    // connecting, and this test's own questions.
    let passed = "SELECT count(*) FROM deliveries WHERE cause = 'ineligible'";
    assert_eq!(database.number(passed), 20_000);
    let finished = collect.stop();
    assert_eq!(finished.code, Some(0));
    wait_until("the statistics are in", || commits() > before + 20);
    assert!(commits() - before < 1000, "{} transactions", commits() - before);
}

#[test]
fn rows_that_cannot_be_signed_fail_with_the_reason_and_the_others_go() {
    let database = Database::migrated();
    for n in 1..=7 {
        database.recovery(&format!("user{n}"));
    }
    database.run(
        "UPDATE tokens SET code = NULL WHERE id = 2; \
         UPDATE tokens SET code = '123' WHERE id = 3; \
         UPDATE tokens SET code = '#####' WHERE id = 5; \
         UPDATE tokens SET secret = substr(secret, 1, 16) WHERE id = 6",
    );
    // An activation signs no code, so a bad one does no harm and is not handed on.
    database.accounts("plain", 1);
    database.run("UPDATE tokens SET code = '#####' WHERE action = 'activation'");
    let collect = Program::collect(&database).window(100).start();
    let lines = collect.wait_lines(1);
    let sent: Vec<(String, bool)> = messages(&lines[0])
        .into_iter()
        .map(|[_, email, .., code]| (email, code.is_empty()))
        .collect();
    let expected = [
        ("user1@example.com", false),
        ("user4@example.com", false),
        ("user7@example.com", false),
        ("plain1@example.com", true),
    ];
    assert_eq!(sent, expected.map(|(email, empty)| (email.to_owned(), empty)));
    wait_until("the others are settled", || database.in_state("sent") == 4);
    assert_eq!(database.in_state("failed"), 4);
    for (token, why) in [
        (2, "the code is missing, and this kind of mail signs it"),
        (3, "the code is not five digits, and this kind of mail signs it"),
        (5, "the code is not five digits, and this kind of mail signs it"),
        (6, "the secret is 16 bytes long, not 32"),
    ] {
        let error: String = database
            .client()
            .query_one("SELECT error FROM deliveries WHERE id = $1", &[&i64::from(token)])
            .unwrap()
            .get(0);
        assert_eq!(error, why, "token {token}");
    }
    let finished = collect.stop();
    assert_eq!(finished.code, Some(0));
    assert!(!finished.log.contains("#####"), "{}", finished.log);
}

#[test]
fn a_batch_of_nothing_but_bad_rows_does_not_stop_those_behind_it() {
    let database = Database::migrated();
    for n in 1..=25 {
        database.recovery(&format!("user{n}"));
    }
    database.run("UPDATE tokens SET code = NULL WHERE id <= 21");
    let collect = Program::collect(&database).window(100).start();
    assert_eq!(addresses(&collect.wait_lines(1)).len(), 4);
    wait_until("they are settled", || database.in_state("sent") == 4);
    assert_eq!(database.in_state("failed"), 21);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn an_action_that_is_missing_from_the_table_waits_until_it_is_there_and_spoils_nothing() {
    let database = Database::migrated();
    database.run("ALTER TYPE token_action ADD VALUE 'invitation'");
    database.recovery("first");
    database.run(
        "INSERT INTO tokens (account, action) SELECT id, 'invitation' FROM accounts; \
         UPDATE deliveries SET priority = 1 WHERE id = 2",
    );
    database.recovery("second");
    let collect = Program::collect(&database).window(100).start();
    let sent = addresses(&collect.wait_lines(1));
    assert_eq!(sent, ["first@example.com", "second@example.com"]);
    let waits = "SELECT count(*) FROM deliveries WHERE id = 2 AND state = 'pending' \
                    AND error = 'its kind is not in the table kinds'";
    assert_eq!(database.number(waits), 1);
    database.run(
        "INSERT INTO kinds (kind, number, path, account_status) \
         VALUES ('invitation', 3, '/join', '{active}')",
    );
    let lines = collect.wait_lines(2);
    let [action, email, ..] = &messages(&lines[1])[0];
    assert_eq!((action.as_str(), email.as_str()), ("3", "first@example.com"));
    wait_until("it is settled", || database.in_state("sent") == 3);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn attempts_at_the_end_of_their_type_are_counted_no_further() {
    let (database, endpoint) = (Database::migrated(), Endpoint::start());
    database.accounts("user", 3);
    database.run("UPDATE deliveries SET attempts = 2147483647 WHERE id < 3");
    endpoint.push(Reply::Statuses(vec![("FAILED", "no"), ("SUCCESS", ""), ("SUCCESS", "")]));
    let run = Program::run(&database, &endpoint.url()).start();
    wait_until("all are settled", || {
        database.in_state("pending") + database.in_state("leased") == 0
    });
    assert_eq!((database.in_state("failed"), database.in_state("sent")), (1, 2));
    assert_eq!(database.number("SELECT count(*) FROM deliveries WHERE attempts = 2147483647"), 2);
    assert_eq!(run.stop().code, Some(0));
}
