//! A conversation with an SMTP server: opening it, handing mails over, and saying at which step
//! one failed. Out of scope: waiting, what a failure means, and when to open again.
//! <https://www.rfc-editor.org/rfc/rfc5321>
//!
//! Commands go in groups where the server offers PIPELINING: the content of a mail and MAIL, RCPT
//! and DATA of the next. Elsewhere a group is one command. Replies come in the order of what was
//! asked. <https://www.rfc-editor.org/rfc/rfc2920>
//!
//! The commands and replies are lettre's. Its own connection is not used: it waits in one piece,
//! so that a request to stop would not be seen, and it does not say whether the final dot left.

use crate::edges::net::Watch;
use crate::edges::smtp::offers::Offers;
use crate::edges::smtp::server::{Encryption, Login, Secret, Server};
use crate::edges::smtp::socket::Socket;
use crate::edges::tls::advice;
use lettre::Address;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::commands::{Auth, Data, Ehlo, Mail, Quit, Rcpt, Rset, Starttls};
use lettre::transport::smtp::extension::{ClientId, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;
use rustls::ClientConfig;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Resolving and connecting.
const CONNECT: Duration = Duration::from_secs(5);
/// All of opening: connecting, greeting, encrypting, logging in.
pub(crate) const OPEN: Duration = Duration::from_secs(20);
/// Handing over one mail. RFC 5321 would wait for minutes; a lease would not.
pub(crate) const MAIL: Duration = Duration::from_secs(30);
/// The first answer to what went in a group behind a content, once that one is answered. Courier forgets
/// such commands, though it offers PIPELINING.
const BEHIND: Duration = Duration::from_secs(5);
/// The most bytes of a reply.
const REPLY: usize = 32 * 1024;
/// The most questions of a login.
const CHALLENGES: usize = 5;
/// What of a login is no secret.
const NAMES: [&str; 4] = ["AUTH", "PLAIN", "LOGIN", "XOAUTH2"];

/// Where a conversation with an SMTP server stands.
/// <https://www.rfc-editor.org/rfc/rfc5321#section-4.3.2>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Waiting for the server's first line.
    Greeting,
    /// EHLO.
    Hello,
    /// STARTTLS and the handshake.
    Encryption,
    /// AUTH.
    Login,
    /// RSET, before the next mail.
    Reset,
    /// MAIL.
    Sender,
    /// RCPT.
    Recipient,
    /// DATA, and the mail up to its final dot.
    Data,
    /// The final dot left: the server may have taken the mail.
    Dot,
    /// A dot alone, of a mail whose recipient was refused before DATA was taken.
    Void,
}

/// How a conversation with an SMTP server failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The name was not found or no connection came about.
    NotReached(String),
    /// No encryption, or no way to log in, that we accept.
    Insecure(String),
    /// The server said no: where, its code and its text.
    Refused(Stage, u16, String),
    /// The connection ended, or an answer did not come or was none: where, and how.
    Lost(Stage, String),
}

/// What came of a mail.
#[derive(Debug)]
pub(crate) struct Done {
    /// Which.
    pub(crate) id: usize,
    /// After `Ok` the server has taken responsibility for it.
    pub(crate) result: Result<(), Fault>,
    /// Whether it is not at fault and nothing of it was handed over, so that it may go once more
    /// on another connection.
    pub(crate) again: bool,
}

/// A mail under way.
struct Letter {
    id: usize,
    mail: Vec<u8>,
    fault: Option<Fault>,
    /// Whether the server accepted its recipient.
    accepted: bool,
    /// Where its final dot stands in what is written.
    dot: Option<u64>,
    /// Whether another mail was tried on the connection before.
    stale: bool,
}

/// What it takes until mails can be handed over.
struct Opening {
    server: Arc<Server>,
    tls: Arc<ClientConfig>,
    login: Option<(Mechanism, Credentials)>,
    challenges: usize,
    /// What is not to be shown, should the server quote it.
    secrets: Vec<Zeroizing<String>>,
}

