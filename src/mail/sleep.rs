//! Whether the inserts of a queue notify its collector: when it wants to be told, and when it does not.
//!
//! A transaction that notified holds a lock of the whole cluster while it commits, so nobody is to
//! notify a collector that is busy and looks by itself. docs/SCHEMA.md has the protocol between the
//! two, tests/sleep.rs a model of it.
//!
//! - A collector that is awake looks again soon, ever less soon while nothing comes, and then wants to
//!   sleep.
//! - It may sleep once no transaction is under way that did not notify because nobody slept. Until then
//!   it is restless: it is notified by new ones, and looks for what the old ones bring.
//! - Asleep it does nothing before it is notified. Many notifications, or many full batches, wake it up.

use std::time::{Duration, Instant};

/// The first look of a collector that is awake comes so long after the last,
const GAP_FIRST: Duration = Duration::from_micros(500);
/// each next one after twice as long, up to this,
const GAP: Duration = Duration::from_millis(50);
/// or up to this if it waits for transactions under way.
const GAP_RESTLESS: Duration = Duration::from_secs(1);

/// After so long without anything new it wants to sleep;
const LINGER_FIRST: Duration = Duration::from_millis(250);
/// if it was woken up soon each time, after twice as long as the last time, up to this.
const LINGER: Duration = Duration::from_secs(4);

/// So many notifications
const BURST: usize = 8;
/// in so short a time wake it up.
const BURST_IN: Duration = Duration::from_millis(100);

/// Who tells a collector of what is inserted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Nobody: it looks.
    #[default]
    Awake,
    /// Transactions that began lately; for the others it looks.
    Restless,
    /// All of them.
    Asleep,
    /// Some or all of them, but it is awake, and is about to say so.
    Disturbed,
}

/// The sleep of one collector.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sleep {
    /// Looks come so long after one another, and it never sleeps.
    poll: Option<Duration>,
    stage: Stage,
    /// When something new was seen last; `None`: not on this connection.
    news: Option<Instant>,
    /// When it looks next by itself,
    next: Option<Instant>,
    /// and how long after the last time that is.
    gap: Duration,
    /// How long nothing new comes before it wants to sleep.
    linger: Duration,
    /// When it fell asleep.
    since: Option<Instant>,
    /// When the first of these notifications came.
    burst: Option<(Instant, usize)>,
}

impl Sleep {
    /// Of a collector on a new connection: it is awake, and wants to sleep if nothing waits. With
    /// `poll` it looks so often instead, and wants nothing of its queue.
    pub fn new(poll: Option<Duration>) -> Sleep {
        Sleep { poll, linger: LINGER_FIRST, ..Sleep::default() }
    }

    /// Its stage.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether it would sleep now.
    pub fn is_tired(&self, now: Instant) -> bool {
        let quiet = self.news.is_none_or(|news| now >= news + self.linger);
        self.stage != Stage::Asleep && self.poll.is_none() && quiet && self.is_due(now)
    }

    /// Whether it looks by itself now.
    pub fn is_due(&self, now: Instant) -> bool {
        self.stage != Stage::Asleep && self.next.is_none_or(|next| now >= next)
    }

    /// Whether it looks so soon that it needs not listen.
    pub fn is_deaf(&self) -> bool {
        self.stage == Stage::Awake && self.poll.is_none()
    }

    /// When it looks by itself.
    pub fn next(&self) -> Option<Instant> {
        self.next.filter(|_| self.stage != Stage::Asleep)
    }

    /// So many notifications came.
    pub fn notified(&mut self, count: usize, now: Instant) {
        let (began, before) = match self.burst {
            Some(burst) if now < burst.0 + BURST_IN => burst,
            _ => (now, 0),
        };
        let count = before.saturating_add(count);
        self.burst = Some((began, count));
        if count >= BURST {
            self.disturb(now);
        }
    }

    /// There is much to do: nobody needs to say that there is more.
    pub fn disturb(&mut self, now: Instant) {
        if self.stage != Stage::Awake {
            (self.stage, self.news) = (Stage::Disturbed, Some(now));
        }
    }

    /// Everybody knows that it is awake.
    pub fn woken(&mut self, now: Instant) {
        // A queue that wakes it up each time, with nothing for it, is to do so rarely.
        let soon = self.since.take().is_some_and(|since| now < since + self.linger);
        self.linger = if soon { LINGER.min(2 * self.linger) } else { LINGER_FIRST };
        (self.stage, self.burst) = (Stage::Awake, None);
        self.found(true, None, now);
    }

    /// It said that it sleeps. `clear`: no transaction is under way that did not hear of it; `None`: it
    /// could not say so.
    pub fn lay_down(&mut self, clear: Option<bool>, now: Instant) {
        let stage = match clear {
            None => self.stage,
            Some(false) => Stage::Restless,
            Some(true) => Stage::Asleep,
        };
        if self.stage == Stage::Awake && stage != Stage::Awake {
            self.since = Some(now);
        }
        self.stage = stage;
        self.wait_longer(GAP_RESTLESS, now);
    }

    /// It looked, or claimed: was there anything new? `fills`: how long it takes, at the rate that was
    /// seen, until a batch is full.
    pub fn found(&mut self, news: bool, fills: Option<Duration>, now: Instant) {
        let most = match (news, fills) {
            // It may be full sooner. What one look saw may be the beginning of much more, too: the next is
            // not put off by more than twice the time before.
            (true, Some(time)) => (time / 6).clamp(GAP_FIRST, GAP),
            (true, None) => GAP_FIRST,
            (false, _) if self.stage == Stage::Awake => GAP,
            (false, _) => GAP_RESTLESS,
        };
        self.news = if news { Some(now) } else { self.news };
        self.wait_longer(most, now);
    }

    fn wait_longer(&mut self, most: Duration, now: Instant) {
        self.gap = (2 * self.gap).clamp(GAP_FIRST, most);
        self.next = Some(now + self.poll.unwrap_or(self.gap));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_look_saw_does_not_make_the_next_one_late() {
        let (mut sleep, start) = (Sleep::new(None), Instant::now());
        let mut now = start;
        // A batch went, and the next one begins: a few came in the time of many.
        sleep.found(true, None, now);
        let mut gaps = Vec::new();
        for _ in 0..7 {
            sleep.found(true, Some(Duration::from_millis(400)), now);
            let next = sleep.next().unwrap();
            gaps.push((next - now).as_millis());
            now = next;
        }
        assert_eq!(gaps, [1, 2, 4, 8, 16, 32, 50]);
        sleep.found(true, Some(Duration::from_millis(12)), now);
        assert_eq!(sleep.next().unwrap() - now, Duration::from_millis(2));
    }
}
