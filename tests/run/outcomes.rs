//! What the provider says, and what stands in the row afterwards.

use super::{repeated, run, wait_state};
use crate::support::cluster::Database;
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::peer::Peer;
use crate::support::program::{PATIENCE, Program, wait_until};
use std::time::Duration;

#[test]
fn an_accepted_mail_is_sent_with_the_id_of_the_provider_in_its_row() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    database.accounts("user", 3);
    database.recovery("other");
    let running = run(&database, &endpoint).start();
    wait_state(&database, "sent", 4);
    for mail in endpoint.accepted() {
        let row = format!(
            "SELECT count(*) FROM deliveries d JOIN tokens t ON t.id = d.id \
               JOIN accounts a ON a.id = t.account \
              WHERE a.email = '{}' AND d.provider_id = '{}' AND d.attempts = 1 \
                AND d.state = 'sent' AND d.due_at <= now() AND d.lease IS NULL AND d.error IS NULL",
            mail.to, mail.id
        );
        assert_eq!(database.number(&row), 1, "{mail:?}");
    }
    assert_eq!(repeated(&endpoint, 4), 0);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn a_row_that_somebody_has_locked_holds_up_no_other_mail_and_is_settled_when_it_is_free() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    let slow = Duration::from_secs(1);
    endpoint.push(Reply::Slow(slow, Box::new(Reply::Accept)));
    database.accounts("user", 3);
    let running = run(&database, &endpoint).start();
    wait_until("a call is under way", || endpoint.requests().len() == 1);
    // Its token and its delivery go with it, if this is committed.
    let mut other = database.client();
    let mut locks = other.transaction().unwrap();
    locks.execute("DELETE FROM accounts WHERE login = 'user1'", &[]).unwrap();
    wait_state(&database, "sent", 2);
    running.wait_log("deliveries that another transaction has locked: 1");
    database.accounts("later", 3);
    wait_state(&database, "sent", 5);
    assert_eq!(database.number("SELECT count(*) FROM deliveries WHERE state = 'leased'"), 1);
    locks.rollback().unwrap();
    wait_state(&database, "sent", 6);
    // And one that is still locked at the stop keeps nobody.
    endpoint.push(Reply::Slow(slow, Box::new(Reply::Accept)));
    let calls = endpoint.requests().len();
    database.accounts("last", 1);
    wait_until("another call is under way", || endpoint.requests().len() > calls);
    let mut locks = other.transaction().unwrap();
    locks.execute("DELETE FROM accounts WHERE login = 'last1'", &[]).unwrap();
    running.wait_log_times("deliveries that another transaction has locked: 1", 2);
    let stopped = running.stop();
    assert_eq!(stopped.code, Some(0), "{}", stopped.log);
    assert!(stopped.log.contains("is ambiguous: it was accepted"), "{}", stopped.log);
    assert_eq!(repeated(&endpoint, 7), 0);
}

#[test]
fn what_is_known_of_a_row_that_is_locked_for_longer_than_its_lease_is_written_and_not_tried_again()
{
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    let reject = Reply::Statuses(vec![("MESSAGE_REJECTED", "no such mailbox")]);
    endpoint.push(Reply::Slow(Duration::from_secs(1), Box::new(reject)));
    database.accounts("user", 1);
    let running = run(&database, &endpoint).env("MAILROOM_LEASE", "2000").start();
    wait_until("a call is under way", || endpoint.requests().len() == 1);
    let mut other = database.client();
    let mut locks = other.transaction().unwrap();
    locks.execute("SELECT FROM deliveries FOR UPDATE", &[]).unwrap();
    running.wait_log("deliveries that another transaction has locked: 1");
    let lapsed = "SELECT count(*) FROM deliveries WHERE state = 'leased' \
                  AND due_at < now() - interval '1 second'";
    wait_until("its lease is over", || database.number(lapsed) == 1);
    locks.rollback().unwrap();
    // Others are claimed, and leases put back, in the same second.
    database.accounts("later", 3);
    wait_state(&database, "failed", 1);
    wait_state(&database, "sent", 3);
    let requests = endpoint.requests();
    let of_it = |body: &[u8]| String::from_utf8_lossy(body).contains("user1@");
    assert_eq!(requests.iter().filter(|one| of_it(&one.body)).count(), 1);
    let stopped = running.stop();
    assert!(!stopped.log.contains("somebody else settles it"), "{}", stopped.log);
}

