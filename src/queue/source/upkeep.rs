//! What keeps the table in order between batches: leases that ran out, tokens that expired, rows
//! that are old, the record of the highest token, and the count of what waits.
//!
//! Out of scope: when a batch is claimed and what becomes of it.

use crate::edges::log;
use crate::mail::error::Error;
use crate::queue::link::Link;
use crate::queue::source::settings::Settings;
use crate::queue::store::values::CHUNK;
use std::time::{Duration, Instant};

/// How many chunks of rows one round puts back or deletes. There is an end to it even if another
/// process holds again what was put back.
const CHUNKS: usize = 100;

/// While there is something to do, what waits is counted this often; while there is not, at each
/// healthcheck.
const COUNT_EVERY: Duration = Duration::from_secs(10);
/// Counting takes no more than this part of the time.
const COUNT_SHARE: u32 = 100;
/// The time between two lulls in which the highest token is written down.
const RECORD_EVERY: Duration = Duration::from_secs(60);

/// When each of these is due, and what it needs.
pub struct Upkeep {
    settings: Settings,
    next_round: Instant,
    /// When what waits is counted next, if anybody wants to know;
    count_at: Option<Instant>,
    /// not before this moment,
    count_after: Instant,
    /// but, once nothing is due any longer of what was, from this one on.
    recount_after: Option<Instant>,
    /// The highest token that was handed out,
    highest: i64,
    /// and the one that was written down.
    recorded: i64,
    /// A lull before this moment is not for writing it down.
    record_after: Instant,
}

impl Upkeep {
    /// The first round comes a healthcheck interval after `now`.
    pub fn new(settings: Settings, now: Instant) -> Upkeep {
        Upkeep {
            settings,
            next_round: now + settings.healthcheck,
            count_at: None,
            count_after: now,
            recount_after: None,
            highest: 0,
            recorded: 0,
            record_after: now,
        }
    }

    /// When [`Upkeep::run`] has something to do.
    pub fn due(&self) -> Instant {
        self.count_at.map_or(self.next_round, |at| at.min(self.next_round))
    }

    /// Does what is due. Gives whether that was a whole round.
    ///
    /// # Errors
    /// As [`Link::run`].
    pub fn run(&mut self, link: &mut Link, settling: &[i64]) -> Result<bool, Error> {
        let now = (link.clock.now)();
        let round = now >= self.next_round;
        if round {
            self.next_round = now + self.settings.healthcheck;
            self.round(link, settling)?;
        }
        self.count(link);
        Ok(round)
    }

    /// Lapsed leases, expired tokens, old rows; what is asked first tells whether the server is there.
    fn round(&mut self, link: &mut Link, settling: &[i64]) -> Result<(), Error> {
        self.rescue(link, settling, false)?;
        let mut expired = 0;
        while let Some((n, late)) = link.ask("expiring", |store, client| store.expire(client)) {
            expired += late;
            if n < CHUNK as usize || link.stop.requested() {
                break;
            }
        }
        report_expired(link, expired);
        if let Some(retention) = self.settings.retention {
            self.prune(link, retention);
        }
        if link.ask("adding up tallies", |statements, client| statements.fold(client)).is_some() {
            self.answered(link);
        }
        self.record(link);
        Ok(())
    }

    /// Puts back deliveries whose lease ran out, but for those that are being settled; and, if asked,
    /// has held ones tried now.
    ///
    /// # Errors
    /// As [`Link::run`].
    pub fn rescue(&self, link: &mut Link, settling: &[i64], held_too: bool) -> Result<(), Error> {
        for _ in 0..CHUNKS {
            let done = link.run("rescuing", |statements, client| {
                statements.rescue(client, held_too, settling, "")
            })?;
            let Some(put_back) = done else { return Ok(()) };
            let count = put_back.iter().flatten().count();
            if count > 0 {
                log::info("PG", format_args!("leases that ran out: {count}; deliveries put back"));
            }
            let of_collectors = put_back.iter().flatten().filter(|who| *who == "collect").count();
            if of_collectors > 0 && !self.settings.settles {
                let text = format!(
                    "deliveries that were written, but no send took over before their leases ran \
                     out: {of_collectors}; it is held up, or MAILROOM_ACK is not sent there"
                );
                log::warn("PG", text);
            }
            if put_back.len() < CHUNK as usize || link.stop.requested() {
                break;
            }
        }
        Ok(())
    }

    /// After rows were settled: with no retention they go with their settling.
    pub fn prune_at_once(&self, link: &mut Link) {
        if self.settings.retention == Some(Duration::ZERO) {
            self.prune(link, Duration::ZERO);
        }
    }

