//! An SMTP server under our control: plain, with STARTTLS or encrypted from the first byte, that
//! takes every mail until it is told otherwise, step by step.

use super::meter::Meter;
use super::tls::Authority;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailparse::MailHeaderMap as _;
use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A step of the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Greeting,
    Ehlo,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    Dot,
    Rset,
}

/// What the server does at a step, in place of what a good one does.
#[derive(Clone, Debug)]
pub enum Act {
    /// Answers with these lines, without their ends.
    Say(&'static str),
    /// Closes the connection without an answer.
    Drop,
    /// At the dot: takes the mail, then closes the connection without an answer.
    TakeThenDrop,
    /// Does what a good server does, after a wait.
    Slow(Duration),
}

/// How the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    Never,
    Offered,
    Immediate,
}

/// A mail that was taken.
#[derive(Clone, Debug)]
pub struct Mail {
    pub from: String,
    pub to: String,
    /// As it came, without the dots that SMTP adds.
    pub raw: String,
    /// Who had logged in.
    pub user: Option<String>,
    /// Whether the connection was encrypted.
    pub encrypted: bool,
}

impl Mail {
    /// A header's value, decoded.
    pub fn header(&self, name: &str) -> Option<String> {
        let mail = mailparse::parse_mail(self.raw.as_bytes()).unwrap();
        mail.headers.get_first_value(name)
    }

    /// The names of the headers at the top, in order.
    pub fn headers(&self) -> Vec<String> {
        let mail = mailparse::parse_mail(self.raw.as_bytes()).unwrap();
        mail.headers.iter().map(|header| header.get_key()).collect()
    }

    /// The text and the HTML, decoded, with LF line ends.
    pub fn bodies(&self) -> (String, String) {
        let mail = mailparse::parse_mail(self.raw.as_bytes()).unwrap();
        assert_eq!(mail.ctype.mimetype, "multipart/alternative", "{}", self.raw);
        let types: Vec<&str> =
            mail.subparts.iter().map(|part| part.ctype.mimetype.as_str()).collect();
        assert_eq!(types, ["text/plain", "text/html"], "{}", self.raw);
        let body = |index: usize| {
            let text = mail.subparts[index].get_body().unwrap().replace("\r\n", "\n");
            text.strip_suffix('\n').unwrap_or(&text).to_owned()
        };
        (body(0), body(1))
    }
}

#[derive(Default)]
struct State {
    once: HashMap<Step, Vec<Act>>,
    always: HashMap<Step, Act>,
    refused: HashMap<String, &'static str>,
    mails: Vec<Mail>,
    lines: Vec<String>,
    connections: usize,
    most: Option<usize>,
    meter: Option<Meter>,
    groups: Option<Groups>,
    insist: usize,
    last: Option<(String, usize)>,
    tarpit: Option<&'static AtomicU64>,
    renewed: Option<String>,
    utf8: bool,
}

/// How a server that offers PIPELINING deals with groups of commands.
#[derive(Clone, Copy, Debug)]
pub enum Groups {
    /// As it should; DATA without a recipient is refused.
    Good,
    /// As it should; DATA without a recipient is taken, and the dot refused.
    Lax,
    /// It closes the connection when it finds more than one command.
    Close,
    /// It forgets what came with a command, and a counter goes up.
    Forget(&'static AtomicU64),
    /// It forgets what came with a content, as Courier does, and a counter goes up.
    Swallow(&'static AtomicU64),
}

/// The server; it ends when this is dropped.
pub struct MailServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    tls: Tls,
    /// Its authority's certificate, PEM.
    pub ca: String,
}

/// What every connection needs to know.
#[derive(Clone)]
struct Shared {
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    tls: Tls,
    config: Arc<rustls::ServerConfig>,
    login: Option<(&'static str, &'static str)>,
}

impl MailServer {
    /// A server without encryption or login.
    pub fn plain() -> MailServer {
        MailServer::start(Tls::Never, None)
    }