#[test]
fn what_was_locked_is_written_however_busy_the_process_is() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    endpoint.push(Reply::Slow(Duration::from_secs(1), Box::new(Reply::Accept)));
    database.accounts("user", 1);
    let running = run(&database, &endpoint).start();
    wait_until("a call is under way", || endpoint.requests().len() == 1);
    let mut other = database.client();
    let mut locks = other.transaction().unwrap();
    locks.execute("SELECT FROM deliveries FOR UPDATE", &[]).unwrap();
    running.wait_log("deliveries that another transaction has locked: 1");
    locks.rollback().unwrap();
    // Batches follow each other in less time than passes between two tries.
    let mut more = 0;
    wait_until("it is settled", || {
        more += 1;
        database.accounts(&format!("more{more}_"), 10);
        database.number("SELECT count(*) FROM deliveries WHERE id = 1 AND state = 'sent'") == 1
    });
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn a_retry_waits_in_the_database_and_not_in_the_process() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    let busy = vec![("retry-after", "3".to_owned())];
    endpoint.push(Reply::Full(409, busy, String::new()));
    let running = run(&database, &endpoint).start();
    database.accounts("first", 1);
    let waits = "SELECT count(*) FROM deliveries WHERE state = 'pending' AND attempts = 1 \
                 AND due_at > now() + interval '1 second' AND error LIKE 'HTTP 409%'";
    wait_until("the retry is scheduled", || database.number(waits) == 1);
    // Meanwhile others go, and the process may even be another one.
    database.accounts("second", 1);
    assert_eq!(endpoint.wait_for(1, PATIENCE)[0].to, "second1@example.com");
    assert_eq!(running.stop().code, Some(0));
    // Its half minute need not be waited for here.
    database.run("UPDATE deliveries SET due_at = now() + interval '1 s' WHERE state = 'pending'");
    let running = run(&database, &endpoint).start();
    wait_state(&database, "sent", 2);
    assert_eq!(repeated(&endpoint, 2), 0);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn a_provider_that_cannot_serve_for_a_while_uses_no_attempt_and_is_left_alone_ever_longer() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    endpoint.set(Reply::Full(503, Vec::new(), "<html>".into()));
    database.accounts("user", 3);
    let running = run(&database, &endpoint).env("MAILROOM_MAX_ATTEMPTS", "1").start();
    for wait in ["1", "2", "4"] {
        running.wait_log(&format!(
            "the provider was not reached or cannot serve; next try in {wait} s"
        ));
    }
    endpoint.set(Reply::Accept);
    wait_state(&database, "sent", 3);
    assert_eq!(database.number("SELECT count(*) FROM deliveries WHERE attempts = 1"), 3);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn a_pause_that_the_provider_asks_for_is_kept_by_every_batch_and_uses_no_attempt() {
    for (status, line) in [
        (503, "the provider was not reached or cannot serve; next try in 3 s"),
        (429, "the provider asks for a pause; next try in 3 s"),
    ] {
        let database = Database::migrated();
        let endpoint = Endpoint::start();
        let busy = vec![("retry-after", "3".to_owned())];
        endpoint.push(Reply::Full(status, busy, String::new()));
        // Two batches are due.
        database.accounts("user", 15);
        let running = run(&database, &endpoint).env("MAILROOM_MAX_ATTEMPTS", "1").start();
        running.wait_log(line);
        wait_state(&database, "sent", 15);
        assert_eq!(repeated(&endpoint, 15), 0);
        let requests = endpoint.requests();
        let pause = requests[1].at - requests[0].at;
        assert!(pause >= Duration::from_secs(3), "{status}: the next call came after {pause:?}");
        assert_eq!(database.number("SELECT count(*) FROM deliveries WHERE attempts = 1"), 15);
        let finished = running.stop();
        assert_eq!(finished.code, Some(0));
        assert!(!finished.log.contains("held"), "{}", finished.log);
    }
}

