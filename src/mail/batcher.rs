//! When a collector looks at the queue, claims from it and waits: all of its decisions.
//!
//! A state machine without I/O. The caller reports what happened as an [`Event`] and does what the
//! answer, an [`Action`], says. The answer follows from the state alone: one that was not carried out
//! is given again.
//!
//! - Full batches are claimed at once, as long as there are any.
//! - Fewer messages than a batch wait for the end of a window, which opens when the first of them is
//!   seen and is not extended by later ones; it ends early if one of their tokens would expire in it.
//! - On a new connection all that waits goes at once, the partial batch included.
//! - A notification is a hint: what is due is found by a look, or by a claim of a full batch if as many
//!   were heard as it still lacks.
//! - While there is much to do nobody notifies it, and it looks by itself (`mail/sleep.rs`).

use crate::mail::sleep::{Sleep, Stage};
use std::time::{Duration, Instant};

/// A lease that ran out, but whose row may be locked, is not put back sooner than this.
const SOON: Duration = Duration::from_millis(50);

/// What is due but locked, perhaps by another collector that is about to take it, is tried again
/// after so long.
const LOCKED: Duration = Duration::from_millis(200);

/// A batch that is not full goes so long before the first of its tokens expires.
const LAST_CALL: Duration = Duration::from_secs(1);

/// Watermarks are found no more often than this,
const WATERMARK_EVERY: Duration = Duration::from_secs(1);
/// and take no more than this part of the time: mail waits meanwhile.
const WATERMARK_SHARE: u32 = 200;
/// A search of everything takes no more than this part, unless a lease ran out, for others may follow.
const WHOLE_SHARE: u32 = 1000;
/// Where that comes less often, each search between goes at least so far back, every second one twice as
/// far, every fourth four times, and so on: what commits late waits about as long again at most, if its
/// priority is known.
const WATERMARK_BACK: Duration = Duration::from_secs(4);

/// What a collector is about to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Look: what is due is not known.
    #[default]
    Look,
    /// Claim: a batch is thought to be due at once.
    Claim,
    /// Wait for the window to end, or for something to happen.
    Wait,
}

/// What fewer messages than a batch wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Window {
    /// Nothing: the connection is new.
    #[default]
    CatchingUp,
    /// The time-out after this moment.
    Open(Instant),
    /// There are none.
    Closed,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing but that time passed.
    Time,
    /// Batches of so many messages, at least one, are wanted from now on.
    Asked(usize),
    /// The connection is a new one; leases that ran out were put back. Nobody notifies it, and it is to
    /// look so often, if that is said.
    Connected(Option<Duration>),
    /// So many notifications came.
    Notified(usize),
    /// A look was made, which began then.
    Looked(Instant, Waiting),
    /// A claim was made.
    Claimed {
        /// Take none if fewer than this can be had.
        least: usize,
        /// Deliveries that were taken.
        taken: usize,
    },
    /// It was found out where deliveries begin.
    WatermarkFound(Search),
    /// Leases that ran out were put back.
    Rescued,
    /// What waits, and when it is due, may have changed: deliveries were put back, or nobody listened.
    Changed,
    /// The table was put in order, so deliveries may begin elsewhere.
    Swept,
    /// The queue knows that this collector sleeps; whether no transaction is under way that does not,
    /// or `None` if that could not be said.
    Slept(Option<bool>),
    /// The queue knows that this collector is awake.
    Woken,
}

/// What a look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Deliveries that are due, counted up to a batch.
    pub due: usize,
    /// How long the oldest of them has been due.
    pub age: Duration,
    /// When the first of their tokens expires.
    pub expires: Option<Duration>,
    /// When the next delivery comes due.
    pub next: Option<Duration>,
    /// The queue is paused, for this reason: then nothing is due, and nothing comes.
    pub paused: Option<String>,
    /// There is an issue of a list to make deliveries of.
    pub issue: bool,
}

/// A search for where deliveries begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Search {
    /// When it was begun.
    pub begun: Instant,
    /// How far back it went; `None`: all the way.
    pub back: Option<Duration>,
    /// A delivery is due, or will be within a second.
    pub due: bool,
    /// When the first lease runs out, from `begun`; not known if the search did not go all the way.
    pub lapse: Option<Duration>,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look at what waits: [`Event::Looked`].
    Look,
    /// Claim a batch: [`Event::Claimed`].
    Claim {
        /// Take none if fewer than this can be had.
        least: usize,
        /// What is taken does not wait for a window, because the connection is new.
        catching_up: bool,
    },
    /// Find out where deliveries begin, of those of the last so many seconds if that is said, and from
    /// where they began on: [`Event::WatermarkFound`].
    FindWatermark(Option<Duration>),
    /// Put back what has a lease that ran out: [`Event::Rescued`].
    Rescue,
    /// Say that this collector sleeps: [`Event::Slept`].
    Sleep,
    /// Say that it is awake: [`Event::Woken`].
    Wake,
    /// Wait for notifications, until then at the latest: [`Event::Notified`] or [`Event::Time`].
    Wait(Option<Instant>),
    /// Sleep until then; what comes meanwhile may be heard afterwards: [`Event::Time`].
    Rest(Instant),
}

/// When it is found out where deliveries begin.
///
/// Looks and claims begin at the watermarks, and so miss what was written before others that are
/// gone, but committed after them, or what has a priority that nothing had. So each of them is
/// followed by a new search, which is not due as long as nothing is done with what the last one found.
#[derive(Clone, Copy, Debug, Default)]
struct Watermark {
    at: Option<Instant>,
    /// It is not before this moment.
    after: Option<Instant>,
    /// It is of everything from this moment on,
    whole: Option<Instant>,
    /// or, after a lease ran out, from this one on.
    soon: Option<Instant>,
    /// How long the last one of everything took,
    took: Duration,
    /// and how many searches there were since, and with it.
    count: u32,
    /// The look to come belongs to it; and whether it saw what is due, or soon will be.
    fresh: Option<bool>,
}

impl Watermark {
    fn used(&mut self) {
        self.at = self.at.into_iter().chain(self.after).min();
    }

