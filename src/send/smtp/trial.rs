//! Trying a server and templates without sending anything.

use crate::edges::clock::Clock;
use crate::edges::net::Watch;
use crate::edges::smtp::server::Server;
use crate::edges::smtp::session::Session;
use crate::edges::stop::Stop;
use crate::mail::model::{Cause, Refusal};
use crate::send::smtp::mail::check;
use crate::send::smtp::{refusal, trust};
use std::path::Path;

/// Connects, encrypts, logs in as `server` says, and says goodbye. Gives whether the connection
/// was encrypted.
///
/// # Errors
/// What would become of mails: held until a person changes something, or to be tried later.
pub fn reach(server: &Server, clock: Clock, stop: &Stop) -> Result<bool, Refusal> {
    let tls = trust(server).map_err(|why| Refusal { cause: Cause::Setup, why, after: None })?;
    let session = Session::open(server, &tls, Watch::new(stop.clone(), clock.now))
        .map_err(|fault| refusal(&fault, "", None))?;
    let encrypted = session.is_encrypted();
    session.quit();
    Ok(encrypted)
}

/// Reads a template's files in `dir` and renders them once.
///
/// # Errors
/// Which file, and what is wrong with it.
pub fn load(dir: &Path, name: &str) -> Result<(), String> {
    check(dir, name)
}