#[test]
fn what_a_gateway_had_may_have_been_sent_and_is_not_sent_over_and_over() {
    for (status, is_ambiguous) in [(504, true), (502, true), (503, false)] {
        let database = Database::migrated();
        let endpoint = Endpoint::start();
        endpoint.push(Reply::Full(status, Vec::new(), "<html>".into()));
        database.accounts("user", 3);
        let running = run(&database, &endpoint).env("MAILROOM_MAX_ATTEMPTS", "1").start();
        running.wait_log("the provider was not reached or cannot serve; next try in 1 s");
        // What cannot have been sent is, when the provider is back.
        let end = if is_ambiguous { "failed" } else { "sent" };
        wait_state(&database, end, 3);
        assert_eq!(database.number("SELECT count(*) FROM deliveries WHERE attempts = 1"), 3);
        let finished = running.stop();
        assert_eq!(finished.code, Some(0), "{}", finished.log);
        let line = format!("ambiguous, it may have been sent: HTTP {status}");
        let lines = finished.log.matches(&line).count();
        assert_eq!(lines, if is_ambiguous { 3 } else { 0 }, "{}", finished.log);
    }
}

#[test]
fn after_a_gateway_an_attempt_waits_for_half_a_minute_and_other_mail_for_a_second() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    endpoint.push(Reply::Full(504, Vec::new(), "<html>".into()));
    database.accounts("user", 3);
    let running = run(&database, &endpoint).start();
    wait_until("it is put off", || {
        let sql = "SELECT count(*) FROM deliveries WHERE state = 'pending' AND attempts = 1 \
                    AND due_at >= created_at + interval '30 seconds'";
        database.number(sql) == 3
    });
    database.accounts("other", 1);
    wait_state(&database, "sent", 1);
    assert_eq!(endpoint.accepted()[0].to, "other1@example.com");
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn what_is_out_of_attempts_has_failed_with_the_reason() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    endpoint.set(Reply::Reset);
    let running = run(&database, &endpoint).env("MAILROOM_MAX_ATTEMPTS", "2").start();
    database.accounts("user", 1);
    wait_state(&database, "failed", 1);
    let why = "SELECT count(*) FROM deliveries WHERE attempts = 2 \
               AND error LIKE 'no answer: % (attempt 2, the last)'";
    assert_eq!(database.number(why), 1);
    assert_eq!(endpoint.requests().len(), 2);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn every_message_of_a_batch_has_its_own_outcome() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    endpoint.push(Reply::Statuses(vec![
        ("SUCCESS", ""),
        ("MESSAGE_REJECTED", "suppressed"),
        ("TRANSIENT_FAILURE", "later"),
        ("SOMETHING_NEW", "who knows"),
        ("SUCCESS", ""),
    ]));
    database.accounts("user", 5);
    let running = run(&database, &endpoint).start();
    wait_state(&database, "sent", 3);
    assert_eq!(database.in_state("failed"), 1);
    assert_eq!(repeated(&endpoint, 3), 0);
    let rows = database
        .client()
        .query("SELECT attempts, state::text FROM deliveries ORDER BY id", &[])
        .unwrap();
    let rows: Vec<(i32, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    // What nobody knows waits for half a minute.
    let expected = [(1, "sent"), (1, "failed"), (2, "sent"), (1, "pending"), (1, "sent")];
    assert_eq!(rows, expected.map(|(attempts, state)| (attempts, state.to_owned())));
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn a_hold_uses_no_attempt_pauses_the_transport_and_ends_with_a_restart() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    endpoint.set(Reply::error(400, "SendingPausedException", "paused for review"));
    let running = run(&database, &endpoint).start();
    database.accounts("first", 3);
    running.wait_log("everything is held: SendingPausedException: paused for review");
    wait_state(&database, "pending", 3);
    // Nothing more is tried while it pauses.
    database.accounts("second", 30);
    running.wait_log("next probe in 30 s");
    let finished = running.stop();
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert_eq!(endpoint.requests().len(), 1, "{}", finished.log);
    let held = "SELECT count(*) FROM deliveries WHERE state = 'pending' AND attempts = 0 \
                AND error LIKE '%SendingPausedException%' AND due_at > now()";
    assert_eq!(database.number(held), 3);

    endpoint.set(Reply::Accept);
    let running = run(&database, &endpoint).start();
    wait_state(&database, "sent", 33);
    assert_eq!(repeated(&endpoint, 33), 0);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn a_start_beside_one_that_holds_the_same_rows_comes_to_its_mails_and_can_be_stopped() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    // What is held, and what does as a busy process would: it holds again what was put back.
    database.run(
        "INSERT INTO kinds (kind) VALUES ('invoice');
         INSERT INTO deliveries (kind, recipient, due_at, cause, error)
         SELECT 'invoice', n || '@example.com', now() + interval '1 hour', 'template', 'no such file'
           FROM generate_series(1, 1000) AS n;
         CREATE SEQUENCE rounds;
         CREATE FUNCTION busy() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN NEW.due_at = now() + interval '1 hour'; RETURN NEW; END $$;
         CREATE TRIGGER busy BEFORE UPDATE ON deliveries FOR EACH ROW
           WHEN (old.cause = 'template') EXECUTE FUNCTION busy();
         CREATE FUNCTION round() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN PERFORM nextval('rounds'); RETURN NULL; END $$;
         CREATE TRIGGER round AFTER UPDATE ON deliveries EXECUTE FUNCTION round();
         GRANT USAGE ON SEQUENCE rounds TO PUBLIC",
    );
    database.accounts("user", 3);
    let running = run(&database, &endpoint).start();
    wait_state(&database, "sent", 3);
    assert_eq!(running.stop().code, Some(0));

    database.run(
        "SELECT setval('rounds', 1);
         CREATE OR REPLACE FUNCTION round() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN PERFORM nextval('rounds'), pg_sleep(1); RETURN NULL; END $$",
    );
    let rounds = "SELECT last_value FROM rounds";
    let running = run(&database, &endpoint).start();
    wait_until("it puts back", || database.number(rounds) > 2);
    assert_eq!(running.stop().code, Some(0));
    assert!(database.number(rounds) < 10);
}