    /// A server for `localhost`; with a login, nothing is taken before it.
    pub fn start(tls: Tls, login: Option<(&'static str, &'static str)>) -> MailServer {
        let authority = Authority::new("mailroom test CA");
        let config = server_config(authority.issue(&["localhost"]));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (state, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let shared =
            Shared { state: Arc::clone(&state), stop: Arc::clone(&stop), tls, config, login };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.stop.load(Ordering::SeqCst) {
                    return;
                }
                shared.state.lock().unwrap().connections += 1;
                let shared = shared.clone();
                std::thread::spawn(move || talk(stream, &shared));
            }
        });
        MailServer { address, state, stop, tls, ca: authority.pem }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// MAILROOM_SMTP_URL for it, with its authority in `ca`.
    pub fn url(&self, who: &str, ca: &std::path::Path) -> String {
        let (port, ca) = (self.port(), ca.display());
        match self.tls {
            Tls::Never => format!("smtp://{who}localhost:{port}?tls=none"),
            Tls::Offered => format!("smtp://{who}localhost:{port}?tls=required&ca={ca}"),
            Tls::Immediate => format!("smtps://{who}localhost:{port}?ca={ca}"),
        }
    }

    /// Does this at the next such step; several are done in turn.
    pub fn push(&self, step: Step, act: Act) {
        self.state.lock().unwrap().once.entry(step).or_default().push(act);
    }

    /// Does this at every such step, or no more.
    pub fn set(&self, step: Step, act: Option<Act>) {
        let mut state = self.state.lock().unwrap();
        match act {
            Some(act) => drop(state.always.insert(step, act)),
            None => drop(state.always.remove(&step)),
        }
    }

    /// Answers so whenever this recipient is named.
    pub fn refuse(&self, recipient: &str, answer: &'static str) {
        self.state.lock().unwrap().refused.insert(recipient.to_owned(), answer);
    }

    /// Takes so many mails on each connection and answers the next MAIL with 421, as Exim does with
    /// `smtp_accept_max_per_connection`.
    pub fn limit(&self, most: usize) {
        self.state.lock().unwrap().most = Some(most);
    }

    /// Offers PIPELINING.
    pub fn offer_groups(&self, groups: Groups) {
        self.state.lock().unwrap().groups = Some(groups);
    }

    /// Answers the next so many final dots only when the next mail's DATA has come.
    pub fn insist(&self, dots: usize) {
        self.state.lock().unwrap().insist = dots;
    }

    /// Answers this recipient only when so many mails have been taken.
    pub fn wait_with(&self, recipient: &str, mails: usize) {
        self.state.lock().unwrap().last = Some((recipient.to_owned(), mails));
    }

    /// Offers SMTPUTF8.
    pub fn offer_utf8(&self) {
        self.state.lock().unwrap().utf8 = true;
    }

    /// Takes this password or token from now on.
    pub fn renew(&self, secret: &str) {
        self.state.lock().unwrap().renewed = Some(secret.to_owned());
    }

    /// Counts refused recipients there.
    pub fn tarpit(&self, refused: &'static AtomicU64) {
        self.state.lock().unwrap().tarpit = Some(refused);
    }

    /// Takes no more than so many mails in a second.
    pub fn throttle(&self, most: usize) {
        self.state.lock().unwrap().meter = Some(Meter::new(most));
    }

    /// As [`Meter::used`].
    pub fn used(&self, from: usize, part: f64) -> Option<usize> {
        self.state.lock().unwrap().meter.as_ref()?.used(from, part)
    }

    /// Forgets the script, not the mails.
    pub fn behave(&self) {
        let mut state = self.state.lock().unwrap();
        state.once.clear();
        state.always.clear();
        state.refused.clear();
    }

    /// The mails that were taken, in order.
    pub fn mails(&self) -> Vec<Mail> {
        self.state.lock().unwrap().mails.clone()
    }

    /// The commands that came, in order, without logins.
    pub fn lines(&self) -> Vec<String> {
        self.state.lock().unwrap().lines.clone()
    }

