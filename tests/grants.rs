//! Least privilege: what a collector's role may do, and that it may do nothing else.

use crate::support::cluster::{Database, connect};
use crate::support::endpoint::Endpoint;
use crate::support::program::{Program, wait_until};
use mailroom::queue::grants;
use mailroom::queue::grants::{APPLICATION, COLLECTOR, LISTS, OPERATOR};
use postgres::error::SqlState;

use std::time::Duration;

/// A new role, given what `mailroom migrate grants` gives; its name and connection string.
fn role(database: &Database, words: &[&str]) -> (String, String) {
    let name = format!("Clerk {}", database.name);
    database.run(&format!("CREATE ROLE \"{name}\" LOGIN"));
    let words = [&["migrate", "grants", &name], words].concat();
    let finished = Program::new(&words).on(database).output();
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    for line in finished.out.lines() {
        assert!(
            line.starts_with("GRANT ") && line.ends_with(&format!(" TO \"{name}\";")),
            "{line}"
        );
    }
    let url = database.url.replace("user=postgres", &format!("user='{name}'"));
    (name, url)
}

fn gone(database: &Database, name: &str) {
    database.run(&format!("DROP OWNED BY \"{name}\"; DROP ROLE \"{name}\""));
}

#[test]
fn every_daemon_command_runs_with_the_collectors_rights() {
    let database = Database::migrated();
    let (name, url) = role(&database, &[]);
    let as_clerk = |program: Program| program.env("MAILROOM_DATABASE_URL", &url);
    // collect: claim, settle, rescue, expire, prune, record, fold.
    database.accounts("user", 12);
    database.run(
        "UPDATE deliveries SET state = 'leased', lease = 'x', due_at = now() WHERE id = 2;
         UPDATE tokens SET expires_at = 1 WHERE id = 3;
         UPDATE deliveries SET state = 'sent', due_at = now() - interval '60 days'
          WHERE id = 4;
         INSERT INTO tallies VALUES ('mailroom', now() - interval '2 days', 0, 1)",
    );
    let quick = |program: Program| program.env("MAILROOM_HEALTHCHECK_INTERVAL", "300");
    let collect = quick(as_clerk(Program::collect(&database))).start();
    wait_until("the queue is worked off", || {
        database.in_state("sent") == 10 && database.in_state("expired") == 1
    });
    wait_until("old rows are gone", || {
        database.number("SELECT count(*) FROM deliveries WHERE id = 4") == 0
            && database.number("SELECT count(*) FROM tallies WHERE minute = '-infinity'") == 1
            && database.number("SELECT last_seq FROM jobs") == 12
    });
    let health = as_clerk(Program::new(&["health"])).output();
    assert_eq!(health.code, Some(0), "{}", health.log);
    let status = as_clerk(Program::new(&["status", "--json"])).output();
    assert_eq!(status.code, Some(0), "{}", status.log);
    assert!(status.out.contains("\"listeners\":1"), "{}", status.out);
    let finished = collect.stop();
    assert_eq!(finished.code, Some(0));
    assert!(!finished.log.contains("WARN") && !finished.log.contains("ERROR"), "{}", finished.log);
    // run, and collect with send settling in the database.
    let provider = Endpoint::start();
    database.accounts("more", 3);
    let run = quick(as_clerk(Program::run(&database, &provider.url()))).start();
    provider.wait_for(3, Duration::from_secs(20));
    wait_until("they are settled", || database.in_state("sent") == 13);
    assert_eq!(run.stop().code, Some(0));
    let ack = |program: Program| as_clerk(program).env("MAILROOM_ACK", "sent");
    database.accounts("last", 2);
    let collect = ack(Program::collect(&database)).start();
    let line = collect.wait_lines(1).join("\n") + "\n";
    assert_eq!(collect.stop().code, Some(0));
    let send = ack(Program::send(&provider.url()).on(&database)).input(line);
    assert_eq!(send.code, Some(0), "{}", send.log);
    assert_eq!(database.in_state("sent"), 15);
    // What people do with deliveries needs no more; a pause does, and says which.
    for words in [&["queue", "list"][..], &["queue", "show", "1"], &["queue", "retry", "--all"]] {
        let finished = as_clerk(Program::new(words)).output();
        assert_eq!(finished.code, Some(0), "{}", finished.log);
    }
    let pause = as_clerk(Program::new(&["queue", "pause"])).output();
    assert_eq!(pause.code, Some(78));
    assert!(pause.log.contains("migrate grants ROLE --operator"), "{}", pause.log);
    gone(&database, &name);
}

