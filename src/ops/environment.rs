//! The environment of the process, and the file that may stand in for it: the only file that reads it.

use crate::mail::error::Error;
use crate::ops::config::reader::{Inputs, Reader};
use crate::ops::config::{VARS, envfile, is_unknown};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::OnceLock;
use zeroize::Zeroizing;

/// What `--env-file` gave. A process cannot change its own environment safely.
/// <https://doc.rust-lang.org/std/env/fn.set_var.html>
static FILE: OnceLock<BTreeMap<String, String>> = OnceLock::new();

/// Reads a file whose variables count before those of the environment; once.
///
/// # Errors
/// It cannot be read.
pub fn read(path: &Path) -> Result<(), Error> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::config(format!("--env-file: {} cannot be read: {error}", path.display()))
    })?;
    FILE.get_or_init(|| envfile::parse(&text));
    Ok(())
}

/// A variable that holds text.
pub fn env(name: &str) -> Option<String> {
    env_os(name)?.into_string().ok()
}

/// A variable, whatever it holds.
pub fn env_os(name: &str) -> Option<OsString> {
    let of_file = FILE.get().and_then(|file| file.get(name));
    of_file.map(OsString::from).or_else(|| std::env::var_os(name))
}

/// A secret as it stands now in its file, where it may have been renewed; `None`: there is none, or it
/// cannot be read just now.
pub fn secret(name: &'static str) -> Option<Zeroizing<String>> {
    let var = VARS.iter().find(|var| var.name == name)?;
    let inputs = Inputs { command: var.used_by.first()?, flags: &[], env: &env_os };
    Reader::new(&inputs, VARS).text(name)
}

/// Variables that look like settings and are none: a misspelt one would be silent otherwise.
pub fn unknown_settings() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let of_file = FILE.get().into_iter().flat_map(BTreeMap::keys).cloned();
    let unknown = names.chain(of_file).filter(|name| is_unknown(name));
    // A mark of the byte order would not be seen.
    unknown.map(|name| name.escape_debug().to_string()).collect()
}