    fn prune(&self, link: &mut Link, retention: Duration) {
        for _ in 0..CHUNKS {
            let done =
                link.ask("pruning", |statements, client| statements.prune(client, retention));
            if done.is_none_or(|n| n < CHUNK as usize) || link.stop.requested() {
                break;
            }
        }
    }

    /// The database answered: that is progress, and what waits may have changed.
    pub fn answered(&mut self, link: &Link) {
        let (metrics, now) = (&link.metrics, (link.clock.now)());
        metrics.count(|numbers| numbers.progress = Some((now, (link.clock.wall)())));
        if metrics.is_on() {
            self.want_count(now);
        }
    }

    fn want_count(&mut self, now: Instant) {
        self.count_at.get_or_insert(self.count_after.max(now));
    }

    fn count(&mut self, link: &mut Link) {
        let begun = (link.clock.now)();
        if self.count_at.take_if(|at| *at <= begun).is_none() {
            return;
        }
        let max_age = self.settings.max_age;
        let movement =
            link.ask("counting what waits", |store, client| store.movement(client, max_age));
        link.metrics.count(|numbers| numbers.movement = movement.flatten());
        let depth = link.ask("counting what waits", |statements, client| statements.depth(client));
        let done = (link.clock.now)();
        let took = done.saturating_duration_since(begun);
        self.counted(took, done);
        if let Some(depth) = depth {
            self.recount_after = (depth.due > 0).then(|| done + took * COUNT_SHARE);
            link.metrics.count(|numbers| numbers.depth = Some((depth, done)));
            link.metrics.flush(done);
        }
    }

    fn counted(&mut self, took: Duration, done: Instant) {
        self.count_after = done + COUNT_EVERY.max(took * COUNT_SHARE);
    }

    /// These tokens were handed out.
    pub fn handed_out(&mut self, tokens: impl Iterator<Item = i64>) {
        self.highest = tokens.fold(self.highest, i64::max);
    }

    /// Nothing is due: a time for [`Upkeep::record`].
    pub fn lull(&mut self, link: &mut Link) {
        // The numbers are not to speak of a backlog that is gone.
        self.count_at = self.recount_after.take().or(self.count_at);
        if (link.clock.now)() >= self.record_after {
            self.record(link);
        }
    }

    /// Keeps `jobs.last_seq`. Not once a batch: collectors would wait for each other, and each claim
    /// reads that row, past all versions of it since the oldest open transaction began.
    pub fn record(&mut self, link: &mut Link) {
        let highest = self.highest;
        if highest > self.recorded {
            self.record_after = (link.clock.now)() + RECORD_EVERY;
            if link.ask("recording", |store, client| store.record(client, highest)).is_some() {
                self.recorded = highest;
            }
        }
    }
}

/// Counts deliveries whose token expired, and says so.
pub fn report_expired(link: &Link, count: usize) {
    if count > 0 {
        log::info("PG", format_args!("{count} expired before they could be sent"));
        link.metrics.count(|numbers| numbers.expired += count as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn upkeep(now: Instant) -> Upkeep {
        let settings = Settings {
            timeout: SECOND,
            healthcheck: 60 * SECOND,
            lease: SECOND,
            spare: Duration::ZERO,
            retention: None,
            max_age: Duration::from_secs(600),
            max_attempts: 5,
            settles: true,
            daily_limit: None,
            bulk_share: 80,
            carries: "mail",
            holder: "run",
        };
        Upkeep::new(settings, now)
    }

    #[test]
    fn a_round_is_due_after_a_healthcheck_interval() {
        let now = Instant::now();
        assert_eq!(upkeep(now).due(), now + 60 * SECOND);
    }

    #[test]
    fn what_waits_is_counted_at_once_when_something_changed_but_not_all_the_time() {
        let now = Instant::now();
        let mut upkeep = upkeep(now);
        upkeep.want_count(now + SECOND);
        upkeep.want_count(now + 2 * SECOND);
        assert_eq!(upkeep.due(), now + SECOND);
        upkeep.count_at = None;
        upkeep.counted(Duration::ZERO, now + SECOND);
        upkeep.want_count(now + 2 * SECOND);
        assert_eq!(upkeep.due(), now + 11 * SECOND);
    }

    #[test]
    fn a_count_that_takes_long_is_made_rarely() {
        let now = Instant::now();
        let mut upkeep = upkeep(now);
        upkeep.counted(SECOND / 2, now + SECOND / 2);
        upkeep.want_count(now + SECOND);
        assert_eq!(upkeep.due(), now + SECOND / 2 + 50 * SECOND);
    }
}
