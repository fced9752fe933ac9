//! All tests that need more than one module: one binary, a module per subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

mod acknowledge;
mod architecture;
mod batching;
mod config;
mod connect;
mod crash;
mod eligibility;
mod handover;
mod migrate;
mod order;
mod privacy;
mod reconnect;
mod retention;
mod run;
mod schema;
mod send;
mod ses;
mod signature;
mod verify;
mod wire;
