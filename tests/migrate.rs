//! The way from one version of the schema to another.

use crate::support::cluster::Database;
use crate::support::dump;
use crate::support::program::{Program, wait_until};
use mailroom::edges::pg::fault::Fault;
use mailroom::edges::pg::migrate::{Change, Step};
use mailroom::mail::error::Kind;
use mailroom::queue::schema as migrate;

const ORIGINAL: &str = include_str!("fixtures/original.sql");

/// Six accounts, of which two were handed out and one more still waits for its mail.
const ROWS: &str = "
    INSERT INTO accounts (email, login)
        SELECT 'u' || n || '@example.com', 'u' || n FROM generate_series(1, 6) n;
    UPDATE tokens SET expires_at = 1700000000 WHERE id = 5;
    UPDATE tokens SET consumed_at = 1700000000 WHERE id IN (3, 6);
    UPDATE jobs SET last_seq = 2";

/// How many wait for a lock. What `pg_stat_activity` says of a wait is gone for a moment when the server
/// looks whether it is one for ever.
const WAITING: &str = "SELECT count(*) FROM pg_locks
    WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

fn versions(steps: &[Step], change: Change) -> Vec<i64> {
    steps.iter().filter(|step| step.change == change).map(|step| step.version).collect()
}

/// The original schema, as golang-migrate or psql leaves it, with pgcrypto where it can be had.
fn original(pgcrypto: bool, recorded: bool) -> Database {
    let database = Database::empty();
    if pgcrypto {
        database.run("CREATE EXTENSION pgcrypto");
        database.run(ORIGINAL);
    } else {
        let secret = "decode(md5(random()::text) || md5(random()::text), 'hex')";
        database.run(&ORIGINAL.replace("gen_random_bytes(32)", secret));
    }
    if recorded {
        database.run(
            "CREATE TABLE schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean
                NOT NULL);
             INSERT INTO schema_migrations VALUES (0, false)",
        );
    }
    database
}

fn pgcrypto_is_available(database: &Database) -> bool {
    database.number("SELECT count(*) FROM pg_available_extensions WHERE name = 'pgcrypto'") == 1
}

/// `id:state` of every delivery, in the order of the tokens.
fn deliveries(database: &Database) -> String {
    let sql = "SELECT coalesce(string_agg(id || ':' || state, ' ' ORDER BY id), '')
               FROM deliveries";
    database.client().query_one(sql, &[]).unwrap().get(0)
}

/// What the original program would send: every fitting token beyond the cursor.
fn under_the_cursor(database: &Database) -> Vec<String> {
    let sql = "SELECT a.login::text FROM jobs j
        JOIN tokens t ON t.id > j.last_seq AND t.consumed_at IS NULL
            AND t.expires_at > extract(epoch FROM now())
        JOIN accounts a ON a.id = t.account AND a.status =
            (CASE t.action::text WHEN 'activation' THEN 'provisioned' ELSE 'active' END)::account_status
        WHERE j.job_type = 'mailroom' ORDER BY t.id";
    database.client().query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

#[test]
fn an_empty_database_goes_up_and_down_and_up_again() {
    let database = Database::empty();
    let mut client = database.client();
    assert_eq!(migrate::status(&mut client).unwrap().version, None);
    let steps = migrate::up(&mut client).unwrap();
    assert_eq!(versions(&steps, Change::Applied), [0, 1]);
    migrate::SCHEMA.require_current(&mut client).unwrap();
    assert!(migrate::up(&mut client).unwrap().is_empty());
    let newest = dump::schema(&database);
    let steps = migrate::down(&mut client, 9).unwrap();
    assert_eq!(versions(&steps, Change::Reverted), [1, 0]);
    assert_eq!(migrate::status(&mut client).unwrap().version, None);
    assert!(!dump::schema(&database).contains("FUNCTION"), "functions were left behind");
    assert!(!dump::schema(&database).contains("TYPE"), "types were left behind");
    assert_eq!(versions(&migrate::up(&mut client).unwrap(), Change::Applied), [0, 1]);
    dump::assert_same(&newest, &dump::schema(&database), "down and up must come to the same");
}

#[test]
fn each_down_step_restores_exactly_the_version_before_it() {
    let database = Database::empty();
    let mut client = database.client();
    migrate::up(&mut client).unwrap();
    let steps = migrate::down(&mut client, 1).unwrap();
    assert_eq!(versions(&steps, Change::Reverted), [1]);
    let fresh = Database::empty();
    fresh.run(include_str!("../migrations/0_init.up.sql"));
    fresh.run(
        "CREATE TABLE schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean
        NOT NULL)",
    );
    let found = dump::schema(&database);
    dump::assert_same(&dump::schema(&fresh), &found, "1_mailroom.down.sql is incomplete");
}

