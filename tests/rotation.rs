//! Passwords and tokens that are renewed in their files while the program runs.

use crate::support::cluster::connect;
use crate::support::program::{KEY, Program, Running, wait_until};
use crate::support::tls::{Authority, NAME, Secured};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A password of SMTP too.
#[cfg(any(feature = "smtp", feature = "postmark"))]
const PASSWORD: &str = crate::support::postmark::API_TOKEN;

fn put(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_password_of_the_database_is_read_again_at_each_connection() {
    let server = Secured::start(Authority::new("Private authority").issue(&[NAME]));
    let database = server.cluster.migrated("mail");
    mailroom::queue::grants::give(
        &mut database.client(),
        "clerk",
        mailroom::queue::grants::COLLECTOR,
    )
    .unwrap()
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let url = server.url(NAME, "clerk", "require", None).replace("dbname=postgres", "dbname=mail");
    let (file, passfile) = (dir.path().join("url"), dir.path().join("pgpass"));
    let credential = dir.path().join("MAILROOM_DATABASE_URL");
    let write = |password: &str| {
        put(&file, &format!("{url} password={password}"));
        put(&credential, &format!("{url} password={password}"));
        put(&passfile, &format!("*:*:mail:clerk:{password}\n"));
    };
    write("letmein");
    let collect = || {
        Program::new(&["collect"]).env("MAILROOM_SECRET_KEY", KEY).env("MAILROOM_BATCH_LIMIT", "1")
    };
    let all: Vec<Running> = [
        collect().env("MAILROOM_DATABASE_URL_FILE", &file),
        collect().env("MAILROOM_DATABASE_URL", &url).env("PGPASSFILE", &passfile),
        collect().env("CREDENTIALS_DIRECTORY", dir.path()),
    ]
    .map(Program::start)
    .into();
    for one in &all {
        one.wait_log("connected");
    }
    // The server has the new one first, as with every rotation.
    let mut admin = connect(&server.cluster.url("mail")).unwrap();
    admin.batch_execute("ALTER ROLE clerk PASSWORD 'renewed'").unwrap();
    database.disconnect_others();
    for one in &all {
        one.wait_log("28P01");
        one.wait_log("next try in");
    }
    write("renewed");
    for (number, one) in all.into_iter().enumerate() {
        one.wait_log_times("] connected", 2);
        let log = one.stop().log;
        assert!(!log.contains("renewed") && !log.contains("letmein"), "{number}: {log}");
    }
}

/// What the file says now is what the provider is told next: a mail goes, and after the file has
/// changed, none does.
#[cfg(any(feature = "smtp", feature = "postmark"))]
fn reread(send: Program, file: &Path, mails: impl Fn() -> usize) {
    let before = mails();
    let mut send = send.env("MAILROOM_BATCH_LIMIT", "1").start();
    send.write(crate::support::records::activations("user", 1));
    wait_until("it is sent", || mails() == before + 1);
    let right = std::fs::read_to_string(file).unwrap();
    put(file, &right.replace(PASSWORD, "another"));
    send.write(crate::support::records::activations("more", 1));
    send.wait_log("next probe in");
    assert_eq!(mails(), before + 1);
    let finished = send.stop();
    assert!(!finished.log.contains(PASSWORD), "{}", finished.log);
}

#[cfg(feature = "smtp")]
#[test]
fn a_password_of_smtp_is_read_again_at_each_connection() {
    use crate::support::mailserver::{MailServer, Tls};
    let server = MailServer::start(Tls::Offered, Some(("user", PASSWORD)));
    let dir = tempfile::tempdir().unwrap();
    let [ca, password, whole] = ["ca.pem", "password", "url"].map(|name| dir.path().join(name));
    std::fs::write(&ca, &server.ca).unwrap();
    let send = || {
        Program::send("")
            .env("MAILROOM_TRANSPORT", "smtp")
            .env("MAILROOM_TEMPLATE_DIR", concat!(env!("CARGO_MANIFEST_DIR"), "/templates"))
    };
    // So that each mail has a connection of its own.
    server.limit(1);
    put(&password, PASSWORD);
    let by_password = send()
        .env("MAILROOM_SMTP_URL", server.url("user@", &ca))
        .env("MAILROOM_SMTP_PASSWORD_FILE", &password);
    reread(by_password, &password, || server.mails().len());
    put(&whole, &server.url(&format!("user:{PASSWORD}@"), &ca));
    let by_url = send().env("MAILROOM_SMTP_URL_FILE", &whole);
    reread(by_url, &whole, || server.mails().len());
}

#[cfg(feature = "postmark")]
#[test]
fn a_token_of_postmark_is_read_again_at_each_call() {
    let endpoint = crate::support::endpoint::Endpoint::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    put(&file, PASSWORD);
    let send = Program::send("")
        .env("MAILROOM_TRANSPORT", "postmark")
        .env("MAILROOM_POSTMARK_URL", endpoint.url())
        .env("MAILROOM_POSTMARK_TOKEN_FILE", &file);
    reread(send, &file, || endpoint.accepted().len());
}