#[test]
fn an_operator_may_pause_too() {
    let database = Database::migrated();
    let (name, url) = role(&database, &["--operator"]);
    for word in ["pause", "resume"] {
        let program = Program::new(&["queue", word]).env("MAILROOM_DATABASE_URL", &url);
        let finished = program.output();
        assert_eq!(finished.code, Some(0), "{}", finished.log);
    }
    gone(&database, &name);
}

#[test]
fn an_operator_may_do_so_where_nobody_may_call_a_new_function() {
    let database = Database::empty();
    database.run("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC");
    let migrated = Program::new(&["migrate", "up"]).on(&database).output();
    assert_eq!(migrated.code, Some(0), "{}", migrated.log);
    database.run(
        "INSERT INTO lists (list, unsubscribe) VALUES ('news', 'https://example.com/u?token=');
         INSERT INTO subscribers (list, address, how) VALUES ('news', 'a@example.com', 'import')",
    );
    let (name, url) = role(&database, &["--operator"]);
    let sql = "UPDATE subscribers SET state = 'suppressed', changed_at = now(), how = 'complaint'";
    connect(&url).unwrap().batch_execute(sql).unwrap();
    gone(&database, &name);
}

#[test]
fn an_application_without_a_right_on_any_table_can_send_and_do_nothing_else() {
    let database = Database::migrated();
    let (name, url) = role(&database, &["--application"]);
    let mut client = crate::support::cluster::connect(&url).unwrap();
    let send = "SELECT send_mail('password_recovery', 'ann@example.com', subject => '7')";
    let id: i64 = client.query_one(send, &[]).unwrap().get(0);
    assert_eq!(database.in_state("pending"), 1);
    let tables = "SELECT relname::text FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
    let tables = client.query(tables, &[]).unwrap();
    assert!(tables.len() >= 6);
    let mut refused = |sql: &str| {
        let error = client.batch_execute(sql).expect_err(sql);
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}: {error}");
    };
    for table in &tables {
        let table: String = table.get(0);
        refused(&format!("SELECT FROM {table}"));
        refused(&format!("INSERT INTO {table} DEFAULT VALUES"));
        refused(&format!("DELETE FROM {table}"));
        refused(&format!("TRUNCATE {table}"));
    }
    refused("SELECT FROM mails");
    refused("SELECT nextval('tokens_id_seq')");
    refused("SELECT limit_lock('ann@example.com')");
    assert_eq!(database.number("SELECT id FROM deliveries"), id);
    let both = Program::new(&["migrate", "grants", &name, "--operator", "--application"]);
    assert_eq!(both.on(&database).output().code, Some(64));
    gone(&database, &name);
}

#[test]
fn every_other_write_is_refused() {
    let database = Database::migrated();
    database.accounts("user", 2);
    let (name, url) = role(&database, &[]);
    let mut client = crate::support::cluster::connect(&url).unwrap();
    let mut refused = |sql: &str| {
        let error = client.batch_execute(sql).expect_err(sql);
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}: {error}");
    };
    // Whatever column, table and verb is not in the list.
    let mut columns = database.client();
    let columns = columns
        .query(
            "SELECT c.relname::text, a.attname::text FROM pg_class c
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
              WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace",
            &[],
        )
        .unwrap();
    assert!(columns.len() > 30);
    let may = |verb: &str, table: &str, column: &str| {
        COLLECTOR.iter().any(|grant| {
            grant.privilege == verb
                && grant.table == table
                && (grant.columns.is_empty() || grant.columns.contains(&column))
        })
    };
    for row in &columns {
        let (table, column): (String, String) = (row.get(0), row.get(1));
        if !may("UPDATE", &table, &column) {
            refused(&format!("UPDATE {table} SET {column} = {column}"));
        }
        if !may("SELECT", &table, &column) {
            refused(&format!("SELECT {column} FROM {table}"));
        }
    }
    for table in ["accounts", "tokens", "kinds", "deliveries", "jobs", "schema_migrations"] {
        refused(&format!("INSERT INTO {table} DEFAULT VALUES"));
        refused(&format!("TRUNCATE {table} CASCADE"));
        if table != "deliveries" {
            refused(&format!("DELETE FROM {table}"));
        }
    }
    refused("TRUNCATE tallies");
    refused("SELECT nextval('tokens_id_seq')");
    refused(
        "CREATE TRIGGER t AFTER INSERT ON deliveries EXECUTE FUNCTION trg_after_token_inserted()",
    );
    refused("SET ROLE postgres");
    gone(&database, &name);
}

