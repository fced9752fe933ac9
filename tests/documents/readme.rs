//! README.md, and the pages that it leads to first: their screen, tables and SQL.

use super::operations::Shell;
use super::{blocks, read, root, rows, section};
use crate::support::cluster::Database;
use crate::support::program::{Program, wait_until};
use mailroom::mail::error::Kind;
use mailroom::mail::model::Cause;
use mailroom::mail::policy::backoff;
use mailroom::ops::cli::help::COMMANDS;
use mailroom::ops::screen;
use mailroom::ops::screen::page::Look;
use mailroom::queue::snapshot::{Listener, Reason, Snapshot};
use std::collections::BTreeSet;
use std::time::Duration;

/// A queue in which a template is missing at the provider.
fn snapshot() -> Snapshot {
    let reason =
        |cause, text: &str, count| Reason { cause: Some(cause), text: text.to_owned(), count };
    let listener = |pid, address: &str, seconds| Listener {
        pid,
        role: "mailroom_collector".to_owned(),
        name: "mailroom run".to_owned(),
        address: address.to_owned(),
        seconds: Some(seconds),
    };
    Snapshot {
        queue: "mailroom".to_owned(),
        time: "2026-11-22T13:37:00Z".to_owned(),
        last_seq: 48_377,
        pending: 43,
        due: 2,
        retrying: 1,
        leased: 10,
        sent: 48_310,
        sent_by_five_minutes: vec![61, 75, 82, 90, 120, 164, 188, 151, 96, 84, 77, 38],
        sent_last_24h: 9_482,
        failed: 3,
        dropped: 1,
        expired: 12,
        oldest_pending: Some(388.0),
        oldest_due: Some(1.4),
        waiting: vec![reason(
            Cause::Template,
            "TEMPLATE_NOT_FOUND: Template recoveryv2 does not exist",
            40,
        )],
        listeners: vec![listener(4711, "10.0.0.7", 788_400.0)],
        ..Snapshot::default()
    }
}

#[test]
fn the_scripts_find_the_program_where_cargo_was_told_to_put_it() {
    assert!(read("README.md").contains("with `CARGO_TARGET_DIR` set it is there"));
    let mut looked = 0;
    let folders = ["scripts", "benches/system"].map(|folder| root().join(folder));
    for entry in folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).flatten() {
        let Ok(text) = std::fs::read_to_string(entry.path()) else { continue };
        if text.contains("release/mailroom") {
            looked += 1;
            // Or it is not heeded on purpose.
            assert!(text.contains("CARGO_TARGET_DIR"), "{}", entry.path().display());
        }
    }
    assert!(looked >= 4, "{looked} scripts");
}

#[test]
fn the_screen_in_the_readme_is_the_one_that_status_draws() {
    let look = Look { width: 80, colour: false };
    let drawn =
        screen::report::text(&screen::status::report(&snapshot(), Duration::from_secs(600)), look);
    let readme = read("README.md");
    let (before, rest) = readme.split_once("<!-- status -->\n```\n").expect("it marks the screen");
    let (shown, after) = rest.split_once("```\n<!-- /status -->").expect("and its end");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let new = format!("{before}<!-- status -->\n```\n{drawn}```\n<!-- /status -->{after}");
        std::fs::write(root().join("README.md"), new).unwrap();
        return;
    }
    assert_eq!(shown, drawn, "if that is meant, run the test with UPDATE_GOLDEN=1");
}

#[test]
fn the_waits_of_the_document_are_those_of_the_program() {
    let table = rows(&section(&read("docs/GUARANTEES.md"), "When something fails"));
    let find = |name: &str| table.iter().position(|row| row[0] == name).expect(name);
    let (attempts, waits) = (&table[find("attempt")], &table[find("longest wait after it")]);
    assert_eq!(attempts.len(), waits.len());
    for (attempt, wait) in attempts.iter().zip(waits).skip(1) {
        let (attempt, later) = attempt.split_once(' ').unwrap_or((attempt, ""));
        let attempt: u32 = attempt.parse().unwrap();
        assert_eq!(*wait, format!("{} s", backoff(attempt, 1.0).as_secs()), "attempt {attempt}");
        if !later.is_empty() {
            assert_eq!(backoff(attempt, 1.0), backoff(1000, 1.0), "{attempt} and later");
            assert!(backoff(attempt - 1, 1.0) < backoff(attempt, 1.0));
        }
    }
    assert_eq!(attempts.len(), 8);
}

#[test]
fn the_exit_statuses_of_the_document_are_those_of_the_program() {
    let all = [
        Kind::No,
        Kind::Usage,
        Kind::Data,
        Kind::Unavailable,
        Kind::Bug,
        Kind::Io,
        Kind::Temporary,
        Kind::Config,
    ];
    let known: BTreeSet<u8> = all.iter().map(|kind| *kind as u8).chain([0]).collect();
    let table = rows(&section(&read("docs/REFERENCE.md"), "Exit statuses"));
    let written = table[1..].iter().map(|row| row[0].parse().unwrap());
    assert_eq!(written.collect::<BTreeSet<u8>>(), known);
}

