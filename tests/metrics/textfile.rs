//! The file for Prometheus.

use super::{Numbers, families};
use crate::support::cluster::{Database, tag};
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::program::{Program, wait_until};
use crate::support::records::activations;
use mailroom::edges::metrics::prometheus::Text;
use mailroom::edges::metrics::textfile;
use mailroom::mail::counts::FAMILIES;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[test]
fn a_text_that_explains_a_number_stays_as_it_is_for_ever() {
    // The node exporter leaves out one of two files that explain the same number otherwise, and during
    // an upgrade both are there. Lines may be added.
    for line in include_str!("../golden/metrics.txt").lines() {
        let (name, help) = line.split_once(": ").unwrap();
        let family = FAMILIES.iter().find(|family| family.name == name);
        assert_eq!(family.map(|family| family.help), Some(help), "{name}");
    }
    let count = include_str!("../golden/metrics.txt").lines().count();
    assert_eq!(count, FAMILIES.len(), "a new one is to be added to tests/golden/metrics.txt");
}

#[test]
fn a_backlog_that_is_gone_is_not_spoken_of_any_longer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mailroom.prom");
    let (database, endpoint) = (Database::migrated(), Endpoint::start());
    database.accounts("user", 30);
    let run = Program::run(&database, &endpoint.url()).env("MAILROOM_METRICS_FILE", &path).start();
    let mut last = String::new();
    let says = |text: &str, start: &str, end: &str| {
        text.lines().any(|line| line.starts_with(start) && line.ends_with(end))
    };
    wait_until("the file says that all were sent", || {
        last = std::fs::read_to_string(&path).unwrap_or_default();
        says(&last, "mailroom_sent_total{", " 30")
    });
    assert!(says(&last, "mailroom_queue_depth{", "state=\"due\"} 0"), "{last}");
    assert_eq!(run.stop().code, Some(0));
}

#[test]
fn what_is_to_go_of_issues_is_counted_whether_its_deliveries_are_made_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mailroom.prom");
    let database = Database::migrated();
    database.run(
        "INSERT INTO lists (list, unsubscribe)
         VALUES ('news', 'https://example.com/unsubscribe?token=');
         INSERT INTO subscribers (list, address, state, how)
         SELECT 'news', n || '@example.com', 'confirmed', 'import' FROM generate_series(1, 30) n;
         SELECT publish('news', 'weekly', 'a');
         SELECT enqueue_issue('mailroom', 10, NULL);
         UPDATE issues SET state = 'paused'",
    );
    let endpoint = Endpoint::start();
    let run = Program::run(&database, &endpoint.url()).env("MAILROOM_METRICS_FILE", &path).start();
    let mut last = String::new();
    let says = |text: &str, start: &str, end: &str| {
        text.lines().any(|line| line.starts_with(start) && line.ends_with(end))
    };
    for (state, count) in [("unmade", 20), ("waiting", 10)] {
        wait_until("the file says it", || {
            last = std::fs::read_to_string(&path).unwrap_or_default();
            says(&last, "mailroom_queue_issues{", &format!("state=\"{state}\"}} {count}"))
        });
    }
    assert_eq!(run.stop().code, Some(0));
}

