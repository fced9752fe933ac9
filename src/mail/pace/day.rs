//! How many recipients may still go today: the limit that was set, and what the provider has left.
//!
//! In scope: counting by slots of ten minutes. Out of scope: where the counts come from.

use crate::mail::model::Quota;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);
/// The width of a slot; the statement that counts in the database has the same.
pub(crate) const SLOT: Duration = Duration::from_secs(600);

/// The database is asked again after so long, and when this part of what was left is used up.
/// (That several processes never pass the limit together is seen to by the claim.)
const RECOUNT: Duration = Duration::from_secs(300);
const SHARE: u64 = 8;
const REREAD: Duration = Duration::from_secs(3600);
const REREAD_SOON: Duration = Duration::from_secs(600);
/// What counts as little, as a part of the whole.
const LITTLE: u64 = 20;

/// Recipients by slot. A slot counts until all of it is older than a day, so the sum is never too
/// low.
#[derive(Clone, Debug, Default)]
struct Slots(VecDeque<(Instant, u64)>);

impl Slots {
    /// The recipients of the last day.
    fn used(&mut self, now: Instant) -> u64 {
        while self.0.front().is_some_and(|(gone_at, _)| *gone_at <= now) {
            self.0.pop_front();
        }
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// When the oldest slot stops counting.
    fn eased_at(&self) -> Option<Instant> {
        self.0.front().map(|(gone_at, _)| *gone_at)
    }

    fn spend(&mut self, count: u64, now: Instant) {
        match self.0.back_mut().filter(|(gone_at, _)| now + DAY < *gone_at) {
            Some((_, used)) => *used += count,
            None => self.0.push_back((now + DAY + SLOT, count)),
        }
    }
}

/// The limit that was set, for any 24 hours.
#[derive(Clone, Debug)]
pub(crate) struct Limit {
    pub(crate) most: u64,
    /// What this process handed over.
    own: Slots,
    /// What the database knows, of all processes, and what this one handed over since.
    known: Slots,
    /// Whether there is a database to ask.
    database: bool,
    /// When it was asked, how many were left then, and how many went since; `None`: ask it now.
    counted: Option<(Instant, u64, u64)>,
}

impl Limit {
    pub(crate) fn new(most: u64) -> Limit {
        let (own, known) = (Slots::default(), Slots::default());
        Limit { most, own, known, database: true, counted: None }
    }

    /// Whether the database should be asked.
    pub(crate) fn is_stale(&self, now: Instant) -> bool {
        let is_old = |(at, left, spent)| now >= at + RECOUNT || spent > 0 && spent >= left / SHARE;
        self.database && self.counted.is_none_or(is_old)
    }

    /// Asks again at once: others sent more than was known here.
    pub(crate) fn forget(&mut self) {
        self.counted = None;
    }

    /// Takes the counts of the database: the first is of the last ten minutes, and so on.
    pub(crate) fn seed(&mut self, counts: Option<&[u64]>, now: Instant) {
        let slots = counts.unwrap_or_default().iter().enumerate().rev();
        let slots = slots.filter_map(|(age, count)| {
            let youngest = SLOT * u32::try_from(age).ok()?;
            (*count > 0 && youngest < DAY).then(|| (now + (DAY - youngest), *count))
        });
        self.known = Slots(slots.collect());
        let left = self.left(now);
        (self.database, self.counted) = (counts.is_some(), Some((now, left, 0)));
    }

    fn left(&mut self, now: Instant) -> u64 {
        // A row may be gone before its day is over; this process still knows.
        let used = self.own.used(now).max(self.known.used(now));
        self.most.saturating_sub(used)
    }

    /// How many may go now, or when to look again.
    pub(crate) fn room(&mut self, now: Instant) -> Result<u64, Instant> {
        match self.left(now) {
            0 if self.most == 0 => Err(now + DAY),
            0 => {
                let full = [&mut self.own, &mut self.known].into_iter().filter_map(|slots| {
                    (slots.used(now) >= self.most).then(|| slots.eased_at())?
                });
                Err(full.max().unwrap_or(now + SLOT))
            }
            left => Ok(left),
        }
    }

    pub(crate) fn spend(&mut self, count: u64, now: Instant) {
        self.own.spend(count, now);
        self.known.spend(count, now);
        if let Some((_, _, spent)) = &mut self.counted {
            *spent += count;
        }
    }
}

/// What the provider said it allows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowance {
    pub(crate) quota: Quota,
    /// Handed over since the quota was read.
    spent: u64,
    /// When it was last asked for, and whether it was answered.
    asked: Option<(Instant, bool)>,
}

impl Allowance {
    /// Whether the provider should be asked: when little is left more often.
    pub(crate) fn is_stale(&self, now: Instant) -> bool {
        let Some((asked_at, answered)) = self.asked else { return true };
        let little = match (self.quota.left, self.quota.daily) {
            (Some(left), Some(daily)) => left.saturating_sub(self.spent) <= daily / LITTLE,
            _ => false,
        };
        now >= asked_at + if answered && little { REREAD_SOON } else { REREAD }
    }

    /// Asks again at once: the provider, or the account there, is back.
    pub(crate) fn forget(&mut self) {
        self.asked = None;
    }

    /// Takes the answer. Without one, what was known before goes on.
    pub(crate) fn take(&mut self, quota: Option<Quota>, now: Instant) {
        self.asked = Some((now, quota.is_some()));
        if let Some(quota) = quota {
            (self.quota, self.spent) = (quota, 0);
        }
    }

    /// How many may go now, or when to look again.
    pub(crate) fn room(&self, now: Instant) -> Result<u64, Instant> {
        match (self.quota.left, self.asked) {
            (None, _) => Ok(u64::MAX),
            (Some(left), _) if left > self.spent => Ok(left - self.spent),
            (Some(_), Some((asked_at, true))) => Err((asked_at + REREAD_SOON).max(now)),
            // It answered once and does not now.
            (Some(_), Some((asked_at, false))) => Err((asked_at + REREAD).max(now)),
            (Some(_), None) => Err(now + REREAD_SOON),
        }
    }

    pub(crate) fn spend(&mut self, count: u64) {
        self.spent = self.spent.saturating_add(count);
    }
}
