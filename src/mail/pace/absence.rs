//! How long a provider is left alone that was not reached, cannot serve, or asks for a pause.
//!
//! The first time 1 s, doubling to 30 s; longer if the provider asks for it. What it asks for is
//! about itself and not about the messages that heard it, so it holds for the others too.

use crate::mail::model::Outcome;
use crate::mail::pace::{Change, backoff};
use crate::mail::policy;
use crate::mail::policy::Speed;
use std::time::Duration;

/// The longest pause that nobody asked for.
const CAP: Duration = Duration::from_secs(30);

/// What a batch met.
#[derive(Debug, Default)]
pub(crate) struct Met {
    away: bool,
    reached: bool,
    /// The longest pause that was asked for.
    asked: Duration,
}

impl Met {
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        let Outcome::Refused(refusal) = outcome else {
            self.reached = true;
            return;
        };
        let policy = policy::of(refusal.cause);
        match policy.speed {
            Speed::Pause => self.away = true,
            _ => self.reached = true,
        }
        // A wait for one message is none for all, nor is what a gateway says in another's place.
        if matches!(policy.speed, Speed::Pause | Speed::Slower) && !policy.ambiguous {
            self.asked = self.asked.max(refusal.after.unwrap_or_default());
        }
    }
}

/// How often in a row a whole batch met nobody.
#[derive(Clone, Debug, Default)]
pub(crate) struct Absence {
    misses: u32,
}

impl Absence {
    pub(crate) fn lasts(&self) -> bool {
        self.misses > 0
    }

    /// Learns what one batch met; gives the pause that is due, as a change.
    pub(crate) fn learn(&mut self, met: &Met) -> Option<Change> {
        let asked = met.asked;
        if met.away && !met.reached {
            self.misses = self.misses.saturating_add(1);
            let pause = backoff(self.misses, 1.0).min(CAP);
            return Some(Change::Unreached(pause.max(asked)));
        }
        self.misses = 0;
        (!asked.is_zero()).then_some(Change::Asked(asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::model::{Cause, Refusal};
    use crate::mail::pace::{Pace, Permit};
    use std::time::Instant;

    const SECOND: Duration = Duration::from_secs(1);

    fn accepted() -> Outcome {
        Outcome::Accepted { provider_id: "id".into() }
    }

    fn away() -> Outcome {
        Outcome::refused(Cause::Away, "later")
    }

    fn asks(after: u32, cause: Cause) -> Outcome {
        let (after, why) = (Some(after * SECOND), "later".to_owned());
        Outcome::Refused(Refusal { cause, why, after })
    }

    fn learn(pace: &mut Pace, action: u16, outcome: &Outcome, now: Instant) -> Vec<Change> {
        pace.learn(std::iter::once((action, outcome)), now)
    }

    #[test]
    fn a_provider_that_is_not_reached_is_left_alone_ever_longer() {
        let mut now = Instant::now();
        let mut pace = Pace::unlimited(10);
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            let changes = learn(&mut pace, 1, &away(), now);
            assert_eq!(changes, [Change::Unreached(pause * SECOND)]);
            assert_eq!(pace.permit(now), Permit::Wait(now + pause * SECOND));
            now += pause * SECOND;
        }
        let _ = learn(&mut pace, 1, &accepted(), now);
        assert_eq!(learn(&mut pace, 1, &away(), now), [Change::Unreached(SECOND)]);
    }

    #[test]
    fn a_pause_that_the_provider_asks_for_is_kept_by_all() {
        for (asked, pause) in [(0, 1), (1, 1), (120, 120), (300, 300)] {
            let now = Instant::now();
            let mut pace = Pace::new(10, 50.0, None);
            let changes = learn(&mut pace, 1, &asks(asked, Cause::Away), now);
            assert_eq!(changes, [Change::Unreached(pause * SECOND)], "{asked}");
            assert_eq!(pace.permit(now), Permit::Wait(now + pause * SECOND));
            assert!(pace.holds().is_empty());
            let Permit::Go { limit: 10, .. } = pace.permit(now + pause * SECOND) else { panic!() };
        }
        let mut pace = Pace::new(10, 50.0, None);
        let (short, long) = (asks(7, Cause::Away), asks(9, Cause::Away));
        let outcomes = [(1, &long), (2, &short)].into_iter();
        assert_eq!(pace.learn(outcomes, Instant::now()), [Change::Unreached(9 * SECOND)]);
    }

    #[test]
    fn a_throttling_provider_that_asks_for_a_pause_gets_it_and_half_the_rate() {
        let now = Instant::now();
        let mut pace = Pace::new(10, 40.0, None);
        let changes = learn(&mut pace, 1, &asks(120, Cause::Throttled), now);
        assert_eq!(changes, [Change::Slowed(20.0), Change::Asked(120 * SECOND)]);
        assert_eq!(pace.permit(now), Permit::Wait(now + 120 * SECOND));
        // Some of the batch went before it was said.
        let throttled = asks(120, Cause::Throttled);
        let good = accepted();
        let outcomes = [(1, &good), (2, &throttled)].into_iter();
        let changes = pace.learn(outcomes, now + 200 * SECOND);
        assert_eq!(changes[1], Change::Asked(120 * SECOND));
    }

    #[test]
    fn a_wait_that_is_asked_for_one_message_keeps_no_other_from_going() {
        let now = Instant::now();
        let mut pace = Pace::new(10, 50.0, None);
        assert_eq!(learn(&mut pace, 1, &asks(120, Cause::Busy), now), []);
        assert!(matches!(pace.permit(now), Permit::Go { .. }));
    }

    #[test]
    fn the_pause_that_is_told_is_the_one_that_the_rate_asks_for_if_that_is_longer() {
        let now = Instant::now();
        let mut pace = Pace::new(10, 0.5, None);
        pace.spent(10, now);
        let changes = learn(&mut pace, 1, &asks(5, Cause::Away), now);
        assert_eq!(changes, [Change::Unreached(20 * SECOND)]);
        assert_eq!(pace.permit(now), Permit::Wait(now + 20 * SECOND));
    }
}
