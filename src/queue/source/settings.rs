//! How the queue is worked.

use std::time::Duration;

/// How long settled deliveries are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retention {
    /// For ever.
    #[default]
    Forever,
    /// So long; zero deletes at once.
    For(Duration),
}

/// What becomes of a delivery that the transport accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnAccept {
    /// It is settled as sent.
    Settle,
    /// Its lease stands: whoever reads our output settles it.
    Leave,
}

/// How the queue is worked.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// From the first waiting message to the batch that is not full.
    pub timeout: Duration,
    /// Between two rounds of probing, rescuing, expiring and pruning.
    pub healthcheck: Duration,
    /// How long a claim stands.
    pub lease: Duration,
    /// How long settled deliveries are kept.
    pub retention: Retention,
    /// Tries before a delivery is failed.
    pub max_attempts: u32,
    /// What becomes of accepted deliveries.
    pub on_accept: OnAccept,
    /// The most recipients in any 24 hours.
    pub daily_limit: Option<u64>,
    /// What the other end can carry: `csv`, `mail` or `events`.
    pub carries: &'static str,
    /// First word of the text of our leases, which says to people who holds a delivery.
    pub holder: &'static str,
}
