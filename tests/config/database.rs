//! What only the database can tell: named, and fatal at the first connect only.

use super::assert_refused;
use crate::support::cluster::{Cluster, Database, shared};
use crate::support::endpoint::Endpoint;
use crate::support::program::{Finished, Program};
use std::net::TcpListener;

/// `collect`, `run` and an acknowledging `send` on this database.
fn all_three(url: &str) -> Vec<Finished> {
    let endpoint = Endpoint::start();
    let database = Database { name: String::new(), url: url.to_owned() };
    vec![
        Program::collect(&database).output(),
        Program::run(&database, &endpoint.url()).output(),
        Program::send(&endpoint.url())
            .on(&database)
            .env("MAILROOM_ACK", "sent")
            .input(crate::support::records::activations("user", 1)),
    ]
}

#[test]
fn a_queue_that_does_not_exist_is_named() {
    let database = Database::migrated();
    let collect = Program::collect(&database).env("MAILROOM_QUEUE_NAME", "newsletter").output();
    assert_refused(&collect, 78, &["newsletter", "MAILROOM_QUEUE_NAME"]);
}

#[test]
fn a_schema_that_was_not_migrated_is_fatal_with_what_to_do() {
    for finished in all_three(&Database::empty().url) {
        assert_refused(&finished, 78, &["mailroom migrate up"]);
    }
}

#[test]
fn a_missing_grant_is_named() {
    let database = Database::migrated();
    let role = format!("reader_{}", database.name);
    database.run(&format!(
        "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA public TO {role}; \
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}; GRANT UPDATE ON jobs TO {role}; \
         GRANT DELETE ON deliveries TO {role}"
    ));
    let url = database.url.replace("user=postgres", &format!("user={role}"));
    for finished in all_three(&url) {
        assert_refused(&finished, 78, &["UPDATE on deliveries"]);
        assert!(!finished.log.contains("UPDATE on jobs"), "{}", finished.log);
    }
}

#[test]
fn a_database_or_role_that_is_not_there_is_fatal() {
    let url = shared().url("no_such_database");
    assert_refused(&Program::collect(&at(&url)).output(), 78, &["no_such_database"]);
    let url = shared().url("postgres").replace("user=postgres", "user=no_such_role");
    assert_refused(&Program::collect(&at(&url)).output(), 78, &["no_such_role"]);
}

fn at(url: &str) -> Database {
    Database { name: String::new(), url: url.to_owned() }
}

#[test]
fn a_wrong_password_is_fatal_and_not_shown() {
    let cluster = Cluster::start(&[]);
    let hba = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    let mut client = crate::support::cluster::connect(&cluster.url("postgres")).unwrap();
    client.batch_execute("CREATE ROLE mail LOGIN PASSWORD 'right'").unwrap();
    std::fs::write(cluster.dir.join("data/pg_hba.conf"), hba).unwrap();
    cluster.control(&["restart", "-m", "fast"]);
    let url = format!(
        "postgres://mail:wrong%2Dhunter2@127.0.0.1:{}/postgres?sslmode=disable",
        cluster.port
    );
    for finished in all_three(&url) {
        assert_refused(&finished, 78, &["password"]);
        assert!(!finished.log.contains("hunter2"), "{}", finished.log);
    }
}

#[test]
fn a_server_that_is_away_is_waited_for() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let database = at(&format!("host=127.0.0.1 port={port} user=x dbname=x password=hunter2"));
    for program in [Program::collect(&database), Program::run(&database, "http://127.0.0.1:9")] {
        let mut running = program.start();
        running.wait_log_times("connection failed", 3);
        assert!(running.is_running());
        let finished = running.stop();
        assert_eq!(finished.code, Some(0), "{}", finished.log);
        assert!(!finished.log.contains("hunter2"), "{}", finished.log);
    }
    let migrate =
        Program::new(&["migrate", "status"]).env("MAILROOM_DATABASE_URL", &database.url).output();
    assert_refused(&migrate, 69, &[]);
}

#[test]
fn a_connection_string_that_cannot_be_used_is_refused_by_name_and_without_its_password() {
    for url in
        ["host=x nonsense=1 password=hunter2", "postgres://u:hunter2@h/db?gssencmode=require"]
    {
        let finished = Program::collect(&at(url)).output();
        assert_refused(&finished, 78, &["MAILROOM_DATABASE_URL"]);
        assert!(!finished.log.contains("hunter2"), "{}", finished.log);
    }
}
