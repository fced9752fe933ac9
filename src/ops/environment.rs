//! The environment of the process: the only file that reads it.

use crate::ops::config::is_unknown;
use std::ffi::OsString;

/// A variable that holds text.
pub fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A variable, whatever it holds.
pub fn env_os(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Variables that look like settings and are none: a misspelt one would be silent otherwise.
pub fn unknown_settings() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| is_unknown(name)).collect()
}
