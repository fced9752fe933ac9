//! `sslmode` and `sslrootcert` against servers with and without TLS.

use super::{ask, denied, open, open_with};
use crate::support::cluster::shared;
use crate::support::program::wait_until;
use crate::support::tls::{Authority, NAME, Secured, self_signed};
use mailroom::edges::pg::fault::Fault;
use mailroom::edges::pg::session::Session;
use std::time::Duration;

/// What `pg_stat_ssl` says of this session: `off`, or the version of TLS.
fn encryption(session: &mut Session) -> String {
    let sql = "SELECT coalesce(version, 'off') FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    ask(session, sql)
}

#[test]
fn a_certificate_of_a_private_authority_is_checked_as_sslmode_says() {
    let authority = Authority::new("Private authority");
    let server = Secured::start(authority.issue(&[NAME]));
    let ours = server.file("ours.crt", &authority.pem);
    let ours = Some(ours.as_path());
    let theirs = server.file("theirs.crt", &Authority::new("Another authority").pem);
    let theirs = Some(theirs.as_path());

    let mut full = open(&server.url(NAME, "postgres", "verify-full", ours)).unwrap();
    assert_eq!(encryption(&mut full), "TLSv1.3");
    let text = denied(open(&server.url("other.test", "postgres", "verify-full", ours)));
    assert!(text.contains("other.test") && text.contains("subjectAltName"), "{text}");
    let text = denied(open(&server.url("127.0.0.1", "postgres", "verify-full", ours)));
    assert!(text.contains("subjectAltName"), "{text}");

    open(&server.url(NAME, "postgres", "verify-ca", ours)).unwrap();
    open(&server.url("other.test", "postgres", "verify-ca", ours)).unwrap();
    for mode in ["verify-ca", "verify-full"] {
        let text = denied(open(&server.url(NAME, "postgres", mode, theirs)));
        assert!(text.contains("UnknownIssuer"), "{text}");
    }
    let text = denied(open(&format!(
        "{} sslrootcert=system",
        server.url(NAME, "postgres", "verify-full", None)
    )));
    assert!(text.contains("UnknownIssuer"), "{text}");

    // A named authority makes `require` check the chain; without one it does not, nor `prefer`.
    open(&server.url("other.test", "postgres", "require", ours)).unwrap();
    denied(open(&server.url(NAME, "postgres", "require", theirs)));
    for mode in ["require", "prefer"] {
        let mut session = open(&server.url("other.test", "postgres", mode, None)).unwrap();
        assert_eq!(encryption(&mut session), "TLSv1.3");
    }

    // ~/.postgresql/root.crt is found by itself.
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".postgresql")).unwrap();
    std::fs::write(home.path().join(".postgresql/root.crt"), &authority.pem).unwrap();
    let env = [("HOME", home.path().to_str().unwrap())];
    open_with(&server.url(NAME, "postgres", "verify-full", None), &env).unwrap();
}

#[test]
fn the_server_and_sslmode_agree_on_tls_or_it_is_refused() {
    let authority = Authority::new("Private authority");
    let server = Secured::start(authority.issue(&[NAME]));
    let text = denied(open(&server.url(NAME, "postgres", "disable", None)));
    assert!(text.contains("28000") && text.contains("no encryption"), "{text}");

    // As in libpq, `prefer` goes without TLS where the server wants none.
    let mut plain = open(&server.url(NAME, "plain", "prefer", None)).unwrap();
    assert_eq!(encryption(&mut plain), "off");
    let text = denied(open(&server.url(NAME, "plain", "require", None)));
    assert!(text.contains("28000"), "{text}");
    let text = denied(open(&server.url(NAME, "nobody", "prefer", None)));
    assert!(text.contains("without TLS"), "{text}");

    // TLS is not for Unix sockets, whatever sslmode says.
    let mut unix = open(&format!("{} sslmode=require", server.cluster.url("postgres"))).unwrap();
    assert_eq!(encryption(&mut unix), "off");

    let without = shared();
    let text = denied(open(&format!("{} sslmode=require", without.tcp_url("postgres"))));
    assert!(text.contains("does not support TLS"), "{text}");
    let mut session = open(&format!("{} sslmode=prefer", without.tcp_url("postgres"))).unwrap();
    assert_eq!(encryption(&mut session), "off");
}

