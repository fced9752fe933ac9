//! The database goes away and comes back: the same process notices, returns, and drains what it
//! missed. Asked to stop meanwhile, it ends in time.

use crate::support::cluster::{Cluster, Database, connect, tag};
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::pipe::stalled;
use crate::support::program::{Program, Running, addresses, wait_until, whole_lines};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::TcpListener;
use std::time::{Duration, Instant};

fn assert_each_once(mut written: Vec<String>, count: usize) {
    assert_eq!(written.len(), count);
    written.sort();
    written.dedup();
    assert_eq!(written.len(), count, "some went twice");
}

#[test]
fn a_terminated_backend_is_replaced_and_nothing_is_missed() {
    let database = Database::migrated();
    // Its healthcheck would find what a notification did not tell; it must not need one.
    let collect = Program::collect(&database).start();
    collect.wait_log("connected");
    for round in 1..=3 {
        database.disconnect_others();
        database.accounts(&format!("user{round}-"), 15);
        wait_until("all are sent", || database.in_state("sent") == 15 * round);
        collect.wait_log_times("] connected", usize::try_from(round).unwrap() + 1);
    }
    assert_each_once(collect.stop_in_time().written(), 45);
}

#[test]
fn a_backend_terminated_while_draining_costs_at_most_a_batch_that_goes_later() {
    let database = Database::migrated();
    database.accounts("user", 2000);
    let collect = Program::collect(&database).env("MAILROOM_LEASE", "500").start();
    for lines in [5, 20, 40] {
        collect.wait_lines(lines);
        database.disconnect_others();
    }
    wait_until("all are sent", || database.in_state("sent") == 2000);
    assert_each_once(collect.stop_in_time().written(), 2000);
}

/// A database whose server commits what is settled, and then dies on the connection before it has
/// answered: it waits for a standby that is not there.
struct Mute {
    cluster: Cluster,
    database: Database,
}

impl Mute {
    fn start() -> Mute {
        let cluster = Cluster::start(&[]);
        let database = cluster.migrated("mail");
        database.run("ALTER DATABASE mail SET synchronous_commit = on");
        Mute { cluster, database }
    }

    fn mute(&self) {
        let mut client = connect(&self.cluster.url("postgres")).unwrap();
        client.batch_execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").unwrap();
        client.batch_execute("SELECT pg_reload_conf()").unwrap();
        wait_until("new sessions know it", || {
            let mut client = self.database.client();
            let row = client.query_one("SHOW synchronous_standby_names", &[]).unwrap();
            row.get::<_, String>(0) == "nobody"
        });
    }

