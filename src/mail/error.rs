//! What can go wrong, how serious it is, and the exit status that says so.
//!
//! In scope: the kinds and a message a person can act on. Out of scope: printing and exiting,
//! which only `main.rs` does.

use std::fmt;

/// Why a command ends. Each kind has one exit status, the numbers of BSD `sysexits.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The reader of what was printed has seen enough.
    Enough = 0,
    /// A test that the command was asked to make came out negative (`verify`, `health`).
    No = 1,
    /// The command line is wrong.
    Usage = 64,
    /// Some of the input was bad; the good part was handled.
    Data = 65,
    /// The database or the provider cannot be used by a command that runs once.
    Unavailable = 69,
    /// A fault in mailroom itself.
    Bug = 70,
    /// Reading, writing or the hand-over of a batch failed.
    Io = 74,
    /// A fault that can pass, met by a command that runs once.
    Temporary = 75,
    /// A setting is missing or wrong, or the database is not set up for it.
    Config = 78,
}

/// The end of a command, with what happened, where, and what to do. Holds no secret.
#[derive(Clone, Debug)]
pub struct Error {
    /// How serious it is.
    pub kind: Kind,
    /// One line or more for a person.
    pub message: String,
}

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into() }
    }

    /// A configuration error (exit 78).
    pub fn config(message: impl Into<String>) -> Error {
        Error::new(Kind::Config, message)
    }

    /// A usage error (exit 64).
    pub fn usage(message: impl Into<String>) -> Error {
        Error::new(Kind::Usage, message)
    }

    /// An input or output error (exit 74): what was done, and what the system said.
    pub fn io(what: impl fmt::Display, cause: impl fmt::Display) -> Error {
        Error::new(Kind::Io, format!("{what}: {cause}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
