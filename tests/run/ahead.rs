//! The batch that is claimed while a call is under way, and the settlement of the one before.

use super::crash::{LIMIT, slow};
use super::{repeated, run, wait_state};
use crate::support::cluster::{Cluster, Database};
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::program::{Running, wait_until};
use postgres::Client;
use std::time::Duration;

/// Milliseconds. In the first a claim is done, and watermarks are searched for, which nothing is claimed
/// beside, in one call of some; in the second all is done that a test does in a call.
const CALL: u64 = 400;
const LONG: u64 = 5000;

/// Messages: more than are sent until a test has what it waits for.
const ALL: usize = 40 * LIMIT;

/// Whether the provider has a call.
fn is_under_way(endpoint: &Endpoint) -> bool {
    endpoint.requests().len() * LIMIT > endpoint.accepted().len()
}

/// A program that has a batch in hand beside the one that is with the provider, while all that was
/// accepted before is settled.
fn in_call(database: &Database, endpoint: &Endpoint) -> Running {
    database.accounts("user", ALL as u32);
    endpoint.set(slow(CALL));
    // The rate keeps nothing from going, and a call takes longer than this interval nowhere else.
    let program = run(database, endpoint)
        .env("MAILROOM_SEND_RATE", "100000")
        .env("MAILROOM_HEALTHCHECK_INTERVAL", "60000");
    let running = program.start();
    wait_until("a batch is in hand", || {
        let accepted = endpoint.accepted().len();
        endpoint.requests().len() * LIMIT == accepted + LIMIT
            && database.in_state("leased") == 2 * LIMIT as i64
            && database.in_state("sent") == accepted as i64
            && endpoint.accepted().len() == accepted
    });
    running
}

/// A program in a call, where what it does meanwhile waits for the lock that is given.
fn held_up(database: &Database, client: &mut Client, endpoint: &Endpoint) -> Running {
    let running = in_call(database, endpoint);
    endpoint.set(slow(LONG));
    // Between two calls it may wait as well.
    while !{
        client.batch_execute("BEGIN; LOCK accounts IN ACCESS EXCLUSIVE MODE").unwrap();
        let waits = |name: &str| database.blocked(name) == 1;
        wait_until("a statement waits", || ["turn", "look"].into_iter().any(waits));
        is_under_way(endpoint) && waits("turn")
    } {
        client.batch_execute("ROLLBACK").unwrap();
    }
    endpoint.set(Reply::Accept);
    running
}

#[test]
fn while_a_call_is_under_way_the_next_batch_is_claimed_and_the_last_one_settled() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    let running = in_call(&database, &endpoint);
    endpoint.set(Reply::Accept);
    wait_state(&database, "sent", ALL as i64);
    assert_eq!(repeated(&endpoint, ALL), 0);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn what_is_in_hand_is_put_back_when_it_is_asked_to_stop() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    let finished = in_call(&database, &endpoint).stop_in_time();
    let sent = endpoint.accepted().len();
    assert_eq!(database.in_state("sent"), sent as i64, "{}", finished.log);
    assert_eq!(database.in_state("pending"), (ALL - sent) as i64, "{}", finished.log);
    let used = "SELECT sum(attempts) FROM deliveries WHERE state = 'pending'";
    assert_eq!(database.number(used), 0);
}

#[test]
fn what_is_in_hand_is_put_back_when_a_call_says_that_no_mail_may_go() {
    let wait = ("retry-after", "30".to_owned());
    for refusal in [
        Reply::error(400, "AccountSuspendedException", "suspended"),
        Reply::Full(503, vec![wait], r#"{"message": "later"}"#.into()),
    ] {
        let database = Database::migrated();
        let endpoint = Endpoint::start();
        let running = in_call(&database, &endpoint);
        let sent = endpoint.accepted().len() + LIMIT;
        // Calls that are short, but long enough for a claim: one of the first has a batch in hand.
        endpoint.set(Reply::Slow(Duration::from_millis(CALL), Box::new(refusal)));
        wait_until("all else is put back", || {
            let [sent, pending] = ["sent", "pending"].map(|state| database.in_state(state));
            (sent + pending) as usize == ALL
        });
        assert_eq!(endpoint.accepted().len(), sent, "{}", running.log());
        assert_eq!(running.stop().code, Some(0));
    }
}

#[test]
fn killed_in_a_call_before_the_last_one_is_settled_it_repeats_two_batches_at_most() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    let mut client = database.client();
    let running = held_up(&database, &mut client, &endpoint);
    running.kill();
    client.batch_execute("ROLLBACK").unwrap();
    wait_until("the statement has ended", || database.blocked("turn") == 0);
    database.run("UPDATE deliveries SET due_at = now() WHERE state = 'leased'");
    let running = run(&database, &endpoint).start();
    wait_state(&database, "sent", ALL as i64);
    assert!(repeated(&endpoint, ALL) <= 2 * LIMIT);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn a_database_that_goes_away_during_a_call_costs_none_of_its_answers() {
    let cluster = Cluster::start(&["synchronous_commit = on"]);
    let database = Database { name: "postgres".into(), url: cluster.url("postgres") };
    mailroom::queue::schema::up(&mut database.client()).unwrap();
    let endpoint = Endpoint::start();
    let mut client = database.client();
    let running = held_up(&database, &mut client, &endpoint);
    let called = endpoint.requests().len();
    cluster.control(&["stop", "-m", "immediate"]);
    wait_until("the answer came", || endpoint.accepted().len() == called * LIMIT);
    running.wait_log("connection failed");
    cluster.control(&["start"]);
    wait_state(&database, "sent", ALL as i64);
    assert_eq!(repeated(&endpoint, ALL), 0, "{}", running.log());
    assert_eq!(running.stop().code, Some(0));
}
