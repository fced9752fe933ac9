//! What the tables, defaults and triggers promise, without the program.

use crate::support::cluster::Database;
use crate::support::program::wait_until;
use fallible_iterator::FallibleIterator as _;
use postgres::Client;
use std::time::Duration;

/// A connection as a new role that may do nothing but what `grants` say; `{}` in them is the role.
fn role(database: &Database, grants: &str) -> (String, Client) {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let name = format!("role_{}_{}", database.name, NEXT.fetch_add(1, Ordering::Relaxed));
    database.run(&format!("CREATE ROLE {name} LOGIN; {}", grants.replace("{}", &name)));
    let url = database.url.replace("user=postgres", &format!("user={name}"));
    (name, crate::support::cluster::connect(&url).unwrap())
}

/// Somebody who sleeps: else nobody is notified. Not a connection that inserts, for nobody is in their
/// own way.
fn sleeper(database: &Database) -> Client {
    let mut client = database.client();
    let sql = "SELECT pg_advisory_lock_shared(1835100527, hashenum('mailroom'::job_type))";
    client.execute(sql, &[]).unwrap();
    client
}

/// The channels of the notifications that `client` got, up to now.
fn notifications(client: &mut Client) -> Vec<String> {
    client.batch_execute("LISTEN sentinel; NOTIFY sentinel").unwrap();
    let mut channels = Vec::new();
    let mut waiting = client.notifications();
    let mut waiting = waiting.timeout_iter(Duration::from_secs(20));
    loop {
        let notification = waiting.next().unwrap().expect("the sentinel arrives");
        if notification.channel() == "sentinel" {
            return channels;
        }
        assert_eq!(notification.payload(), "");
        channels.push(notification.channel().to_owned());
    }
}

fn text(client: &mut Client, sql: &str) -> String {
    client.query_one(sql, &[]).unwrap().get(0)
}

fn default_of(client: &mut Client, column: &str) -> String {
    let sql = format!(
        "SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d JOIN pg_attribute a
            ON a.attrelid = d.adrelid AND a.attnum = d.adnum
         WHERE a.attrelid = 'tokens'::regclass AND a.attname = '{column}'"
    );
    text(client, &sql)
}

const ACCOUNT: &str = "INSERT INTO accounts (email, login) VALUES ('a@example.com', 'a')";

#[test]
fn a_million_codes_are_five_digits_and_evenly_spread() {
    let database = Database::migrated();
    let mut client = database.client();
    let code = default_of(&mut client, "code");
    let sql = format!(
        "WITH codes AS MATERIALIZED (
            SELECT code, count(*) AS n FROM (SELECT {code} AS code FROM generate_series(1, 1000000)) x
            GROUP BY code
         ),
         tens AS (SELECT left(code, 2) AS start, sum(n)::bigint AS n FROM codes GROUP BY 1)
         SELECT (SELECT sum(n)::bigint FROM codes WHERE code ~ '^[0-9]{{5}}$'),
                (SELECT count(*) FROM codes),
                (SELECT count(*) FROM tens), (SELECT min(n) FROM tens), (SELECT max(n) FROM tens),
                (SELECT (sum(code::int * n) / 1000000)::bigint FROM codes)"
    );
    let row = client.query_one(&sql, &[]).unwrap();
    let number = |at: usize| row.get::<_, i64>(at);
    assert_eq!(number(0), 1_000_000, "all match ^[0-9]{{5}}$");
    // Each of 100000 is missed by a million draws with a chance of e^-10: about 4.5 are.
    assert!(number(1) > 99_950, "{} of 100000 codes occurred", number(1));
    // 10000 expected for each first pair of digits, with a standard deviation of 100.
    assert_eq!(number(2), 100);
    assert!(number(3) > 9_200 && number(4) < 10_800, "{} to {}", number(3), number(4));
    // 49999.5 expected, with a standard deviation of 29.
    assert!((number(5) - 50_000).abs() < 250, "the mean is {}", number(5));
}

#[test]
fn secrets_are_32_bytes_and_never_twice_the_same() {
    let database = Database::migrated();
    let secret = default_of(&mut database.client(), "secret");
    let sql = format!(
        "SELECT count(DISTINCT s) FROM (SELECT {secret} AS s FROM generate_series(1, 20000)) x
         WHERE length(s) = 32"
    );
    assert_eq!(database.number(&sql), 20_000);
}

