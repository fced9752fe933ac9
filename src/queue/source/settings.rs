//! How the queue is worked.

use std::time::Duration;

/// How the queue is worked.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// From the first waiting message to the batch that is not full.
    pub timeout: Duration,
    /// Between two rounds of probing, rescuing, expiring and pruning.
    pub healthcheck: Duration,
    /// How long a claim stands.
    pub lease: Duration,
    /// How long a batch may wait in hand; no longer than the lease has beyond what a batch can take.
    pub spare: Duration,
    /// How long settled deliveries are kept: zero deletes at once; `None`: for ever.
    pub retention: Option<Duration>,
    /// How long mail may be due before it is late.
    pub max_age: Duration,
    /// Tries before a delivery is failed.
    pub max_attempts: u32,
    /// Whether a delivery that the transport accepted is settled as sent; else its lease stands, and
    /// whoever reads our output settles it.
    pub settles: bool,
    /// The most recipients in any 24 hours.
    pub daily_limit: Option<u64>,
    /// The part of these that issues of lists may be, in hundredths.
    pub bulk_share: u8,
    /// What the other end can carry: `csv`, `mail` or `events`.
    pub carries: &'static str,
    /// First word of the text of our leases, which says to people who holds a delivery.
    pub holder: &'static str,
}