    fn lose_an_answer(&self) {
        let waits = format!(
            "application_name LIKE 'mailroom%' AND wait_event = 'SyncRep' \
             AND starts_with(query, '{}')",
            tag("turn")
        );
        let count = format!("SELECT count(*) FROM pg_stat_activity WHERE {waits}");
        wait_until("an answer is due", || self.database.number(&count) == 1);
        self.database
            .run(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {waits}"));
        let mut client = connect(&self.cluster.url("postgres")).unwrap();
        client.batch_execute("ALTER SYSTEM RESET synchronous_standby_names").unwrap();
        client.batch_execute("SELECT pg_reload_conf()").unwrap();
    }
}

/// What was settled once is not said to be anybody else's when that is repeated.
fn assert_no_doubt(log: &str) {
    assert!(log.contains("settling failed"), "{log}");
    for word in ["ambiguous", "somebody else", "twice"] {
        assert!(!log.contains(word), "{word}:\n{log}");
    }
}

#[test]
fn outcomes_that_were_settled_without_an_answer_are_not_called_ambiguous() {
    let mute = Mute::start();
    let endpoint = Endpoint::start();
    let statuses = vec![("MESSAGE_REJECTED", "no such mailbox"), ("TRANSIENT_FAILURE", "later")];
    endpoint.push(Reply::Slow(Duration::from_secs(2), Box::new(Reply::Statuses(statuses))));
    let run = Program::run(&mute.database, &endpoint.url()).start();
    mute.database.accounts("user", 4);
    wait_until("the call is under way", || endpoint.requests().len() == 1);
    let mut client = mute.database.client();
    let mut lock = client.transaction().unwrap();
    lock.batch_execute("SELECT FROM deliveries WHERE state = 'leased' FOR UPDATE").unwrap();
    mute.mute();
    wait_until("it settles", || mute.database.blocked("turn") == 1);
    lock.rollback().unwrap();
    mute.lose_an_answer();
    run.wait_log_times("] connected", 2);
    wait_until("all are settled", || mute.database.in_state("sent") == 3);
    assert_eq!(mute.database.in_state("failed"), 1);
    let finished = run.stop();
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert_no_doubt(&finished.log);
}

#[test]
fn a_batch_that_was_settled_without_an_answer_is_not_called_ambiguous() {
    let mute = Mute::start();
    let (reader, output) = stalled();
    mute.database.accounts("user", 50);
    let collect =
        Program::collect(&mute.database).env("MAILROOM_BATCH_LIMIT", "50").stdout(output).start();
    wait_until("a batch is claimed", || mute.database.in_state("leased") == 50);
    reader.wait_full();
    mute.mute();
    let out = reader.read();
    mute.lose_an_answer();
    collect.wait_log_times("] connected", 2);
    let finished = collect.stop();
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert_eq!(addresses(&whole_lines(&out.get())).len(), 50);
    assert_eq!(mute.database.in_state("sent"), 50);
    assert_no_doubt(&finished.log);
}

#[test]
fn a_server_that_restarts_or_crashes_is_drained_by_the_same_process() {
    // What is committed must outlive the crash.
    let cluster = Cluster::start(&["synchronous_commit = on"]);
    let database = cluster.migrated("mail");
    let collect =
        Program::collect(&database).healthcheck(500).env("MAILROOM_LEASE", "1000").start();
    collect.wait_log("connected");
    for (round, how) in [(1, "fast"), (2, "immediate")] {
        database.accounts(&format!("before{round}-"), 5);
        cluster.control(&["restart", "-m", how]);
        database.accounts(&format!("after{round}-"), 5);
        wait_until("all are sent", || database.in_state("sent") == 10 * round);
    }
    assert_each_once(collect.stop_in_time().written(), 20);
}

#[test]
fn a_server_that_is_away_is_asked_ever_more_rarely_and_drained_by_the_same_process() {
    let cluster = Cluster::start(&[]);
    let database = cluster.migrated("mail");
    let collect = Program::collect(&database).healthcheck(500).start();
    collect.wait_log("connected");
    cluster.control(&["stop", "-m", "fast"]);
    let impatient = Program::collect(&database).start();
    impatient.wait_log_times("connection failed", 5);
    assert!(impatient.stop_in_time().written().is_empty());
    collect.wait_log_times("connection failed", 6);
    let log = collect.log();
    let waits: Vec<u64> = log
        .split("; next try in ")
        .skip(1)
        .map(|rest| rest.split(' ').next().unwrap().parse().unwrap())
        .collect();
    // Each is between half of what it may be and all of it, which doubles.
    assert!(waits.windows(3).all(|next| next[0] < next[2]), "{waits:?}");
    cluster.control(&["start"]);
    database.accounts("user", 15);
    wait_until("all are sent", || database.in_state("sent") == 15);
    assert_each_once(collect.stop_in_time().written(), 15);
}

#[test]
fn asked_to_stop_with_an_outcome_to_write_down_it_tries_a_few_times_to_connect() {
    let cluster = Cluster::start(&[]);
    let (database, endpoint) = (cluster.migrated("mail"), Endpoint::start());
    endpoint.push(Reply::Slow(Duration::from_secs(2), Box::new(Reply::Statuses(vec![]))));
    let run = Program::run(&database, &endpoint.url()).start();
    database.accounts("user", 1);
    wait_until("the call is under way", || endpoint.requests().len() == 1);
    cluster.control(&["stop", "-m", "fast"]);
    let log = run.stop_in_time().log;
    let tries = log.matches("connection failed").count();
    assert!((2..=6).contains(&tries) && !log.contains("failed: asked to stop"), "{tries}: {log}");
    assert!(log.contains("it was accepted, but that could not be written down"), "{log}");
}

/// The server's processes that serve the program.
fn backends(database: &Database) -> Vec<i32> {
    let sql = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'mailroom%'";
    database.client().query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

/// Stops all processes of a server, or lets them go on.
fn signal_server(cluster: &Cluster, backends: &[i32], signal: Signal) {
    for pid in backends.iter().copied().chain([cluster.pid()]) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

#[test]
fn a_frozen_server_is_noticed_and_left_in_time_and_drained_when_it_goes_on() {
    let cluster = Cluster::start(&[]);
    let database = cluster.migrated("mail");
    let urls = [cluster.url("mail"), cluster.tcp_url("mail")];
    let start = |url: &String| {
        let collect = Program::collect(&database)
            .healthcheck(500)
            .env("MAILROOM_DATABASE_URL", url)
            .env("MAILROOM_LEASE", "1000")
            .start();
        collect.wait_log("connected");
        collect
    };
    let staying: Vec<Running> = urls.iter().map(start).collect();
    let leaving: Vec<Running> = urls.iter().map(start).collect();
    database.accounts("before", 15);
    wait_until("all are sent", || database.in_state("sent") == 15);
    let backends = backends(&database);
    assert_eq!(backends.len(), 4);
    signal_server(&cluster, &backends, Signal::SIGSTOP);
    let mut written = Vec::new();
    for collect in leaving {
        written.extend(collect.stop_in_time().written());
    }
    for collect in &staying {
        collect.wait_log("no answer within");
        collect.wait_log_times("connecting to", 2);
    }
    // One more leaves while it tries to connect.
    let late = Program::collect(&database).start();
    late.wait_log("connecting to");
    written.extend(late.stop_in_time().written());
    signal_server(&cluster, &backends, Signal::SIGCONT);
    database.accounts("after", 15);
    wait_until("all are sent", || database.in_state("sent") == 30);
    for collect in &staying {
        collect.wait_log_times("] connected", 2);
    }
    for collect in staying {
        written.extend(collect.stop_in_time().written());
    }
    assert_each_once(written, 30);
}

#[test]
fn asked_to_stop_while_a_frozen_server_owes_an_answer_it_ends_in_time_and_a_batch_may_repeat() {
    let cluster = Cluster::start(&[]);
    let database = cluster.migrated("mail");
    database.accounts("user", 5000);
    let start = || Program::collect(&database).env("MAILROOM_LEASE", "1000").start();
    let collect = start();
    collect.wait_lines(5);
    let backends = backends(&database);
    signal_server(&cluster, &backends, Signal::SIGSTOP);
    let mut written = collect.stop_in_time().written();
    assert!(written.len() < 5000, "it was frozen too late");
    signal_server(&cluster, &backends, Signal::SIGCONT);
    let next = start();
    wait_until("all are sent", || database.in_state("sent") == 5000);
    written.extend(next.stop_in_time().written());
    let count = written.len();
    written.sort();
    written.dedup();
    assert_eq!(written.len(), 5000, "rows were lost");
    assert!(count <= 5010, "{} went twice", count - 5000);
}

/// A port that takes connections and never answers.
fn black_hole() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

#[test]
fn a_black_hole_in_front_of_the_server_is_passed_at_every_reconnect() {
    let (cluster, hole) = (Cluster::start(&[]), black_hole());
    let database = cluster.migrated("mail");
    let url = format!(
        "postgres://postgres@127.0.0.1:{},127.0.0.1:{}/mail?connect_timeout=2",
        hole.local_addr().unwrap().port(),
        cluster.port
    );
    let collect = Program::collect(&database).env("MAILROOM_DATABASE_URL", url).start();
    collect.wait_log("] connected");
    for round in 1..=2 {
        database.disconnect_others();
        database.accounts(&format!("user{round}-"), 5);
        wait_until("all are sent", || database.in_state("sent") == 5 * round);
    }
    assert_each_once(collect.stop_in_time().written(), 10);
}

#[test]
fn a_black_hole_alone_is_tried_again_and_does_not_keep_it_from_ending() {
    let (database, hole) = (Database::migrated(), black_hole());
    let port = hole.local_addr().unwrap().port();
    let slow = format!("host=127.0.0.1 port={port} user=u dbname=d");
    let quick = format!("{slow} connect_timeout=2");
    for (url, tries) in [(quick, 2), (slow, 1)] {
        let collect = Program::collect(&database).env("MAILROOM_DATABASE_URL", url).start();
        collect.wait_log_times("connecting to", tries);
        assert!(collect.stop_in_time().written().is_empty());
    }
}

#[test]
fn no_thread_is_started_to_look_up_a_host_name() {
    let cluster = Cluster::start(&[]);
    let database = cluster.migrated("mail");
    let url = format!("host=localhost port={} user=postgres dbname=mail", cluster.port);
    let collect = Program::collect(&database).env("MAILROOM_DATABASE_URL", url).start();
    let done = std::sync::atomic::AtomicBool::new(false);
    let most = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                most = most.max(collect.status("Threads"));
                std::thread::sleep(Duration::from_micros(200));
            }
            most
        });
        for round in 1..=3 {
            collect.wait_log_times("] connected", round);
            database.disconnect_others();
        }
        collect.wait_log_times("] connected", 4);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        watch.join().unwrap()
    });
    assert_eq!(most, 1);
    assert!(collect.stop_in_time().written().is_empty());
}

