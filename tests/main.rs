//! All tests that need more than one module: one binary, a module per subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

mod architecture;
mod batching;
#[cfg(all(feature = "smtp", feature = "postmark"))]
mod conformance;
mod connect;
mod features;
mod migrate;
#[cfg(feature = "postmark")]
mod postmark;
mod schema;
mod ses;
mod signature;
#[cfg(feature = "smtp")]
mod smtp;
