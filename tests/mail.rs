//! `mailroom mail`: one mail from the shell.

use crate::support::cluster::Database;
use crate::support::endpoint::Endpoint;
use crate::support::program::{Finished, Program, wait_until};

fn mail(words: &[&str]) -> Program {
    Program::new(&[&["mail"], words].concat())
}

fn refused(finished: &Finished, code: i32, why: &str) {
    assert_eq!((finished.code, finished.out.as_str()), (Some(code), ""), "{}", finished.log);
    assert!(finished.log.contains(why), "no {why:?} in {}", finished.log);
    assert_eq!(finished.log.lines().count(), 1, "{}", finished.log);
}

fn with_a_kind() -> Database {
    let database = Database::migrated();
    database.run("INSERT INTO kinds (kind) VALUES ('invoice')");
    database
}

#[test]
fn a_mail_is_asked_for_with_all_that_is_said_of_it() {
    let database = with_a_kind();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), r#"{"number": 123, "lines": ["a", "b"]}"#).unwrap();
    let data = format!("@{}", file.path().display());
    let words = [
        "invoice",
        "ann@example.com",
        "--data",
        &data,
        "--locale",
        "de",
        "--key",
        "invoice-123",
        "--at",
        "2099-01-01 00:00+00",
    ];
    for _ in 0..2 {
        let finished = mail(&words).on(&database).output();
        assert_eq!(finished.code, Some(0), "{}", finished.log);
        let id: i64 = finished.out.trim_end().parse().unwrap();
        let same = format!(
            "SELECT count(*) FROM deliveries WHERE id = {id} AND kind = 'invoice'
                AND recipient = 'ann@example.com' AND locale = 'de' AND key = 'invoice-123'
                AND data = '{{\"number\": 123, \"lines\": [\"a\", \"b\"]}}'
                AND due_at = '2099-01-01 00:00+00'"
        );
        assert_eq!(database.number(&same), 1);
    }
    assert_eq!(database.number("SELECT count(*) FROM deliveries"), 1);
}

#[test]
fn what_makes_no_sense_is_said_in_one_line() {
    let deep = format!("{{\"a\": {}{}}}", "[".repeat(20_000), "]".repeat(20_000));
    let database = with_a_kind();
    let long = format!("{{\"a\": \"{}\"}}", "x".repeat(70_000));
    for (words, why) in [
        (&["invoices", "a@b.c"][..], "there is no kind of mail 'invoices': a kind is a row"),
        (&["invoice", "nobody"], "recipient is not an address"),
        (&["invoice", "a@b.c", "--data", "[1]"], "data must be a JSON object"),
        (&["invoice", "a@b.c", "--data", "{'a': 1}"], "invalid input syntax for type json; Token"),
        (&["invoice", "a@b.c", "--data", &long], "65536"),
        (&["invoice", "a@b.c", "--data", "{\"code\": 1}"], "mailroom fills them"),
        (&["invoice", "a@b.c", "--locale", "../de"], "locale must be a language tag"),
        (&["invoice", "a@b.c", "--key", ""], "key must have 1 to 200 characters"),
        (&["invoice", "a@b.c", "--at", "soon"], "invalid input syntax for type timestamp"),
        (&["invoice", "a@b.c", "--at", "infinity"], "must be moments"),
        (&["invoice", "a@b.c", "--data", &deep], "stack depth limit exceeded"),
        (&["invoice", "a@b.c", "--at", "2001-01-01"], "not_before is in the past"),
    ] {
        refused(&mail(words).on(&database).output(), 65, why);
    }
    refused(
        &mail(&["invoice", "a@b.c", "--data", "@/no/file"]).on(&database).output(),
        74,
        "--data",
    );
    let wrong = [&["invoice"][..], &["invoice", "a@b.c", "d@e.f"], &["--kind", "invoice"]];
    for words in wrong {
        assert_eq!(mail(words).on(&database).output().code, Some(64));
    }
    assert_eq!(database.number("SELECT count(*) FROM deliveries"), 0);
    let empty = Database::empty();
    refused(&mail(&["invoice", "a@b.c"]).on(&empty).output(), 78, "mailroom migrate up");
}

