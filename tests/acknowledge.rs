//! `collect | send` with MAILROOM_ACK=sent: the lease stands until `send` settles it.

use crate::support::cluster::Database;
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::program::{PATIENCE, Program, Running, wait_until};
use crate::support::records::{activation, record};
use mailroom::queue::store::Statements;
use mailroom::queue::store::values::Adopted;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::time::Duration;

/// Messages in a batch here.
const LIMIT: usize = 10;

/// `collect`, with a short lease.
fn collect(database: &Database) -> Program {
    Program::collect(database)
        .env("MAILROOM_ACK", "sent")
        .env("MAILROOM_BATCH_TIMEOUT", "100")
        .env("MAILROOM_HEALTHCHECK_INTERVAL", "500")
        .env("MAILROOM_LEASE", "2000")
}

fn send(database: &Database, endpoint: &Endpoint) -> Program {
    Program::send(&endpoint.url())
        .on(database)
        .env("MAILROOM_ACK", "sent")
        .env("MAILROOM_LEASE", "2000")
}

/// Both, with a pipe between them.
fn pipeline(database: &Database, endpoint: &Endpoint) -> (Running, Running) {
    let (reader, writer) = std::io::pipe().unwrap();
    let collect = collect(database).stdout(writer).start();
    (collect, send(database, endpoint).stdin(reader).start())
}

/// How many mails more than one went to each recipient; everybody must have one.
fn repeated(endpoint: &Endpoint, recipients: usize) -> usize {
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for mail in endpoint.accepted() {
        *count.entry(mail.to).or_default() += 1;
    }
    assert_eq!(count.len(), recipients, "somebody got no mail");
    count.values().map(|n| n - 1).sum()
}

fn wait_sent(database: &Database, count: i64) {
    wait_until("everything is sent", || database.in_state("sent") == count);
}

/// What a collector writes of all that waits; the leases stand.
fn one_line(database: &Database) -> String {
    let collect = collect(database).start();
    let line = collect.wait_lines(1)[0].clone() + "\n";
    assert_eq!(collect.stop().code, Some(0));
    line
}

#[test]
fn deliveries_are_settled_by_the_sender_with_the_id_of_the_provider() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    let (collect, send) = pipeline(&database, &endpoint);
    database.accounts("user", 25);
    wait_sent(&database, 25);
    assert_eq!(repeated(&endpoint, 25), 0);
    let ids = "SELECT count(DISTINCT provider_id) FROM deliveries WHERE provider_id LIKE 'id-%'";
    assert_eq!(database.number(ids), 25);
    assert_eq!(collect.stop().code, Some(0));
    assert_eq!(send.stop().code, Some(0));
}

#[test]
fn what_could_not_be_taken_over_before_the_stop_is_said_to_be_leased_still() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    database.accounts("user", 3);
    let line = one_line(&database);
    let mut send = send(&database, &endpoint).start();
    // It connects for the first record: this one is nobody's.
    send.write(record(activation("nobody", 1)));
    send.wait_log("left out");
    let mut client = database.client();
    let mut lock = client.transaction().unwrap();
    lock.batch_execute("LOCK TABLE deliveries IN EXCLUSIVE MODE").unwrap();
    send.write(line);
    wait_until("taking over waits", || database.blocked("adopt") == 1);
    let finished = send.stop();
    lock.rollback().unwrap();
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert!(finished.log.contains("messages left out: 3; asked to stop"), "{}", finished.log);
    assert_eq!(finished.log.matches("another claim").count(), 1, "{}", finished.log);
}

#[test]
fn what_was_written_is_not_settled_before_it_is_sent_and_comes_again_when_the_lease_ends() {
    let database = Database::migrated();
    let collect = collect(&database).start();
    database.accounts("user", 3);
    let first = collect.wait_lines(1)[0].clone();
    assert_eq!(database.in_state("leased"), 3);
    // Nobody sends it: the lease ends, and it is written again.
    assert_eq!(collect.wait_lines(2)[1], first);
    assert_eq!(database.in_state("sent"), 0);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn a_batch_that_is_in_the_pipe_when_its_reader_dies_is_sent_by_the_next_one() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    let (reader, writer) = std::io::pipe().unwrap();
    let first = collect(&database).stdout(writer).start();
    database.accounts("user", 15);
    wait_until("both batches are in the pipe", || database.in_state("leased") == 15);
    drop(reader);
    first.kill();
    let (collect, send) = pipeline(&database, &endpoint);
    wait_sent(&database, 15);
    assert_eq!(repeated(&endpoint, 15), 0);
    assert_eq!(collect.stop().code, Some(0));
    assert_eq!(send.stop().code, Some(0));
}

