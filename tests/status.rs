//! `mailroom status`: right when things are wrong, and cheap beside a million settled rows.

use crate::support::chromium::Chromium;
use crate::support::cluster::{Cluster, Database};
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::program::{Finished, Program, wait_until};
use mailroom::mail::model::Cause;
use mailroom::ops::screen;
use mailroom::ops::screen::page::{Look, redrawn};
use mailroom::queue::snapshot::{Entry, KindCounts, Listener, Pause, Reason, Recipient, Snapshot};
use mailroom::queue::status::snapshot;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const TEN_MINUTES: Duration = Duration::from_secs(600);

fn status(database: &Database, words: &[&str]) -> Finished {
    Program::new(&[&["status"], words].concat()).on(database).output()
}

fn text(found: &Snapshot, look: Look) -> String {
    screen::report::text(&screen::status::report(found, TEN_MINUTES), look)
}

fn json(database: &Database) -> Value {
    let finished = status(database, &["--json"]);
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert_eq!(finished.out.lines().count(), 1);
    serde_json::from_str(&finished.out).unwrap()
}

fn reason(cause: Cause, text: &str, count: i64) -> Reason {
    Reason { cause: Some(cause), text: text.to_owned(), count }
}

/// A queue with something of everything.
fn busy() -> Snapshot {
    Snapshot {
        lists: Vec::new(),
        issues: Vec::new(),
        queue: "mailroom".to_owned(),
        time: "2026-11-22T13:37:00Z".to_owned(),
        last_seq: 1_048_612,
        pause: None,
        findings: Vec::new(),
        pending: 214,
        due: 12,
        retrying: 31,
        leased: 10,
        sent: 1_048_300,
        sent_by_five_minutes: vec![0, 40, 80, 320, 310, 250, 1, 0, 90, 160, 200, 60],
        sent_last_24h: 40_211,
        failed: 7,
        dropped: 2,
        expired: 81,
        ineligible: 0,
        superseded: 4,
        oldest_pending: Some(4000.0),
        oldest_due: Some(3.2),
        waiting: vec![
            reason(Cause::Template, "TEMPLATE_NOT_FOUND: Template recoveryv2 does not exist", 120),
            reason(Cause::Ineligible, "its account is suspended", 51),
        ],
        failures: vec![
            reason(Cause::Rejected, "MESSAGE_REJECTED: Address is on the suppression list", 5),
            reason(Cause::Unsigned, "a code of 5 digits is needed\u{1b}[2J\nand more", 1),
            reason(Cause::Fault, "FAILED (attempt 5, the last)", 1),
        ],
        recipients: vec![
            Recipient {
                address: "j***@example.com".to_owned(),
                asked: 41,
                sent: 1,
                superseded: 39,
                limited: 1,
                latest: 1_048_611,
            },
            Recipient {
                address: "j***@example.com".to_owned(),
                asked: 3,
                sent: 0,
                superseded: 0,
                limited: 0,
                latest: 1_048_590,
            },
        ],
        more_recipients: 2,
        hour_is_cut: true,
        kinds: [
            ("activation", KindCounts { pending: 94, due: 12, leased: 10, failed: 6 }),
            ("password_recovery", KindCounts { pending: 120, due: 0, leased: 0, failed: 1 }),
        ]
        .map(|(kind, counts)| (kind.to_owned(), counts))
        .into(),
        listeners: vec![
            Listener {
                pid: 4711,
                role: "mailroom_collector".to_owned(),
                name: "mailroom run".to_owned(),
                address: "10.0.0.7".to_owned(),
                seconds: Some(90_000.0),
            },
            Listener {
                pid: 4712,
                role: "mailroom_collector".to_owned(),
                name: "mailroom collect".to_owned(),
                address: String::new(),
                seconds: None,
            },
        ],
    }
}

