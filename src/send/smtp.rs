//! An SMTP server: each message of a batch is rendered here and handed over by itself.
//!
//! In scope: templates from a directory, one connection kept for as long as it works. Out of
//! scope: what an answer means (`verdict/smtp.rs`), when to try again, the speed.
//! <https://www.rfc-editor.org/rfc/rfc5321>

pub mod causes;
mod mail;
mod trial;

use crate::edges::clock::Clock;
use crate::edges::log;
use crate::edges::log::Lines;
use crate::edges::net::Watch;
pub use crate::edges::smtp::server::{Encryption, Server};
use crate::edges::smtp::session::Fault;
use crate::edges::smtp::session::Session;
use crate::edges::stop::Stop;
use crate::edges::tls::client;
use crate::mail::ends::Transport;
use crate::mail::kind::Templates;
use crate::mail::model::{Batch, Cause, Message, Outcome, Refusal};
use crate::mail::policy;
use crate::send::calls::for_the_rest;
use crate::send::{BUDGET, Budget, WORST, ready, report, scrub};
use lettre::Address;
use mail::{Sender, Template};
use rustls::ClientConfig;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
pub use trial::{load, reach};

const TAG: &str = "SMTP";
// A message may have to wait for a new connection first.
const _: () = assert!(
    BUDGET.as_secs()
        + crate::edges::smtp::session::OPEN.as_secs()
        + crate::edges::smtp::session::MAIL.as_secs()
        <= WORST.as_secs()
);

/// What the transport is told.
pub struct Settings {
    /// The server.
    pub server: Server,
    /// The template of each action.
    pub templates: Templates,
    /// The directory of their files: `NAME.subject`, `NAME.txt`, `NAME.html`.
    pub directory: PathBuf,
    /// The From address.
    pub source: String,
    /// Time.
    pub clock: Clock,
}

/// The transport.
pub struct Smtp {
    settings: Settings,
    from: Sender,
    tls: Arc<ClientConfig>,
    stop: Stop,
    watch: Watch,
    session: Option<Session>,
    /// By action. One that failed is taken out, and read again at the next try.
    loaded: BTreeMap<u16, Template>,
}

impl Smtp {
    /// Reads the templates and the authorities; connects to nothing yet. A message is given up at
    /// most [`crate::edges::stop::GRACE`] after `stop` was raised.
    ///
    /// # Errors
    /// Everything that is wrong with the files, a line each.
    pub fn new(settings: Settings, stop: Stop) -> Result<Smtp, String> {
        let mut problems = Vec::new();
        let tls = tls(settings.server.ca.as_deref()).map_err(|why| problems.push(why)).ok();
        let mut loaded = BTreeMap::new();
        for (action, name) in settings.templates.iter() {
            match Template::load(&settings.directory, name) {
                Ok(template) => drop(loaded.insert(action, template)),
                Err(why) => problems.push(format!("the template of action {action}: {why}")),
            }
        }
        match tls {
            Some(tls) if problems.is_empty() => {
                let from = Sender::new(&settings.source);
                let watch = Watch::new(stop.clone(), settings.clock.now);
                Ok(Smtp { settings, from, tls, stop, watch, session: None, loaded })
            }
            _ => Err(problems.join("\n")),
        }
    }

    /// Hands one message over.
    fn one(&mut self, message: &Message, name: &str, budget: Budget) -> Outcome {
        let id = mail::id(message, &self.from);
        let mail = match self.render(message, name, &id) {
            Ok(mail) => mail,
            Err(why) => {
                self.loaded.remove(&message.action);
                let why = policy::reason("template", &scrub(&why, [message]));
                return Outcome::refused(Cause::Template, why);
            }
        };
        match self.deliver(message, &mail, budget) {
            Ok(()) => Outcome::Accepted { provider_id: id },
            Err(fault) => Outcome::Refused(causes::outcome(&scrubbed(fault, message))),
        }
    }

