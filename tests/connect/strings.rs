//! Connection strings, read as libpq reads them. Nothing is connected to.

use super::parse_with;
use mailroom::edges::pg::target::{Roots, Target, TlsMode};
use postgres::Config;
use postgres::config::{ChannelBinding, Host, SslMode, TargetSessionAttrs};
use proptest::prelude::*;
use std::path::PathBuf;
use std::time::Duration;

fn parse(text: &str) -> Target {
    parse_with(text, &[]).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Parses something that must be refused with all these words.
fn refused(text: &str, env: &[(&str, &str)], said: &[&str]) {
    let error = parse_with(text, env).err().unwrap_or_else(|| panic!("{text} was accepted"));
    for word in said {
        assert!(error.contains(word), "{text}: {word:?} is not in: {error}");
    }
}

/// `user dbname place[,place…]` with nothing left out.
fn told(target: &Target) -> String {
    let place = |place: &Config| {
        let host = match &place.get_hosts()[0] {
            Host::Tcp(name) => name.clone(),
            Host::Unix(dir) => dir.display().to_string(),
        };
        let addr = place.get_hostaddrs().first().map(|addr| format!("={addr}"));
        format!("{host}{}:{}", addr.unwrap_or_default(), place.get_ports()[0])
    };
    let places: Vec<String> = target.places.iter().map(place).collect();
    let base = &target.places[0];
    format!("{} {} {}", base.get_user().unwrap(), base.get_dbname().unwrap(), places.join(","))
}

fn password_of(place: &Config) -> Option<&str> {
    place.get_password().map(|password| std::str::from_utf8(password).unwrap())
}

fn password(target: &Target) -> Option<&str> {
    password_of(&target.places[0])
}

fn socket() -> String {
    let packaged = std::path::Path::new("/var/run/postgresql");
    (if packaged.is_dir() { "/var/run/postgresql" } else { "/tmp" }).to_owned()
}

#[test]
fn a_database_alone_means_the_local_socket_and_the_user_of_the_system() {
    let me = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
    assert_eq!(told(&parse("dbname=mailroom")), format!("{me} mailroom {}:5432", socket()));
    assert_eq!(told(&parse("mailroom")), format!("{me} mailroom {}:5432", socket()));
    for nothing in ["", " \n", "postgres://", "postgresql://", "postgres:///"] {
        assert_eq!(told(&parse(nothing)), format!("{me} {me} {}:5432", socket()));
    }
    let shown = parse("dbname=mailroom user=u").to_string();
    assert_eq!(shown, format!("host={} port=5432 dbname=mailroom user=u sslmode=prefer", socket()));
}

#[test]
fn keywords_and_uris_say_the_same_things() {
    for (text, want) in [
        ("host=h user=u", "u u h:5432"),
        ("host = h  port= 1 user =u dbname = d", "u d h:1"),
        ("user='it\\'s' dbname='a b' host=h", "it's a b h:5432"),
        ("user=a\\ b dbname='' host=h", "a b a b h:5432"),
        ("user=u user=v host=h", "v v h:5432"),
        ("user=u host= h", "u u h:5432"),
        ("user=u host='h'port=1", "u u h:1"),
        ("user=u host=/tmp port=1", "u u /tmp:1"),
        ("user=u host=a,b port=1,2", "u u a:1,b:2"),
        ("user=u host=a,b port=7", "u u a:7,b:7"),
        ("user=u host=a,b port=7,", "u u a:7,b:5432"),
        ("user=u host=a hostaddr=10.0.0.1", "u u a=10.0.0.1:5432"),
        ("user=u hostaddr=::1", "u u ::1=::1:5432"),
        ("user=u host=a,b hostaddr=,10.0.0.2", "u u a:5432,b=10.0.0.2:5432"),
        ("postgres://u@h", "u u h:5432"),
        ("postgresql://u@h/", "u u h:5432"),
        ("postgres://u@h:1/d", "u d h:1"),
        ("postgres://u@h:/d", "u d h:5432"),
        ("postgres://h/d?user=u&port=2", "u d h:2"),
        ("postgres://u@a:1,b:2/d", "u d a:1,b:2"),
        ("postgres://u@a,b:2/d", "u d a:5432,b:2"),
        ("postgres://u@[::1]:1/d", "u d ::1:1"),
        ("postgres://u@[::1],[::2]:3/d", "u d ::1:5432,::2:3"),
        ("postgres://u@%2Ftmp:1/d", "u d /tmp:1"),
        ("postgres://u@/d?host=/tmp", "u d /tmp:5432"),
        ("postgres://a%40b:p@h/c%2Fd", "a@b c/d h:5432"),
        ("postgres://u:p@h/d?host=x", "u d x:5432"),
        ("postgres://u@h?dbname=d", "u d h:5432"),
        ("postgres://u@h/d?options=-csearch_path=mailroom", "u d h:5432"),
        ("  postgres://u@h/d\n", "u d h:5432"),
    ] {
        assert_eq!(told(&parse(text)), want, "{text}");
    }
}

#[test]
fn passwords_are_read_whole() {
    for (text, want) in [
        ("user=u password=p", Some("p")),
        ("user=u password='p \\'\\\\ w'", Some("p '\\ w")),
        ("user=u password=a=b", Some("a=b")),
        ("postgres://u:p@h", Some("p")),
        ("postgres://u:a:b@h", Some("a:b")),
        ("postgres://u:%2f%40%3a%25@h", Some("/@:%")),
        ("postgres://u:@h", None),
        ("postgres://u:p?q#r@h", Some("p?q#r")),
        ("postgres://h?user=u&password=p%26q", Some("p&q")),
        ("user=u password=''", None),
    ] {
        assert_eq!(password(&parse(text)), want, "{text}");
    }
}

#[test]
fn variables_fill_in_what_the_string_leaves_out() {
    let env = [
        ("PGHOST", "envhost"),
        ("PGPORT", "7"),
        ("PGUSER", "envuser"),
        ("PGPASSWORD", "envpass"),
        ("PGDATABASE", "envdb"),
        ("PGSSLMODE", "require"),
        ("PGAPPNAME", ""),
        ("PGCONNECT_TIMEOUT", "4"),
        ("PGGSSENCMODE", "disable"),
    ];
    let target = parse_with("", &env).unwrap();
    assert_eq!(told(&target), "envuser envdb envhost:7");
    assert_eq!(password(&target), Some("envpass"));
    assert_eq!(target.tls, TlsMode::Require);
    assert_eq!(target.places[0].get_application_name(), Some("mailroom"));
    assert_eq!(target.places[0].get_connect_timeout(), Some(&Duration::from_secs(4)));
    let target = parse_with("postgres://u:p@h/d?sslmode=disable&connect_timeout=0", &env).unwrap();
    assert_eq!((told(&target).as_str(), password(&target)), ("u d h:7", Some("p")));
    assert_eq!(target.tls, TlsMode::Disable);
    assert_eq!(target.places[0].get_connect_timeout(), Some(&Duration::from_secs(10)));
    // An empty host is the socket, whatever PGHOST says.
    let target = parse_with("host='' user=u", &env).unwrap();
    assert_eq!(told(&target), format!("u envdb {}:7", socket()));
}

#[test]
fn dead_peers_are_looked_for_unless_told_otherwise() {
    let base = &parse("user=u host=h").places[0];
    assert!(base.get_keepalives());
    assert_eq!(base.get_keepalives_idle(), Duration::from_secs(30));
    assert_eq!(base.get_keepalives_interval(), Some(Duration::from_secs(10)));
    assert_eq!(base.get_keepalives_retries(), Some(3));
    assert_eq!(base.get_tcp_user_timeout(), Some(&Duration::from_secs(30)));
    assert_eq!(base.get_connect_timeout(), Some(&Duration::from_secs(10)));
    let text = "user=u host=h keepalives=0 keepalives_idle=5 keepalives_interval=0 \
                keepalives_count=9 tcp_user_timeout=1500 channel_binding=require \
                target_session_attrs=primary options='-c geqo=off'";
    let base = &parse(text).places[0];
    assert!(!base.get_keepalives());
    assert_eq!(base.get_keepalives_idle(), Duration::from_secs(5));
    assert_eq!(base.get_keepalives_interval(), None);
    assert_eq!(base.get_keepalives_retries(), Some(9));
    assert_eq!(base.get_tcp_user_timeout(), Some(&Duration::from_millis(1500)));
    assert_eq!(base.get_channel_binding(), ChannelBinding::Require);
    assert_eq!(base.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
    assert_eq!(base.get_options(), Some("-c geqo=off"));
}

#[test]
fn sslmode_and_sslrootcert_act_on_each_other_as_in_libpq() {
    let file = || Roots::File(PathBuf::from("/ca.crt"));
    for (text, mode, roots) in [
        ("", TlsMode::Prefer, Roots::Unset),
        ("sslmode=disable", TlsMode::Disable, Roots::Unset),
        ("sslmode=require", TlsMode::Require, Roots::Unset),
        ("sslmode=require sslrootcert=/ca.crt", TlsMode::VerifyCa, file()),
        ("sslmode=prefer sslrootcert=/ca.crt", TlsMode::Prefer, file()),
        ("sslmode=verify-ca sslrootcert=/ca.crt", TlsMode::VerifyCa, file()),
        ("sslmode=verify-full sslrootcert=/ca.crt", TlsMode::VerifyFull, file()),
        ("sslrootcert=system", TlsMode::VerifyFull, Roots::System(None)),
        ("sslrootcert=system sslmode=verify-full", TlsMode::VerifyFull, Roots::System(None)),
        ("postgres://u@h?ssl=true", TlsMode::Require, Roots::Unset),
    ] {
        let text = if text.contains("://") { text.into() } else { format!("user=u host=h {text}") };
        let target = parse(&text);
        assert_eq!((target.tls, target.roots), (mode, roots), "{text}");
    }
    refused("sslmode=require sslrootcert=system", &[], &["verify-full"]);
    refused("sslmode=verify-full", &[], &["sslrootcert"]);
    refused("sslmode=allow", &[], &["sslmode", "allow is not supported", "prefer"]);
    refused("", &[("PGSSLMODE", "on")], &["PGSSLMODE", "sslmode", "verify-full"]);
}

#[test]
fn what_is_not_supported_is_refused_by_name_and_what_asks_for_nothing_is_not() {
    for (text, said) in [
        ("service=main", ["service", "host"]),
        ("sslcert=/c.pem", ["sslcert", "password"]),
        ("sslkey=/k.pem", ["sslkey", "password"]),
        ("gssencmode=require", ["gssencmode", "Kerberos"]),
        ("krbsrvname=x", ["krbsrvname", "Kerberos"]),
        ("requiressl=1", ["requiressl", "sslmode=require"]),
        ("replication=database", ["replication", "leave it out"]),
        ("load_balance_hosts=random", ["load_balance_hosts", "order"]),
        ("target_session_attrs=standby", ["target_session_attrs", "standby"]),
        ("client_encoding=LATIN1", ["client_encoding", "UTF8"]),
        ("host=@abstract", ["host", "abstract"]),
        ("postgres://u@h/d?sslnegotiation=direct", ["sslnegotiation", "leave it out"]),
        ("colour=blue", ["colour", "not known"]),
        ("postgres://u@h/d?pgbouncer=true", ["pgbouncer", "not known"]),
    ] {
        refused(text, &[], &said);
    }
    refused("", &[("PGSERVICE", "main")], &["PGSERVICE", "unset"]);
    refused("", &[("PGSSLCERT", "/c.pem")], &["PGSSLCERT", "client certificates"]);
    parse("user=u gssencmode=disable sslcompression=0 sslcert='' client_encoding=UTF8");
    parse_with("user=u sslcert=''", &[("PGSSLCERT", "/c.pem")]).unwrap();
}

#[test]
fn what_is_malformed_is_refused_by_its_part() {
    for (text, said) in [
        ("host", None),
        ("host=h port=5432 oops", Some(["a word", "\"=\""])),
        ("host='h", Some(["a quote", "closed"])),
        ("host=a,b port=1,2,3", Some(["port", "3 ports for 2"])),
        ("host=a,b hostaddr=::1", Some(["hostaddr", "same number"])),
        ("hostaddr=example.com", Some(["hostaddr", "IP address"])),
        ("port=70000", Some(["port", "65535"])),
        ("port=0", Some(["port", "65535"])),
        ("connect_timeout=soon", Some(["connect_timeout", "whole number"])),
        ("user=a\0b", Some(["NUL", "cannot stand"])),
        ("postgres://u@h/%00", Some(["NUL", "cannot stand"])),
        ("postgres://u@h/%zz", Some(["dbname", "%25"])),
        ("postgres://u@h/%f", Some(["dbname", "%25"])),
        ("postgres://u@h/%ff", Some(["dbname", "UTF-8"])),
        ("postgres://u@[::1/d", Some(["host", "bracket"])),
        ("postgres://u@[]/d", Some(["host", "bracket"])),
        ("postgres://u@[::1]x/d", Some(["host", "bracket"])),
        ("postgres://u@h/d?sslmode", Some(["parameter", "\"=\""])),
        ("postgres://u@h:x/d", Some(["port", "%2F"])),
        ("mysql://u@h/d", Some(["scheme", "postgres://"])),
        ("my database", Some(["no URI", "name of a database"])),
    ] {
        match said {
            Some(said) => refused(text, &[], &said),
            None => assert_eq!(parse(text).places[0].get_dbname(), Some("host")),
        }
    }
}

#[test]
fn no_piece_of_a_badly_written_password_is_shown() {
    for text in [
        "postgres://u:pa/SECRET@h/db",
        "postgres://u:1234/SECRET@h/db",
        "postgres://u:pa@SECRET@h/db",
        "postgres://u:pa@SECRET/x@h/db",
        "postgres://u:pa@x:SECRET@h/db",
        "postgres://u:pa@x?SECRET@h/db",
        "postgres://u:pa@x?secret=SECRET@h/db",
        "postgres://u:pa%SECRET@h/db",
        "postgre://u:SECRET@h/db",
        "postgre://u:SECRET@h/db?sslmode=require",
        "host=h password=pa SECRET",
        "host=h password=pa SECRET=1",
        "host=h password=pa secret host=SECRET/x",
        "host=h password='SECRET",
        "host=h password='pa'SECRET port=1",
        "dbname=postgres://u:SECRET@h/db",
        "SECRET@host",
    ] {
        let error = parse_with(text, &[]).err().unwrap_or_else(|| panic!("{text} was accepted"));
        let lower = error.to_lowercase().replace("\"", "");
        assert!(!lower.contains("secret"), "{text}: {error}");
    }
}

#[test]
fn the_password_file_is_searched_place_by_place() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pass");
    let lines = "#*:*:*:*:comment\nlocalhost:5432:d:u:local\n/tmp/x:*:*:*:dir\na:1:d:u:one\r\n\
                 a\\:b:*:*:*:colon\n\\:\\:1:*:*:*:six\nh*:*:*:*:literal\n*:2:*:u:two:rest\n\
                 *:*:*:back\\\\slash:three\n";
    std::fs::write(&path, lines).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let env = [("PGPASSFILE", path.to_str().unwrap())];
    let found = |text: &str| {
        let target = parse_with(text, &env).unwrap();
        let all: Vec<&str> =
            target.places.iter().map(|place| password_of(place).unwrap_or("-")).collect();
        all.join(",")
    };
    assert_eq!(found("user=u dbname=d"), "local");
    assert_eq!(found("user=u dbname=d host=localhost"), "local");
    assert_eq!(found("user=u dbname=d host=/tmp/x"), "dir");
    assert_eq!(found("user=u dbname=d host=a,a,b port=1,2,3"), "one,two,-");
    assert_eq!(found("user=u dbname=d host=::1"), "six");
    assert_eq!(found("user=u dbname=d host=hx"), "-");
    assert_eq!(found("user='back\\\\slash' dbname=d host=z"), "three");
    assert_eq!(found("user=u dbname=d host=a port=1 password=given"), "given");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o604)).unwrap();
    let target = parse_with("user=u dbname=d", &env).unwrap();
    assert_eq!(password(&target), None);
    assert!(target.warning.unwrap().contains("chmod 0600"));
    let target = parse_with("user=u passfile=/nowhere/at/all", &env).unwrap();
    assert!(target.warning.is_none());
}