#[test]
fn each_right_that_is_missing_is_named_and_the_list_is_as_short_as_it_can_be() {
    let database = Database::migrated();
    let (name, url) = role(&database, &[]);
    let mut client = crate::support::cluster::connect(&url).unwrap();
    let mut missing = || grants::missing(&mut client, true).unwrap();
    assert_eq!(missing(), Vec::<String>::new());
    for grant in COLLECTOR {
        let (privilege, table) = (grant.privilege, grant.table);
        let columns = match grant.columns {
            [] => String::new(),
            columns => format!("({})", columns.join(", ")),
        };
        let what = if privilege == "EXECUTE" { "FUNCTION " } else { "" };
        let give = format!("{privilege} {columns} ON {what}{table}");
        database.run(&format!("REVOKE {give} FROM \"{name}\""));
        assert_eq!(missing(), [format!("{privilege} on {table}")]);
        database.run(&format!("GRANT {give} TO \"{name}\""));
    }
    database.run(&format!("REVOKE UPDATE (error, lease) ON deliveries FROM \"{name}\""));
    assert_eq!(missing(), ["UPDATE (lease, error) on deliveries"]);
    let collect = Program::collect(&database).env("MAILROOM_DATABASE_URL", &url).output();
    assert_eq!(collect.code, Some(78));
    for words in ["UPDATE (lease, error) on deliveries", "mailroom migrate grants ROLE"] {
        assert!(collect.log.contains(words), "{}", collect.log);
    }
    gone(&database, &name);
}

#[test]
fn a_role_that_is_not_there_and_a_stranger_who_gives_are_told() {
    let database = Database::migrated();
    let finished = Program::new(&["migrate", "grants", "nobody_at_all"]).on(&database).output();
    assert_eq!(finished.code, Some(78));
    assert!(finished.log.contains("no role \"nobody_at_all\""), "{}", finished.log);
    // PostgreSQL only warns when somebody grants what is not theirs to grant.
    let (name, url) = role(&database, &["--operator"]);
    let friend = format!("friend_{}", database.name);
    database.run(&format!("CREATE ROLE {friend}"));
    let program = Program::new(&["migrate", "grants", &friend]);
    let finished = program.env("MAILROOM_DATABASE_URL", &url).output();
    assert_eq!((finished.code, finished.out.as_str()), (Some(78), ""), "{}", finished.log);
    assert!(
        finished.log.contains("owner of the tables") || finished.log.contains("permission denied"),
        "{}",
        finished.log
    );
    gone(&database, &name);
    gone(&database, &friend);
}

#[test]
fn the_document_gives_the_same_rights() {
    let document = include_str!("../docs/SCHEMA.md");
    for grant in COLLECTOR.iter().chain(OPERATOR).chain(APPLICATION).chain(LISTS) {
        let columns = match grant.columns {
            [] => String::new(),
            columns => format!(" ({})", columns.join(", ")),
        };
        let what = if grant.privilege == "EXECUTE" { "FUNCTION " } else { "" };
        let line = format!("GRANT {}{columns} ON {what}{} TO ", grant.privilege, grant.table);
        assert!(document.contains(&line), "docs/SCHEMA.md does not have: {line}");
    }
}

#[test]
fn a_role_that_may_not_look_into_the_schema_is_told_what_to_grant() {
    let database = Database::migrated();
    let (name, url) = role(&database, &[]);
    database.run("REVOKE USAGE ON SCHEMA public FROM PUBLIC");
    database.run(&format!("REVOKE USAGE ON SCHEMA public FROM \"{name}\""));
    let status = Program::new(&["status"]).env("MAILROOM_DATABASE_URL", &url).output();
    assert_eq!(status.code, Some(78));
    let grant = format!("GRANT USAGE ON SCHEMA public TO \"{name}\"");
    assert!(status.log.contains(&grant), "{}", status.log);
    database.run(&grant);
    let status = Program::new(&["status"]).env("MAILROOM_DATABASE_URL", &url).output();
    assert_eq!(status.code, Some(0), "{}", status.log);
    gone(&database, &name);
}
