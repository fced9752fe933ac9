//! `mailroom list` and `mailroom publish`, as people use them.

use super::{database, state_of, subscribers};
use crate::support::cluster::Database;
use crate::support::endpoint::Endpoint;
use crate::support::program::{Finished, PATIENCE, Program, wait_until};

fn mailroom(database: &Database, words: &[&str]) -> Finished {
    Program::new(words).on(database).output()
}

fn good(database: &Database, words: &[&str]) -> String {
    let finished = mailroom(database, words);
    assert_eq!(finished.code, Some(0), "{words:?}: {}", finished.log);
    finished.out
}

fn refused(database: &Database, words: &[&str], code: i32, why: &str) {
    let finished = mailroom(database, words);
    assert_eq!(finished.code, Some(code), "{words:?}: {}", finished.log);
    assert!(finished.log.contains(why), "no {why:?} in {}", finished.log);
}

fn import(database: &Database, words: &[&str], text: &[u8]) -> Finished {
    let words = [&["list", "import", "news", "-"], words].concat();
    Program::new(&words).on(database).input(text)
}

#[test]
fn an_import_takes_what_makes_sense_and_says_which_lines_do_not() {
    let database = database();
    subscribers(&database, 3);
    database.run(
        "UPDATE subscribers SET state = 'unsubscribed' WHERE id = 1;
         UPDATE subscribers SET state = 'suppressed' WHERE id = 2;
         UPDATE subscribers SET state = 'pending' WHERE id = 3",
    );
    let text = b"name,address,locale,data\n\
        Ann,ann@example.com,de,\n\
        Left,S1@example.com,,\n\
        Gone,s2@example.com,,\n\
        \"Asked,\nbefore\",s3@example.com,,\"{\"\"plan\"\": \"\"x\"\"}\"\n\
        Nobody,nobody,,\n\
        \xff\xff,utf@example.com,,\n\
        Bad,bad@example.com,../de,\n\
        Bad,bad@example.com,,[1]\n\
        Ours,ours@example.com,,\"{\"\"secret\"\": 1}\"\n\
        Ann B,ANN@example.com,fr,\n\
        Short\n";
    for _ in 0..2 {
        let done = import(&database, &["--confirmed"], text);
        assert_eq!((done.code, done.out.as_str()), (Some(65), "3 on the list\n"), "{}", done.log);
        let lines: Vec<&str> = done.log.lines().collect();
        for (at, why) in [
            (3, "it left the list"),
            (4, "it is suppressed"),
            (7, "the address has no @"),
            (8, "it is not UTF-8"),
            (9, "its locale is not allowed"),
            (10, "data is no JSON object"),
            (11, "its data is not allowed"),
            (13, "there is no address"),
        ] {
            let line = format!("mailroom: line {at} was not taken: {why}");
            assert!(lines.contains(&line.as_str()), "no {line:?} in {lines:#?}");
        }
        assert_eq!(lines.last(), Some(&"mailroom: lines that were not taken: 8"));
        assert_eq!(lines.len(), 9, "{lines:#?}");
    }
    assert_eq!(state_of(&database, "s3@example.com"), "confirmed");
    let ann = "SELECT count(*) FROM subscribers WHERE address = 'ANN@example.com' AND locale = 'fr'
        AND data = '{\"name\": \"Ann B\"}' AND confirmed_at IS NOT NULL AND how = 'import'";
    assert_eq!(database.number(ann), 1);
    assert_eq!(
        good(&database, &["list", "show"]),
        "news: 2 confirmed, 0 pending, 1 unsubscribed, 1 suppressed\n"
    );
    // What was written out can be taken elsewhere; who is not confirmed is not.
    let out = good(&database, &["list", "export", "news"]);
    assert_eq!(out.lines().next().unwrap(), mailroom::lists::file::COLUMNS.join(","));
    let other = super::database();
    let done = import(&other, &["--confirmed"], out.as_bytes());
    assert_eq!((done.code, done.out.as_str()), (Some(65), "2 on the list\n"), "{}", done.log);
    let same = "SELECT count(*) FROM subscribers
        WHERE address = 's3@example.com' AND data = '{\"plan\": \"x\", \"name\": \"Asked,\\nbefore\"}'";
    assert_eq!(other.number(same), 1, "{out}");
}

