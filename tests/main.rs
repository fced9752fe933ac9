//! All tests that need more than one module: one binary, a module per subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

// Some of it is for the providers that this build may not have.
#[cfg_attr(not(all(feature = "postmark", feature = "smtp")), allow(dead_code))]
mod support;

mod acknowledge;
mod anymail;
mod architecture;
mod batching;
mod check;
mod config;
#[cfg(all(feature = "postmark", feature = "smtp"))]
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
mod lists;
mod logs;
mod mail;
mod metrics;
mod migrate;
mod operate;
mod order;
mod pacing;
mod pooler;
#[cfg(feature = "postmark")]
mod postmark;
mod precedence;
mod privacy;
mod pump;
mod quota;
mod reconnect;
mod retention;
mod rotation;
mod run;
mod schema;
mod send;
mod service;
mod ses;
mod signature;
mod sleep;
#[cfg(feature = "smtp")]
mod smtp;
mod status;
mod swallowed;
mod template;
mod verify;
mod watermark;
mod wire;