#[test]
fn what_came_while_a_connection_was_lost_just_before_a_wait_is_found() {
    let database = Database::migrated();
    // Its healthcheck would find it; it must not need one.
    let running = Program::collect(&database).start();
    running.wait_log("connected");
    let mut holder = database.client();
    let mut held = holder.transaction().unwrap();
    held.batch_execute("LOCK TABLE jobs IN SHARE MODE").unwrap();
    database.accounts("user", 1);
    running.wait_lines(1);
    wait_until("it waits for the lock", || database.blocked("record") == 1);
    // Its notification goes to a session that will never hear it.
    database.accounts("more", 1);
    database.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND application_name LIKE 'mailroom%'",
    );
    running.wait_log("recording failed");
    held.rollback().unwrap();
    assert_eq!(addresses(&running.wait_lines(2)), ["user1@example.com", "more1@example.com"]);
    running.wait_log_times("] connected", 2);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn a_connection_that_is_lost_before_it_was_of_use_is_not_replaced_at_once() {
    let database = Database::migrated();
    // The first statement on each connection finds a lease that ran out, and fails as on a server
    // that takes no writes any more.
    database.accounts("user", 1);
    database.run(
        "UPDATE deliveries SET state = 'leased', lease = 'x', due_at = now() - interval '1 hour';
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN RAISE SQLSTATE ''25006''; END';
         CREATE TRIGGER refuse BEFORE UPDATE ON deliveries EXECUTE FUNCTION refuse()",
    );
    let begun = Instant::now();
    let collect = Program::collect(&database).start();
    collect.wait_log_times("rescuing failed", 5);
    // At least half of 100, 200, 400 and 800 ms.
    assert!(begun.elapsed() > Duration::from_millis(750), "{:?}", begun.elapsed());
    database.run("DROP TRIGGER refuse ON deliveries");
    assert_eq!(addresses(&collect.wait_lines(1)), ["user1@example.com"]);
    assert_eq!(collect.stop_in_time().written().len(), 1);
}