#[test]
fn what_golang_migrate_did_goes_on_here_and_the_other_way_round() {
    // Its steps for each file: the version, dirty; the file in one query; the version, clean.
    // https://github.com/golang-migrate/migrate/blob/master/database/postgres/postgres.go
    let step = |client: &mut postgres::Client, version: i64, sql: &str| {
        for (dirty, sql) in [(true, sql), (false, "")] {
            let mark = format!("INSERT INTO schema_migrations VALUES ({version}, {dirty})");
            client.batch_execute(&format!("TRUNCATE schema_migrations; {mark}")).unwrap();
            client.batch_execute(sql).unwrap();
        }
    };
    let database = Database::empty();
    let mut client = database.client();
    let table = "CREATE TABLE schema_migrations (version bigint not null primary key,
        dirty boolean not null)";
    client.batch_execute(table).unwrap();
    assert_eq!(migrate::status(&mut client).unwrap().version, None);
    step(&mut client, 0, include_str!("../migrations/0_init.up.sql"));
    assert_eq!(versions(&migrate::up(&mut client).unwrap(), Change::Applied), [1]);
    step(&mut client, 0, include_str!("../migrations/1_mailroom.down.sql"));
    step(&mut client, 1, include_str!("../migrations/1_mailroom.up.sql"));
    migrate::SCHEMA.require_current(&mut client).unwrap();
    let found = dump::schema(&database);
    dump::assert_same(include_str!("golden/schema.sql"), &found, "either tool does the same");
}

#[test]
fn the_schema_is_the_golden_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/schema.sql");
    let database = Database::empty();
    migrate::up(&mut database.client()).unwrap();
    let found = dump::schema(&database);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap();
    let hint = "if that is meant, run the test with UPDATE_GOLDEN=1 and read the diff";
    dump::assert_same(&expected, &found, hint);
}

#[test]
fn a_plain_owner_migrates_without_superuser_or_extension() {
    let database = Database::empty();
    let (role, name) = (format!("owner_of_{}", database.name), &database.name);
    database.run(&format!("CREATE ROLE {role} LOGIN; ALTER DATABASE {name} OWNER TO {role}"));
    // Before PostgreSQL 15 anybody may create in public; from then on the database's owner may.
    let url = database.url.replace("user=postgres", &format!("user={role}"));
    let mut client = crate::support::cluster::connect(&url).unwrap();
    migrate::up(&mut client).unwrap();
    client.batch_execute("INSERT INTO accounts (email, login) VALUES ('a@b.c', 'a')").unwrap();
    assert_eq!(deliveries(&database), "1:pending");
    let extensions = "SELECT count(*) FROM pg_extension WHERE extname <> 'plpgsql'";
    assert_eq!(database.number(extensions), 0);
    migrate::down(&mut client, 2).unwrap();
    migrate::up(&mut client).unwrap();
    migrate::SCHEMA.require_current(&mut client).unwrap();
}

#[test]
fn the_schema_need_not_be_public() {
    let database = Database::empty();
    let name = &database.name;
    database.run(&format!(
        "CREATE SCHEMA \"Mail Room\"; ALTER DATABASE {name} SET search_path = \"Mail Room\""
    ));
    let mut client = database.client();
    migrate::up(&mut client).unwrap();
    assert_eq!(migrate::status(&mut client).unwrap().schema, "Mail Room");
    // Whoever writes may have another search path.
    database.run(
        "SET search_path = public;
         INSERT INTO \"Mail Room\".accounts (email, login) VALUES ('a@b.c', 'a');
         UPDATE \"Mail Room\".tokens SET consumed_at = 1;",
    );
    assert_eq!(database.number("SELECT count(*) FROM accounts WHERE status = 'active'"), 1);
    assert_eq!(deliveries(&database), "1:pending");
    assert_eq!(
        database
            .number("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"),
        0
    );
    migrate::down(&mut client, 2).unwrap();
    assert_eq!(migrate::status(&mut client).unwrap().version, None);
}

