//! What keeps the table in order between batches: leases that ran out, tokens that expired, rows
//! that are old, the record of the highest token, and the count of what waits.
//!
//! Out of scope: when a batch is claimed and what becomes of it.

use crate::edges::log;
use crate::mail::error::Error;
use crate::queue::source::{OnAccept, QueueSource, Retention};
use crate::queue::store::{CHUNK, Rescued};
use std::time::Duration;

/// How many chunks of old rows are deleted at one healthcheck.
const PRUNE_CHUNKS: usize = 100;

/// While there is something to do, what waits is counted this often; while there is not, at each
/// healthcheck.
const COUNT_EVERY: Duration = Duration::from_secs(10);
/// Counting takes no more than this part of the time.
const COUNT_SHARE: u32 = 100;
/// The time between two lulls in which the highest token is written down.
const RECORD_EVERY: Duration = Duration::from_secs(60);

impl QueueSource {
    /// After rows were settled: with no retention they go with their settling.
    pub(crate) fn prune_at_once(&mut self) {
        if self.settings.retention == Retention::For(Duration::ZERO) {
            self.prune(Duration::ZERO);
        }
    }

    fn prune(&mut self, retention: Duration) {
        for _ in 0..PRUNE_CHUNKS {
            let done =
                self.link.ask("pruning", |statements, client| statements.prune(client, retention));
            if done.is_none_or(|n| n < CHUNK as usize) || self.stop.requested() {
                break;
            }
        }
    }

    pub(crate) fn rescue(&mut self, held_too: bool) -> Result<(), Error> {
        let but = self.settling.locked();
        loop {
            let done = self
                .link
                .run("rescuing", |statements, client| statements.rescue(client, held_too, &but))?;
            let Some(Rescued { count, of_collectors }) = done else { return Ok(()) };
            if count > 0 && !held_too {
                log::info("PG", format_args!("leases that ran out: {count}; deliveries put back"));
            }
            if of_collectors > 0 && self.settings.on_accept == OnAccept::Leave {
                log::warn(
                    "PG",
                    format_args!(
                        "deliveries that were written, but no send took over before their \
                         leases ran out: {of_collectors}; it is held up, or MAILROOM_ACK is not \
                         sent there"
                    ),
                );
            }
            if count < CHUNK as usize {
                return Ok(());
            }
        }
    }

    /// The round between batches: a sign of life, lapsed leases, expired tokens, old rows.
    pub(crate) fn maintain(&mut self) -> Result<(), Error> {
        self.next_check = self.now() + self.settings.healthcheck;
        self.link.probe();
        self.rescue(false)?;
        let mut expired = 0;
        while let Some(n) =
            self.link.ask("expiring", |statements, client| statements.expire(client))
        {
            expired += n;
            if n < CHUNK as usize || self.stop.requested() {
                break;
            }
        }
        if expired > 0 {
            self.report_expired(expired);
        }
        if let Retention::For(retention) = self.settings.retention {
            self.prune(retention);
        }
        let folded =
            self.link.ask("adding up tallies", |statements, client| statements.fold(client));
        if folded.is_some() {
            self.answered();
        }
        self.record();
        self.survey.at = Some(self.now());
        Ok(())
    }

    pub(crate) fn report_expired(&self, count: usize) {
        log::info("PG", format_args!("{count} expired before they could be sent"));
        self.link.metrics().count(|numbers| numbers.expired += count as u64);
    }

    /// The database answered: that is progress, and what waits may have changed.
    pub(crate) fn answered(&mut self) {
        let (metrics, now) = (self.link.metrics(), self.now());
        metrics.count(|numbers| numbers.progress = Some((now, (self.clock.wall)())));
        if metrics.is_on() {
            let next = self.count_after.map_or(now, |at| now.max(at));
            self.count_at.get_or_insert(next);
        }
    }

    /// Counts what waits, if it is time.
    pub(crate) fn count(&mut self) {
        let begun = self.now();
        if self.count_at.is_none_or(|at| begun < at) {
            return;
        }
        self.count_at = None;
        let depth =
            self.link.ask("counting what waits", |statements, client| statements.depth(client));
        if let Some(depth) = depth {
            let now = self.now();
            self.link.metrics().count(|numbers| numbers.depth = Some((depth, now)));
        }
        let done = self.now();
        let took = done.saturating_duration_since(begun);
        self.count_after = Some(done + COUNT_EVERY.max(took * COUNT_SHARE));
    }

    /// Keeps `jobs.last_seq`. Not once a batch: collectors would wait for each other, and each claim
    /// reads that row, past all versions of it since the oldest open transaction began.
    pub(crate) fn record(&mut self) {
        let highest = self.highest;
        if highest > self.recorded {
            self.record_after = self.now() + RECORD_EVERY;
            let done =
                self.link.ask("recording", |statements, client| statements.record(client, highest));
            if done.is_some() {
                self.recorded = highest;
            }
        }
    }

    /// Says that the queue is paused, or goes on: then leases that ran out meanwhile are put back.
    /// Gives whether it goes on.
    pub(crate) fn heed_pause(&mut self, paused: Option<&str>) -> Result<bool, Error> {
        let before = std::mem::replace(&mut self.paused, paused.is_some());
        self.link.metrics().count(|numbers| numbers.paused = Some(self.paused));
        match paused {
            Some(reason) if !before => {
                let why = if reason.is_empty() { "" } else { ": " };
                log::warn("PG", format_args!("queue paused{why}{reason}; nothing is claimed"));
            }
            None if before => {
                log::info("PG", "queue resumed");
                self.rescue(false)?;
                self.survey.used();
                return Ok(true);
            }
            _ => {}
        }
        Ok(false)
    }
}
