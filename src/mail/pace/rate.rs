//! Slower when the provider throttles, and back again.
//!
//! The rate halves at once. After each ten seconds without throttling it doubles, but stays a
//! little below what was too much; from there it creeps up until it is well past that. So a short
//! throttling costs half a minute, and below a lasting limit that nobody states, nearly all of it
//! is used.

use std::time::{Duration, Instant};

const SLOWDOWN_CAP: f64 = 64.0;
const QUIET: Duration = Duration::from_secs(10);
/// The rate comes back to this part of what was too much,
const NEAR: f64 = 0.95;
/// goes on by this part of it at a time,
const STEP: f64 = 0.0025;
/// and here what was too much is forgotten.
const BEYOND: f64 = 1.05;

/// How the rate is reduced now.
#[derive(Clone, Debug)]
pub(crate) struct Throttle {
    /// What the rate is divided by.
    slowdown: f64,
    /// The rate that was last too much.
    ceiling: Option<f64>,
    throttled_at: Option<Instant>,
    /// A batch went through since.
    passed: bool,
    /// When the rate last changed, unless it is the full one.
    changed_at: Option<Instant>,
}

impl Throttle {
    pub(crate) fn new() -> Throttle {
        Throttle {
            slowdown: 1.0,
            ceiling: None,
            throttled_at: None,
            passed: true,
            changed_at: None,
        }
    }

    /// The rate now, where `top` is the full one.
    pub(crate) fn rate(&self, top: f64) -> f64 {
        top / self.slowdown
    }

    /// Learns whether a batch was throttled; gives the new rate if it was.
    pub(crate) fn learn(&mut self, throttled: bool, top: f64, now: Instant) -> Option<f64> {
        let quiet = |at: Instant| now.saturating_duration_since(at) >= QUIET;
        let rate = self.rate(top);
        if throttled {
            // What is throttled while the rate still falls says nothing new of what is too much.
            if self.passed && self.throttled_at.is_none_or(quiet) {
                self.ceiling = Some(rate);
            }
            self.slowdown = (self.slowdown * 2.0).min(SLOWDOWN_CAP);
            (self.throttled_at, self.changed_at, self.passed) = (Some(now), Some(now), false);
            return Some(self.rate(top));
        }
        self.passed = true;
        if !self.changed_at.is_some_and(quiet) {
            return None;
        }
        let faster = match self.ceiling {
            Some(ceiling) if rate < ceiling * NEAR => (rate * 2.0).min(ceiling * NEAR),
            Some(ceiling) if rate < ceiling * BEYOND => rate + ceiling * STEP,
            _ => rate * 2.0,
        };
        self.slowdown = (top / faster).max(1.0);
        self.changed_at = Some(now);
        if self.slowdown <= 1.0 {
            *self = Throttle { throttled_at: self.throttled_at, ..Throttle::new() };
        }
        None
    }
}
