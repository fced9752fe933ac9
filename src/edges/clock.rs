//! Time and chance as values: whoever needs them is given them.

use std::time::{Instant, SystemTime};

/// Where instants, the date and random numbers come from.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// For waits and deadlines.
    pub now: fn() -> Instant,
    /// For dates that others read.
    pub wall: fn() -> SystemTime,
    /// A random number from 0 up to, but not including, 1.
    pub chance: fn() -> f64,
}
