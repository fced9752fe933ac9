//! What can go wrong with a connection, by what can be done about it, and what the client's errors
//! mean.
//!
//! The server's DETAIL is left out: it may quote a row, and rows hold secrets.

use crate::edges::tls::advice;
use postgres::error::{DbError, SqlState};
use std::error::Error as _;
use std::fmt;

/// What is wrong with a pooler that lends connections for a transaction.
pub const POOLED: &str = "connections share server processes: there is a transaction pooler \
    between, through which LISTEN does not work";

/// What to do about a pooler that lends connections for a transaction.
pub const UNPOOLED: &str = "connect to the server itself, or let the pooler keep one connection \
    for each client (pool_mode = session): mailroom listens, prepares statements and holds a lock \
    on its own";

/// What is wrong with a pooler that asks a standby where it thinks that nothing is written.
pub const BALANCED: &str = "a standby answers what is only read, the primary the rest: there is a \
    pooler between that balances load";

/// What to do about a pooler that asks a standby.
pub const UNBALANCED: &str = "connect to the primary itself, or let the pooler ask that one alone \
    (Pgpool-II: app_name_redirect_preference_list = 'mailroom.*:primary')";

/// What is said of a server that answered `SHOW transaction_read_only` with `on`.
pub const READ_ONLY: &str = "database does not allow writes";

/// What went wrong with the database. The text holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is gone or cannot be had now: connect again later.
    Lost(String),
    /// The server answered, and a person must change something: a password, a grant, the schema.
    Denied(String),
    /// This statement failed and the connection stands; it may work later (a timeout, a deadlock).
    Statement(String),
}

impl Fault {
    /// A statement for people failed while `what` was done: for those that run under no deadline
    /// and log no rows. A server that refuses is a matter of configuration; one that is gone is not.
    pub(crate) fn failed(what: &str, error: &postgres::Error) -> Fault {
        let Some(refusal) = error.as_db_error() else {
            return Fault::Lost(format!("{what}: {error}"));
        };
        let state = refusal.code().code();
        let mut text = format!("{what}: {} ({state})", refusal.message());
        // That of a constraint quotes a row, and rows hold secrets.
        let detail = refusal.detail().filter(|_| !state.starts_with("23"));
        for more in [detail, refusal.hint()].into_iter().flatten() {
            text += &format!("; {more}");
        }
        Fault::Denied(text)
    }

    /// The same in other words.
    pub(crate) fn map(self, words: impl FnOnce(String) -> String) -> Fault {
        match self {
            Fault::Lost(text) => Fault::Lost(words(text)),
            Fault::Denied(text) => Fault::Denied(words(text)),
            Fault::Statement(text) => Fault::Statement(words(text)),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Lost(text) | Fault::Denied(text) | Fault::Statement(text) => f.write_str(text),
        }
    }
}

/// The fault behind `error`, met at `label`. While a session is being opened (`opening`), whatever
/// the server does not excuse as passing must be changed by a person.
pub(crate) fn classify(error: &postgres::Error, label: &str, opening: bool) -> Fault {
    if let Some(refusal) = error.as_db_error() {
        return by_state(refusal, label, opening);
    }
    let mut text = format!("{label}: {error}");
    let mut next = error.source();
    let mut kind = if error.is_closed() {
        Fault::Lost
    } else if opening {
        Fault::Denied
    } else {
        Fault::Statement
    };
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            // Only the system's own "permission denied" (on the socket) is a person's to change.
            let refused = io.kind() == std::io::ErrorKind::PermissionDenied;
            kind = if refused && io.raw_os_error().is_some() { Fault::Denied } else { Fault::Lost };
            // An error of TLS travels inside one of the system.
            if io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
                text.push_str(&advice(io, "sslrootcert"));
                kind = if opening { Fault::Denied } else { Fault::Lost };
            }
        }
        next = cause.source();
    }
    if text.ends_with("password missing") {
        text.push_str(": the server asks for one; set PGPASSWORD, a password file, or password=");
    }
    kind(text)
}

/// Whether a connection without TLS might have been taken: the handshake failed, or no line of
/// the server's `pg_hba.conf` fits (SQLSTATE 28000; a wrong password is 28P01).
pub(crate) fn concerns_tls(error: &postgres::Error) -> bool {
    let handshake = error
        .source()
        .and_then(|cause| cause.downcast_ref::<std::io::Error>())
        .and_then(std::io::Error::get_ref)
        .is_some_and(|inner| inner.is::<rustls::Error>());
    handshake || error.code().is_some_and(|state| state.code() == "28000")
}

/// The fault that an SQLSTATE stands for.
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn by_state(refusal: &DbError, label: &str, opening: bool) -> Fault {
    let state = refusal.code().code();
    let text = format!("{label}: {} (SQLSTATE {state})", refusal.message());
    // No such prepared statement, though we prepared it: this is another process of the server.
    if state == "26000" {
        let what = "a transaction pooler lent another connection";
        return Fault::Lost(format!("{text}: {what}; {UNPOOLED}"));
    }
    // A column has another type than when the statement was prepared: a new connection prepares it
    // anew. The server says so by this state alone, and none of ours asks for what it cannot do.
    if state == "0A000" && !opening {
        return Fault::Lost(format!("{text}; statements are prepared again on a new connection"));
    }
    let class = state.get(..2).unwrap_or_default();
    match (class, state) {
        // Connection; shutdowns and start-ups; too many connections; ended for being idle; a
        // primary that has become a standby.
        ("08", _) | (_, "57P01" | "57P02" | "57P03" | "57P05" | "53300" | "25P03" | "25006") => {
            Fault::Lost(text)
        }
        ("53" | "57" | "58" | "40" | "XX", _) if opening => Fault::Lost(text),
        _ if opening => Fault::Denied(text),
        // Authorisation; no such database, schema, table, column, function or type; no grant.
        ("28", _) | (_, "3D000" | "3F000" | "42501" | "42P01" | "42703" | "42883" | "42704") => {
            Fault::Denied(text)
        }
        _ => Fault::Statement(text),
    }
}

/// What the server says of a value that it does not take: class 22 is data exception, 23 a constraint, 54 a
/// limit of the server.
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
pub fn refused_value(error: &postgres::Error) -> Option<&DbError> {
    let classes = ["22", "23", "54"];
    let is_value = |code: &str| classes.iter().any(|class| code.starts_with(class));
    error.as_db_error().filter(|refusal| is_value(refusal.code().code()))
}

/// Whether a statement waited for a lock longer than its connection waits: `lock_timeout`.
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
pub fn is_locked_out(error: &postgres::Error) -> bool {
    error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
}
