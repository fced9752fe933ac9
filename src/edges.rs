//! The outside world, one thing a module. What is here knows nothing of mail.

pub mod aws;
pub mod clock;
pub mod command;
pub mod crc;
pub mod http;
pub mod log;
pub mod metrics;
pub mod net;
pub mod pg;
pub mod signal;
#[cfg(feature = "smtp")]
pub mod smtp;
pub mod stop;
pub mod systemd;
pub mod tls;
mod words;
