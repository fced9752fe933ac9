//! An SMTP server: each message of a batch is rendered here and handed over by itself.
//!
//! In scope: templates from a directory, connections that are kept for so many mails. Out of
//! scope: what an answer means (`causes.rs`), when to try again, the speed.
//! <https://www.rfc-editor.org/rfc/rfc5321>

pub mod causes;
pub mod mail;

use crate::edges::clock::Clock;
use crate::edges::log;
use crate::edges::net::Watch;
use crate::edges::smtp::server::{Login, Server};
use crate::edges::smtp::session::{Done, Fault, Session, Stage};
use crate::edges::stop::Stop;
use crate::edges::tls;
use crate::mail::ends::Transport;
use crate::mail::kind::{Templates, data, example};
use crate::mail::model::{Batch, Cause, Message, Outcome, Refusal};
use crate::mail::recipient;
use crate::send::calls::{Answer, Budget, Calls, Item, for_the_rest, of_kind};
use crate::send::images::Wrong;
use crate::send::locale;
use crate::send::text::reason_about;
use lettre::message::Mailbox;
use mail::{Files, address, sender};
use rustls::ClientConfig;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const TAG: &str = "SMTP";

/// Another connection is opened where more mails than this wait: opening one takes as long as some
/// mails do.
const WORTH: usize = 4;
/// How long commands go one by one after a group of them was lost.
const CAREFUL: Duration = Duration::from_secs(3600);

/// The shortest wait after a mail was put off: servers that greylist want some minutes.
/// <https://www.rfc-editor.org/rfc/rfc6647#section-2>
const GREYLISTED: Duration = Duration::from_secs(90);

/// What the transport needs to know.
pub struct Settings {
    /// The server.
    pub server: Server,
    /// Its login, as it is at the time of a connection, or why there is none.
    pub login: Box<dyn Fn() -> Result<Option<Login>, Fault>>,
    /// The template of each action.
    pub templates: Templates,
    /// The directory of their files: `NAME.subject`, `NAME.txt`, `NAME.html`.
    pub directory: PathBuf,
    /// The From address.
    pub source: String,
    /// The most connections at a time.
    pub connections: usize,
    /// The most mails on a connection.
    pub mails: usize,
    /// Time.
    pub clock: Clock,
}

/// The transport.
pub struct Smtp {
    settings: Settings,
    from: Mailbox,
    tls: Arc<ClientConfig>,
    stop: Stop,
    watch: Watch,
    sessions: Vec<Session>,
    /// Whether the last login was good.
    logged_in: bool,
    /// Until when commands go one by one, because the server lost a group of them.
    careful: Option<Instant>,
    files: Files,
}

/// What is left of a batch.
struct Course<'a> {
    items: &'a [Item<'a>],
    budget: Budget,
    /// The places of those that no server has heard of; the last one is next.
    waiting: Vec<usize>,
    outcomes: Vec<Outcome>,
    /// What becomes of those that need not be tried.
    rest: Option<Refusal>,
    /// Whether another connection may be opened beside those that are.
    more: bool,
}

impl Course<'_> {
    fn end(&mut self, index: usize, outcome: Outcome) {
        let outcome = of_kind(&self.items[index], outcome);
        self.rest = self.rest.take().or_else(|| for_the_rest(&outcome));
        self.outcomes[index] = outcome;
    }
}

