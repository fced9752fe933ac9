//! A conversation with an SMTP server, step by step.
//!
//! In scope: opening, encrypting, logging in, handing over mails one by one, and saying at which
//! step it failed. Out of scope: what a failure means, and when to open again.
//! <https://www.rfc-editor.org/rfc/rfc5321>
//!
//! The commands and replies are lettre's. Its own connection is not used: it waits in one piece,
//! so that a request to stop would not be seen, and it does not say whether the final dot left.

use crate::edges::net::Watch;
use crate::edges::smtp::offers::Offers;
use crate::edges::smtp::server::{Encryption, Server};
use crate::edges::smtp::socket::Socket;
use crate::edges::tls::advice;
use lettre::Address;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::commands::{Auth, Data, Ehlo, Mail, Quit, Rcpt, Rset, Starttls};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use rustls::ClientConfig;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

/// Resolving and connecting.
const CONNECT: Duration = Duration::from_secs(5);
/// All of opening: connecting, greeting, encrypting, logging in.
pub(crate) const OPEN: Duration = Duration::from_secs(20);
/// Handing over one mail. RFC 5321 would wait for minutes; a lease would not.
pub(crate) const MAIL: Duration = Duration::from_secs(30);
/// Saying goodbye.
const QUIT: Duration = Duration::from_secs(1);
/// The most lines of a reply.
const LINES: usize = 100;
/// The most questions of a login.
const CHALLENGES: usize = 5;

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
    /// MAIL.
    Sender,
    /// RCPT.
    Recipient,
    /// DATA, and the mail up to its final dot.
    Data,
    /// The final dot left: the server may have taken the mail.
    Dot,
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

/// An open conversation.
pub(crate) struct Session {
    socket: Socket,
    offers: Offers,
    /// Whether a mail was begun and not ended.
    begun: bool,
    /// Whether a mail was tried on it.
    used: bool,
}

impl Session {
    /// Connects, encrypts and logs in, as `server` says.
    ///
    /// # Errors
    /// Where it failed; no mail was spoken of.
    pub(crate) fn open(
        server: &Server,
        tls: &Arc<ClientConfig>,
        watch: Watch,
    ) -> Result<Session, Fault> {
        let socket = Socket::connect(&server.host, server.port, CONNECT, OPEN, &watch)
            .map_err(|error| Fault::NotReached(format!("{}: {error}", server.host)))?;
        let mut session = Session { socket, offers: Offers::default(), begun: false, used: false };
        if server.encryption == Encryption::Immediate {
            session.encrypt(server, tls)?;
        }
        session.reply(Stage::Greeting)?;
        session.hello(server)?;
        session.start_tls(server, tls)?;
        if let Some((user, password)) = &server.login {
            session.log_in(Credentials::new(user.clone(), password.to_string()))?;
        }
        Ok(session)
    }

    /// Whether the server is still there, as far as can be seen without asking.
    pub(crate) fn is_open(&self) -> bool {
        self.socket.is_open()
    }

