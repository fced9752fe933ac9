//! Connecting and asking, over a Unix socket and over TCP.

use super::{ask, denied, open, open_with, parse_with, probe};
use crate::support::cluster::{Cluster, Database, shared};
use mailroom::edges::pg::fault::Fault;
use mailroom::edges::stop::SLICE;
use mailroom::edges::stop::Stop;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn a_session_opens_over_a_unix_socket_and_over_tcp() {
    let cluster = shared();
    let mut unix = open(&cluster.url("postgres")).unwrap();
    assert_eq!(ask(&mut unix, "SELECT coalesce(inet_server_addr()::text, 'socket')"), "socket");
    let mut tcp = open(&cluster.tcp_url("postgres")).unwrap();
    assert!(ask(&mut tcp, "SELECT inet_server_addr()::text").starts_with("127.0.0.1"));
    for session in [&mut unix, &mut tcp] {
        probe(session).unwrap();
        assert_eq!(ask(session, "SHOW application_name"), "mailroom");
        assert_eq!(ask(session, "SHOW client_encoding"), "UTF8");
        assert_eq!(ask(session, "SHOW statement_timeout"), "15s");
        assert_eq!(ask(session, "SHOW lock_timeout"), "10s");
        assert_eq!(ask(session, "SHOW idle_in_transaction_session_timeout"), "30s");
    }
}

#[test]
fn a_uri_with_the_socket_in_its_host_opens_too() {
    let cluster = shared();
    let dir = cluster.dir.display().to_string();
    let encoded = dir.replace('/', "%2F");
    let port = cluster.port;
    for uri in [
        format!("postgresql://postgres@{encoded}:{port}/postgres"),
        format!("postgres://postgres@/postgres?host={dir}&port={port}"),
        format!("postgres:///?host={encoded}&port={port}&user=postgres&dbname=postgres"),
    ] {
        let mut session = open(&uri).unwrap();
        assert_eq!(ask(&mut session, "SELECT current_user::text"), "postgres", "{uri}");
    }
}

#[test]
fn the_environment_alone_is_enough() {
    let cluster = shared();
    let (dir, port) = (cluster.dir.display().to_string(), cluster.port.to_string());
    let env = [
        ("PGHOST", dir.as_str()),
        ("PGPORT", &port),
        ("PGUSER", "postgres"),
        ("PGDATABASE", "template1"),
        ("PGAPPNAME", "post room"),
        ("PGOPTIONS", "-c work_mem=3MB"),
    ];
    let mut session = open_with("", &env).unwrap();
    assert_eq!(ask(&mut session, "SELECT current_database()::text"), "template1");
    assert_eq!(ask(&mut session, "SHOW application_name"), "post room");
    assert_eq!(ask(&mut session, "SHOW work_mem"), "3MB");
}

#[test]
fn a_host_name_is_looked_up_before_the_client_sees_it() {
    let cluster = shared();
    let text = format!("host=localhost port={} user=postgres dbname=postgres", cluster.port);
    let target = parse_with(&text, &[]).unwrap();
    for config in target.resolve().unwrap() {
        assert_eq!((config.get_hosts().len(), config.get_hostaddrs().len()), (1, 1));
    }
    open(&text).unwrap();
}

#[test]
fn a_host_that_does_not_exist_is_a_fault_that_can_pass() {
    let fault = open("host=nowhere.invalid user=u dbname=d").err().unwrap();
    let Fault::Lost(text) = fault else { panic!("{fault:?}") };
    assert!(text.contains("nowhere.invalid"), "{text}");
}

#[test]
fn the_first_of_several_hosts_may_be_dead() {
    let cluster = shared();
    let port = cluster.port;
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let uri =
        format!("postgres://postgres@127.0.0.1:{dead},nowhere.invalid:1,127.0.0.1:{port}/postgres");
    probe(&mut open(&uri).unwrap()).unwrap();
    let uri = format!("postgres://postgres@127.0.0.1:{dead},[::1]:{dead}/postgres");
    let fault = open(&uri).err().unwrap();
    let Fault::Lost(text) = fault else { panic!("{fault:?}") };
    assert!(text.contains("127.0.0.1") && text.contains("::1"), "{text}");
}

