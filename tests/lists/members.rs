//! Coming to a list and leaving it, by SQL alone.

use super::{database, state_of, subscribers, text, token_of};
use crate::support::cluster::Database;
use crate::support::endpoint::Endpoint;
use crate::support::program::{PATIENCE, Program};
use postgres::error::SqlState;

fn call(database: &Database, sql: &str) -> Option<String> {
    text(&mut database.client(), &format!("SELECT {sql}::text"))
}

#[test]
fn an_address_is_on_a_list_once_the_link_in_its_mail_was_used_and_only_then() {
    let (database, endpoint) = (database(), Endpoint::start());
    let run = Program::run(&database, &endpoint.url()).start();
    call(&database, "subscribe('news', 'Ann@Example.com', '{\"name\": \"Ann\"}', 'de')");
    let mail = endpoint.wait_for(1, PATIENCE).remove(0);
    assert_eq!(run.stop().code, Some(0));
    assert_eq!((mail.to.as_str(), &mail.data["list"]), ("Ann@Example.com", &"news".into()));
    assert_eq!(mail.data.get("name"), None, "whoever typed the address says nothing in the mail");
    assert_eq!(state_of(&database, "Ann@Example.com"), "pending");
    let token = mail.data["secret"].as_str().unwrap();
    let confirm = format!("confirm('{token}')");
    for _ in 0..2 {
        assert_eq!(call(&database, &confirm).as_deref(), Some("news"));
        assert_eq!(state_of(&database, "Ann@Example.com"), "confirmed");
    }
    let link = token_of(&database, "Ann@Example.com");
    for _ in 0..2 {
        assert_eq!(call(&database, &format!("unsubscribe('{link}')")).as_deref(), Some("news"));
        assert_eq!(state_of(&database, "Ann@Example.com"), "unsubscribed");
    }
    assert_eq!(call(&database, &confirm), None, "an old link brings nobody back");
    assert_eq!(state_of(&database, "Ann@Example.com"), "unsubscribed");
}

#[test]
fn the_answer_is_the_same_for_an_address_that_is_there_and_for_one_that_is_not() {
    let database = database();
    let ask = |address: &str| {
        call(&database, &format!("subscribe('news', '{address}', '{{\"by\": \"typing\"}}')"))
    };
    subscribers(&database, 3);
    database.run(
        "UPDATE subscribers SET state = 'suppressed' WHERE address = 's2@example.com';
         UPDATE subscribers SET state = 'unsubscribed' WHERE address = 's3@example.com'",
    );
    let answers: Vec<_> = [
        "new@example.com",
        "new@example.com",
        "S1@example.com",
        "s2@example.com",
        "s3@example.com",
    ]
    .map(ask)
    .into();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    // Whoever is on the list gets no mail, and nobody else changes what is known of them.
    let asked = "SELECT string_agg(DISTINCT recipient, ' ' ORDER BY recipient) FROM deliveries";
    assert_eq!(text(&mut database.client(), asked).unwrap(), "new@example.com s3@example.com");
    assert_eq!(database.in_state("pending"), 2, "one waits for each: the newest");
    let kept = "SELECT count(*) FROM subscribers WHERE data ? 'plan'";
    assert_eq!(database.number(kept), 2);
    assert_eq!(state_of(&database, "s3@example.com"), "unsubscribed", "until the link is used");
    // The same for tokens.
    for token in ["", "x", &"A".repeat(86), &"A".repeat(32), &"_".repeat(86), &"_".repeat(32)] {
        assert_eq!(call(&database, &format!("confirm('{token}')")), None, "{token}");
        assert_eq!(call(&database, &format!("unsubscribe('{token}')")), None, "{token}");
    }
    assert_eq!(call(&database, "confirm(NULL)"), None);
    let token = token_of(&database, "s1@example.com");
    let other = format!("{}{}", &token[..31], if token.ends_with('A') { "B" } else { "A" });
    assert_eq!(call(&database, &format!("unsubscribe('{other}')")), None);
    assert_eq!(state_of(&database, "s1@example.com"), "confirmed");
}

#[test]
fn a_link_of_another_kind_or_one_that_is_too_old_confirms_nothing() {
    let database = database();
    call(&database, "subscribe('news', 'a@example.com')");
    let secret = "translate(encode(secret || sha256(''), 'base64'), E'+/=\\n', '-_')";
    let token = text(&mut database.client(), &format!("SELECT {secret} FROM tokens")).unwrap();
    database.run("UPDATE tokens SET expires_at = extract(epoch FROM now()) - 1");
    assert_eq!(call(&database, &format!("confirm('{token}')")), None);
    call(&database, "send_mail('password_recovery', 'a@example.com', subject => '1')");
    let other = format!("SELECT {secret} FROM tokens WHERE kind = 'password_recovery'");
    let other = text(&mut database.client(), &other).unwrap();
    assert_eq!(call(&database, &format!("confirm('{other}')")), None);
    assert_eq!(state_of(&database, "a@example.com"), "pending");
    let unused = "SELECT count(*) FROM tokens WHERE consumed_at IS NULL";
    assert_eq!(database.number(unused), 2);
}

