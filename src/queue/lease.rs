//! The names of leases.

/// The text of a new lease: who, and a number that no other lease has. (The commands do not begin
/// where there are no random numbers.)
pub fn new_lease(holder: &str) -> String {
    let nonce = getrandom::u64().unwrap_or_default();
    format!("{holder}:{}:{nonce:016x}", std::process::id())
}
