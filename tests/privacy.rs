//! Nothing secret is in a log, at any level, in either format, however badly things go.

use crate::support::cluster::Database;
use crate::support::endpoint::{Endpoint, Mail, Reply};
use crate::support::program::{KEY, Program, wait_until};
use crate::support::records::{activation, activations, record, token};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const PASSWORD: &str = "pass-hunter2-word";
const SESSION: &str = "FwoGZXIvYXdzEXAMPLEsessionToken";
const AWS_SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// What a provider may say: it quotes what it was sent.
fn rude(quoted: &[String]) -> Vec<Reply> {
    let quoted = quoted.join(" ");
    vec![
        Reply::error(409, "ConcurrentModificationException", &quoted),
        Reply::Full(503, Vec::new(), quoted.clone()),
        Reply::AcceptThenBody("not JSON"),
        Reply::Truncated,
        Reply::Reset,
        Reply::Fewer(1),
        Reply::Statuses(vec![("FAILED", "user1@example.com is bad"), ("MESSAGE_REJECTED", "x")]),
    ]
}

/// The program at its most talkative, with everything that must not be shown.
fn talkative(program: Program, format: &str, level: &str) -> Program {
    program
        .env("MAILROOM_LOG_LEVEL", level)
        .env("MAILROOM_LOG_FORMAT", format)
        .env("AWS_SESSION_TOKEN", SESSION)
        .env("MAILROOM_SECRET_KEY", KEY)
}

fn with_password(database: &Database) -> Database {
    Database { name: database.name.clone(), url: format!("{} password={PASSWORD}", database.url) }
}

/// Fails if the log shows anything that it must not.
fn assert_private(log: &str, tokens: &[String], codes: &[String], level: &str) {
    let hidden =
        [KEY, PASSWORD, SESSION, AWS_SECRET, "ReplacementTemplateData", "BulkEmailEntries"];
    for text in hidden {
        assert!(!log.contains(text), "{text} is in the log:\n{log}");
    }
    for token in tokens {
        let secret = &URL_SAFE_NO_PAD.decode(token).unwrap()[..32];
        for text in [token.clone(), hex::encode(secret), URL_SAFE_NO_PAD.encode(secret)] {
            assert!(!log.contains(&text), "a token or secret is in the log:\n{log}");
        }
    }
    for code in codes.iter().filter(|code| !code.is_empty()) {
        let digits = |c: char| c.is_ascii_digit();
        let shown = log.split(|c| !digits(c)).any(|number| number == code);
        assert!(!shown, "code {code} is in the log:\n{log}");
    }
    if level != "debug" {
        assert!(!log.contains("user1@example.com"), "an address is in the log:\n{log}");
    }
}

fn secrets(mails: &[Mail]) -> (Vec<String>, Vec<String>) {
    let text = |mail: &Mail, name: &str| mail.data[name].as_str().unwrap().to_owned();
    let tokens = mails.iter().map(|mail| text(mail, "secret")).collect();
    (tokens, mails.iter().map(|mail| text(mail, "code")).collect())
}

#[test]
fn run_and_collect_show_nothing_secret_however_the_provider_answers() {
    for (format, level) in [("text", "debug"), ("json", "debug"), ("text", "info")] {
        let database = Database::migrated();
        let endpoint = Endpoint::start();
        database.accounts("user", 10);
        database.recovery("other");
        let rows = database
            .client()
            .query("SELECT secret, coalesce(code, '') FROM tokens ORDER BY id", &[])
            .unwrap();
        let known: Vec<(String, String)> =
            rows.iter().map(|row| (hex::encode(row.get::<_, Vec<u8>>(0)), row.get(1))).collect();
        // The recovery goes first, in a call of its own.
        let (secret, code) = known.last().cloned().unwrap();
        for reply in rude(&[secret, code]) {
            endpoint.push(reply);
        }
        let with_password = with_password(&database);
        let run = Program::run(&with_password, &endpoint.url())
            .env("MAILROOM_BATCH_TIMEOUT", "50")
            .env("MAILROOM_MAX_ATTEMPTS", "100");
        let running = talkative(run, format, level).start();
        wait_until("everything is settled", || {
            // Not after as long a wait as some answers ask for.
            database.run("UPDATE deliveries SET due_at = now() WHERE state = 'pending'");
            database.run("NOTIFY token_insert");
            database.in_state("sent") + database.in_state("failed") == 11
        });
        let finished = running.stop();
        assert_eq!(finished.code, Some(0), "{}", finished.log);
        let (tokens, codes) = secrets(&endpoint.accepted());
        assert!(!tokens.is_empty());
        // The codes of the tokens that sign none are as secret.
        let codes = known.iter().map(|(_, code)| code.clone()).chain(codes).collect::<Vec<_>>();
        assert_private(&finished.log, &tokens, &codes, level);
        for (secret, _) in &known {
            assert!(!finished.log.contains(secret), "a secret is in the log:\n{}", finished.log);
        }
        assert!(finished.log.contains("ambiguous"), "{}", finished.log);

        database.accounts("again", 3);
        let collect = talkative(Program::collect(&with_password), format, level).start();
        let lines = collect.wait_lines(1);
        let finished = collect.stop();
        let messages = crate::support::program::messages(&lines[0]);
        let tokens: Vec<String> = messages.iter().map(|fields| fields[3].clone()).collect();
        assert_private(&finished.log, &tokens, &[], level);
    }
}