#[test]
fn a_400_that_is_not_the_providers_own_holds_everything_and_fails_nothing() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    let html = "<html><h1>400 The plain HTTP request was sent to HTTPS port</h1></html>";
    endpoint.set(Reply::Full(400, vec![("content-type", "text/html".into())], html.into()));
    database.accounts("user", 10);
    let running = run(&database, &endpoint).start();
    running.wait_log("everything is held: HTTP 400");
    wait_state(&database, "pending", 10);
    let held = "SELECT count(*) FROM deliveries WHERE attempts = 0 AND cause = 'setup' AND error LIKE 'HTTP 400%'";
    assert_eq!(database.number(held), 10);
    let finished = running.stop();
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert_eq!(endpoint.requests().len(), 1, "{}", finished.log);
    assert_eq!(database.in_state("failed"), 0);
}

/// A third kind of mail: an enum value and a row.
fn third_action(database: &Database) {
    database.run("ALTER TYPE token_action ADD VALUE 'invitation'");
    database.run(
        "INSERT INTO kinds (kind, number, path, signs_code, account_status) \
         VALUES ('invitation', 3, '/invite', true, '{active,provisioned}')",
    );
}

fn invite(database: &Database, name: &str) {
    database.run(&format!(
        "WITH one AS (INSERT INTO accounts (email, login, status) \
                      VALUES ('{name}@example.com', '{name}', 'active') RETURNING id) \
         INSERT INTO tokens (account, action) SELECT id, 'invitation' FROM one"
    ));
}