#[test]
fn every_outcome_is_counted_once_and_every_number_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mailroom.prom");
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    endpoint.push(Reply::Statuses(vec![
        ("SUCCESS", ""),
        ("MESSAGE_REJECTED", "Address <user2@example.com> is suppressed"),
        ("TRANSIENT_FAILURE", "later"),
    ]));
    database.accounts("user", 6);
    database.run(
        "UPDATE deliveries SET created_at = now() - interval '1000 s';
         UPDATE tokens SET created_at = 1, expires_at = 2 WHERE id = 6",
    );
    let run = Program::run(&database, &endpoint.url())
        .env("MAILROOM_BATCH_TIMEOUT", "100")
        .env("MAILROOM_METRICS_FILE", &path)
        .start();
    wait_until("four are sent", || database.in_state("sent") == 4);
    endpoint.set(Reply::error(400, "SendingPausedException", "paused for review"));
    database.accounts("late", 1);
    run.wait_log("everything is held");
    wait_until("it waits", || database.in_state("pending") == 1);
    let finished = run.stop();
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("example.com"), "{text}");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    assert!(!dir.path().join("mailroom.prom.tmp").exists());
    let numbers = Numbers::read(&path, "run");
    let version = format!("build_info version={}", env!("CARGO_PKG_VERSION"));
    numbers.has(&[
        (&version, 1.0),
        ("attempts_total outcome=accepted", 4.0),
        ("attempts_total outcome=rejected", 1.0),
        ("attempts_total outcome=retry", 1.0),
        ("attempts_total outcome=held", 1.0),
        ("attempts_total outcome=ambiguous", 0.0),
        ("attempts_total outcome=unreached", 0.0),
        ("sent_total", 4.0),
        ("sent_by_kind_total kind=activation", 4.0),
        ("attempt_errors_total reason=MESSAGE_REJECTED", 1.0),
        ("attempt_errors_total reason=TRANSIENT_FAILURE", 1.0),
        ("attempt_errors_total reason=SendingPausedException", 1.0),
        ("failed_total", 1.0),
        ("failed_by_reason_total reason=MESSAGE_REJECTED", 1.0),
        ("expired_total", 1.0),
        ("holds_total", 1.0),
        ("holds_active", 1.0),
        ("bad_input_total", 0.0),
        ("database_reconnects_total", 0.0),
        ("database_up", 1.0),
        ("send_duration_seconds_count", 3.0),
        ("queue_latency_seconds_count", 4.0),
        ("queue_latency_seconds_bucket le=900", 0.0),
        ("queue_latency_seconds_bucket le=3600", 4.0),
        ("queue_latency_seconds_bucket le=+Inf", 4.0),
    ]);
    let sum = numbers.get("queue_latency_seconds_sum");
    assert!((4000.0..4200.0).contains(&sum), "{sum}");
    let since_1970 = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    let ago = since_1970 - numbers.get("last_progress_timestamp_seconds");
    assert!((0.0..60.0).contains(&ago), "{ago}");
    let names: Vec<&str> = FAMILIES.iter().map(|family| family.name).collect();
    assert_eq!(numbers.families, names.iter().map(|name| (*name).to_owned()).collect());
}

#[test]
fn what_waits_is_counted_by_its_state_though_the_queue_is_paused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mailroom.prom");
    let database = Database::migrated();
    database.accounts("user", 6);
    database.run(
        "UPDATE deliveries SET due_at = now() - interval '1 hour' WHERE id = 1;
         UPDATE deliveries SET due_at = now() + interval '1 hour' WHERE id IN (4, 5);
         UPDATE deliveries SET state = 'leased', lease = 'run:1:0',
                due_at = now() + interval '1 hour' WHERE id = 6;
         UPDATE jobs SET paused_at = now()",
    );
    let collect = Program::collect(&database).env("MAILROOM_METRICS_FILE", &path).start();
    let counted = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND state = 'idle' AND starts_with(query, '{}')",
        tag("depth")
    );
    wait_until("it has counted", || database.number(&counted) == 1);
    assert_eq!(collect.stop().code, Some(0));
    let numbers = Numbers::read(&path, "collect");
    numbers.has(&[
        ("queue_movement movement=paused", 1.0),
        ("queue_movement movement=stuck", 0.0),
        ("queue_depth state=due", 3.0),
        ("queue_depth state=later", 2.0),
        ("queue_depth state=leased", 1.0),
        ("sent_total", 0.0),
    ]);
    let oldest = numbers.get("queue_oldest_age_seconds");
    assert!((3600.0..3700.0).contains(&oldest), "{oldest}");
}

#[test]
fn collect_counts_what_its_reader_took_and_a_connection_that_came_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mailroom.prom");
    let database = Database::migrated();
    let collect = Program::collect(&database).env("MAILROOM_METRICS_FILE", &path).start();
    database.accounts("first", 3);
    collect.wait_lines(1);
    wait_until("they are settled", || database.in_state("sent") == 3);
    database.disconnect_others();
    collect.wait_log_times("] connected", 2);
    database.accounts("second", 12);
    wait_until("all are settled", || database.in_state("sent") == 15);
    assert_eq!(collect.stop().code, Some(0));
    Numbers::read(&path, "collect").has(&[
        ("sent_total", 15.0),
        ("queue_latency_seconds_count", 15.0),
        ("database_reconnects_total", 1.0),
        ("database_up", 1.0),
    ]);
}