#[test]
fn a_column_that_gets_another_type_does_not_stop_mail() {
    let (database, endpoint) = (Database::migrated(), Endpoint::start());
    let run = Program::run(&database, &endpoint.url()).start();
    database.accounts("before", 1);
    wait_until("it is sent", || database.in_state("sent") == 1);
    database.run("ALTER TABLE accounts ALTER COLUMN login TYPE text");
    database.accounts("after", 1);
    wait_until("the other is too", || database.in_state("sent") == 2);
    let log = run.stop().log;
    assert!(log.contains("statements are prepared again on a new connection"), "{log}");
}

#[test]
fn of_several_hosts_the_one_that_takes_writes_is_used_even_if_another_comes_first() {
    let standby = Cluster::start(&["default_transaction_read_only = on"]);
    let database = Database::migrated();
    let mut there = connect(&standby.url("postgres")).unwrap();
    there.batch_execute("SET default_transaction_read_only = off").unwrap();
    there.batch_execute(&format!("CREATE DATABASE {}", database.name)).unwrap();
    let first = standby.url(&database.name);
    let after = |url: &str, key: &str| {
        let word = url.split(' ').find_map(|word| word.strip_prefix(key));
        format!("{key}{},", word.unwrap())
    };
    let url = database.url.replace("host=", &after(&first, "host="));
    let url = url.replace("port=", &after(&first, "port="));
    let collect = Program::collect(&database).env("MAILROOM_DATABASE_URL", &url).start();
    database.accounts("user", 1);
    assert_eq!(addresses(&collect.wait_lines(1)), ["user1@example.com"]);
    let health =
        Program::new(&["health"]).on(&database).env("MAILROOM_DATABASE_URL", &url).output();
    assert_eq!(health.code, Some(0), "{}", health.log);
    assert_eq!(collect.stop_in_time().written().len(), 1);
    // Alone it is waited for, and says why.
    let only = Program::collect(&database).env("MAILROOM_DATABASE_URL", &first).start();
    only.wait_log("does not allow writes; next try in");
    assert!(only.stop_in_time().written().is_empty());
}