#[test]
fn a_transaction_notifies_once_and_again_if_that_was_rolled_back() {
    let database = Database::migrated();
    let _sleeper = sleeper(&database);
    let mut client = database.client();
    client.batch_execute("LISTEN token_insert").unwrap();
    let mail = "SELECT send_mail('activation', 'a@example.com')";
    let setting = "current_setting('mailroom.notified', true)";
    let rolled_back = format!("SAVEPOINT s; {mail}; ROLLBACK TO s");
    client.batch_execute(&format!("BEGIN; {rolled_back}; COMMIT")).unwrap();
    assert_eq!(notifications(&mut client), [""; 0], "nothing is there");
    client.batch_execute(&format!("BEGIN; {rolled_back}; {mail}; {mail}")).unwrap();
    assert_eq!(text(&mut client, &format!("SELECT {setting}")), "yes");
    client.batch_execute("COMMIT").unwrap();
    assert_eq!(text(&mut client, &format!("SELECT {setting}")), "");
    assert_eq!(notifications(&mut client), ["token_insert"]);
    client.batch_execute(mail).unwrap();
    assert_eq!(notifications(&mut client), ["token_insert"]);
}

#[test]
fn on_conflict_do_nothing_makes_a_token_only_for_a_new_account() {
    let database = Database::migrated();
    let _sleeper = sleeper(&database);
    let mut client = database.client();
    client.batch_execute("LISTEN token_insert").unwrap();
    let insert = format!("{ACCOUNT} ON CONFLICT DO NOTHING");
    client.batch_execute(&insert).unwrap();
    client.batch_execute(&insert).unwrap();
    assert_eq!(database.number("SELECT count(*) FROM tokens"), 1);
    assert_eq!(notifications(&mut client).len(), 1, "nothing new, nobody woken");
    database.run("INSERT INTO accounts (email, login, status) VALUES ('b@b.c', 'b', 'active')");
    assert_eq!(database.number("SELECT count(*) FROM tokens"), 1, "an active account needs none");
}

#[test]
fn a_statement_makes_one_delivery_a_token_and_one_notification() {
    let database = Database::migrated();
    let _sleeper = sleeper(&database);
    let mut client = database.client();
    client.batch_execute("LISTEN token_insert; SET track_functions = 'pl'; BEGIN").unwrap();
    client
        .batch_execute(
            "INSERT INTO accounts (email, login)
             SELECT 'u' || n || '@example.com', 'u' || n FROM generate_series(1, 1000) n",
        )
        .unwrap();
    // A transaction folds equal notifications, so the calls are counted too.
    let calls = "SELECT calls FROM pg_stat_xact_user_functions
                 WHERE funcname = 'trg_after_token_inserted'";
    let calls: i64 = client.query_one(calls, &[]).unwrap().get(0);
    assert_eq!(calls, 1);
    client.batch_execute("COMMIT").unwrap();
    assert_eq!(notifications(&mut client), ["token_insert"]);
    let fitting = "SELECT count(*) FROM deliveries d JOIN tokens t ON t.id = d.id
        WHERE d.state = 'pending' AND d.priority = 20 AND d.queue = 'mailroom' AND d.attempts = 0
            AND d.due_at <= now() AND d.lease IS NULL";
    assert_eq!(database.number(fitting), 1000);
    assert_eq!(database.number("SELECT count(*) FROM deliveries"), 1000);
    client
        .batch_execute("INSERT INTO tokens (account, action) VALUES (1, 'password_recovery')")
        .unwrap();
    assert_eq!(database.number("SELECT priority::bigint FROM deliveries WHERE id = 1001"), 10);
}

#[test]
fn the_channel_is_a_setting_of_the_database() {
    let database = Database::migrated();
    let _sleeper = sleeper(&database);
    let long = "é".repeat(40);
    let name = &database.name;
    for (channel, listen) in
        [("other mail", "other mail"), ("", "token_insert"), (long.as_str(), long.as_str())]
    {
        database.run(&format!("ALTER DATABASE {name} SET mailroom.channel = '{channel}'"));
        let mut client = database.client();
        client.batch_execute(&format!("LISTEN \"{listen}\"")).unwrap();
        let cut = text(&mut client, &format!("SELECT '{listen}'::name::text"));
        client.batch_execute(&format!("BEGIN; {ACCOUNT}; DELETE FROM accounts; COMMIT")).unwrap();
        assert_eq!(notifications(&mut client), [cut]);
    }
}