    /// How many connections were opened.
    pub fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn server_config((cert, key): (String, String)) -> Arc<rustls::ServerConfig> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert], key)
        .unwrap();
    Arc::new(config)
}

trait Both: Read + Write + Send {}
impl<T: Read + Write + Send> Both for T {}

/// One conversation.
struct Talk<'a> {
    stream: BufReader<Box<dyn Both>>,
    shared: &'a Shared,
    encrypted: bool,
    user: Option<String>,
    from: String,
    to: String,
    /// MAILs that came.
    begun: usize,
    /// Whether a recipient was taken.
    valid: bool,
    /// Commands that were read ahead.
    ahead: VecDeque<String>,
}

fn secure(raw: TcpStream, shared: &Shared) -> Box<dyn Both> {
    let session = rustls::ServerConnection::new(shared.config.clone()).unwrap();
    Box::new(rustls::StreamOwned::new(session, raw))
}

fn talk(raw: TcpStream, shared: &Shared) {
    let spare = raw.try_clone().unwrap();
    let encrypted = shared.tls == Tls::Immediate;
    let both = if encrypted { secure(raw, shared) } else { Box::new(raw) };
    let mut talk = Talk {
        stream: BufReader::new(both),
        shared,
        encrypted,
        user: None,
        from: String::new(),
        to: String::new(),
        begun: 0,
        valid: false,
        ahead: VecDeque::new(),
    };
    if talk.step(Step::Greeting, "220 mail.mailroom.test ESMTP") {
        while talk.command(&spare) {}
    }
    let _ = spare.shutdown(std::net::Shutdown::Both);
}

