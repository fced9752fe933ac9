//! The rate that a provider takes, where nobody tells it.
//!
//! A search between the highest rate that went through and the lowest that did not. After a refusal
//! the rate goes to the middle between them, and at least a little down; while all goes through it
//! goes up to the middle, and near the refused rate on by steps that begin small and double, so
//! that a limit that was raised is found too. Between a refusal and the next acceptance single
//! messages ask, each after twice the wait, so that a provider that takes nothing is asked little.
//! Batches are small all the while: most providers count by the second, and a burst fails there.

use crate::mail::pace::change::Change;
use std::time::{Duration, Instant};

/// A rate went through when so many messages were accepted, for so long.
const ENOUGH: (u64, Duration) = (3, Duration::from_secs(1));
/// After a refusal the rate is at most this part of what it was, and from here on it goes on by
/// steps.
const NEAR: f64 = 0.95;
/// The same where this very rate went through before.
const LESS: f64 = 0.9;
/// The first of these steps, as a part of the rate; the largest doubles it.
const STEP: (f64, f64) = (0.001, 1.0);
/// What a batch holds at most, in seconds: a limit that is counted by the second is then used up
/// to this part of it.
const GRAIN: f64 = 0.05;
/// The longest wait between two questions, in seconds, unless the rate itself has it longer.
const ASK: f64 = 10.0;
/// After so long at the full rate without a refusal all this is forgotten.
const FORGET: Duration = Duration::from_secs(300);

/// The rate that was found, once something was refused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Throttle(Option<Search>);

#[derive(Clone, Debug)]
struct Search {
    rate: f64,
    /// The highest rate that went through, below the next one.
    passed: f64,
    /// The rate that was refused last.
    refused: f64,
    step: f64,
    /// Messages accepted at this rate, and since when it is tried.
    clean: u64,
    since: Instant,
    /// Refusals since the last acceptance.
    misses: i32,
    refused_at: Instant,
    /// It was told what was found.
    told: bool,
}

impl Throttle {
    /// Recipients a second, where `top` is what was asked for.
    pub(crate) fn rate(&self, top: f64) -> f64 {
        self.0.as_ref().map_or(top, |search| search.rate.min(top))
    }

    /// Whether something was refused, and the rate is not the highest again.
    pub(crate) fn is_searching(&self) -> bool {
        self.0.is_some()
    }

    /// The same after a refusal, until something is accepted.
    pub(crate) fn asking(&self, top: f64) -> f64 {
        let rate = self.rate(top);
        let misses = self.0.as_ref().map_or(0, |search| search.misses);
        (rate / 2_f64.powi(misses.max(1) - 1)).max(rate.min(1.0 / ASK))
    }

    /// The most messages of the next batch, when the last one is over for `lag`: what a slow call
    /// kept from going goes with it.
    pub(crate) fn batch(&self, top: f64, lag: Duration) -> usize {
        let rate = self.rate(top);
        match &self.0 {
            // A batch is spread over its time, where that is more than a second.
            None => rate.max(1.0) as usize,
            Some(Search { misses: 0, .. }) => {
                let owed = 1.0 + rate * lag.as_secs_f64();
                owed.max(rate * GRAIN) as usize
            }
            Some(_) => 1,
        }
    }

    /// Learns how many messages of a batch were accepted, and whether any came too fast.
    pub(crate) fn learn(
        &mut self,
        accepted: u64,
        throttled: bool,
        top: f64,
        now: Instant,
    ) -> Option<Change> {
        let Some(search) = &mut self.0 else {
            self.0 = throttled.then_some(Search {
                rate: top,
                passed: 0.0,
                refused: top,
                step: STEP.0,
                clean: 0,
                since: now,
                misses: 1,
                refused_at: now,
                told: false,
            });
            return throttled.then_some(Change::Throttled(top));
        };
        search.rate = search.rate.min(top);
        if accepted > 0 && search.misses > 0 {
            search.down(now);
        }
        if throttled {
            (search.misses, search.refused_at) = (search.misses.saturating_add(1), now);
            return None;
        }
        search.clean += accepted;
        let tried = now.saturating_duration_since(search.since);
        if search.misses > 0 || search.clean < ENOUGH.0 || tried < ENOUGH.1 {
            return None;
        }
        let found = search.up(now).filter(|_| !std::mem::replace(&mut search.told, true));
        if search.rate >= top && now.saturating_duration_since(search.refused_at) >= FORGET {
            self.0 = None;
        }
        found.map(Change::Takes)
    }
}

impl Search {
    /// It takes messages again, after it refused some.
    fn down(&mut self, now: Instant) {
        self.refused = self.rate;
        if self.passed < self.rate {
            self.rate = ((self.passed + self.rate) / 2.0).min(self.rate * NEAR);
            self.passed = self.passed.min(self.rate);
        } else {
            // It was luck, or the limit fell: if so it is refused again, and then halved.
            (self.rate, self.passed) = (self.rate * LESS, 0.0);
        }
        (self.step, self.misses) = (STEP.0, 0);
        (self.clean, self.since) = (0, now);
    }

    /// The rate went through. Gives it if there is little to be won above it.
    fn up(&mut self, now: Instant) -> Option<f64> {
        self.passed = self.rate;
        (self.clean, self.since) = (0, now);
        if self.rate < self.refused * NEAR {
            self.rate = (self.rate + self.refused) / 2.0;
            return None;
        }
        self.rate *= 1.0 + self.step;
        self.step = (2.0 * self.step).min(STEP.1);
        Some(self.passed)
    }
}