#[test]
fn an_unsuspended_account_gets_a_fresh_token_only_if_it_has_no_live_one() {
    let database = Database::migrated();
    let suspend = |status: &str| {
        database.run("UPDATE accounts SET status = 'suspended'");
        database.run(&format!("UPDATE accounts SET status = '{status}'"));
        database.number("SELECT count(*) FROM tokens")
    };
    database.run(ACCOUNT);
    assert_eq!(suspend("active"), 1, "the first one still lives");
    database.run("UPDATE tokens SET expires_at = 1");
    assert_eq!(suspend("active"), 2, "the first one is dead");
    assert_eq!(database.number("SELECT count(*) FROM accounts WHERE status = 'provisioned'"), 1);
    assert_eq!(database.number("SELECT count(*) FROM deliveries WHERE state = 'pending'"), 2);
    database.run("UPDATE tokens SET expires_at = 1");
    assert_eq!(suspend("provisioned"), 3, "whatever word was used");
    database.run("UPDATE tokens SET consumed_at = 1 WHERE id = 3");
    assert_eq!(database.number("SELECT count(*) FROM accounts WHERE status = 'active'"), 1);
    assert_eq!(suspend("active"), 3, "an activated account needs no activation");
    let dated = "SELECT count(*) FROM accounts WHERE status = 'active' AND suspended_at IS NULL
        AND unsuspended_at IS NOT NULL AND activated_at IS NOT NULL";
    assert_eq!(database.number(dated), 1);
}

#[test]
fn a_status_that_fits_makes_what_waited_due_and_wakes_the_collector() {
    let database = Database::migrated();
    database.run(ACCOUNT);
    database.run(
        "INSERT INTO tokens (account, action) VALUES (1, 'password_recovery');
         UPDATE accounts SET status = 'suspended';
         UPDATE deliveries SET due_at = now() + interval '1 hour'",
    );
    let due = "SELECT coalesce(sum(id), 0)::bigint FROM deliveries WHERE due_at <= now()";
    let mut client = database.client();
    client.batch_execute("LISTEN token_insert").unwrap();
    client.batch_execute("UPDATE accounts SET status = 'active'").unwrap();
    assert_eq!(database.number(due), 1, "the activation fits, the recovery does not yet");
    assert_eq!(notifications(&mut client).len(), 1);
    database.run("UPDATE deliveries SET due_at = now() + interval '1 hour'");
    database.run("UPDATE tokens SET consumed_at = 1 WHERE id = 1");
    assert_eq!(database.number(due), 2, "now the recovery fits");
    assert_eq!(notifications(&mut client).len(), 1);
    client.batch_execute("UPDATE accounts SET status = 'suspended'").unwrap();
    client.batch_execute("UPDATE accounts SET login = 'b', status = 'suspended'").unwrap();
    assert!(notifications(&mut client).is_empty(), "nothing fits, nobody is woken");
    database.run(
        "UPDATE deliveries SET state = 'failed', due_at = now() WHERE id = 2;
         UPDATE deliveries SET due_at = now() + interval '1 hour';
         UPDATE accounts SET status = 'active'",
    );
    assert_eq!(database.number(due), 0, "what is settled stays as it is");
}

#[test]
fn a_claim_that_puts_a_row_off_does_not_win_over_a_change_of_status_meanwhile() {
    let database = Database::migrated();
    database.run(ACCOUNT);
    database.run("UPDATE accounts SET status = 'suspended'");
    let mut claim = database.client();
    claim.batch_execute("BEGIN; SELECT FROM deliveries FOR UPDATE SKIP LOCKED").unwrap();
    let mut client = database.client();
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    let change = std::thread::spawn(move || {
        client.batch_execute("UPDATE accounts SET status = 'active'").unwrap();
    });
    let waits = format!("SELECT cardinality(pg_blocking_pids({pid}))::bigint");
    wait_until("the change waits", || database.number(&waits) > 0);
    let put_off = "UPDATE deliveries SET due_at = now() + interval '1 hour'; COMMIT";
    claim.batch_execute(put_off).unwrap();
    change.join().unwrap();
    assert_eq!(database.number("SELECT count(*) FROM deliveries WHERE due_at <= now()"), 1);
}