#[test]
fn a_sender_that_is_killed_while_the_provider_has_the_request_repeats_one_batch_at_most() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    endpoint.push(Reply::Slow(Duration::from_millis(600), Box::new(Reply::Accept)));
    let (collect, send) = pipeline(&database, &endpoint);
    database.accounts("user", 30);
    wait_until("the call is under way", || endpoint.requests().len() == 1);
    send.kill();
    // The collector finds the pipe broken by itself, or is asked to stop before that.
    collect.kill();
    endpoint.wait_for(LIMIT, PATIENCE);
    let (collect, send) = pipeline(&database, &endpoint);
    wait_sent(&database, 30);
    assert!(repeated(&endpoint, 30) <= LIMIT);
    assert_eq!(collect.stop().code, Some(0));
    assert_eq!(send.stop().code, Some(0));
}

#[test]
fn a_sender_that_is_killed_after_the_provider_accepted_repeats_one_batch_at_most() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    endpoint.push(Reply::Slow(Duration::from_millis(600), Box::new(Reply::Accept)));
    let (collect, send) = pipeline(&database, &endpoint);
    database.accounts("user", LIMIT as u32);
    wait_until("the call is under way", || endpoint.requests().len() == 1);
    // It cannot read the reply while it is frozen.
    send.signal(Signal::SIGSTOP);
    endpoint.wait_for(LIMIT, PATIENCE);
    send.kill();
    collect.kill();
    let (collect, send) = pipeline(&database, &endpoint);
    wait_sent(&database, LIMIT as i64);
    assert!(repeated(&endpoint, LIMIT) <= LIMIT);
    assert_eq!(collect.stop().code, Some(0));
    assert_eq!(send.stop().code, Some(0));
}

#[test]
fn a_retry_comes_back_through_the_database() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    endpoint.push(Reply::Statuses(vec![("TRANSIENT_FAILURE", "later"); 2]));
    let (collect, send) = pipeline(&database, &endpoint);
    database.accounts("user", 2);
    wait_sent(&database, 2);
    let again = database.number("SELECT count(*) FROM deliveries WHERE attempts = 2");
    assert!(again >= 1, "{again}");
    assert_eq!(repeated(&endpoint, 2), 0);
    assert_eq!(collect.stop().code, Some(0));
    let finished = send.stop();
    assert_eq!((finished.code, finished.undelivered.as_str()), (Some(0), ""), "{}", finished.log);
}

#[test]
fn what_is_rejected_fails_in_the_database_and_is_in_no_file() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    endpoint.push(Reply::Statuses(vec![("MESSAGE_REJECTED", "no such mailbox")]));
    let (collect, send) = pipeline(&database, &endpoint);
    database.accounts("user", 2);
    wait_sent(&database, 1);
    let why = "SELECT count(*) FROM deliveries WHERE state = 'failed' \
               AND error = 'MESSAGE_REJECTED: no such mailbox'";
    assert_eq!(database.number(why), 1);
    assert_eq!(collect.stop().code, Some(0));
    assert_eq!(send.stop().undelivered, "");
}

#[test]
fn a_delivery_that_was_settled_meanwhile_is_left_out() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    database.accounts("user", 3);
    let line = one_line(&database);
    database.run(
        "UPDATE deliveries SET state = 'sent', lease = NULL, due_at = now(), \
                provider_id = 'theirs' \
          WHERE id = (SELECT min(id) FROM deliveries)",
    );
    let finished = send(&database, &endpoint).input(&line);
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert!(finished.log.contains("left out u***@example.com"), "{}", finished.log);
    assert_eq!(repeated(&endpoint, 2), 0);
    // The same line again: all of it is settled.
    let finished = send(&database, &endpoint).input(&line);
    assert_eq!(finished.log.matches("left out").count(), 3, "{}", finished.log);
    assert_eq!(endpoint.accepted().len(), 2);
}

#[test]
fn a_delivery_that_a_run_took_over_meanwhile_is_left_to_it() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    database.accounts("user", 3);
    let line = one_line(&database);
    database.run("UPDATE deliveries SET lease = 'run:1:1', due_at = now() + interval '1 hour'");
    let finished = send(&database, &endpoint).input(&line);
    assert_eq!(finished.log.matches("left out").count(), 3, "{}", finished.log);
    assert!(endpoint.accepted().is_empty());
    // Its lease ran out: whoever comes first.
    database.run("UPDATE deliveries SET due_at = now()");
    let finished = send(&database, &endpoint).input(&line);
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert_eq!(repeated(&endpoint, 3), 0);
}

