//! How many recipients may still go today: by what this process counts, and by what others who count
//! more say is left.
//!
//! Out of scope: asking them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);
/// The width of a slot.
const SLOT: Duration = Duration::from_secs(600);
/// What is left is asked for again after so long, if that may have changed.
const AGAIN: Duration = Duration::from_secs(600);
/// Of what was left, this part is much.
const SHARE: u64 = 8;

/// What this process handed over, by slots of ten minutes. A slot counts until all of it is older than a
/// day, so the sum is never too low.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slots(VecDeque<(Instant, u64)>);

impl Slots {
    /// How many more may go if `most` is the limit of any 24 hours, or when to look again.
    pub(crate) fn room(&mut self, most: u64, now: Instant) -> Result<u64, Instant> {
        while self.0.front().is_some_and(|(gone_at, _)| *gone_at <= now) {
            self.0.pop_front();
        }
        match most.saturating_sub(self.0.iter().map(|(_, count)| count).sum()) {
            0 => Err(self.0.front().map_or(now + DAY, |(gone_at, _)| *gone_at)),
            left => Ok(left),
        }
    }

    pub(crate) fn spend(&mut self, count: u64, now: Instant) {
        match self.0.back_mut().filter(|(gone_at, _)| now + DAY < *gone_at) {
            Some((_, used)) => *used += count,
            None => self.0.push_back((now + DAY + SLOT, count)),
        }
    }
}

/// What somebody else says is left of the day: the provider for its account, or the database for all
/// processes on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowance {
    /// `None`: there is no limit, or none that is known.
    left: Option<u64>,
    /// Handed over since that was said.
    spent: u64,
    /// When it was asked for; `None`: it is to be asked for at once.
    asked_at: Option<Instant>,
}

impl Allowance {
    /// Whether to ask the provider: of a limit that is not used nothing changes that matters.
    pub(crate) fn is_stale(&self, now: Instant) -> bool {
        let changes = self.spent > 0 || self.left == Some(0);
        self.asked_at.is_none_or(|asked_at| changes && now >= asked_at + AGAIN)
    }

    /// Whether to ask the database, if it knows of others: they use what is left too, and near its end
    /// much may be gone soon.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let is_old = self.asked_at.is_none_or(|at| self.left.is_some() && now >= at + AGAIN);
        let is_worn = |left| self.spent > 0 && self.spent >= left / SHARE;
        is_old || self.left.is_some_and(is_worn)
    }

    /// Takes the answer.
    pub(crate) fn take(&mut self, left: Option<u64>, now: Instant) {
        *self = Allowance { left, spent: 0, asked_at: Some(now) };
    }

    /// There was no answer: what was known before goes on.
    pub(crate) fn keep(&mut self, now: Instant) {
        self.asked_at = Some(now);
    }

    /// Asks again at once: others sent more than was known here, or the provider is back.
    pub(crate) fn forget(&mut self) {
        self.asked_at = None;
    }

    /// How many may go now, or when to look again.
    pub(crate) fn room(&self, now: Instant) -> Result<u64, Instant> {
        match self.left.map(|left| left.saturating_sub(self.spent)) {
            None => Ok(u64::MAX),
            Some(0) => Err((self.asked_at.unwrap_or(now) + AGAIN).max(now)),
            Some(left) => Ok(left),
        }
    }

    pub(crate) fn spend(&mut self, count: u64) {
        self.spent = self.spent.saturating_add(count);
    }
}