#[test]
fn an_original_installation_upgrades_to_the_same_schema_with_or_without_pgcrypto() {
    let golden = include_str!("golden/schema.sql");
    for (pgcrypto, recorded) in [(true, true), (true, false), (false, true), (false, false)] {
        if pgcrypto && !pgcrypto_is_available(&Database::empty()) {
            continue;
        }
        let database = original(pgcrypto, recorded);
        database.run(ROWS);
        let mut client = database.client();
        let error = migrate::SCHEMA.require_current(&mut client).unwrap_err();
        assert!(matches!(error, Fault::Denied(_)));
        assert!(error.to_string().contains("version 0"), "{error}");
        let steps = migrate::up(&mut client).unwrap();
        assert_eq!(versions(&steps, Change::Recorded), if recorded { vec![] } else { vec![0] });
        assert_eq!(versions(&steps, Change::Applied), [1]);
        // 1 and 2 were handed out; 4 waits; 3 was used, 5 is too old, 6 was used.
        assert_eq!(deliveries(&database), "3:expired 4:pending 5:expired 6:expired");
        let reasons = "SELECT string_agg(error, ', ' ORDER BY id) FROM deliveries";
        let reasons: String = client.query_one(reasons, &[]).unwrap().get(0);
        assert_eq!(reasons, "its token was used, its token expired, its token was used");
        dump::assert_same(golden, &dump::schema(&database), "the upgrade must end up the same");
        if pgcrypto {
            // Not ours, so it stays; but nothing of ours needs it.
            database.run("DROP EXTENSION pgcrypto RESTRICT");
        }
        database.run("INSERT INTO accounts (email, login) VALUES ('new@example.com', 'new')");
        assert_eq!(database.number("SELECT count(*) FROM deliveries WHERE state = 'pending'"), 2);
    }
}

#[test]
fn going_down_loses_nothing_and_sends_nothing_again() {
    let database = Database::migrated();
    let mut client = database.client();
    // A lower id may wait while a higher one is sent; ids may also have been given by hand.
    database.run(
        "INSERT INTO accounts (email, login)
            SELECT 'u' || n || '@example.com', 'u' || n FROM generate_series(1, 7) n;
         INSERT INTO tokens (id, account, action) VALUES (40, 7, 'activation');
         UPDATE deliveries SET state = 'leased', lease = 'x' WHERE id = 2;
         UPDATE deliveries SET state = 'sent', due_at = now() WHERE id IN (1, 4, 7);
         UPDATE deliveries SET state = 'failed', due_at = now() WHERE id = 5;
         DELETE FROM deliveries WHERE id = 6",
    );
    migrate::down(&mut client, 1).unwrap();
    let mut sent = under_the_cursor(&database);
    sent.sort();
    assert_eq!(sent, ["u2", "u3", "u7"], "what waited, and only that, is beyond the cursor");
    migrate::up(&mut client).unwrap();
    let waiting = "SELECT string_agg(a.login, ' ' ORDER BY a.login) FROM deliveries d
        JOIN tokens t ON t.id = d.id JOIN accounts a ON a.id = t.account
        WHERE d.state = 'pending'";
    let waiting: String = client.query_one(waiting, &[]).unwrap().get(0);
    assert_eq!(waiting, "u2 u3 u7");
    assert_eq!(database.number("SELECT count(*) FROM deliveries"), 3);
    // The next token must not meet an id that was given out.
    database.run("INSERT INTO accounts (email, login) VALUES ('new@example.com', 'new')");
    migrate::down(&mut client, 1).unwrap();
    assert_eq!(under_the_cursor(&database).len(), 4);
}

#[test]
fn a_collector_that_ends_after_going_down_does_not_move_the_cursor_past_what_was_not_sent() {
    let database = Database::migrated();
    let collect = Program::collect(&database)
        .env("MAILROOM_ACK", "sent")
        .env("MAILROOM_BATCH_LIMIT", "1")
        .start();
    for n in 1..=3 {
        database.accounts(&format!("user{n}-"), 1);
        collect.wait_lines(n);
    }
    // All three are leased, and none is known to be sent.
    let down = Program::new(&["migrate", "down", "1", "--yes"]).on(&database).output();
    assert_eq!(down.code, Some(0), "{}", down.log);
    assert_eq!(collect.stop().code, Some(0));
    assert_eq!(database.number("SELECT last_seq FROM jobs"), 0);
    mailroom::queue::schema::up(&mut database.client()).unwrap();
    assert_eq!(database.in_state("pending"), 3);
}

