//! All tests that need more than one module: one binary, a module per subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

mod acknowledge;
mod architecture;
mod batching;
mod check;
mod config;
mod conformance;
mod connect;
mod crash;
mod credentials;
mod deploy;
mod documents;
mod eligibility;
mod events;
mod features;
mod generated;
mod grants;
mod handover;
mod health;
mod logs;
mod metrics;
mod migrate;
mod operate;
mod order;
mod pacing;
mod pooler;
mod postmark;
mod precedence;
mod privacy;
mod pump;
mod quota;
mod reconnect;
mod retention;
mod run;
mod schema;
mod send;
mod service;
mod ses;
mod signature;
mod smtp;
mod status;
mod template;
mod verify;
mod wire;