/// Says which of the templates in `directory` cannot be read, or want more than each mail has: a template
/// that fails holds its kind, and must not keep the others from being sent. What data mails will have is
/// not known here, so what needs some is no fault yet; `mailroom check` knows more.
pub fn look_at_templates(directory: &Path, templates: &Templates) {
    let files = Files::new(directory);
    for (action, name) in templates.iter() {
        let rendered = files.render(name, &data(&example(action)));
        let Err(Wrong { why, by_data }) = rendered else { continue };
        let what =
            format!("the template of action {action}: {why}; mails for which it fails are held");
        match by_data {
            true => {
                log::info(TAG, format_args!("{what}; it needs data, and `mailroom check` tries it"))
            }
            false => log::warn(TAG, format_args!("{what} until it is right")),
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
        let (from, files) = (sender(&settings.source), Files::new(&settings.directory));
        let watch = Watch::new(stop.clone(), settings.clock.now);
        Ok(Smtp {
            settings,
            from,
            tls,
            stop,
            watch,
            sessions: Vec::new(),
            logged_in: false,
            careful: None,
            files,
        })
    }

    /// Hands messages over, on several connections.
    fn all(&mut self, items: &[Item], budget: Budget) -> Vec<Outcome> {
        let mut sessions = std::mem::take(&mut self.sessions);
        sessions.retain_mut(Session::is_open);
        let mut course = Course {
            items,
            budget,
            waiting: (0..items.len()).rev().collect(),
            outcomes: vec![Outcome::Refused(Budget::refusal()); items.len()],
            rest: None,
            more: true,
        };
        loop {
            self.part(&mut course, &mut sessions);
            self.feed(&mut course, &mut sessions);
            self.open_another(&mut course, &mut sessions);
            if sessions.iter().any(Session::is_busy) {
                for done in Session::wait(&mut sessions, &self.watch, budget.end()) {
                    self.judge(&mut course, done);
                }
            } else if course.waiting.is_empty() {
                break;
            }
        }
        self.sessions = sessions;
        course.outcomes
    }

    /// Gives messages to the connections that can take one.
    fn feed(&mut self, course: &mut Course<'_>, sessions: &mut [Session]) {
        if course.rest.is_none() && course.budget.is_over() {
            course.rest = Some(Budget::refusal());
        }
        if let Some(rest) = &course.rest {
            for index in std::mem::take(&mut course.waiting) {
                course.outcomes[index] = Outcome::Refused(rest.clone());
            }
        }
        let most = self.settings.mails;
        let free = |session: &&mut Session| session.is_free() && session.tried() < most;
        while let Some(session) = sessions.iter_mut().find(free) {
            let Some(index) = course.waiting.pop() else { return };
            let Item { message, template, .. } = course.items[index];
            if !recipient::is_ascii(&message.email) && !session.takes_utf8() {
                let host = &self.settings.server.host;
                let why = format!(
                    "the part before the @ is not ASCII, which {host} does not take: it offers no \
                     SMTPUTF8"
                );
                course.end(index, Outcome::refused(Cause::Rejected, why));
                continue;
            }
            let from = self.from(message);
            let names = locale::candidates(message, template, '.');
            let there = names.iter().find(|name| self.files.has(name));
            let template = there.map_or(template, String::as_str);
            let date = (self.settings.clock.wall)();
            match mail::make(&self.files, template, message, &from, date) {
                Ok(mail) => {
                    let to = address(&message.email);
                    session.give(index, from.email, to, mail, self.watch.now());
                    self.logged_in = true;
                }
                Err(why) => {
                    self.files.forget();
                    let why = reason_about("", &why, &[message]);
                    course.end(index, Outcome::refused(Cause::Template, why));
                }
            }
        }
    }

    /// Opens a connection, if that is worth it. Where none is open yet, one is tried first.
    fn open_another(&mut self, course: &mut Course<'_>, sessions: &mut Vec<Session>) {
        let worth = match sessions.as_slice() {
            [] => !course.waiting.is_empty(),
            some => {
                course.more
                    && course.waiting.len() > WORTH
                    && some.len() < self.settings.connections
                    && some.iter().any(Session::is_ready)
            }
        };
        if !worth {
            return;
        }
        match self.open() {
            Ok(session) => sessions.push(session),
            Err(fault) => self.not_opened(course, sessions, &fault),
        }
    }

    fn open(&mut self) -> Result<Session, Fault> {
        self.settings.server.login = (self.settings.login)()?;
        let server = Arc::new(self.settings.server.clone());
        let careful = self.careful.is_some_and(|until| self.watch.now() < until);
        Session::open(&server, &self.tls, &self.watch, !careful)
    }

    /// What it means that a connection was not opened: nothing, as long as there is another one. A
    /// login that is refused after one was good may be about to change: it is asked for once more.
    fn not_opened(&mut self, course: &mut Course<'_>, others: &[Session], fault: &Fault) {
        if !others.is_empty() {
            course.more = false;
            log::debug(TAG, format_args!("no other connection: {fault:?}"));
            return;
        }
        let Some(index) = course.waiting.pop() else { return };
        let mut outcome = self.refused(course.items[index].message, fault);
        if let (Fault::Refused(Stage::Login, ..), Outcome::Refused(refusal)) = (fault, &mut outcome)
            && std::mem::take(&mut self.logged_in)
        {
            refusal.cause = Cause::Away;
        }
        course.end(index, outcome);
    }

    /// What came of a message.
    fn judge(&self, course: &mut Course<'_>, done: Done) {
        let Done { id: index, result, again } = done;
        let message = course.items[index].message;
        let outcome = match result {
            Ok(()) => Outcome::Accepted { provider_id: mail::id(message, &self.from(message)) },
            Err(_) if again && !course.budget.is_over() && !self.stop.requested() => {
                log::debug(TAG, "the connection takes no more mail: another one is tried");
                course.waiting.push(index);
                return;
            }
            // Without the server's text, which may quote the mail before.
            Err(_) if again => {
                let why = "the connection takes no more mail; it is too late for another";
                self.refused(message, &Fault::NotReached(why.to_owned()))
            }
            Err(fault) => {
                // Many bad recipients may stand together, each of which costs a while, and the good
                // ones behind them must not wait for all of these: the next one is from the other end.
                if matches!(fault, Fault::Refused(Stage::Recipient, ..)) {
                    course.waiting.reverse();
                }
                self.refused(message, &fault)
            }
        };
        course.end(index, outcome);
    }

    /// Whom a message is from.
    fn from(&self, message: &Message) -> Mailbox {
        message.kind.sender.as_deref().map_or_else(|| self.from.clone(), sender)
    }

    fn refused(&self, message: &Message, fault: &Fault) -> Outcome {
        Outcome::Refused(refusal(fault, self.from(message).email.as_ref(), Some(message)))
    }

    /// Parts with connections that ended, or had all the mails that one may have.
    fn part(&mut self, course: &mut Course<'_>, sessions: &mut Vec<Session>) {
        let most = self.settings.mails;
        let is_left = |session: &mut Session| {
            session.is_over() || session.tried() >= most && !session.is_busy()
        };
        let left: Vec<Session> = sessions.extract_if(.., is_left).collect();
        for session in left {
            if let Some(fault) = session.unopened() {
                self.not_opened(course, sessions, fault);
            } else if session.is_broken() && self.careful.is_none_or(|it| it < self.watch.now()) {
                let why = "a group of commands had no answers: for an hour they go one by one";
                log::warn(TAG, why);
                self.careful = Some(self.watch.now() + CAREFUL);
            } else if !session.is_over() {
                session.quit();
            }
        }
    }
}

impl Transport for Smtp {
    fn send(&mut self, batch: &Batch) -> Vec<Outcome> {
        let templates = self.settings.templates.clone();
        let now = self.settings.clock.now;
        // Each is handed over by itself, but they share the connections.
        let calls = Calls { tag: TAG, most: usize::MAX, together: |_, _| true, now, ascii: None };
        calls.deliver(batch, &templates, &mut |items, budget| Answer::Each(self.all(items, budget)))
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.sessions.drain(..).filter(|session| !session.is_over()).for_each(Session::quit);
    }
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
    let after = (cause == Cause::Busy).then_some(GREYLISTED);
    Refusal { cause, why, after }
}

/// Whom we trust when the server shows its certificate.
pub(crate) fn trust(server: &Server) -> Result<Arc<ClientConfig>, String> {
    tls::client(server.ca.as_deref()).map_err(|why| format!("MAILROOM_SMTP_URL: {why}"))
}
