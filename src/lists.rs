//! Lists: who is on them, and issues to all of them, as people work with both from a shell.
//!
//! Out of scope: coming to a list and leaving it, which are functions of the database; making
//! deliveries of an issue and sending them (`queue`).

pub mod file;
pub mod issue;
pub mod members;
