//! Settings, help, and how the program ends when they are wrong.

mod database;

use crate::support::cluster::Database;
use crate::support::program::{Finished, KEY, Program};
use mailroom::ops::cli::help::{COMMANDS, help};
use mailroom::ops::config::VARS;
use std::fmt::Write as _;

/// A database that nobody can reach: connecting there would be tried for ever.
const NOWHERE: &str = "host=127.0.0.1 port=9 dbname=x user=x password=hunter2secret";

fn collect(words: &[&str]) -> Program {
    Program::new(&[&["collect"], words].concat())
        .env("MAILROOM_DATABASE_URL", NOWHERE)
        .env("MAILROOM_SECRET_KEY", KEY)
}

fn assert_refused(finished: &Finished, code: i32, texts: &[&str]) {
    assert_eq!(finished.code, Some(code), "{}", finished.log);
    assert_eq!(finished.out, "", "something was written to standard output");
    for text in texts {
        assert!(finished.log.contains(text), "no {text:?} in:\n{}", finished.log);
    }
}

/// A line for each problem that names its variable first, and no other line.
fn assert_problems(finished: &Finished, names: &[&str]) {
    assert_refused(finished, 78, &[]);
    let mut named: Vec<&str> = finished
        .log
        .lines()
        .map(|line| line.split_once("ERROR: ").map_or(line, |(_, problem)| problem))
        .filter_map(|line| line.strip_prefix("mailroom: ").unwrap_or(line).split(':').next())
        .collect();
    named.sort_unstable();
    let mut names = names.to_vec();
    names.sort_unstable();
    assert_eq!(named, names, "{}", finished.log);
}

#[test]
fn a_connection_string_that_is_wrong_is_told_with_the_rest_and_so_is_a_misspelt_name() {
    let run = Program::new(&["run"])
        .env("MAILROOM_DATABASE_URL", "hots=x")
        .env("MAILROOM_SECRET_KEY", "00".repeat(32))
        .env("MAILROOM_BATCH_LIMIT", "100")
        .env("MAILROOM_BATCH_LIMITS", "1");
    let finished = run.output();
    assert_eq!(finished.code, Some(78), "{}", finished.log);
    for told in ["MAILROOM_BATCH_LIMIT:", "MAILROOM_DATABASE_URL:", "MAILROOM_BATCH_LIMITS is no"] {
        assert!(finished.log.contains(told), "no {told:?} in {}", finished.log);
    }
}

#[test]
fn help_for_a_command_that_is_not_there_names_the_help_that_lists_them() {
    let finished = Program::new(&["help", "fetch"]).on_nothing().output();
    assert_eq!(finished.code, Some(64));
    assert!(finished.log.ends_with("see `mailroom help`\n"), "{}", finished.log);
}

#[test]
fn all_problems_are_reported_at_once_by_name_and_without_the_secrets() {
    let secret = "0123456789abcdefX".repeat(4);
    let bad = [
        ("MAILROOM_SECRET_KEY", secret.as_str()),
        ("MAILROOM_BATCH_LIMIT", "51"),
        ("MAILROOM_BATCH_TIMEOUT", "0"),
        ("MAILROOM_MAX_ATTEMPTS", "none"),
        ("MAILROOM_LEASE", "-1"),
        ("MAILROOM_RETENTION", "30 days"),
        ("MAILROOM_TRANSPORT", "pigeon"),
        ("MAILROOM_DEBUG", "yes"),
        ("MAILROOM_SES_SOURCE", "nobody"),
        ("MAILROOM_SES_OUTPUT_PATH", ""),
        ("MAILROOM_TEMPLATES", "1"),
        ("MAILROOM_SEND_RATE", "NaN"),
        ("MAILROOM_DAILY_LIMIT", "0"),
        ("MAILROOM_LOG_FORMAT", "xml"),
        ("MAILROOM_LOG_LEVEL", "trace"),
        ("MAILROOM_QUEUE_NAME", ""),
    ];
    let mut run = Program::new(&["run", "--channel-name", ""]);
    for (name, value) in bad {
        run = run.env(name, value);
    }
    let names: Vec<&str> = bad
        .iter()
        .map(|(name, _)| *name)
        .chain(["MAILROOM_DATABASE_URL", "MAILROOM_CHANNEL_NAME"])
        .collect();
    let finished = run.output();
    assert_problems(&finished, &names);
    assert!(!finished.log.contains("0123456789abcdef"), "{}", finished.log);
    assert!(finished.log.contains("\"pigeon\""), "the value of no secret is not shown");
}