    fn render(&mut self, message: &Message, name: &str, id: &str) -> Result<Vec<u8>, String> {
        let template = match self.loaded.entry(message.action) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(Template::load(&self.settings.directory, name)?)
            }
        };
        mail::make(template, message, &self.from, id, (self.settings.clock.wall)())
    }

    /// Sends a mail on the connection that is open, or a new one. A connection that was used and
    /// has gone, or that the server ends before it hears of a recipient, gets one more try within
    /// the budget: no mail was handed over on it, and this one is not at fault. Some servers take
    /// only so many mails on each, and answer the next MAIL with 421.
    /// <https://www.rfc-editor.org/rfc/rfc5321#section-3.8>
    fn deliver(&mut self, message: &Message, mail: &[u8], budget: Budget) -> Result<(), Fault> {
        loop {
            let mut session = match self.session.take().filter(Session::is_open) {
                Some(session) => session,
                None => self.open()?,
            };
            let stale = session.is_used();
            let result = session.send(self.from.address(), address(&message.email), mail);
            let ended = result.as_ref().err().and_then(Fault::ended_before_mail);
            if let Some(why) = ended.filter(|_| stale) {
                if budget.is_over() || self.stop.requested() {
                    let why = format!("{why}; it is too late to connect again");
                    return Err(Fault::NotReached(why));
                }
                log::debug(TAG, format_args!("connecting again: {why}"));
                continue;
            }
            match &result {
                Ok(()) => self.session = Some(session),
                // 421: the server closes the connection. What is no refusal fits no question.
                Err(Fault::Refused(_, code, _)) if (400..600).contains(code) && *code != 421 => {
                    self.session = Some(session);
                }
                Err(_) => {}
            }
            return result;
        }
    }

    fn open(&self) -> Result<Session, Fault> {
        let server = &self.settings.server;
        let session = Session::open(server, &self.tls, self.watch.clone())?;
        log::debug(TAG, format_args!("connected to {}:{}", server.host, server.port));
        Ok(session)
    }
}

impl Transport for Smtp {
    fn send(&mut self, batch: &Batch) -> Vec<Outcome> {
        let templates = self.settings.templates.clone();
        let now = self.settings.clock.now;
        let budget = Budget::new(now);
        // What one message taught that holds for the others too.
        let mut all: Option<Refusal> = None;
        let mut outcomes = Vec::with_capacity(batch.messages.len());
        for message in &batch.messages {
            let begun = now();
            let outcome = match (ready(message, &templates), &all) {
                (Err(outcome), _) => outcome,
                (Ok(_), Some(refusal)) => Outcome::Refused(refusal.clone()),
                (Ok(_), None) if budget.is_over() => Outcome::Refused(Budget::refusal()),
                (Ok(name), None) => self.one(message, name, budget),
            };
            all = all.or_else(|| for_the_rest(&outcome));
            let mut line = Lines::new(TAG);
            report(&mut line, message, &outcome, now().saturating_duration_since(begun));
            line.write();
            outcomes.push(outcome);
        }
        outcomes
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        if let Some(session) = self.session.take().filter(Session::is_open) {
            session.quit();
        }
    }
}

/// An address that [`crate::mail::recipient::check`] has passed: it knows no quotes and no other alphabet,
/// so there is nothing left to check.
fn address(text: &str) -> Address {
    let (user, domain) = text.rsplit_once('@').unwrap_or((text, "localhost"));
    Address::new_dangerous(user, domain)
}

/// The fault without what the server quoted of ours.
fn scrubbed(fault: Fault, message: &Message) -> Fault {
    match fault {
        Fault::Refused(stage, code, text) => Fault::Refused(stage, code, scrub(&text, [message])),
        other => other,
    }
}

/// Whom we trust.
fn tls(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    client(ca).map_err(|why| format!("MAILROOM_SMTP_URL: {why}"))
}
