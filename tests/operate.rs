//! `mailroom queue`: deliveries looked at, tried again, given up; the queue paused and resumed.

use crate::support::cluster::Database;
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::program::{Finished, Program, messages, wait_until};
use serde_json::Value;
use std::time::Duration;

fn queue(database: &Database, words: &[&str]) -> Finished {
    Program::new(&[&["queue"], words].concat()).on(database).output()
}

fn done(database: &Database, words: &[&str]) -> String {
    let finished = queue(database, words);
    assert_eq!(finished.code, Some(0), "{words:?}: {}", finished.log);
    finished.out
}

fn list(database: &Database, words: &[&str]) -> Vec<Value> {
    let out = done(database, &[&["list", "--json"], words].concat());
    serde_json::from_str(&out).unwrap()
}

fn ids(found: &[Value]) -> Vec<i64> {
    found.iter().map(|one| one["id"].as_i64().unwrap()).collect()
}

/// A text from a query.
fn text(database: &Database, sql: &str) -> String {
    database.client().query_one(sql, &[]).unwrap().get(0)
}

/// Six deliveries: 1 leased, 2 and 3 pending, 4 failed, 5 expired, 6 sent.
fn one_of_each() -> Database {
    let database = Database::migrated();
    database.accounts("user", 6);
    database.run(
        "UPDATE deliveries SET state = 'leased', lease = 'run:17:00ff',
                due_at = now() + interval '1 minute' WHERE id = 1;
         UPDATE deliveries SET due_at = now() + interval '1 hour', attempts = 1, error = 'FAILED'
          WHERE id = 2;
         UPDATE deliveries SET state = 'failed', due_at = now(), attempts = 5,
                error = 'FAILED (attempt 5, the last)' WHERE id = 4;
         UPDATE deliveries SET state = 'expired', due_at = now(), error = 'its token expired'
          WHERE id = 5;
         UPDATE deliveries SET state = 'sent', due_at = now(), provider_id = 'id-6'
          WHERE id = 6",
    );
    database
}

#[test]
fn what_needs_a_look_is_listed_with_masked_addresses() {
    let database = one_of_each();
    let found = list(&database, &[]);
    assert_eq!(ids(&found), [1, 3, 2, 4], "leased, then in the order of claims, then failed");
    assert_eq!(found[0]["address"], "u***@example.com");
    assert_eq!(found[0]["lease"], "run:17:00ff");
    assert_eq!(found[2]["attempts"], 1);
    assert!(found[0].get("login").is_none());
    assert_eq!(ids(&list(&database, &["--limit", "2"])), [1, 3]);
    for (state, id) in [("leased", 1), ("failed", 4), ("expired", 5), ("sent", 6)] {
        let found = list(&database, &["--state", state]);
        assert_eq!(ids(&found), [id], "{state}");
        assert_eq!(found[0]["state"], state);
    }
    assert_eq!(ids(&list(&database, &["--state", "pending"])), [3, 2]);
    assert_eq!(ids(&list(&database, &["--state", "all"])), [1, 3, 2, 4, 5, 6]);
    let revealed = list(&database, &["--reveal", "--state", "sent"]);
    assert_eq!(revealed[0]["address"], "user6@example.com");
    assert_eq!(revealed[0]["login"], "user6");
    let table = done(&database, &["list"]);
    assert_eq!(table.lines().count(), 5, "{table}");
    assert!(table.contains("u***@example.com") && !table.contains("user"), "{table}");
    let why = "so that nobody knows ".repeat(20);
    database.run(&format!("UPDATE deliveries SET error = '{why}' WHERE id = 4"));
    let table = done(&database, &["list"]);
    assert!(table.contains(why.trim()), "cut, though nobody looks at it: {table}");
    assert_eq!(done(&Database::migrated(), &["list"]), "none\n");
}

