//! Providers as transports.

pub mod calls;
pub mod dry;
#[cfg(any(feature = "smtp", feature = "postmark"))]
pub mod images;
mod locale;
#[cfg(feature = "postmark")]
pub mod postmark;
pub mod reply;
pub mod ses;
#[cfg(feature = "smtp")]
pub mod smtp;
pub mod text;