impl Talk<'_> {
    fn say(&mut self, text: &str) -> bool {
        let text = format!("{}\r\n", text.replace('\n', "\r\n"));
        let stream = self.stream.get_mut();
        stream.write_all(text.as_bytes()).and_then(|()| stream.flush()).is_ok()
    }

    /// The script for a step, if there is one; waits are over when this returns.
    fn script(&self, step: Step) -> Option<Act> {
        let act = {
            let mut state = self.shared.state.lock().unwrap();
            let once = state.once.get_mut(&step).filter(|acts| !acts.is_empty());
            match once.map(|acts| acts.remove(0)) {
                Some(act) => Some(act),
                None => state.always.get(&step).cloned(),
            }
        };
        match act {
            Some(Act::Slow(wait)) => {
                std::thread::sleep(wait);
                None
            }
            other => other,
        }
    }

    /// Answers; `false` if the connection is over.
    fn step(&mut self, step: Step, good: &str) -> bool {
        match self.script(step) {
            None => self.say(good),
            Some(Act::Say(text)) => self.say(text) && !text.starts_with("421"),
            Some(_) => false,
        }
    }

    /// Whether the step is to go well; else it was answered, and the flag says whether the
    /// connection goes on.
    fn allowed(&mut self, step: Step) -> Result<(), bool> {
        match self.script(step) {
            None => Ok(()),
            Some(Act::Say(text)) => Err(self.say(text) && !text.starts_with("421")),
            Some(_) => Err(false),
        }
    }

    fn line(&mut self) -> Option<String> {
        if let Some(line) = self.ahead.pop_front() {
            return Some(line);
        }
        let mut line = String::new();
        self.stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
        Some(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn command(&mut self, raw: &TcpStream) -> bool {
        let Some(line) = self.line() else { return false };
        if self.shared.stop.load(Ordering::SeqCst) {
            return false;
        }
        let groups = self.shared.state.lock().unwrap().groups;
        let more = self.stream.buffer().len();
        match groups {
            Some(Groups::Close) if more > 0 => return false,
            Some(Groups::Forget(counter)) if more > 0 => {
                self.stream.consume(more);
                counter.fetch_add(1, Ordering::SeqCst);
            }
            _ => {}
        }
        let upper = line.to_ascii_uppercase();
        let word = upper.split([' ', ':']).next().unwrap().to_owned();
        let shown = if word == "AUTH" { word.clone() } else { line.clone() };
        self.shared.state.lock().unwrap().lines.push(shown);
        let late = self.shared.login.is_some() && self.user.is_none();
        match word.as_str() {
            "EHLO" => self.hello(),
            "STARTTLS" => match self.allowed(Step::StartTls) {
                Ok(()) => {
                    let go = self.say("220 go ahead");
                    let both = secure(raw.try_clone().unwrap(), self.shared);
                    self.stream = BufReader::new(both);
                    self.encrypted = true;
                    go
                }
                Err(goes_on) => goes_on,
            },
            "AUTH" => match self.allowed(Step::Auth) {
                Ok(()) => self.login(&line),
                Err(goes_on) => goes_on,
            },
            "MAIL" | "RCPT" | "DATA" if late => self.say("530 5.7.0 Authentication required"),
            "MAIL" => {
                self.from = address(&line);
                self.begun += 1;
                self.valid = false;
                let most = self.shared.state.lock().unwrap().most;
                if most.is_some_and(|most| self.begun > most) {
                    self.say("421 4.7.0 Too many messages in this connection");
                    return false;
                }
                let mut state = self.shared.state.lock().unwrap();
                let slow = state.meter.as_mut().is_some_and(|meter| !meter.takes(1));
                drop(state);
                match slow {
                    true => {
                        self.say("454 4.7.0 Throttling failure: Maximum sending rate exceeded.")
                    }
                    false => self.step(Step::Mail, "250 2.1.0 Ok"),
                }
            }
            "RCPT" => {
                self.to = address(&line);
                let (refused, tarpit) = {
                    let state = self.shared.state.lock().unwrap();
                    (state.refused.get(&self.to).copied(), state.tarpit)
                };
                let waits = || {
                    let state = self.shared.state.lock().unwrap();
                    let stop = self.shared.stop.load(Ordering::SeqCst);
                    !stop
                        && state
                            .last
                            .as_ref()
                            .is_some_and(|(to, mails)| *to == self.to && state.mails.len() < *mails)
                };
                while waits() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                if let Some(answer) = refused {
                    if let Some(counter) = tarpit {
                        counter.fetch_add(1, Ordering::SeqCst);
                    }
                    return self.say(answer);
                }
                match self.allowed(Step::Rcpt) {
                    Ok(()) => {
                        self.valid = true;
                        self.say("250 2.1.5 Ok")
                    }
                    Err(goes_on) => goes_on,
                }
            }
            "DATA" if !self.valid && !matches!(groups, Some(Groups::Lax)) => {
                self.say("503 5.5.1 No valid recipients")
            }
            "DATA" => match self.allowed(Step::Data) {
                Ok(()) => self.say("354 End data with <CR><LF>.<CR><LF>") && self.data(),
                Err(goes_on) => goes_on,
            },
            "RSET" => self.step(Step::Rset, "250 2.0.0 Ok"),
            "QUIT" => {
                self.say("221 2.0.0 Bye");
                false
            }
            _ => self.say("502 5.5.2 Error: command not recognized"),
        }
    }

    fn hello(&mut self) -> bool {
        let mut text = "250-mail.mailroom.test\n".to_owned();
        if self.shared.tls == Tls::Offered && !self.encrypted {
            text.push_str("250-STARTTLS\n");
        }
        if self.shared.login.is_some() {
            text.push_str("250-AUTH LOGIN PLAIN XOAUTH2\n");
        }
        if self.shared.state.lock().unwrap().groups.is_some() {
            text.push_str("250-PIPELINING\n");
        }
        if self.shared.state.lock().unwrap().utf8 {
            text.push_str("250-smtpUTF8\n");
        }
        text.push_str("250 8BITMIME");
        self.step(Step::Ehlo, &text)
    }

    fn login(&mut self, line: &str) -> bool {
        let words: Vec<&str> = line.split(' ').collect();
        let given = match words.as_slice() {
            [_, "PLAIN", text] => {
                let text = STANDARD.decode(text).unwrap();
                let text = String::from_utf8(text).unwrap();
                let mut parts = text.split('\0').skip(1).map(str::to_owned);
                (parts.next().unwrap(), parts.next().unwrap())
            }
            [_, "LOGIN"] => {
                let mut ask = |what: &str| {
                    let question = format!("334 {}", STANDARD.encode(what));
                    self.say(&question);
                    String::from_utf8(STANDARD.decode(self.line().unwrap()).unwrap()).unwrap()
                };
                (ask("Username:"), ask("Password:"))
            }
            [_, "XOAUTH2", text] => {
                let text = String::from_utf8(STANDARD.decode(text).unwrap()).unwrap();
                let text = text.strip_prefix("user=").unwrap().strip_suffix("\x01\x01").unwrap();
                let (user, token) = text.split_once("\x01auth=Bearer ").unwrap();
                (user.to_owned(), token.to_owned())
            }
            _ => return self.say("504 5.5.4 Unrecognized authentication type"),
        };
        let renewed = self.shared.state.lock().unwrap().renewed.clone();
        let good = self.shared.login.is_some_and(|(user, secret)| {
            given.0 == user && given.1 == renewed.unwrap_or(secret.to_owned())
        });
        if !good && line.contains("XOAUTH2") {
            // As Google and Microsoft do.
            let why = STANDARD.encode(r#"{"status":"401","schemes":"bearer"}"#);
            self.say(&format!("334 {why}"));
            assert_eq!(self.line().as_deref(), Some(""), "the client answers with nothing");
        }
        if !good {
            return self.say("535 5.7.8 Authentication credentials invalid");
        }
        self.user = Some(given.0);
        self.say("235 2.7.0 Authentication successful")
    }

    fn data(&mut self) -> bool {
        let mut raw = String::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).unwrap_or(0) == 0 {
                return false;
            }
            assert!(line.ends_with("\r\n"), "a bare line feed: {line:?}");
            if line == ".\r\n" {
                break;
            }
            raw.push_str(line.strip_prefix('.').unwrap_or(&line));
        }
        if !self.valid && raw.is_empty() {
            return self.say("554 5.5.1 No valid recipients");
        }
        // What follows finds out if it was content without a recipient.
        let insists = {
            let mut state = self.shared.state.lock().unwrap();
            state.insist = state.insist.saturating_sub(1);
            state.insist > 0
        };
        while insists && self.ahead.back().is_none_or(|line| line != "DATA") {
            let mut line = String::new();
            if self.stream.read_line(&mut line).unwrap_or(0) == 0 {
                return false;
            }
            self.ahead.push_back(line.trim_end_matches(['\r', '\n']).to_owned());
        }
        let script = self.script(Step::Dot);
        if let Some(Act::Say(text)) = script {
            self.valid = false;
            return self.say(text) && !text.starts_with("421");
        }
        if matches!(script, Some(Act::Drop)) {
            return false;
        }
        assert!(self.valid, "content went to nobody");
        self.valid = false;
        let (from, to, user) = (self.from.clone(), self.to.clone(), self.user.clone());
        let mail = Mail { from, to, raw, user, encrypted: self.encrypted };
        self.shared.state.lock().unwrap().mails.push(mail);
        let (groups, more) = (self.shared.state.lock().unwrap().groups, self.stream.buffer().len());
        let goes_on =
            !matches!(script, Some(Act::TakeThenDrop)) && self.say("250 2.0.0 Ok: queued");
        if let Some(Groups::Swallow(counter)) = groups
            && more > 0
        {
            self.stream.consume(more);
            counter.fetch_add(1, Ordering::SeqCst);
        }
        goes_on
    }
}

/// What stands in angle brackets.
fn address(line: &str) -> String {
    let inside = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.unwrap_or_else(|| panic!("no address in {line:?}")).0.to_owned()
}