#[test]
fn a_claim_that_does_not_see_a_change_of_status_yet_leaves_the_row_due() {
    let database = Database::migrated();
    database.run(ACCOUNT);
    database.run("UPDATE accounts SET status = 'suspended'");
    let (mut gate, mut change, mut client) =
        (database.client(), database.client(), database.client());
    gate.batch_execute("SELECT pg_advisory_lock(1)").unwrap();
    // Its now() is before that of the claim.
    change.batch_execute("BEGIN").unwrap();
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    // As it stands, but its snapshot is taken a while before its locks.
    let sql = include_str!("../src/queue/sql/turn.sql");
    let held = sql.replace(
        "SELECT paused_at FROM jobs",
        "SELECT paused_at FROM pg_advisory_xact_lock(1), jobs",
    );
    assert_ne!(held, sql);
    let claim = std::thread::spawn(move || {
        let statement = client.prepare(&held).unwrap();
        let (none, ids): (&[&str], &[i64]) = (&[], &[]);
        let (delays, counted): (&[f64], &[bool]) = (&[], &[]);
        let rows = client.query(
            &statement,
            &[
                &"mailroom",
                &9i64,
                &1i64,
                &"x",
                &60f64,
                &none,
                &30f64,
                &9i64,
                &"{20}",
                &"{-infinity}",
                &"mail",
                &ids,
                &none,
                &none,
                &none,
                &none,
                &delays,
                &counted,
                &false,
                &false,
                &None::<i16>,
                &9i64,
            ],
        );
        rows.unwrap()[0].get::<_, i64>("passed")
    });
    wait_until("the claim has begun", || {
        let waits = format!("SELECT cardinality(pg_blocking_pids({pid}))::bigint");
        database.number(&waits) == 1
    });
    change.batch_execute("UPDATE accounts SET status = 'active'; COMMIT").unwrap();
    gate.batch_execute("SELECT pg_advisory_unlock(1)").unwrap();
    assert_eq!(claim.join().unwrap(), 0);
    let due = "SELECT count(*) FROM deliveries WHERE due_at <= now() AND error IS NULL";
    assert_eq!(database.number(due), 1);
}

#[test]
fn a_row_of_kinds_that_fits_makes_what_waited_due_and_wakes_the_collector() {
    let database = Database::migrated();
    database.run("ALTER TYPE token_action ADD VALUE 'goodbye'");
    database.run(ACCOUNT);
    database.run(
        "INSERT INTO tokens (account, action) VALUES (1, 'goodbye');
         UPDATE deliveries SET due_at = now() + interval '1 hour', cause = 'ineligible'",
    );
    let due = "SELECT coalesce(sum(id), 0)::bigint FROM deliveries WHERE due_at <= now()";
    let mut client = database.client();
    client.batch_execute("LISTEN token_insert").unwrap();
    client
        .batch_execute(
            "INSERT INTO kinds (kind, number, path, account_status)
             VALUES ('goodbye', 3, '/goodbye', '{suspended}')",
        )
        .unwrap();
    assert_eq!(database.number(due), 2, "that of the action, and no other");
    assert_eq!(notifications(&mut client).len(), 1);
    database.run("UPDATE deliveries SET due_at = now() + interval '1 hour', cause = 'ineligible'");
    client.batch_execute("UPDATE kinds SET priority = 7").unwrap();
    client.batch_execute("UPDATE kinds SET account_status = account_status").unwrap();
    assert!(notifications(&mut client).is_empty(), "nothing fits better than before");
    client.batch_execute("UPDATE kinds SET account_status = '{active,provisioned}'").unwrap();
    assert_eq!(database.number(due), 3);
    assert_eq!(notifications(&mut client).len(), 1, "of one transaction, all are one");
}

