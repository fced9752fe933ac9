//! What the tests stand on: a private PostgreSQL, a scripted provider, the program as a process.

pub mod asymmetric;
pub mod batches;
pub mod chromium;
pub mod cloud;
pub mod cluster;
pub mod dump;
pub mod endpoint;
pub mod keeper;
pub mod mailserver;
pub mod manager;
pub mod meter;
pub mod peer;
pub mod pgbouncer;
pub mod pgpool;
pub mod pipe;
pub mod postfix;
pub mod postmark;
pub mod program;
pub mod python;
pub mod rabbitmq;
pub mod records;
pub mod servers;
pub mod tls;
pub mod tools;