#[test]
fn too_few_file_descriptors_are_a_fault_that_can_pass() {
    let database = Database::migrated();
    // What this test inherited would count too.
    let closed = (3..=9).map(|number| format!("exec {number}>&-; ")).collect::<String>();
    for limit in [5, 7, 9, 11] {
        let limited = format!("{closed}ulimit -n {limit}");
        let run = Program::collect(&database).after(&limited).start();
        run.wait_log("(os error 24)");
        assert_eq!(run.stop().code, Some(0), "{limit}");
    }
}

#[test]
fn beside_a_standby_that_is_away_mail_goes_on_and_no_backend_is_left_behind() {
    let cluster = Cluster::start(&["synchronous_standby_names = 'nobody'"]);
    let database = cluster.migrated("alone");
    database.accounts("user", 9);
    database.run("ALTER DATABASE alone SET synchronous_commit = on");
    let collect = Program::collect(&database).limit(3).start();
    // A batch is claimed and written; that it was is to outlast the server, so this waits.
    assert_eq!(collect.wait_lines(1).len(), 1);
    let ours = "FROM pg_stat_activity WHERE application_name LIKE 'mailroom%'";
    let waits = format!(
        "SELECT coalesce(min(pid), 0)::bigint {ours} AND wait_event = 'SyncRep'
            AND starts_with(query, '{}')",
        tag("turn")
    );
    let waiting = || database.number(&waits);
    wait_until("the settlement waits", || waiting() > 0);
    let first = waiting();
    collect.wait_log("settling failed");
    wait_until("it was given up, and the server has it", || waiting() != first);
    assert_eq!(collect.wait_lines(2).len(), 2);
    wait_until("the next settlement waits", || waiting() > 0);
    assert_eq!(database.number(&format!("SELECT count(*) {ours}")), 1);
    assert_eq!(database.in_state("sent"), 3, "none went twice");
    // What was claimed with the first settlement, whose answer was lost, does not wait for its lease.
    assert_eq!(database.in_state("leased"), 3);
    assert!(collect.log().contains("claimed without an answer: 3; put back"));
    // It has ended, and nobody was told: nothing would end what it began.
    collect.kill();
    let health = || Program::new(&["health"]).on(&database).output();
    wait_until("nobody listens", || health().log.contains("nobody listens"));
    database.run("ALTER SYSTEM SET synchronous_standby_names = ''");
    database.run("SELECT pg_reload_conf()");
    wait_until("it is settled", || database.in_state("sent") == 6);
}

#[test]
fn a_server_that_ends_idle_sessions_keeps_ours() {
    let database = Database::migrated();
    database.run(&format!("ALTER DATABASE {} SET idle_session_timeout = '300ms'", database.name));
    let collect = Program::collect(&database).start();
    collect.wait_log("connected");
    let idle = "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name LIKE 'mailroom%'
           AND now() - state_change > interval '1 s'";
    wait_until("it was idle for longer", || database.number(idle) == 1);
    let finished = collect.stop();
    assert_eq!(finished.code, Some(0));
    assert_eq!(finished.log.matches("connecting to").count(), 1, "{}", finished.log);
}