#[test]
fn a_third_kind_of_mail_is_an_enum_value_and_a_row() {
    let database = Database::migrated();
    database.run("ALTER TYPE token_action ADD VALUE 'goodbye'");
    database.run("ALTER TYPE job_type ADD VALUE 'slow'");
    database.run(ACCOUNT);
    database.run("INSERT INTO tokens (account, action) VALUES (1, 'goodbye')");
    database.run(
        "INSERT INTO kinds (kind, number, path, account_status, priority, queue)
            VALUES ('goodbye', 3, '/goodbye', '{suspended}', 70, 'slow');
         INSERT INTO tokens (account, action) VALUES (1, 'goodbye')",
    );
    let mut client = database.client();
    let sql = "SELECT string_agg(concat_ws(':', id, queue, priority, state), ' ' ORDER BY id)
               FROM deliveries WHERE id > 1";
    let found = text(&mut client, sql);
    assert_eq!(found, "2:mailroom:50:pending 3:slow:70:pending", "unknown first, then by its row");
    database.run("UPDATE deliveries SET due_at = now() + interval '1 hour'");
    database.run("UPDATE accounts SET status = 'suspended'");
    let due = "SELECT count(*) FROM deliveries WHERE due_at <= now()";
    assert_eq!(database.number(due), 2, "its own status makes it due");
    for bad in ["4, '', '{active}'", "0, '/x', '{active}'", "3, '/x', '{active}'", "4, '/x', '{}'"]
    {
        let sql = format!(
            "DELETE FROM kinds WHERE number = 1;
             INSERT INTO kinds (kind, number, path, account_status) VALUES ('activation', {bad})"
        );
        client.batch_execute(&sql).expect_err(bad);
    }
}

#[test]
fn a_role_that_may_add_accounts_and_tokens_needs_no_other_right() {
    let database = Database::migrated();
    let (_, mut client) = role(
        &database,
        "GRANT INSERT, SELECT, UPDATE ON accounts TO {}; GRANT INSERT ON tokens TO {};
         GRANT USAGE ON accounts_id_seq, tokens_id_seq TO {}",
    );
    client.batch_execute(ACCOUNT).unwrap();
    client.batch_execute("UPDATE accounts SET status = 'suspended'").unwrap();
    database.run("UPDATE tokens SET expires_at = 1");
    client.batch_execute("UPDATE accounts SET status = 'active'").unwrap();
    client
        .batch_execute("INSERT INTO tokens (account, action) VALUES (1, 'password_recovery')")
        .unwrap();
    assert_eq!(database.number("SELECT count(*) FROM deliveries"), 3);
    client.batch_execute("SELECT FROM deliveries").expect_err("it may not read them");
}

#[test]
fn a_temporary_table_or_another_search_path_cannot_take_a_delivery() {
    let database = Database::migrated();
    let (_, mut client) = role(
        &database,
        "GRANT INSERT ON accounts TO {}; \
        GRANT USAGE ON accounts_id_seq TO {}",
    );
    client
        .batch_execute(
            "CREATE TEMP TABLE deliveries (id bigint, kind text, queue text, priority int);
             CREATE TEMP TABLE kinds (kind text, queue text, priority int);
             CREATE TEMP TABLE tokens (id bigint, account bigint, action text);
             SET search_path = pg_temp;
             INSERT INTO public.accounts (email, login) VALUES ('a@example.com', 'a')",
        )
        .unwrap();
    assert_eq!(database.number("SELECT count(*) FROM deliveries JOIN tokens USING (id)"), 1);
    let taken = "SELECT (SELECT count(*) FROM deliveries) + (SELECT count(*) FROM tokens)";
    let taken: i64 = client.query_one(taken, &[]).unwrap().get(0);
    assert_eq!(taken, 0);
}

#[test]
fn a_stranger_cannot_hang_the_owners_functions_on_a_table_of_their_own() {
    let database = Database::migrated();
    let (_, mut client) = role(&database, "CREATE SCHEMA mine AUTHORIZATION {}");
    client.batch_execute("CREATE TABLE mine.bait (id bigint, action public.token_action)").unwrap();
    let error = client
        .batch_execute(
            "CREATE TRIGGER hook AFTER INSERT ON mine.bait REFERENCING NEW TABLE AS inserted
             FOR EACH STATEMENT EXECUTE FUNCTION public.trg_after_token_inserted()",
        )
        .unwrap_err();
    assert_eq!(error.code(), Some(&postgres::error::SqlState::INSUFFICIENT_PRIVILEGE));
}