#[test]
fn going_down_with_everything_sent_leaves_nothing_beyond_the_cursor() {
    let database = Database::migrated();
    database.run(
        "INSERT INTO accounts (email, login) VALUES ('a@b.c', 'a'), ('b@b.c', 'b');
         UPDATE deliveries SET state = 'sent', due_at = now()",
    );
    migrate::down(&mut database.client(), 1).unwrap();
    assert!(under_the_cursor(&database).is_empty());
    let old = original(false, true);
    old.run(ROWS);
    migrate::up(&mut old.client()).unwrap();
    migrate::down(&mut old.client(), 1).unwrap();
    assert_eq!(under_the_cursor(&old), ["u4"]);
}

#[test]
fn a_moment_beyond_2038_does_not_stop_the_way_down() {
    let database = Database::migrated();
    database.run(
        "INSERT INTO accounts (email, login) VALUES ('a@b.c', 'a');
         UPDATE tokens SET expires_at = 4102444800",
    );
    migrate::down(&mut database.client(), 1).unwrap();
    assert_eq!(database.number("SELECT expires_at::bigint FROM tokens"), i64::from(i32::MAX));
    let unset = "SELECT count(*) FROM tokens t, accounts a
        WHERE num_nulls(consumed_at, status_changed_at, activated_at, suspended_at) = 4";
    assert_eq!(database.number(unset), 1, "what was not set stays so");
}

#[test]
fn a_database_that_cannot_hold_every_text_is_refused() {
    let main = Database::empty();
    let name = format!("{}_latin", main.name);
    main.run(&format!("CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"));
    let latin = Database { url: main.url.replace(&main.name, &name), name };
    let error = migrate::up(&mut latin.client()).unwrap_err();
    assert_eq!(error.kind, Kind::Config);
    assert!(error.message.contains("is encoded in LATIN1; mailroom needs one in UTF8"), "{error}");
}

#[test]
fn a_missing_older_or_newer_schema_is_refused_with_what_to_do() {
    let database = Database::empty();
    let mut client = database.client();
    let refused = |client: &mut postgres::Client, words: &[&str]| {
        let error = migrate::SCHEMA.require_current(client).unwrap_err();
        assert!(matches!(error, Fault::Denied(_)));
        for word in words {
            assert!(error.to_string().contains(word), "no {word:?} in: {error}");
        }
    };
    refused(&mut client, &["found none", "version 1", "mailroom migrate up"]);
    migrate::up(&mut client).unwrap();
    migrate::force(&mut client, 0).unwrap();
    refused(&mut client, &["found version 0", "version 1 is needed", "mailroom migrate up"]);
    migrate::force(&mut client, 1).unwrap();
    migrate::SCHEMA.require_current(&mut client).unwrap();
    database.run("UPDATE schema_migrations SET version = 3");
    refused(&mut client, &["version 3", "up to 1", "migrate down 2"]);
    // An application may keep the original tables by migrations of its own.
    database.run("UPDATE schema_migrations SET version = 20261128120000");
    refused(&mut client, &["20261128120000", "another program's", "a schema of its own"]);
    database.run("UPDATE schema_migrations SET version = 3");
    assert!(migrate::up(&mut client).unwrap_err().message.contains("version 3"));
    assert!(migrate::down(&mut client, 1).unwrap_err().message.contains("version 3"));
    assert_eq!(migrate::force(&mut client, 2).unwrap_err().kind, Kind::Usage);
    database.run("DROP TABLE schema_migrations; CREATE TABLE schema_migrations (version text)");
    refused(&mut client, &["another migration tool", "search_path"]);
}