#[test]
fn the_screens_are_the_golden_ones() {
    let plain = |width| Look { width, colour: false };
    let paused = Snapshot {
        pause: Some(Pause { reason: "new template".to_owned(), seconds: 200.0 }),
        ..busy()
    };
    let still = Snapshot { listeners: Vec::new(), waiting: Vec::new(), ..busy() };
    let stuck = Snapshot { oldest_due: Some(1500.0), waiting: Vec::new(), ..busy() };
    let empty = Snapshot {
        queue: "mailroom".to_owned(),
        time: "2026-11-22T13:37:00Z".to_owned(),
        sent_by_five_minutes: vec![0; 12],
        listeners: busy().listeners,
        ..Snapshot::default()
    };
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let entry = |id, state: &str, due, settled, cause: &str, error: &str| Entry {
        id,
        cause: filled(cause),
        queue: "mailroom".to_owned(),
        state: state.to_owned(),
        attempts: 2,
        priority: 20,
        kind: "activation".to_owned(),
        account: Some(12),
        account_status: filled("provisioned"),
        address: "j***@example.com".to_owned(),
        error: filled(error),
        created_seconds_ago: 300.0,
        due_seconds_ago: due,
        settled_seconds_ago: settled,
        token_expires_in_seconds: Some(600.0),
        lease: filled("run:17:0123456789abcdef").filter(|_| state == "leased"),
        ..Entry::default()
    };
    let entries = [
        entry(9, "leased", -110.0, None, "", ""),
        entry(10, "pending", 4.0, None, "", ""),
        entry(11, "pending", -12.0, None, "ineligible", "its account is suspended"),
        entry(8, "failed", 300.0, Some(280.0), "rejected", "MESSAGE_REJECTED: \u{1b}[31mno"),
    ];
    let mut found = String::new();
    for (name, text) in [
        ("80 columns", text(&busy(), plain(80))),
        ("44 columns", text(&busy(), plain(44))),
        ("in colour", text(&paused, Look { width: 80, colour: true })),
        ("nobody listens", text(&still, plain(80))),
        ("stuck", text(&stuck, plain(80))),
        ("nothing", text(&empty, plain(80))),
        ("a list", screen::deliveries::list(&entries, plain(100))),
        ("one of it", screen::deliveries::show(&entries[3])),
    ] {
        found += &format!("== {name}\n{}", text.replace('\u{1b}', "^["));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/screens.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &found).unwrap();
    }
    let hint = "if that is meant, run the test with UPDATE_GOLDEN=1 and read the diff";
    assert_eq!(std::fs::read_to_string(path).unwrap(), found, "{hint}");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in 1..200 {
        let look = Look { width, colour: false };
        for line in text(&busy(), look).lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
    }
}

#[test]
fn with_the_daemon_dead_it_says_what_waits_and_that_nobody_listens() {
    let database = Database::migrated();
    database.accounts("user", 4);
    database.run(
        "UPDATE deliveries SET created_at = now() - interval '1 hour',
                due_at = now() - interval '40 minutes' WHERE id = 1;
         UPDATE deliveries SET attempts = 2, due_at = now() + interval '1 hour' WHERE id = 2;
         UPDATE deliveries SET state = 'leased', lease = 'x',
                due_at = now() - interval '50 minutes' WHERE id = 3",
    );
    let found = json(&database);
    for (key, value) in [
        ("queue", Value::from("mailroom")),
        ("schema_version", Value::from(1)),
        ("paused", Value::from(false)),
        ("pending", Value::from(3)),
        ("due", Value::from(2)),
        ("retrying", Value::from(1)),
        ("leased", Value::from(1)),
        ("sent", Value::from(0)),
        ("failed", Value::from(0)),
        ("expired", Value::from(0)),
        ("sent_last_hour", Value::from(0)),
        ("sent_last_24h", Value::from(0)),
        ("failures", Value::from(Vec::<Value>::new())),
        ("listeners", Value::from(0)),
        ("last_seq", Value::from(0)),
    ] {
        assert_eq!(found[key], value, "{key} in {found}");
    }
    let age = |key: &str| found[key].as_f64().unwrap();
    assert!((3600.0..3900.0).contains(&age("oldest_pending_seconds")), "{found}");
    assert!((3000.0..3300.0).contains(&age("oldest_due_seconds")), "the lease ran out: {found}");
    let screen = status(&database, &[]).out;
    assert!(screen.contains("STOPPED: nobody listens"), "{screen}");
    assert!(!screen.contains('\u{1b}'), "colours only on a terminal: {screen}");
}

#[test]
fn the_exit_status_says_whether_something_failed_or_mail_does_not_move() {
    let database = Database::migrated();
    let code = |words: &[&str]| status(&database, &[&["--exit-code"], words].concat()).code;
    assert_eq!(code(&[]), Some(1), "nobody listens");
    let _listener = listener(&database);
    assert_eq!(code(&[]), Some(0));
    database.accounts("user", 2);
    assert_eq!(code(&[]), Some(0));
    database.run("UPDATE deliveries SET due_at = now() - interval '20 minutes'");
    assert_eq!(code(&[]), Some(1));
    assert_eq!(code(&["--max-age", "1h"]), Some(0));
    assert_eq!(code(&["--max-age", "soon"]), Some(78));
    database.run("UPDATE deliveries SET state = 'failed', due_at = now(), error = 'no'");
    assert_eq!(code(&["--json"]), Some(1));
    assert_eq!(status(&database, &[]).code, Some(0), "only if asked");
    let dropped = Program::new(&["queue", "drop", "1", "2"]).on(&database).output();
    assert_eq!(dropped.code, Some(0), "{}", dropped.log);
    assert_eq!(code(&[]), Some(0), "a person has seen to them");
    let found = json(&database);
    assert_eq!((&found["failed"], &found["dropped"]), (&Value::from(0), &Value::from(2)));
}