    /// How far back a search goes now, if not all the way.
    fn back(&self, now: Instant) -> Option<Duration> {
        self.whole
            .filter(|at| now < *at)
            .map(|_| WATERMARK_BACK * (self.count & self.count.wrapping_neg()))
    }
}

/// What happened since the last look.
#[derive(Clone, Copy, Debug, Default)]
struct Since {
    /// So many notifications came, since the last full batch too.
    heard: usize,
    /// A full batch went.
    drained: bool,
    /// A claim of no fewer than so many took nothing, though they had been counted.
    empty: Option<usize>,
}

/// The decisions of one collector.
#[derive(Clone, Debug, Default)]
pub struct Batcher {
    timeout: Duration,
    /// Messages in a full batch.
    limit: usize,
    phase: Phase,
    window: Window,
    watermark: Watermark,
    sleep: Sleep,
    since: Since,
    /// When the last look was made,
    looked_at: Option<Instant>,
    /// and what it counted, less what went since.
    due: usize,
    paused: bool,
    /// When the next delivery comes due.
    next_due: Option<Instant>,
    /// When the window ends at the latest, for a token expires.
    last_call: Option<Instant>,
    /// What is due is locked; it is not tried before this moment.
    locked: Option<Instant>,
    /// When the first lease runs out.
    lapse: Option<Instant>,
}

fn has_passed(at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| at <= now)
}

impl Batcher {
    /// Nothing is known, and there is no connection; `timeout` is how long a window lasts.
    pub fn new(timeout: Duration) -> Batcher {
        Batcher { timeout, sleep: Sleep::new(None), ..Batcher::default() }
    }

    /// Takes in what happened and says what to do next.
    pub fn step(&mut self, event: Event, now: Instant) -> Action {
        match event {
            Event::Time => {}
            Event::Asked(limit) => {
                // The last look counted up to the other limit.
                if std::mem::replace(&mut self.limit, limit) != limit {
                    self.changed();
                }
            }
            Event::Connected(poll) => {
                let (limit, paused) = (self.limit, self.paused);
                let sleep = Sleep::new(poll);
                *self = Batcher { limit, paused, sleep, ..Batcher::new(self.timeout) };
                self.watermark.at = Some(now);
            }
            Event::Notified(count) => self.notified(count, now),
            Event::Looked(begun, waiting) => self.looked(begun, waiting, now),
            Event::Claimed { least, taken } => self.claimed(least, taken, now),
            Event::WatermarkFound(search) => self.marked(search, now),
            Event::Rescued => {
                self.lapse = None;
                self.watermark.whole = self.watermark.whole.min(self.watermark.soon);
                self.changed();
            }
            Event::Changed => self.changed(),
            Event::Swept => (self.watermark.at, self.watermark.whole) = (Some(now), None),
            Event::Slept(clear) => {
                self.sleep.lay_down(clear, now);
                // What came before, unheard, may lie below the watermark.
                self.watermark.used();
                self.changed();
            }
            Event::Woken => self.sleep.woken(now),
        }
        self.action(now)
    }

    /// Whether the queue was found paused.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Who tells this collector of what is inserted.
    pub fn stage(&self) -> Stage {
        self.sleep.stage()
    }

    /// Whether nothing waits, so that a notification would be news.
    pub fn is_idle(&self) -> bool {
        let asleep = self.sleep.stage() != Stage::Awake;
        self.phase == Phase::Wait && self.window == Window::Closed && !self.paused && asleep
    }

    /// Whether nothing was looked at since the connection was made.
    pub fn is_new(&self) -> bool {
        self.window == Window::CatchingUp && self.phase == Phase::Look
    }

    fn action(&self, now: Instant) -> Action {
        if self.sleep.stage() == Stage::Disturbed {
            return Action::Wake;
        }
        if matches!(self.phase, Phase::Look | Phase::Wait) && self.sleep.is_tired(now) {
            return Action::Sleep;
        }
        // The first batch of many does not wait for these.
        if self.phase != Phase::Claim || self.since.drained {
            if has_passed(self.lapse, now) {
                return Action::Rescue;
            }
            if has_passed(self.watermark.at, now) {
                return Action::FindWatermark(self.watermark.back(now));
            }
        }
        let catching_up = self.window == Window::CatchingUp;
        let claim = |least| Action::Claim { least, catching_up };
        let ends = self.ends();
        match self.phase {
            Phase::Look => Action::Look,
            Phase::Claim if catching_up => claim(1),
            // What a full batch left behind has a window that is not known before the next look.
            Phase::Claim if has_passed(ends, now) && !self.since.drained => claim(1),
            Phase::Claim => claim(self.limit),
            Phase::Wait => {
                let full = self.locked.filter(|_| self.due >= self.limit);
                if has_passed(ends, now) {
                    claim(1)
                } else if has_passed(full, now) {
                    claim(self.limit)
                } else if has_passed(self.next_due, now) || self.sleep.is_due(now) {
                    Action::Look
                } else {
                    let next = [self.next_due, self.sleep.next()];
                    let all = [ends, full, next[0], next[1], self.lapse, self.watermark.at];
                    let until = all.into_iter().flatten().min();
                    // Awake, it has no use for what others are told.
                    match until.filter(|_| self.sleep.is_deaf()) {
                        Some(until) => Action::Rest(until),
                        None => Action::Wait(until),
                    }
                }
            }
        }
    }

    /// When the window ends.
    fn ends(&self) -> Option<Instant> {
        let Window::Open(opened) = self.window else { return None };
        let end = opened + self.timeout;
        let end = self.last_call.map_or(end, |by| end.min(by));
        Some(self.locked.map_or(end, |from| end.max(from)))
    }

    fn changed(&mut self) {
        // Every other phase leads to a look.
        if self.phase == Phase::Wait {
            self.phase = Phase::Look;
        }
    }

    fn notified(&mut self, count: usize, now: Instant) {
        self.since.heard = self.since.heard.saturating_add(count);
        self.sleep.notified(count, now);
        if self.phase != Phase::Wait {
            return;
        }
        // If each stands for a row, a batch is full: a claim that finds it is not takes nothing.
        let full = self.due.saturating_add(self.since.heard) >= self.limit;
        self.phase = if full && !self.paused { Phase::Claim } else { Phase::Look };
    }