#[test]
fn tables_in_another_schema_are_named_and_no_second_set_is_made_unless_its_place_is_named() {
    let database = Database::empty();
    let url = |schema: &str| format!("{} options=-csearch_path={schema}", database.url);
    let program = |words: &[&str], url: &str| {
        Program::new(words).on(&database).env("MAILROOM_DATABASE_URL", url).output()
    };
    database.run(
        "CREATE SCHEMA mailroom; CREATE TABLE accounts (id bigint); CREATE TABLE jobs (id int)",
    );
    // The application's tables are in the way.
    let up = ["migrate", "up"];
    let words: [&[&str]; 5] =
        [&up, &["migrate", "down"], &["migrate", "status"], &["check"], &["collect"]];
    let says = |what: &str| {
        for words in words {
            let finished = program(words, &database.url);
            let said = finished.out + &finished.log;
            // The screen breaks lines.
            let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(finished.code, Some(78), "{words:?}: {said}");
            assert!(said.contains(what), "{words:?}: {said}");
            assert!(said.contains("options=-csearch_path=mailroom"), "{words:?}: {said}");
            assert!(!said.contains("mailroom migrate up"), "{words:?}: {said}");
        }
        let made = "SELECT count(*) FROM pg_class WHERE relname = 'schema_migrations'
                       AND relnamespace = 'public'::regnamespace";
        assert_eq!(database.number(made), 0);
    };
    says("schema public of database");
    says("has accounts, jobs of another program: give mailroom a schema of its own");
    // It has one, and nobody says so.
    assert_eq!(program(&up, &url("mailroom")).code, Some(0));
    says("the tables are in schema mailroom of database");
    database.run("DROP TABLE accounts, jobs");
    says("the tables are in schema mailroom of database");
    // Other tools have a table of this name too.
    database.run("CREATE TABLE public.schema_migrations (version text)");
    let finished = program(&["status"], &database.url);
    let said = (finished.out + &finished.log).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("the tables are in schema mailroom of database"), "{said}");
    database.run("DROP TABLE public.schema_migrations");
    // Where both are named, and where the application's are first.
    assert_eq!(program(&["migrate", "status"], &url("public,mailroom")).code, Some(0));
    database.run("CREATE TABLE tokens (id bigint)");
    let finished = program(&["migrate", "status"], &url("public,mailroom"));
    assert!(finished.log.contains("the tables are in schema mailroom"), "{}", finished.log);
    // A second one where it is meant.
    database.run("CREATE SCHEMA staging");
    assert_eq!(program(&["status"], &url("staging")).code, Some(78));
    assert_eq!(program(&up, &url("staging")).code, Some(0));
    assert_eq!(program(&["status"], &url("staging")).code, Some(0));
    assert_eq!(program(&["status"], &url("mailroom")).code, Some(0));
}

#[test]
fn a_migration_that_fails_changes_nothing_and_names_file_line_and_cause() {
    let database = original(false, true);
    database.run(ROWS);
    database.run("CREATE TYPE delivery_state AS ENUM ('mine')");
    let mut client = database.client();
    let error = migrate::up(&mut client).unwrap_err();
    assert!(error.message.contains("1_mailroom.up.sql"), "{error}");
    assert!(error.message.contains("\"delivery_state\" already exists"), "{error}");
    let status = migrate::status(&mut client).unwrap();
    assert_eq!((status.version, status.dirty), (Some(0), false));
    assert_eq!(database.number("SELECT count(*) FROM pg_class WHERE relname = 'kinds'"), 0);
    database.run("DROP TYPE delivery_state; ALTER TABLE jobs RENAME last_seq TO other");
    let error = migrate::up(&mut client).unwrap_err();
    let line = include_str!("../migrations/1_mailroom.up.sql")
        .lines()
        .position(|line| line.contains("SELECT last_seq FROM jobs"))
        .unwrap()
        + 1;
    assert!(error.message.contains(&format!("line {line};")), "{error}");
    database.run("ALTER TABLE jobs RENAME other TO last_seq");
    migrate::up(&mut client).unwrap();
    migrate::SCHEMA.require_current(&mut client).unwrap();
    // The session is as it was before.
    let path: String = client.query_one("SHOW search_path", &[]).unwrap().get(0);
    assert_eq!(path, "\"$user\", public");
}

#[test]
fn a_connection_lost_in_a_migration_leaves_the_dirty_flag_and_the_next_one_looks() {
    let database = original(false, true);
    let mut blocker = database.client();
    let mut transaction = blocker.transaction().unwrap();
    transaction.batch_execute("LOCK TABLE tokens IN ACCESS SHARE MODE").unwrap();
    let mut client = database.client();
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    let migrating = std::thread::spawn(move || migrate::up(&mut client));
    wait_until("the migration waits", || database.number(WAITING) == 1);
    database.run(&format!("SELECT pg_terminate_backend({pid})"));
    let error = migrating.join().unwrap().unwrap_err();
    assert!(error.message.contains("1_mailroom.up.sql"), "{error}");
    assert!(error.message.contains("dirty"), "{error}");
    transaction.rollback().unwrap();
    let mut client = database.client();
    let status = migrate::status(&mut client).unwrap();
    assert_eq!((status.version, status.dirty), (Some(1), true));
    let refused = migrate::SCHEMA.require_current(&mut client).unwrap_err();
    assert!(refused.to_string().contains("dirty"), "{refused}");
    let steps = migrate::up(&mut client).unwrap();
    assert_eq!(versions(&steps, Change::Recorded), [0], "nothing of it had been kept");
    assert_eq!(versions(&steps, Change::Applied), [1]);
}