#[test]
fn what_ses_would_refuse_with_every_mail_is_refused_at_the_start() {
    let long = "x".repeat(65);
    for (name, value) in [
        ("MAILROOM_SES_CONFIG_SET", "my set"),
        ("MAILROOM_SES_CONFIG_SET", "caf\u{e9}"),
        ("MAILROOM_SES_CONFIG_SET", &long),
        ("MAILROOM_SES_SOURCE", "A\nB <noreply@example.com>"),
    ] {
        assert_problems(&Program::new(&["send"]).env(name, value).output(), &[name]);
    }
}

#[test]
fn what_a_provider_reads_by_itself_is_told_with_the_rest() {
    let bad = |program: Program| {
        program.env("AWS_REGION", "Bad Region").env("HTTPS_PROXY", "socks5://127.0.0.1:1")
    };
    let all_right = bad(Program::send("http://127.0.0.1:9")).input("");
    assert_eq!(all_right.code, Some(78));
    let wrong = bad(Program::new(&["send", "--batch-limit", "51"])).output();
    assert_eq!(wrong.code, Some(64), "{}", wrong.log);
    let wrong = bad(Program::new(&["run", "--batch-limit", "51"])).output();
    for finished in [all_right, wrong] {
        for name in ["AWS_REGION", "HTTPS_PROXY", "MAILROOM_TRANSPORT: is ses"] {
            assert_eq!(finished.log.matches(name).count(), 1, "{}", finished.log);
        }
    }
    let smtp = Program::new(&["run", "--transport", "smtp"])
        .env("MAILROOM_SMTP_URL", "smtp://127.0.0.1:9?tls=none")
        .env("MAILROOM_TEMPLATE_DIR", "/nowhere")
        .output();
    for part in ["MAILROOM_DATABASE_URL", "/nowhere/activationv1.subject", "recoveryv1.subject"] {
        assert!(smtp.log.contains(part), "no {part} in:\n{}", smtp.log);
    }
    let debug = Program::new(&["send", "--transport", "smtp", "--debug"])
        .env("MAILROOM_SMTP_URL", "smtp://127.0.0.1:9?tls=none")
        .env("MAILROOM_TEMPLATE_DIR", "/nowhere")
        .output();
    // What is wrong with a template holds its mails alone.
    assert_eq!(debug.code, Some(0), "{}", debug.log);
    assert!(debug.log.contains("/nowhere/activationv1.subject"), "{}", debug.log);
}

#[test]
fn a_secret_in_a_place_where_none_belongs_is_not_shown() {
    let secret = "hunter2:/%";
    let words = [
        vec![format!("--secret-key={secret}")],
        vec![format!("--database-url=postgres://u:{secret}@h/db")],
        vec!["--postmark-token".to_owned(), secret.to_owned()],
        vec![format!("MAILROOM_SECRET_KEY={secret}")],
        vec![secret.to_owned()],
    ];
    for words in words {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        for words in [[&["run"][..], &words].concat(), words] {
            let finished = Program::new(&words).on_nothing().output();
            assert_eq!(finished.code, Some(64), "{words:?}: {}", finished.log);
            assert!(!finished.log.contains("hunter2"), "{words:?}: {}", finished.log);
        }
    }
    let flag = Program::new(&["run", "--secret-key=x"]).on_nothing().output();
    let told = "a secret has no flag: set MAILROOM_SECRET_KEY, or MAILROOM_SECRET_KEY_FILE";
    assert!(flag.log.contains(told), "{}", flag.log);
}

