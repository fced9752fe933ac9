//! Everything that speaks to PostgreSQL. No other folder names the `postgres` crate.
//!
//! This file holds the words its siblings share: where to connect to, and what can go wrong.

pub mod conninfo;
pub mod migrate;
pub mod session;
pub(crate) mod sql;
pub mod tls;

pub use migrate::NEWEST as SCHEMA_VERSION;
pub use postgres::{Client, Error as StatementError};
pub(crate) use sql::statement;

use crate::edges::stop::Stop;
use postgres::config::TargetSessionAttrs;
use postgres::error::SqlState;
use std::fmt;
use std::path::PathBuf;

/// How a connection is encrypted: the `sslmode` of libpq.
/// <https://www.postgresql.org/docs/current/libpq-ssl.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    Disable,
    /// If the server offers it; the certificate is not checked.
    Prefer,
    /// Always; the certificate is checked only if a root certificate was named.
    Require,
    /// Always; the certificate must come from a trusted authority.
    VerifyCa,
    /// As `VerifyCa`, and the certificate must name the host.
    VerifyFull,
}

/// The authorities that are trusted: the `sslrootcert` of libpq.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// None was named.
    Unset,
    /// `system`: the bundle that SSL_CERT_FILE names, else the machine's own, else the one built
    /// in.
    System(Option<PathBuf>),
    /// A PEM file.
    File(PathBuf),
}

/// One place where a server may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A directory that holds the Unix socket, and the port that is part of its name.
    Socket(PathBuf, u16),
    /// A host name or address, the address to use instead of looking it up, and the port.
    Tcp {
        /// The name that the certificate must carry.
        host: String,
        /// `hostaddr`, if given.
        addr: Option<std::net::IpAddr>,
        /// The port.
        port: u16,
    },
}

/// Where to connect to, as a person said it: parsed, defaults filled in, not looked up yet.
#[derive(Clone)]
pub struct Target {
    /// User, database, options, timeouts: all but hosts, passwords and TLS.
    pub base: postgres::Config,
    /// Tried in order.
    pub places: Vec<Place>,
    /// The password for each place: the password file may have one for each.
    pub passwords: Vec<Option<zeroize::Zeroizing<String>>>,
    /// `sslmode`.
    pub tls: TlsMode,
    /// `sslrootcert`.
    pub roots: Roots,
    /// What a person should be told, though it is no error: a password file that is ignored.
    pub warnings: Vec<String>,
}

/// First key of the advisory lock that a listener holds, shared: "mail" in ASCII. The second one is
/// the queue's, so that whoever asks sees who listens, whatever their role.
pub(crate) const LISTENER: i32 = 0x6d61_696c;

/// The `application_name` of those who give none.
const NAME: &str = "mailroom";

impl Target {
    /// Tells the server that this is `mailroom COMMAND`, unless somebody chose another name.
    pub fn name(&mut self, command: &str) {
        if self.base.get_application_name() == Some(NAME) {
            self.base.application_name(&format!("{NAME} {command}"));
        }
    }

    /// Passes over servers that cannot be written to, unless `read-only` was asked for.
    /// <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-TARGET-SESSION-ATTRS>
    pub fn write(&mut self) {
        if self.base.get_target_session_attrs() == TargetSessionAttrs::Any {
            self.base.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
    }

    /// Gives each address at most this long to take the connection.
    pub fn hurry(&mut self, limit: std::time::Duration) {
        let limit = self.base.get_connect_timeout().map_or(limit, |own| limit.min(*own));
        self.base.connect_timeout(limit);
    }
}

impl fmt::Display for Target {
    /// `host=… port=… dbname=… user=… sslmode=…`, the line of the seed documents. No password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self
            .places
            .iter()
            .map(|place| match place {
                Place::Socket(dir, _) => dir.display().to_string(),
                Place::Tcp { host, .. } => host.clone(),
            })
            .collect();
        let ports: Vec<String> = self
            .places
            .iter()
            .map(|place| match place {
                Place::Socket(_, port) | Place::Tcp { port, .. } => port.to_string(),
            })
            .collect();
        write!(
            f,
            "host={} port={} dbname={} user={} sslmode={}",
            hosts.join(","),
            ports.join(","),
            self.base.get_dbname().unwrap_or_default(),
            self.base.get_user().unwrap_or_default(),
            match self.tls {
                TlsMode::Disable => "disable",
                TlsMode::Prefer => "prefer",
                TlsMode::Require => "require",
                TlsMode::VerifyCa => "verify-ca",
                TlsMode::VerifyFull => "verify-full",
            }
        )
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Connects to the first place of `target` that takes us: looks names up, reads the certificates
/// (so that renewed ones are seen), and opens a session. No step takes longer than the connect
/// timeout of `target` for each address; a raised `stop` ends it within a few seconds.
///
/// # Errors
/// `Lost` if it may work later, `Denied` if a person must change something.
pub fn connect(target: &Target, stop: &Stop) -> Result<session::Session, Fault> {
    let tls = tls::connector(target)?;
    let configs = conninfo::resolve(target)?;
    session::Session::open(&configs, tls.as_ref(), stop)
}

/// What is wrong with a pooler that lends connections for a transaction.
pub const POOLED: &str = "connections share server processes: there is a transaction pooler \
    between, through which LISTEN does not work";

/// What to do about a pooler that lends connections for a transaction.
pub const UNPOOLED: &str = "connect to the server itself, or let the pooler keep one connection \
    for each client (pool_mode = session): mailroom listens, prepares statements and holds a lock \
    on its own";

/// What went wrong with the database, by what can be done about it. The text holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is gone or cannot be had now: connect again later.
    Lost(String),
    /// The server answered, and a person must change something: a password, a grant, the schema.
    Denied(String),
    /// This statement failed and the connection stands; it may work later (a timeout, a deadlock).
    Statement(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Lost(text) | Fault::Denied(text) | Fault::Statement(text) => f.write_str(text),
        }
    }
}

/// Whether a statement waited for a lock longer than its connection waits: `lock_timeout`.
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
pub fn is_locked_out(error: &StatementError) -> bool {
    error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
}