/// A connection that counts as one of those who listen, and claims nothing.
fn listener(database: &Database) -> postgres::Client {
    let mut client = database.client();
    let sql = "SELECT pg_advisory_lock_shared($1, oid::int4) FROM pg_enum
                WHERE enumtypid = 'job_type'::regtype AND enumlabel = 'mailroom'";
    client.query(sql, &[&mailroom::queue::schema::LISTENER]).unwrap();
    client
}

#[test]
fn status_and_health_say_the_same_of_a_paused_queue_however_long_its_mail_is_due() {
    let database = Database::migrated();
    let _listener = listener(&database);
    database.accounts("user", 1);
    database.run("UPDATE deliveries SET due_at = now() - interval '14 minutes'");
    let codes = || {
        let health = Program::new(&["health"]).on(&database).output();
        (status(&database, &["--exit-code"]).code, health.code)
    };
    assert_eq!(codes(), (Some(1), Some(1)));
    assert_eq!(json(&database)["movement"], "stuck");
    let pause = Program::new(&["queue", "pause", "--reason", "moving"]).on(&database).output();
    assert_eq!(pause.code, Some(0), "{}", pause.log);
    assert_eq!(codes(), (Some(0), Some(0)), "a pause is no fault");
    let found = json(&database);
    assert_eq!(found["movement"], "paused");
    assert!(found["oldest_due_seconds"].as_f64().unwrap() > 830.0, "it can be seen: {found}");
    database.run("UPDATE jobs SET paused_at = NULL, paused_reason = NULL");
    assert_eq!(codes(), (Some(1), Some(1)));
}

#[test]
fn what_is_wrong_with_the_database_is_said_beside_what_moves() {
    let database = Database::migrated();
    let _listener = listener(&database);
    database.run("ALTER TABLE tokens DISABLE TRIGGER after_token_inserted");
    let text = "after_token_inserted on tokens is disabled";
    let screen = status(&database, &[]).out;
    assert!(screen.contains(&format!("triggers: {text}")), "{screen}");
    let found = json(&database);
    assert_eq!(
        (&found["findings"][0]["detail"], &found["movement"]),
        (&text.into(), &"idle".into())
    );
}

#[test]
fn reasons_are_counted_by_cause_with_the_text_that_most_have() {
    let database = Database::migrated();
    let _listener = listener(&database);
    database.accounts("user", 6);
    database.run(
        "UPDATE deliveries SET state = 'failed', due_at = now(), cause = 'rejected',
                error = CASE WHEN id < 3 THEN 'no such mailbox' ELSE 'code ' || id END
          WHERE id < 5;
         UPDATE deliveries SET cause = 'quota', error = 'used up' WHERE id >= 5",
    );
    let found = json(&database);
    let reason = |cause: &str, text: &str, count: i64| serde_json::json!([{ "cause": cause, "reason": text, "count": count, "ours": false }]);
    assert_eq!(found["failures"], reason("rejected", "no such mailbox", 4));
    assert_eq!(found["held"], reason("quota", "used up", 2));
    let screen = status(&database, &[]).out;
    assert!(screen.contains(" 4  rejected: no such mailbox"), "{screen}");
}

#[test]
fn was_it_us_or_them_what_is_ours_comes_first_under_its_own_heading() {
    let database = Database::migrated();
    let _listener = listener(&database);
    database.accounts("user", 6);
    database.run(
        "UPDATE deliveries SET state = 'failed', due_at = now(), cause = 'rejected', error = 'no'
          WHERE id < 4;
         UPDATE deliveries SET state = 'failed', due_at = now(), cause = 'unsigned', error = 'a code'
          WHERE id = 4;
         UPDATE deliveries SET cause = 'template', error = 'no such file' WHERE id = 5;
         UPDATE deliveries SET cause = 'quota', error = 'used up' WHERE id = 6",
    );
    let found = json(&database);
    let failures = found["failures"].as_array().unwrap();
    assert_eq!((&failures[0]["cause"], &failures[0]["ours"]), (&"unsigned".into(), &true.into()));
    assert_eq!((&failures[1]["cause"], &failures[1]["ours"]), (&"rejected".into(), &false.into()));
    assert_eq!(found["failures_cut"], false);
    let screen = status(&database, &[]).out;
    let places = [
        "held by a setting or a template of ours\n         1  template: no such file",
        "held by the provider\n         1  quota: used up",
        "failed here, before any provider\n         1  unsigned: a code",
        "failed at the provider\n         3  rejected: no",
    ]
    .map(|part| screen.find(part));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{screen}");
}

