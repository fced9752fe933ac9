//! Any SMTP server.

use crate::edges::net::Watch;
use crate::edges::smtp::server::Server;
use crate::edges::smtp::session::Session;
use crate::edges::stop::Stop;
use crate::mail::ends::Transport;
use crate::mail::error::Error;
use crate::mail::model::{Cause, Refusal};
use crate::mail::policy;
use crate::mail::recipient;
use crate::ops::check::{Round, Status};
use crate::ops::config::Config;
use crate::ops::config::reader::Reader;
use crate::ops::config::values::number;
use crate::ops::environment::secret;
use crate::ops::provider::duties::Provider;
use crate::ops::provider::templates;
use crate::pump::system_clock;
use crate::send::dry;
use crate::send::smtp;
use crate::send::smtp::mail;
use crate::send::smtp::{refusal, trust};
use std::sync::Arc;

/// A server.
struct Smtp {
    server: Server,
    connections: usize,
    mails: usize,
}

/// Reads them.
pub fn read(reader: &mut Reader<'_>) -> Option<Box<dyn Provider>> {
    let password = reader.text("MAILROOM_SMTP_PASSWORD");
    let password = password.as_ref().map(|text| text.as_str());
    let server = reader.required("MAILROOM_SMTP_URL", |url| Ok(Server::parse(url, password)?));
    let connections = reader.value("MAILROOM_SMTP_CONNECTIONS", number(1, 50));
    let mails = reader.value("MAILROOM_SMTP_CONNECTION_MAILS", number(1, 100_000));
    let known = !reader.is_wrong("MAILROOM_SMTP_PASSWORD");
    Some(Box::new(Smtp { server: server.filter(|_| known)?, connections, mails }))
}

impl Provider for Smtp {
    fn unit(&self) -> &'static str {
        "SMTP"
    }

    fn describe(&self) -> String {
        self.server.to_string()
    }

    fn transport(&self, config: &Config, stop: &Stop) -> Result<Box<dyn Transport>, Error> {
        let known = self.server.login.clone();
        let login = move || {
            let password = secret("MAILROOM_SMTP_PASSWORD");
            let password = password.as_ref().map(|text| text.as_str());
            let now = secret("MAILROOM_SMTP_URL").map(|url| Server::parse(&url, password));
            now.and_then(Result::ok).map_or_else(|| known.clone(), |server| server.login)
        };
        let settings = smtp::Settings {
            server: self.server.clone(),
            login: Box::new(login),
            templates: config.templates.clone(),
            directory: config.template_dir.clone(),
            source: config.source.clone(),
            connections: self.connections,
            mails: self.mails,
            clock: system_clock(),
        };
        let transport = smtp::Smtp::new(settings, stop.clone()).map_err(Error::config)?;
        smtp::warn_of_templates(&config.template_dir, &config.templates);
        Ok(Box::new(transport))
    }

    fn dry(&self, config: &Config) -> Result<dry::Settings, Error> {
        // It prints no mail, but the templates are read as when it sends.
        smtp::warn_of_templates(&config.template_dir, &config.templates);
        Ok(dry::Settings {
            to: format!("SMTP {}:{}", self.server.host, self.server.port),
            templates: config.templates.clone(),
            source: recipient::from(&config.source, false),
            config_set: String::new(),
        })
    }

    fn check(&self, round: &mut Round<'_>) {
        check(round, self);
    }
}

/// Connects, encrypts, logs in as `server` says, and says goodbye. Gives whether the connection
/// was encrypted.
///
/// # Errors
/// What would become of mails: held until a person changes something, or to be tried later.
fn reach(server: &Server, stop: &Stop) -> Result<bool, Refusal> {
    let tls = trust(server).map_err(|why| Refusal { cause: Cause::Setup, why, after: None })?;
    let watch = Watch::new(stop.clone(), system_clock().now);
    let session = Session::open_now(&Arc::new(server.clone()), &tls, &watch)
        .map_err(|fault| refusal(&fault, "", None))?;
    let encrypted = session.is_encrypted();
    session.quit();
    Ok(encrypted)
}

fn check(round: &mut Round<'_>, smtp: &Smtp) {
    const NAME: &str = "mail server";
    let server = &smtp.server;
    let place = format!("{}:{}", server.host, server.port);
    let login = match server.login {
        Some(_) => "the login is accepted",
        None => "no login is set",
    };
    match reach(server, round.stop) {
        Ok(true) => {
            let detail = format!("{place} answers, encrypted and verified; {login}");
            round.checks.ok(NAME, detail);
        }
        Ok(false) if server.is_here() => {
            round.checks.ok(NAME, format!("{place} answers, on this machine; {login}"));
        }
        Ok(false) => {
            let detail = format!("{place} answers, not encrypted; {login}");
            let advice = "use smtps:// or tls=required: mails hold secrets";
            round.checks.warning(NAME, detail, advice);
        }
        Err(refusal) if policy::held(refusal.cause, &Arc::from("")).is_some() => {
            let advice = "see MAILROOM_SMTP_URL: encryption, authorities (ca=FILE), user, password";
            round.checks.misconfigured(NAME, format!("{place}: {}", refusal.why), advice);
        }
        Err(refusal) => {
            let advice = "see that host, port and firewall are right, and that the server runs";
            round.checks.unreachable(NAME, format!("{place}: {}", refusal.why), advice);
        }
    }
    let directory = &round.config.template_dir;
    templates::check(round, |_, template| match mail::check(directory, template) {
        Ok(()) => (Status::Ok, "renders".to_owned(), ""),
        Err(why) => {
            let advice = "MAILROOM_TEMPLATE_DIR must hold NAME.subject, NAME.txt and NAME.html, with \
                          {{login}}, {{secret}} and {{code}} alone";
            (Status::Misconfigured, why, advice)
        }
    });
}