#[test]
fn it_is_followed_to_its_end() {
    let database = with_a_kind();
    let waiting = |key: &str| {
        let words = ["invoice", "ann@example.com", "--key", key, "--wait"];
        let running = mail(&words).on(&database).start();
        let id = running.wait_lines(1).concat();
        let looks = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%mailroom:progress%'
            AND datname = current_database() AND pid <> pg_backend_pid()";
        wait_until("it looks", || database.number(looks) == 1);
        (running, id)
    };
    for (state, cause, why, told) in [
        ("failed", "rejected", "no such mailbox", "failed: rejected: no such mailbox"),
        ("expired", "expired", "its time was over", "expired: its time was over"),
        ("superseded", "superseded", "a newer one", "superseded: a newer one"),
    ] {
        let (running, id) = waiting(state);
        database.run(&format!(
            "UPDATE deliveries SET state = '{state}', cause = '{cause}', error = '{why}',
                due_at = now() WHERE id = {id}"
        ));
        let finished = running.finish();
        assert_eq!((finished.code, finished.out), (Some(65), format!("{id}\n")));
        assert!(finished.log.contains(&format!("mail {id}: {told}")), "{}", finished.log);
        assert!(finished.log.contains(&format!("[MAIL] mail {id}: pending\n")), "{}", finished.log);
    }
    let (running, id) = waiting("removed");
    database.run(&format!("DELETE FROM deliveries WHERE id = {id}"));
    let finished = running.finish();
    assert_eq!(finished.code, Some(69));
    assert!(finished.log.contains("its end is not known"), "{}", finished.log);
    // One that goes out.
    let provider = Endpoint::start();
    let run = Program::run(&database, &provider.url()).window(100).start();
    let words = ["password_recovery", "bob@example.com", "--wait"];
    let finished = mail(&words).on(&database).output();
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    let lines: Vec<&str> = finished.out.lines().collect();
    assert!(lines.len() == 2 && lines[1].starts_with("sent "), "{lines:?}");
    assert_eq!(run.stop().code, Some(0));
}

#[test]
fn an_application_may_send_and_may_follow_if_it_may_look() {
    let database = with_a_kind();
    let name = format!("shop_{}", database.name);
    database.run(&format!("CREATE ROLE {name} LOGIN"));
    let url = database.url.replace("user=postgres", &format!("user={name}"));
    let mail = |words: &[&str]| mail(words).env("MAILROOM_DATABASE_URL", &url);
    refused(&mail(&["invoice", "a@b.c"]).output(), 78, "migrate grants ROLE --application");
    let grants = Program::new(&["migrate", "grants", &name, "--application"]).on(&database);
    assert_eq!(grants.output().code, Some(0));
    assert_eq!(mail(&["invoice", "a@b.c"]).output().code, Some(0));
    let words = ["invoice", "a@b.c", "--key", "k", "--wait"];
    refused(&mail(&words).output(), 78, "--wait looks at the view mails");
    assert_eq!(database.number("SELECT count(*) FROM deliveries"), 1, "it was not asked for");
    database.run(&format!("GRANT SELECT ON mails TO {name}"));
    let running = mail(&words).start();
    let id = running.wait_lines(1).concat();
    database.run(&format!(
        "UPDATE deliveries SET state = 'failed', cause = 'rejected', error = 'secret to some',
            due_at = now() WHERE id = {id}"
    ));
    let finished = running.finish();
    assert_eq!(finished.code, Some(65));
    assert!(finished.log.contains(&format!("mail {id}: failed: rejected\n")), "{}", finished.log);
    database.run(&format!("DROP OWNED BY {name}; DROP ROLE {name}"));
}