#[test]
fn whoever_is_flooded_is_named_masked_and_told_apart_with_what_the_limits_stopped() {
    let database = Database::migrated();
    let _listener = listener(&database);
    database.run(
        "INSERT INTO kinds (kind) VALUES ('invoice');
         INSERT INTO accounts (email, login) VALUES ('John@example.com', 'john');
         UPDATE accounts SET status = 'active'",
    );
    // The latest takes the place of the one before, once one is gone: 1 is the activation.
    let recovery = "SELECT send_mail(kind => 'password_recovery', recipient => 'john@example.com',
                        subject => '1')";
    database.run(recovery);
    database.run("UPDATE deliveries SET state = 'sent', due_at = now() WHERE id = 2");
    (0..3).for_each(|_| database.run(recovery));
    let invoices = |to: &str, many: i64| {
        database
            .run(&format!("SELECT send_mail('invoice', '{to}') FROM generate_series(1, {many})"));
    };
    invoices("jane@example.com", 4);
    invoices("ann@example.com", 2);
    database.run(
        "INSERT INTO deliveries (kind, recipient, created_at)
         SELECT 'invoice', 'old@example.com', now() - interval '2 hours' FROM generate_series(1, 9)",
    );
    let found = json(&database);
    let one = |asked: i64, sent: i64, superseded: i64, limited: i64, latest: i64| {
        serde_json::json!({
            "address": "j***@example.com", "asked": asked, "sent": sent, "superseded": superseded,
            "limited": limited, "latest": latest,
        })
    };
    let mut john = one(5, 1, 2, 1, 5);
    john["address"] = "J***@example.com".into();
    assert_eq!(found["recipients"], serde_json::json!([john, one(4, 0, 0, 0, 9)]));
    assert_eq!(found["recipients_cut"], false);
    let screen = status(&database, &[]).out;
    let line = "asked for most in the last hour\n         5  J***@example.com: 1 sent, 2 superseded, \
                1 limited; latest 5\n         4  j***@example.com: latest 9\n";
    assert!(screen.contains(line), "{screen}");
    let full = Program::new(&["queue", "show", "5", "--reveal"]).on(&database).output();
    assert!(full.out.contains("john@example.com"), "{}", full.out);
    // A list that was cut says so.
    for n in 0..5 {
        invoices(&format!("u{n}@example.com"), 5);
    }
    let screen = status(&database, &[]).out;
    assert!(screen.contains("         2  more such recipients\n"), "{screen}");
    invoices("many@example.com", 5000);
    let screen = status(&database, &[]).out;
    let line =
        "asked for most in the last hour (of the latest 5000)\n      5000  m***@example.com: ";
    assert!(screen.contains(line), "{screen}");
    assert_eq!(json(&database)["recipients_cut"], true);
}

#[test]
fn a_page_of_html_shows_the_same_on_every_width_in_light_and_dark_without_a_script() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("status.html");
    let mut found = busy();
    found.failures[0].text = "<script>alert('&\"')</script><b>".to_owned();
    found.waiting[1].text = "x".repeat(300);
    let page = screen::html::page(&screen::status::report(&found, TEN_MINUTES), Some(5));
    assert!(page.contains("<meta http-equiv=\"refresh\" content=\"5\">"), "{page}");
    assert!(
        page.contains("&lt;script&gt;alert(&#39;&amp;&quot;&#39;)&lt;/script&gt;&lt;b&gt;"),
        "{page}"
    );
    // The policy forbids scripts and all that is elsewhere: also the script by which it is measured here.
    let policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
                  style-src 'unsafe-inline'\">";
    assert!(page.contains(policy), "{page}");
    std::fs::write(&path, page.replace(policy, "")).unwrap();
    let Some(chromium) = Chromium::find() else { return };
    for width in [360, 1200] {
        let pictures = [false, true].map(|dark| {
            let seen = chromium.look(&path, width, dark);
            assert_eq!((seen.window, seen.content.0, seen.asked), (width, width, 0), "{seen:?}");
            assert!(seen.outside.is_empty(), "{width}: {:?}", seen.outside);
            assert!(!seen.dom.contains("<script"), "{}", seen.dom);
            for text in [
                "HELD: 120 by TEMPLATE_NOT_FOUND",
                "j***@example.com: 1 sent",
                "1511 in the last hour",
            ] {
                assert!(seen.dom.contains(text), "{text}: {}", seen.dom);
            }
            chromium.picture(&path, width, dark)
        });
        assert_ne!(pictures[0], pictures[1], "dark is another picture");
    }
    // The pictures of the documents.
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let page = screen::html::page(&screen::status::report(&busy(), TEN_MINUTES), None);
        std::fs::write(&path, page.replace(policy, "")).unwrap();
        for (width, dark, name) in
            [(1200, false, "light"), (1200, true, "dark"), (360, false, "narrow")]
        {
            let to = format!("{}/docs/img/status-{name}.png", env!("CARGO_MANIFEST_DIR"));
            std::fs::write(to, chromium.picture(&path, width, dark)).unwrap();
        }
    }
}