#[test]
fn an_empty_file_and_quotes_that_nobody_takes_away_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("MAILROOM_SECRET_KEY");
    std::fs::write(&empty, "\n").unwrap();
    let empty_is_told = format!("MAILROOM_SECRET_KEY: {} is empty", empty.display());
    let credential = collect(&[]).without("MAILROOM_SECRET_KEY");
    let credential = credential.env("CREDENTIALS_DIRECTORY", dir.path()).output();
    assert!(credential.log.contains(&empty_is_told), "{}", credential.log);
    let file = collect(&[]).env("MAILROOM_SECRET_KEY", "").env("MAILROOM_SECRET_KEY_FILE", &empty);
    let file = file.output();
    assert!(file.log.contains("MAILROOM_SECRET_KEY_FILE: ") && file.log.contains(" is empty"));
    let quoted = collect(&[]).env("MAILROOM_SECRET_KEY", format!("\"{}\"", "ab".repeat(32)));
    let quoted = quoted.output();
    assert!(quoted.log.contains("the quotes around it are part of the value"), "{}", quoted.log);
}

#[test]
fn what_is_required_is_asked_for_by_name() {
    assert_problems(
        &Program::new(&["collect"]).output(),
        &["MAILROOM_DATABASE_URL", "MAILROOM_SECRET_KEY"],
    );
    let verify = Program::new(&["verify", "x"]).env("MAILROOM_SECRET_KEY_PREVIOUS", "short");
    assert_problems(&verify.output(), &["MAILROOM_SECRET_KEY", "MAILROOM_SECRET_KEY_PREVIOUS"]);
    let send = Program::send("http://127.0.0.1:9").env("MAILROOM_ACK", "sent");
    assert_problems(&send.input(""), &["MAILROOM_DATABASE_URL"]);
}

#[test]
fn the_healthcheck_may_not_come_before_the_batch_timeout() {
    let finished = collect(&["--healthcheck-interval", "4999"]).output();
    assert_problems(&finished, &["MAILROOM_HEALTHCHECK_INTERVAL"]);
    assert!(finished.log.contains("MAILROOM_BATCH_TIMEOUT (5000 ms)"), "{}", finished.log);
    // One mistake is one problem.
    let finished = collect(&["--healthcheck-interval", "soon"]).output();
    assert_problems(&finished, &["MAILROOM_HEALTHCHECK_INTERVAL"]);
    let finished = collect(&["--batch-timeout", "soon"]).output();
    assert_problems(&finished, &["MAILROOM_BATCH_TIMEOUT"]);
}

#[test]
fn a_secret_may_come_from_a_file_or_from_systemd_but_not_from_two_places() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| {
        std::fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name)
    };
    let token = "A".repeat(86);
    let verify = || Program::new(&["verify", &token]);
    for text in [format!("{KEY}\n"), KEY.to_uppercase(), format!("{KEY}\r\n")] {
        let file = write("key", text.as_bytes());
        let finished = verify().env("MAILROOM_SECRET_KEY_FILE", &file).output();
        // The key is taken, and did not sign this.
        assert_eq!(finished.code, Some(1), "{text:?}: {}", finished.log);
    }
    write("MAILROOM_SECRET_KEY", format!("{KEY}\n").as_bytes());
    let finished = verify().env("CREDENTIALS_DIRECTORY", dir.path()).output();
    assert_eq!(finished.code, Some(1), "{}", finished.log);

    let file = write("key", format!("{KEY}\n").as_bytes());
    let both = verify().env("MAILROOM_SECRET_KEY", KEY).env("MAILROOM_SECRET_KEY_FILE", &file);
    let both = both.output();
    assert_problems(&both, &["MAILROOM_SECRET_KEY"]);
    assert!(both.log.contains("set it or MAILROOM_SECRET_KEY_FILE, not both"), "{}", both.log);
    let missing = verify().env("MAILROOM_SECRET_KEY_FILE", dir.path().join("none")).output();
    assert_problems(&missing, &["MAILROOM_SECRET_KEY_FILE"]);
    let twice = write("key", format!("{KEY}\n\n").as_bytes());
    let twice = verify().env("MAILROOM_SECRET_KEY_FILE", twice).output();
    assert_problems(&twice, &["MAILROOM_SECRET_KEY"]);
    for endless in ["/dev/zero".into(), write("key", &[b'a'; 64 * 1024 + 1])] {
        let endless = verify().env("MAILROOM_SECRET_KEY_FILE", endless).output();
        assert_problems(&endless, &["MAILROOM_SECRET_KEY_FILE"]);
        assert!(endless.log.contains("more than 65536 bytes"), "{}", endless.log);
    }
    let binary = write("key", b"\xff\xfe");
    let binary = verify().env("MAILROOM_SECRET_KEY_FILE", binary).output();
    assert_problems(&binary, &["MAILROOM_SECRET_KEY_FILE"]);
}