#[test]
fn what_went_back_into_the_queue_is_taken_over_only_if_a_claim_would_have_it() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    database.accounts("user", 3);
    let line = one_line(&database);
    let back = |lease: &str| {
        database.run(&format!(
            "UPDATE deliveries SET {lease}, due_at = now() - interval '1 second' \
              WHERE state <> 'sent'"
        ));
    };
    let left_out = || {
        let finished = send(&database, &endpoint).input(&line);
        assert_eq!(finished.code, Some(0), "{}", finished.log);
        (finished.log.matches("left out").count(), endpoint.accepted().len())
    };
    let put_back = "state = 'pending', lease = NULL";
    let paused = "UPDATE jobs SET paused_at = now()";
    for lease in [put_back, "state = 'leased', lease = 'collect:1:1'"] {
        back(lease);
        database.run(paused);
        assert_eq!(left_out(), (3, 0), "{lease}");
        database.run("UPDATE jobs SET paused_at = NULL");
        database.run("UPDATE accounts SET status = 'suspended'");
        // That wrote the row.
        back(lease);
        assert_eq!(left_out(), (3, 0), "{lease}");
        database.run("UPDATE accounts SET status = 'provisioned'");
    }
    // A claim will find the new address.
    database.run("UPDATE accounts SET email = 'new@example.com' WHERE login = 'user2'");
    back(put_back);
    assert_eq!(left_out(), (1, 2));
    // Leased to its collector, it was claimed before: but with this address?
    let leased = "state = 'leased', lease = 'collect:1:1', due_at = now() + interval '1 minute'";
    database.run(&format!("UPDATE deliveries SET {leased} WHERE state <> 'sent'"));
    assert_eq!(left_out(), (3, 2));
    database.run("UPDATE accounts SET email = login || '@example.com', status = 'suspended'");
    database.run(&format!("{paused}; UPDATE deliveries SET {leased} WHERE state <> 'sent'"));
    assert_eq!(left_out(), (2, 3));
    assert_eq!(repeated(&endpoint, 3), 0);
}

#[test]
fn a_delivery_that_somebody_has_locked_holds_up_no_other_and_is_claimed_again() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    database.accounts("user", 3);
    let line = one_line(&database);
    let mut other = database.client();
    let mut locks = other.transaction().unwrap();
    locks.execute("DELETE FROM accounts WHERE login = 'user1'", &[]).unwrap();
    // Longer than a lock is waited for.
    let finished = send(&database, &endpoint).env("MAILROOM_LEASE", "60000").input(&line);
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert_eq!(finished.log.matches("left out").count(), 1, "{}", finished.log);
    assert_eq!(endpoint.accepted().len(), 2);
    locks.rollback().unwrap();
    let (collect, send) = pipeline(&database, &endpoint);
    wait_sent(&database, 3);
    assert_eq!(repeated(&endpoint, 3), 0);
    assert_eq!(collect.stop().code, Some(0));
    assert_eq!(send.stop().code, Some(0));
}

#[test]
fn what_was_locked_is_settled_while_everything_is_held() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    endpoint.push(Reply::Slow(Duration::from_secs(1), Box::new(Reply::Accept)));
    endpoint.push(Reply::error(400, "AccountSuspendedException", "no"));
    let mut send = send(&database, &endpoint).env("MAILROOM_LEASE", "60000").start();
    database.accounts("first", 1);
    send.write(one_line(&database));
    wait_until("a call is under way", || endpoint.requests().len() == 1);
    let mut other = database.client();
    let mut locks = other.transaction().unwrap();
    locks.execute("SELECT FROM deliveries FOR UPDATE", &[]).unwrap();
    send.wait_log("deliveries that another transaction has locked: 1");
    database.accounts("second", 1);
    send.write(one_line(&database));
    send.wait_log("everything is held");
    locks.rollback().unwrap();
    wait_sent(&database, 1);
    assert_eq!(endpoint.requests().len(), 2, "nothing was probed meanwhile");
    assert_eq!(send.stop().code, Some(0));
}