#[test]
fn a_quote_that_is_never_closed_takes_nobody_off_the_list_in_silence() {
    let database = database();
    let text = "address,name\nann@example.com,Ann\njoe@example.com,\"Joe\nbob@example.com,Bob";
    for end in ["", "\n", "\r\n"] {
        let done = import(&database, &["--confirmed"], format!("{text}{end}").as_bytes());
        assert_eq!((done.code, done.out.as_str()), (Some(65), "1 on the list\n"), "{}", done.log);
        let why = "line 3 was not taken: it holds a NUL, or a quote in it is never closed";
        assert!(done.log.contains(why), "{}", done.log);
    }
    let more = "address,name\nbob@example.com,Smith, Bob\njoe@example.com,Joe,\n";
    let done = import(&database, &["--confirmed"], more.as_bytes());
    assert_eq!((done.code, done.out.as_str()), (Some(65), "1 on the list\n"), "{}", done.log);
    assert!(done.log.contains("line 2 was not taken: it has more fields"), "{}", done.log);
}

#[test]
fn an_import_that_is_not_confirmed_asks_each_by_mail() {
    let database = database();
    subscribers(&database, 1);
    let done = import(&database, &[], b"address\na@example.com\ns1@example.com\nb@example.com\n");
    assert_eq!(done.code, Some(0), "{}", done.log);
    assert_eq!(done.out, "3 asked by mail, unless they are on it\n");
    assert_eq!(database.number("SELECT count(*) FROM deliveries WHERE kind = 'news.confirm'"), 2);
    assert_eq!(state_of(&database, "a@example.com"), "pending");
    // A file asks nobody who left, and nobody who is suppressed.
    database.run(
        "UPDATE subscribers SET state = 'unsubscribed', data = '{\"plan\": \"x\"}'
          WHERE address = 's1@example.com';
         UPDATE subscribers SET state = 'suppressed' WHERE address = 'a@example.com'",
    );
    let done = import(&database, &[], b"address\nA@example.com\nS1@example.com\nc@example.com\n");
    assert_eq!(
        (done.code, done.out.as_str()),
        (Some(65), "1 asked by mail, unless they are on it\n")
    );
    for why in ["line 2 was not taken: it is suppressed", "line 3 was not taken: it left the list"]
    {
        assert!(done.log.contains(why), "no {why:?} in {}", done.log);
    }
    assert_eq!(database.number("SELECT count(*) FROM deliveries WHERE kind = 'news.confirm'"), 3);
    let kept = "SELECT count(*) FROM subscribers WHERE state = 'unsubscribed' AND data IS NOT NULL";
    assert_eq!(database.number(kept), 1);
}

#[test]
fn what_makes_no_sense_of_a_list_is_said() {
    let database = database();
    refused(&database, &["list", "export", "nosuch"], 65, "there is no list nosuch");
    refused(&database, &["list", "import", "news", "/no/file"], 74, "cannot be read");
    refused(&database, &["list", "import", "news"], 64, "list needs one of");
    refused(&database, &["list"], 64, "list needs one of");
    for (text, why) in [("", "the file is empty"), ("a@b.c\n", "the first line must name")] {
        let done = import(&database, &["--confirmed"], text.as_bytes());
        assert_eq!(done.code, Some(65), "{}", done.log);
        assert!(done.log.contains(why), "{}", done.log);
    }
    let open = format!("address\n\"{}", "x".repeat(3 << 20));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), open).unwrap();
    let path = file.path().display().to_string();
    refused(&database, &["list", "import", "news", &path], 74, "is a quote never closed?");
}