    fn looked(&mut self, begun: Instant, waiting: Waiting, now: Instant) {
        let Waiting { due, age, expires, next, paused, .. } = waiting;
        let Since { drained, empty, .. } = std::mem::take(&mut self.since);
        if std::mem::replace(&mut self.paused, paused.is_some()) && !self.paused {
            // What the pause left lying is put back, and looked at then.
            self.lapse = Some(now);
            self.watermark.used();
        }
        // What the watermark just saw may be leased by somebody else since, until nobody knows when.
        let gone = due == 0 && !self.paused;
        if self.watermark.fresh.take().is_none_or(|saw_due| saw_due && gone) {
            self.watermark.used();
        }
        let after = |wait| begun.checked_add(wait);
        self.next_due = next.and_then(after);
        self.last_call = expires.and_then(|left| after(left.saturating_sub(LAST_CALL)));
        self.locked = match empty {
            Some(least) => (due >= least).then(|| now + LOCKED),
            None => self.locked.filter(|at| due > 0 && *at > now),
        };
        self.window = match self.window {
            _ if due == 0 => Window::Closed,
            Window::Closed => Window::Open(now),
            // As if it had opened when the first of those came that are left, but not earlier than it
            // did: their transaction may have been open for long.
            Window::Open(opened) if drained => {
                Window::Open(now.checked_sub(age).map_or(opened, |came| opened.max(came)))
            }
            unchanged => unchanged,
        };
        let full = due >= self.limit && self.locked.is_none();
        let at_once = full || self.window == Window::CatchingUp;
        self.phase = if at_once { Phase::Claim } else { Phase::Wait };
        let new = due.saturating_sub(self.due);
        // As fast as since the last look, or since the first of them came.
        let lacks = self.limit.saturating_sub(due) as u32;
        let at_rate = |time: Duration, came: usize| time * lacks / came.max(1) as u32;
        let fills = self.looked_at.map(|at| at_rate(now - at, new).min(at_rate(age, due)));
        self.sleep.found(new > 0, fills, now);
        (self.due, self.looked_at) = (due, Some(now));
    }

    fn claimed(&mut self, least: usize, taken: usize, now: Instant) {
        self.watermark.used();
        let whole = least >= self.limit;
        // What had not been counted may have come after the claim.
        self.since.empty = (taken == 0 && self.due >= least).then_some(least);
        self.due = self.due.saturating_sub(taken);
        if taken > 0 {
            self.sleep.found(true, None, now);
        }
        if taken > 0 && (whole || taken >= self.limit) {
            if self.since.drained {
                self.sleep.disturb(now);
            }
            (self.since.drained, self.since.heard) = (true, 0);
            self.phase = Phase::Claim;
            return;
        }
        if !whole || self.window == Window::CatchingUp {
            self.window = Window::Closed;
        }
        self.phase = Phase::Look;
    }

    fn marked(&mut self, search: Search, now: Instant) {
        let Search { begun, back, due, lapse } = search;
        let mark = &mut self.watermark;
        let took = now.saturating_duration_since(begun);
        let rest = if back.is_some() { took * WATERMARK_SHARE } else { Duration::ZERO };
        (mark.after, mark.fresh) = (Some(now + WATERMARK_EVERY.max(rest)), Some(due));
        mark.count += 1;
        // One of everything follows in the end.
        mark.at = back.and(mark.whole);
        if back.is_none() {
            // A single one may have waited for a lock.
            let usual = took.min(std::mem::replace(&mut mark.took, took));
            (mark.whole, mark.count) = (Some(now + usual * WHOLE_SHARE), 1);
            mark.soon = Some(now + usual * WATERMARK_SHARE);
            // Not at once: a row whose lease ran out may be locked.
            self.lapse =
                lapse.and_then(|wait| begun.checked_add(wait)).map(|at| at.max(now + SOON));
        }
        self.changed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);
    const TIMEOUT: Duration = Duration::from_secs(5);

    /// A batcher that has caught up, batches of three, and the moment at which nothing waited.
    fn idle() -> (Batcher, Instant) {
        let now = Instant::now();
        let mut batcher = Batcher::new(TIMEOUT);
        batcher.step(Event::Asked(3), now);
        assert_eq!(batcher.step(Event::Connected(None), now), Action::Sleep);
        assert_eq!(batcher.step(ASLEEP, now), Action::FindWatermark(None));
        assert!(batcher.is_new());
        assert_eq!(batcher.step(marked(now), now), Action::Look);
        assert_eq!(batcher.step(saw(0, now), now), Action::Wait(None));
        assert!(batcher.is_idle() && !batcher.is_new());
        (batcher, now)
    }

    const ASLEEP: Event = Event::Slept(Some(true));

    fn marked(begun: Instant) -> Event {
        Event::WatermarkFound(Search { begun, back: None, due: false, lapse: None })
    }

    fn waiting(due: usize) -> Waiting {
        Waiting { due, ..Waiting::default() }
    }

    fn saw(due: usize, begun: Instant) -> Event {
        Event::Looked(begun, waiting(due))
    }

    const fn claim(least: usize) -> Action {
        Action::Claim { least, catching_up: false }
    }

    const CATCH_UP: Action = Action::Claim { least: 1, catching_up: true };

    fn claimed(least: usize, taken: usize) -> Event {
        Event::Claimed { least, taken }
    }

    /// Until when a wait goes, but for the search of watermarks that follows on what was done.
    fn wait(batcher: &mut Batcher, now: Instant) -> Option<Instant> {
        if batcher.watermark.at.is_some() {
            batcher.watermark.at = Some(now + 1000 * TIMEOUT);
            batcher.watermark.after = batcher.watermark.at;
        }
        match batcher.step(Event::Time, now) {
            Action::Wait(until) => until.filter(|until| *until < now + 1000 * TIMEOUT),
            other => panic!("{other:?} is no wait"),
        }
    }

    #[test]
    fn the_answer_follows_from_the_state_alone() {
        let (mut batcher, now) = idle();
        let action = batcher.step(Event::Notified(1), now);
        assert_eq!(action, Action::Look);
        assert_eq!(batcher.step(Event::Time, now), action);
        assert_eq!(batcher.step(Event::Changed, now), action);
    }