#[test]
fn whoever_may_send_mails_brings_nobody_to_a_list() {
    let database = database();
    subscribers(&database, 1);
    database.run("UPDATE subscribers SET state = 'unsubscribed'");
    let forge = "SELECT send_mail('news.confirm', 'me@example.com', subject => '1')";
    let error = database.client().batch_execute(forge).unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::INVALID_PARAMETER_VALUE), "{error:?}");
    // A mail of this kind without one has a link that leads nowhere.
    database.run("SELECT send_mail('news.confirm', 'me@example.com')");
    let secret =
        "SELECT translate(rtrim(replace(encode(secret || sha256(''), 'base64'), E'\\n', ''), '='),
                             '+/', '-_') FROM tokens";
    let token = text(&mut database.client(), secret).unwrap();
    assert_eq!(token.len(), 86);
    assert_eq!(call(&database, &format!("confirm('{token}')")), None);
    assert_eq!(state_of(&database, "s1@example.com"), "unsubscribed");
}

#[test]
fn what_makes_no_sense_is_an_error_and_no_row() {
    let database = database();
    let mut client = database.client();
    for (sql, code) in [
        ("subscribe('nosuch', 'a@example.com')", SqlState::INVALID_PARAMETER_VALUE),
        ("subscribe(NULL, 'a@example.com')", SqlState::INVALID_PARAMETER_VALUE),
        ("subscribe('news', NULL)", SqlState::INVALID_PARAMETER_VALUE),
        ("subscribe('news', 'nobody')", SqlState::INVALID_PARAMETER_VALUE),
        ("subscribe('news', E'a\\n@example.com')", SqlState::INVALID_PARAMETER_VALUE),
        ("subscribe('news', 'a@example.com', '[1]')", SqlState::CHECK_VIOLATION),
        ("subscribe('news', 'a@example.com', '{\"unsubscribe\": 1}')", SqlState::CHECK_VIOLATION),
        ("subscribe('news', 'a@example.com', locale => '../de')", SqlState::CHECK_VIOLATION),
        ("publish('nosuch', 't', 'k')", SqlState::INVALID_PARAMETER_VALUE),
        ("publish('news', 'a/b', 'k')", SqlState::CHECK_VIOLATION),
        ("publish('news', 't', '')", SqlState::CHECK_VIOLATION),
        ("publish('news', 't', 'k', '[1]')", SqlState::CHECK_VIOLATION),
        ("publish('news', 't', 'k', not_before => 'infinity')", SqlState::CHECK_VIOLATION),
    ] {
        let error = client.query(&format!("SELECT {sql}"), &[]).expect_err(sql);
        assert_eq!(error.code(), Some(&code), "{sql}: {error:?}");
    }
    for list in [
        "('News', NULL, 'https://example.com/u')",
        "('a', NULL, 'http://example.com/u')",
        "('a', NULL, 'https://example.com/u>,<https://example.net/')",
        "('a', NULL, 'https://example.com')",
        "('a', E'a.b\\nBcc: x', 'https://example.com/u')",
    ] {
        let sql = format!("INSERT INTO lists (list, list_id, unsubscribe) VALUES {list}");
        let error = client.execute(&sql, &[]).expect_err(list);
        assert_eq!(error.code(), Some(&SqlState::CHECK_VIOLATION), "{list}: {error:?}");
    }
    assert_eq!(database.number("SELECT count(*) FROM subscribers"), 0);
    assert_eq!(database.number("SELECT count(*) FROM issues"), 0);
}

#[test]
fn a_role_for_lists_may_call_three_functions_and_do_nothing_else() {
    let database = database();
    let name = format!("web_{}", database.name);
    database.run(&format!("CREATE ROLE {name} LOGIN"));
    let granted = Program::new(&["migrate", "grants", &name, "--lists"]).on(&database).output();
    assert_eq!(granted.code, Some(0), "{}", granted.log);
    let url = database.url.replace("user=postgres", &format!("user={name}"));
    let mut client = crate::support::cluster::connect(&url).unwrap();
    client.batch_execute("SELECT subscribe('news', 'a@example.com')").unwrap();
    client.batch_execute("SELECT confirm('x'), unsubscribe('x')").unwrap();
    for sql in [
        "SELECT publish('news', 't', 'k')",
        "SELECT publish_test('news', 't', 'a@example.com')",
        "SELECT enqueue_issue('mailroom', 1, NULL)",
        "SELECT send_mail('news', 'a@example.com')",
        "SELECT FROM subscribers",
        "SELECT FROM lists",
        "SELECT FROM issues",
    ] {
        let error = client.batch_execute(sql).expect_err(sql);
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}");
    }
    drop(client);
    database.run(&format!("DROP OWNED BY {name}; DROP ROLE {name}"));
}