#[test]
fn send_counts_bad_input_and_what_it_gives_up_and_knows_no_database() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mailroom.prom");
    let endpoint = Endpoint::start();
    endpoint.push(Reply::Statuses(vec![("SUCCESS", ""), ("MESSAGE_REJECTED", "no")]));
    let mut input = b"not,a,record\n".to_vec();
    input.extend(activations("user", 3));
    let finished = Program::send(&endpoint.url()).env("MAILROOM_METRICS_FILE", &path).input(input);
    assert_eq!(finished.code, Some(65), "{}", finished.log);
    let numbers = Numbers::read(&path, "send");
    numbers.has(&[
        ("sent_total", 2.0),
        ("attempts_total outcome=rejected", 1.0),
        ("failed_total", 1.0),
        ("failed_by_reason_total reason=MESSAGE_REJECTED", 1.0),
        ("bad_input_total", 1.0),
    ]);
    for name in ["mailroom_database_up", "mailroom_queue_depth", "mailroom_queue_movement"] {
        assert!(!numbers.families.contains(name), "{name}");
    }
}

#[test]
fn a_sender_that_settles_in_the_database_knows_how_old_its_mails_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("send.prom");
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    endpoint.push(Reply::Statuses(vec![("SUCCESS", ""), ("MESSAGE_REJECTED", "no")]));
    database.accounts("user", 4);
    database.run("UPDATE deliveries SET created_at = now() - interval '1000 s'");
    let collect = Program::collect(&database).env("MAILROOM_ACK", "sent").start();
    let mut line = collect.wait_lines(1).concat();
    line.push('\n');
    assert_eq!(collect.stop().code, Some(0));
    let send = Program::send(&endpoint.url())
        .on(&database)
        .env("MAILROOM_ACK", "sent")
        .env("MAILROOM_METRICS_FILE", &path);
    assert_eq!(send.input(line).code, Some(0));
    let numbers = Numbers::read(&path, "send");
    numbers.has(&[
        ("sent_total", 3.0),
        ("failed_total", 1.0),
        ("database_up", 1.0),
        ("queue_latency_seconds_count", 3.0),
    ]);
    let sum = numbers.get("queue_latency_seconds_sum");
    assert!((3000.0..3200.0).contains(&sum), "{sum}");
}

#[test]
fn what_cannot_even_be_signed_is_counted_by_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mailroom.prom");
    let database = Database::migrated();
    database.accounts("user", 3);
    database.run("UPDATE tokens SET secret = '\\x0102' WHERE id = 2");
    let collect = Program::collect(&database).env("MAILROOM_METRICS_FILE", &path).start();
    wait_until("the others are sent", || database.in_state("sent") == 2);
    assert_eq!(collect.stop().code, Some(0));
    Numbers::read(&path, "collect").has(&[
        ("sent_total", 2.0),
        ("failed_total", 1.0),
        ("failed_by_reason_total reason=the secret is 2 bytes long, not 32", 1.0),
    ]);
}

#[test]
fn a_sender_that_waits_to_try_again_writes_its_numbers_meanwhile_and_sleeps() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mailroom.prom");
    let endpoint = Endpoint::start();
    let busy = vec![("retry-after", "600".to_owned())];
    endpoint.set(Reply::Full(503, busy, String::new()));
    let mut send = Program::send(&endpoint.url()).env("MAILROOM_METRICS_FILE", &path).start();
    send.write(activations("user", 1));
    send.wait_log("not now");
    let wakes = send.status("voluntary_ctxt_switches");
    wait_until("the attempt is told", || {
        Numbers::read(&path, "send").get("attempts_total outcome=unreached") == 1.0
    });
    let wakes = send.status("voluntary_ctxt_switches") - wakes;
    assert!(wakes < 100, "{wakes} wake-ups");
    assert_eq!(send.stop().code, Some(0));
}

