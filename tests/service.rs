//! The program under a service manager: ready, alive, its state in a line, stopping.

use crate::support::cluster::{Cluster, Database};
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::manager::{Manager, silent};
use crate::support::pipe::stalled;
use crate::support::program::{Program, Running, wait_until};
use crate::support::records::activations;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// After so long without a sign of life the manager would kill the service.
const LIMIT: Duration = Duration::from_secs(2);

/// Lets time pass and sees that the service would not have been killed, nor have said more than it
/// should.
fn assert_alive(manager: &Manager, seconds: u64) {
    let since = manager.wait_after("WATCHDOG=1", Instant::now());
    let until = since + Duration::from_secs(seconds);
    wait_until("time has passed", || Instant::now() >= until);
    let silence = manager.longest_silence(since, until);
    assert!(silence < LIMIT, "silent for {silence:?}: {:?}", manager.heard());
    let signs = manager.times("WATCHDOG=1").iter().filter(|at| **at > since).count() as u64;
    assert!(signs <= 2 * seconds, "{signs} signs of life in {seconds} s");
}

#[test]
fn ready_is_told_once_when_the_queue_is_listened_on_and_stopping_before_the_end() {
    let database = Database::migrated();
    for manager in [Manager::start(), Manager::start_abstract()] {
        let collect = manager.manages(Program::collect(&database)).start();
        manager.wait("READY=1");
        // A listener must be there by now.
        let health = Program::new(&["health"]).on(&database).output();
        assert_eq!(health.code, Some(0), "{}", health.log);
        manager.wait("STATUS=connected to ");
        assert!(manager.times("STOPPING=1").is_empty());
        assert_eq!(collect.stop().code, Some(0));
        manager.wait("STOPPING=1");
        assert_eq!(manager.times("READY=1").len(), 1);
        assert!(manager.times("WATCHDOG=1").is_empty(), "nobody asked for it");
    }
}

#[test]
fn a_start_that_waits_for_the_database_is_given_time_and_says_why_and_becomes_ready() {
    let cluster = Cluster::start(&[]);
    let database = cluster.migrated("mail");
    cluster.control(&["stop", "-m", "fast"]);
    let manager = Manager::start();
    let collect = manager.watches(Program::collect(&database), LIMIT).start();
    manager.wait("EXTEND_TIMEOUT_USEC=");
    manager.wait("STATUS=no connection to ");
    assert!(manager.times("READY=1").is_empty());
    cluster.control(&["start"]);
    manager.wait("READY=1");
    assert!(manager.times("EXTEND_TIMEOUT_USEC=").len() <= 2, "{:?}", manager.heard());
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn a_process_asked_to_stop_before_it_was_ready_says_only_that_it_stops() {
    let manager = Manager::start();
    let collect = Program::new(&["collect"])
        .env("MAILROOM_DATABASE_URL", "host=127.0.0.1 port=9 dbname=x user=x password=hunter2")
        .env("MAILROOM_SECRET_KEY", crate::support::program::KEY);
    let collect = manager.manages(collect).start();
    manager.wait("STATUS=no connection to ");
    assert_eq!(collect.stop().code, Some(0));
    manager.wait("STOPPING=1");
    assert!(manager.times("READY=1").is_empty());
    assert!(!manager.heard().concat().contains("hunter2"));
}

#[test]
fn an_idle_process_gives_signs_of_life_and_one_meant_for_another_gives_none() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    let managers: Vec<Manager> = (0..4).map(|_| Manager::start()).collect();
    let _collect = managers[0].watches(Program::collect(&database), LIMIT).start();
    let _run = managers[1].watches(Program::run(&database, &endpoint.url()), LIMIT).start();
    let _send = managers[2].watches(Program::send(&endpoint.url()), LIMIT).start();
    let other = Program::collect(&database).env("WATCHDOG_PID", "1");
    let _other = managers[3].watches(other, LIMIT).start();
    for manager in &managers {
        manager.wait("READY=1");
    }
    std::thread::scope(|scope| {
        for manager in &managers[..3] {
            scope.spawn(|| assert_alive(manager, 5));
        }
    });
    assert!(managers[3].times("WATCHDOG=1").is_empty());
}

