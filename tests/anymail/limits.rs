//! No flood: how many mails of a kind one address gets.

use super::{database, mail, state};
use crate::support::endpoint::Endpoint;
use crate::support::program::{PATIENCE, Program, wait_until};

#[test]
fn a_newer_recovery_supersedes_the_waiting_one_and_the_old_link_is_dead() {
    let (database, endpoint) = (database(), Endpoint::start());
    let ask = |to: &str| mail(&database, &format!("'password_recovery', '{to}', subject => 'u1'"));
    let (old, new) = (ask("Ann@example.com"), ask("ann@Example.com"));
    assert_eq!(state(&database, old), ("superseded".into(), Some("superseded".into())));
    let live = |id: i64| {
        database.number(&format!(
            "SELECT count(*) FROM tokens WHERE id = {id} AND expires_at > extract(epoch FROM now())"
        ))
    };
    assert_eq!((live(old), live(new)), (0, 1));
    // Another kind, and another address, are not meant.
    let (other, kind) =
        (ask("bob@example.com"), mail(&database, "'invoice_ready', 'ann@example.com'"));
    let run = Program::run(&database, &endpoint.url()).start();
    wait_until("they are sent", || database.in_state("sent") == 3);
    assert_eq!(run.stop().code, Some(0));
    for id in [new, other, kind] {
        assert_eq!(state(&database, id).0, "sent");
    }
    assert_eq!(endpoint.accepted().len(), 3);
}

#[test]
fn recoveries_of_an_account_are_held_to_the_same_limit() {
    let database = database();
    database.recovery("ann");
    let ask = "INSERT INTO tokens (account, action) SELECT id, 'password_recovery' FROM accounts";
    database.run(ask);
    database.run(&format!("{ask} CROSS JOIN generate_series(1, 2)"));
    assert_eq!((database.in_state("pending"), database.in_state("superseded")), (1, 3));
    mail(&database, "'password_recovery', 'ANN@example.com', subject => 'u1'");
    assert_eq!((database.in_state("pending"), database.in_state("superseded")), (1, 4));
}

#[test]
fn forty_resets_in_a_minute_give_as_many_mails_as_the_limit_says() {
    let (database, endpoint) = (database(), Endpoint::start());
    database.run("UPDATE kinds SET cooldown = interval '10 s' WHERE kind = 'password_recovery'");
    let run = Program::run(&database, &endpoint.url()).window(10).start();
    let mut last = 0;
    let mut expected = 0;
    for n in 0..40 {
        // A minute in forty steps; those whose time has come go out in between.
        database.run(
            "UPDATE deliveries SET due_at = due_at - interval '1.5 s';
             SELECT notify_mailroom()",
        );
        let due = database
            .number("SELECT count(*) FROM deliveries WHERE state = 'pending' AND due_at <= now()");
        expected += usize::try_from(due).unwrap();
        endpoint.wait_for(expected, PATIENCE);
        wait_until("it is settled", || database.in_state("leased") == 0);
        last =
            mail(&database, &format!("'password_recovery', 'ann@example.com', subject => 'u{n}'"));
        if n == 0 {
            expected += 1;
            endpoint.wait_for(expected, PATIENCE);
            wait_until("it is settled", || database.in_state("sent") == 1);
        }
    }
    let sent = database.in_state("sent");
    assert_eq!(endpoint.accepted().len(), usize::try_from(sent).unwrap());
    assert!((4..=5).contains(&sent), "{sent}: each ten seconds at most, five an hour at most");
    assert_eq!(database.in_state("superseded"), 39 - sent);
    assert_eq!(state(&database, last), ("pending".into(), Some("limited".into())));
    assert_eq!(run.stop().code, Some(0));
}

#[test]
fn five_an_hour_are_five_an_hour() {
    let (database, endpoint) = (database(), Endpoint::start());
    database.run("UPDATE kinds SET cooldown = NULL WHERE kind = 'password_recovery'");
    let run = Program::run(&database, &endpoint.url()).window(10).start();
    for n in 0..40 {
        mail(&database, &format!("'password_recovery', 'ann@example.com', subject => 'u{n}'"));
        if n < 5 {
            wait_until("it is sent", || database.in_state("sent") == n + 1);
        }
    }
    assert_eq!(run.stop().code, Some(0));
    assert_eq!(endpoint.accepted().len(), 5);
    assert_eq!((database.in_state("superseded"), database.in_state("pending")), (34, 1));
    let left = database.number(
        "SELECT extract(epoch FROM due_at - now())::bigint FROM deliveries WHERE state = 'pending'",
    );
    assert!((3000..=3600).contains(&left), "{left}");
}

#[test]
fn a_mail_that_is_not_made_because_its_key_is_there_supersedes_nothing() {
    let database = database();
    let waiting = mail(&database, "'password_recovery', 'ann@example.com', subject => 'u1'");
    // The key is another's, who has not committed yet.
    let mut first = database.client();
    let mut open = first.transaction().unwrap();
    let call =
        |to: &str| format!("SELECT send_mail('password_recovery', '{to}', key => 'reset-1')");
    let id: i64 = open.query_one(&call("bob@example.com"), &[]).unwrap().get(0);
    let same: i64 = std::thread::scope(|scope| {
        let same = scope
            .spawn(|| database.client().query_one(&call("ann@example.com"), &[]).unwrap().get(0));
        wait_until("it waits for the key", || {
            database.number(
                "SELECT count(*) FROM pg_stat_activity
                  WHERE datname = current_database() AND wait_event_type = 'Lock'",
            ) == 1
        });
        open.commit().unwrap();
        same.join().unwrap()
    });
    assert_eq!(same, id);
    assert_eq!(state(&database, waiting).0, "pending");
    assert_eq!(
        database
            .number("SELECT count(*) FROM tokens WHERE expires_at <= extract(epoch FROM now())"),
        0
    );
}

#[test]
fn mails_with_much_data_go_in_batches_that_memory_holds() {
    let (database, endpoint) = (database(), Endpoint::start());
    // As much as one may have; the first six come while nobody listens, the others later.
    let six = |from: u32| {
        database.run(&format!(
            "SELECT count(send_mail('invoice_ready', 'ann' || i || '@example.com',
                    jsonb_build_object('text', repeat('x', 65000))))
               FROM generate_series({from}, {from} + 5) i"
        ));
    };
    six(1);
    let run = Program::run(&database, &endpoint.url()).limit(6).window(250_000).start();
    endpoint.wait_for(6, PATIENCE);
    six(7);
    // Five are a full batch, and do not wait for a sixth; the sixth waits for its window.
    endpoint.wait_for(11, PATIENCE);
    wait_until("they are settled", || database.in_state("sent") == 11);
    let finished = run.stop();
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert_eq!(finished.log.matches("processing 5 rows... (max reached)").count(), 2);
}
