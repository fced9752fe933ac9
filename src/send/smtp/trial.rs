//! Trying a server and templates without sending anything.

use crate::edges::clock::Clock;
use crate::edges::net::Watch;
use crate::edges::stop::Stop;
use crate::mail::model::{Cause, Refusal};
use crate::mail::policy;
use crate::send::smtp::{Server, Session, Template, tls};
use std::path::Path;

/// Connects, encrypts, logs in as `server` says, and says goodbye. Gives whether the connection
/// was encrypted.
///
/// # Errors
/// What would become of mails: held until a person changes something, or to be tried later.
pub fn reach(server: &Server, clock: Clock, stop: &Stop) -> Result<bool, Refusal> {
    let tls = tls(server.ca.as_deref());
    let tls = tls.map_err(|why| policy::refusal(Cause::Setup, why, None))?;
    let session = Session::open(server, &tls, Watch::new(stop.clone(), clock.now));
    let session = session.map_err(|fault| crate::send::smtp::causes::outcome(&fault))?;
    let encrypted = session.is_encrypted();
    session.quit();
    Ok(encrypted)
}

/// Reads a template's files in `dir` and renders them once.
///
/// # Errors
/// Which file, and what is wrong with it.
pub fn load(dir: &Path, name: &str) -> Result<(), String> {
    Template::load(dir, name).map(drop)
}