#[test]
fn a_program_killed_while_it_waits_for_a_lock_leaves_nothing_for_a_person_to_guess() {
    // The server goes on without it: it gets the lock and commits, or gives up.
    for commits in [true, false] {
        let database = original(false, true);
        let mut blocker = database.client();
        let mut transaction = blocker.transaction().unwrap();
        transaction.batch_execute("LOCK TABLE tokens IN ACCESS SHARE MODE").unwrap();
        let migrating = Program::new(&["migrate", "up"]).on(&database).start();
        wait_until("the migration waits", || database.number(WAITING) == 1);
        migrating.kill();
        assert_eq!(database.number(WAITING), 1, "the server does not know");
        if commits {
            transaction.rollback().unwrap();
        } else {
            wait_until("the server gives up", || database.number(WAITING) == 0);
            transaction.rollback().unwrap();
        }
        let next = Program::new(&["migrate", "up"]).on(&database).output();
        let said = match commits {
            true => "1_mailroom found and recorded\n",
            false => "0_init found and recorded\n1_mailroom applied\n",
        };
        assert_eq!((next.code, next.out.as_str()), (Some(0), said), "{}", next.log);
        migrate::SCHEMA.require_current(&mut database.client()).unwrap();
    }
}

#[test]
fn what_a_migration_left_that_broke_off_is_known_by_what_is_there() {
    // Where it was committed although nobody heard so: dirty, towards 1; where it was not, towards 0.
    let database = Database::migrated();
    let mut client = database.client();
    database.accounts("user", 2);
    for version in [1, 0] {
        database.run(&format!("UPDATE schema_migrations SET version = {version}, dirty = true"));
        let steps = migrate::up(&mut client).unwrap();
        assert_eq!(versions(&steps, Change::Recorded), [1]);
        assert!(versions(&steps, Change::Applied).is_empty());
        migrate::SCHEMA.require_current(&mut client).unwrap();
    }
    database.run("UPDATE schema_migrations SET dirty = true");
    let steps = migrate::down(&mut client, 1).unwrap();
    assert_eq!(versions(&steps, Change::Reverted), [1]);
    assert_eq!(database.number("SELECT count(*) FROM tokens"), 2);
    // The very first one leaves nothing, or everything.
    let empty = Database::empty();
    migrate::up(&mut empty.client()).unwrap();
    migrate::down(&mut empty.client(), 2).unwrap();
    empty.run("INSERT INTO schema_migrations VALUES (0, true)");
    assert_eq!(versions(&migrate::up(&mut empty.client()).unwrap(), Change::Applied), [0, 1]);
}

#[test]
fn a_database_of_a_mailroom_that_was_never_released_is_refused_with_what_to_do() {
    let database = original(false, true);
    for version in 1..=4 {
        database.run(&format!("UPDATE schema_migrations SET version = {version}"));
        for words in [&["migrate", "up"][..], &["migrate", "status"], &["status"], &["collect"]] {
            let program = Program::new(words).env("MAILROOM_SECRET_KEY", "00".repeat(32));
            let refused = program.on(&database).output();
            assert_eq!(refused.code, Some(78), "{words:?}: {}", refused.log);
            for text in ["never released", "kinds", "back to version 0", "an empty schema"] {
                assert!(refused.log.contains(text), "no {text:?} in {}", refused.log);
            }
        }
    }
    // A version that was only written down is put right.
    migrate::force(&mut database.client(), 0).unwrap();
    migrate::up(&mut database.client()).unwrap();
}

