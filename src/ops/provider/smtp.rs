//! Any SMTP server.

mod files;

use crate::edges::command;
use crate::edges::log;
use crate::edges::net::Watch;
use crate::edges::smtp::server::{Login, Secret, Server};
use crate::edges::smtp::session::{Fault, Session};
use crate::edges::stop::Stop;
use crate::mail::ends::Transport;
use crate::mail::error::Error;
use crate::mail::model::{Cause, Message, Refusal};
use crate::mail::policy;
use crate::mail::recipient;
use crate::ops::check::Round;
use crate::ops::config::Config;
use crate::ops::config::reader::Reader;
use crate::ops::config::values::number;
use crate::ops::environment::secret;
use crate::ops::provider::duties::Provider;
use crate::ops::provider::smtp::files::Files;
use crate::ops::provider::templates::{self, Open};
use crate::pump::system_clock;
use crate::send::dry;
use crate::send::smtp;
use crate::send::smtp::mail;
use crate::send::smtp::{refusal, trust};
use std::sync::Arc;
use zeroize::Zeroizing;

/// A server.
struct Smtp {
    server: Server,
    /// What prints the token for it.
    command: Option<String>,
    connections: usize,
    mails: usize,
}

/// Reads them.
pub fn read(reader: &mut Reader<'_>) -> Option<Box<dyn Provider>> {
    let password = reader.text("MAILROOM_SMTP_PASSWORD");
    let token = reader.text("MAILROOM_SMTP_TOKEN");
    let command = reader.text("MAILROOM_SMTP_TOKEN_COMMAND").map(|line| line.to_string());
    let given = [password.is_some(), token.is_some(), command.is_some()];
    if given.into_iter().filter(|is| *is).count() > 1 {
        let why = "one of MAILROOM_SMTP_PASSWORD, MAILROOM_SMTP_TOKEN and \
                   MAILROOM_SMTP_TOKEN_COMMAND is enough: set one";
        reader.problem("MAILROOM_SMTP_TOKEN", why);
    }
    // The command is run when a connection is opened.
    let token = token.or_else(|| command.as_ref().map(|_| Zeroizing::default()));
    let secret = token.map(Secret::Token).or_else(|| password.map(Secret::Password));
    let server =
        reader.required("MAILROOM_SMTP_URL", |url| Ok(Server::parse(url, secret.clone())?));
    let connections = reader.value("MAILROOM_SMTP_CONNECTIONS", number(1, 50));
    let mails = reader.value("MAILROOM_SMTP_CONNECTION_MAILS", number(1, 100_000));
    let wrong = ["MAILROOM_SMTP_PASSWORD", "MAILROOM_SMTP_TOKEN"].map(|name| reader.is_wrong(name));
    let server = server.filter(|_| !wrong.contains(&true))?;
    Some(Box::new(Smtp { server, command, connections, mails }))
}

/// The login as it is now: what stands in a file is read again, and a command is run.
fn login(known: &Server, command: Option<&str>, stop: &Stop) -> Result<Option<Login>, Fault> {
    let url = secret("MAILROOM_SMTP_URL");
    let password = secret("MAILROOM_SMTP_PASSWORD");
    let token = match command {
        Some(line) => Some(printed(line, stop)?),
        None => secret("MAILROOM_SMTP_TOKEN"),
    };
    let given = token.map(Secret::Token).or_else(|| password.map(Secret::Password));
    let now = url.map(|url| Server::parse(&url, given));
    Ok(now.and_then(Result::ok).map_or_else(|| known.login.clone(), |server| server.login))
}

