//! The program with MAILROOM_TRANSPORT: what it asks for, and that it sends.

use super::templates;
use crate::support::batches::TOKEN;
use crate::support::cluster::Database;
use crate::support::endpoint::Endpoint;
use crate::support::mailserver::{MailServer, Tls};
use crate::support::postmark::API_TOKEN;
use crate::support::program::{Program, wait_until};

fn send(transport: &str) -> Program {
    Program::new(&["send"]).env("MAILROOM_TRANSPORT", transport)
}

fn record(name: &str) -> String {
    format!("1,{name}@example.com,{name},{},\n", "A".repeat(86))
}

#[test]
fn send_hands_records_to_an_smtp_server_in_one_thread() {
    let server = MailServer::start(Tls::Immediate, Some(("user", "pass word")));
    let dir = templates();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, &server.ca).unwrap();
    std::fs::write(dir.path().join("password"), "pass word\n").unwrap();
    let mut running = send("smtp")
        .env("MAILROOM_SMTP_URL", server.url("user@", &ca))
        .env("MAILROOM_SMTP_PASSWORD_FILE", dir.path().join("password"))
        .env("MAILROOM_TEMPLATE_DIR", dir.path())
        .env("MAILROOM_SES_SOURCE", "\"Caf\u{e9}, \\\"Bar\\\"\" <noreply@example.org>")
        .stdin(std::process::Stdio::piped())
        .start();
    running.write(record("john"));
    wait_until("the mail is there", || server.mails().len() == 1);
    running.write(record("jane"));
    wait_until("the second mail is there", || server.mails().len() == 2);
    assert_eq!(running.status("Threads"), 1);
    let finished = running.stop();
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert!(finished.log.contains("[SMTP] configured; "), "{}", finished.log);
    assert!(!finished.log.contains("pass word"), "{}", finished.log);
    let mail = &server.mails()[0];
    assert_eq!((mail.from.as_str(), mail.to.as_str()), ("noreply@example.org", "john@example.com"));
    let from = mail.header("From").unwrap();
    assert_eq!(from, "Caf\u{e9}, \"Bar\" <noreply@example.org>");
    assert_eq!(server.connections(), 1);
}

#[test]
fn send_hands_records_to_postmark() {
    let endpoint = Endpoint::start();
    let finished = send("postmark")
        .env("MAILROOM_POSTMARK_TOKEN", API_TOKEN)
        .env("MAILROOM_POSTMARK_URL", endpoint.url())
        .env("MAILROOM_SES_SOURCE", "Caf\u{e9}, Bar <noreply@example.com>")
        .input(record("john"));
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    let from = &endpoint.requests()[0].json()["Messages"][0]["From"];
    assert_eq!(from, "\"Caf\u{e9}, Bar\" <noreply@example.com>");
    let mails = endpoint.accepted();
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, "john@example.com"));
    assert!(!finished.log.contains(API_TOKEN), "{}", finished.log);
}

#[test]
fn what_the_chosen_provider_needs_is_asked_for_and_nothing_of_the_others() {
    for (transport, variables, wanted) in [
        ("smtp", vec![], "MAILROOM_SMTP_URL: is required by MAILROOM_TRANSPORT"),
        ("postmark", vec![], "MAILROOM_POSTMARK_TOKEN: is required by MAILROOM_TRANSPORT"),
        ("smtp", vec![("MAILROOM_SMTP_URL", "http://hunter2")], "must begin with smtps://"),
        ("smtp", vec![("MAILROOM_SMTP_URL", "smtp://u@localhost")], "MAILROOM_SMTP_PASSWORD"),
        ("postmark", vec![("MAILROOM_POSTMARK_TOKEN", "hunter2 x")], "MAILROOM_POSTMARK_TOKEN: "),
        (
            "postmark",
            vec![("MAILROOM_POSTMARK_URL", "http://x.example")],
            "MAILROOM_POSTMARK_URL: ",
        ),
        (
            "postmark",
            vec![("MAILROOM_POSTMARK_URL", "https://x.example:99999")],
            "MAILROOM_POSTMARK_URL: ",
        ),
        ("smtp", vec![("MAILROOM_SMTP_URL", "smtp://localhost?ca=/no/such.pem")], "/no/such.pem"),
        ("pigeon", vec![], "must be `ses` or `smtp` or `postmark`"),
    ] {
        let mut program = send(transport);
        for (name, value) in variables {
            program = program.env(name, value);
        }
        let finished = program.input("");
        assert_eq!(finished.code, Some(78), "{transport}: {}", finished.log);
        assert!(finished.log.contains(wanted), "{transport}: {}", finished.log);
        assert!(!finished.log.contains("hunter2"), "{}", finished.log);
    }
    // A spare that is half configured keeps nobody from starting.
    let endpoint = Endpoint::start();
    let finished = Program::send(&endpoint.url())
        .env("MAILROOM_SMTP_URL", "nonsense")
        .env("MAILROOM_POSTMARK_TOKEN", " ")
        .input(record("john"));
    assert_eq!(finished.code, Some(0), "{}", finished.log);
}

#[test]
fn a_template_that_is_missing_at_the_start_holds_its_kind_and_nothing_else() {
    let (server, dir) = (MailServer::plain(), templates());
    let lost = dir.path().join("activationv1.html");
    let html = std::fs::read(&lost).unwrap();
    std::fs::remove_file(&lost).unwrap();
    let database = Database::migrated();
    let settings = |program: Program| {
        program
            .env("MAILROOM_TRANSPORT", "smtp")
            .env("MAILROOM_SMTP_URL", server.url("", std::path::Path::new("")))
            .env("MAILROOM_TEMPLATE_DIR", dir.path())
    };
    let run = settings(Program::run(&database, "")).window(100).start();
    run.wait_log("the template of action 1: ");
    assert!(run.log().contains("activationv1.html: No such file"), "{}", run.log());
    database.accounts("user", 1);
    wait_until("the kind is held", || {
        let held = "SELECT count(*) FROM deliveries WHERE cause = 'template' AND attempts = 0";
        database.number(held) == 1
    });
    database.run("SELECT send_mail('password_recovery', 'ann@example.com')");
    wait_until("another kind goes", || server.mails().len() == 1);
    assert_eq!(server.mails()[0].to, "ann@example.com");
    let check = settings(Program::new(&["check"]).on(&database))
        .env("MAILROOM_SECRET_KEY", "00".repeat(32));
    let check = check.output();
    assert_eq!(check.code, Some(78), "{}", check.log);
    assert!(check.out.contains("activationv1.html"), "{}", check.out);
    // A person mends it; the next start, or the next probe, finds that.
    std::fs::write(&lost, html).unwrap();
    assert_eq!(run.stop().code, Some(0));
    let run = settings(Program::run(&database, "")).window(100).start();
    wait_until("it goes", || server.mails().len() == 2);
    let finished = run.stop();
    assert_eq!(finished.code, Some(0));
    assert!(!finished.log.contains("the template of action"), "{}", finished.log);
}

#[test]
fn debug_mode_names_the_provider_and_sends_nothing() {
    let (server, dir) = (MailServer::plain(), templates());
    let finished = send("smtp")
        .env("MAILROOM_SMTP_URL", server.url("", std::path::Path::new("")))
        .env("MAILROOM_TEMPLATE_DIR", dir.path())
        .env("MAILROOM_DEBUG", "true")
        .input(record("john"));
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert!(finished.out.starts_with(&format!("SMTP localhost:{}\n", server.port())));
    assert!(finished.out.contains("to john@example.com") && !finished.out.contains(TOKEN));
    assert_eq!(server.connections(), 0);
}