/// A conversation.
pub(crate) struct Session {
    socket: Socket,
    offers: Offers,
    /// `None`: it is open.
    opening: Option<Box<Opening>>,
    /// The lines of a reply that is not complete.
    reply: String,
    /// What is to be sent, in order, and the steps whose replies have not come.
    todo: VecDeque<(Stage, Vec<u8>)>,
    asked: VecDeque<Stage>,
    /// The mails under way, of which the first is the one that replies are about.
    letters: VecDeque<Letter>,
    done: Vec<Done>,
    /// Whether commands go in groups.
    grouped: bool,
    /// Whether a content was answered, and nothing yet of what went in a group with it.
    behind: bool,
    /// Whether a mail was begun and not ended.
    begun: bool,
    /// Mails that were tried on it.
    tried: usize,
    /// When what is under way must be done.
    until: Instant,
    /// How it ended.
    over: Option<Fault>,
    /// Whether it was lost with a group under way, or the server forgot one.
    broken: bool,
}

impl Session {
    /// Connects; what `server` says of encryption and login follows. With `grouped` commands go in
    /// groups where the server offers that.
    ///
    /// # Errors
    /// It is not reached, or has no login that can be read.
    pub(crate) fn open(
        server: &Arc<Server>,
        tls: &Arc<ClientConfig>,
        watch: &Watch,
        grouped: bool,
    ) -> Result<Session, Fault> {
        let until = watch.now() + OPEN;
        let socket = Socket::connect(&server.host, server.port, CONNECT, watch)
            .map_err(|error| Fault::NotReached(format!("{}: {error}", server.host)))?;
        let opening = Opening {
            server: Arc::clone(server),
            tls: Arc::clone(tls),
            login: None,
            challenges: 0,
            secrets: Vec::new(),
        };
        let mut session = Session {
            socket,
            offers: Offers::default(),
            opening: Some(Box::new(opening)),
            reply: String::new(),
            todo: VecDeque::new(),
            asked: VecDeque::from([Stage::Greeting]),
            letters: VecDeque::new(),
            done: Vec::new(),
            grouped,
            behind: false,
            begun: false,
            tried: 0,
            until,
            over: None,
            broken: false,
        };
        if server.encryption == Encryption::Immediate {
            session.socket.encrypt(&server.host, tls).map_err(|error| session.lost(&error))?;
        }
        Ok(session)
    }

    /// Opens one and waits until mails can be handed over.
    ///
    /// # Errors
    /// Where it failed; no mail was spoken of.
    pub(crate) fn open_now(
        server: &Arc<Server>,
        tls: &Arc<ClientConfig>,
        watch: &Watch,
    ) -> Result<Session, Fault> {
        let mut session = Session::open(server, tls, watch, false)?;
        while !session.is_ready() {
            let until = session.until;
            Session::wait(std::slice::from_mut(&mut session), watch, until);
            if let Some(fault) = session.over {
                return Err(fault);
            }
        }
        Ok(session)
    }