#[test]
fn a_flag_wins_over_the_environment() {
    let finished = collect(&["--batch-limit", "77", "--lease=x"])
        .env("MAILROOM_BATCH_LIMIT", "88")
        .env("MAILROOM_LEASE", "100")
        .output();
    assert_problems(&finished, &["MAILROOM_BATCH_LIMIT", "MAILROOM_LEASE"]);
    assert!(finished.log.contains("\"77\"") && !finished.log.contains("88"), "{}", finished.log);
    let debug = Program::new(&["send", "--debug"]).env("MAILROOM_DEBUG", "false").input("");
    assert_eq!(debug.code, Some(0), "{}", debug.log);
    assert!(debug.log.contains("debug=true"), "{}", debug.log);
}

#[test]
fn a_value_that_is_not_utf_8_is_refused_by_name() {
    use std::os::unix::ffi::OsStrExt as _;
    let value = std::ffi::OsStr::from_bytes(b"\xff");
    let finished = collect(&[]).env("MAILROOM_CHANNEL_NAME", value).output();
    assert_problems(&finished, &["MAILROOM_CHANNEL_NAME"]);
}

#[test]
fn a_wrong_command_line_ends_with_status_64_and_a_hint() {
    for words in [
        &["collect", "--no-such-flag"][..],
        &["collect", "--ses-source", "a@example.com"],
        &["collect", "surplus"],
        &["collect", "--batch-limit"],
        &["send", "--database-url", "x"],
        &["collect", "--secret-key", "x"],
        &["fetch"],
        &["--no-such-flag"],
        &["migrate"],
        &["migrate", "sideways"],
        &["queue", "sideways"],
        &["template", "sideways"],
        &["verify", "a", "--code", "abc"],
        &["migrate", "down", "0"],
        &["migrate", "down", "x"],
        &["migrate", "force"],
        &["verify", "a", "b"],
        &[],
    ] {
        let finished = Program::new(words).on_nothing().output();
        assert_refused(&finished, 64, &["see `mailroom help"]);
        let lines = finished.log.lines();
        assert!(lines.clone().all(|line| line.starts_with("mailroom: ")), "{}", finished.log);
        assert_eq!(lines.count(), 2, "what is wrong, and where to read on: {}", finished.log);
    }
}

#[test]
fn a_command_that_a_person_started_ends_with_its_name_and_a_daemon_with_a_line_of_its_log() {
    for words in [&["migrate", "status"][..], &["status"], &["queue", "list"], &["health"]] {
        let finished = Program::new(words).output();
        assert_refused(&finished, 78, &[]);
        assert!(finished.log.starts_with("mailroom: MAILROOM_DATABASE_URL: "), "{}", finished.log);
        // In JSON where that is wished, whether a setting is wrong or the database is away.
        for url in ["", "host=/nowhere dbname=x user=x"] {
            let json = Program::new(words)
                .env("MAILROOM_DATABASE_URL", url)
                .env("MAILROOM_LOG_FORMAT", "json")
                .output();
            assert!(json.code.is_some_and(|code| code != 0) && !json.log.is_empty());
            for line in json.log.lines() {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(line["level"], "error", "{line}");
            }
        }
    }
    for (command, unit) in [("collect", "COLLECT"), ("send", "SEND"), ("run", "RUN")] {
        let finished = Program::new(&[command])
            .env("MAILROOM_BATCH_LIMIT", "0")
            .env("MAILROOM_SEND_RATE", "0")
            .output();
        assert_eq!(finished.code, Some(78), "{}", finished.log);
        for line in finished.log.lines() {
            assert!(line.contains(&format!(" [{unit}] ERROR: MAILROOM_")), "{line}");
        }
    }
}