#[test]
fn send_shows_nothing_secret_of_what_is_bad_and_what_is_refused() {
    for (format, level) in [("text", "debug"), ("json", "debug"), ("json", "info")] {
        let endpoint = Endpoint::start();
        let code = "97531".to_owned();
        let tokens: Vec<String> = (1..=12).map(token).collect();
        let quoted = [tokens.as_slice(), std::slice::from_ref(&code)].concat();
        for reply in rude(&quoted) {
            endpoint.push(reply);
        }
        let mut recovery = activation("user1", 11);
        (recovery[0], recovery[4]) = ("2".to_owned(), code.clone());
        let mut long_code = activation("user1", 12);
        long_code[4] = format!("{code}{code}");
        let mut misplaced = activation("user1", 12);
        misplaced.swap(0, 3);
        let mut other = activation("user1", 12);
        other.swap(1, 3);
        let input = [
            record(recovery),
            activations("user", 3),
            record(long_code),
            record(misplaced),
            record(other),
            record([token(12).as_str(), &code, "user1@example.com"]),
            [1, 2, 3, 4, 5].map(|n| activations(&format!("more{n}-"), 2)).concat(),
            [b"\"".as_slice(), &activations("user", 2)].concat(),
        ]
        .concat();
        // Some answers ask for long waits; with one attempt nothing waits.
        let send = Program::send(&endpoint.url()).env("MAILROOM_MAX_ATTEMPTS", "1");
        let finished = talkative(send, format, level).input(&input);
        assert_eq!(finished.code, Some(65), "{}", finished.log);
        assert_private(&finished.log, &tokens, &[code], level);
    }
}

#[test]
fn a_password_is_shown_by_no_way_of_failing_to_connect() {
    for url in [
        format!("host=127.0.0.1 port=9 user=x password={PASSWORD}"),
        format!("postgres://x:{PASSWORD}@127.0.0.1:9/x"),
        format!("postgres://x:{PASSWORD}@no-such-host.invalid/x"),
        format!("postgres://x:{PASSWORD}@127.0.0.1:notaport/x"),
        format!("postgres://x:{PASSWORD}@[::1/x"),
        format!("host=x password='{PASSWORD}"),
        format!("password={PASSWORD} user"),
    ] {
        let database = Database { name: String::new(), url: url.clone() };
        let mut running = talkative(Program::collect(&database), "text", "debug").start();
        wait_until("it tried, or gave up", || {
            running.log().contains("failed") || !running.is_running()
        });
        let finished = if running.is_running() { running.stop() } else { running.finish() };
        assert_private(&finished.log, &[], &[], "debug");
        assert!(finished.log.lines().count() > 0, "{url}");
    }
}

#[test]
fn a_log_line_stays_one_line_and_json_stays_json() {
    let endpoint = Endpoint::start();
    endpoint.push(Reply::error(400, "SendingPausedException", "a\nb\u{1b}[31m\r\n{\"x\":1}"));
    let send = Program::send(&endpoint.url()).env("MAILROOM_LOG_FORMAT", "json");
    let mut send = send.start();
    send.write(activations("user", 1));
    send.wait_log("held");
    let finished = send.stop();
    for line in finished.log.lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect(line);
        for name in ["time", "level", "unit", "message"] {
            assert!(value[name].is_string(), "{line}");
        }
    }
}