    #[test]
    fn a_partial_batch_goes_when_its_window_ends_and_later_notifications_do_not_extend_it() {
        let (mut batcher, start) = idle();
        batcher.step(Event::Notified(1), start);
        batcher.step(saw(1, start), start);
        assert!(!batcher.is_idle());
        let ends = start + TIMEOUT;
        assert_eq!(wait(&mut batcher, start), Some(ends));
        let late = start + 4 * SECOND;
        assert_eq!(batcher.step(Event::Notified(1), late), Action::Look);
        batcher.step(saw(2, late), late);
        assert_eq!(wait(&mut batcher, late), Some(ends));
        assert_eq!(batcher.step(Event::Time, ends), claim(1));
        assert_eq!(batcher.step(claimed(1, 2), ends), Action::Look);
        batcher.step(saw(0, ends), ends);
        assert_eq!(wait(&mut batcher, ends), None);
    }

    #[test]
    fn as_many_notifications_as_a_batch_lacks_are_claimed_without_a_look() {
        let (mut batcher, now) = idle();
        assert_eq!(batcher.step(Event::Notified(3), now), claim(3));
        assert_eq!(batcher.step(claimed(3, 3), now), claim(3));
        // A hint that was none does no harm: the claim took nothing, and a look follows.
        assert_eq!(batcher.step(claimed(3, 0), now), Action::Look);
        batcher.step(saw(1, now), now);
        assert_eq!(batcher.step(Event::Notified(2), now), claim(3));
    }

    #[test]
    fn full_batches_are_claimed_as_long_as_there_are_any() {
        let (mut batcher, now) = idle();
        batcher.step(Event::Notified(1), now);
        assert_eq!(batcher.step(saw(3, now), now), claim(3));
        assert_eq!(batcher.step(claimed(3, 3), now), claim(3));
        // Who has so much to do needs not be told of more.
        assert_eq!(batcher.step(claimed(3, 3), now), Action::Wake);
        assert_eq!(batcher.step(Event::Woken, now), claim(3));
        for _ in 0..10 {
            assert_eq!(batcher.step(claimed(3, 3), now), claim(3));
        }
        assert_eq!(batcher.step(claimed(3, 0), now), Action::Look);
    }

    #[test]
    fn what_a_full_batch_left_behind_waits_from_when_it_came() {
        // The oldest of what is left came a second ago, or its transaction began long before.
        for (age, opened) in [(SECOND, 2 * SECOND), (60 * SECOND, Duration::ZERO)] {
            let (mut batcher, start) = idle();
            batcher.step(Event::Notified(1), start);
            batcher.step(saw(1, start), start);
            let now = start + 3 * SECOND;
            assert_eq!(batcher.step(Event::Notified(3), now), claim(3));
            batcher.step(claimed(3, 3), now);
            batcher.step(claimed(3, 0), now);
            batcher.step(Event::Looked(now, Waiting { age, ..waiting(1) }), now);
            assert_eq!(wait(&mut batcher, now), Some(start + opened + TIMEOUT));
        }
    }

    #[test]
    fn a_window_ends_a_second_before_a_token_expires_and_no_later_for_it() {
        for (left, ends) in [(3, 2 * SECOND), (9, TIMEOUT)] {
            let (mut batcher, now) = idle();
            batcher.step(Event::Notified(1), now);
            let expires = Some(left * SECOND);
            batcher.step(Event::Looked(now, Waiting { expires, ..waiting(1) }), now);
            assert_eq!(wait(&mut batcher, now), Some(now + ends));
        }
    }

    #[test]
    fn looks_do_not_put_off_a_token_s_last_call() {
        let (mut batcher, start) = idle();
        let saw = |now: Instant| {
            let expires = Some(start + 3 * SECOND - now);
            Event::Looked(now, Waiting { expires, ..waiting(1) })
        };
        batcher.step(Event::Notified(1), start);
        batcher.step(saw(start), start);
        let late = start + 2 * SECOND - 10 * MS;
        batcher.step(Event::Notified(1), late);
        batcher.step(saw(late), late);
        assert_eq!(wait(&mut batcher, late), Some(start + 2 * SECOND));
        assert_eq!(batcher.step(Event::Time, start + 2 * SECOND), claim(1));
    }

    #[test]
    fn on_a_new_connection_what_waits_goes_at_once() {
        let (mut batcher, now) = idle();
        assert_eq!(batcher.step(Event::Connected(None), now), Action::Sleep);
        assert_eq!(batcher.step(ASLEEP, now), Action::FindWatermark(None));
        assert_eq!(batcher.step(marked(now), now), Action::Look);
        assert_eq!(batcher.step(saw(3, now), now), CATCH_UP);
        assert_eq!(batcher.step(claimed(1, 3), now), CATCH_UP);
        assert_eq!(batcher.step(claimed(1, 2), now), Action::Look);
        // From here on there is a window.
        batcher.step(saw(1, now), now);
        assert_eq!(wait(&mut batcher, now), Some(now + TIMEOUT));
    }