#[test]
fn moments_beyond_2038_are_kept() {
    let database = Database::migrated();
    database.run(
        "INSERT INTO accounts (email, login, created_at, status_changed_at, activated_at,
            suspended_at, unsuspended_at)
         VALUES ('a@example.com', 'a', 4102444800, 4102444801, 4102444802, 4102444803, 4102444804);
         UPDATE tokens SET expires_at = 4102444800, created_at = 4102444800,
            consumed_at = 4102444800",
    );
    assert_eq!(database.number("SELECT min(expires_at) FROM tokens"), 4_102_444_800);
    assert_eq!(database.number("SELECT unsuspended_at FROM accounts"), 4_102_444_804);
    // Milliseconds; and a number that to_timestamp() refuses, which would stop every claim.
    for bad in [4_102_444_800_000_i64, i64::MAX, i64::MIN] {
        let sql = format!("UPDATE tokens SET expires_at = {bad}");
        let error = database.client().batch_execute(&sql).unwrap_err();
        assert_eq!(error.code(), Some(&postgres::error::SqlState::CHECK_VIOLATION), "{bad}");
    }
}

#[test]
fn the_states_of_a_delivery_are_held_to_their_columns() {
    let database = Database::migrated();
    database.run(ACCOUNT);
    let mut client = database.client();
    for bad in [
        "state = 'leased'",
        "lease = 'x'",
        "state = 'sent', lease = 'x'",
        "attempts = -1",
        "due_at = 'infinity'",
        "created_at = '-infinity'",
        "expires_at = 'infinity'",
    ] {
        let error = client.batch_execute(&format!("UPDATE deliveries SET {bad}")).expect_err(bad);
        assert_eq!(error.code(), Some(&postgres::error::SqlState::CHECK_VIOLATION), "{bad}");
    }
    database.run("DELETE FROM accounts");
    assert_eq!(database.number("SELECT count(*) FROM deliveries"), 0, "gone with the account");
}

#[test]
fn the_sql_of_the_schema_document_runs_as_it_stands() {
    let document = include_str!("../docs/SCHEMA.md");
    let database = Database::migrated();
    let mut client = database.client();
    let mut blocks = 0;
    for part in document.split("```sql\n").skip(1) {
        let (sql, _) = part.split_once("```").expect("the block is closed");
        client.batch_execute(sql).unwrap_or_else(|error| panic!("{error:?} in:\n{sql}"));
        blocks += 1;
    }
    assert!(blocks >= 5, "only {blocks} blocks were found");
    // What the document says that they come to.
    let states = "SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM
        (SELECT state, count(*) AS n FROM deliveries GROUP BY state) s";
    assert_eq!(text(&mut client, states), "pending 7, sent 1");
}

#[test]
fn the_schema_document_has_every_column_with_its_type() {
    let document = include_str!("../docs/SCHEMA.md");
    let section = document.split("## Columns\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let quoted = |cell: &str| -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let database = Database::migrated();
    let sql = "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
                WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped";
    let mut tables = Vec::new();
    for part in section.split("\n**`").skip(1) {
        let (table, rows) = part.split_once("`**").unwrap();
        let mut written = Vec::new();
        for row in rows.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = row.split(" | ").collect();
            let (names, types) = (quoted(cells[0]), quoted(cells[1]));
            for (number, name) in names.into_iter().enumerate() {
                written.push((name, types[number.min(types.len() - 1)].clone()));
            }
        }
        let rows = database.client().query(sql, &[&table]).unwrap();
        let mut found: Vec<(String, String)> =
            rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        written.sort();
        found.sort();
        assert_eq!(written, found, "{table}: docs/SCHEMA.md, Columns");
        tables.push(table.to_owned());
    }
    let all = "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables
        WHERE schemaname = 'public' AND tablename <> 'schema_migrations'";
    tables.sort();
    assert_eq!(text(&mut database.client(), all), tables.join(" "), "docs/SCHEMA.md, Columns");
}
