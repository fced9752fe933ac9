//! The pipe between `collect` and `send`: a transport at one end, a source at the other.

pub mod read;
pub mod retry;
pub mod undelivered;
pub mod write;