#[test]
fn a_database_that_is_away_is_told_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mailroom.prom");
    let collect = Program::new(&["collect"])
        .env("MAILROOM_DATABASE_URL", "host=127.0.0.1 port=9 dbname=x user=x")
        .env("MAILROOM_SECRET_KEY", crate::support::program::KEY)
        .env("MAILROOM_METRICS_FILE", &path)
        .start();
    wait_until("there is a file", || path.exists());
    Numbers::read(&path, "collect").has(&[("database_up", 0.0), ("sent_total", 0.0)]);
    let modified = || std::fs::metadata(&path).unwrap().modified().unwrap();
    let first = modified();
    wait_until("it is written again", || modified() > first);
    collect.kill();
}

#[test]
fn odd_names_in_labels_are_read_as_they_are() {
    let odd = "a\"b\\c\nd{e},f=g é";
    let mut text = Text::new(&[("command", "run"), ("queue", odd)]);
    text.family("mailroom_failed_by_reason_total", "counter", "Deliveries given up, by reason.");
    text.number(("reason", "say \"no\\way\""), 1);
    let numbers = Numbers::parse(&text.finish(), "run", odd);
    numbers.has(&[("failed_by_reason_total reason=say \"no\\way\"", 1.0)]);
}

#[test]
fn a_reader_never_sees_a_part_and_a_killed_process_leaves_a_whole_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.prom");
    textfile::write(&path, "a").unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for size in (1..400).map(|n| n * 1000) {
                for letter in ["a", "b"] {
                    textfile::write(&path, &letter.repeat(size)).unwrap();
                }
            }
            stop.store(true, Ordering::SeqCst);
        });
        let mut read = 0;
        while !stop.load(Ordering::SeqCst) {
            let text = std::fs::read(&path).unwrap();
            assert!(!text.is_empty() && text.iter().all(|byte| *byte == text[0]));
            assert!(text.len() == 1 || text.len().is_multiple_of(1000), "{} bytes", text.len());
            read += 1;
        }
        assert!(read > 50, "{read} reads prove nothing");
    });

    let database = Database::migrated();
    database.accounts("user", 3000);
    let path = dir.path().join("mailroom.prom");
    let start = || {
        let collect = Program::collect(&database).env("MAILROOM_METRICS_FILE", &path);
        collect.env("MAILROOM_BATCH_LIMIT", "50").start()
    };
    let collect = start();
    collect.wait_lines(1);
    collect.kill();
    // At any moment, the first writing and before it among them.
    for moment in 0..25 {
        let collect = start();
        std::thread::sleep(Duration::from_millis(moment * 5));
        collect.kill();
        let text = std::fs::read_to_string(&path).unwrap();
        let last = text.lines().last().unwrap().split('{').next().unwrap();
        let ends = ["mailroom_queue_latency_seconds_count", FAMILIES[FAMILIES.len() - 1].name];
        assert!(text.ends_with('\n') && ends.contains(&last), "{text}");
    }
    assert!(families(&std::fs::read_to_string(&path).unwrap()).len() > 10);
}

#[test]
fn what_a_killed_process_left_is_replaced_and_no_link_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (path, victim) = (dir.path().join("x.prom"), dir.path().join("victim"));
    std::fs::write(&victim, "precious").unwrap();
    symlink(&victim, dir.path().join("x.prom.tmp")).unwrap();
    textfile::write(&path, "first").unwrap();
    std::fs::write(dir.path().join("x.prom.tmp"), "half a li").unwrap();
    textfile::write(&path, "second").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "second");
    // Nor is what is no file replaced, such as a device.
    std::fs::remove_file(&path).unwrap();
    symlink(&victim, &path).unwrap();
    assert!(textfile::write(&path, "third").is_err());
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
}

#[test]
fn a_directory_that_cannot_be_written_to_stops_no_mail_and_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("not/yet/mailroom.prom");
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    database.accounts("user", 30);
    let run = Program::run(&database, &endpoint.url()).env("MAILROOM_METRICS_FILE", &path).start();
    endpoint.wait_for(30, Duration::from_secs(30));
    let told = format!("[METRICS] WARN: writing {}: No such file", path.display());
    run.wait_log(&told);
    // Once it can be, it is.
    let created = std::fs::create_dir_all(path.parent().unwrap());
    created.unwrap();
    run.wait_log("works again");
    Numbers::read(&path, "run").has(&[("sent_total", 30.0)]);
    let finished = run.stop();
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert_eq!(finished.log.matches("[METRICS]").count(), 2, "{}", finished.log);
}
