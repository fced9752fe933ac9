//! The SMTP transport against a server under our control and against Postfix: what stands in a
//! mail, and what becomes of it when a step fails.

mod faults;
mod groups;
mod images;
mod mails;
mod real;
mod servers;
#[cfg(feature = "postmark")]
mod settings;
mod tokens;

use crate::support::batches::{accepted, batch};
use crate::support::mailserver::{MailServer, Tls};
use mailroom::edges::clock::Clock;
use mailroom::edges::smtp::server::Server;
use mailroom::edges::stop::Stop;
use mailroom::mail::kind::Templates;
use mailroom::pump::system_clock;
use mailroom::send::smtp::{Settings, Smtp};
use std::path::Path;

/// A directory with both templates: the text shows each value as it is.
pub fn templates() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, subject) in [
        ("activationv1", "Activate, {{login}}\n"),
        ("passwordrecoveryv1", "Recover {{ login }} with {{ code }}"),
    ] {
        write(dir.path(), &format!("{name}.subject"), subject);
        write(dir.path(), &format!("{name}.txt"), "{{login}}|{{secret}}|{{code}}\n");
        let html = "<p title=\"{{login}}\">{{login}}|{{secret}}|{{code}}</p>\n";
        write(dir.path(), &format!("{name}.html"), html);
    }
    dir
}

fn write(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).unwrap();
}

/// A transport that sends to `url` with the templates in `dir`.
pub fn smtp(url: &str, dir: &Path, stop: &Stop) -> Result<Smtp, String> {
    smtp_by(system_clock(), url, dir, stop)
}

/// The same, by another clock.
fn smtp_by(clock: Clock, url: &str, dir: &Path, stop: &Stop) -> Result<Smtp, String> {
    smtp_on(1, usize::MAX, clock, url, dir, stop)
}

/// The same, on so many connections with so many mails each.
fn smtp_on(
    connections: usize,
    mails: usize,
    clock: Clock,
    url: &str,
    dir: &Path,
    stop: &Stop,
) -> Result<Smtp, String> {
    let server = Server::parse(url, None).unwrap();
    let login = server.login.clone();
    let settings = Settings {
        server,
        login: Box::new(move || Ok(login.clone())),
        connections,
        mails,
        templates: Templates::parse("1=activationv1,2=passwordrecoveryv1").unwrap(),
        directory: dir.to_owned(),
        source: "Mail Room <noreply@example.com>".into(),
        clock,
    };
    Smtp::new(settings, stop.clone())
}

/// A server with its surroundings.
struct Rig {
    server: MailServer,
    dir: tempfile::TempDir,
    stop: Stop,
}

impl Rig {
    fn plain() -> Rig {
        Rig::with(MailServer::plain())
    }

    fn with(server: MailServer) -> Rig {
        let dir = templates();
        write(dir.path(), "ca.pem", &server.ca);
        Rig { server, dir, stop: Stop::new() }
    }

    fn url(&self, who: &str) -> String {
        self.server.url(who, &self.dir.path().join("ca.pem"))
    }

    fn smtp(&self) -> Smtp {
        self.smtp_at(&self.url(""))
    }

    fn smtp_at(&self, url: &str) -> Smtp {
        smtp(url, self.dir.path(), &self.stop).unwrap()
    }
}

#[test]
fn every_way_of_encrypting_and_logging_in_hands_the_mail_over() {
    for (tls, login) in [
        (Tls::Never, None),
        (Tls::Offered, None),
        (Tls::Offered, Some(("user@example.com", "pa:ss%w@rd"))),
        (Tls::Immediate, Some(("user", "hunter2"))),
    ] {
        use mailroom::mail::ends::Transport as _;
        let rig = Rig::with(MailServer::start(tls, login));
        let who = match login {
            Some(("user", _)) => "user:hunter2@",
            Some(_) => "user%40example.com:pa%3Ass%25w%40rd@",
            None => "",
        };
        let mut smtp = rig.smtp_at(&rig.url(who));
        assert!(smtp.send(&batch(3)).iter().all(accepted), "{tls:?}");
        assert!(smtp.send(&batch(2)).iter().all(accepted), "{tls:?}");
        let mails = rig.server.mails();
        assert_eq!(mails.len(), 5);
        assert!(mails.iter().all(|mail| mail.encrypted == (tls != Tls::Never)));
        assert!(mails.iter().all(|mail| mail.user.as_deref() == login.map(|(user, _)| user)));
        assert_eq!(rig.server.connections(), 1, "one connection, also for the next batch");
        drop(smtp);
    }
}
