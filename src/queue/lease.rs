//! The names of leases.

use std::sync::Arc;

/// The text of a new lease: who, and a number that no other lease has. (The commands do not begin
/// where there are no random numbers.)
pub fn new_lease(holder: &str) -> Arc<str> {
    let nonce = getrandom::u64().unwrap_or_default();
    Arc::from(format!("{holder}:{}:{nonce:016x}", std::process::id()))
}
