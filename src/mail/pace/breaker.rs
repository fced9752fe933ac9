//! The circuit breaker: what keeps refusing is left alone ever longer, and probed between.
//!
//! Closed: mail goes. Open: none goes until the next probe. Half-open: the probe is on its way, and
//! its outcome closes the breaker or opens it for longer. A hold stops everything or one kind of
//! mail, and its probe is one message; an outage stops everything for a short while, and its probe
//! is a batch.

use crate::mail::model::{Message, Outcome, Refusal, Scope};
use crate::mail::pace::change::Change;
use crate::mail::policy::{self, Fate, Speed};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The first wait of a hold, and the longest.
const HOLD: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));
/// The same of an outage.
const OUTAGE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What the outcomes of one batch say of the provider.
#[derive(Debug, Default)]
pub(crate) struct Met {
    /// Accepted, or perhaps so.
    pub(crate) taken: u64,
    /// Some message came too fast.
    pub(crate) throttled: bool,
    /// Some message met nobody.
    away: bool,
    /// Some message was answered.
    reached: bool,
    /// The longest pause that was asked for.
    pub(crate) asked: Duration,
    /// What is held, and why.
    held: Vec<(Scope, String)>,
    /// The kinds of the messages that were answered for good.
    passed: Vec<Arc<str>>,
}

impl Met {
    /// Reads the outcomes of these messages.
    pub(crate) fn of(messages: &[Message], outcomes: &[Outcome]) -> Met {
        let mut met = Met::default();
        for (kind, outcome) in messages.iter().map(|message| &message.kind.name).zip(outcomes) {
            let Outcome::Refused(Refusal { cause, why, after }) = outcome else {
                met.taken += 1;
                met.reached = true;
                met.passed.push(Arc::clone(kind));
                continue;
            };
            let policy = policy::of(*cause);
            met.taken += u64::from(policy.ambiguous);
            met.throttled |= policy.speed == Speed::Slower;
            met.away |= policy.speed == Speed::Pause;
            met.reached |= policy.speed != Speed::Pause;
            // A wait for one message is none for all, nor is what a gateway says in another's place.
            if matches!(policy.speed, Speed::Pause | Speed::Slower) && !policy.ambiguous {
                met.asked = met.asked.max(after.unwrap_or_default());
            }
            if policy.fate == Fate::Fail {
                met.passed.push(Arc::clone(kind));
            }
            if let Some(scope) = policy::held(*cause, kind)
                && !met.holds(&scope)
            {
                met.held.push((scope, why.clone()));
            }
        }
        met
    }

    fn holds(&self, scope: &Scope) -> bool {
        self.held.iter().any(|(held, _)| held == scope)
    }
}

/// How long nothing is tried, and the change that says so.
type Pause = (fn(Duration) -> Change, Duration);

/// A breaker that is open, or half-open once its probe is due.
#[derive(Clone, Debug)]
struct Open {
    scope: Scope,
    since: Instant,
    delay: Duration,
    probe_at: Instant,
}

/// The breakers that are not closed: a hold for each scope at most, and the outage.
#[derive(Clone, Debug, Default)]
pub(crate) struct Breakers {
    holds: Vec<Open>,
    /// The last wait of an outage that goes on.
    outage: Option<Duration>,
}

impl Breakers {
    /// How many holds are in force.
    pub(crate) fn holding(&self) -> usize {
        self.holds.len()
    }

    /// If everything is held: when it is probed.
    pub(crate) fn everything(&self) -> Option<Instant> {
        self.holds.iter().find(|open| open.scope == Scope::All).map(|open| open.probe_at)
    }

    /// The kinds that are held now, and when the first of them is probed.
    pub(crate) fn kinds(&self, now: Instant) -> (Vec<Arc<str>>, Option<Instant>) {
        let held = self.holds.iter().filter(|open| now < open.probe_at);
        let held = held.filter_map(|open| match &open.scope {
            Scope::Kind(kind) => Some((Arc::clone(kind), open.probe_at)),
            Scope::All => None,
        });
        let until = held.clone().map(|(_, probe_at)| probe_at).min();
        (held.map(|(kind, _)| kind).collect(), until)
    }

    /// How long what a batch found held should wait: until the first of these holds is probed.
    /// Others do not count: they may be probed much later.
    pub(crate) fn probe_delay(&self, met: &Met, now: Instant) -> Duration {
        let held = self.holds.iter().filter(|open| met.holds(&open.scope));
        let waits = held.map(|open| open.probe_at.saturating_duration_since(now));
        waits.min().unwrap_or(HOLD.0)
    }

    /// Learns what one batch met: opens and closes holds. Gives what changed.
    pub(crate) fn learn(&mut self, met: &Met, now: Instant) -> Vec<Change> {
        let opened = met.held.iter().filter_map(|(scope, why)| self.hold(scope.clone(), why, now));
        let mut changes: Vec<Change> = opened.collect();
        self.holds.retain(|open| {
            let passed = match &open.scope {
                Scope::All => !met.passed.is_empty(),
                Scope::Kind(kind) => met.passed.contains(kind),
            };
            let closed = passed && !met.holds(&open.scope);
            if closed {
                let lasted = now.saturating_duration_since(open.since);
                changes.push(Change::Released(open.scope.clone(), lasted));
            }
            !closed
        });
        changes
    }

    /// The pause after a batch, and whether an outage is over with it. It is one while whole batches
    /// meet nobody.
    pub(crate) fn outage(&mut self, met: &Met) -> (Option<Pause>, bool) {
        if met.away && !met.reached {
            let delay = self.outage.map_or(OUTAGE.0, |delay| (2 * delay).min(OUTAGE.1));
            self.outage = Some(delay);
            return (Some((Change::Unreached, delay.max(met.asked))), false);
        }
        let over = self.outage.take().is_some();
        ((!met.asked.is_zero()).then_some((Change::Asked, met.asked)), over)
    }

    fn hold(&mut self, scope: Scope, why: &str, now: Instant) -> Option<Change> {
        let Some(open) = self.holds.iter_mut().find(|open| open.scope == scope) else {
            let (delay, probe_at) = (HOLD.0, now + HOLD.0);
            self.holds.push(Open { scope: scope.clone(), since: now, delay, probe_at });
            return Some(Change::Held(scope, why.to_owned(), Duration::ZERO, delay));
        };
        if now < open.probe_at {
            return None;
        }
        open.delay = (open.delay * 2).min(HOLD.1);
        open.probe_at = now + open.delay;
        let lasted = now.saturating_duration_since(open.since);
        Some(Change::Held(scope, why.to_owned(), lasted, open.delay))
    }
}