#[test]
fn a_third_kind_of_mail_needs_two_statements_and_one_variable() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    third_action(&database);
    let running = run(&database, &endpoint)
        .env("MAILROOM_TEMPLATES", "1=activationv1,2=passwordrecoveryv1,3=invitationv1")
        .start();
    invite(&database, "guest");
    let mail = endpoint.wait_for(1, PATIENCE).remove(0);
    assert_eq!((mail.to.as_str(), mail.template.as_str()), ("guest@example.com", "invitationv1"));
    let (token, code) = (mail.data["secret"].as_str(), mail.data["code"].as_str());
    let words = ["verify", token.unwrap(), "--code", code.unwrap(), "--path", "/invite"];
    let verified = Program::new(&words).on(&database).output();
    assert_eq!(verified.code, Some(0), "{}", verified.out);
    wait_state(&database, "sent", 1);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn a_kind_without_a_template_is_held_said_and_not_lost_while_others_go_on() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    third_action(&database);
    invite(&database, "guest");
    endpoint.push(Reply::Statuses(vec![("TEMPLATE_NOT_FOUND", "no such template")]));
    let running = run(&database, &endpoint).start();
    running.wait_log("kind invitation is held: TEMPLATE_NOT_FOUND");
    database.accounts("user", 12);
    invite(&database, "second");
    database.recovery("third");
    wait_state(&database, "sent", 13);
    assert_eq!(repeated(&endpoint, 13), 0);
    let finished = running.stop();
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    let held = "SELECT count(*) FROM deliveries WHERE state = 'pending' AND attempts = 0";
    assert_eq!(database.number(held), 2);
    // Those that wait behind the first one do not hide why, nor does another kind.
    assert_eq!(database.number(&format!("{held} AND cause = 'template' AND error IS NULL")), 1);
    database.run(
        "INSERT INTO kinds (kind) VALUES ('invoice');
         INSERT INTO deliveries (kind, recipient, due_at, cause, error)
         SELECT 'invoice', 'a@example.com', now() + interval '1 hour', 'template', 'no such file'",
    );
    let status = Program::new(&["status"]).on(&database).output().out;
    for line in ["2  template: TEMPLATE_NOT_FOUND: no such template", "1  template: no such file"] {
        assert!(status.contains(line), "no {line:?} in {status}");
    }
    database.run("DELETE FROM deliveries WHERE kind = 'invoice'");

    let running = run(&database, &endpoint).env("MAILROOM_TEMPLATES", "3=invitationv1").start();
    wait_state(&database, "sent", 15);
    assert_eq!(repeated(&endpoint, 15), 0);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn two_processes_share_a_queue_and_nobody_gets_two_mails() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    database.accounts("before", 150);
    let both = [run(&database, &endpoint).start(), run(&database, &endpoint).start()];
    database.accounts("after", 150);
    wait_state(&database, "sent", 300);
    assert_eq!(repeated(&endpoint, 300), 0);
    for running in both {
        assert_eq!(running.stop().code, Some(0));
    }
}

#[test]
fn a_row_that_cannot_be_signed_fails_and_spoils_nothing_beside_it() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    database.accounts("user", 4);
    database.run("UPDATE tokens SET secret = '\\x00112233445566778899aabbccddeeff' WHERE id = 2");
    let running = run(&database, &endpoint).start();
    wait_state(&database, "sent", 3);
    wait_state(&database, "failed", 1);
    let why = "SELECT count(*) FROM deliveries WHERE id = 2 AND error LIKE '%16 bytes%'";
    assert_eq!(database.number(why), 1);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn a_mail_arrives_in_the_inbox_of_a_local_ses_that_others_wrote() {
    let database = Database::migrated();
    let peer = Peer::start();
    peer.template("activationv1", "Welcome {{login}}", "{{{login}}} {{{secret}}} {{{code}}}");
    database.accounts("user", 1);
    let running = Program::run(&database, &peer.url()).start();
    wait_state(&database, "sent", 1);
    let mail = &peer.store()[0];
    assert_eq!(mail["subject"], "Welcome user1");
    assert_eq!(mail["destination"]["to"][0], "user1@example.com");
    let body = mail["body"]["text"].as_str().unwrap();
    let token = body.split(' ').nth(1).unwrap();
    let verified = Program::new(&["verify", token]).on(&database).output();
    assert_eq!(verified.code, Some(0), "{}", verified.out);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn debug_mode_prints_the_requests_and_sends_nothing() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    database.accounts("user", 2);
    let running = run(&database, &endpoint).env("MAILROOM_DEBUG", "true").start();
    wait_state(&database, "sent", 2);
    assert!(running.out().contains("to user2@example.com {"), "{}", running.out());
    assert_eq!(endpoint.connections(), 0);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn debug_mode_whose_reader_is_gone_ends_with_74_and_the_mails_still_wait() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    database.accounts("user", 2);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let finished = run(&database, &endpoint).env("MAILROOM_DEBUG", "true").stdout(writer).output();
    assert_eq!(finished.code, Some(74), "{}", finished.log);
    let waiting = "SELECT count(*) FROM deliveries
                    WHERE state = 'pending' AND attempts = 0 AND due_at <= now()";
    assert_eq!(database.number(waiting), 2, "{}", finished.log);
}

