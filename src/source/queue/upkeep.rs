//! What keeps the table in order between batches: leases that ran out, tokens that expired, rows
//! that are old, and the record of the highest token.
//!
//! Out of scope: when a batch is claimed and what becomes of it.

use super::{Next, QueueSource, Retention};
use crate::db::queue::CHUNK;
use crate::error::Error;
use crate::log;
use crate::model::Batch;
use std::time::Duration;

/// How many chunks of old rows are deleted at one healthcheck.
const PRUNE_CHUNKS: usize = 100;

impl QueueSource {
    /// After rows were settled: with no retention they go with their settling.
    pub(super) fn prune_at_once(&mut self) -> Result<(), Error> {
        match self.settings.retention {
            Retention::For(Duration::ZERO) => self.prune(Duration::ZERO),
            _ => Ok(()),
        }
    }

    fn prune(&mut self, retention: Duration) -> Result<(), Error> {
        for _ in 0..PRUNE_CHUNKS {
            let done = self
                .link
                .run("pruning", |statements, client| statements.prune(client, retention))?;
            if done.is_none_or(|n| n < CHUNK as usize) || self.stop.requested() {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn rescue(&mut self, held_too: bool) -> Result<(), Error> {
        loop {
            let done = self
                .link
                .run("rescuing", |statements, client| statements.rescue(client, held_too))?;
            match done {
                Some(n) if n > 0 && !held_too => {
                    log::info("PG", format_args!("{n} leases ran out; deliveries put back"));
                }
                _ => {}
            }
            if done.is_none_or(|n| n < CHUNK as usize) {
                return Ok(());
            }
        }
    }

    /// Hands a batch on, and says so.
    pub(super) fn give(&mut self, batch: Batch, why: &str) -> Next {
        let count = batch.messages.len();
        log::info("PG", format_args!("processing {count} rows... ({why})"));
        Next::Batch(batch)
    }

    /// After a new connection: what happened meanwhile is found by looking.
    pub(super) fn catch_up(&mut self) -> Result<(), Error> {
        self.forget_floor();
        let first = !std::mem::replace(&mut self.connected_before, true);
        self.rescue(false)?;
        if first {
            self.rescue(true)?;
        }
        (self.look, self.flush, self.draining, self.connecting) = (true, true, false, true);
        Ok(())
    }

    /// The round between batches: a sign of life, lapsed leases, expired tokens, old rows.
    pub(super) fn maintain(&mut self) -> Result<(), Error> {
        self.next_check = self.now() + self.settings.healthcheck;
        self.link.probe();
        self.rescue(false)?;
        let mut expired = 0;
        while let Some(n) =
            self.link.run("expiring", |statements, client| statements.expire(client))?
        {
            expired += n;
            if n < CHUNK as usize || self.stop.requested() {
                break;
            }
        }
        if expired > 0 {
            log::info("PG", format_args!("{expired} expired before they could be sent"));
        }
        if let Retention::For(retention) = self.settings.retention {
            self.prune(retention)?;
        }
        self.link.run("adding up tallies", |statements, client| statements.fold(client))?;
        self.record()?;
        self.look = true;
        Ok(())
    }

    /// Keeps `jobs.last_seq`, once a lull, not once a batch: its row would be a bottleneck.
    pub(super) fn record(&mut self) -> Result<(), Error> {
        if self.highest > self.recorded {
            let highest = self.highest;
            self.link.run("recording", |statements, client| statements.record(client, highest))?;
            self.recorded = highest;
        }
        Ok(())
    }

    /// Says that the queue is paused, or goes on: then leases that ran out meanwhile are put back.
    /// Gives whether it goes on.
    pub(super) fn heed_pause(&mut self, paused: Option<&str>) -> Result<bool, Error> {
        let before = std::mem::replace(&mut self.paused, paused.is_some());
        match paused {
            Some(reason) if !before => {
                let why = if reason.is_empty() { "" } else { ": " };
                log::warn("PG", format_args!("queue paused{why}{reason}; nothing is claimed"));
            }
            None if before => {
                log::info("PG", "queue resumed");
                self.rescue(false)?;
                return Ok(true);
            }
            _ => {}
        }
        Ok(false)
    }
}
