//! Access tokens in place of a password: from a file and from a command, read at each connection.

use super::templates;
use crate::support::mailserver::{MailServer, Tls};
use crate::support::program::{KEY, Program, wait_until};
use crate::support::records::activations;
use std::path::Path;

/// What no log may show.
const TOKEN: &str = "ya29.first-token";
const RENEWED: &str = "ya29.second-token";

fn put(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// A server that takes one mail on each connection, and a directory with its authority.
fn server() -> (MailServer, tempfile::TempDir) {
    let server = MailServer::start(Tls::Offered, Some(("user@example.com", TOKEN)));
    let dir = templates();
    put(&dir.path().join("ca.pem"), &server.ca);
    server.limit(1);
    (server, dir)
}

fn send(server: &MailServer, dir: &Path) -> Program {
    Program::send("")
        .env("MAILROOM_TRANSPORT", "smtp")
        .env("MAILROOM_SMTP_URL", server.url("user%40example.com@", &dir.join("ca.pem")))
        .env("MAILROOM_TEMPLATE_DIR", dir)
        .env("MAILROOM_BATCH_LIMIT", "1")
}

#[test]
fn a_token_comes_from_a_file_or_a_command_and_is_read_at_each_connection() {
    let (server, dir) = server();
    let file = dir.path().join("to ken");
    put(&file, &format!("{TOKEN}\n"));
    let by_file = send(&server, dir.path()).env("MAILROOM_SMTP_TOKEN_FILE", &file);
    let line = format!("cat '{}'", file.display());
    let by_command = send(&server, dir.path()).env("MAILROOM_SMTP_TOKEN_COMMAND", line);
    for mut send in [by_file, by_command].map(Program::start) {
        let before = server.mails().len();
        put(&file, TOKEN);
        server.renew(TOKEN);
        send.write(activations("one", 1));
        wait_until("it is sent", || server.mails().len() == before + 1);
        // The file is late: what was good before and is refused now passes.
        server.renew(RENEWED);
        send.write(activations("two", 1));
        send.wait_log("535 at login");
        put(&file, RENEWED);
        wait_until("it is sent with the new one", || server.mails().len() == before + 2);
        let finished = send.stop();
        assert_eq!(finished.code, Some(0), "{}", finished.log);
        assert!(!finished.log.contains("held"), "{}", finished.log);
        assert!(!finished.log.contains("ya29"), "{}", finished.log);
    }
    assert!(server.mails().iter().all(|mail| mail.user.as_deref() == Some("user@example.com")));
}

#[test]
fn a_token_that_was_never_good_holds_everything() {
    let (server, dir) = server();
    for (name, value, why) in [
        ("MAILROOM_SMTP_TOKEN", "ya29.wrong", "535 at login"),
        ("MAILROOM_SMTP_TOKEN_COMMAND", "printf 'ya29.one ya29.two'", "and nothing else"),
        ("MAILROOM_SMTP_TOKEN_COMMAND", "/no/such/program", "cannot start"),
    ] {
        let mut send = send(&server, dir.path()).env(name, value).start();
        send.write(activations("one", 1));
        send.wait_log("status=held");
        let finished = send.stop();
        assert!(finished.log.contains(why), "{}", finished.log);
        assert!(!finished.log.contains("ya29"), "{}", finished.log);
    }
    // One that fails by itself, as when there is no network, is asked again.
    let mut send = send(&server, dir.path()).env("MAILROOM_SMTP_TOKEN_COMMAND", "false").start();
    send.write(activations("one", 1));
    send.wait_log("it ended with exit status: 1");
    let finished = send.stop();
    assert!(finished.log.contains("status=retry"), "{}", finished.log);
    assert!(server.mails().is_empty());
}

#[test]
fn a_command_sees_its_own_variables_and_none_of_ours() {
    let (server, dir) = server();
    let seen = dir.path().join("seen");
    let line = format!("sh -c 'env >\"$0\"; echo {TOKEN}' {}", seen.display());
    let mut send = send(&server, dir.path())
        .env("MAILROOM_SMTP_TOKEN_COMMAND", line)
        .env("MAILROOM_SECRET_KEY", KEY)
        .env("PGPASSWORD", "hunter2")
        .env("AZURE_CLIENT_ID", "its own")
        .start();
    send.write(activations("one", 1));
    wait_until("it is sent", || server.mails().len() == 1);
    assert_eq!(send.stop().code, Some(0));
    let seen = std::fs::read_to_string(seen).unwrap();
    for name in ["PATH=", "HOME=", "AZURE_CLIENT_ID=its own\n"] {
        assert!(seen.contains(name), "{seen}");
    }
    for word in ["MAILROOM", "PGPASSWORD", KEY, "hunter2"] {
        assert!(!seen.contains(word), "{seen}");
    }
}

#[test]
fn a_password_and_a_token_do_not_go_together() {
    let (server, dir) = server();
    let two = send(&server, dir.path())
        .env("MAILROOM_SMTP_PASSWORD", "hunter2")
        .env("MAILROOM_SMTP_TOKEN", TOKEN)
        .input("");
    assert_eq!(two.code, Some(78));
    assert!(two.log.contains("MAILROOM_SMTP_TOKEN: one of "), "{}", two.log);
    assert!(!two.log.contains("hunter2") && !two.log.contains("ya29"), "{}", two.log);
}
