//! Providers as transports.

pub mod calls;
pub mod dry;
mod locale;
#[cfg(feature = "postmark")]
pub mod postmark;
pub mod reply;
pub mod ses;
#[cfg(feature = "smtp")]
pub mod smtp;
pub mod text;