#[test]
fn the_file_is_written_at_once_or_again_and_again_and_never_seen_half() {
    let database = Database::migrated();
    let _listener = listener(&database);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("status.html");
    let html = path.to_str().unwrap();
    let finished = status(&database, &["--html", html]);
    assert_eq!((finished.code, finished.out.as_str()), (Some(0), ""), "{}", finished.log);
    let once = std::fs::read_to_string(&path).unwrap();
    assert!(once.contains("<h1 class=\"good\">IDLE: nothing is due</h1>"), "{once}");
    assert!(!once.contains("\"refresh\""), "{once}");
    database.accounts("user", 1);
    let watch = Program::new(&["status", "--watch", "--html", html]).on(&database).start();
    let shows = |text: &str| {
        let page = std::fs::read_to_string(&path).unwrap();
        assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"), "{page}");
        page.contains(text) && page.contains("http-equiv=\"refresh\"")
    };
    wait_until("it is written", || shows("MOVING: 1 due"));
    database.run("UPDATE deliveries SET due_at = now() - interval '1 hour'");
    wait_until("it is written again", || shows("STUCK: mail has been due for 1 h 0 min"));
    assert_eq!(watch.stop().code, Some(0));
    assert_eq!(status(&database, &["--html", "/nowhere/x.html"]).code, Some(74));
    assert_eq!(status(&database, &["--html", html, "--json"]).code, Some(64));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no other file is left");
}

