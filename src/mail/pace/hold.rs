//! What is held, since when, why, and when it is probed.
//!
//! A hold is probed after 30 s, then ever more rarely, at least every ten minutes.

use crate::mail::model::Scope;
use crate::mail::pace::Change;
use std::time::{Duration, Instant};

const PROBE_FIRST: Duration = Duration::from_secs(30);
const PROBE_CAP: Duration = Duration::from_secs(600);

/// A hold: since when, why, and when it is probed.
#[derive(Clone, Debug)]
pub struct Hold {
    /// What waits.
    pub scope: Scope,
    /// The reason, for people.
    pub why: String,
    /// When it began.
    pub since: Instant,
    /// When one batch is let through to see whether it is over.
    pub probe_at: Instant,
    delay: Duration,
}

/// All of them, at most one a scope.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holds(Vec<Hold>);

impl Holds {
    pub(crate) fn in_force(&self) -> &[Hold] {
        &self.0
    }

    /// How long what met these holds should wait: until the first of them is probed.
    pub(crate) fn probe_delay(&self, met: &[Scope], now: Instant) -> Duration {
        let met = self.0.iter().filter(|hold| met.contains(&hold.scope));
        let waits = met.map(|hold| hold.probe_at.saturating_duration_since(now));
        waits.min().unwrap_or(PROBE_FIRST)
    }

    /// If everything is held: when it is probed.
    pub(crate) fn everything(&self) -> Option<Instant> {
        self.0.iter().find(|hold| hold.scope == Scope::All).map(|hold| hold.probe_at)
    }

    /// The actions that are held now, and when the first of them is probed.
    pub(crate) fn actions(&self, now: Instant) -> (Vec<u16>, Option<Instant>) {
        let held = self.0.iter().filter(|hold| now < hold.probe_at);
        let held = held.filter_map(|hold| match hold.scope {
            Scope::Kind(number) => Some((number, hold.probe_at)),
            Scope::All => None,
        });
        let until = held.clone().map(|(_, probe_at)| probe_at).min();
        (held.map(|(number, _)| number).collect(), until)
    }

    /// Learns what one batch met: the scopes that are held, with the reasons, and the actions that
    /// are not. Gives what changed, and whether a hold on everything is over.
    pub(crate) fn learn(
        &mut self,
        held: &[(Scope, String)],
        passed: &[u16],
        now: Instant,
    ) -> (Vec<Change>, bool) {
        let mut changes: Vec<Change> =
            held.iter().filter_map(|(scope, why)| self.hold(*scope, why, now)).collect();
        let mut free = false;
        self.0.retain(|hold| {
            let over = !held.iter().any(|(scope, _)| *scope == hold.scope)
                && match hold.scope {
                    Scope::All => !passed.is_empty(),
                    Scope::Kind(number) => passed.contains(&number),
                };
            if over {
                let lasted = now.saturating_duration_since(hold.since);
                changes.push(Change::Released(hold.scope, lasted));
                free |= hold.scope == Scope::All;
            }
            !over
        });
        (changes, free)
    }

    fn hold(&mut self, scope: Scope, why: &str, now: Instant) -> Option<Change> {
        let Some(hold) = self.0.iter_mut().find(|hold| hold.scope == scope) else {
            let (delay, why) = (PROBE_FIRST, why.to_owned());
            let probe_at = now + delay;
            self.0.push(Hold { scope, why: why.clone(), since: now, probe_at, delay });
            return Some(Change::Held(scope, why, Duration::ZERO, delay));
        };
        if now < hold.probe_at {
            return None;
        }
        hold.delay = (hold.delay * 2).min(PROBE_CAP);
        hold.probe_at = now + hold.delay;
        hold.why = why.to_owned();
        let lasted = now.saturating_duration_since(hold.since);
        Some(Change::Held(scope, hold.why.clone(), lasted, hold.delay))
    }
}