#[test]
fn what_waits_without_a_fault_of_its_own_is_alive() {
    let cluster = Cluster::start(&[]);
    let database = cluster.migrated("mail");
    let endpoint = Endpoint::start();
    let accept = Endpoint::start();
    endpoint.set(Reply::error(403, "AccountSuspendedException", "suspended"));
    database.accounts("user", 1);
    let (held, reader, away) = (Manager::start(), Manager::start(), Manager::start());
    let sender = Manager::start();
    let mut send = sender.watches(Program::send(&endpoint.url()), LIMIT).start();
    send.write(activations("held", 1));
    sender.wait("STATUS=everything is held: ");
    let run = held.watches(Program::run(&database, &endpoint.url()), LIMIT).start();
    held.wait("STATUS=everything is held: ");
    std::thread::scope(|scope| {
        scope.spawn(|| assert_alive(&held, 4));
        scope.spawn(|| assert_alive(&sender, 4));
        // A reader that does not read: the first batch does not fit.
        scope.spawn(|| {
            let database = Database::migrated();
            database.accounts("user", 50);
            let (stalled, output) = stalled();
            let collect = Program::collect(&database).env("MAILROOM_BATCH_LIMIT", "50");
            let _collect = reader.watches(collect.stdout(output), LIMIT).start();
            stalled.wait_full();
            assert_alive(&reader, 4);
        });
    });
    run.stop();
    // The database is gone, and stays so.
    let run = away.watches(Program::run(&database, &accept.url()), LIMIT).start();
    away.wait("READY=1");
    cluster.control(&["stop", "-m", "fast"]);
    run.wait_log_times("connection failed", 6);
    assert_alive(&away, 6);
    away.wait("STATUS=no connection to ");
}

#[test]
fn a_call_that_hangs_gives_no_sign_of_life() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    endpoint.set(Reply::Slow(Duration::from_secs(6), Box::new(Reply::Accept)));
    let manager = Manager::start();
    let _run = manager.watches(Program::run(&database, &endpoint.url()), LIMIT).start();
    manager.wait("READY=1");
    assert_alive(&manager, 3);
    database.accounts("user", 1);
    wait_until("it was sent", || !endpoint.requests().is_empty());
    let since = Instant::now();
    let next = manager.wait_after("WATCHDOG=1", since + Duration::from_millis(200));
    assert!(next - since > Duration::from_secs(5), "it was silent for {:?} only", next - since);
    manager.wait("STATUS=1 messages handed over");
    assert_alive(&manager, 3);
}

/// The server's processes that serve the program, and the one that starts them.
fn processes(cluster: &Cluster, database: &Database) -> Vec<i32> {
    let sql = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'mailroom%'";
    let mut found: Vec<i32> =
        database.client().query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect();
    found.push(cluster.pid());
    found
}

#[test]
fn a_frozen_database_silences_it_until_the_deadline_and_then_it_lives_and_tries_again() {
    let cluster = Cluster::start(&[]);
    let database = cluster.migrated("mail");
    let url = format!("{} connect_timeout=1", cluster.url("mail"));
    let manager = Manager::start();
    let collect = Program::collect(&database)
        .env("MAILROOM_DATABASE_URL", url)
        .env("MAILROOM_HEALTHCHECK_INTERVAL", "500");
    let collect: Running = manager.watches(collect, LIMIT).start();
    manager.wait("READY=1");
    assert_alive(&manager, 3);
    let frozen = processes(&cluster, &database);
    let signal = |signal| frozen.iter().for_each(|pid| kill(Pid::from_raw(*pid), signal).unwrap());
    signal(Signal::SIGSTOP);
    let since = Instant::now();
    collect.wait_log("no answer within");
    let silence = manager.longest_silence(since, Instant::now());
    assert!(silence > Duration::from_secs(4), "silent for {silence:?} only");
    manager.wait_after("STATUS=no connection to ", since);
    assert_alive(&manager, 6);
    signal(Signal::SIGCONT);
    manager.wait_after("STATUS=connected to ", since);
    assert_eq!(manager.times("READY=1").len(), 1, "it is told once");
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn a_service_manager_that_cannot_be_told_stops_no_mail() {
    let database = Database::migrated();
    let mut sent = 0;
    let mut flows = |program: Program| {
        let collect = program.env("WATCHDOG_USEC", "1000000").start();
        sent += 3;
        database.accounts(&format!("user{sent}-"), 3);
        wait_until("all are sent", || database.in_state("sent") == sent);
        collect
    };
    let collect = || Program::collect(&database);
    let gone = "/nonexistent/socket";
    assert_eq!(flows(collect().env("NOTIFY_SOCKET", gone)).stop().code, Some(0));
    for odd in ["vsock:2:1234", "relative"] {
        let finished = flows(collect().env("NOTIFY_SOCKET", odd)).stop();
        assert!(finished.log.contains("NOTIFY_SOCKET: must begin with / or @"), "{}", finished.log);
    }
    // One that does not read, until it does: what matters is told then.
    let (socket, name, dir) = silent();
    let filler = std::os::unix::net::UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send_to(b"X=full", &name).is_ok() {}
    let collect = flows(collect().env("NOTIFY_SOCKET", &name));
    let manager = Manager::read(socket, name, dir);
    manager.wait("READY=1");
    manager.wait("STATUS=3 messages handed over");
    manager.wait("WATCHDOG=1");
    assert_eq!(collect.stop().code, Some(0));
}