#[test]
fn another_programs_record_of_versions_is_left_alone() {
    let database = Database::empty();
    database.run(
        "CREATE TABLE schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean
            NOT NULL);
         CREATE TABLE orders (id bigint)",
    );
    for (version, dirty) in
        [(4, false), (1, false), (0, false), (20261128120000_i64, true), (1, true)]
    {
        database.run(&format!(
            "TRUNCATE schema_migrations; INSERT INTO schema_migrations VALUES ({version}, {dirty})"
        ));
        let words = [&["up"][..], &["down"], &["status"], &["force", "1"]];
        for words in words.map(|words| [&["migrate"], words].concat()) {
            let refused = Program::new(&words).on(&database).output();
            assert_eq!(refused.code, Some(78), "{words:?}: {}", refused.log);
            assert!(refused.log.contains("belongs to another program"), "{}", refused.log);
            assert!(refused.log.contains("search_path"), "{}", refused.log);
        }
        let kept = format!("SELECT count(*) FROM schema_migrations WHERE version = {version}");
        assert_eq!(database.number(&kept), 1);
    }
    // Beside it there is room.
    let name = &database.name;
    database.run(&format!("CREATE SCHEMA post; ALTER DATABASE {name} SET search_path = post"));
    assert_eq!(versions(&migrate::up(&mut database.client()).unwrap(), Change::Applied), [0, 1]);
}

#[test]
fn of_many_that_migrate_at_once_each_step_is_made_by_one() {
    let database = Database::empty();
    let url = database.url.clone();
    let threads: Vec<_> = (0..6)
        .map(|_| {
            let url = url.clone();
            std::thread::spawn(move || {
                let mut client = crate::support::cluster::connect(&url).unwrap();
                let steps = migrate::up(&mut client).unwrap();
                migrate::SCHEMA.require_current(&mut client).unwrap();
                steps.len()
            })
        })
        .collect();
    let made: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(made, 2);
    let held = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
        WHERE l.locktype = 'advisory' AND d.datname = current_database()";
    assert_eq!(database.number(held), 0);
}

#[test]
fn a_superuser_who_migrates_leaves_everything_to_the_owner_of_the_tables() {
    let database = Database::empty();
    let role = format!("app_of_{}", database.name);
    database.run(&format!("CREATE ROLE {role} LOGIN; GRANT CREATE ON SCHEMA public TO {role}"));
    let secret = "decode(md5(random()::text) || md5(random()::text), 'hex')";
    let original = ORIGINAL.replace("gen_random_bytes(32)", secret);
    database.run(&format!("SET ROLE {role}; {original}"));
    database.run(&format!("REVOKE CREATE ON SCHEMA public FROM {role}"));
    migrate::up(&mut database.client()).unwrap();
    let others = format!(
        "SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace
                    AND relowner <> '{role}'::regrole)
              + (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
                    AND proowner <> '{role}'::regrole)
              + (SELECT count(*) FROM pg_type WHERE typnamespace = 'public'::regnamespace
                    AND typowner <> '{role}'::regrole)"
    );
    assert_eq!(database.number(&others), 0);
    let url = database.url.replace("user=postgres", &format!("user={role}"));
    let mut client = crate::support::cluster::connect(&url).unwrap();
    migrate::SCHEMA.require_current(&mut client).unwrap();
    client.batch_execute("INSERT INTO accounts (email, login) VALUES ('a@b.c', 'a')").unwrap();
    client.batch_execute("UPDATE deliveries SET due_at = now()").unwrap();
    migrate::down(&mut database.client(), 1).unwrap();
    assert_eq!(database.number(&others), 0);
}

#[test]
fn a_role_that_may_not_read_the_version_is_told_which_right_it_needs() {
    let database = Database::migrated();
    let role = format!("stranger_to_{}", database.name);
    database.run(&format!("CREATE ROLE {role} LOGIN"));
    let url = database.url.replace("user=postgres", &format!("user={role}"));
    let mut client = crate::support::cluster::connect(&url).unwrap();
    let error = migrate::SCHEMA.require_current(&mut client).unwrap_err();
    assert!(matches!(error, Fault::Denied(_)));
    assert!(error.to_string().contains("run: mailroom migrate grants ROLE"), "{error}");
    let error = migrate::down(&mut client, 1).unwrap_err();
    assert_eq!(error.kind, Kind::Config);
}