#[test]
fn a_server_of_the_wrong_kind_is_passed_over() {
    let cluster = shared();
    let url = format!("{} target_session_attrs", cluster.url("postgres"));
    open(&format!("{url}=read-write")).unwrap();
    open(&format!("{url}=primary")).unwrap();
    let read_only = "options='-c default_transaction_read_only=on'";
    open(&format!("{url}=read-only {read_only}")).unwrap();
    for wrong in ["=read-only".to_owned(), format!("=read-write {read_only}")] {
        let fault = open(&format!("{url}{wrong}")).err().unwrap();
        assert!(matches!(fault, Fault::Lost(_)), "{fault:?}");
    }
}

#[test]
fn statements_see_what_was_committed_before_each_of_them_whatever_the_role_has() {
    let url = shared().url("postgres");
    for level in ["serializable", "repeatable\\\\ read"] {
        let url = format!("{url} options='-c default_transaction_isolation={level}'");
        let mut session = open(&url).unwrap();
        assert_eq!(ask(&mut session, "SHOW transaction_isolation"), "read committed");
    }
}

#[test]
fn what_a_person_must_change_is_told_from_what_can_pass() {
    let cluster = shared();
    let text = denied(open(&cluster.url("no_such_database")));
    assert!(text.contains("3D000") && text.contains("no_such_database"), "{text}");
    let text = denied(open(&format!("{} options='-c bogus=1'", cluster.url("postgres"))));
    assert!(text.contains("bogus"), "{text}");
    let mut session = open(&cluster.url("postgres")).unwrap();
    let mut fault =
        |sql: &str| session.call(LIMIT, |client| client.batch_execute(sql)).unwrap_err();
    assert!(matches!(fault("SELECT * FROM no_such_table"), Fault::Denied(_)));
    assert!(matches!(fault("SELECT no_such_column"), Fault::Denied(_)));
    assert!(matches!(fault("SELECT 1/0"), Fault::Statement(_)));
    let slow = "SET statement_timeout = 50; SELECT pg_sleep(30)";
    let Fault::Statement(text) = fault(slow) else { panic!() };
    assert!(text.contains("57014"), "{text}");
    probe(&mut session).unwrap();
}

#[test]
fn the_quoted_row_in_a_servers_detail_is_not_told() {
    let database = Database::empty();
    database.run("CREATE TABLE t (secret text UNIQUE); INSERT INTO t VALUES ('hush')");
    let mut session = open(&database.url).unwrap();
    let fault = session
        .call(LIMIT, |client| client.batch_execute("INSERT INTO t VALUES ('hush')"))
        .unwrap_err();
    assert!(!fault.to_string().contains("hush"), "{fault}");
}

#[test]
fn a_notification_ends_the_wait_and_many_are_told_together() {
    let cluster = shared();
    let mut session = open(&cluster.url("postgres")).unwrap();
    session.listen("Odd \"channel\"").unwrap();
    let mut other = crate::support::cluster::connect(&cluster.url("postgres")).unwrap();
    let begun = Instant::now();
    assert_eq!(session.wait(begun + Duration::from_millis(700)).unwrap(), 0);
    assert!(begun.elapsed() >= Duration::from_millis(700));
    let flood: String =
        (0..500).map(|i| format!("NOTIFY \"Odd \"\"channel\"\"\", '{i}';")).collect();
    other.batch_execute(&flood).unwrap();
    // What the server sent in one piece may be read in a few.
    let (mut heard, mut waits) = (0, 0);
    while heard < 500 {
        let more = session.wait(Instant::now() + LIMIT).unwrap();
        assert!(more > 0, "only {heard} were heard");
        (heard, waits) = (heard + more, waits + 1);
    }
    assert_eq!(heard, 500);
    assert!(waits < 50, "{waits} waits");
    // One that arrives during a statement is not lost.
    other.batch_execute("NOTIFY \"Odd \"\"channel\"\"\"").unwrap();
    probe(&mut session).unwrap();
    assert_eq!(session.wait(Instant::now()).unwrap(), 1);
}

