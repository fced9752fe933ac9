//! `mailroom health`: 0 only when mail moves.

use crate::support::cluster::{Cluster, Database};
use crate::support::program::{Finished, Program, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn health(database: &Database, words: &[&str]) -> Finished {
    Program::new(&[&["health"], words].concat()).on(database).output()
}

fn is_unhealthy(finished: &Finished, why: &str) {
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert_eq!(finished.log.lines().count(), 1, "one line says why: {}", finished.log);
    assert!(finished.log.contains("not healthy: "), "{}", finished.log);
    assert!(finished.log.contains(why), "no {why:?} in: {}", finished.log);
    assert_eq!(finished.out, "");
}

#[test]
fn a_listener_with_nothing_due_is_healthy_and_a_dead_one_is_not() {
    let database = Database::migrated();
    is_unhealthy(&health(&database, &[]), "nobody listens on queue mailroom; nothing is due");
    let collect = Program::collect(&database).start();
    collect.wait_log("connected");
    let finished = health(&database, &[]);
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert_eq!(finished.out, "healthy: 1 listening; nothing is due\n");
    collect.kill();
    wait_until("it is found out", || health(&database, &[]).code == Some(1));
}

#[test]
fn a_process_that_breathes_but_does_not_move_mail_is_found() {
    let database = Database::migrated();
    let collect = Program::collect(&database).start();
    collect.wait_log("connected");
    // It is stopped in its tracks, and its connection stands.
    kill(Pid::from_raw(collect.pid()), Signal::SIGSTOP).unwrap();
    database.accounts("user", 1);
    assert_eq!(health(&database, &[]).code, Some(0), "it is not late yet");
    database.run("UPDATE deliveries SET due_at = now() - interval '11 minutes'");
    let why = "has been due for 11 min, 10 min are allowed";
    is_unhealthy(&health(&database, &[]), why);
    assert_eq!(health(&database, &["--max-age", "20m"]).code, Some(0));
    database.run("UPDATE deliveries SET state = 'leased', lease = 'collect:1:0'");
    is_unhealthy(&health(&database, &[]), why);
    kill(Pid::from_raw(collect.pid()), Signal::SIGCONT).unwrap();
    database.run("UPDATE deliveries SET state = 'pending', lease = NULL; NOTIFY token_insert");
    collect.wait_lines(1);
    wait_until("it has recovered", || health(&database, &[]).code == Some(0));
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn what_is_held_is_named_though_nothing_is_late_yet() {
    let database = Database::migrated();
    let collect = Program::collect(&database).start();
    collect.wait_log("connected");
    database.accounts("user", 1);
    let settled = "SELECT count(*) FROM deliveries WHERE state = 'sent'";
    wait_until("it is settled", || database.number(settled) == 1);
    database.run(
        "UPDATE deliveries SET state = 'pending', lease = NULL,
                cause = 'setup', error = 'HTTP 404', due_at = now() + interval '30 seconds'",
    );
    let finished = health(&database, &[]);
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert!(finished.out.starts_with("healthy: 1 listening; the oldest mail has been due for "));
    assert!(finished.out.contains("; held: HTTP 404"), "{}", finished.out);
    // Each probe puts it off, and it waits all the same.
    database.run("UPDATE deliveries SET created_at = now() - interval '11 minutes'");
    is_unhealthy(&health(&database, &[]), "10 min are allowed; held: HTTP 404");
    let status = Program::new(&["status", "--exit-code"]).on(&database).output();
    assert_eq!(status.code, Some(1), "{}", status.out);
}

#[test]
fn a_paused_queue_is_healthy_and_says_so() {
    let database = Database::migrated();
    let collect = Program::collect(&database).start();
    collect.wait_log("connected");
    let pause = ["queue", "pause", "--reason", "new template"];
    assert_eq!(Program::new(&pause).on(&database).output().code, Some(0));
    database.accounts("user", 1);
    database.run("UPDATE deliveries SET due_at = now() - interval '1 hour'");
    let finished = health(&database, &[]);
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert!(finished.out.contains("; paused for "), "{}", finished.out);
    assert!(finished.out.trim_end().ends_with(": new template"), "{}", finished.out);
    assert_eq!(collect.stop().code, Some(0));
    is_unhealthy(&health(&database, &[]), "nobody listens");
}

#[test]
fn mail_of_a_provider_that_is_away_is_late_though_each_try_puts_it_off() {
    let database = Database::migrated();
    let run = Program::run(&database, "http://127.0.0.1:1").start();
    database.accounts("user", 1);
    let put_off = "SELECT count(*) FROM deliveries WHERE attempts = 0 \
                   AND cause = 'away' AND error LIKE 'not sent: %refused%'";
    wait_until("it was tried", || database.number(put_off) == 1);
    let finished = health(&database, &[]);
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert!(finished.out.contains("; put off: not sent: "), "{}", finished.out);
    let status = Program::new(&["status"]).on(&database).output();
    assert!(status.out.contains("PUT OFF: 1 by not sent: "), "{}", status.out);
    database.run("UPDATE deliveries SET created_at = now() - interval '11 minutes'");
    is_unhealthy(&health(&database, &[]), "11 min, 10 min are allowed; put off: not sent: ");
    let status = Program::new(&["status", "--exit-code"]).on(&database).output();
    assert_eq!(status.code, Some(1), "{}", status.out);
    assert_eq!(run.stop().code, Some(0));
}

#[test]
fn mail_that_is_held_for_long_is_unhealthy_with_the_reason() {
    let database = Database::migrated();
    let collect = Program::collect(&database).start();
    collect.wait_log("connected");
    let pause = Program::new(&["queue", "pause"]).on(&database).output();
    assert_eq!(pause.code, Some(0), "{}", pause.log);
    collect.wait_log("queue paused");
    database.accounts("user", 2);
    database.run(
        "UPDATE deliveries SET due_at = now() - interval '1 hour' WHERE id = 1;
         UPDATE deliveries SET due_at = now() + interval '1 hour',
                cause = 'account', error = 'AccountSuspendedException' WHERE id = 2;
         UPDATE jobs SET paused_at = NULL",
    );
    is_unhealthy(&health(&database, &[]), "held: AccountSuspendedException");
    collect.kill();
}

#[test]
fn a_database_that_is_away_or_frozen_is_unhealthy_in_time() {
    let away = |url: &str| Program::new(&["health"]).env("MAILROOM_DATABASE_URL", url).output();
    is_unhealthy(&away("host=/nowhere dbname=mail user=u"), "/nowhere");
    is_unhealthy(&health(&Database::empty(), &[]), "mailroom migrate up");
    let cluster = Cluster::start(&[]);
    kill(Pid::from_raw(cluster.pid()), Signal::SIGSTOP).unwrap();
    is_unhealthy(&away(&cluster.tcp_url("postgres")), "no answer");
}

#[test]
fn an_age_that_a_batch_may_well_wait_is_refused() {
    let database = Database::migrated();
    let finished = Program::new(&["health"])
        .on(&database)
        .env("MAILROOM_BATCH_TIMEOUT", "60000")
        .env("MAILROOM_HEALTH_MAX_AGE", "1m")
        .output();
    assert_eq!(finished.code, Some(78));
    assert!(finished.log.contains("MAILROOM_HEALTH_MAX_AGE: must be more"), "{}", finished.log);
}

#[test]
fn the_image_checks_health_without_a_shell() {
    let dockerfile = include_str!("../Dockerfile");
    let line = dockerfile.lines().find(|line| line.starts_with("HEALTHCHECK ")).unwrap();
    let (_, command) = dockerfile.split_once(line).unwrap().1.split_once("CMD ").unwrap();
    assert_eq!(command.lines().next(), Some("[\"/mailroom\", \"health\"]"), "there is no shell");
}
