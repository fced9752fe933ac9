//! Everything that speaks to PostgreSQL, for whatever is asked of it.

pub mod conninfo;
pub mod fault;
pub mod migrate;
pub mod session;
pub(crate) mod statement;
pub mod target;
mod tls;
mod watchdog;

pub use postgres::{Client, Error as StatementError};

use crate::edges::pg::fault::Fault;
use crate::edges::pg::session::Session;
use crate::edges::pg::target::Target;
use crate::edges::stop::Stop;

/// Connects to the first place of `target` that takes us: looks names up, reads the certificates
/// (so that renewed ones are seen), and opens a session. No step takes longer than the connect
/// timeout of `target` for each address; a raised `stop` ends it within a few seconds.
///
/// # Errors
/// `Lost` if it may work later, `Denied` if a person must change something.
pub fn connect(target: &Target, stop: &Stop) -> Result<Session, Fault> {
    let mut session = reach(target, stop)?;
    session.introduce()?;
    Ok(session)
}

/// The same, without limits for the session: behind a pooler they would become those of others.
///
/// # Errors
/// As [`connect`].
pub fn reach(target: &Target, stop: &Stop) -> Result<Session, Fault> {
    Session::open(&target.resolve()?, &tls::connector(target)?, stop)
}