impl Program {
    /// Whatever the words are, the settings are not at fault.
    fn on_nothing(self) -> Program {
        self.env("MAILROOM_DATABASE_URL", NOWHERE).env("MAILROOM_SECRET_KEY", KEY)
    }
}

#[test]
fn help_of_a_command_names_exactly_the_settings_that_it_reads() {
    for command in COMMANDS {
        let by_word = Program::new(&["help", command.name]).output();
        let by_flag = Program::new(&[command.name, "--help"]).output();
        assert_eq!(by_word.code, Some(0));
        assert_eq!((&by_word.out, by_flag.code), (&help(Some(command.name)), Some(0)));
        assert_eq!(by_word.out, by_flag.out);
        assert!(by_word.out.starts_with(command.usage()), "{}", by_word.out);
        // Names stand at the beginning of their lines; meanings may mention others.
        let named: Vec<&str> = by_word
            .out
            .lines()
            .filter_map(|line| line.strip_prefix("  MAILROOM_")?.split(' ').next())
            .collect();
        let read: Vec<&str> = VARS
            .iter()
            .filter(|var| var.used_by.contains(&command.name))
            .map(|var| var.name.strip_prefix("MAILROOM_").unwrap())
            .collect();
        assert_eq!(named, read, "{}", command.name);
        for var in VARS.iter().filter(|var| var.used_by.contains(&command.name)) {
            let flag = var.flag.map_or(format!("{}_FILE", var.name), str::to_owned);
            assert!(by_word.out.contains(&flag), "{}: no {flag}", command.name);
        }
    }
}

