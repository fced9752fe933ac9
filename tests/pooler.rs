//! Through PgBouncer: a pool of sessions is as good as the server, one of transactions is refused.

use crate::support::cluster::Database;
use crate::support::endpoint::Endpoint;
use crate::support::pgbouncer::PgBouncer;
use crate::support::program::{Program, addresses, wait_until};
use crate::support::records::activations;
use serde_json::Value;

/// The checks of the database by name: status, and what is said.
fn checks(pooler: &PgBouncer, database: &Database) -> Vec<(String, String, String)> {
    let finished = Program::new(&["check", "--json"])
        .on(database)
        .env("MAILROOM_DATABASE_URL", pooler.url(&database.name))
        .env("MAILROOM_DEBUG", "true")
        .output();
    let report: Value = serde_json::from_str(&finished.out).unwrap();
    let text = |check: &Value, name: &str| check[name].as_str().unwrap().to_owned();
    let checks = report["checks"].as_array().unwrap();
    checks
        .iter()
        .map(|check| {
            let said = format!("{} {}", text(check, "detail"), text(check, "advice"));
            (text(check, "name"), text(check, "status"), said)
        })
        .collect()
}

fn of<'a>(checks: &'a [(String, String, String)], name: &str) -> &'a (String, String, String) {
    checks.iter().find(|check| check.0 == name).unwrap_or_else(|| panic!("{checks:?}"))
}

#[test]
fn check_finds_a_pool_of_transactions_and_says_what_to_do() {
    let database = Database::migrated();
    for size in [1, 2, 20] {
        let pooler = PgBouncer::start("transaction", size);
        let checks = checks(&pooler, &database);
        let (_, status, said) = of(&checks, "NOTIFY");
        assert_eq!(status, "failed", "pools of {size}: {checks:#?}");
        assert!(
            said.contains("transaction pooler") && said.contains("pool_mode = session"),
            "{said}"
        );
    }
}

#[test]
fn check_finds_nothing_wrong_with_a_pool_of_sessions() {
    let (database, pooler) = (Database::migrated(), PgBouncer::start("session", 20));
    let checks = checks(&pooler, &database);
    for name in ["database", "schema", "queue", "grants", "NOTIFY", "channel", "database clock"] {
        assert_eq!(of(&checks, name).1, "ok", "{checks:#?}");
    }
}

#[test]
fn nothing_is_claimed_through_a_pool_of_transactions() {
    let (database, endpoint) = (Database::migrated(), Endpoint::start());
    database.accounts("user", 3);
    for size in [1, 2, 20] {
        let pooler = PgBouncer::start("transaction", size);
        let url = pooler.url(&database.name);
        let send = Program::send(&endpoint.url()).on(&database).env("MAILROOM_ACK", "sent");
        let collect = Program::collect(&database);
        for program in [send, collect, Program::run(&database, &endpoint.url())] {
            let program = program.env("MAILROOM_DATABASE_URL", &url);
            let finished = program.input(activations("user", 1));
            assert_eq!(finished.code, Some(78), "pools of {size}: {}", finished.log);
            assert!(finished.log.contains("pool_mode = session"), "{}", finished.log);
            assert_eq!(finished.out, "");
        }
    }
    assert_eq!(database.in_state("pending"), 3);
    assert!(endpoint.accepted().is_empty());
}

#[test]
fn a_migration_through_a_pool_of_transactions_is_refused() {
    let database = Database::migrated();
    for (mode, code, text) in [("transaction", 78, "pool_mode = session"), ("session", 0, "")] {
        let pooler = PgBouncer::start(mode, 20);
        let migrate = |word: &str| {
            let program = Program::new(&["migrate", word]).on(&database);
            program.env("MAILROOM_DATABASE_URL", pooler.url(&database.name)).output()
        };
        let up = migrate("up");
        assert_eq!(up.code, Some(code), "{mode}: {}", up.log);
        assert!(up.log.contains(text), "{}", up.log);
        assert_eq!(migrate("status").code, Some(0));
    }
}

#[test]
fn through_a_pool_of_sessions_mail_goes_as_soon_as_it_is_due() {
    let (database, endpoint) = (Database::migrated(), Endpoint::start());
    let pooler = PgBouncer::start("session", 20);
    let run = Program::run(&database, &endpoint.url())
        .env("MAILROOM_DATABASE_URL", pooler.url(&database.name))
        .start();
    run.wait_log("connected");
    database.accounts("user", 3);
    wait_until("all are sent", || database.in_state("sent") == 3);
    assert!(run.log().contains("NOTIFY called"), "{}", run.log());
    assert_eq!(run.stop().code, Some(0));
    let collect = Program::collect(&database)
        .env("MAILROOM_DATABASE_URL", pooler.url(&database.name))
        .start();
    collect.wait_log("connected");
    database.accounts("more", 2);
    assert_eq!(addresses(&collect.wait_lines(1)), ["more1@example.com", "more2@example.com"]);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn a_pool_that_could_not_be_found_out_is_named_when_it_lends_another_connection() {
    let (database, endpoint) = (Database::migrated(), Endpoint::start());
    // With a single client there is nobody to share with.
    let pooler = PgBouncer::with("transaction", 1, 1);
    let run = Program::run(&database, &endpoint.url())
        .env("MAILROOM_DATABASE_URL", pooler.url(&database.name))
        .env("MAILROOM_HEALTHCHECK_INTERVAL", "300")
        .start();
    run.wait_log("connected");
    database.disconnect_others();
    run.wait_log("a transaction pooler lent another connection");
    database.accounts("user", 1);
    wait_until("it is sent all the same", || database.in_state("sent") == 1);
    assert_eq!(run.stop().code, Some(0));
}

#[test]
fn a_role_with_a_single_connection_is_served() {
    let (database, endpoint) = (Database::migrated(), Endpoint::start());
    let role = format!("single_{}", database.name);
    database.run(&format!("CREATE ROLE {role} LOGIN CONNECTION LIMIT 1"));
    let given = Program::new(&["migrate", "grants", &role]).on(&database).output();
    assert_eq!(given.code, Some(0), "{}", given.log);
    let run = Program::run(&database, &endpoint.url())
        .env(
            "MAILROOM_DATABASE_URL",
            database.url.replace("user=postgres", &format!("user={role}")),
        )
        .start();
    run.wait_log("connected");
    database.accounts("user", 1);
    wait_until("it is sent", || database.in_state("sent") == 1);
    assert_eq!(run.stop().code, Some(0));
}
