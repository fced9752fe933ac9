//! Through PgBouncer: a pool of sessions is as good as the server; behind one of transactions it is
//! looked for mail, and nothing is left there.

mod pgpool;

use crate::support::cluster::{Cluster, Database};
use crate::support::endpoint::Endpoint;
use crate::support::pgbouncer::PgBouncer;
use crate::support::program::{Program, addresses, wait_until};
use serde_json::Value;

/// The checks of the database by name: status, and what is said.
fn checks(pooler: &PgBouncer, database: &Database) -> Vec<(String, String, String)> {
    checks_at(&pooler.url(&database.name), database)
}

fn checks_at(url: &str, database: &Database) -> Vec<(String, String, String)> {
    let finished = Program::new(&["check", "--json"])
        .on(database)
        .env("MAILROOM_DATABASE_URL", url)
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
fn check_finds_a_pool_of_transactions_and_says_what_it_costs() {
    let database = Database::migrated();
    for size in [1, 2, 20] {
        let pooler = PgBouncer::start("transaction", size);
        let checks = checks(&pooler, &database);
        let (_, status, said) = of(&checks, "NOTIFY");
        assert_eq!(status, "warning", "pools of {size}: {checks:#?}");
        for text in
            ["transaction pooler", "each 1000 ms", "four round trips", "pool_mode = session"]
        {
            assert!(said.contains(text), "{said}");
        }
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

/// What the processes of the server keep that a pooler lends: statements, listeners, locks, and
/// settings. Asked through the pooler, as its next client would see it.
fn left_behind(pooler: &PgBouncer, database: &Database) -> Vec<i64> {
    let mut client = crate::support::cluster::connect(&pooler.url(&database.name)).unwrap();
    let sql = "SELECT (SELECT count(*) FROM pg_prepared_statements)
                    || ',' || (SELECT count(*) FROM pg_listening_channels())
                    || ',' || (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
                                  AND pid = pg_backend_pid())
                    || ',' || (SELECT count(*) FROM pg_settings WHERE source = 'session'
                                  AND name LIKE ANY ('{%timeout,enable_%,jit,plan_cache_mode}'))";
    let answer = client.simple_query(sql).unwrap();
    let row = answer.iter().find_map(|message| match message {
        postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    row.unwrap().split(',').map(|number| number.parse().unwrap()).collect()
}

#[test]
fn through_a_pool_of_transactions_mail_is_looked_for_and_nothing_is_left_there() {
    for (size, never) in [(1, true), (2, false), (20, true)] {
        let (database, endpoint) = (Database::migrated(), Endpoint::start());
        if never {
            database
                .run(&format!("ALTER DATABASE {} SET mailroom.notify = 'never'", database.name));
        }
        let pooler = PgBouncer::start("transaction", size);
        let url = pooler.url(&database.name);
        let dir = tempfile::tempdir().unwrap();
        let metrics = dir.path().join("mailroom.prom").display().to_string();
        database.accounts("early", 3);
        let run = Program::run(&database, &endpoint.url())
            .env("MAILROOM_DATABASE_URL", &url)
            .env("MAILROOM_METRICS_FILE", &metrics)
            .window(100)
            .start();
        run.wait_log("transaction pooler");
        wait_until("what waited is sent", || database.in_state("sent") == 3);
        database.accounts("user", 25);
        wait_until("all are sent", || database.in_state("sent") == 28);
        assert_eq!(left_behind(&pooler, &database), [0, 0, 0, 0], "pools of {size}");
        let log = run.stop();
        assert_eq!(log.code, Some(0), "{}", log.log);
        assert_eq!(log.log.matches("transaction pooler").count(), 1, "{}", log.log);
        assert_eq!(log.log.matches("WARN").count(), 0, "{}", log.log);
        let collect = Program::collect(&database)
            .env("MAILROOM_DATABASE_URL", &url)
            .env("MAILROOM_ACK", "sent")
            .window(100)
            .start();
        collect.wait_log("connected");
        database.accounts("more", 2);
        let lines = collect.wait_lines(1);
        let send = Program::send(&endpoint.url())
            .on(&database)
            .env("MAILROOM_DATABASE_URL", &url)
            .env("MAILROOM_ACK", "sent")
            .input(format!("{}\n", lines.join("\n")));
        assert_eq!(send.code, Some(0), "{}", send.log);
        assert_eq!(database.in_state("sent"), 30, "{}", send.log);
        assert_eq!(left_behind(&pooler, &database), [0, 0, 0, 0], "pools of {size}");
        assert_eq!(collect.stop().code, Some(0));
    }
}

#[test]
fn a_pool_of_transactions_is_found_though_another_takes_our_process_for_a_moment() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let (database, pooler) = (Database::migrated(), PgBouncer::start("transaction", 20));
    let url = pooler.url(&database.name);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = crate::support::cluster::connect(&url).unwrap();
            while !done.load(Ordering::Relaxed) {
                client.batch_execute("SELECT pg_sleep(0.001)").unwrap();
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        let target = mailroom::edges::pg::conninfo::parse(&url, &|_| None).unwrap();
        let connect =
            || mailroom::edges::pg::connect(&target, &mailroom::edges::stop::Stop::new()).unwrap();
        let missed: usize =
            (0..500).map(|_| usize::from(!connect().is_pooled_with(&mut connect()).unwrap())).sum();
        done.store(true, Ordering::Relaxed);
        assert_eq!(missed, 0, "of 500");
    });
}

#[test]
fn under_a_limit_of_the_day_it_works_through_a_pool_too() {
    let (database, endpoint) = (Database::migrated(), Endpoint::start());
    let pooler = PgBouncer::start("transaction", 2);
    let run = Program::run(&database, &endpoint.url())
        .env("MAILROOM_DATABASE_URL", pooler.url(&database.name))
        .env("MAILROOM_DAILY_LIMIT", "2")
        .window(100)
        .start();
    run.wait_log("connected");
    database.accounts("user", 3);
    wait_until("two are sent", || database.in_state("sent") == 2);
    assert_eq!(database.in_state("pending"), 1);
    assert_eq!(run.stop().code, Some(0));
}

#[test]
fn whoever_never_notifies_is_found_out_and_can_prepare_a_transaction() {
    let cluster = Cluster::start(&["max_prepared_transactions = 4"]);
    let database = cluster.migrated("mail");
    let role = "ALTER ROLE postgres IN DATABASE mail SET mailroom.notify = 'never'";
    // Somebody sleeps, so an insert would notify, and what notified cannot be prepared.
    let collect = Program::collect(&database).window(100).start();
    collect.wait_log("connected");
    let prepare = "BEGIN; INSERT INTO accounts (email, login) VALUES ('x@example.com', 'x');
                   PREPARE TRANSACTION 'xa'";
    let refused = database.client().batch_execute(prepare).unwrap_err();
    assert_eq!(refused.code(), Some(&postgres::error::SqlState::FEATURE_NOT_SUPPORTED));
    assert_eq!(collect.stop().code, Some(0));
    database.run(role);
    let collect = Program::collect(&database).window(100).healthcheck(3_600_000).start();
    collect.wait_log("mailroom.notify is never: looking every 1000 ms");
    collect.wait_log("connected");
    database.run(prepare);
    database.accounts("user", 1);
    collect.wait_lines(1);
    database.run("COMMIT PREPARED 'xa'");
    assert_eq!(addresses(&collect.wait_lines(2)[1..]), ["x@example.com"]);
    assert_eq!(collect.stop().code, Some(0));
    let checked = Program::new(&["check"]).on(&database).output();
    assert!(checked.out.contains("mailroom.notify is never for postgres"), "{}", checked.out);
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

#[test]
fn each_parameter_of_a_statement_that_may_go_through_a_pool_is_cast() {
    for path in std::fs::read_dir("src/queue/sql").unwrap().map(|entry| entry.unwrap().path()) {
        // Nobody announces themselves there.
        if path.is_dir() || path.ends_with("announce.sql") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let last = (1..30).rev().find(|n| text.contains(&format!("${n}"))).unwrap_or(0);
        for n in 1..=last {
            assert!(text.contains(&format!("${n}::")), "${n} in {}", path.display());
        }
    }
}