    #[test]
    fn a_full_batch_that_is_locked_is_tried_again_later_and_parts_of_it_when_the_window_ends() {
        let (mut batcher, start) = idle();
        let mut now = start;
        batcher.step(Event::Notified(1), now);
        batcher.step(saw(3, now), now);
        loop {
            assert_eq!(batcher.step(claimed(3, 0), now), Action::Look);
            batcher.step(saw(3, now), now);
            let until = wait(&mut batcher, now).unwrap();
            assert!(until >= now + LOCKED || until == start + TIMEOUT);
            now = until;
            match batcher.step(Event::Time, now) {
                Action::Claim { least: 3, .. } => assert!(now < start + TIMEOUT),
                Action::Claim { least: 1, .. } => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(now < start + TIMEOUT + LOCKED);
    }

    #[test]
    fn what_came_after_an_empty_claim_is_not_taken_for_locked() {
        let (mut batcher, now) = idle();
        assert_eq!(batcher.step(Event::Notified(3), now), claim(3));
        assert_eq!(batcher.step(claimed(3, 3), now), claim(3));
        assert_eq!(batcher.step(claimed(3, 0), now), Action::Look);
        assert_eq!(batcher.step(saw(3, now), now), claim(3));
        // Now they had been counted.
        assert_eq!(batcher.step(claimed(3, 0), now), Action::Look);
        assert_ne!(batcher.step(saw(3, now), now), claim(3));
    }

    #[test]
    fn a_partial_batch_that_is_locked_waits_for_another_window() {
        let (mut batcher, now) = idle();
        batcher.step(Event::Notified(1), now);
        batcher.step(saw(1, now), now);
        let ends = now + TIMEOUT;
        assert_eq!(wait(&mut batcher, now), Some(ends));
        assert_eq!(batcher.step(Event::Time, ends), claim(1));
        assert_eq!(batcher.step(claimed(1, 0), ends), Action::Look);
        batcher.step(saw(1, ends), ends);
        assert_eq!(wait(&mut batcher, ends), Some(ends + TIMEOUT));
        // Not at once, though its token is about to expire.
        let expires = Some(SECOND);
        batcher.step(claimed(1, 0), ends);
        batcher.step(Event::Looked(ends, Waiting { expires, ..waiting(1) }), ends);
        assert_eq!(wait(&mut batcher, ends), Some(ends + LOCKED));
    }

    #[test]
    fn a_flood_of_notifications_wakes_it_up_and_it_looks_ever_more_rarely_until_it_sleeps_again() {
        let (mut batcher, mut now) = idle();
        for _ in 0..7 {
            assert_eq!(batcher.step(Event::Notified(1), now), Action::Look);
            batcher.step(saw(0, now), now);
        }
        assert_eq!(batcher.step(Event::Notified(1), now), Action::Wake);
        assert_eq!(batcher.step(Event::Woken, now), Action::Look);
        let woken = now;
        let mut rests = Vec::new();
        batcher.step(saw(0, now), now);
        loop {
            batcher.watermark.at = None;
            match batcher.step(Event::Time, now) {
                Action::Rest(until) => {
                    rests.push((until - now).as_millis());
                    now = until;
                }
                Action::Look => drop(batcher.step(saw(0, now), now)),
                action => break assert_eq!(action, Action::Sleep),
            }
        }
        assert_eq!(rests[..7], [1, 2, 4, 8, 16, 32, 50]);
        // Twice as long as usual, for it had hardly slept.
        assert!(now >= woken + SECOND / 2 && now < woken + SECOND);
        assert_eq!(batcher.step(ASLEEP, now), Action::Look);
        batcher.step(saw(0, now), now);
        assert_eq!(wait(&mut batcher, now), None);
    }

    #[test]
    fn a_collector_that_cannot_sleep_yet_is_notified_and_looks_for_what_it_is_not_told_of() {
        let (mut batcher, start) = (Batcher::new(TIMEOUT), Instant::now());
        batcher.step(Event::Asked(3), start);
        batcher.step(Event::Connected(None), start);
        let mut now = start;
        while now < start + 10 * SECOND {
            let action = batcher.step(Event::Slept(Some(false)), now);
            assert!(matches!(action, Action::FindWatermark(_) | Action::Look));
            batcher.step(marked(now), now);
            batcher.step(saw(0, now), now);
            let until = wait(&mut batcher, now).unwrap();
            assert!(until <= now + SECOND);
            now = until;
            assert_eq!(batcher.step(Event::Time, now), Action::Sleep);
        }
        assert_eq!(batcher.step(ASLEEP, now), Action::FindWatermark(None));
        batcher.step(marked(now), now);
        batcher.step(saw(0, now), now);
        assert_eq!(wait(&mut batcher, now), None);
    }

    #[test]
    fn nothing_is_claimed_from_a_paused_queue_and_what_lapsed_is_put_back_when_it_goes_on() {
        let (mut batcher, now) = idle();
        batcher.step(Event::Notified(1), now);
        batcher
            .step(Event::Looked(now, Waiting { paused: Some(String::new()), ..waiting(0) }), now);
        assert!(batcher.is_paused());
        assert_eq!(wait(&mut batcher, now), None);
        let later = now + SECOND;
        assert_eq!(batcher.step(Event::Notified(3), later), Action::Look);
        assert_eq!(batcher.step(saw(0, later), later), Action::Rescue);
        assert_eq!(batcher.step(Event::Rescued, later), Action::Look);
        assert!(!batcher.is_paused());
    }

    #[test]
    fn the_next_retry_and_the_first_lease_to_run_out_end_the_wait() {
        let (mut batcher, now) = idle();
        let lapse = Some(4 * SECOND);
        batcher
            .step(Event::WatermarkFound(Search { begun: now, back: None, due: false, lapse }), now);
        let next = Some(2 * SECOND);
        batcher.step(Event::Looked(now, Waiting { next, ..waiting(0) }), now);
        assert_eq!(wait(&mut batcher, now), Some(now + 2 * SECOND));
        assert_eq!(batcher.step(Event::Time, now + 2 * SECOND), Action::Look);
        batcher.step(saw(0, now + 2 * SECOND), now + 2 * SECOND);
        assert_eq!(wait(&mut batcher, now + 2 * SECOND), Some(now + 4 * SECOND));
        assert_eq!(batcher.step(Event::Time, now + 4 * SECOND), Action::Rescue);
        // A lease that ran out, but whose row is locked, is no reason to do so again at once.
        let lapse = Some(Duration::ZERO);
        batcher
            .step(Event::WatermarkFound(Search { begun: now, back: None, due: false, lapse }), now);
        batcher.step(saw(0, now), now);
        assert_eq!(wait(&mut batcher, now), Some(now + SOON));
    }

    #[test]
    fn a_watermark_is_found_a_second_after_the_last_was_used_and_not_for_an_idle_queue() {
        let (mut batcher, now) = idle();
        let sixth = now + SECOND / 6;
        batcher.step(Event::Notified(1), sixth);
        assert_eq!(batcher.step(saw(0, sixth), sixth), Action::Wait(Some(now + SECOND)));
        let then = now + SECOND;
        assert_eq!(batcher.step(Event::Time, then), Action::FindWatermark(None));
        assert_eq!(batcher.step(marked(then), then), Action::Look);
        assert_eq!(batcher.step(saw(0, then), then), Action::Wait(None));
        // What it saw is gone: somebody may have leased it, and there is no telling until when.
        batcher.step(Event::Swept, then);
        batcher.step(
            Event::WatermarkFound(Search { begun: then, back: None, due: true, lapse: None }),
            then,
        );
        assert_eq!(batcher.step(saw(0, then), then), Action::Wait(Some(then + SECOND)));
    }

    #[test]
    fn a_watermark_that_takes_long_is_found_rarely_but_one_slow_answer_does_not_count() {
        let (mut batcher, now) = idle();
        for (took, after) in [(3, 0), (2, 2000)] {
            let done = now + took * SECOND;
            batcher.step(marked(now), done);
            assert_eq!(batcher.watermark.whole, Some(done + after * SECOND));
        }
    }

    #[test]
    fn between_two_searches_of_everything_what_is_late_is_found_after_about_as_long() {
        let (mut batcher, begun) = idle();
        batcher.step(marked(begun), begun + SECOND / 10);
        let mut now = begun + SECOND / 10;
        batcher.step(Event::Swept, now);
        assert_eq!(batcher.step(Event::Time, now), Action::FindWatermark(None));
        batcher.step(marked(now), now + SECOND / 50);
        now += SECOND / 50;
        let whole = now + 20 * SECOND;
        let mut seen = Vec::new();
        loop {
            // Something is done with it each time.
            batcher.watermark.used();
            let Action::Wait(Some(until)) = batcher.step(saw(0, now), now) else { panic!() };
            now = until;
            let Action::FindWatermark(back) = batcher.step(Event::Time, now) else { panic!() };
            let Some(back) = back else { break };
            seen.push(back.as_secs());
            let search = Search { begun: now, back: Some(back), due: false, lapse: None };
            batcher.step(Event::WatermarkFound(search), now);
        }
        assert_eq!(now, whole);
        let ruler = [4, 8, 4, 16, 4, 8, 4, 32, 4, 8, 4, 16, 4, 8, 4, 64, 4, 8, 4];
        assert_eq!(seen, ruler);
        // Nothing more is done, but for one search of everything in the end.
        batcher.step(marked(now), now + SECOND / 50);
        now += SECOND / 50;
        batcher.watermark.used();
        batcher.step(saw(0, now), now);
        let (once, whole) = (now + SECOND, now + 20 * SECOND);
        let back = Some(4 * SECOND);
        assert_eq!(batcher.step(Event::Time, once), Action::FindWatermark(back));
        let search = Search { begun: once, back, due: false, lapse: None };
        batcher.step(Event::WatermarkFound(search), once);
        assert_eq!(batcher.step(saw(0, once), once), Action::Wait(Some(whole)));
        // A lease ran out: another one may have been taken by whoever is gone.
        batcher.step(Event::Rescued, once);
        let soon = now + 4 * SECOND;
        assert_eq!(batcher.step(saw(0, once), once), Action::Wait(Some(once + SECOND)));
        assert_eq!(batcher.step(Event::Time, soon), Action::FindWatermark(None));
    }

    #[test]
    fn for_a_batch_of_another_size_there_is_a_look() {
        let (mut batcher, now) = idle();
        batcher.step(Event::Notified(1), now);
        batcher.step(saw(1, now), now);
        assert_eq!(batcher.step(Event::Asked(1), now), Action::Look);
        assert_eq!(batcher.step(saw(1, now), now), claim(1));
    }

    /// What happens to a queue in a time: at so many milliseconds, what.
    #[derive(Clone, Copy, Debug)]
    enum Happens {
        /// So many rows are written; one of their transactions began so many milliseconds before.
        Rows {
            count: usize,
            before: u64,
            heard: bool,
        },
        /// A row is written that comes due so many milliseconds later.
        Retry(u64),
        /// A row is written whose token expires so many milliseconds later.
        Expiring(u64),
        /// Notifications come without a row, one a millisecond.
        Forged(usize),
        /// Somebody locks all rows there are for so long.
        Lock(u64),
        /// Another collector takes so many rows.
        Steal(usize),
        Pause,
        Resume,
        /// The connection is lost, and there is none for so long.
        Lost(u64),
        /// Batches of so many are wanted.
        Asked(usize),
    }

    fn happens() -> impl Strategy<Value = Happens> {
        prop_oneof![
            8 => (1..12usize, prop_oneof![4 => Just(0), 1 => 0..9000u64], prop::bool::weighted(0.9))
                .prop_map(|(count, before, heard)| Happens::Rows { count, before, heard }),
            2 => (0..6000u64).prop_map(Happens::Retry),
            2 => (1000..8000u64).prop_map(Happens::Expiring),
            2 => (1..400usize).prop_map(Happens::Forged),
            1 => (0..9000u64).prop_map(Happens::Lock),
            1 => (1..5usize).prop_map(Happens::Steal),
            1 => Just(Happens::Pause),
            1 => Just(Happens::Resume),
            1 => (0..3000u64).prop_map(Happens::Lost),
            1 => (1..8usize).prop_map(Happens::Asked),
        ]
    }

    #[derive(Clone, Copy, Debug)]
    struct Row {
        due: Instant,
        /// When its transaction committed.
        visible: Instant,
        expires: Option<Instant>,
        /// Its notification was heard, or will be; or whoever did not notify saw us awake.
        heard: bool,
        /// Its transaction began when we were awake, and may have ended when we were not.
        late: bool,
    }

    /// A queue without a database, and the one collector that works it.
    struct World {
        now: Instant,
        batcher: Batcher,
        limit: usize,
        /// What is asked for next.
        wanted: usize,
        timeout: Duration,
        rows: Vec<Row>,
        events: BTreeMap<(Instant, usize), Happens>,
        notifications: Vec<Instant>,
        /// From when to when the queue was told that we sleep.
        slept: Vec<(Instant, Option<Instant>)>,
        floor: Option<Instant>,
        locked_until: Instant,
        paused: bool,
        /// Nothing was listening, or could be claimed, before this moment.
        hindered_until: Instant,
        /// Somebody locked or stole rows, so that windows are not those of what is left.
        meddled: bool,
        next_round: Instant,
        /// When something was asked of the database in vain, and when there was a reason to.
        asked: Vec<Instant>,
        reasons: Vec<Instant>,
        last_partial: Option<Instant>,
        full_since: Option<Instant>,
    }

    const ROUND: Duration = Duration::from_secs(20);
    const LATENCY: Duration = Duration::from_millis(1);
    /// How late a row may be for other reasons than its window: it lay before the watermark, wake-ups
    /// are looked into rarely, rows were locked.
    const SLACK: Duration = Duration::from_millis(1500);

    impl World {
        fn new(limit: usize, timeout: Duration, events: &[(u64, Happens)]) -> World {
            let start = Instant::now() + 100 * SECOND;
            let place = |(n, (at, what)): (usize, &(u64, Happens))| {
                ((start + Duration::from_millis(*at), n), *what)
            };
            let mut batcher = Batcher::new(timeout);
            batcher.step(Event::Connected(None), start);
            World {
                now: start,
                batcher,
                limit,
                wanted: limit,
                timeout,
                rows: Vec::new(),
                events: events.iter().enumerate().map(place).collect(),
                notifications: Vec::new(),
                slept: Vec::new(),
                floor: None,
                locked_until: start,
                paused: false,
                hindered_until: start,
                meddled: false,
                next_round: start + ROUND,
                asked: Vec::new(),
                reasons: vec![start],
                last_partial: None,
                full_since: None,
            }
        }

        /// Lets happen what has its time.
        fn catch_up(&mut self) {
            while let Some(entry) = self.events.first_entry()
                && entry.key().0 <= self.now
            {
                let (at, what) = (entry.key().0, entry.remove());
                self.reasons.push(at);
                let ms = Duration::from_millis;
                let row = |due| Row { due, visible: at, expires: None, heard: true, late: false };
                match what {
                    Happens::Rows { count, before, heard } => {
                        let began = at - ms(before);
                        let asleep = self.slept_at(began);
                        let one = Row { heard: heard || !asleep, late: !asleep, ..row(at) };
                        self.rows.extend((1..count).map(|_| one));
                        self.rows.push(Row { due: began, ..one });
                        self.notifications.extend((heard && asleep).then_some(at));
                    }
                    Happens::Retry(later) => {
                        self.rows.push(row(at + ms(later)));
                        self.notifications.extend(self.slept_at(at).then_some(at));
                    }
                    Happens::Expiring(later) => {
                        self.rows.push(Row { expires: Some(at + ms(later)), ..row(at) });
                        self.notifications.extend(self.slept_at(at).then_some(at));
                    }
                    Happens::Forged(count) => {
                        self.notifications.extend((0..count as u32).map(|n| at + n * MS));
                    }
                    Happens::Lock(long) => {
                        self.locked_until = self.locked_until.max(at + ms(long));
                        self.hindered_until = self.hindered_until.max(self.locked_until);
                        self.meddled = true;
                    }
                    Happens::Steal(count) => {
                        self.rows.truncate(self.rows.len().saturating_sub(count));
                        self.meddled = true;
                    }
                    Happens::Pause => self.paused = true,
                    Happens::Resume => {
                        if std::mem::take(&mut self.paused) {
                            self.hindered_until = self.hindered_until.max(at);
                        }
                        self.notifications.push(at);
                    }
                    Happens::Lost(long) => {
                        self.now = self.now.max(at + ms(long));
                        self.hindered_until = self.hindered_until.max(self.now);
                        self.wake();
                        self.batcher.step(Event::Connected(None), self.now);
                    }
                    Happens::Asked(limit) => self.wanted = limit,
                }
            }
        }

        fn slept_at(&self, at: Instant) -> bool {
            self.slept.iter().any(|(from, to)| *from <= at && to.is_none_or(|to| at < to))
        }

        fn wake(&mut self) {
            if let Some((_, to @ None)) = self.slept.last_mut() {
                *to = Some(self.now);
            }
        }

        fn sleep(&mut self) -> Event {
            self.now += LATENCY;
            self.catch_up();
            if self.slept.last().is_none_or(|(_, to)| to.is_some()) {
                self.slept.push((self.now, None));
            }
            let under_way = |((at, _), what): (&(Instant, usize), &Happens)| match what {
                Happens::Rows { before, .. } => {
                    let began = *at - Duration::from_millis(*before);
                    began <= self.now && !self.slept_at(began)
                }
                _ => false,
            };
            Event::Slept(Some(!self.events.iter().any(under_way)))
        }

        /// What a look or a claim can see now, in the order in which it comes due.
        fn seen(&self) -> Vec<usize> {
            let seen = |row: &Row| {
                row.due <= self.now && row.visible <= self.now && Some(row.due) >= self.floor
            };
            let mut seen: Vec<usize> =
                (0..self.rows.len()).filter(|n| !self.paused && seen(&self.rows[*n])).collect();
            seen.sort_by_key(|n| self.rows[*n].due);
            seen
        }

        fn look(&mut self) -> Event {
            let begun = self.now;
            self.now += LATENCY;
            self.catch_up();
            let mut seen = self.seen();
            seen.truncate(self.limit);
            let rows = || seen.iter().map(|n| self.rows[*n]);
            let pending = self.rows.iter().filter(|row| row.visible <= self.now);
            let next = pending.map(|row| row.due).filter(|due| *due > self.now).min();
            let waiting = Waiting {
                due: seen.len(),
                age: rows().map(|row| self.now - row.due).max().unwrap_or_default(),
                expires: rows().filter_map(|row| row.expires).min().map(|at| at - begun.min(at)),
                next: next.filter(|_| !self.paused).map(|at| at - begun),
                paused: self.paused.then(String::new),
                issue: false,
            };
            Event::Looked(begun, waiting)
        }

        fn claim(&mut self, least: usize, catching_up: bool) -> Event {
            self.now += LATENCY;
            self.catch_up();
            let (now, limit) = (self.now, self.limit);
            let mut taken = if now < self.locked_until { Vec::new() } else { self.seen() };
            taken.truncate(limit);
            if taken.len() < least {
                taken.clear();
            }
            let rows: Vec<Row> = taken.iter().map(|n| self.rows[*n]).collect();
            for row in &rows {
                self.check_in_time(row);
            }
            if rows.is_empty() {
                self.asked.push(now);
            } else {
                self.reasons.push(now);
            }
            if !rows.is_empty() && rows.len() < limit && !catching_up {
                self.check_window(&rows);
                self.last_partial = Some(now);
            }
            let mut place = 0..;
            self.rows.retain(|_| place.next().is_none_or(|n| !taken.contains(&n)));
            Event::Claimed { least, taken: rows.len() }
        }

        /// Whatever is due is claimed when its window ends, a token that expires before it does.
        fn check_in_time(&self, row: &Row) {
            let ready = row.due.max(row.visible).max(self.hindered_until);
            // What nobody heard of is found by the round.
            let unheard = if row.heard { Duration::ZERO } else { ROUND };
            assert!(self.now <= ready + unheard + self.timeout + SLACK, "late: {row:?}");
            if let Some(expires) = row.expires {
                assert!(self.now <= expires.max(ready + SLACK), "expired: {row:?}");
            }
        }

        /// A batch that is not full goes when a window ends and not before, and windows do not overlap.
        fn check_window(&self, rows: &[Row]) {
            let last_call = |row: &Row| {
                row.expires.is_some_and(|expires| expires < self.now + LAST_CALL + 2 * LATENCY)
            };
            if self.meddled || rows.iter().any(last_call) {
                return;
            }
            let first = rows.iter().map(|row| row.due).min().unwrap();
            assert!(self.now >= first + self.timeout, "before its window ended: {rows:?}");
            if let Some(last) = self.last_partial {
                assert!(self.now >= last + self.timeout, "two windows at once: {rows:?}");
            }
        }

        /// Nobody waits while a full batch is due that was heard of.
        fn check_no_full_batch(&mut self) {
            let unheard = self.notifications.iter().any(|at| *at <= self.now);
            let heard = |row: &Row| row.heard && !row.late;
            let heard = self.seen().iter().filter(|n| heard(&self.rows[**n])).count();
            let full = heard >= self.limit && !unheard && self.now >= self.locked_until;
            let since = full.then(|| self.full_since.unwrap_or(self.now));
            let long = since.is_some_and(|since| self.now > since + LOCKED + 60 * MS);
            assert!(!long, "a full batch waits");
            self.full_since = since;
        }

        /// In no second is the database asked much more often than there is a reason to.
        fn check_not_busy(&self) {
            for (n, from) in self.asked.iter().enumerate() {
                let within = |at: &Instant| (*from..*from + SECOND).contains(at);
                let asked = self.asked[n..].iter().take_while(|at| within(at)).count();
                let reasons = self.reasons.iter().filter(|at| within(at)).count();
                assert!(asked <= 80 + 4 * reasons, "{asked} in a second for {reasons} reasons");
            }
        }

        fn wait(&mut self, until: Instant) -> Event {
            self.check_no_full_batch();
            let next = self.events.first_key_value().map(|((at, _), _)| *at);
            self.notifications.sort();
            let first = self.notifications.first().copied();
            let ends = [Some(until), Some(self.next_round), next, first];
            self.now = self.now.max(ends.into_iter().flatten().min().unwrap());
            let before = self.notifications.len();
            self.notifications.retain(|at| *at > self.now);
            match before - self.notifications.len() {
                0 => Event::Time,
                heard => Event::Notified(heard),
            }
        }

        fn run(&mut self, end: Instant) {
            while self.now < end {
                self.catch_up();
                self.limit = self.wanted;
                self.batcher.step(Event::Asked(self.limit), self.now);
                if self.now >= self.next_round {
                    self.next_round = self.now + ROUND;
                    self.batcher.step(Event::Swept, self.now);
                }
                let event = match self.batcher.step(Event::Time, self.now) {
                    Action::Look => {
                        let event = self.look();
                        self.asked.push(self.now);
                        event
                    }
                    Action::Claim { least, catching_up } => self.claim(least, catching_up),
                    Action::FindWatermark(back) => {
                        let begun = self.now;
                        self.floor = back.map(|back| {
                            self.floor.map_or(begun - back, |floor| floor.min(begun - back))
                        });
                        let first = self.seen().first().map(|n| self.rows[*n].due);
                        let latest = begun - 2 * SECOND;
                        self.floor = Some(first.map_or(latest, |first| first.min(latest)));
                        self.now += LATENCY;
                        self.asked.push(self.now);
                        Event::WatermarkFound(Search {
                            begun,
                            back,
                            due: first.is_some(),
                            lapse: None,
                        })
                    }
                    Action::Rescue => {
                        self.now += LATENCY;
                        self.asked.push(self.now);
                        Event::Rescued
                    }
                    Action::Sleep => {
                        self.asked.push(self.now);
                        self.sleep()
                    }
                    Action::Wake => {
                        self.now += LATENCY;
                        self.wake();
                        Event::Woken
                    }
                    Action::Rest(until) => {
                        assert!(until > self.now && until <= self.now + SOON);
                        self.now = until;
                        Event::Time
                    }
                    Action::Wait(until) => {
                        assert!(until.is_none_or(|until| until > self.now), "a wait for the past");
                        self.wait(until.unwrap_or(end).min(end))
                    }
                };
                self.batcher.step(event, self.now);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn whatever_happens_batches_go_when_they_should(
            limit in 1..7usize,
            timeout in 50..6000u64,
            events in prop::collection::vec((0..20_000u64, happens()), 0..60),
        ) {
            let mut world = World::new(limit, Duration::from_millis(timeout), &events);
            let busy = world.now + 30 * SECOND;
            world.run(busy);
            if world.paused {
                world.events.insert((world.now, 0), Happens::Resume);
            }
            let quiet = world.now + ROUND + world.timeout + 2 * SLACK;
            world.run(quiet);
            prop_assert!(world.rows.is_empty(), "never claimed: {:?}", world.rows);
            world.check_not_busy();
            // An idle collector asks what a round asks, and nothing else.
            let before = world.asked.len();
            let end = world.now + ROUND;
            world.run(end);
            let asked = world.asked.len() - before;
            prop_assert!(asked <= 4, "{asked} questions of an idle collector");
        }
    }
}
