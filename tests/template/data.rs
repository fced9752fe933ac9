//! What data mails have, and whether templates ask for more: as far as mails that were asked for tell.

use super::own;
use crate::support::cluster::Database;
use crate::support::program::{Finished, Program};
use std::path::Path;

fn smtp(database: &Database, dir: &Path, words: &[&str]) -> Finished {
    Program::new(words)
        .on(database)
        .env("MAILROOM_TRANSPORT", "smtp")
        .env("MAILROOM_SMTP_URL", "smtp://127.0.0.1:9?tls=none")
        .env("MAILROOM_SES_SOURCE", "noreply@example.org")
        .env("MAILROOM_TEMPLATE_DIR", dir)
        .output()
}

/// What `check` says of each template.
fn checks(database: &Database, dir: &Path) -> Vec<(String, String, String)> {
    let finished = smtp(database, dir, &["check", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&finished.out).unwrap();
    let text = |one: &serde_json::Value, name: &str| one[name].as_str().unwrap().to_owned();
    let checks = report["checks"].as_array().unwrap().iter();
    let checks = checks.filter(|one| one["name"].as_str().unwrap().starts_with("template "));
    checks.map(|one| (text(one, "name"), text(one, "status"), text(one, "detail"))).collect()
}

fn says(checks: &[(String, String, String)], name: &str, status: &str, detail: &str) {
    let name = format!("template {name}");
    let found = checks.iter().find(|one| one.0 == name).unwrap_or_else(|| panic!("{checks:#?}"));
    assert!(found.1 == status && found.2.contains(detail), "{found:?}");
}

#[test]
fn a_variable_that_no_mail_has_is_found_as_far_as_mails_tell() {
    let (database, dir) = (Database::migrated(), own());
    let write = |file: &str, text: &str| std::fs::write(dir.path().join(file), text).unwrap();
    std::fs::remove_file(dir.path().join("invoice.json")).unwrap();
    std::fs::remove_file(dir.path().join("invoice.ar.json")).unwrap();
    database.run("INSERT INTO kinds (kind) VALUES ('invoice'), ('event')");
    let send = |kind: &str, to: &str, data: &str| {
        let sql = "SELECT send_mail($1, nullif($2, ''), $3::text::jsonb)";
        database.client().execute(sql, &[&kind, &to, &data]).unwrap();
    };
    // Of a kind that was never asked for nothing is known but that it may have data.
    send("event", "", r#"{"what": 1}"#);
    let found = checks(&database, dir.path());
    assert_eq!(found.len(), 6, "nobody is sent an event: {found:?}");
    says(&found, "activationv1", "ok", "action 1: renders");
    let why = "kind invoice: invoice.subject, line 1: undefined value; not in the data: number";
    says(&found, "invoice", "warning", why);
    let none = smtp(&database, dir.path(), &["template", "check"]);
    assert_eq!(none.code, Some(78), "{}", none.log);

    // A file says what its data is like.
    write("invoice.json", r#"{"name": "x", "number": "x", "total": "x"}"#);
    says(&checks(&database, dir.path()), "invoice.ar", "ok", "renders");
    write("invoice.json", "[]");
    let wrong = smtp(&database, dir.path(), &["check"]);
    assert!(
        wrong.code == Some(78) && wrong.out.contains("invoice.json: it must be a JSON"),
        "{}",
        wrong.out
    );
    std::fs::remove_file(dir.path().join("invoice.json")).unwrap();

    // Mails that wait, or the newest one, say more.
    send("invoice", "a@example.org", r#"{"name": "Ann", "number": "secret-7", "total": 1}"#);
    let found = checks(&database, dir.path());
    says(&found, "invoice", "ok", "kind invoice: renders");
    says(&found, "invoice.ar", "ok", "kind invoice: renders");
    // Whose mail it is is said nowhere.
    let data = smtp(&database, dir.path(), &["template", "show", "invoice", "--data"]);
    assert_eq!(
        data.out,
        "{\"login\":\"john\",\"name\":\"name\",\"number\":\"number\",\"total\":1}\n"
    );
    write("invoice.ar.txt", "{{ due }}");
    says(
        &checks(&database, dir.path()),
        "invoice.ar",
        "failed",
        "invoice.ar.txt, line 1: undefined",
    );
    let found = smtp(&database, dir.path(), &["template", "check"]);
    assert_eq!(found.code, Some(78));
    assert!(found.out.contains("invoice good (kind invoice)\n"), "{}", found.out);
    assert!(
        found.log.contains("template invoice.ar (kind invoice) invoice.ar.txt"),
        "{}",
        found.log
    );
    write("invoice.ar.txt", "{{ rows[0].price }}");
    send(
        "invoice",
        "a@example.org",
        r#"{"number": 1, "total": 1, "name": 2, "rows": [{"price": 1}]}"#,
    );
    // The older one waits still, and would be held.
    says(
        &checks(&database, dir.path()),
        "invoice.ar",
        "failed",
        "invoice.ar.txt, line 1: undefined",
    );
    database
        .run("UPDATE deliveries SET state = 'sent', due_at = now() WHERE data ->> 'name' = 'Ann'");
    says(&checks(&database, dir.path()), "invoice.ar", "ok", "renders");
    // What was dropped is over, though it is the newest.
    send("invoice", "a@example.org", "{}");
    says(&checks(&database, dir.path()), "invoice", "failed", "undefined");
    database.run("UPDATE deliveries SET state = 'failed', cause = 'dropped' WHERE data = '{}'");
    says(&checks(&database, dir.path()), "invoice", "ok", "renders");
    // A token, and its code, is what the kind says.
    write("invoice.ar.txt", "{{ secret }}");
    says(&checks(&database, dir.path()), "invoice.ar", "failed", "undefined");
    database.run("UPDATE kinds SET path = '/invoice' WHERE kind = 'invoice'");
    says(&checks(&database, dir.path()), "invoice.ar", "ok", "renders");
    // Links of the examples lead nowhere.
    write("invoice.ar.txt", "https://example.com/x");
    says(&checks(&database, dir.path()), "invoice.ar", "failed", "leads to example.com");
}

#[test]
fn a_kind_with_data_that_the_settings_name_is_no_warning_at_the_start() {
    let (database, dir) = (Database::migrated(), own());
    database.run("INSERT INTO kinds (kind, number, template) VALUES ('invoice', 3, 'else')");
    let start = || {
        Program::new(&["run"])
            .on(&database)
            .env("MAILROOM_TRANSPORT", "smtp")
            .env("MAILROOM_SMTP_URL", "smtp://127.0.0.1:9?tls=none")
            .env("MAILROOM_TEMPLATE_DIR", dir.path())
            .env("MAILROOM_TEMPLATES", "1=activationv1,2=passwordrecoveryv1,3=invoice")
            .start()
    };
    let run = start();
    run.wait_log("connected");
    let log = run.stop().log;
    assert!(
        log.contains("[SMTP] the template of action 3: invoice.subject, line 1: undefined"),
        "{log}"
    );
    assert!(!log.contains("[SMTP] WARN"), "{log}");
    std::fs::write(dir.path().join("invoice.txt"), "{% if %}").unwrap();
    std::fs::write(dir.path().join("invoice.subject"), "x").unwrap();
    let run = start();
    run.wait_log("[SMTP] WARN: the template of action 3: invoice.txt, line 1: syntax error");
    run.stop();
}

#[test]
fn a_database_that_is_away_leaves_the_commands_their_files() {
    let dir = own();
    let check = Program::new(&["template", "check"])
        .env("MAILROOM_DATABASE_URL", "host=/nowhere user=u dbname=d")
        .env("MAILROOM_TRANSPORT", "smtp")
        .env("MAILROOM_TEMPLATE_DIR", dir.path())
        .output();
    assert_eq!(check.code, Some(0), "{}", check.log);
    assert!(check.log.contains("WARN: what data mails have is not known: "), "{}", check.log);
}
