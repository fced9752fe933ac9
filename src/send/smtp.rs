//! An SMTP server: each message of a batch is rendered here and handed over by itself.
//!
//! In scope: templates from a directory, one connection kept for as long as it works. Out of
//! scope: what an answer means (`causes.rs`), when to try again, the speed.
//! <https://www.rfc-editor.org/rfc/rfc5321>

pub mod causes;
pub(crate) mod mail;

use crate::edges::clock::Clock;
use crate::edges::log;
use crate::edges::net::Watch;
use crate::edges::smtp::server::{Login, Server};
use crate::edges::smtp::session::{Fault, Session, Stage};
use crate::edges::stop::Stop;
use crate::edges::tls;
use crate::mail::ends::Transport;
use crate::mail::kind::Templates;
use crate::mail::model::{Batch, Cause, Message, Outcome, Refusal};
use crate::mail::recipient;
use crate::send::calls::{Answer, BUDGET, Budget, Calls, Item, WORST};
use crate::send::locale;
use crate::send::text::reason_about;
use lettre::Address;
use mail::{Sender, Template, address};
use rustls::ClientConfig;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const TAG: &str = "SMTP";

/// The shortest wait after a mail was put off, once more with each attempt: servers that greylist
/// want some minutes, and the attempts must last until then.
/// <https://www.rfc-editor.org/rfc/rfc6647#section-2>
const GREYLISTED: Duration = Duration::from_secs(90);
// A message may have to wait for a new connection first.
const _: () = assert!(
    BUDGET.as_secs()
        + crate::edges::smtp::session::OPEN.as_secs()
        + crate::edges::smtp::session::MAIL.as_secs()
        <= WORST.as_secs()
);

/// What the transport needs to know.
pub struct Settings {
    /// The server.
    pub server: Server,
    /// Its login, as it is at the time of a connection.
    pub login: Box<dyn Fn() -> Option<Login>>,
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
    /// By name. One that failed is taken out, and read again at the next try.
    loaded: BTreeMap<String, Template>,
}

/// Warns of the templates in `directory` that cannot be read, or not be filled with what each mail has:
/// a template that fails holds its kind, and must not keep the others from being sent.
pub fn warn_of_templates(directory: &Path, templates: &Templates) {
    for (action, name) in templates.iter() {
        if let Err(why) = mail::check(directory, name) {
            log::warn(
                TAG,
                format_args!(
                    "the template of action {action}: {why}; mails for which it fails are held until \
                     it is right"
                ),
            );
        }
    }
}

impl Smtp {
    /// Reads the authorities; connects to nothing yet. A message is given up at most
    /// [`crate::edges::stop::GRACE`] after `stop` was raised.
    ///
    /// # Errors
    /// What is wrong with the file of authorities.
    pub fn new(settings: Settings, stop: Stop) -> Result<Smtp, String> {
        let tls = trust(&settings.server)?;
        let from = Sender::new(&settings.source);
        let watch = Watch::new(stop.clone(), settings.clock.now);
        let loaded = BTreeMap::new();
        Ok(Smtp { settings, from, tls, stop, watch, session: None, loaded })
    }

    /// Hands one message over.
    fn one(&mut self, message: &Message, template: &str, budget: Budget) -> Outcome {
        let of_kind = message.kind.sender.as_deref().map(Sender::new);
        let from = of_kind.as_ref().unwrap_or(&self.from).clone();
        let id = mail::id(message, &from);
        let template = self.best(message, template);
        let mail = match self.render(message, &template, &from, &id) {
            Ok(mail) => mail,
            Err(why) => {
                self.loaded.remove(&template);
                let why = reason_about("template", &why, &[message]);
                return Outcome::refused(Cause::Template, why);
            }
        };
        let Err(fault) = self.deliver(message, from.address(), &mail, budget) else {
            return Outcome::Accepted { provider_id: id };
        };
        let source = message.kind.sender.as_ref().unwrap_or(&self.settings.source);
        let (_, from) = recipient::split(source);
        Outcome::Refused(refusal(&fault, from, Some(message)))
    }

    /// The name of the best template that is there.
    fn best(&self, message: &Message, name: &str) -> String {
        let is_there = |one: &String| {
            let path = self.settings.directory.join(format!("{one}.subject"));
            self.loaded.contains_key(one) || path.exists()
        };
        let found = locale::candidates(message, name, '.').into_iter().find(is_there);
        found.unwrap_or_else(|| name.to_owned())
    }