#[test]
fn one_delivery_is_shown_without_secret_and_code() {
    let database = one_of_each();
    let secret = text(&database, "SELECT encode(secret, 'hex') FROM tokens WHERE id = 4");
    database.run("UPDATE tokens SET code = '98765' WHERE id = 4");
    for words in [&["show", "4"][..], &["show", "4", "--json", "--reveal"]] {
        let out = done(&database, words);
        assert!(out.contains("FAILED (attempt 5, the last)"), "{out}");
        assert!(!out.contains(&secret) && !out.contains("98765"), "{out}");
    }
    let out = done(&database, &["show", "4", "--reveal"]);
    assert!(out.contains("user4@example.com"), "{out}");
    let missing = queue(&database, &["show", "77"]);
    assert_eq!(missing.code, Some(65));
    assert!(missing.log.contains("no delivery 77"), "{}", missing.log);
}

#[test]
fn a_mail_is_shown_with_all_that_was_asked_for() {
    let database = one_of_each();
    database.run("INSERT INTO kinds (kind) VALUES ('invoice')");
    database.run(
        "SELECT send_mail('invoice', 'ann@example.com', '{\"total\": \"45 EUR\", \"lines\": [1]}',
            'de', 'invoice-123', '2099-01-01 00:00+00')",
    );
    let id = database.number("SELECT max(id) FROM deliveries").to_string();
    let shown = done(&database, &["show", &id]);
    for row in [
        "mail         invoice, priority 50",
        "address      a***@example.com",
        "not before   2099-01-01T00:00:00Z",
        "language     de",
        "key          invoice-123",
        "data         lines, total",
    ] {
        assert!(shown.lines().any(|line| line == row), "no {row:?} in {shown}");
    }
    assert!(!shown.contains("45 EUR"), "{shown}");
    let shown = done(&database, &["show", &id, "--reveal"]);
    assert!(shown.contains(r#"data         {"lines":[1],"total":"45 EUR"}"#), "{shown}");
    let json = |words: &[&str]| -> Value {
        serde_json::from_str(&done(&database, &[&["show", &id, "--json"], words].concat())).unwrap()
    };
    let found = json(&[]);
    assert_eq!((&found["kind"], &found["locale"]), (&"invoice".into(), &"de".into()));
    assert_eq!(
        (&found["key"], &found["data"].as_array().unwrap().len()),
        (&"invoice-123".into(), &2)
    );
    assert_eq!(found["not_before"], "2099-01-01T00:00:00Z");
    assert_eq!(json(&["--reveal"])["data"]["total"], "45 EUR");
}

#[test]
fn all_that_there_is_to_an_address_is_found_whatever_its_case() {
    let database = one_of_each();
    database.run(
        "INSERT INTO kinds (kind) VALUES ('invoice');
         ALTER TYPE job_type ADD VALUE 'other'",
    );
    database.run(
        "SELECT send_mail('invoice', 'User6@Example.com');
         INSERT INTO jobs VALUES ('other', 0);
         INSERT INTO kinds (kind, queue) VALUES ('report', 'other');
         SELECT send_mail('report', 'user6@example.com')",
    );
    let address = "USER6@example.com";
    assert_eq!(ids(&list(&database, &["--to", address])), [7, 6]);
    assert_eq!(ids(&list(&database, &["--to", address, "--state", "sent"])), [6]);
    assert_eq!(ids(&list(&database, &["--to", "nobody@example.com"])), [] as [i64; 0]);
    let found: Value =
        serde_json::from_str(&done(&database, &["find", address, "--json"])).unwrap();
    let queues: Vec<_> = found.as_array().unwrap().iter().map(|one| &one["queue"]).collect();
    assert_eq!(queues, ["other", "mailroom", "mailroom"]);
    let table = done(&database, &["find", address, "--reveal"]);
    assert!(table.contains("User6@Example.com") && table.contains("invoice"), "{table}");
}

#[test]
fn a_list_that_is_cut_says_so() {
    let database = one_of_each();
    for (words, cut) in [(&["list", "--limit", "3"][..], true), (&["list", "--limit", "4"], false)]
    {
        for json in [&[][..], &["--json"]] {
            let finished = queue(&database, &[words, json].concat());
            assert_eq!(finished.code, Some(0), "{}", finished.log);
            let said = finished.log.contains("there are more than these 3; --limit N shows N");
            assert_eq!(said, cut, "{}", finished.log);
        }
    }
    assert_eq!(done(&database, &["list", "--limit", "3"]).lines().count(), 4);
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_well() {
    let database = one_of_each();
    for words in
        [&["queue", "list"][..], &["queue", "find", "a@b.c"], &["queue", "show", "1"], &["status"]]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let finished = Program::new(words).on(&database).stdout(writer).output();
        assert_eq!((finished.code, finished.log.as_str()), (Some(0), ""), "{words:?}");
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        assert_eq!(Program::new(words).on(&database).stdout(full).output().code, Some(74));
    }
}

#[test]
fn how_long_a_token_lives_is_a_number_that_is_less_than_zero_once_it_expired() {
    let database = one_of_each();
    database.run("UPDATE tokens SET expires_at = extract(epoch FROM now()) - 100 WHERE id = 5");
    let left = |state: &str| {
        list(&database, &["--state", state])[0]["token_expires_in_seconds"].as_f64().unwrap()
    };
    assert!(left("sent") > 60.0, "{}", left("sent"));
    assert!((-200.0..=-99.0).contains(&left("expired")), "{}", left("expired"));
}

#[test]
fn failed_ones_are_tried_again_at_once_and_the_others_are_told_why_not() {
    let database = one_of_each();
    let collect = Program::collect(&database).start();
    collect.wait_lines(1);
    assert_eq!(done(&database, &["retry", "4"]), "1 delivery will be tried again\n");
    let line = &collect.wait_lines(2)[1];
    assert_eq!(messages(line)[0][1], "user4@example.com");
    wait_until("it is settled", || {
        database.number("SELECT count(*) FROM deliveries WHERE id = 4 AND state = 'sent'") == 1
    });
    assert_eq!(collect.stop().code, Some(0));
    database.run(
        "UPDATE deliveries SET state = 'failed', due_at = now(), attempts = 5, lease = NULL
          WHERE id IN (1, 2);
         UPDATE tokens SET expires_at = extract(epoch FROM now()) - 7230 WHERE id = 1;
         UPDATE tokens SET consumed_at = 1 WHERE id = 2",
    );
    let refused = queue(&database, &["retry", "1", "2", "5", "6", "99"]);
    assert_eq!(refused.code, Some(65));
    assert_eq!(refused.out, "0 deliveries will be tried again\n");
    for why in [
        "delivery 1: its token expired 2 h",
        "delivery 2: its token was used",
        "delivery 5: it is expired; only what failed",
        "delivery 6: it is sent; only what failed",
        "there is no delivery 99",
    ] {
        assert!(refused.log.contains(why), "no {why:?} in: {}", refused.log);
    }
    assert_eq!(database.in_state("failed"), 2);
}

#[test]
fn all_that_failed_for_a_reason_are_tried_again_with_all_their_attempts() {
    let database = Database::migrated();
    database.accounts("user", 12_000);
    database.run(
        "UPDATE deliveries SET state = 'failed', due_at = now(), attempts = 5,
                error = CASE WHEN id % 2 = 0 THEN 'FAILED: quota' ELSE 'MESSAGE_REJECTED' END;
         UPDATE tokens SET expires_at = 1 WHERE id <= 10;
         UPDATE deliveries SET error = 'dropped by jane', cause = 'dropped' WHERE id = 12",
    );
    let some = |words: &[&str]| {
        let finished = queue(&database, words);
        assert_eq!(finished.code, Some(65), "{}", finished.log);
        finished.out + &finished.log
    };
    let left =
        |count| format!("mailroom: {count} left as they are: their tokens expired or were used\n");
    let out = some(&["retry", "--all", "--reason", "FAILED"]);
    assert_eq!(out, format!("5994 deliveries will be tried again\n{}", left(5)));
    let fresh = "SELECT count(*) FROM deliveries WHERE state = 'pending' AND attempts = 0
                    AND due_at <= now() AND id % 2 = 0";
    assert_eq!(database.number(fresh), 5994);
    let out = some(&["retry", "--all"]);
    let expected = format!("5995 deliveries will be tried again\n{}", left(10));
    assert_eq!(out, expected, "neither expired nor dropped");
    assert_eq!(database.in_state("failed"), 11);
    assert_eq!(done(&database, &["retry", "12"]), "1 delivery will be tried again\n", "by name");
    let fresh = "SELECT count(*) FROM deliveries WHERE id = 12 AND num_nulls(cause, error) = 2";
    assert_eq!(database.number(fresh), 1, "nothing is said of one that is tried anew");
}

#[test]
fn those_of_one_cause_are_tried_again_or_dropped_whatever_is_said_of_them() {
    let database = Database::migrated();
    database.accounts("user", 6);
    database.run(
        "UPDATE deliveries SET state = 'failed', due_at = now(), error = 'no ' || id,
                cause = CASE WHEN id < 4 THEN 'rejected' ELSE 'fault' END::delivery_cause
          WHERE id < 6;
         UPDATE deliveries SET cause = 'quota' WHERE id = 6",
    );
    let retry = |words: &[&str]| done(&database, &[&["retry", "--all"], words].concat());
    let cause = ["--cause", "rejected", "--reason", "no 2"];
    assert_eq!(retry(&cause), "1 delivery will be tried again\n");
    assert_eq!(retry(&cause[..2]), "2 deliveries will be tried again\n");
    let drop = |cause: &str| done(&database, &["drop", "--all", "--yes", "--cause", cause]);
    assert_eq!(drop("quota"), "1 delivery dropped\n");
    assert_eq!(drop("fault"), "2 deliveries dropped\n");
    assert_eq!(retry(&[]), "0 deliveries will be tried again\n", "a person gave them up");
    assert_eq!(retry(&["--cause", "dropped"]), "3 deliveries will be tried again\n");
    database.run("UPDATE deliveries SET cause = 'account' WHERE id = 1");
    let shown = done(&database, &["show", "1"]);
    assert!(shown.contains("cause        account\n"), "{shown}");
    let shown: Value = serde_json::from_str(&done(&database, &["show", "1", "--json"])).unwrap();
    assert_eq!(shown["cause"], "account");
}

#[test]
fn what_is_dropped_is_failed_in_the_name_of_who_did_it_and_what_is_on_its_way_is_not() {
    let database = one_of_each();
    let finished = queue(&database, &["drop", "1", "2", "4", "5"]);
    assert_eq!(finished.code, Some(65));
    assert_eq!(finished.out, "2 deliveries dropped\n");
    assert!(finished.log.contains("delivery 1: it is being sent by run:17:00ff"), "{finished:?}");
    assert!(finished.log.contains("delivery 5: it is expired, which is final"), "{finished:?}");
    let name = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
    let error = |id: i64| text(&database, &format!("SELECT error FROM deliveries WHERE id = {id}"));
    assert_eq!(error(2), format!("dropped by {name}; before: FAILED"));
    assert_eq!(done(&database, &["retry", "2"]), "1 delivery will be tried again\n");
    assert_eq!(done(&database, &["drop", "2"]), "1 delivery dropped\n");
    assert_eq!(error(2), format!("dropped by {name}"));
    let again = queue(&database, &["drop", "2"]);
    assert!(again.log.contains("delivery 2: it was dropped before"), "{}", again.log);
    let all = queue(&database, &["drop", "--all"]);
    assert_eq!(all.code, Some(64));
    assert!(all.log.contains("add --yes"), "{}", all.log);
    assert_eq!(database.in_state("pending"), 1);
    assert_eq!(done(&database, &["drop", "--all", "--yes"]), "1 delivery dropped\n");
    assert_eq!(error(3), format!("dropped by {name}"));
    assert_eq!(database.in_state("leased"), 1);
    // A success that was under way counts all the same.
    let collect = Program::collect(&database).start();
    collect.wait_log("connected");
    assert_eq!(collect.stop().code, Some(0));
    assert_eq!(database.in_state("failed"), 3, "nobody sends what was dropped");
}

#[test]
fn a_pause_stops_every_collector_at_once_and_resume_wakes_them() {
    let database = Database::migrated();
    let name = &database.name;
    database.run(&format!("ALTER DATABASE {name} SET mailroom.channel = 'post'"));
    let collect = || {
        Program::collect(&database)
            .env("MAILROOM_BATCH_LIMIT", "10")
            .env("MAILROOM_CHANNEL_NAME", "post")
            .start()
    };
    let both = [collect(), collect()];
    both.iter().for_each(|one| one.wait_log("connected"));
    // Without MAILROOM_CHANNEL_NAME: the channel of the triggers is found in the database.
    let out = done(&database, &["pause", "--reason", "the template is wrong"]);
    assert!(out.starts_with("queue mailroom is paused"), "{out}");
    for one in &both {
        one.wait_log("queue paused: the template is wrong; nothing is claimed");
    }
    database.accounts("user", 500);
    let late = collect();
    late.wait_log("queue paused: the template is wrong");
    // They were woken by each insert; looks are what they do, and claims find nothing.
    for n in 0..20 {
        database.accounts(&format!("more{n}-"), 1);
    }
    wait_until("notifications were heard", || database.number(WAITING_COLLECTORS) == 3);
    assert_eq!(database.in_state("pending"), 520);
    assert_eq!(late.out() + &both[0].out() + &both[1].out(), "");
    let status = Program::new(&["status"]).on(&database).output();
    assert!(status.out.contains("PAUSED for "), "{}", status.out);
    assert!(status.out.contains(": the template is wrong"), "{}", status.out);
    let again = done(&database, &["pause", "--reason", "still"]);
    assert!(again.contains("was paused before"), "{again}");
    assert_eq!(done(&database, &["resume"]), "queue mailroom goes on\n");
    wait_until("all are sent", || database.in_state("sent") == 520);
    for one in both {
        assert!(one.log().contains("queue resumed"), "{}", one.log());
        assert_eq!(one.stop().code, Some(0));
    }
    assert_eq!(late.stop().code, Some(0));
    assert_eq!(done(&database, &["resume"]), "queue mailroom was not paused\n");
}

/// Collectors of this database that have nothing to do.
const WAITING_COLLECTORS: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'mailroom collect'
        AND state = 'idle'";

#[test]
fn a_paused_collector_does_not_spin() {
    let database = Database::migrated();
    let name = &database.name;
    assert!(queue(&database, &["pause"]).code == Some(0));
    database.accounts("user", 300);
    // Retries that fall due one after another are no reason to look, while nothing may be claimed.
    database.run(
        "UPDATE deliveries SET due_at = now() + id * interval '10 milliseconds' \
          WHERE id > 100",
    );
    let collect = Program::collect(&database).start();
    collect.wait_log("queue paused; nothing is claimed");
    wait_until("retries fall due", || {
        database.number("SELECT count(*) FROM deliveries WHERE due_at <= now()") == 300
    });
    wait_until("it rests", || database.number(WAITING_COLLECTORS) == 1);
    let user = format!(
        "SELECT calls::bigint FROM (SELECT sum(1) AS calls FROM pg_stat_activity
          WHERE datname = '{name}' AND application_name = 'mailroom collect'
            AND state_change > now() - interval '2 seconds') s WHERE calls IS NOT NULL
         UNION ALL SELECT 0 LIMIT 1"
    );
    assert_eq!(database.number(&user), 0, "its last statement was the look at the beginning");
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn what_is_on_its_way_when_the_pause_comes_is_settled() {
    let database = Database::migrated();
    let provider = Endpoint::start();
    provider.set(Reply::Slow(Duration::from_secs(2), Box::new(Reply::Accept)));
    database.accounts("user", 3);
    let run = Program::run(&database, &provider.url()).start();
    wait_until("they are claimed", || database.in_state("leased") == 3);
    assert_eq!(queue(&database, &["pause"]).code, Some(0));
    assert_eq!(database.in_state("leased"), 3, "the provider has not answered yet");
    database.accounts("late", 1);
    wait_until("they are settled", || database.in_state("sent") == 3);
    run.wait_log("queue paused");
    assert_eq!(run.stop().code, Some(0));
    assert_eq!(database.in_state("pending"), 1);
}

#[test]
fn a_lease_that_ran_out_during_the_pause_is_found_when_the_queue_goes_on() {
    let database = Database::migrated();
    database.accounts("user", 3);
    assert_eq!(queue(&database, &["pause"]).code, Some(0));
    let collect =
        Program::collect(&database).env("MAILROOM_HEALTHCHECK_INTERVAL", "600000").start();
    collect.wait_log("queue paused");
    database.run("UPDATE deliveries SET state = 'leased', lease = 'gone', due_at = now()");
    assert_eq!(queue(&database, &["resume"]).code, Some(0));
    wait_until("all are sent", || database.in_state("sent") == 3);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn words_that_make_no_sense_are_refused_before_anything_is_opened() {
    for (words, why) in [
        (&["queue"][..], "queue needs one of"),
        (&["queue", "burn"], "queue needs one of"),
        (&["queue", "list", "--state", "lost"], "--state must be one of: leased"),
        (&["queue", "list", "--limit", "0"], "--limit must be"),
        (&["queue", "list", "--yes"], "does not take \"--yes\""),
        (&["queue", "list", "--stat", "sent"], "\"--stat\"; did you mean --state?"),
        (&["run", "--bach-limit", "5"], "\"--bach-limit\"; did you mean --batch-limit?"),
        (&["staus"], "there is no command \"staus\"; did you mean status?"),
        (&["queue", "list", "--all"], "does not take \"--all\" here, or takes it once"),
        (&["mail", "k", "a@b.c", "--key", "1", "--key", "2"], "\"--key\" here, or takes it once"),
        (&["--queue-name", "x", "status"], "flags stand behind the command"),
        (&["queue", "find"], "needs an address"),
        (&["queue", "find", "a@b.c", "d@e.f"], "does not take"),
        (&["queue", "show"], "id of one delivery"),
        (&["queue", "show", "1", "2"], "id of one delivery"),
        (&["queue", "show", "one"], "\"one\" is no id"),
        (&["queue", "retry"], "needs ids of deliveries, or --all"),
        (&["queue", "retry", "1", "--all"], "not both"),
        (&["queue", "retry", "1", "--reason", "x"], "--reason and --cause go with --all"),
        (&["queue", "retry", "1", "--cause", "quota"], "--reason and --cause go with --all"),
        (&["queue", "retry", "--all", "--cause", "bad luck"], "there is no cause \"bad luck\""),
        (&["queue", "drop", "--all"], "add --yes"),
        (&["queue", "resume", "--reason", "x"], "does not take \"--reason\""),
        (&["queue", "resume", "now"], "does not take \"now\""),
        (&["status", "now"], "does not take \"now\""),
        (&["send", "--debug", "true"], "does not take \"true\": a switch takes no value"),
        (&["send", "--debug=true"], "--debug takes no value"),
        (&["run", "--batch-limit", "5", "--batch-limit=6"], "--batch-limit is given twice"),
        (&["migrate", "grants"], "needs a role"),
        (&["migrate", "up", "--operator"], "does not take"),
        (&["migrate", "up", "--yes"], "does not take \"--yes\""),
    ] {
        let finished = Program::new(words).env("MAILROOM_DATABASE_URL", "host=/nowhere").output();
        assert_eq!(finished.code, Some(64), "{words:?}: {}", finished.log);
        assert!(finished.log.contains(why), "{words:?}: {}", finished.log);
    }
}