    /// Asks whether a mail would be taken, and takes it back.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn would_take(
        &mut self,
        from: Address,
        to: Address,
        watch: &Watch,
    ) -> Result<(), Fault> {
        self.give(0, from, to, Vec::new(), watch.now());
        self.todo.retain(|(stage, _)| *stage != Stage::Data);
        self.ask(Stage::Reset, &Rset);
        while !self.todo.is_empty() || !self.asked.is_empty() {
            let until = self.until;
            if let Some(done) = Session::wait(std::slice::from_mut(self), watch, until).pop() {
                return done.result;
            }
        }
        self.letters.clear();
        self.over.clone().map_or(Ok(()), Err)
    }

    /// Whether mails can be handed over.
    pub(crate) fn is_ready(&self) -> bool {
        self.opening.is_none() && self.over.is_none()
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.over.is_some()
    }

    /// Why it was not opened.
    pub(crate) fn unopened(&self) -> Option<&Fault> {
        self.over.as_ref().filter(|_| self.opening.is_some())
    }

    /// Whether it was lost while the server had more than one command to answer.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether the server is still there, as far as can be seen without asking.
    pub(crate) fn is_open(&mut self) -> bool {
        self.over.is_none() && self.socket.is_open()
    }

    /// Whether what is said is encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.socket.is_encrypted()
    }

    /// Whether something is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.opening.is_some() || !self.letters.is_empty()
    }

    /// How many mails were tried on it.
    pub(crate) fn tried(&self) -> usize {
        self.tried
    }

    /// Whether the next mail can be given now: none is under way, or the content of the one that
    /// is can be sent in a group with it.
    pub(crate) fn is_free(&self) -> bool {
        let behind = || self.grouped && self.letters.len() == 1 && self.ends();
        self.is_ready() && (self.letters.is_empty() || behind())
    }

    /// Whether the content of a mail is to be sent next.
    fn ends(&self) -> bool {
        self.todo.front().is_some_and(|(stage, _)| *stage == Stage::Dot)
    }

    /// Whether addresses may have other letters than ASCII's.
    pub(crate) fn takes_utf8(&self) -> bool {
        self.offers.has("SMTPUTF8")
    }

    /// Begins to hand a mail over, when [`Session::is_free`] says so.
    pub(crate) fn give(
        &mut self,
        id: usize,
        from: Address,
        to: Address,
        mail: Vec<u8>,
        now: Instant,
    ) {
        // A final dot ends the mail before it, whatever the server says of that.
        if self.begun && !self.ends() {
            self.ask(Stage::Reset, &Rset);
        }
        let other = !(from.as_ref() as &str).is_ascii() || !(to.as_ref() as &str).is_ascii();
        let utf8 =
            [MailParameter::Body(MailBodyParameter::EightBitMime), MailParameter::SmtpUtfEight];
        let utf8 = if other { utf8.to_vec() } else { Vec::new() };
        self.ask(Stage::Sender, &Mail::new(Some(from), utf8));
        self.ask(Stage::Recipient, &Rcpt::new(to, Vec::new()));
        self.ask(Stage::Data, &Data);
        if self.letters.is_empty() {
            self.until = now + MAIL;
        }
        let stale = self.tried > 0;
        self.tried += 1;
        self.letters.push_back(Letter { id, mail, fault: None, accepted: false, dot: None, stale });
    }

    /// Sends what may be sent now.
    fn say(&mut self) {
        let free = |session: &Session| match session.asked.back() {
            None => true,
            // What follows depends on its answer.
            Some(Stage::Data) => false,
            Some(_) => session.grouped && session.opening.is_none(),
        };
        while free(self) {
            let Some((stage, bytes)) = self.todo.pop_front() else { break };
            let end = self.socket.push(&bytes);
            if stage == Stage::Dot
                && let Some(letter) = self.letters.front_mut()
            {
                letter.dot = Some(end);
            }
            self.asked.push_back(stage);
        }
        self.socket.write();
    }

    /// Says what may be said in each of these conversations, waits for an answer in one of them,
    /// for a moment at most, and gives what came of mails. After `until` all are given up.
    pub(crate) fn wait(sessions: &mut [Session], watch: &Watch, until: Instant) -> Vec<Done> {
        sessions.iter_mut().for_each(Session::say);
        let busy = sessions.iter().filter(|session| session.is_busy());
        let first = busy.map(|session| session.until).fold(until, Instant::min);
        let mut waits: Vec<_> = sessions.iter().map(|session| session.socket.interest()).collect();
        let ended = watch.poll(&mut waits, first).err();
        let now = watch.now();
        let late = || io::Error::new(ErrorKind::TimedOut, "no answer in time");
        let ended = ended.or_else(|| (now >= until).then(late));
        let mut done = Vec::new();
        for session in sessions {
            session.hear(now);
            if let Some(error) = &ended {
                session.give_up(error);
            }
            done.append(&mut session.done);
        }
        done
    }

    /// Hears what the server said.
    fn hear(&mut self, now: Instant) {
        self.socket.read();
        while self.over.is_none() {
            match self.socket.line() {
                Ok(Some(line)) => {
                    if let Err(fault) = self.line(&line, now) {
                        self.end(fault);
                    }
                }
                Ok(None) if self.is_busy() && now >= self.until => {
                    self.broken = self.behind;
                    self.give_up(&io::Error::new(ErrorKind::TimedOut, "no answer in time"));
                }
                Ok(None) => break,
                Err(error) => self.give_up(&error),
            }
        }
    }

    /// Ends the conversation, for which there is no more time or connection.
    fn give_up(&mut self, error: &io::Error) {
        self.end(self.lost(error));
    }

    /// Says goodbye, without waiting for an answer.
    pub(crate) fn quit(mut self) {
        // Nothing depends on it.
        self.socket.push(Quit.to_string().as_bytes());
        self.socket.write();
    }

    fn ask(&mut self, stage: Stage, command: &dyn std::fmt::Display) {
        let command = command.to_string();
        if let (Stage::Login, Some(opening)) = (stage, &mut self.opening) {
            let words = command.split_whitespace().map(|word| word.trim_end_matches('='));
            let secret = words.filter(|word| !NAMES.contains(word));
            opening.secrets.extend(secret.map(|word| Zeroizing::new(word.to_owned())));
        }
        self.todo.push_back((stage, command.into_bytes()));
    }

    /// What it means that no more can be read or written.
    fn lost(&self, error: &io::Error) -> Fault {
        match &self.opening {
            Some(opening) if self.socket.is_handshaking() => {
                let why = format!("{}: {error}{}", opening.server.host, advice(error, "ca="));
                match error.kind() {
                    // Others are about certificates and protocols.
                    ErrorKind::TimedOut
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::ConnectionReset
                    | ErrorKind::BrokenPipe
                    | ErrorKind::UnexpectedEof => Fault::Lost(Stage::Encryption, why),
                    _ => Fault::Insecure(why),
                }
            }
            _ => {
                let stage = match self.asked.front() {
                    Some(Stage::Reset) => Stage::Sender,
                    stage => stage.copied().unwrap_or(Stage::Data),
                };
                Fault::Lost(stage, error.to_string())
            }
        }
    }

    /// Ends, with what that means for the mails under way.
    fn end(&mut self, fault: Fault) {
        let why = match &fault {
            Fault::Lost(_, why) => why.clone(),
            Fault::Refused(..) | Fault::NotReached(_) | Fault::Insecure(_) => {
                "the server ended the connection".to_owned()
            }
        };
        // One that had gone meanwhile is no sign that the server cannot do groups.
        let gone = match (self.letters.front(), self.asked.front()) {
            (Some(letter), Some(Stage::Reset | Stage::Sender)) => letter.stale,
            _ => false,
        };
        let lost = matches!(fault, Fault::Lost(..));
        self.broken |= lost && !gone && self.grouped && self.asked.len() > 1;
        let mut stage = match &fault {
            Fault::Lost(stage, _) => *stage,
            _ => Stage::Sender,
        };
        while let Some(mut letter) = self.letters.pop_front() {
            let at = match (letter.dot, stage) {
                (Some(dot), _) if self.socket.has_left(dot) => Stage::Dot,
                (Some(_), _) | (None, Stage::Dot) => Stage::Data,
                (None, stage) => stage,
            };
            letter.fault.get_or_insert_with(|| Fault::Lost(at, why.clone()));
            self.finish(letter);
            // Nothing was heard of the next one.
            stage = Stage::Sender;
        }
        self.asked.clear();
        self.todo.clear();
        self.over.get_or_insert(fault);
    }

    /// A line of a reply came.
    fn line(&mut self, line: &str, now: Instant) -> Result<(), Fault> {
        let stage = self.asked.front().copied();
        let lost = |why: &str| Fault::Lost(stage.unwrap_or(Stage::Sender), why.to_owned());
        let line = line.trim_end_matches(['\r', '\n']);
        self.reply.push_str(line);
        // A code alone is a reply too.
        self.reply.push_str(if line.len() == 3 { " \r\n" } else { "\r\n" });
        if line.as_bytes().get(3) == Some(&b'-') {
            let ends = self.reply.len() < REPLY;
            return if ends { Ok(()) } else { Err(lost("the server's answer does not end")) };
        }
        let reply = std::mem::take(&mut self.reply).parse::<Response>();
        let reply = reply.map_err(|_| lost("the server's answer is not SMTP"))?;
        let stage = self.asked.pop_front().ok_or_else(|| lost("the server spoke unasked"))?;
        let code = u16::from(reply.code());
        let good = match stage {
            Stage::Data => code == 354,
            Stage::Login => code == 334 || reply.is_positive() && code < 300,
            _ => (200..300).contains(&code),
        };
        let refused = (!good).then(|| {
            let text: Vec<&str> = reply.message().collect();
            let secrets = self.opening.iter().flat_map(|opening| &opening.secrets);
            let hide = |text: String, secret: &Zeroizing<String>| text.replace(&**secret, "***");
            Fault::Refused(stage, code, secrets.fold(text.join(" "), hide))
        });
        match (self.opening.is_some(), refused) {
            (true, Some(refused)) => Err(refused),
            (true, None) => self.opened(stage, &reply),
            (false, refused) => {
                self.answered(stage, refused, now)?;
                // 421: the server closes the connection. What is no refusal fits no question.
                if good || (400..600).contains(&code) && code != 421 || stage == Stage::Void {
                    Ok(())
                } else {
                    Err(Fault::Refused(stage, code, String::new()))
                }
            }
        }
    }

    /// The next step of opening.
    fn opened(&mut self, stage: Stage, reply: &Response) -> Result<(), Fault> {
        let Some(opening) = &mut self.opening else { return Ok(()) };
        let server = Arc::clone(&opening.server);
        // A name without a dot is refused by many. <https://www.rfc-editor.org/rfc/rfc5321#section-4.1.3>
        let hello = Ehlo::new(match (server.name(), self.socket.own_address()) {
            (Ok(name), _) => ClientId::Domain(name),
            (Err(_), Some(IpAddr::V4(address))) => ClientId::Ipv4(address),
            (Err(_), Some(IpAddr::V6(address))) => ClientId::Ipv6(address),
            (Err(name), None) => ClientId::Domain(name),
        });
        match stage {
            Stage::Greeting => self.ask(Stage::Hello, &hello),
            Stage::Encryption => {
                let tls = Arc::clone(&opening.tls);
                self.socket
                    .encrypt(&server.host, &tls)
                    .map_err(|error| Fault::Insecure(format!("{}: {error}", server.host)))?;
                // What was said in the clear counts no more.
                self.ask(Stage::Hello, &hello);
            }
            Stage::Login if reply.has_code(334) => {
                opening.challenges += 1;
                let answer = opening.login.as_ref().filter(|_| opening.challenges < CHALLENGES);
                match answer {
                    // What is wrong with the token. The empty answer makes the server say no.
                    // <https://developers.google.com/workspace/gmail/imap/xoauth2-protocol>
                    Some((Mechanism::Xoauth2, _)) => self.ask(Stage::Login, &"\r\n"),
                    Some((mechanism, credentials)) => {
                        let answer =
                            Auth::new_from_response(*mechanism, credentials.clone(), reply);
                        let answer = answer.map_err(|error| Fault::Insecure(error.to_string()))?;
                        self.ask(Stage::Login, &answer);
                    }
                    None => {
                        let why = "the server asks for more than a user and a password";
                        return Err(Fault::Insecure(why.to_owned()));
                    }
                }
            }
            Stage::Hello => {
                self.offers = Offers::read(reply);
                if self.begins_encryption(&server)? {
                    self.ask(Stage::Encryption, &Starttls);
                } else if let Some(login) = &server.login {
                    self.log_in(login)?;
                } else {
                    self.ready();
                }
            }
            _ => self.ready(),
        }
        Ok(())
    }

    fn begins_encryption(&self, server: &Server) -> Result<bool, Fault> {
        let offered = self.offers.has("STARTTLS");
        match server.encryption {
            _ if self.is_encrypted() => Ok(false),
            Encryption::Immediate | Encryption::Never => Ok(false),
            Encryption::Opportunistic if !offered && server.login.is_none() => Ok(false),
            _ if offered => Ok(true),
            _ => Err(Fault::Insecure(format!("{} offers no STARTTLS", server.host))),
        }
    }

    fn log_in(&mut self, login: &Login) -> Result<(), Fault> {
        let mechanism = self.offers.login(&login.secret).map_err(|offered| {
            let how = if self.is_encrypted() { "" } else { " without encryption" };
            let none = match login.secret {
                Secret::Token(_) => "the server offers no AUTH XOAUTH2",
                Secret::Password(_) => "the server offers neither AUTH PLAIN nor AUTH LOGIN",
            };
            Fault::Insecure(format!("{none}{how}: it offers {offered}"))
        })?;
        let credentials = Credentials::new(login.user.clone(), login.secret.text().to_string());
        let command = Auth::new(mechanism, credentials.clone(), None)
            .map_err(|error| Fault::Insecure(error.to_string()))?;
        self.ask(Stage::Login, &command);
        if let Some(opening) = &mut self.opening {
            opening.login = Some((mechanism, credentials));
            opening.secrets.push(login.secret.text().clone());
        }
        Ok(())
    }

    fn ready(&mut self) {
        self.opening = None;
        self.grouped &= self.offers.has("PIPELINING");
    }

    /// What an answer means for the first mail.
    fn answered(
        &mut self,
        stage: Stage,
        refused: Option<Fault>,
        now: Instant,
    ) -> Result<(), Fault> {
        let good = refused.is_none();
        match stage {
            // A server that will not forget is no use any more; the mail is not to blame.
            Stage::Reset => match refused {
                Some(Fault::Refused(_, code, _)) => {
                    let why = format!("the server refused RSET with {code}");
                    return Err(Fault::Lost(Stage::Sender, why));
                }
                _ => self.begun = false,
            },
            Stage::Sender => self.begun |= good,
            Stage::Dot | Stage::Void => self.begun = false,
            _ => {}
        }
        if std::mem::take(&mut self.behind) {
            self.until = now + MAIL;
        }
        let Some(letter) = self.letters.front_mut() else { return Ok(()) };
        letter.accepted |= good && stage == Stage::Recipient;
        if let Some(refused) = refused {
            letter.fault.get_or_insert(refused);
        }
        let ended = match stage {
            Stage::Dot | Stage::Void => true,
            Stage::Data if !good => true,
            Stage::Data => {
                let mail = std::mem::take(&mut letter.mail);
                let content = match (&letter.fault, letter.accepted) {
                    (None, _) => (Stage::Dot, with_dots(mail)),
                    // Without a recipient the dot delivers nothing.
                    (Some(_), false) => (Stage::Void, b".\r\n".to_vec()),
                    // With one it would be an empty mail.
                    (Some(_), true) => {
                        let why = "the server would take a mail that it has refused";
                        return Err(Fault::Lost(Stage::Data, why.to_owned()));
                    }
                };
                self.todo.push_front(content);
                false
            }
            _ if letter.fault.is_some() => {
                // What was not sent yet need not be.
                self.todo.clear();
                self.asked.is_empty()
            }
            _ => false,
        };
        if ended && let Some(letter) = self.letters.pop_front() {
            self.finish(letter);
            self.behind = !self.asked.is_empty();
            self.until = now + if self.behind { BEHIND } else { MAIL };
        }
        Ok(())
    }

    fn finish(&mut self, letter: Letter) {
        let Letter { id, fault, stale, .. } = letter;
        // Before the server hears of a recipient, a refusal on a used connection, or its end, says
        // that it takes no more mail. Some servers have such a limit.
        // <https://www.rfc-editor.org/rfc/rfc5321#section-3.8>
        let again = match &fault {
            Some(Fault::Lost(Stage::Sender, _) | Fault::Refused(Stage::Sender, 400..=599, _)) => {
                stale || self.broken
            }
            Some(Fault::Lost(stage, _)) => self.broken && *stage != Stage::Dot,
            _ => false,
        };
        if again && self.over.is_none() {
            self.over.clone_from(&fault);
        }
        self.done.push(Done { id, result: fault.map_or(Ok(()), Err), again });
    }
}

/// A line that begins with a dot gets another one, the last line an end, and a dot alone ends the
/// mail. <https://www.rfc-editor.org/rfc/rfc5321#section-4.5.2>
fn with_dots(mail: Vec<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(mail.len() + 64);
    for line in mail.split_inclusive(|byte| *byte == b'\n') {
        if line.first() == Some(&b'.') {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::with_dots;

    #[test]
    fn no_line_of_a_mail_can_end_it() {
        for (mail, sent) in [
            ("a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n"),
            (".\r\n", "..\r\n.\r\n"),
            (".a", "..a\r\n.\r\n"),
            ("a\n.\nb", "a\n..\nb\r\n.\r\n"),
            ("", "\r\n.\r\n"),
        ] {
            assert_eq!(with_dots(mail.into()), sent.as_bytes(), "{mail:?}");
        }
    }
}