#[test]
fn every_address_becomes_one_configuration() {
    let text = "user=u host=/tmp,10.0.0.1,h hostaddr=,,10.0.0.3 port=1,2,3 sslmode=require";
    let configs = parse(&format!("{text} password=p")).resolve().unwrap();
    let ports: Vec<u16> = configs.iter().map(|config| config.get_ports()[0]).collect();
    assert_eq!(ports, [1, 2, 3]);
    let modes: Vec<SslMode> = configs.iter().map(|config| config.get_ssl_mode()).collect();
    assert_eq!(modes, [SslMode::Disable, SslMode::Require, SslMode::Require]);
    assert!(configs.iter().all(|config| config.get_password() == Some(b"p")));
    assert_eq!(configs[2].get_hostaddrs()[0].to_string(), "10.0.0.3");
}

fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| ['\\', c].into_iter().skip(usize::from(!"'\\".contains(c)))).collect()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "(?s)(postgres://)?.{0,60}", tail in "[a-z=:@/?%,'\\[\\] &]{0,40}") {
        let _ = parse_with(&text, &[]);
        let _ = parse_with(&tail, &[]);
        let _ = parse_with(&format!("postgres://{tail}"), &[]);
    }

    #[test]
    fn a_well_written_password_is_read_back(word in "[^\\x00]{1,24}") {
        let target = parse(&format!("user=u password='{}' host=h", escaped(&word)));
        prop_assert_eq!(password(&target), Some(word.as_str()));
        let target = parse(&format!("postgres://u:{}@h/d", encoded(&word)));
        prop_assert_eq!(password(&target), Some(word.as_str()));
    }

    #[test]
    fn a_password_never_stands_in_an_error_or_in_what_is_shown(
        a in "[a-z@:/?=& ]{0,6}",
        b in "[a-z@:/?=& ]{0,6}",
        tail in "( sslmode=x| port=x| oops|\\?oops=1|/d\\?port=x|/%zz|:x/d| host='|)",
    ) {
        // The middle is what must not be seen, wherever the pieces around it make it end up.
        let word = format!("{a}HUSH{b}");
        for text in [
            format!("user=u password='{}' host=h{tail}", escaped(&word)),
            format!("postgres://u:{}@h{tail}", encoded(&word)),
            format!("user=u host=h password={word}{tail}"),
            format!("postgres://u:x{word}@h{tail}"),
        ] {
            match parse_with(&text, &[]) {
                Err(error) => prop_assert!(!error.contains("HUSH"), "{}: {}", text, error),
                // Where an unquoted password is read as something else, nothing can tell.
                Ok(target) if text.contains("%") || text.contains('\'') => {
                    prop_assert!(!target.to_string().contains("HUSH"), "{}: {}", text, target);
                }
                Ok(_) => {}
            }
        }
    }
}