#[test]
fn a_password_is_bound_to_the_tls_channel() {
    let authority = Authority::new("Private authority");
    let server = Secured::start(authority.issue(&[NAME]));
    let roots = server.file("ours.crt", &authority.pem);
    let url = server.url(NAME, "clerk", "verify-full", Some(&roots));
    open(&format!("{url} password=letmein channel_binding=require")).unwrap();
    open(&format!("{url} password=letmein channel_binding=disable")).unwrap();
    let text = denied(open(&format!("{url} password=let-me-in-not")));
    assert!(text.contains("28P01") && !text.contains("let-me-in-not"), "{text}");
    // Without a password exchange there is nothing to bind.
    let trusted = server.url(NAME, "postgres", "verify-full", Some(&roots));
    let text = denied(open(&format!("{trusted} channel_binding=require")));
    assert!(text.contains("channel binding"), "{text}");
}

#[test]
fn a_certificate_that_signed_itself_can_be_trusted_by_naming_it() {
    let server = Secured::start(self_signed(&[NAME, "127.0.0.1"]));
    let own = server.certificate();
    open(&server.url(NAME, "postgres", "verify-full", Some(&own))).unwrap();
    open(&server.url("127.0.0.1", "postgres", "verify-full", Some(&own))).unwrap();
    open(&server.url("other.test", "postgres", "verify-ca", Some(&own))).unwrap();
    denied(open(&server.url("other.test", "postgres", "verify-full", Some(&own))));
    let another = server.file("another.crt", &self_signed(&[NAME]).0);
    denied(open(&server.url(NAME, "postgres", "verify-ca", Some(&another))));
}

#[test]
fn an_older_server_is_spoken_to_with_tls_1_2() {
    let authority = Authority::new("Private authority");
    let server = Secured::start(authority.issue(&[NAME]));
    let roots = server.file("ours.crt", &authority.pem);
    open(&server.cluster.url("postgres"))
        .unwrap()
        .call(std::time::Duration::from_secs(5), |client| {
            client.batch_execute("ALTER SYSTEM SET ssl_max_protocol_version = 'TLSv1.2'")
        })
        .unwrap();
    server.cluster.control(&["restart"]);
    let url = server.url(NAME, "clerk", "verify-full", Some(&roots));
    let mut session = open(&format!("{url} password=letmein channel_binding=require")).unwrap();
    assert_eq!(encryption(&mut session), "TLSv1.2");
}

#[test]
fn a_file_of_authorities_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text, said) in [
        ("missing.crt", None, "No such file"),
        ("empty.crt", Some(""), "no certificate in it"),
        ("key.crt", Some("-----BEGIN X-----\nAAAA\n-----END X-----\n"), "no certificate in it"),
        ("bad.crt", Some("-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----\n"), "PEM"),
        (
            "odd.crt",
            Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "no certificate in it can be used",
        ),
    ] {
        let path = dir.path().join(name);
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        let url = format!("host=127.0.0.1 user=u sslmode=verify-ca sslrootcert={}", path.display());
        let text = denied(open(&url));
        assert!(text.contains(name) && text.contains(said), "{text}");
    }
}

#[test]
fn a_server_that_ends_the_handshake_is_a_fault_that_can_pass() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 8];
        stream.read_exact(&mut request).unwrap();
        stream.write_all(b"S").unwrap();
    });
    let fault = open(&format!("host=127.0.0.1 port={port} user=u sslmode=require")).err().unwrap();
    assert!(matches!(fault, Fault::Lost(_)), "{fault:?}");
    server.join().unwrap();
}

#[test]
fn a_statement_that_is_given_up_is_cancelled_with_and_without_tls() {
    let authority = Authority::new("Private authority");
    let server = Secured::start(authority.issue(&[NAME]));
    let secured = server.url(NAME, "postgres", "require", None);
    let plain = [shared().url("postgres"), shared().tcp_url("postgres")];
    for (url, protocol) in
        [(secured, "TLSv1.3"), (plain[0].clone(), "off"), (plain[1].clone(), "off")]
    {
        let mut session = open(&url).unwrap();
        assert_eq!(encryption(&mut session), protocol);
        let pid = ask(&mut session, "SELECT pg_backend_pid()::text");
        let fault = session.call(Duration::from_millis(300), |client| {
            client.batch_execute("SET statement_timeout = 0; SELECT pg_sleep(1000)")
        });
        assert!(matches!(fault, Err(Fault::Lost(_))), "{fault:?}");
        // Nothing else ends it: the server does not look whether we are there.
        let mut other = open(&url).unwrap();
        let stands = format!("SELECT count(*)::text FROM pg_stat_activity WHERE pid = {pid}");
        wait_until("it is given up", || ask(&mut other, &stands) == "0");
    }
}
