//! Writing down what became of deliveries, and of those whose rows somebody else has locked, later.
//!
//! In scope: trying again, and what is said of settlements that the database did not take. Out of
//! scope: the statement (`db/settle.sql`), faults of the connection (`link.rs`).

use crate::edges::clock::Clock;
use crate::edges::log;
use crate::edges::pg::fault::is_locked_out;
use crate::mail::counts::Metrics;
use crate::mail::error::Error;
use crate::mail::model::{Outcome, Settlement, Ticket};
use crate::mail::pace;
use crate::mail::policy;
use crate::queue::link::Link;
use std::time::{Duration, Instant};

/// How often rows that are locked are tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Settlements, and those of them that are still to be written.
pub struct Settling {
    clock: Clock,
    max_attempts: u32,
    /// Their rows are locked by another transaction.
    locked: Vec<(Ticket, Settlement)>,
    again_at: Option<Instant>,
}

impl Settling {
    /// Nothing is to be written. A delivery fails after so many attempts.
    pub fn new(max_attempts: u32, clock: Clock) -> Settling {
        Settling { clock, max_attempts, locked: Vec::new(), again_at: None }
    }

    /// What is written of a message that was tried `attempts` times before; `probe` is how long what is
    /// held waits.
    pub fn of(&self, outcome: Outcome, attempts: u32, probe: Duration) -> Settlement {
        let backoff = |attempt| pace::backoff(attempt, (self.clock.chance)());
        policy::settlement(outcome, attempts, self.max_attempts, backoff, probe)
    }

    /// When [`Settling::retry`] has something to do.
    pub fn due(&self) -> Option<Instant> {
        self.again_at
    }

    /// The deliveries whose rows are locked. What became of them is known: they are not to be put back
    /// when their leases run out.
    pub fn locked(&self) -> Vec<i64> {
        self.locked.iter().map(|(ticket, _)| ticket.delivery).collect()
    }

    /// Writes settlements down, however often that must be tried; a row that is locked for longer
    /// than the connection waits is left for later. Gives whether any was written.
    ///
    /// # Errors
    /// As [`Link::run`].
    pub fn write(
        &mut self,
        link: &mut Link,
        what: &str,
        settled: Vec<(Ticket, Settlement)>,
    ) -> Result<bool, Error> {
        self.put(link, what, settled, false)
    }

    /// Tries those again whose rows were locked, if it is time.
    ///
    /// # Errors
    /// As [`Link::run`].
    pub fn retry(&mut self, link: &mut Link) -> Result<(), Error> {
        if self.again_at.is_some_and(|at| at <= (self.clock.now)()) {
            self.retry_now(link)?;
        }
        Ok(())
    }

    /// The last try: what cannot be written now is said to be ambiguous.
    ///
    /// # Errors
    /// As [`Link::run`].
    pub fn close(&mut self, link: &mut Link) -> Result<(), Error> {
        if !self.locked.is_empty() {
            self.retry_now(link)?;
        }
        report(&std::mem::take(&mut self.locked), None, link.metrics());
        Ok(())
    }

    fn retry_now(&mut self, link: &mut Link) -> Result<(), Error> {
        let locked = std::mem::take(&mut self.locked);
        self.again_at = None;
        self.put(link, "settling", locked, true).map(drop)
    }

    fn put(
        &mut self,
        link: &mut Link,
        what: &str,
        mut settled: Vec<(Ticket, Settlement)>,
        retry: bool,
    ) -> Result<bool, Error> {
        let (mut again, mut pass_over) = (retry, retry);
        let done = link.run(what, |statements, client| {
            let before = std::mem::replace(&mut again, true);
            match statements.settle(client, &settled, before, pass_over) {
                Err(error) if is_locked_out(&error) && !pass_over => {
                    pass_over = true;
                    statements.settle(client, &settled, before, pass_over)
                }
                other => other,
            }
        })?;
        let Some(done) = done else {
            report(&settled, None, link.metrics());
            return Ok(false);
        };
        let locked = settled.extract_if(.., |(ticket, _)| done.locked.contains(&ticket.delivery));
        let locked: Vec<_> = locked.collect();
        if !retry && !locked.is_empty() {
            log::warn(
                "PG",
                format_args!(
                    "deliveries that another transaction has locked: {}; they are written down \
                     when it ends",
                    locked.len()
                ),
            );
        }
        self.locked.extend(locked);
        if !self.locked.is_empty() {
            // Of the first of them: batches may follow each other in less time.
            self.again_at.get_or_insert_with(|| (self.clock.now)() + AGAIN);
        }
        report(&settled, Some(&done.written), link.metrics());
        Ok(!done.written.is_empty())
    }
}

fn has(written: &[i64], id: i64) -> bool {
    written.binary_search(&id).is_ok()
}

/// Counts what has failed; says which settlements the database did not take, and why that may be.
fn report(settled: &[(Ticket, Settlement)], written: Option<&[i64]>, metrics: &Metrics) {
    for (ticket, settlement) in settled {
        let id = ticket.delivery;
        match (written, settlement) {
            (Some(written), Settlement::Failed { why, .. }) if has(written, id) => {
                metrics.count(|numbers| numbers.failed.add(why));
            }
            (None, Settlement::Sent { .. }) => log::warn(
                "PG",
                format_args!(
                    "delivery {id} is ambiguous: it was accepted, but that could not be written \
                     down; it may be sent twice"
                ),
            ),
            (Some(written), Settlement::Sent { .. }) if !has(written, id) => log::warn(
                "PG",
                format_args!(
                    "delivery {id} is ambiguous: it was accepted after somebody else had settled \
                     or deleted it; it may have been sent twice"
                ),
            ),
            (Some(written), _) if !has(written, id) => log::warn(
                "PG",
                format_args!("delivery {id}: its lease had run out; somebody else settles it"),
            ),
            _ => {}
        }
    }
}
