//! A client of SMTP: which server, and a conversation with it.

mod offers;
pub mod server;
pub mod session;
mod socket;
