//! How fast, how much, and when not at all: rate, day, breaker.
//!
//! In scope: arithmetic on instants that are given. Out of scope: waiting, clocks, randomness,
//! asking the database or the provider.

mod breaker;
pub mod change;
mod day;
mod rate;
mod streak;

use crate::mail::ends::Ask;
use crate::mail::model::{Message, Outcome, Quota, Scope};
use breaker::{Breakers, Met};
use change::Change;
use day::{Allowance, Slots};
use rate::Throttle;
use std::time::{Duration, Instant};
use streak::Streak;

/// The pace of one transport.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    limit: usize,
    /// Recipients a second that were asked for; infinite for a pipe.
    rate: f64,
    throttle: Throttle,
    /// The moment from which the next batch may go.
    free_at: Option<Instant>,
    /// When the last batch went, and how long it was on its way.
    went: Option<(Instant, Duration)>,
    /// The limit of recipients in any 24 hours that was set.
    daily: Option<u64>,
    own: Slots,
    database: Allowance,
    provider: Allowance,
    /// What the provider said last.
    quota: Quota,
    /// It was said that the day's limit is reached.
    full: bool,
    /// So many messages need not wait for `free_at`, if they are not of lists.
    ahead: usize,
    breakers: Breakers,
    streak: Streak,
}

/// The wait for other processes to settle what they have in hand.
const CROWDED: Duration = Duration::from_secs(1);
/// The longest wait that a rate can ask for, in seconds.
const LONGEST: f64 = 86_400.0;
/// What a slow call kept from going may be made up for, at most so much.
const CREDIT: Duration = Duration::from_secs(1);

/// The time that so many recipients take; a provider may tell any rate, and no wait is endless.
fn time_of(recipients: usize, rate: f64) -> Option<Duration> {
    let seconds = (recipients as f64 / rate).min(LONGEST);
    (rate.is_finite() && rate > 0.0).then(|| Duration::from_secs_f64(seconds))
}

impl Pace {
    /// Batches of up to `limit`, `rate` recipients a second, and a limit for any 24 hours.
    pub fn new(limit: usize, rate: f64, daily: Option<u64>) -> Pace {
        Pace { limit, rate, daily, ..Pace::default() }
    }

    /// The limit of the day, if [`Pace::count`] is due: at the start, and now and then while mail
    /// goes, for others may send too.
    pub fn wants_count(&self, now: Instant) -> Option<u64> {
        self.daily.filter(|_| self.database.is_due(now))
    }

    /// Takes what the database says is left of that limit. `None`: there is no database, what is known
    /// here must do.
    pub fn count(&mut self, left: Option<u64>, now: Instant) {
        self.database.take(left, now);
    }

    /// Whether [`Pace::allow`] is due: at the start, then every ten minutes while mail goes.
    pub fn wants_quota(&self, now: Instant) -> bool {
        self.rate.is_finite() && self.provider.is_stale(now)
    }

    /// Takes what the provider allows; the lower of that and the settings wins. `None`: it does
    /// not tell, or not now.
    pub fn allow(&mut self, quota: Option<Quota>, now: Instant) -> Option<Change> {
        let Some(quota) = quota else {
            self.provider.keep(now);
            return None;
        };
        self.provider.take(quota.left, now);
        let before = std::mem::replace(&mut self.quota, quota);
        let same = (before.rate, before.daily) == (quota.rate, quota.daily);
        (!same).then(|| Change::Allowed(quota, self.top_rate()))
    }

    /// Recipients a second when nothing throttles.
    fn top_rate(&self) -> f64 {
        self.quota.rate.map_or(self.rate, |rate| rate.min(self.rate))
    }

    /// Tells once when the day's limit is reached, and until when.
    pub fn news(&mut self, now: Instant) -> Option<Change> {
        let room = self.room(now);
        let was_full = std::mem::replace(&mut self.full, room.is_err());
        let at = room.err().filter(|_| !was_full)?;
        Some(Change::Full(at.saturating_duration_since(now)))
    }

