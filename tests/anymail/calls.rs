//! What `send_mail` takes, refuses, and whom it lets send.

use super::{as_role, database, is_refused, send_mail, state};
use crate::support::program::wait_until;
use postgres::error::SqlState;

#[test]
fn the_same_key_from_eight_sessions_at_once_gives_one_mail() {
    let database = database();
    // They meet where the first one is about to commit.
    let mut first = database.client();
    let mut open = first.transaction().unwrap();
    let call = "SELECT send_mail('invoice_ready', 'ann@example.com', key => 'invoice-123')";
    let id: i64 = open.query_one(call, &[]).unwrap().get(0);
    let others: Vec<i64> = std::thread::scope(|scope| {
        let one = |_| scope.spawn(|| database.client().query_one(call, &[]).unwrap().get(0));
        let others: Vec<_> = (0..7).map(one).collect();
        wait_until("seven wait", || {
            database.number(
                "SELECT count(*) FROM pg_stat_activity
                  WHERE datname = current_database() AND wait_event_type = 'Lock'",
            ) == 7
        });
        open.commit().unwrap();
        others.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(others, [id; 7]);
    assert_eq!(database.number("SELECT count(*) FROM deliveries"), 1);
    let again = send_mail(&mut first, "'order.shipped', 'bob@example.com', key => 'invoice-123'");
    assert_eq!(again, id, "a key is one delivery, whatever else is said");
    let other = send_mail(&mut first, "'invoice_ready', 'ann@example.com', key => 'invoice-124'");
    assert_ne!(other, id);
}

#[test]
fn a_key_whose_delivery_is_removed_at_that_moment_makes_a_mail() {
    let database = database();
    let done = std::sync::atomic::AtomicBool::new(false);
    let call = "SELECT send_mail('invoice_ready', 'ann@example.com', key => 'hot')";
    std::thread::scope(|scope| {
        let beside = |sql| {
            let (database, done) = (&database, &done);
            scope.spawn(move || {
                let mut client = database.client();
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    client.batch_execute(sql).unwrap();
                }
            })
        };
        let others = [beside("DELETE FROM deliveries WHERE key = 'hot'"), beside(call)];
        let mut client = database.client();
        let lost = (0..5000).any(|_| {
            !client.query_one(call, &[]).is_ok_and(|row| row.get::<_, Option<i64>>(0).is_some())
        });
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert!(!lost, "a mail was not made");
    });
}

#[test]
fn bad_input_of_each_sort_is_an_error_with_sqlstate_and_leaves_the_transaction_to_the_application()
{
    let database = database();
    let mut client = database.client();
    let long = "x".repeat(201);
    let large = format!("{{\"a\": \"{}\"}}", "x".repeat(65_536));
    let ok = "'invoice_ready', 'ann@example.com'";
    let cases = [
        ("'no_such', 'ann@example.com'".to_owned(), "there is no kind of mail 'no_such'"),
        ("NULL, 'ann@example.com'".to_owned(), "there is no kind of mail NULL"),
        ("'invoice_ready', 'nobody'".to_owned(), "recipient is not an address"),
        ("'invoice_ready', ''".to_owned(), "recipient is not an address"),
        ("'invoice_ready', '@example.com'".to_owned(), "recipient is not an address"),
        ("'invoice_ready', 'Ann <ann@example.com>'".to_owned(), "recipient is not an address"),
        ("'invoice_ready', 'a@b.example, c@d.example'".to_owned(), "recipient is not an address"),
        ("'invoice_ready', 'ann b@example.com'".to_owned(), "recipient is not an address"),
        ("'invoice_ready', E'a@example.com\\nBcc: b@example.com'".to_owned(), "recipient is not"),
        ("'invoice_ready', E'a\\r\\n@example.com'".to_owned(), "recipient is not an address"),
        (format!("'invoice_ready', '{}@example.com'", "x".repeat(320)), "recipient is not"),
        ("'password_recovery', NULL".to_owned(), "has a token, so it needs a recipient"),
        (format!("{ok}, '[1]'"), "data must be a JSON object, but is of type array"),
        (format!("{ok}, 'null'"), "data must be a JSON object, but is of type null"),
        (format!("{ok}, '{large}'"), "data has 65545 bytes, and may have 65536"),
        (format!("{ok}, '{{\"secret\": 1}}'"), "the names login, secret and code"),
        (format!("{ok}, locale => '../../etc/passwd'"), "locale must be a language tag"),
        (format!("{ok}, locale => 'de/x'"), "locale must be a language tag"),
        (format!("{ok}, locale => E'de\\n'"), "locale must be a language tag"),
        (format!("{ok}, locale => ''"), "locale must be a language tag"),
        (format!("{ok}, key => ''"), "key must have 1 to 200 characters"),
        (format!("{ok}, key => '{long}'"), "key must have 1 to 200 characters"),
        (format!("{ok}, not_before => now() - interval '1 hour'"), "not_before is in the past"),
        (format!("{ok}, not_before => 'infinity'"), "must be moments before the year 9989"),
        (format!("{ok}, not_before => '-infinity'"), "not_before is in the past"),
        (format!("{ok}, not_before => '9999-12-31'"), "must be moments before"),
        (format!("{ok}, expires_at => '10001-01-01'"), "must be moments before"),
        (format!("{ok}, expires_at => '-infinity'"), "expires_at is not after"),
        (format!("{ok}, expires_at => now()"), "expires_at is not after the moment"),
        (
            format!("{ok}, not_before => now() + '2 h', expires_at => now() + '1 h'"),
            "expires_at is not after the moment",
        ),
        (format!("{ok}, subject => 'user-1'"), "has no token, so it has no subject"),
        (
            format!("'password_recovery', 'a@example.com', subject => '{long}'"),
            "subject must have 1 to 200 characters",
        ),
        (format!("{ok}, reply_to => 'nobody'"), "reply_to is not an address"),
        (format!("{ok}, reply_to => E'a@b.example\\nX: y'"), "reply_to is not an address"),
    ];
    let mut transaction = client.transaction().unwrap();
    for (arguments, why) in &cases {
        let mut call = transaction.transaction().unwrap();
        is_refused(&mut call, &format!("SELECT send_mail({arguments})"), why);
    }
    transaction.execute(&format!("SELECT send_mail({ok})"), &[]).unwrap();
    transaction.commit().unwrap();
    assert_eq!(database.number("SELECT count(*) FROM deliveries"), 1);
}

#[test]
fn a_kind_whose_answers_could_not_go_anywhere_is_refused() {
    let mut client = database().client();
    for reply_to in ["", "x", "a@b.example, c@d.example", "Ann <a@b.example>"] {
        let error = client.execute("UPDATE kinds SET reply_to = $1", &[&reply_to]).unwrap_err();
        let constraint = error.as_db_error().and_then(|refusal| refusal.constraint());
        assert_eq!(constraint, Some("kinds_reply_to_check"), "{reply_to}");
    }
}

#[test]
fn what_is_just_within_the_limits_is_taken() {
    let database = database();
    let mut client = database.client();
    let whole = format!("{{\"a\": \"{}\"}}", "x".repeat(65_536 - 9));
    let id = send_mail(
        &mut client,
        &format!(
            "'invoice_ready', 'o''neil+\u{e9}@ex\u{e4}mple.com', '{whole}', 'sr-Latn_RS',
             key => '{}', not_before => now() - interval '59 s',
             expires_at => now() + interval '1 s', reply_to => 'a@b.example'",
            "\u{e9}".repeat(200)
        ),
    );
    assert_eq!(state(&database, id), ("pending".to_owned(), None));
}

#[test]
fn a_user_without_rights_on_any_table_can_send_and_do_nothing_else() {
    let database = database();
    let role = format!("app_{}", database.name);
    database.run(&format!("CREATE ROLE {role} LOGIN"));
    let mut client = as_role(&database, &role);
    let call = "SELECT send_mail('invoice_ready', 'ann@example.com')";
    let error = client.query(call, &[]).unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "not without the right");
    let error = client.query("SELECT send_mails('invoice_ready', NULL)", &[]).unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    let granted =
        crate::support::program::Program::new(&["migrate", "grants", &role, "--application"])
            .on(&database)
            .output();
    assert_eq!(granted.code, Some(0), "{}", granted.log);
    let id = send_mail(&mut client, "'password_recovery', 'ann@example.com', subject => 'u1'");
    assert_eq!(state(&database, id), ("pending".to_owned(), None));
    let set = "SELECT send_mails('invoice_ready', '{ann@example.com,bob@example.com}')";
    assert_eq!(client.query_one(set, &[]).unwrap().get::<_, i64>(0), 2);
    for sql in [
        "SELECT FROM deliveries",
        "SELECT FROM tokens",
        "SELECT FROM accounts",
        "SELECT FROM kinds",
        "SELECT FROM tallies",
        "SELECT FROM jobs",
        "INSERT INTO deliveries (kind) VALUES ('invoice_ready')",
        "INSERT INTO tokens (kind) VALUES ('password_recovery')",
        "INSERT INTO kinds (kind) VALUES ('mine')",
        "UPDATE deliveries SET state = 'sent'",
        "DELETE FROM deliveries",
        "SELECT limit_mail(NULL, 'ann@example.com')",
        "SELECT nextval('tokens_id_seq')",
    ] {
        let error = client.batch_execute(sql).expect_err(sql);
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}: {error}");
    }
    // Nor do tables of its own stand in the way of ours.
    client
        .batch_execute(
            "CREATE TEMPORARY TABLE kinds AS SELECT 'mine'::text AS kind, NULL::text AS path",
        )
        .unwrap();
    let error = client.query("SELECT send_mail('mine', 'ann@example.com')", &[]).unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::INVALID_PARAMETER_VALUE));
    drop(client);
    database.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}
