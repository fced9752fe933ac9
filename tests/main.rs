//! All tests that need more than one module: one binary, a module per subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

mod architecture;
mod batching;
mod connect;
mod crash;
mod eligibility;
mod grants;
mod handover;
mod health;
mod migrate;
mod operate;
mod order;
mod reconnect;
mod retention;
mod schema;
mod ses;
mod signature;
mod status;