#[test]
fn the_tables_of_the_accounts_are_dropped_only_when_that_is_said() {
    let database = Database::migrated();
    database.accounts("user", 3);
    let migrate = |words: &[&str]| {
        Program::new(&[&["migrate", "down"], words].concat()).on(&database).output()
    };
    for words in [&["2"][..], &["99"]] {
        let refused = migrate(words);
        assert_eq!((refused.code, refused.out.as_str()), (Some(64), ""), "{}", refused.log);
        for text in ["accounts (rows: 3), tokens (rows: 3) and jobs", &database.name, "add --yes"] {
            assert!(refused.log.contains(text), "no {text:?} in {}", refused.log);
        }
    }
    assert_eq!(database.number("SELECT count(*) FROM deliveries"), 3);
    // The others keep them.
    assert_eq!(migrate(&["1"]).code, Some(0));
    assert_eq!(migrate(&[]).code, Some(64));
    assert_eq!(database.number("SELECT count(*) FROM accounts"), 3);
    let done = migrate(&["--yes"]);
    assert_eq!((done.code, done.out.as_str()), (Some(0), "0_init reverted\n"), "{}", done.log);
    assert_eq!(database.number("SELECT count(*) FROM pg_class WHERE relname = 'accounts'"), 0);
    assert_eq!(migrate(&["1"]).out, "nothing to do\n");
}

#[test]
fn rows_that_the_old_schema_has_no_place_for_are_lost_only_when_that_is_said() {
    let database = Database::migrated();
    database.accounts("user", 1);
    let down = |words: &[&str]| {
        Program::new(&[&["migrate", "down"], words].concat()).on(&database).output()
    };
    database.run("INSERT INTO kinds (kind) VALUES ('invoice'), ('notice')");
    let refused = down(&[]);
    assert_eq!(refused.code, Some(64));
    assert!(
        refused.log.contains("this drops the kinds invoice, notice of database"),
        "{}",
        refused.log
    );
    database.run(
        "SELECT send_mail('invoice', 'ann@example.com'), send_mail('invoice', 'bob@example.com'),
            send_mail('password_recovery', 'ann@example.com');
         UPDATE deliveries SET state = 'sent', due_at = now() WHERE recipient LIKE 'bob%'",
    );
    let refused = down(&["1"]);
    assert_eq!((refused.code, refused.out.as_str()), (Some(64), ""));
    for text in [
        "mails that are not of an account (3, of which 2 wait)",
        "tokens without an account (1)",
        "the kinds invoice, notice",
        &database.name,
        "add --yes",
    ] {
        assert!(refused.log.contains(text), "no {text:?} in {}", refused.log);
    }
    assert_eq!(down(&["--yes"]).code, Some(0));
    assert_eq!(database.number("SELECT count(*) FROM tokens"), 1);
}

#[test]
fn a_constraint_that_refuses_a_row_does_not_bring_its_secret_into_the_error() {
    let database = Database::migrated();
    // On the way down, tokens that wait are numbered anew behind those that are done with.
    database.accounts("user", 2);
    database.run(
        "UPDATE deliveries SET state = 'sent', due_at = now() WHERE id = 2;
         ALTER TABLE tokens ADD CONSTRAINT of_an_application CHECK (account <> 1) NOT VALID",
    );
    let mut client = database.client();
    let error = migrate::down(&mut client, 1).unwrap_err();
    assert!(error.message.contains("of_an_application"), "{error}");
    assert!(!error.message.contains("\\x") && !error.message.contains("row contains"), "{error}");
    assert_eq!(database.in_state("pending"), 1);
}

#[test]
fn a_transaction_that_has_the_tables_makes_a_migration_give_up_and_sign_ups_go_on() {
    let database = Database::migrated();
    migrate::down(&mut database.client(), 1).unwrap();
    let mut reader = database.client();
    let mut reading = reader.transaction().unwrap();
    reading.batch_execute("SELECT FROM tokens").unwrap();
    let url = database.url.clone();
    let migrating = std::thread::spawn(move || {
        let mut client = crate::support::cluster::connect(&url).unwrap();
        migrate::up(&mut client).unwrap_err()
    });
    wait_until("the migration waits", || database.number(WAITING) == 1);
    std::thread::scope(|scope| {
        scope.spawn(|| database.accounts("user", 1));
        let accounts = || database.number("SELECT count(*) FROM accounts");
        wait_until("the account is there, though the reader still reads", || accounts() == 1);
    });
    let error = migrating.join().unwrap();
    assert_eq!(error.kind, Kind::Temporary);
    assert!(error.message.contains("somebody's transaction has a lock"), "{error}");
    reading.commit().unwrap();
    let mut client = database.client();
    assert_eq!(versions(&migrate::up(&mut client).unwrap(), Change::Applied), [1]);
}
