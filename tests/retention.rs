//! How long settled deliveries are kept.

use crate::support::cluster::{Database, tag};
use crate::support::program::{Program, wait_until};

#[test]
fn without_retention_settled_rows_are_deleted_at_once() {
    let database = Database::migrated();
    let collect = Program::collect(&database).env("MAILROOM_RETENTION", "0").start();
    collect.wait_log("connected");
    database.accounts("user", 25);
    collect.wait_lines(3);
    // The healthcheck is minutes away.
    wait_until("they are gone", || database.number("SELECT count(*) FROM deliveries") == 0);
    assert_eq!(database.number("SELECT count(*) FROM tokens"), 25);
    // What expires is settled too.
    database.run(
        "INSERT INTO accounts (email, login) VALUES ('late@example.com', 'late'); \
         UPDATE tokens SET expires_at = 1 WHERE id = (SELECT max(id) FROM tokens)",
    );
    collect.wait_log("1 expired");
    wait_until("it is gone", || database.number("SELECT count(*) FROM deliveries") == 0);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn tokens_that_are_of_no_more_use_go_with_their_deliveries_once_that_is_asked_for() {
    let database = Database::migrated();
    database.accounts("user", 4);
    let document = include_str!("../docs/SCHEMA.md");
    let enable = "ALTER TABLE deliveries ENABLE TRIGGER after_delivery_deleted;";
    assert!(document.contains(enable), "it says how");
    database.run(enable);
    // Used, expired, still good, and one whose delivery is kept.
    database.run(
        "UPDATE tokens SET consumed_at = extract(epoch FROM now()) WHERE id = 1;
         UPDATE tokens SET expires_at = 1 WHERE id = 2;
         UPDATE deliveries SET state = 'sent', due_at = now() - interval '2 days' WHERE id < 4;
         UPDATE deliveries SET state = 'sent', due_at = now() WHERE id = 4",
    );
    let collect = Program::collect(&database)
        .env("MAILROOM_RETENTION", "1d")
        .env("MAILROOM_HEALTHCHECK_INTERVAL", "300")
        .start();
    wait_until("they are pruned", || database.number("SELECT count(*) FROM deliveries") == 1);
    assert_eq!(database.number("SELECT sum(id)::bigint FROM tokens"), 3 + 4);
    assert_eq!(collect.stop().code, Some(0));
    // The rest goes with its accounts, whichever trigger comes first.
    database.run("DELETE FROM accounts");
    assert_eq!(database.number("SELECT count(*) FROM tokens"), 0);
}

#[test]
fn what_another_queue_keeps_is_not_passed_over() {
    let database = Database::migrated();
    let mut client = database.client();
    client.batch_execute("SET enable_seqscan = off; SET enable_bitmapscan = off").unwrap();
    let sql =
        include_str!("../src/queue/sql/prune.sql").replace("$1", "'mailroom'").replace("$2", "0");
    let rows = client.query(&format!("EXPLAIN {}", sql.replace("$3", "9")), &[]).unwrap();
    let plan: String = rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect();
    let (_, index) = plan.split_once("deliveries_state_idx").expect(&plan);
    let condition = index.lines().find(|line| line.contains("Index Cond:")).expect(&plan);
    assert!(["queue =", "state = ", "due_at"].iter().all(|one| condition.contains(one)), "{plan}");
}

#[test]
fn a_short_retention_prunes_at_the_healthcheck() {
    let database = Database::migrated();
    let collect = Program::collect(&database)
        .env("MAILROOM_RETENTION", "1s")
        .env("MAILROOM_HEALTHCHECK_INTERVAL", "300")
        .start();
    collect.wait_log("connected");
    database.accounts("user", 3);
    collect.wait_lines(1);
    wait_until("they are sent", || database.in_state("sent") == 3);
    wait_until("they are pruned", || database.number("SELECT count(*) FROM deliveries") == 0);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn a_long_retention_spares_what_is_younger_and_what_is_not_settled() {
    let database = Database::migrated();
    database.accounts("user", 4);
    database.run(
        "UPDATE deliveries SET state = 'sent', due_at = now() - interval '31 days' \
          WHERE id = 1; \
         UPDATE deliveries SET state = 'sent', due_at = now() - interval '29 days' \
          WHERE id = 2; \
         UPDATE deliveries SET state = 'failed', due_at = now() - interval '31 days' \
          WHERE id = 3; \
         UPDATE deliveries SET created_at = now() - interval '90 days', \
                due_at = now() + interval '1 hour' WHERE id = 4",
    );
    let collect = Program::collect(&database).env("MAILROOM_HEALTHCHECK_INTERVAL", "300").start();
    wait_until("the old ones are pruned", || {
        database.number("SELECT count(*) FROM deliveries WHERE id IN (1, 3)") == 0
    });
    assert_eq!(database.number("SELECT count(*) FROM deliveries WHERE id IN (2, 4)"), 2);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn for_ever_keeps_all_and_needs_no_right_to_delete() {
    let database = Database::migrated();
    database.accounts("user", 3);
    database.run(
        "UPDATE deliveries SET state = 'sent', due_at = now() - interval '90 years' \
          WHERE id < 3",
    );
    let role = format!("clerk_{}", database.name);
    database.run(&format!(
        "CREATE ROLE {role} LOGIN; \
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}; \
         GRANT SELECT ON tokens_id_seq TO {role}; \
         GRANT EXECUTE ON FUNCTION enqueue_issue TO {role}; \
         GRANT UPDATE ON deliveries, jobs TO {role}; \
         GRANT INSERT, UPDATE, DELETE ON tallies TO {role}"
    ));
    let url = database.url.replace("user=postgres", &format!("user={role}"));
    let clerk = || Program::collect(&database).env("MAILROOM_DATABASE_URL", &url);
    let refused = clerk().env("MAILROOM_RETENTION", "30d").output();
    assert_eq!(refused.code, Some(78));
    assert!(refused.log.contains("DELETE on deliveries"), "{}", refused.log);
    let collect = clerk()
        .env("MAILROOM_RETENTION", "forever")
        .env("MAILROOM_HEALTHCHECK_INTERVAL", "300")
        .start();
    collect.wait_lines(1);
    wait_until("it is sent", || database.in_state("sent") == 3);
    // Each healthcheck ends with a look; nothing else happens any more.
    let mut client = database.client();
    let mut looks = std::collections::BTreeSet::new();
    let sql = format!(
        "SELECT query_start::text FROM pg_stat_activity \
          WHERE datname = current_database() AND application_name LIKE 'mailroom%' \
            AND state = 'idle' AND starts_with(query, '{}')",
        tag("look")
    );
    wait_until("three healthchecks are over", || {
        looks.extend(client.query(&sql, &[]).unwrap().iter().map(|row| row.get::<_, String>(0)));
        looks.len() > 3
    });
    assert_eq!(database.number("SELECT count(*) FROM deliveries"), 3);
    assert_eq!(collect.stop().code, Some(0));
    database.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}