#[test]
fn a_recovery_of_a_suspended_account_is_no_mail_that_came_too_late() {
    let database = Database::migrated();
    database.run(
        "INSERT INTO accounts (email, login, status) SELECT n || '@b.c', n, 'suspended'
           FROM generate_series(1, 2) n;
         INSERT INTO tokens (account, action) SELECT id, 'password_recovery' FROM accounts",
    );
    let dir = tempfile::tempdir().unwrap();
    let metrics = dir.path().join("mailroom.prom");
    let collect = Program::collect(&database)
        .env("MAILROOM_HEALTHCHECK_INTERVAL", "300")
        .env("MAILROOM_BATCH_TIMEOUT", "100")
        .env("MAILROOM_METRICS_FILE", metrics.display().to_string())
        .start();
    let waits = "SELECT count(*) FROM deliveries WHERE cause = 'ineligible' AND state = 'pending'";
    wait_until("both wait", || database.number(waits) == 2);
    // One is found by the claim, one at the healthcheck; another was late.
    database.run(
        "UPDATE tokens SET expires_at = 1;
         UPDATE deliveries SET due_at = now();
         INSERT INTO accounts (email, login) VALUES ('late@b.c', 'late');
         UPDATE tokens SET expires_at = 1",
    );
    wait_until("all expired", || database.in_state("expired") == 3);
    let found = json(&database);
    assert_eq!((&found["expired"], &found["ineligible"]), (&1.into(), &2.into()));
    let screen = status(&database, &[]).out;
    assert!(screen.contains("         1  expired   and 2 not eligible\n"), "{screen}");
    wait_until("it is counted", || {
        let text = std::fs::read_to_string(&metrics).unwrap_or_default();
        text.lines().any(|line| line.starts_with("mailroom_expired_total") && line.ends_with(" 1"))
    });
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn mails_are_counted_by_kind_and_those_of_several_kinds_by_one_cause() {
    let database = Database::migrated();
    let _listener = listener(&database);
    database.accounts("user", 5);
    database.run(
        "INSERT INTO kinds (kind) VALUES ('invoice');
         SELECT send_mail('invoice', 'u' || n || '@example.com') FROM generate_series(1, 3) n;
         UPDATE deliveries SET cause = 'quota', error = kind WHERE id IN (1, 2, 6, 7, 8);
         UPDATE deliveries SET state = 'failed', due_at = now(), cause = 'rejected' WHERE id = 4;
         UPDATE deliveries SET state = 'superseded', due_at = now() WHERE id = 5",
    );
    let found = json(&database);
    let counts = |kind: &str, pending: i64, due: i64, failed: i64| {
        serde_json::json!({
            "kind": kind, "pending": pending, "due": due, "leased": 0, "failed": failed,
        })
    };
    let kinds = [counts("activation", 3, 3, 1), counts("invoice", 3, 3, 0)];
    assert_eq!(found["kinds"], serde_json::json!(kinds));
    assert_eq!(found["superseded"], 1);
    let held = serde_json::json!([
        { "cause": "quota", "reason": "invoice", "count": 5, "ours": false }
    ]);
    assert_eq!(found["held"], held, "one row a cause, with the text of the larger part");
    let screen = status(&database, &[]).out;
    assert!(screen.contains("         3         0         1  activation"), "{screen}");
    assert!(screen.contains("and 1 superseded"), "{screen}");
}

#[test]
fn whoever_listens_is_seen_by_a_plain_role_and_is_gone_when_killed() {
    let database = Database::migrated();
    let role = format!("viewer_{}", database.name);
    database.run(&format!(
        "CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
    ));
    let url = database.url.replace("user=postgres", &format!("user={role}"));
    let listening = || {
        let program = Program::new(&["status", "--json"]).on(&database);
        let finished = program.env("MAILROOM_DATABASE_URL", &url).output();
        assert_eq!(finished.code, Some(0), "{}", finished.log);
        let found: Value = serde_json::from_str(&finished.out).unwrap();
        assert_eq!(found["listeners"], found["listening"].as_array().unwrap().len());
        found["listening"].clone()
    };
    let collect = Program::collect(&database).start();
    collect.wait_log("connected");
    let found = listening();
    assert_eq!(found[0]["name"], "mailroom collect", "{found}");
    assert_eq!(found[0]["role"], "postgres", "{found}");
    // Another queue of the same database, and another database, have other listeners.
    database.run("ALTER TYPE job_type ADD VALUE 'slow'");
    database.run("INSERT INTO jobs (job_type) VALUES ('slow')");
    let slow = Program::new(&["status", "--json", "--queue-name", "slow"]).on(&database).output();
    let slow: Value = serde_json::from_str(&slow.out).unwrap();
    assert_eq!(slow["listeners"], 0);
    assert_eq!(json(&Database::migrated())["listeners"], 0);
    collect.kill();
    wait_until("nobody listens", || listening() == Value::from(Vec::<Value>::new()));
    database.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn what_was_sent_is_counted_also_when_nothing_is_kept() {
    let database = Database::migrated();
    database.accounts("user", 25);
    let collect = Program::collect(&database).env("MAILROOM_RETENTION", "0").start();
    collect.wait_lines(3);
    wait_until("all are gone", || database.number("SELECT count(*) FROM deliveries") == 0);
    let found = json(&database);
    for key in ["sent", "sent_last_hour", "sent_last_24h"] {
        assert_eq!(found[key], 25, "{key} in {found}");
    }
    assert_eq!(found["sent_by_five_minutes"].as_array().unwrap().len(), 12);
    assert_eq!(found["sent_by_five_minutes"][11], 25);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn what_is_sent_in_another_second_is_tallied_apart_and_added_up_when_the_minute_is_over() {
    let database = Database::migrated();
    let collect = Program::collect(&database)
        .env("MAILROOM_HEALTHCHECK_INTERVAL", "300")
        .env("MAILROOM_BATCH_TIMEOUT", "10")
        .start();
    let rows = |minutes: i32| {
        database.number(&format!(
            "SELECT count(*) FROM tallies WHERE minute >= now() - {minutes} * interval '1 minute'"
        ))
    };
    // However it is updated, a row has a version for each update that a long transaction keeps.
    let mut sent = 0;
    wait_until("two seconds had mails", || {
        database.accounts(&format!("u{sent}x"), 1);
        sent += 1;
        wait_until("it is sent", || database.in_state("sent") == sent);
        rows(2) > 1
    });
    database.run("UPDATE tallies SET minute = minute - interval '1 hour'");
    wait_until("they are added up", || rows(70) <= 2);
    assert_eq!(json(&database)["sent_last_24h"], sent);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn tallies_older_than_a_day_are_folded_into_one() {
    let database = Database::migrated();
    database.run(
        "INSERT INTO tallies
         SELECT 'mailroom', date_trunc('minute', now()) - n * interval '1 hour', n % 2, 1
           FROM generate_series(0, 99) n",
    );
    let before = json(&database);
    assert_eq!(before["sent"], 100);
    assert_eq!(before["sent_last_24h"], 24, "the hours 0 to 23");
    let collect = Program::collect(&database).env("MAILROOM_HEALTHCHECK_INTERVAL", "300").start();
    let old = "SELECT count(*) FROM tallies WHERE minute < now() - interval '26 hours'";
    wait_until("old tallies are folded", || database.number(old) == 1);
    let after = json(&database);
    assert_eq!(
        (&after["sent"], &after["sent_last_24h"]),
        (&before["sent"], &before["sent_last_24h"])
    );
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn mail_that_is_held_is_told_with_the_reason() {
    let database = Database::migrated();
    let provider = Endpoint::start();
    provider.set(Reply::error(400, "AccountSuspendedException", "ask support@example.com"));
    database.accounts("user", 3);
    let run = Program::run(&database, &provider.url()).start();
    wait_until("they are held", || {
        database.number("SELECT count(*) FROM deliveries WHERE cause = 'account'") == 3
    });
    let found = json(&database);
    let text = found["held"][0]["reason"].as_str().unwrap();
    assert!(text.starts_with("AccountSuspendedException"), "{found}");
    assert!(!text.contains("support@"), "{found}");
    assert_eq!(found["held"][0]["count"], 3);
    let screen = status(&database, &[]).out;
    assert!(screen.contains("HELD: 3 by AccountSuspendedException"), "{screen}");
    assert_eq!(run.stop().code, Some(0));
    // Of those that wait behind it no text is kept: whoever was refused may be gone.
    database.run("UPDATE deliveries SET error = NULL, due_at = now() + interval '1 hour'");
    assert_eq!(json(&database)["held"][0]["reason"], "account");
    let id = database.number("SELECT min(id) FROM deliveries").to_string();
    let shown = Program::new(&["queue", "show", &id]).on(&database).output().out;
    assert!(shown.contains("\nnext look    2") && !shown.contains("not before"), "{shown}");
    let again = Program::new(&["queue", "retry", &id]).on(&database).output();
    assert_eq!(again.code, Some(65));
    assert!(again.log.contains("is tried at once by a start of run or send"), "{}", again.log);
}

#[test]
fn a_database_that_is_away_not_migrated_or_without_the_queue_is_told() {
    let away = Program::new(&["status", "--json"])
        .env("MAILROOM_DATABASE_URL", "host=/nowhere dbname=mail user=u password=hunter2");
    let finished = away.output();
    assert_eq!(finished.code, Some(69), "{}", finished.log);
    assert_eq!(finished.out, "");
    assert!(!finished.log.contains("hunter2"), "{}", finished.log);
    let finished = status(&Database::empty(), &[]);
    assert_eq!(finished.code, Some(78));
    assert!(finished.log.contains("mailroom migrate up"), "{}", finished.log);
    let finished = status(&Database::migrated(), &["--queue-name", "other"]);
    assert_eq!(finished.code, Some(78));
    assert!(finished.log.contains("no queue \"other\""), "{}", finished.log);
}

#[test]
fn watching_goes_on_while_the_database_is_away() {
    let cluster = Cluster::start(&[]);
    let database = Database { name: "postgres".to_owned(), url: cluster.url("postgres") };
    mailroom::queue::schema::up(&mut database.client()).unwrap();
    let watch = Program::new(&["status", "--watch", "--json"]).on(&database).start();
    watch.wait_lines(1);
    cluster.control(&["stop", "-m", "fast"]);
    wait_until("it says so", || watch.out().contains("\"error\":"));
    cluster.control(&["start"]);
    wait_until("it goes on", || {
        watch.out().lines().last().is_some_and(|line| line.contains("\"pending\":0"))
    });
    for line in watch.out().lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
    watch.signal(Signal::SIGINT);
    assert_eq!(watch.finish().code, Some(0));
}

/// What it writes on a terminal of this many columns.
fn on_a_terminal(database: &Database, columns: u16, no_color: &str) -> String {
    let command = format!(
        "stty cols {columns} rows 40; exec {} status --max-age 1h",
        env!("CARGO_BIN_EXE_mailroom")
    );
    let output = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("MAILROOM_DATABASE_URL", &database.url)
        .env("TERM", "xterm")
        .env("NO_COLOR", no_color)
        .stdin(Stdio::null())
        .output()
        .expect("script, of util-linux, is installed");
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_terminal_gets_colours_and_its_own_width_unless_no_color_is_set() {
    let database = Database::migrated();
    let coloured = on_a_terminal(&database, 60, "");
    assert!(coloured.contains("\u{1b}[1;31mSTOPPED"), "{coloured}");
    let plain = on_a_terminal(&database, 60, "1");
    assert!(!plain.contains('\u{1b}'), "{plain}");
    assert_eq!(plain.lines().next().unwrap().chars().count(), 60, "{plain}");
}

/// Every statement of `status` and of `queue list`, with its parameters written out.
fn statements() -> Vec<(&'static str, String)> {
    let all = "ARRAY['leased','pending','failed','expired','superseded','sent']";
    [
        (
            "waiting",
            include_str!("../src/queue/sql/status/waiting.sql"),
            vec!["'mailroom'", "ARRAY['away']"],
        ),
        ("ended", include_str!("../src/queue/sql/status/ended.sql"), vec!["'mailroom'"]),
        (
            "failures",
            include_str!("../src/queue/sql/status/failures.sql"),
            vec!["'mailroom'", "10000"],
        ),
        ("sent", include_str!("../src/queue/sql/status/sent.sql"), vec!["'mailroom'"]),
        (
            "recipients",
            include_str!("../src/queue/sql/status/recipients.sql"),
            vec!["'mailroom'", "5000", "3"],
        ),
        ("list", include_str!("../src/queue/sql/operate/list.sql"), vec!["'mailroom'", all, "50"]),
    ]
    .into_iter()
    .map(|(name, sql, values)| {
        let numbered = values.iter().enumerate();
        let sql = numbered
            .fold(sql.to_owned(), |sql, (at, value)| sql.replace(&format!("${}", at + 1), value));
        (name, sql)
    })
    .collect()
}

#[test]
fn a_screen_that_is_drawn_again_never_scrolls_and_says_what_has_no_row() {
    let text = text(&busy(), Look { width: 80, colour: true });
    let lines: Vec<&str> = text.lines().collect();
    for rows in 1..=lines.len() + 2 {
        let drawn = redrawn(&text, rows);
        let body = drawn.strip_prefix("\u{1b}[?7l\u{1b}[H").expect("no wrapping, from the top");
        let body = body.strip_suffix("\u{1b}[J\u{1b}[?7h").expect("nothing below, and wrapping");
        let mut found: Vec<&str> = body.lines().collect();
        assert!(body.matches('\n').count() < rows, "{rows} rows: it scrolls");
        if rows < lines.len() {
            let rest = lines.len() + 1 - rows;
            let hint = format!("\u{1b}[K… {rest} more line{}", if rest == 1 { "" } else { "s" });
            assert_eq!(found.pop(), Some(hint.as_str()));
        }
        let shown: Vec<String> =
            lines[..found.len()].iter().map(|l| format!("\u{1b}[K{l}")).collect();
        assert_eq!(found, shown);
        assert_eq!(found.len(), if rows < lines.len() { rows - 1 } else { lines.len() });
    }
}

#[test]
fn a_million_settled_rows_are_not_read() {
    let database = Database::migrated();
    database.run(
        "ALTER TABLE tokens DISABLE TRIGGER USER; ALTER TABLE accounts DISABLE TRIGGER USER;
         INSERT INTO accounts (email, login, status)
         SELECT 'u' || n || '@example.com', 'u' || n, 'active' FROM generate_series(1, 1000) n;
         INSERT INTO tokens (id, account, action, secret)
         SELECT n, 1 + n % 1000, 'activation', int8send(n) FROM generate_series(1, 1002000) n;
         INSERT INTO deliveries (id, kind, state, error, due_at)
         SELECT n, 'activation',
                CASE WHEN n > 1000000 THEN 'pending' WHEN n % 100 = 0 THEN 'failed'
                     WHEN n % 100 = 1 THEN 'expired' ELSE 'sent' END::delivery_state,
                CASE WHEN n % 100 = 0 THEN 'reason ' || n % 7 END,
                now() - CASE WHEN n <= 1000000 THEN n ELSE 0 END * interval '86 milliseconds'
           FROM generate_series(1, 1002000) n;
         INSERT INTO tallies (queue, minute, writer, sent)
         SELECT 'mailroom', date_trunc('minute', now()) - n * interval '1 minute', w, 85
           FROM generate_series(0, 1439) n, generate_series(0, 7) w",
    );
    database.run("VACUUM ANALYZE deliveries, tallies");
    let mut client = database.client();
    for settings in ["", "SET LOCAL enable_seqscan = off; SET LOCAL jit = off"] {
        for (name, sql) in statements() {
            let mut reading = client.transaction().unwrap();
            reading.batch_execute(settings).unwrap();
            let plan: Vec<String> = reading
                .query(&format!("EXPLAIN {sql}"), &[])
                .unwrap()
                .iter()
                .map(|row| row.get(0))
                .collect();
            let plan = plan.join("\n");
            assert!(!plan.contains("Seq Scan on deliveries"), "{name}:\n{plan}");
        }
    }
    snapshot(&mut client, "mailroom").unwrap();
    let begun = Instant::now();
    let found = snapshot(&mut client, "mailroom").unwrap().unwrap();
    let took = begun.elapsed();
    println!("a snapshot beside a million settled rows took {took:?}");
    assert_eq!((found.pending, found.failed, found.expired), (2000, 10_000, 10_000));
    assert_eq!(found.sent, 1440 * 8 * 85);
    assert_eq!(found.failures.iter().map(|reason| reason.count).sum::<i64>(), 5000, "the latest");
    let begun = Instant::now();
    assert_eq!(status(&database, &["--json"]).code, Some(0));
    println!("mailroom status took {:?}", begun.elapsed());
}
