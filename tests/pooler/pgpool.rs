//! Through Pgpool-II with load balancing: a standby answers what is only read.

use super::{checks_at, of};
use crate::support::cluster::{Cluster, Database};
use crate::support::endpoint::Endpoint;
use crate::support::pgpool::Pgpool;
use crate::support::program::{Program, addresses, wait_until};

/// A primary with the schema, its standby, and the pool in front of them.
struct Pair {
    pool: Pgpool,
    database: Database,
    _standby: Cluster,
    _primary: Cluster,
}

fn pair(settings: &[&str]) -> Pair {
    let primary = Cluster::start(&[]);
    let database = primary.migrated("mail");
    let standby = primary.standby();
    let pool = Pgpool::start(&primary, &standby, settings);
    Pair { pool, database, _standby: standby, _primary: primary }
}

#[test]
fn mail_goes_though_a_standby_answers_what_is_only_read() {
    let Pair { pool, database, .. } = &pair(&[]);
    let (endpoint, url) = (Endpoint::start(), pool.url("mail"));
    let mut client = crate::support::cluster::connect(&url).unwrap();
    let mut read_only =
        |sql: &str| -> String { client.query_one(sql, &[]).unwrap().get::<_, String>(0) };
    assert_eq!(read_only("SHOW transaction_read_only"), "on", "the standby answers");
    database.accounts("early", 3);
    let run = Program::run(database, &endpoint.url()).env("MAILROOM_DATABASE_URL", &url);
    let run = run.window(100).start();
    run.wait_log("a standby answers what is only read");
    run.wait_log("looking every 1000 ms");
    wait_until("what waited is sent", || database.in_state("sent") == 3);
    database.accounts("user", 25);
    wait_until("all are sent", || database.in_state("sent") == 28);
    let log = run.stop();
    assert_eq!(log.code, Some(0), "{}", log.log);
    assert_eq!(log.log.matches("a standby answers").count(), 1, "{}", log.log);
    assert_eq!(log.log.matches("WARN").count(), 0, "{}", log.log);
    database.run("ALTER DATABASE mail SET mailroom.notify = 'never'");
    let collect = Program::collect(database)
        .env("MAILROOM_DATABASE_URL", &url)
        .env("MAILROOM_ACK", "sent")
        .env("MAILROOM_POLL", "2s")
        .window(100)
        .start();
    collect.wait_log("looking every 2000 ms");
    collect.wait_log("connected");
    database.accounts("more", 2);
    let lines = collect.wait_lines(1);
    let send = Program::send(&endpoint.url())
        .on(database)
        .env("MAILROOM_DATABASE_URL", &url)
        .env("MAILROOM_ACK", "sent")
        .input(format!("{}\n", lines.join("\n")));
    assert_eq!(send.code, Some(0), "{}", send.log);
    assert_eq!(database.in_state("sent"), 30, "{}", send.log);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn check_names_a_pool_that_asks_a_standby_and_what_it_costs() {
    let Pair { pool, database, .. } = &pair(&[]);
    let checks = checks_at(&pool.url("mail"), database);
    for name in ["database", "schema", "queue", "grants", "triggers", "functions", "channel"] {
        assert_eq!(of(&checks, name).1, "ok", "{checks:#?}");
    }
    let (_, status, said) = of(&checks, "NOTIFY");
    assert_eq!(status, "warning", "{checks:#?}");
    for text in ["a standby answers", "each 1000 ms", "app_name_redirect_preference_list"] {
        assert!(said.contains(text), "{said}");
    }
}

#[test]
fn a_pool_that_asks_the_primary_alone_is_as_good_as_the_server() {
    let line = "app_name_redirect_preference_list = 'mailroom.*:primary'";
    let Pair { pool, database, .. } = &pair(&[line]);
    let url = pool.url("mail");
    let checks = checks_at(&url, database);
    for name in ["database", "schema", "queue", "grants", "triggers", "NOTIFY", "channel"] {
        assert_eq!(of(&checks, name).1, "ok", "{checks:#?}");
    }
    let collect = Program::collect(database).env("MAILROOM_DATABASE_URL", &url);
    let collect = collect.healthcheck(3_600_000).start();
    collect.wait_log("connected");
    database.accounts("user", 2);
    assert_eq!(addresses(&collect.wait_lines(1)), ["user1@example.com", "user2@example.com"]);
    assert!(collect.log().contains("NOTIFY called"), "{}", collect.log());
    assert_eq!(collect.stop().code, Some(0));
}