/// How often this thread has gone to sleep.
fn sleeps() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
    line.split_whitespace().last().unwrap().parse().unwrap()
}

#[test]
fn an_idle_session_sends_nothing_and_wakes_at_most_twice_a_second() {
    let cluster = shared();
    for url in [cluster.url("postgres"), cluster.tcp_url("postgres")] {
        let mut session = open(&url).unwrap();
        session.listen("nobody_calls").unwrap();
        let pid = ask(&mut session, "SELECT pg_backend_pid()::text");
        probe(&mut session).unwrap();
        let before = sleeps();
        assert_eq!(session.wait(Instant::now() + Duration::from_secs(4)).unwrap(), 0);
        let woken = sleeps() - before;
        assert!(woken <= 4 * 2 + 3, "woken {woken} times in 4 s");
        let asked = format!(
            "SELECT (state = 'idle' AND now() - state_change > '3.5 s')::text \
             FROM pg_stat_activity WHERE pid = {pid}"
        );
        assert_eq!(ask(&mut open(&url).unwrap(), &asked), "true");
    }
}

#[test]
fn every_one_of_many_notifications_in_a_row_ends_a_wait_at_once() {
    let cluster = shared();
    for url in [cluster.url("postgres"), cluster.tcp_url("postgres")] {
        let mut session = open(&url).unwrap();
        session.listen("row").unwrap();
        let mut other = crate::support::cluster::connect(&url).unwrap();
        let mut late = 0;
        for _ in 0..300 {
            other.batch_execute("NOTIFY row").unwrap();
            let begun = Instant::now();
            assert_eq!(session.wait(begun + LIMIT).unwrap(), 1);
            late += u32::from(begun.elapsed() > SLICE / 4);
        }
        // Had it slept to the end of a slice, at least half would be; a busy machine makes some.
        assert!(late < 100, "{late} of 300 were late");
    }
}

/// A cluster whose TCP connections need a password.
fn guarded() -> (Cluster, tempfile::TempDir) {
    let cluster = Cluster::start(&[]);
    let hba = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    std::fs::write(cluster.dir.join("data/pg_hba.conf"), hba).unwrap();
    cluster.control(&["reload"]);
    let mut admin = open(&cluster.url("postgres")).unwrap();
    admin
        .call(LIMIT, |client| client.batch_execute("CREATE ROLE clerk LOGIN PASSWORD 'p:w\\d @/1'"))
        .unwrap();
    (cluster, tempfile::tempdir().unwrap())
}

#[test]
fn a_password_comes_from_the_string_the_variable_or_the_file() {
    let (cluster, home) = guarded();
    let port = cluster.port;
    let text = format!("host=127.0.0.1 port={port} user=clerk dbname=postgres");
    let asked = denied(open(&text));
    assert!(asked.contains("password missing") && asked.contains("PGPASSWORD"), "{asked}");

    open(&format!("{text} password='p:w\\\\d @/1'")).unwrap();
    open(&format!("postgres://clerk:p%3Aw%5Cd%20%40%2F1@127.0.0.1:{port}/postgres")).unwrap();
    open_with(&text, &[("PGPASSWORD", "p:w\\d @/1")]).unwrap();

    let file: PathBuf = home.path().join(".pgpass");
    let lines = format!("# comment\n*:1:*:*:no\n127.0.0.1:{port}:*:clerk:p\\:w\\\\d @/1\n");
    std::fs::write(&file, lines).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    open_with(&text, &[("HOME", home.path().to_str().unwrap())]).unwrap();
    open_with(&text, &[("PGPASSFILE", file.to_str().unwrap())]).unwrap();
    open(&format!("{text} passfile={}", file.display())).unwrap();

    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    let target = parse_with(&text, &[("PGPASSFILE", file.to_str().unwrap())]).unwrap();
    assert!(target.warning.as_deref().unwrap().contains("chmod 0600"));
    denied(mailroom::edges::pg::connect(&target, &Stop::new()));

    let wrong = denied(open(&format!("{text} password=wrong-horse")));
    assert!(wrong.contains("28P01") && wrong.contains("clerk"), "{wrong}");
    assert!(!wrong.contains("wrong-horse"), "{wrong}");
}
