//! Any mail by one statement: `send_mail` and `send_mails`, and their way to each provider, through the
//! pipe, and to those who read events.

mod calls;
mod events;
mod limits;
#[cfg(all(feature = "postmark", feature = "smtp"))]
mod providers;
mod sets;

use crate::support::cluster::{Database, connect};
use crate::support::endpoint::Endpoint;
use crate::support::program::{PATIENCE, Program, wait_until};
use postgres::Client;
use serde_json::{Value, json};

/// Two kinds of mail beside the usual ones: an invoice, and a notice with a sender of its own.
const KINDS: &str = "INSERT INTO kinds (kind) VALUES ('invoice_ready');
    INSERT INTO kinds (kind, template, sender, reply_to)
    VALUES ('order.shipped', NULL, 'Shop <shop@example.net>', 'help@example.net');";

/// A database with [`KINDS`].
fn database() -> Database {
    let database = Database::migrated();
    database.run(KINDS);
    database
}

/// Calls `send_mail` with these arguments; gives the delivery's id.
fn send_mail(client: &mut Client, arguments: &str) -> i64 {
    let sql = format!("SELECT send_mail({arguments})");
    client.query_one(&sql, &[]).unwrap_or_else(|error| panic!("{arguments}: {error:?}")).get(0)
}

/// The same, on a connection of its own.
fn mail(database: &Database, arguments: &str) -> i64 {
    send_mail(&mut database.client(), arguments)
}

/// Asserts that a statement is refused for a value, with these words.
fn is_refused(client: &mut impl postgres::GenericClient, sql: &str, why: &str) {
    let error = client.query(sql, &[]).unwrap_err();
    let invalid = postgres::error::SqlState::INVALID_PARAMETER_VALUE;
    assert_eq!(error.code(), Some(&invalid), "{sql}: {error}");
    let said = error.as_db_error().unwrap().message();
    assert!(said.contains(why), "{sql}: {said}");
}

/// State and cause of a delivery.
fn state(database: &Database, id: i64) -> (String, Option<String>) {
    let sql = "SELECT state::text, cause::text FROM deliveries WHERE id = $1";
    let row = database.client().query_one(sql, &[&id]).unwrap();
    (row.get(0), row.get(1))
}

fn is_sent(database: &Database, id: i64) -> bool {
    state(database, id).0 == "sent"
}

#[test]
fn what_is_rolled_back_is_never_sent() {
    let (database, endpoint) = (database(), Endpoint::start());
    let run = Program::run(&database, &endpoint.url()).start();
    let mut client = database.client();
    let mut rolled_back = client.transaction().unwrap();
    let call = "SELECT send_mail('invoice_ready', 'no@example.com')";
    rolled_back.execute(call, &[]).unwrap();
    rolled_back.rollback().unwrap();
    let mut kept = client.transaction().unwrap();
    kept.batch_execute(&format!("SAVEPOINT s; {call}; ROLLBACK TO s")).unwrap();
    kept.execute("SELECT send_mail('invoice_ready', 'yes@example.com')", &[]).unwrap();
    kept.commit().unwrap();
    endpoint.wait_for(1, PATIENCE);
    assert_eq!(run.stop().code, Some(0));
    let to: Vec<String> = endpoint.accepted().into_iter().map(|mail| mail.to).collect();
    assert_eq!(to, ["yes@example.com"]);
    assert_eq!(database.number("SELECT count(*) FROM deliveries"), 1);
}

#[test]
fn a_hundred_thousand_by_one_statement_go_in_full_batches_and_one_notification() {
    go_in_full_batches(
        "SELECT count(send_mail('invoice_ready', 'user' || n || '@example.com',
                                jsonb_build_object('number', n)))
           FROM generate_series(1, 100000) n",
    );
}

#[test]
fn a_hundred_thousand_by_one_call_go_in_full_batches_and_one_notification() {
    go_in_full_batches(
        "SELECT send_mails('invoice_ready', array_agg('user' || n || '@example.com'),
                           array_agg(jsonb_build_object('number', n)))
           FROM generate_series(1, 100000) n",
    );
}