#[test]
fn a_take_over_whose_answer_was_lost_is_repeated_and_gives_the_same() {
    let database = Database::migrated();
    database.accounts("user", 2);
    let collect = collect(&database).start();
    collect.wait_lines(1);
    assert_eq!(collect.stop().code, Some(0));
    let mut client = database.client();
    let mut statements = Statements::prepare(&mut client, "mailroom").unwrap();
    let rows = client.query("SELECT secret FROM tokens ORDER BY id", &[]).unwrap();
    let secrets: Vec<Option<&[u8]>> = rows.iter().map(|row| row.get(0)).collect();
    let addresses = ["user1@example.com", "user2@example.com"];
    let mut take = |lease: &str| {
        let minute = Duration::from_secs(60);
        let named = (&secrets[..], &[None, None][..], &addresses[..]);
        let found = statements.adopt(&mut client, named, lease, minute, false).unwrap();
        assert_eq!(found.len(), 2);
        found.iter().filter(|found| matches!(found, Adopted::Taken(_))).count()
    };
    assert_eq!([take("send:1:1"), take("send:1:1"), take("send:2:2")], [2, 2, 0]);
}

#[test]
fn what_an_action_without_a_template_holds_goes_back_and_others_go_on() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    let (reader, writer) = std::io::pipe().unwrap();
    let collect = collect(&database).stdout(writer).start();
    let send = send(&database, &endpoint).env("MAILROOM_TEMPLATES", "2=only").stdin(reader).start();
    database.accounts("first", 2);
    send.wait_log("no template for action 1");
    database.accounts("second", 2);
    database.recovery("third");
    wait_sent(&database, 1);
    // Also what comes in later batches.
    database.accounts("fourth", 2);
    database.recovery("fifth");
    wait_sent(&database, 2);
    assert_eq!(repeated(&endpoint, 2), 0);
    let stopped = send.stop();
    assert_eq!(stopped.code, Some(0), "{}", stopped.log);
    collect.kill();
    let held = "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'leased') \
                AND attempts = 0";
    assert_eq!(database.number(held), 6);
}

#[test]
fn a_collector_that_settles_what_it_writes_is_found_out_by_a_sender_that_would_settle_it() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    database.accounts("user", 3);
    let collect = collect(&database).env("MAILROOM_ACK", "written").start();
    let line = collect.wait_lines(1)[0].clone() + "\n";
    wait_sent(&database, 3);
    assert_eq!(collect.stop().code, Some(0));
    let finished = send(&database, &endpoint).input(&line);
    assert_eq!(finished.code, Some(65), "{}", finished.log);
    let told = finished.log.lines().filter(|line| line.contains("MAILROOM_ACK"));
    let told: Vec<&str> = told.filter(|line| line.contains("record 1, message ")).collect();
    assert_eq!(told.len(), 3, "{}", finished.log);
    assert_eq!(endpoint.accepted(), []);
    // They are not lost: without the database they go.
    let replayed = Program::send(&endpoint.url()).input(finished.undelivered);
    assert_eq!(replayed.code, Some(0), "{}", replayed.log);
    assert_eq!(repeated(&endpoint, 3), 0);
}

#[test]
fn a_collector_whose_reader_settles_nothing_says_that_the_sender_must_be_told() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    let (reader, writer) = std::io::pipe().unwrap();
    let collect = collect(&database).stdout(writer).start();
    let send = Program::send(&endpoint.url()).stdin(reader).start();
    database.accounts("user", 3);
    collect.wait_log("no send took over before their leases ran out: 3;");
    assert!(collect.log().contains("MAILROOM_ACK"), "{}", collect.log());
    assert_eq!(collect.stop().code, Some(0));
    assert_eq!(send.stop().code, Some(0));
}

#[test]
fn where_both_are_told_nobody_warns() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    let (collect, send) = pipeline(&database, &endpoint);
    database.accounts("user", 25);
    wait_sent(&database, 25);
    for finished in [collect.stop(), send.stop()] {
        assert_eq!(finished.code, Some(0), "{}", finished.log);
        assert!(!finished.log.contains("MAILROOM_ACK"), "{}", finished.log);
    }
}

#[test]
fn what_waits_for_its_turn_is_taken_over_only_then() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    database.accounts("user", 70);
    let collect = collect(&database).env("MAILROOM_BATCH_LIMIT", "35").start();
    let lines = collect.wait_lines(2);
    collect.kill();
    // More than one call can take, and the first call takes longer than the lease.
    endpoint.push(Reply::Slow(Duration::from_millis(2500), Box::new(Reply::Accept)));
    let finished = send(&database, &endpoint).input(format!("{},{}\n", lines[0], lines[1]));
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert_eq!(repeated(&endpoint, 70), 0);
    assert_eq!(database.in_state("sent"), 70, "{}", finished.log);
}