/// What it writes on a terminal; `answer` is what is typed.
fn on_a_terminal(database: &Database, words: &str, answer: &str) -> String {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let command = format!("{} {words}", env!("CARGO_BIN_EXE_mailroom"));
    let mut script = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("MAILROOM_DATABASE_URL", &database.url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script, of util-linux, is installed");
    script.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
    let output = script.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_terminal_is_asked_and_gets_bars() {
    let database = database();
    let file = tempfile::NamedTempFile::new().unwrap();
    let lines: String = (0..2500).map(|n| format!("t{n}@example.com\n")).collect();
    std::fs::write(file.path(), format!("address\n{lines}")).unwrap();
    let import = format!("list import news {} --confirmed", file.path().display());
    let shown = on_a_terminal(&database, &import, "");
    assert!(shown.contains("[########") && shown.contains("] 100 %"), "{shown:?}");
    assert!(shown.trim_end().ends_with("2500 on the list"), "{shown:?}");
    let publish = "publish news --template weekly --key k";
    let shown = on_a_terminal(&database, publish, "n\n");
    assert!(shown.contains("Publish? [y/N] ") && !shown.contains("publishing"), "{shown:?}");
    assert_eq!(database.number("SELECT count(*) FROM issues"), 0);
    let shown = on_a_terminal(&database, publish, "y\n");
    assert!(shown.contains("k: publishing of news") && shown.contains("---] 0 %"), "{shown:?}");
    assert!(!good(&database, &["publish", "status"]).contains('['), "no bar for a pipe");
}

#[test]
fn on_a_terminal_an_issue_is_followed_until_nothing_of_it_is_to_go() {
    let (database, endpoint) = (database(), Endpoint::start());
    subscribers(&database, 50);
    good(&database, &["publish", "news", "--template", "weekly", "--key", "k", "--yes"]);
    good(&database, &["publish", "pause", "k"]);
    let shown = std::thread::scope(|scope| {
        let follow = scope.spawn(|| on_a_terminal(&database, "publish status k", ""));
        wait_until("it was looked at", || {
            database.number(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                    AND query LIKE '-- mailroom:issues%' AND state = 'idle'",
            ) == 1
        });
        good(&database, &["publish", "resume", "k"]);
        let run = Program::run(&database, &endpoint.url()).window(100).start();
        let shown = follow.join().unwrap();
        assert_eq!(run.stop().code, Some(0));
        shown
    });
    let screens: Vec<&str> = shown.split("\u{1b}[3A\u{1b}[J").collect();
    let (first, last) = (screens.first().unwrap(), screens.last().unwrap());
    assert!(first.contains("k: paused") && first.contains("0 sent, 50 to go"), "{shown:?}");
    assert!(last.contains("k: published") && last.contains("] 100 %"), "{shown:?}");
    assert!(last.contains("50 sent, 0 to go, 0 failed"), "{shown:?}");
}

#[test]
fn an_issue_is_published_once_after_it_was_said_to_how_many_it_goes() {
    let (database, endpoint) = (database(), Endpoint::start());
    subscribers(&database, 100);
    let words = ["publish", "news", "--template", "weekly", "--key", "11", "--where", "plan=pro"];
    let with = |more: &[&'static str]| good(&database, &[&words, more].concat());
    assert_eq!(
        with(&["--dry-run", "--daily-limit", "50"]),
        "50 subscribers of news, about 1 d 6 h at 50 a second and 40 a day\n"
    );
    refused(&database, &words, 64, "add --yes");
    assert_eq!(database.number("SELECT count(*) FROM issues"), 0);
    assert_eq!(
        with(&["--yes", "--data", "{\"title\": \"Snow\"}"]),
        "50 subscribers of news, about 1 s at 50 a second\n\
         11: publishing of news, from weekly\n0 sent, 50 to go, 0 failed\n"
    );
    let run = Program::run(&database, &endpoint.url()).window(100).start();
    wait_until("it is sent", || database.in_state("sent") == 50);
    for _ in 0..2 {
        assert_eq!(with(&[]), "11: published of news, from weekly\n50 sent, 0 to go, 0 failed\n");
    }
    assert_eq!(good(&database, &["publish", "status"]), "no issue is under way\n");
    assert_eq!(run.stop().code, Some(0));
    assert_eq!(endpoint.accepted().len(), 50);
    refused(
        &database,
        &["publish", "nosuch", "--template", "t", "--key", "k", "--yes"],
        65,
        "no list",
    );
    refused(
        &database,
        &["publish", "news", "--template", "t/", "--key", "k", "--yes"],
        65,
        "check",
    );
    refused(&database, &["publish", "news", "--template", "t"], 64, "--key KEY or --test");
    refused(&database, &["publish", "status", "nosuch"], 65, "there is no issue nosuch");
    let twice = [&words[..], &["--where", "plan=free"]].concat();
    refused(&database, &twice, 64, "given twice");
    let other = ["publish", "news", "--template", "other", "--key", "11", "--yes"];
    refused(&database, &other, 65, "is that of an issue of news, from the template weekly");
}

#[test]
fn a_test_is_one_copy_with_what_a_subscriber_would_see() {
    let (database, endpoint) = (database(), Endpoint::start());
    subscribers(&database, 10);
    let run = Program::run(&database, &endpoint.url()).window(100).start();
    for address in ["s4@example.com", "me@example.com"] {
        let words = ["publish", "news", "--template", "weekly", "--test", address];
        good(&database, &[&words[..], &["--data", "{\"title\": \"Snow\"}"]].concat());
    }
    let mut mails = endpoint.wait_for(2, PATIENCE);
    mails.sort_by(|one, other| other.to.cmp(&one.to));
    assert_eq!(run.stop().code, Some(0));
    assert_eq!((&mails[0].data["n"], &mails[0].data["title"]), (&4.into(), &"Snow".into()));
    assert_eq!((mails[1].to.as_str(), mails[1].data.get("n")), ("me@example.com", None));
    for mail in &mails {
        let link = mail.data["unsubscribe"].as_str().unwrap();
        assert_eq!(link.len(), "https://example.com/unsubscribe?token=".len() + 32);
    }
    assert_eq!(good(&database, &["publish", "status"]), "no issue is under way\n");
}

#[test]
fn an_issue_is_paused_resumed_and_cancelled_at_once() {
    let (database, endpoint) = (database(), Endpoint::start());
    subscribers(&database, 3000);
    let publish = ["publish", "news", "--template", "weekly", "--key", "k", "--yes"];
    good(&database, &publish);
    database.number("SELECT made::bigint FROM enqueue_issue('mailroom', 10, NULL)");
    let paused = good(&database, &["publish", "pause", "k"]);
    assert_eq!(paused, "k: paused of news, from weekly\n0 sent, 3000 to go, 0 failed\n");
    let again = good(&database, &["publish", "pause", "k"]);
    assert!(again.starts_with("nothing changed: it is paused\n"), "{again}");
    let run =
        Program::run(&database, &endpoint.url()).limit(50).env("MAILROOM_SEND_RATE", "500").start();
    let status = mailroom(&database, &["status"]).out;
    for line in [
        "issues under way, and how many of them are to go",
        "      3000  k: paused of news, 0 sent, 0 failed",
        "      3000  news",
    ] {
        assert!(status.contains(line), "no {line:?} in {status}");
    }
    let json = mailroom(&database, &["status", "--json"]).out;
    assert!(json.contains("\"lists\":[{\"confirmed\":3000,\"list\":\"news\"}]"), "{json}");
    database.recovery("ann");
    wait_until("other mail goes", || database.in_state("sent") == 1);
    wait_until("what was made waits", || {
        database.number("SELECT count(*) FROM deliveries WHERE cause = 'ineligible'") == 10
    });
    assert_eq!(endpoint.accepted().len(), 1);
    good(&database, &["publish", "resume", "k"]);
    wait_until("it goes on", || database.in_state("sent") > 200);
    let cancelled = good(&database, &["publish", "cancel", "k"]);
    assert!(cancelled.contains("k: cancelled of news") && cancelled.contains("to go, 0 failed"));
    wait_until("what was on its way is settled", || {
        database.in_state("pending") + database.in_state("leased") == 0
    });
    let sent = database.in_state("sent");
    run.wait_turns(1);
    assert_eq!(run.stop().code, Some(0));
    assert_eq!(database.in_state("sent"), sent);
    assert_eq!(endpoint.accepted().len() as i64, sent);
    assert!(sent < 1100, "{sent}");
    let status = good(&database, &["publish", "status", "k"]);
    assert!(
        status.contains(", 0 to go, 0 failed, ") && status.contains(" not sent: they left, or")
    );
    refused(&database, &["publish", "cancel", "nosuch"], 65, "there is no issue nosuch");
    refused(&database, &["publish", "cancel"], 64, "its key is needed");
}

#[test]
fn an_operator_may_do_all_of_it_and_a_collector_is_told_what_is_missing() {
    let database = database();
    subscribers(&database, 5);
    let name = format!("op_{}", database.name);
    database.run(&format!("CREATE ROLE {name} LOGIN"));
    let url = database.url.replace("user=postgres", &format!("user={name}"));
    let as_role = |words: &[&str]| Program::new(words).env("MAILROOM_DATABASE_URL", &url);
    good(&database, &["migrate", "grants", &name]);
    let publish = ["publish", "news", "--template", "weekly", "--key", "k", "--yes"];
    let finished = as_role(&publish).output();
    assert_eq!(finished.code, Some(78), "{}", finished.log);
    assert!(finished.log.contains("migrate grants ROLE --operator"), "{}", finished.log);
    good(&database, &["migrate", "grants", &name, "--operator"]);
    let filtered = [&publish[..], &["--where", "plan=pro"]].concat();
    for words in [
        &filtered[..],
        &["publish", "pause", "k"],
        &["publish", "resume", "k"],
        &["publish", "cancel", "k"],
        &["publish", "status"],
        &["publish", "news", "--template", "t", "--test", "a@example.com"],
        &["list", "show", "news"],
        &["list", "export", "news"],
    ] {
        let finished = as_role(words).output();
        assert_eq!(finished.code, Some(0), "{words:?}: {}", finished.log);
    }
    for confirmed in [&["--confirmed"][..], &[]] {
        let words = [&["list", "import", "news", "-"], confirmed].concat();
        let finished = as_role(&words).input("address\ns1@example.com\nnew@example.com\n");
        assert_eq!(finished.code, Some(0), "{confirmed:?}: {}", finished.log);
    }
    database.run(&format!("DROP OWNED BY {name}; DROP ROLE {name}"));
}