#[test]
fn every_command_is_in_the_table_of_commands() {
    let table = rows(&section(&read("docs/REFERENCE.md"), "Commands"));
    for command in COMMANDS {
        let beginning = format!("`mailroom {}", command.name);
        assert!(table.iter().any(|row| row[0].starts_with(&beginning)), "{beginning}");
    }
}

/// The statements of a document, in their order, each to be a transaction of its own.
fn statements(document: &str) -> Vec<String> {
    let found = blocks(&read(document), "sql");
    found.iter().flat_map(|block| block.split_inclusive(";\n")).map(str::to_owned).collect()
}

#[test]
fn the_sql_of_the_readme_runs_and_makes_the_mails_that_it_says() {
    let database = Database::migrated();
    let mut used = None;
    for statement in statements("README.md") {
        let mut client = database.client();
        if statement.contains("$1") {
            let secret = "SELECT secret FROM tokens WHERE subject = '4711'";
            let secret: Vec<u8> = client.query_one(secret, &[]).unwrap().get(0);
            let rows = client.query(&statement, &[&secret]).unwrap();
            assert!(client.query(&statement, &[&secret]).unwrap().is_empty(), "it is used once");
            used = Some(rows[0].get::<_, String>(0));
        } else {
            client.batch_execute(&statement).unwrap();
        }
    }
    assert_eq!(used.as_deref(), Some("4711"));
    let mails = "SELECT string_agg(kind || ' ' || recipient, ', ' ORDER BY id) FROM mails";
    let mails: String = database.client().query_one(mails, &[]).unwrap().get(0);
    assert_eq!(
        mails,
        "activation john@example.com, password_recovery john@example.com, \
         password_recovery ann@example.com, invoice ann@example.com"
    );
}

#[test]
fn a_kind_of_mail_for_accounts_is_made_as_the_document_says() {
    let database = Database::migrated();
    for statement in statements("docs/WIRE.md") {
        database.run(&statement);
    }
    database.run(
        "INSERT INTO accounts (email, login, status) VALUES ('a@example.com', 'a', 'active');
         INSERT INTO tokens (account, action) SELECT id, 'invitation' FROM accounts",
    );
    let wire = Program::collect(&database).start();
    assert!(wire.wait_lines(1)[0].starts_with("3,a@example.com,a,"));
    assert_eq!(wire.stop().code, Some(0));
}

#[cfg(feature = "smtp")]
#[test]
fn the_lines_for_smtp_are_all_that_it_takes_and_an_invoice_comes_in_the_readers_language() {
    use crate::support::mailserver::{MailServer, Tls};
    let server = MailServer::start(Tls::Offered, Some(("user", "hunter2")));
    let files = tempfile::tempdir().unwrap();
    let ca = files.path().join("ca.pem");
    std::fs::write(&ca, &server.ca).unwrap();
    let block = blocks(&section(&read("README.md"), "The first mail"), "sh").remove(1);
    let block = block.replace("smtp://user@mail.example.com", &server.url("user@", &ca));
    let block = block.replace("MAILROOM_SMTP_PASSWORD='…'", "MAILROOM_SMTP_PASSWORD=hunter2");
    assert!(block.contains("=hunter2") && !block.contains("mail.example.com"), "{block}");
    let database = Database::migrated();
    let (settings, run) = block.split_once("mailroom run").expect("it runs in the end");
    assert!(run.trim().starts_with('#'));
    let shell = Shell::new(&database.url);
    let out = shell
        .run(&format!("{settings}\nprintf 'set %s %s' $MAILROOM_SMTP_URL $MAILROOM_SES_SOURCE"));
    let (_, set) = out.split_once("set ").unwrap();
    let (url, source) = set.split_once(' ').unwrap();
    let run = Program::new(&["run"])
        .on(&database)
        .env("MAILROOM_TRANSPORT", "smtp")
        .env("MAILROOM_SMTP_URL", url)
        .env("MAILROOM_SMTP_PASSWORD", "hunter2")
        .env("MAILROOM_SES_SOURCE", source)
        .env("MAILROOM_TEMPLATE_DIR", root().join("templates"))
        .window(200)
        .start();
    let [invoice] =
        blocks(&section(&read("README.md"), "Any other mail"), "sql").try_into().unwrap();
    assert!(invoice.contains("now() + interval '1 hour'"));
    database.run(&invoice.replace("now() + interval '1 hour'", "now()"));
    wait_until("it has come", || !server.mails().is_empty());
    let mail = server.mails().remove(0);
    assert_eq!(mail.header("To").unwrap(), "ann@example.com");
    assert_eq!(mail.header("Subject").unwrap(), "فاتورة 2026-17");
    let (text, html) = mail.bodies();
    assert!(text.contains("Ann") && text.contains("45.00 EUR"), "{text}");
    assert!(html.contains("lang=\"ar\" dir=\"rtl\"") && html.contains("<bdi>45.00 EUR</bdi>"));
    assert_eq!(run.stop().code, Some(0));
}