    /// How many may go today, or when to look again.
    fn room(&mut self, now: Instant) -> Result<usize, Instant> {
        let own = self.daily.map_or(Ok(u64::MAX), |most| self.own.room(most, now));
        let rooms = [own, self.database.room(now), self.provider.room(now)];
        if let Some(at) = rooms.iter().filter_map(|room| room.err()).max() {
            return Err(at);
        }
        let room = rooms.into_iter().flatten().min();
        Ok(room.and_then(|room| usize::try_from(room).ok()).unwrap_or(usize::MAX))
    }

    /// How many holds are in force.
    pub fn holding(&self) -> usize {
        self.breakers.holding()
    }

    /// What to ask for now, where `until` is when the next held kind may be probed; or the moment before
    /// which nothing goes.
    ///
    /// # Errors
    /// That moment.
    pub fn permit(&mut self, now: Instant) -> Result<Ask, Instant> {
        let lag = now.saturating_duration_since(self.earliest(now));
        let mut limit = self.limit.min(self.throttle.batch(self.top_rate(), lag));
        if let Some(probe_at) = self.breakers.everything() {
            if now < probe_at {
                return Err(probe_at);
            }
            limit = 1;
        }
        let wait = self.free_at.filter(|&free_at| now < free_at);
        if let Some(free_at) = wait.filter(|_| self.ahead == 0) {
            return Err(free_at);
        }
        limit = limit.min(self.room(now)?);
        let (held, until) = self.breakers.kinds(now);
        let daily = [self.daily, self.quota.daily].into_iter().flatten().min();
        if wait.is_some() {
            limit = limit.min(self.ahead);
        }
        let until = until.into_iter().chain(wait).min();
        Ok(Ask { limit, held, until, daily, urgent: wait.is_some() })
    }

    /// What will be wanted when the batch that just went is there, if nothing is learnt from it. `None`:
    /// nothing, or that depends on it: something is held, or a rate is searched for.
    pub fn foresee(&mut self, then: Instant) -> Option<Ask> {
        let ask = self.permit(then).ok()?;
        let open = self.holding() > 0 || self.throttle.is_searching();
        (!open && !ask.urgent).then_some(ask)
    }

    /// Nothing could be had, for what other processes have in hand reaches the limit of the day:
    /// the counts are due again, and a short wait.
    pub fn crowded(&mut self, now: Instant) {
        self.database.forget();
        self.pause(CROWDED, now);
    }

    /// Nothing goes for so long, or longer if the rate has it so; gives how long that is.
    fn pause(&mut self, pause: Duration, now: Instant) -> Duration {
        let at = self.free_at.map_or(now + pause, |free_at| free_at.max(now + pause));
        self.free_at = Some(at);
        self.ahead = 0;
        at.saturating_duration_since(now)
    }

    /// Takes note that so many messages of lists and so many others are handed over at `now`: that takes
    /// its time, whatever becomes of them. As many others as there were of lists in a batch need not wait
    /// for the time that those take: they are as fast as beside nothing. The rate is kept all the same, for
    /// what comes next waits for all of them.
    pub fn spent(&mut self, of_lists: usize, others: usize, now: Instant) {
        let free_at = self.earliest(now);
        self.went = Some((now, Duration::ZERO));
        let cost = time_of(of_lists + others, self.throttle.rate(self.top_rate()));
        self.free_at = cost.map(|cost| free_at + cost).or(self.free_at);
        self.ahead = if of_lists > 0 { of_lists } else { self.ahead.saturating_sub(others) };
    }

    /// The moment from which what goes now is counted: its own, or an earlier one if it could not
    /// go because the batch before was still on its way.
    fn earliest(&self, now: Instant) -> Instant {
        let took = self.went.map_or(Duration::ZERO, |(_, took)| took.min(CREDIT));
        let credit = now.checked_sub(took).unwrap_or(now);
        self.free_at.map_or(now, |free_at| free_at.max(credit))
    }

