//! What the numbers cost: nothing while nothing happens, little while the queue is long.

use super::Numbers;
use crate::support::cluster::{Database, logged, tag, telling};
use crate::support::program::{Program, wait_until};
use mailroom::queue::store::Statements;
use std::time::Instant;

#[test]
fn an_idle_collector_writes_its_numbers_without_a_query_and_without_waking_up_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mailroom.prom");
    let database = telling().migrated("numbers");
    let statsd = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let place = statsd.local_addr().unwrap().to_string();
    let collect = Program::collect(&database)
        .env("MAILROOM_METRICS_FILE", &path)
        .env("MAILROOM_STATSD", place)
        .start();
    let asked = || logged(&database);
    wait_until("it has counted", || {
        asked().iter().filter(|line| line.contains(tag("depth").trim_end())).count() == 1
    });
    let modified = || std::fs::metadata(&path).unwrap().modified().unwrap();
    let (before, first, begun) = (asked(), modified(), Instant::now());
    let wakes = collect.status("voluntary_ctxt_switches");
    wait_until("the numbers are written", || modified() > first);
    let second = modified();
    wait_until("and again", || modified() > second);
    let wakes = collect.status("voluntary_ctxt_switches") - wakes;
    assert_eq!(asked(), before, "it asked the database");
    let limit = 2.0 * begun.elapsed().as_secs_f64() + 10.0;
    assert!((wakes as f64) < limit, "{wakes} wake-ups in {:?}", begun.elapsed());
    Numbers::read(&path, "collect").has(&[("queue_depth state=due", 0.0), ("database_up", 1.0)]);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn a_queue_of_any_length_is_counted_up_to_a_bound() {
    let database = Database::migrated();
    // Without what refers to them: only the count is looked at.
    database.run(
        "SET session_replication_role = replica;
         INSERT INTO deliveries (id, kind, due_at)
         SELECT n, 'activation', now() + make_interval(secs => CASE WHEN n % 2 = 0 THEN -n ELSE n END)
           FROM generate_series(1, 300000) n;
         ANALYZE deliveries",
    );
    let mut client = database.client();
    let mut statements = Statements::prepare(&mut client, "mailroom").unwrap();
    let depth = statements.depth(&mut client).unwrap();
    assert_eq!((depth.due, depth.later, depth.leased), (100_000, 100_000, 0));
    assert!((300_000..310_000).contains(&depth.oldest.as_secs()), "{depth:?}");
}