    /// Whether what is said is encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.socket.is_encrypted()
    }

    /// Whether a mail was tried on it before.
    pub(crate) fn is_used(&self) -> bool {
        self.used
    }

    /// Hands one mail over; after `Ok` the server has taken responsibility for it.
    ///
    /// # Errors
    /// Where it failed. The conversation can go on after [`Fault::Refused`], unless the server
    /// said 421.
    pub(crate) fn send(&mut self, from: Address, to: Address, mail: &[u8]) -> Result<(), Fault> {
        self.socket.begin(MAIL).map_err(|error| Fault::NotReached(error.to_string()))?;
        self.used = true;
        if self.begun {
            self.reset()?;
        }
        self.ask(Stage::Sender, Mail::new(Some(from), Vec::new()))?;
        self.begun = true;
        self.ask(Stage::Recipient, Rcpt::new(to, Vec::new()))?;
        self.ask(Stage::Data, Data)?;
        self.write(Stage::Data, &with_dots(mail))?;
        // From here on the server may have it.
        self.write(Stage::Dot, b".\r\n")?;
        self.reply(Stage::Dot)?;
        self.begun = false;
        Ok(())
    }

    /// Forgets the mail that was begun. A server that will not is no use any more; the next mail
    /// is not to blame.
    fn reset(&mut self) -> Result<(), Fault> {
        self.ask(Stage::Sender, Rset).map_err(|fault| match fault {
            Fault::Refused(stage, code, _) => {
                Fault::Lost(stage, format!("the server refused RSET with {code}"))
            }
            other => other,
        })?;
        self.begun = false;
        Ok(())
    }

    /// Says goodbye, without waiting long for an answer.
    pub(crate) fn quit(mut self) {
        // Nothing depends on it.
        let _ = self.socket.begin(QUIT);
        let _ = self.write(Stage::Greeting, Quit.to_string().as_bytes());
    }

    fn hello(&mut self, server: &Server) -> Result<(), Fault> {
        let name = match &server.helo {
            Some(name) => ClientId::Domain(name.clone()),
            None => ClientId::default(),
        };
        self.offers = Offers::read(&self.ask(Stage::Hello, Ehlo::new(name))?);
        Ok(())
    }

    fn start_tls(&mut self, server: &Server, tls: &Arc<ClientConfig>) -> Result<(), Fault> {
        let offered = self.offers.encryption();
        match server.encryption {
            Encryption::Immediate | Encryption::Never => return Ok(()),
            Encryption::Opportunistic if !offered && server.login.is_none() => return Ok(()),
            _ if !offered => {
                return Err(Fault::Insecure(format!("{} offers no STARTTLS", server.host)));
            }
            _ => {}
        }
        self.ask(Stage::Encryption, Starttls)?;
        self.encrypt(server, tls)?;
        // What was said in the clear counts no more.
        self.hello(server)
    }

    fn encrypt(&mut self, server: &Server, tls: &Arc<ClientConfig>) -> Result<(), Fault> {
        self.socket.encrypt(&server.host, tls).map_err(|error| {
            let why = format!("{}: {error}{}", server.host, advice(&error, "ca="));
            match error.kind() {
                // Others are about certificates and protocols.
                std::io::ErrorKind::TimedOut
                | std::io::ErrorKind::ConnectionAborted
                | std::io::ErrorKind::ConnectionReset
                | std::io::ErrorKind::BrokenPipe
                | std::io::ErrorKind::UnexpectedEof => Fault::Lost(Stage::Encryption, why),
                _ => Fault::Insecure(why),
            }
        })
    }

    fn log_in(&mut self, credentials: Credentials) -> Result<(), Fault> {
        let insecure = |why: String| Fault::Insecure(why);
        let mechanism = self.offers.login().map_err(|offered| {
            let how = if self.socket.is_encrypted() { "" } else { " without encryption" };
            let neither = "the server offers neither AUTH PLAIN nor AUTH LOGIN";
            insecure(format!("{neither}{how}: it offers {offered}"))
        })?;
        let mut command = Auth::new(mechanism, credentials.clone(), None);
        for _ in 0..CHALLENGES {
            let asked = command.map_err(|error| insecure(error.to_string()))?;
            let reply = self.ask(Stage::Login, asked)?;
            if !reply.has_code(334) {
                return Ok(());
            }
            command = Auth::new_from_response(mechanism, credentials.clone(), &reply);
        }
        Err(insecure("the server asks for more than a user and a password".to_owned()))
    }

    fn ask(&mut self, stage: Stage, command: impl Display) -> Result<Response, Fault> {
        self.write(stage, command.to_string().as_bytes())?;
        self.reply(stage)
    }

    fn write(&mut self, stage: Stage, bytes: &[u8]) -> Result<(), Fault> {
        self.socket.write(bytes).map_err(|error| Fault::Lost(stage, error.to_string()))
    }

    /// Reads a reply; `Ok` if it is a good one.
    fn reply(&mut self, stage: Stage) -> Result<Response, Fault> {
        let lost = |why: String| Fault::Lost(stage, why);
        let mut text = String::new();
        for _ in 0..LINES {
            let line = self.socket.line().map_err(|error| lost(error.to_string()))?;
            let line = line.trim_end_matches(['\r', '\n']);
            let more = line.as_bytes().get(3) == Some(&b'-');
            text.push_str(line);
            // A code alone is a reply too.
            text.push_str(if line.len() == 3 { " \r\n" } else { "\r\n" });
            if !more {
                let reply = text
                    .parse::<Response>()
                    .map_err(|_| lost("the server's answer is not SMTP".to_owned()))?;
                let good = match (stage, u16::from(reply.code())) {
                    (Stage::Data, code) => code == 354,
                    (Stage::Login, 334) => true,
                    (_, code) => (200..300).contains(&code),
                };
                return if good { Ok(reply) } else { Err(refused(stage, &reply)) };
            }
        }
        Err(lost("the server's answer does not end".to_owned()))
    }
}

fn refused(stage: Stage, reply: &Response) -> Fault {
    let text: Vec<&str> = reply.message().collect();
    Fault::Refused(stage, u16::from(reply.code()), text.join(" "))
}

/// A line that begins with a dot gets another one, and the last line an end.
/// <https://www.rfc-editor.org/rfc/rfc5321#section-4.5.2>
fn with_dots(mail: &[u8]) -> Vec<u8> {
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
    out
}

#[cfg(test)]
mod tests {
    use super::with_dots;

    #[test]
    fn no_line_of_a_mail_can_end_it() {
        for (mail, sent) in [
            ("a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n"),
            (".\r\n", "..\r\n"),
            (".a", "..a\r\n"),
            ("a\n.\nb", "a\n..\nb\r\n"),
            ("", "\r\n"),
        ] {
            assert_eq!(with_dots(mail.as_bytes()), sent.as_bytes(), "{mail:?}");
        }
    }
}