/// Runs a statement that asks for 100,000 mails and gives how many it made.
fn go_in_full_batches(statement: &str) {
    use postgres::fallible_iterator::FallibleIterator as _;
    let database = database();
    let mut client = database.client();
    client.batch_execute("LISTEN token_insert").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events");
    let collect = Program::collect(&database)
        .env("MAILROOM_FORMAT", "cloudevents")
        .limit(50)
        .stdout(std::fs::File::create(&file).unwrap())
        .start();
    let asleep =
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1835100527
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    wait_until("it sleeps", || database.number(asleep) == 1);
    assert_eq!(client.query_one(statement, &[]).unwrap().get::<_, i64>(0), 100_000);
    // Counting them each time would take longer than sending them.
    let sent = "SELECT coalesce(sum(sent), 0)::bigint FROM tallies";
    for some in (1..=20).map(|part| part * 5000) {
        wait_until("the next ones are sent", || database.number(sent) >= some);
    }
    let finished = collect.stop();
    assert_eq!(finished.code, Some(0));
    assert_eq!(finished.log.matches("processing ").count(), 2000);
    assert_eq!(finished.log.matches("processing 50 rows... (max reached)").count(), 2000);
    let events = std::fs::read_to_string(&file).unwrap();
    let number = |line: &str| -> Option<i64> {
        let event: Value = serde_json::from_str(line).unwrap();
        event["data"]["data"]["number"].as_i64()
    };
    let mut numbers: Vec<i64> = events.lines().map(|line| number(line).unwrap()).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(1..=100_000), "each once");
    client.batch_execute("NOTIFY token_insert, 'last'").unwrap();
    let mut got = client.notifications();
    let mut got = got.timeout_iter(PATIENCE);
    let payloads = [(); 2].map(|()| got.next().unwrap().unwrap().payload().to_owned());
    assert_eq!(payloads, ["", "last"]);
}

#[test]
fn a_scheduled_mail_is_found_when_its_time_comes_and_no_query_before_that_looks_for_it() {
    use crate::support::cluster::{logged, telling};
    let (database, endpoint) = (telling().migrated("scheduled"), Endpoint::start());
    database.run(KINDS);
    let run = Program::run(&database, &endpoint.url()).healthcheck(600_000).start();
    mail(&database, "'invoice_ready', 'first@example.com'");
    endpoint.wait_for(1, PATIENCE);
    wait_until("it is settled", || database.in_state("sent") == 1);
    let id = mail(
        &database,
        "'invoice_ready', 'later@example.com', not_before => now() + interval '4 s'",
    );
    // The notification of the call makes it look, and then it knows.
    let before = logged(&database).len();
    run.wait_turns(1);
    let wait_for_the_last = |time: &str| {
        let near = format!(
            "SELECT count(*) FROM deliveries WHERE id = {id} AND due_at < now() + interval '{time}'"
        );
        wait_until("its time comes near", || database.number(&near) == 1);
    };
    wait_for_the_last("2.5 s");
    let quiet = logged(&database).len();
    wait_for_the_last("0.5 s");
    assert!(quiet - before <= 3, "{:#?}", &logged(&database)[before..]);
    assert_eq!(logged(&database).len(), quiet, "it asks while it waits");
    assert_eq!(state(&database, id).0, "pending");
    wait_until("it is sent", || is_sent(&database, id));
    assert_eq!(run.stop().code, Some(0));
    let first = logged(&database)[quiet..].first().cloned().unwrap();
    assert!(first.contains("mailroom:look") || first.contains("mailroom:turn"), "{first}");
    assert_eq!(endpoint.accepted().len(), 2);
}

#[test]
fn a_kind_that_is_added_while_run_runs_is_served() {
    let (database, endpoint) = (database(), Endpoint::start());
    let run = Program::run(&database, &endpoint.url()).healthcheck(600_000).start();
    mail(&database, "'invoice_ready', 'ann@example.com'");
    endpoint.wait_for(1, PATIENCE);
    let mut client = database.client();
    client
        .batch_execute(
            "BEGIN;
             INSERT INTO kinds (kind, template, priority) VALUES ('welcome', 'hello_v2', 5);
             SELECT send_mail('welcome', 'ann@example.com');
             COMMIT",
        )
        .unwrap();
    let mails = endpoint.wait_for(2, PATIENCE);
    assert_eq!(
        (mails[0].template.as_str(), mails[1].template.as_str()),
        ("invoice_ready", "hello_v2")
    );
    assert_eq!(run.stop().code, Some(0));
}

