//! How a word that is not taken is answered.

use crate::mail::error::Error;

/// A word that is not taken, in quotes; not what stands behind `=`, nor what is no word, for it may be
/// a secret in the wrong place.
pub fn shown(word: &str) -> String {
    let name = word.split('=').next().unwrap_or_default();
    let is_word = |c: char| c.is_ascii_alphabetic() || c == '-' || c == '_';
    match !name.is_empty() && name.len() <= 32 && name.chars().all(is_word) {
        true => format!(" {name:?}"),
        false => " a word that is given (not shown: it may be a secret)".to_owned(),
    }
}

/// What the parser refused (exit 64).
pub fn usage(error: pico_args::Error) -> Error {
    Error::usage(error.to_string())
}