    /// Learns from the outcomes of one batch; refusals that only look like the recipients' fault become
    /// ours. What was accepted, or may have been, counts for the day. Gives what changed, and how long
    /// what is held of the batch should wait.
    pub fn learn(
        &mut self,
        messages: &[Message],
        outcomes: &mut [Outcome],
        now: Instant,
    ) -> (Vec<Change>, Duration) {
        self.streak.judge(messages, outcomes);
        let met = Met::of(messages, outcomes);
        if self.daily.is_some() {
            self.own.spend(met.taken, now);
        }
        self.database.spend(met.taken);
        self.provider.spend(met.taken);
        let mut changes = self.breakers.learn(&met, now);
        let went = self.went.map_or(now, |(at, _)| at);
        self.went = self.went.map(|(at, _)| (at, now.saturating_duration_since(at)));
        let top = self.top_rate();
        let before = self.throttle.rate(top);
        changes.extend(self.throttle.learn(met.taken, met.throttled, top, now));
        // What comes next is the first at a rate that was lowered: sooner it would be refused at the old one.
        if (met.throttled || self.throttle.rate(top) < before)
            && let Some(wait) = time_of(1, self.throttle.asking(top))
        {
            self.pause(wait, went);
        }
        let (pause, back) = self.breakers.outage(&met);
        changes.extend(pause.map(|(change, pause)| change(self.pause(pause, now))));
        // The quota may have been the cause, or have changed meanwhile.
        if back || changes.iter().any(|change| matches!(change, Change::Released(Scope::All, _))) {
            self.provider.forget();
        }
        (changes, self.breakers.probe_delay(&met, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::model::{Cause, Kind, Refusal};
    use std::sync::Arc;

    const SECOND: Duration = Duration::from_secs(1);

    fn accepted() -> Outcome {
        Outcome::Accepted { provider_id: "id".into() }
    }

    fn refused(cause: Cause) -> Outcome {
        Outcome::refused(cause, "why")
    }

    fn kind(number: u16) -> Arc<str> {
        number.to_string().into()
    }

    fn message(action: u16) -> Message {
        Message { kind: Kind::numbered(action).into(), ..Message::default() }
    }

    fn learn(pace: &mut Pace, action: u16, outcome: &Outcome, now: Instant) -> Vec<Change> {
        pace.learn(&[message(action)], &mut [outcome.clone()], now).0
    }

    #[test]
    fn a_hold_on_everything_waits_and_is_probed_with_one_message_ever_more_rarely() {
        let start = Instant::now();
        let mut pace = Pace::new(10, f64::INFINITY, None);
        let mut now = start;
        let mut waits = Vec::new();
        for _ in 0..7 {
            assert_eq!(learn(&mut pace, 1, &refused(Cause::Account), now).len(), 1);
            let Err(at) = pace.permit(now) else { panic!("not held") };
            waits.push((at - now).as_secs());
            now = at;
            assert!(matches!(pace.permit(now), Ok(Ask { limit: 1, .. })));
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 600, 600]);
        let changes = learn(&mut pace, 1, &accepted(), now);
        assert_eq!(changes, [Change::Released(Scope::All, now - start)]);
        assert!(matches!(pace.permit(now), Ok(Ask { limit: 10, .. })));
    }

    #[test]
    fn a_hold_on_one_action_lets_the_others_go() {
        let now = Instant::now();
        let mut pace = Pace::new(10, f64::INFINITY, None);
        let _ = learn(&mut pace, 2, &refused(Cause::Template), now);
        let Ok(Ask { held, until, .. }) = pace.permit(now) else { panic!("all held") };
        assert_eq!((held, until), (vec![kind(2)], Some(now + 30 * SECOND)));
        let _ = learn(&mut pace, 1, &accepted(), now);
        assert_eq!(pace.holding(), 1, "another action's success ends no hold");
        let Ok(Ask { held, .. }) = pace.permit(now + 30 * SECOND) else { panic!("all held") };
        assert!(held.is_empty(), "the probe is let through");
    }

    /// The limit of the next batch, and the wait for the one behind it.
    fn next(pace: &mut Pace, now: Instant) -> (usize, Duration) {
        let Ok(Ask { limit, .. }) = pace.permit(now) else { panic!("no permit") };
        pace.spent(0, limit, now);
        let _ = learn(pace, 1, &accepted(), now);
        let Err(at) = pace.permit(now) else { panic!("no wait") };
        (limit, at - now)
    }

    #[test]
    fn where_the_rate_is_below_it_a_batch_is_spread_over_its_time() {
        let now = Instant::now();
        for (rate, limit) in [(0.5, 1), (5.0, 5), (14.0, 14), (50.0, 50), (80.0, 50)] {
            assert_eq!(next(&mut Pace::new(50, rate, None), now).0, limit, "{rate}/s");
        }
    }

    #[test]
    fn what_comes_next_is_foreseen_unless_it_depends_on_what_is_under_way() {
        let now = Instant::now();
        // 10 at 40 a second take a quarter of one.
        let mut pace = Pace::new(10, 40.0, None);
        pace.spent(0, 10, now);
        assert_eq!(pace.foresee(now + SECOND / 5), None);
        assert_eq!(pace.foresee(now + SECOND / 4).map(|ask| ask.limit), Some(10));
        let mut held = pace.clone();
        let _ = learn(&mut held, 2, &refused(Cause::Template), now);
        assert_eq!(held.foresee(now + 60 * SECOND), None, "a probe may be under way");
        let _ = learn(&mut pace, 1, &refused(Cause::Throttled), now);
        assert_eq!(pace.foresee(now + 60 * SECOND), None, "how many go is not known");
    }

    #[test]
    fn a_refused_rate_is_searched_for_what_goes_through() {
        let mut now = Instant::now();
        let mut pace = Pace::new(10, 40.0, None);
        assert_eq!(learn(&mut pace, 1, &refused(Cause::Throttled), now), [Change::Throttled(40.0)]);
        // Single messages ask, each after twice the wait.
        let mut waits = Vec::new();
        for _ in 0..13 {
            let Err(at) = pace.permit(now) else { panic!("no wait") };
            waits.push((at - now).as_millis());
            now = at;
            assert!(matches!(pace.permit(now), Ok(Ask { limit: 1, .. })));
            assert_eq!(learn(&mut pace, 1, &refused(Cause::Throttled), now), []);
        }
        let expected =
            [25, 50, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000, 10_000];
        assert_eq!(waits, expected);
        // What goes through is half the rate, then the middle between that and what was refused.
        now += 10 * SECOND;
        let (one, wait) = next(&mut pace, now);
        assert_eq!((one, wait.as_millis()), (1, 50));
        let mut changes = Vec::new();
        let mut rates = Vec::new();
        for _ in 0..9 {
            for _ in 0..2 {
                now += SECOND;
                pace.spent(0, 1, now);
                changes.extend(learn(&mut pace, 1, &accepted(), now));
            }
            now += SECOND;
            let (limit, wait) = next(&mut pace, now);
            rates.push(limit as u128 * 1000 / wait.as_millis());
        }
        assert_eq!(rates[..4], [30, 35, 38, 40]);
        assert!(rates.is_sorted() && rates[8] == 40, "{rates:?}");
        let [Change::Takes(rate)] = changes[..] else { panic!("{changes:?}") };
        assert!((38.0..40.0).contains(&rate), "it is told once: {rate}");
        // After five minutes without a refusal batches are whole again.
        for _ in 0..4 {
            now += 301 * SECOND;
            let _ = learn(&mut pace, 1, &accepted(), now);
        }
        assert!(matches!(pace.permit(now + SECOND), Ok(Ask { limit: 10, .. })));
    }

    #[test]
    fn a_rate_of_almost_nothing_is_a_wait_and_no_fault() {
        let now = Instant::now();
        for rate in [1e-300, f64::MIN_POSITIVE] {
            let mut pace = Pace::new(10, 50.0, None);
            let _ = pace.allow(Some(Quota { rate: Some(rate), ..Quota::default() }), now);
            pace.spent(0, 1, now);
            assert_eq!(pace.permit(now), Err(now + 86_400 * SECOND));
        }
    }

    #[test]
    fn what_no_provider_took_does_not_count_for_the_day() {
        let mut now = Instant::now();
        let mut pace = Pace::new(10, 1000.0, Some(15));
        let full = |pace: &mut Pace, now| pace.news(now).is_some();
        for cause in [Cause::Away, Cause::Throttled, Cause::Account, Cause::Rejected] {
            let outcome = refused(cause);
            for _ in 0..20 {
                pace.spent(0, 1, now);
                let _ = learn(&mut pace, 1, &outcome, now);
                assert!(!full(&mut pace, now), "{outcome:?}");
                now += SECOND;
            }
        }
        for outcome in [refused(Cause::Unknown), refused(Cause::Gateway), accepted()] {
            for _ in 0..5 {
                assert!(!full(&mut pace, now), "{outcome:?}");
                let _ = learn(&mut pace, 1, &outcome, now);
            }
        }
        assert!(full(&mut pace, now));
    }

    fn away() -> Outcome {
        Outcome::refused(Cause::Away, "later")
    }

    fn asks(after: u32, cause: Cause) -> Outcome {
        let (after, why) = (Some(after * SECOND), "later".to_owned());
        Outcome::Refused(Refusal { cause, why, after })
    }

    #[test]
    fn a_provider_that_is_not_reached_is_left_alone_ever_longer() {
        let mut now = Instant::now();
        let mut pace = Pace::new(10, f64::INFINITY, None);
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            let changes = learn(&mut pace, 1, &away(), now);
            assert_eq!(changes, [Change::Unreached(pause * SECOND)]);
            assert_eq!(pace.permit(now), Err(now + pause * SECOND));
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
            assert_eq!(pace.permit(now), Err(now + pause * SECOND));
            assert!(pace.holding() == 0);
            let Ok(Ask { limit: 10, .. }) = pace.permit(now + pause * SECOND) else { panic!() };
        }
        let mut pace = Pace::new(10, 50.0, None);
        let mut outcomes = [asks(9, Cause::Away), asks(7, Cause::Away)];
        let (changes, _) = pace.learn(&[message(1), message(2)], &mut outcomes, Instant::now());
        assert_eq!(changes, [Change::Unreached(9 * SECOND)]);
    }

    #[test]
    fn a_throttling_provider_that_asks_for_a_pause_gets_it() {
        let now = Instant::now();
        let mut pace = Pace::new(10, 40.0, None);
        let changes = learn(&mut pace, 1, &asks(120, Cause::Throttled), now);
        assert_eq!(changes, [Change::Throttled(40.0), Change::Asked(120 * SECOND)]);
        assert_eq!(pace.permit(now), Err(now + 120 * SECOND));
        // Some of the batch went before it was said.
        let mut outcomes = [accepted(), asks(120, Cause::Throttled)];
        let later = now + 200 * SECOND;
        let (changes, _) = pace.learn(&[message(1), message(2)], &mut outcomes, later);
        assert_eq!(changes, [Change::Asked(120 * SECOND)]);
    }

    #[test]
    fn a_wait_that_is_asked_for_one_message_keeps_no_other_from_going() {
        let now = Instant::now();
        let mut pace = Pace::new(10, 50.0, None);
        assert_eq!(learn(&mut pace, 1, &asks(120, Cause::Busy), now), []);
        assert!(matches!(pace.permit(now), Ok(Ask { .. })));
    }

    #[test]
    fn the_pause_that_is_told_is_the_one_that_the_rate_asks_for_if_that_is_longer() {
        let now = Instant::now();
        let mut pace = Pace::new(10, 0.5, None);
        pace.spent(0, 10, now);
        let changes = learn(&mut pace, 1, &asks(5, Cause::Away), now);
        assert_eq!(changes, [Change::Unreached(20 * SECOND)]);
        assert_eq!(pace.permit(now), Err(now + 20 * SECOND));
    }

    #[test]
    fn other_mail_goes_ahead_of_what_lists_used_up_and_the_rate_is_kept() {
        let now = Instant::now();
        let mut pace = Pace::new(10, 10.0, None);
        let Ok(Ask { urgent: false, limit, .. }) = pace.permit(now) else { panic!("wait") };
        pace.spent(limit, 0, now);
        let free_at = now + SECOND * limit as u32 / 10;
        let mut gone = 0;
        // In the time that those take: as many others, and no more.
        while let Ok(ask) = pace.permit(now) {
            assert!(
                ask.urgent && ask.until == Some(free_at + SECOND * gone as u32 / 10),
                "{ask:?}"
            );
            assert_eq!(ask.limit, limit - gone);
            pace.spent(0, 1, now);
            gone += 1;
        }
        assert_eq!(gone, limit);
        let all = free_at + SECOND * gone as u32 / 10;
        assert_eq!(pace.permit(now), Err(all));
        assert!(matches!(pace.permit(all), Ok(Ask { urgent: false, .. })));
        // An outage is waited for.
        pace.spent(1, 0, all);
        pace.crowded(all);
        assert!(pace.permit(all).is_err());
    }
}
