//! What talking to AWS needs besides HTTP: who we are, where to, and a signature.

pub mod credentials;
pub mod endpoint;
mod ini;
pub mod shared;
pub mod sign;