    fn render(
        &mut self,
        message: &Message,
        name: &str,
        from: &Sender,
        id: &str,
    ) -> Result<Vec<u8>, String> {
        let template = match self.loaded.entry(name.to_owned()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Template::load(&self.settings.directory, name)?),
        };
        mail::make(template, message, from, id, (self.settings.clock.wall)())
    }

    /// Sends a mail on the connection that is open, or a new one. A connection that was used and
    /// has gone, or that the server ends before it hears of a recipient, gets one more try within
    /// the budget: no mail was handed over on it, and this one is not at fault. Some servers take
    /// only so many mails on each, and answer the next MAIL with 421.
    /// <https://www.rfc-editor.org/rfc/rfc5321#section-3.8>
    fn deliver(
        &mut self,
        message: &Message,
        from: Address,
        mail: &[u8],
        budget: Budget,
    ) -> Result<(), Fault> {
        loop {
            let mut session = match self.session.take().filter(Session::is_open) {
                Some(session) => session,
                None => self.open()?,
            };
            let stale = session.is_used();
            let result = session.send(from.clone(), address(&message.email), mail);
            if let Err(fault) = &result
                && stale
                && ended_before_mail(fault)
            {
                // Without the server's text, which may quote the mail before.
                let why = "the connection takes no more mail".to_owned();
                if budget.is_over() || self.stop.requested() {
                    return Err(Fault::NotReached(format!("{why}; it is too late for another")));
                }
                log::debug(TAG, format_args!("{why}: connecting again"));
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

    fn open(&mut self) -> Result<Session, Fault> {
        self.settings.server.login = (self.settings.login)();
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
        let calls = Calls { tag: TAG, most: 1, together: |_, _| false, now };
        calls.deliver(batch, &templates, |items, budget| {
            let one = |item: &Item| self.one(item.message, item.template, budget);
            Answer::Each(items.iter().map(one).collect())
        })
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        if let Some(session) = self.session.take().filter(Session::is_open) {
            session.quit();
        }
    }
}

/// Whether the server ended it, or refused, before it heard of a recipient. On a connection that
/// was used before, no mail is at fault: it had gone, or its server takes no more mails on it.
fn ended_before_mail(fault: &Fault) -> bool {
    matches!(fault, Fault::Lost(Stage::Sender, _) | Fault::Refused(Stage::Sender, 400..=599, _))
}

/// Why a message, or a connection, was not taken.
pub(crate) fn refusal(fault: &Fault, from: &str, message: Option<&Message>) -> Refusal {
    let to = message.map_or("", |message| &message.email);
    let cause = causes::cause(fault, from, to);
    let (what, text) = match fault {
        Fault::Refused(stage, code, text) => (format!("{code} at {stage:?}").to_lowercase(), text),
        Fault::Insecure(why) => ("no secure connection".to_owned(), why),
        Fault::Lost(Stage::Dot, why) => ("no answer".to_owned(), why),
        Fault::Lost(_, why) | Fault::NotReached(why) => ("not sent".to_owned(), why),
    };
    let why = reason_about(&what, text, message.as_slice());
    let tried = message.and_then(|message| message.ticket.as_ref()).map_or(0, |own| own.attempts);
    let after = (cause == Cause::Busy).then(|| GREYLISTED.saturating_mul(tried.saturating_add(1)));
    Refusal { cause, why, after }
}

/// Whom we trust when the server shows its certificate.
pub(crate) fn trust(server: &Server) -> Result<Arc<ClientConfig>, String> {
    tls::client(server.ca.as_deref()).map_err(|why| format!("MAILROOM_SMTP_URL: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::kind::example;
    use crate::mail::model::Ticket;

    #[test]
    fn a_recipient_that_is_put_off_is_tried_until_greylisting_is_over() {
        let after = |message: &Message, code| {
            let fault = Fault::Refused(Stage::Recipient, code, "4.7.1 Greylisted".to_owned());
            refusal(&fault, "noreply@example.com", Some(message)).after
        };
        let mut message = example(1);
        assert_eq!(after(&message, 451), Some(GREYLISTED));
        let attempts = 3;
        message.ticket = Some(Ticket { delivery: 1, lease: "".into(), attempts, age: None });
        assert_eq!(after(&message, 451), Some(4 * GREYLISTED));
        assert_eq!(after(&message, 550), None, "it is over at once");
    }
}