#[test]
fn a_reason_with_a_nul_or_without_end_is_written_down_all_the_same() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    endpoint.push(Reply::Statuses(vec![("MESSAGE_REJECTED", "x\0y"), ("SUCCESS", "")]));
    database.accounts("user", 2);
    let running = run(&database, &endpoint).start();
    wait_state(&database, "sent", 1);
    let why = "SELECT count(*) FROM deliveries WHERE state = 'failed' AND error LIKE '%xy%'";
    assert_eq!(database.number(why), 1);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn a_lease_that_a_batch_can_outlast_is_warned_of_where_outcomes_are_settled() {
    let (database, endpoint) = (Database::migrated(), Endpoint::start());
    let run = || run(&database, &endpoint);
    let send = || Program::send(&endpoint.url()).on(&database);
    let short = "(109999 ms) is shorter than a batch may take (110000 ms): a slow provider could \
                 get mails twice";
    for (program, lease, warnings) in [
        (run(), "109999", 1),
        (run(), "110000", 0),
        (send().env("MAILROOM_ACK", "sent"), "109999", 1),
        (send().env("MAILROOM_ACK", "sent"), "110000", 0),
        // Nothing is leased then.
        (send(), "109999", 0),
    ] {
        let running = program.env("MAILROOM_LEASE", lease).start();
        running.wait_log("output_path=");
        let log = running.stop().log;
        assert_eq!(log.matches(short).count(), warnings, "{log}");
        assert_eq!(log.matches("WARN: MAILROOM_LEASE").count(), warnings, "{log}");
    }
}

#[test]
fn a_mail_that_its_recipient_puts_off_outlives_its_attempts_and_is_tried_before_it_expires() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    endpoint.set(Reply::Statuses(vec![("TRANSIENT_FAILURE", "later")]));
    let running = run(&database, &endpoint).env("MAILROOM_MAX_ATTEMPTS", "1").start();
    database.accounts("user", 1);
    wait_until("it was tried", || {
        database.number("SELECT max(attempts)::bigint FROM deliveries") == 1
    });
    let waits = "SELECT count(*) FROM deliveries WHERE state = 'pending' AND cause = 'busy'";
    assert_eq!(database.number(waits), 1);
    // Its token ends soon: the next try is one second before that, whatever the wait.
    database.run(
        "UPDATE tokens SET expires_at = extract(epoch FROM now())::bigint + 4; \
         UPDATE deliveries SET due_at = now(); NOTIFY token_insert",
    );
    wait_until("it was tried again", || {
        database.number("SELECT max(attempts)::bigint FROM deliveries") == 2
    });
    let last = "SELECT count(*) FROM deliveries d JOIN tokens t ON t.id = d.id \
                 WHERE d.due_at = to_timestamp(t.expires_at) - interval '1 second'";
    assert_eq!(database.number(last), 1);
    endpoint.set(Reply::Accept);
    wait_state(&database, "sent", 1);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn many_that_are_refused_alike_wait_until_a_probe_is_accepted() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    endpoint.set(Reply::Statuses(vec![("MESSAGE_REJECTED", "we do not know you"); 50]));
    database.accounts("user", 200);
    let running = run(&database, &endpoint).start();
    running.wait_log(
        "everything is held: 10 recipients in a row were refused alike: MESSAGE_REJECTED: \
         we do not know you; next probe in 30 s",
    );
    assert_eq!(running.stop().code, Some(0));
    assert_eq!(database.in_state("failed"), 0);
    assert_eq!(database.number("SELECT count(*) FROM deliveries WHERE cause = 'setup'"), 10);
    endpoint.set(Reply::Accept);
    let running = run(&database, &endpoint).start();
    wait_state(&database, "sent", 200);
    assert_eq!(running.stop().code, Some(0));
    assert_eq!(repeated(&endpoint, 200), 0);
}