#[test]
fn help_lists_every_command_and_goes_to_standard_output() {
    for words in [&["help"][..], &["--help"], &["-h"]] {
        let finished = Program::new(words).output();
        assert_eq!((finished.code, finished.log.as_str()), (Some(0), ""));
        assert_eq!(finished.out, help(None));
        for command in COMMANDS {
            assert!(finished.out.contains(command.summary()), "{}", command.name);
        }
    }
    for words in [["--version"], ["-V"]] {
        let finished = Program::new(&words).output();
        assert_eq!(finished.code, Some(0));
        assert_eq!(finished.out, format!("mailroom {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn every_setting_of_a_command_has_its_own_flag_and_a_name_like_it() {
    for var in VARS {
        assert!(var.name.starts_with("MAILROOM_"), "{}", var.name);
        let Some(flag) = var.flag else { continue };
        let expected = var.name["MAILROOM_".len()..].to_lowercase().replace('_', "-");
        // The one word that people type: `health --max-age`.
        let expected = if expected == "health-max-age" { "max-age" } else { &expected };
        assert_eq!(flag, format!("--{expected}"));
        for command in var.used_by {
            assert!(COMMANDS.iter().any(|known| known.name == *command), "{command}");
        }
    }
}

/// The table of settings, in Markdown, as it stands in docs/REFERENCE.md.
fn markdown() -> String {
    let mut out =
        "| name | flag | default | used by | meaning |\n| --- | --- | --- | --- | --- |\n"
            .to_owned();
    for var in VARS {
        let name = match var.is_secret() {
            true => format!("`{}` (`_FILE`)", var.name),
            false => format!("`{}`", var.name),
        };
        let flag = var.flag.map(|flag| format!("`{flag}`")).unwrap_or_default();
        let default = var.default.map(|value| format!("`{value}`")).unwrap_or_default();
        let used_by = var.used_by.join(" ");
        let _ = writeln!(out, "| {name} | {flag} | {default} | {used_by} | {} |", var.meaning);
    }
    out
}

#[test]
fn the_table_of_settings_is_the_one_in_the_program() {
    let root = env!("CARGO_MANIFEST_DIR");
    let path = format!("{root}/docs/REFERENCE.md");
    let document = std::fs::read_to_string(&path).expect("it is there");
    let (before, rest) = document.split_once("<!-- settings -->\n").expect("it marks them");
    let (table, after) = rest.split_once("<!-- /settings -->").expect("and their end");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let new = format!("{before}<!-- settings -->\n{}<!-- /settings -->{after}", markdown());
        std::fs::write(path, new).unwrap();
        return;
    }
    assert_eq!(table.trim(), markdown().trim(), "UPDATE_GOLDEN=1 writes it again");
}

#[test]
fn the_document_has_every_exit_status_and_no_other() {
    use mailroom::mail::error::Kind::{Bug, Config, Data, Io, No, Temporary, Unavailable, Usage};
    let document = include_str!("../docs/REFERENCE.md");
    let (_, rest) = document.split_once("| exit status | meaning |\n").expect("there is a table");
    let (table, _) = rest.split_once("\n\n").expect("and its end");
    let rows = table.lines().skip(1).filter_map(|line| line.split('|').nth(1)?.trim().parse().ok());
    let told: Vec<u8> = rows.collect();
    let kinds = [No, Usage, Data, Unavailable, Bug, Io, Temporary, Config];
    let statuses: Vec<u8> = std::iter::once(0).chain(kinds.map(|kind| kind as u8)).collect();
    assert_eq!(told, statuses);
}

#[test]
fn a_file_of_variables_is_read_as_the_service_reads_it() {
    let database = Database::migrated();
    let file = tempfile::NamedTempFile::new().unwrap();
    let name = file.path().to_str().unwrap();
    let text = format!(
        "# as a service has it\nMAILROOM_DATABASE_URL=\"{}\"\n\
         MAILROOM_SES_SOURCE=Mail & Room <noreply@example.com>\nMAILROOM_QUEUE_NAME=nobodys\n\
         MAILROOM_QEUE_NAME=x\nexport MAILROOM_LOG_LEVEL=debug\n",
        database.url
    );
    std::fs::write(file.path(), text).unwrap();
    let status = |words: &[&str]| {
        let program = Program::new(&[&["--env-file", name, "status"], words].concat());
        program.env("MAILROOM_DATABASE_URL", "host=/nowhere").output()
    };
    let finished = status(&["--queue-name", "mailroom"]);
    assert_eq!(finished.code, Some(0), "flag, file, environment: {}", finished.log);
    for name in ["MAILROOM_QEUE_NAME", "export MAILROOM_LOG_LEVEL"] {
        assert!(finished.log.contains(&format!("{name} is no setting")), "{}", finished.log);
    }
    let finished = status(&[]);
    assert_eq!(finished.code, Some(78));
    assert!(finished.log.contains("nobodys"), "{}", finished.log);
    let missing = Program::new(&["--env-file", "/no/such/file", "status"]).output();
    assert_eq!(missing.code, Some(78));
    assert!(missing.log.contains("--env-file: /no/such/file cannot be read"), "{}", missing.log);
}

#[test]
fn a_reader_that_is_gone_is_an_error_of_the_output() {
    for words in [&["help"][..], &["--version"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(Program::new(words).stdout(writer).output().code, Some(74));
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let finished = Program::new(words).stdout(full).output();
        assert_eq!(finished.code, Some(74));
        assert!(finished.log.contains("No space left"), "{}", finished.log);
    }
}

#[test]
fn looking_without_a_pause_is_refused() {
    let run = Program::new(&["run"]).env("MAILROOM_POLL", "0s").output();
    assert_eq!(run.code, Some(78));
    assert!(run.log.contains("MAILROOM_POLL: must be a number"), "{}", run.log);
    assert!(run.log.contains("at least 1s"), "{}", run.log);
}

#[test]
fn a_retention_that_goes_back_beyond_the_moments_of_postgresql_is_refused() {
    let run = Program::new(&["run"]).env("MAILROOM_RETENTION", "36501d");
    let finished = run.env("MAILROOM_DATABASE_URL", "dbname=x").output();
    assert_eq!(finished.code, Some(78), "{}", finished.log);
    assert!(finished.log.contains("at most 36500d"), "{}", finished.log);
}
