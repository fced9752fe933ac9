//! What the tests stand on: a private PostgreSQL, a scripted provider, the program as a process.

pub mod cluster;
pub mod tls;