#[test]
fn a_notice_without_a_token_has_no_secret() {
    let (database, endpoint) = (database(), Endpoint::start());
    let run = Program::run(&database, &endpoint.url()).start();
    let id = mail(&database, "'order.shipped', 'ann@example.com', '{\"order\": 7}'");
    let mails = endpoint.wait_for(1, PATIENCE);
    wait_until("it is settled", || is_sent(&database, id));
    assert_eq!(run.stop().code, Some(0));
    assert_eq!(mails[0].data, json!({ "login": "", "order": 7 }));
    assert_eq!(mails[0].template, "order-shipped", "no provider's names have dots");
    assert_eq!(database.number("SELECT count(*) FROM tokens"), 0);
}

#[test]
fn a_token_needs_no_account_and_its_use_gives_the_subject_back_and_voids_the_older_ones() {
    let (database, endpoint) = (database(), Endpoint::start());
    database.run("UPDATE kinds SET cooldown = NULL, hourly = NULL");
    let run = Program::run(&database, &endpoint.url()).start();
    let ask = |to: &str, subject: &str| {
        mail(
            &database,
            &format!("kind => 'password_recovery', recipient => '{to}', subject => '{subject}'"),
        )
    };
    let ids = [
        ask("ann@example.com", "user-7f3e"),
        ask("ann@example.com", "user-7f3e"),
        ask("bob@example.com", "user-2"),
    ];
    let mails = endpoint.wait_for(3, PATIENCE);
    wait_until("they are settled", || database.in_state("sent") == 3);
    assert_eq!(run.stop().code, Some(0));
    let secret = mails[1].data["secret"].as_str().unwrap();
    let code = mails[1].data["code"].as_str().unwrap();
    assert_eq!((secret.len(), code.len()), (86, 5));
    let verified =
        Program::new(&["verify", "--path", "/recover", "--code", code]).on(&database).input(secret);
    assert_eq!(verified.code, Some(0), "{}", verified.log);
    // As an application uses it up.
    let used = "UPDATE tokens SET consumed_at = extract(epoch FROM now())
                 WHERE id = $1 AND consumed_at IS NULL AND expires_at > extract(epoch FROM now())
                RETURNING kind, subject";
    let mut client = database.client();
    let row = client.query_one(used, &[&ids[1]]).unwrap();
    assert_eq!((row.get(0), row.get(1)), ("password_recovery", "user-7f3e"));
    assert!(client.query_opt(used, &[&ids[1]]).unwrap().is_none(), "once");
    assert!(client.query_opt(used, &[&ids[0]]).unwrap().is_none(), "the older one is void");
    assert!(client.query_opt(used, &[&ids[2]]).unwrap().is_some(), "another's is not");
}

#[test]
fn the_view_shows_mails_and_leaves_the_application_its_columns() {
    let database = database();
    database.accounts("ann", 1);
    let id = mail(&database, "'invoice_ready', 'bob@example.com', key => 'k', locale => 'de'");
    let shown = || {
        let sql = "SELECT recipient, kind, key, locale, state::text FROM mails ORDER BY kind";
        let rows = database.client().query(sql, &[]).unwrap();
        let text = |row: &postgres::Row, at: usize| -> Option<String> { row.get(at) };
        rows.iter().map(|row| [0, 1, 2, 3, 4].map(|at| text(row, at))).collect::<Vec<_>>()
    };
    let before = shown();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        before,
        [
            [some("ann1@example.com"), some("activation"), None, None, some("pending")],
            [
                some("bob@example.com"),
                some("invoice_ready"),
                some("k"),
                some("de"),
                some("pending")
            ],
        ]
    );
    database.run(
        "ALTER TABLE accounts ALTER COLUMN email TYPE varchar(300),
                               ALTER COLUMN login TYPE varchar(300);
         ALTER TABLE accounts ADD COLUMN note text;
         ALTER TABLE accounts DROP COLUMN note",
    );
    assert_eq!(shown(), before);
    let kept = "SELECT count(*) FROM mails WHERE id = ";
    assert_eq!(database.number(&format!("{kept}{id}")), 1);
}

/// The data of the mails that came, by recipient.
fn data_of(endpoint: &Endpoint, to: &str) -> Value {
    let mails = endpoint.accepted();
    mails.iter().find(|mail| mail.to == to).unwrap_or_else(|| panic!("{mails:?}")).data.clone()
}

/// A connection as another role.
fn as_role(database: &Database, role: &str) -> Client {
    connect(&database.url.replace("user=postgres", &format!("user={role}"))).unwrap()
}
