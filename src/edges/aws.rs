//! What talking to AWS needs besides HTTP: who we are, where to, and a signature.
//!
//! This file holds the words its siblings share.

pub mod credentials;
pub mod endpoint;
mod shared;
pub mod sign;

use endpoint::{Endpoint, Service};
pub use shared::Shared;
use shared::split;
use sign::sign;
use std::fmt;
use zeroize::Zeroizing;

/// An access key. Wiped when dropped; its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Names the key; no secret, but not shown either.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: Zeroizing<String>,
    /// Goes with temporary keys.
    pub session_token: Option<Zeroizing<String>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// How settings are looked up by name: the process's environment, or a test's list.
pub type Variables<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// A variable's value, unless it is not set or blank.
fn value(variables: &Variables, name: &str) -> Option<String> {
    variables(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Whether a variable says `true`.
fn is_true(variables: &Variables, name: &str) -> bool {
    value(variables, name).is_some_and(|text| text.eq_ignore_ascii_case("true"))
}