/// The token that a command prints.
fn printed(line: &str, stop: &Stop) -> Result<Zeroizing<String>, Fault> {
    let of = |why: String| format!("MAILROOM_SMTP_TOKEN_COMMAND: {why}");
    let output = command::output(line, stop).map_err(|failure| match failure {
        command::Failure::Setup(why) => Fault::Insecure(of(why)),
        command::Failure::Passing(why) => Fault::NotReached(of(why)),
    })?;
    let text = str::from_utf8(&output).unwrap_or_default().trim();
    if text.is_empty() || text.contains(char::is_whitespace) {
        return Err(Fault::Insecure(of("it must print a token and nothing else".to_owned())));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// Its templates.
pub fn templates(_: &mut Reader<'_>) -> Option<Open> {
    Some(Box::new(|config, _| Ok(Box::new(Files(config.template_dir.clone())))))
}

impl Provider for Smtp {
    fn unit(&self) -> &'static str {
        "SMTP"
    }

    fn describe(&self) -> String {
        self.server.to_string()
    }

    fn transport(&self, config: &Config, stop: &Stop) -> Result<Box<dyn Transport>, Error> {
        let (known, command, flag) = (self.server.clone(), self.command.clone(), stop.clone());
        let login = move || login(&known, command.as_deref(), &flag);
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
        if let Some(why) = nameless(&self.server) {
            log::warn("SMTP", format_args!("{why}; {NAME_IT}"));
        }
        smtp::look_at_templates(&config.template_dir, &config.templates);
        Ok(Box::new(transport))
    }

    fn dry(&self, config: &Config) -> Result<dry::Settings, Error> {
        // It prints no mail, but the templates are read as when it sends.
        smtp::look_at_templates(&config.template_dir, &config.templates);
        Ok(dry::Settings {
            to: format!("SMTP {}:{}", self.server.host, self.server.port),
            templates: config.templates.clone(),
            source: recipient::from(&config.source, false),
            config_set: String::new(),
        })
    }

    fn check(&self, round: &mut Round<'_>) {
        const NAME: &str = "mail server";
        let server = &self.server;
        let place = format!("{}:{}", server.host, server.port);
        let login = match server.login {
            Some(_) => "the login is accepted",
            None => "no login is set",
        };
        if let Some(why) = nameless(server) {
            round.checks.warning("EHLO name", why, NAME_IT);
        }
        let reached = reach(self, &round.config.source, round.stop);
        if let Ok((_, Err(refusal))) = &reached {
            let detail =
                format!("{place} would not take a mail from and to our sender: {}", refusal.why);
            match policy::held(refusal.cause, &Arc::from("")) {
                Some(_) => {
                    let advice =
                        "have the server relay for this machine, name and sender, or log in";
                    round.checks.misconfigured("sending", detail, advice);
                }
                None => {
                    let advice = "this may be about the recipient alone";
                    round.checks.warning("sending", detail, advice);
                }
            }
        }
        match reached.map(|(encrypted, _)| encrypted) {
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
                let advice = "see MAILROOM_SMTP_URL: encryption (tls=none to this machine), ca=FILE, user, password";
                round.checks.misconfigured(NAME, format!("{place}: {}", refusal.why), advice);
            }
            Err(refusal) => {
                let advice = "see that host, port and firewall are right, and that the server runs";
                round.checks.unreachable(NAME, format!("{place}: {}", refusal.why), advice);
            }
        }
        templates::check(round, &mut Files(round.config.template_dir.clone()));
    }
}

const NAME_IT: &str = "set helo=NAME in MAILROOM_SMTP_URL to this machine's full name";

/// What is wrong with our name, where others see it.
fn nameless(server: &Server) -> Option<String> {
    let name = server.name().err().filter(|_| !server.is_here())?;
    Some(format!("the name in EHLO would be {name}, which has no dot: [address] is said instead"))
}

/// Connects, encrypts, logs in as `server` says, asks for a mail from and to `source` that is not
/// sent, and says goodbye. Gives whether the connection was encrypted, and what was said of the mail.
///
/// # Errors
/// What would become of mails: held until a person changes something, or to be tried later.
fn reach(smtp: &Smtp, source: &str, stop: &Stop) -> Result<(bool, Result<(), Refusal>), Refusal> {
    let server = &smtp.server;
    let tls = trust(server).map_err(|why| Refusal { cause: Cause::Setup, why, after: None })?;
    let watch = Watch::new(stop.clone(), system_clock().now);
    let mut session = login(server, smtp.command.as_deref(), stop)
        .map(|login| Arc::new(Server { login, ..server.clone() }))
        .and_then(|server| Session::open_now(&server, &tls, &watch))
        .map_err(|fault| refusal(&fault, "", None))?;
    let encrypted = session.is_encrypted();
    let (_, ours) = recipient::split(source);
    let taken = session.would_take(mail::address(ours), mail::address(ours), &watch);
    session.quit();
    let refusal = |fault| {
        let to = Message { email: ours.to_owned(), ..Message::default() };
        refusal(&fault, ours, Some(&to))
    };
    Ok((encrypted, taken.map_err(refusal)))
}
