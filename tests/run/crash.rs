//! Killed, stopped, and cut off from the database, at every step.

use super::{repeated, run, wait_state};
use crate::support::cluster::{Cluster, Database};
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::program::{PATIENCE, Program, Running, wait_until};
use nix::sys::signal::Signal;
use std::net::TcpListener;
use std::time::Duration;

/// Messages in a batch here.
pub const LIMIT: usize = 10;

pub fn slow(millis: u64) -> Reply {
    Reply::Slow(Duration::from_millis(millis), Box::new(Reply::Accept))
}

fn with_lease(database: &Database, endpoint: &Endpoint) -> Program {
    run(database, endpoint).env("MAILROOM_LEASE", "1500")
}

/// A program that waits for the reply to its first call, which takes so long.
fn in_call(endpoint: &Endpoint, millis: u64, program: Program) -> Running {
    endpoint.push(slow(millis));
    let running = program.start();
    wait_until("the call is under way", || endpoint.requests().len() == 1);
    running
}

#[test]
fn killed_before_the_provider_has_the_request_it_loses_and_repeats_nothing() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    // Takes connections into its backlog and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    database.accounts("user", 25);
    let running = with_lease(&database, &endpoint).env("AWS_ENDPOINT_URL", url).start();
    wait_state(&database, "leased", LIMIT as i64);
    running.kill();
    let running = with_lease(&database, &endpoint).start();
    wait_state(&database, "sent", 25);
    assert_eq!(repeated(&endpoint, 25), 0);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn killed_while_the_provider_has_the_request_it_repeats_one_batch_at_most() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    database.accounts("user", 25);
    let running = in_call(&endpoint, 500, with_lease(&database, &endpoint));
    running.kill();
    let running = with_lease(&database, &endpoint).start();
    wait_state(&database, "sent", 25);
    assert!(repeated(&endpoint, 25) <= LIMIT);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn killed_after_acceptance_and_before_settling_it_repeats_one_batch_at_most() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    database.accounts("user", LIMIT as u32);
    let running = in_call(&endpoint, 500, with_lease(&database, &endpoint));
    // It cannot read the reply while it is frozen.
    running.signal(Signal::SIGSTOP);
    endpoint.wait_for(LIMIT, PATIENCE);
    running.kill();
    assert_eq!(database.in_state("sent"), 0);
    let running = with_lease(&database, &endpoint).start();
    wait_state(&database, "sent", LIMIT as i64);
    assert!(repeated(&endpoint, LIMIT) <= LIMIT);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn killed_again_and_again_under_a_thousand_messages_it_loses_none() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    endpoint.set(slow(40));
    database.accounts("user", 1000);
    let mut kills = 0;
    let mut chance = 0x2545_f491_4f6c_dd1d_u64;
    let mut done = 0;
    while done < 600 {
        let running = with_lease(&database, &endpoint).env("MAILROOM_BATCH_LIMIT", "25").start();
        // Any moment after some batches, and then up to 80 ms later.
        wait_until("it works", || endpoint.accepted().len() >= done + 100);
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::sleep(Duration::from_millis((chance >> 33) % 80));
        running.kill();
        kills += 1;
        done = endpoint.accepted().len();
    }
    endpoint.set(Reply::Accept);
    let running = with_lease(&database, &endpoint).env("MAILROOM_BATCH_LIMIT", "25").start();
    wait_state(&database, "sent", 1000);
    let repeated = repeated(&endpoint, 1000);
    assert!(repeated <= kills * 25, "{repeated} repeated after {kills} kills");
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn asked_to_stop_during_a_call_it_settles_what_the_provider_says() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    database.accounts("user", 25);
    let running = in_call(&endpoint, 1000, run(&database, &endpoint));
    let finished = running.stop_in_time();
    assert_eq!(database.in_state("sent"), LIMIT as i64, "{}", finished.log);
    assert_eq!(database.in_state("pending"), 15, "{}", finished.log);
    assert_eq!(endpoint.accepted().len(), LIMIT);
}

#[test]
fn asked_to_stop_while_the_provider_does_not_answer_it_ends_in_time_and_loses_nothing() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    endpoint.set(Reply::Slow(Duration::from_secs(60), Box::new(Reply::Reset)));
    database.accounts("user", 25);
    let running = run(&database, &endpoint).start();
    wait_until("the call is under way", || endpoint.requests().len() == 1);
    let finished = running.stop_in_time();
    // The unknown outcome was settled too: it will be tried again.
    assert_eq!(database.in_state("pending"), 25, "{}", finished.log);
    assert!(finished.log.contains("ambiguous"), "{}", finished.log);
}

#[test]
fn a_success_counts_even_when_it_comes_after_the_lease() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    endpoint.push(slow(1500));
    database.accounts("user", 1);
    let running = run(&database, &endpoint).env("MAILROOM_LEASE", "200").start();
    wait_state(&database, "sent", 1);
    assert_eq!(endpoint.accepted().len(), 1, "{}", running.log());
    let id = "SELECT count(*) FROM deliveries WHERE provider_id = 'id-000001'";
    assert_eq!(database.number(id), 1);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn outcomes_that_cannot_be_written_down_now_are_written_when_the_database_is_back() {
    // What was committed must outlast the crash of the server.
    let cluster = Cluster::start(&["synchronous_commit = on"]);
    let database = Database { name: "postgres".into(), url: cluster.url("postgres") };
    mailroom::queue::schema::up(&mut database.client()).unwrap();
    let endpoint = Endpoint::start();
    database.accounts("user", LIMIT as u32);
    let running = in_call(&endpoint, 1500, run(&database, &endpoint));
    cluster.control(&["stop", "-m", "immediate"]);
    endpoint.wait_for(LIMIT, PATIENCE);
    running.wait_log("connection failed");
    cluster.control(&["start"]);
    wait_state(&database, "sent", LIMIT as i64);
    database.accounts("later", 1);
    wait_state(&database, "sent", LIMIT as i64 + 1);
    assert_eq!(repeated(&endpoint, LIMIT + 1), 0);
    let ids = "SELECT count(DISTINCT provider_id) FROM deliveries";
    assert_eq!(database.number(ids), LIMIT as i64 + 1);
    assert_eq!(running.stop().code, Some(0));
}
