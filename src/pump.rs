//! The only loop: from the source, to the transport, and back.
//!
//! In scope: the order of things, and the pace. Out of scope: what a database or a provider is.

use crate::edges::clock::Clock;
use crate::edges::http;
use crate::edges::log;
use crate::edges::stop::{GRACE, Stop};
use crate::edges::systemd;
use crate::mail::counts::Metrics;
use crate::mail::ends::{Next, Source, Transport};
use crate::mail::error::Error;
use crate::mail::model::{Batch, Message};
use crate::mail::pace::Pace;
use crate::mail::pace::change::Change;
use std::time::{Duration, Instant, SystemTime};

/// The clock of the process.
pub fn system_clock() -> Clock {
    Clock { now: Instant::now, wall: SystemTime::now, chance }
}

fn chance() -> f64 {
    let bits = getrandom::u64().unwrap_or(u64::MAX / 2);
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// A source, a transport, and the pace between them.
pub struct Pump<'a> {
    /// Where messages come from. (Not a type of its own for each: this is the whole loop.)
    pub source: &'a mut dyn Source,
    /// Where they go.
    pub transport: Box<dyn Transport>,
    /// How fast.
    pub pace: Pace,
    /// The request to stop.
    pub stop: Stop,
    /// Time.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Metrics,
    /// Part of the program, for the log.
    pub unit: &'static str,
    /// What it has done so far.
    pub progress: Progress,
}

/// What a run has done so far; it begins with nothing.
#[derive(Default)]
pub struct Progress {
    /// Messages that were accepted.
    accepted: usize,
    /// When the request to stop was noticed.
    stopped_at: Option<Instant>,
    /// How long the last batch was on its way.
    took: Duration,
}

impl Pump<'_> {
    /// Runs until the source ends, the process is asked to stop, or nothing can be handed over
    /// any more.
    ///
    /// # Errors
    /// Why the process must end; everything that was taken is settled, released or kept.
    pub fn run(&mut self) -> Result<(), Error> {
        let ended = self.turn();
        self.notice_stop();
        systemd::stopping(self.now());
        let closed = self.source.close();
        self.metrics.flush(self.now());
        if ended.is_ok() {
            let why = if self.progress.stopped_at.is_some() { "stopped" } else { "end of input" };
            let accepted = self.progress.accepted;
            log::info(self.unit, format_args!("{why}; {accepted} messages handed over"));
        }
        ended.and(closed)
    }

    fn turn(&mut self) -> Result<(), Error> {
        loop {
            systemd::progress(self.now());
            if self.notice_stop() {
                return Ok(());
            }
            self.metrics.tick(self.now());
            self.read_limits()?;
            let full = self.pace.news(self.now());
            self.say(full.as_slice());
            let ask = match self.pace.permit(self.now()) {
                Ok(ask) => ask,
                Err(at) => {
                    // A short wait for the rate is part of finishing; a hold is not.
                    let is_end = self.stop.requested() && at > self.now() + Duration::from_secs(1);
                    if is_end || !self.source.idle(self.metrics.before(at))? {
                        return Ok(());
                    }
                    continue;
                }
            };
            match self.source.next(&ask)? {
                Next::Batch(batch) => self.hand_over(batch)?,
                Next::Idle => {}
                Next::Full => self.pace.crowded(self.now()),
                Next::End => return Ok(()),
            }
            let now = (self.now(), (self.clock.wall)());
            self.metrics.count(|numbers| numbers.progress = Some(now));
        }
    }

    /// Hands a batch over, learns from what comes of it, and has that written down.
    fn hand_over(&mut self, batch: Batch) -> Result<(), Error> {
        let begun = self.now();
        let waits = |message: &&Message| self.source.sorts() && message.list.is_some();
        let of_lists = batch.messages.iter().filter(waits).count();
        self.pace.spent(of_lists, batch.messages.len() - of_lists, begun);
        // It may take as long as the last one did.
        let mut ask = self.pace.foresee(begun + self.progress.took);
        let mut ahead =
            || ask.take().iter().for_each(|ask| self.source.ahead(ask, self.progress.took));
        let mut outcomes = http::meanwhile(&mut ahead, || self.transport.send(&batch));
        let now = self.now();
        self.progress.took = now.saturating_duration_since(begun);
        let accepted = outcomes.iter().filter(|outcome| outcome.is_accepted()).count();
        if accepted > 0 {
            self.progress.accepted += accepted;
            systemd::status(format_args!("{} messages handed over", self.progress.accepted), now);
        }
        let broken = self.transport.broken();
        let mut probe = Duration::ZERO;
        // With nobody to hand over to there is nothing to learn of a pace.
        if broken.is_none() {
            let (changes, delay) = self.pace.learn(&batch.messages, &mut outcomes, now);
            self.say(&changes);
            self.metrics.count(|numbers| numbers.holding = self.pace.holding());
            // A process that ends lets others try at once what it found held.
            probe = if self.stop.requested() { Duration::ZERO } else { delay };
        }
        self.metrics.attempted(&batch.messages, &outcomes, self.progress.took);
        self.source.settle(batch.messages.into_iter().zip(outcomes).collect(), probe)?;
        broken.map_or(Ok(()), Err)
    }

    /// What others sent, and what the provider allows, when it is time to ask.
    fn read_limits(&mut self) -> Result<(), Error> {
        if self.stop.requested() {
            return Ok(());
        }
        if self.pace.wants_quota(self.now()) {
            // What became of the last batch does not wait for the provider.
            self.source.idle(self.now())?;
            let quota = self.transport.quota();
            let change = self.pace.allow(quota, self.now());
            self.say(change.as_slice());
        }
        if let Some(daily) = self.pace.wants_count(self.now()) {
            let left = self.source.left(daily)?;
            self.pace.count(left, self.now());
        }
        Ok(())
    }

    /// Notices the request to stop; gives whether the time to finish is over.
    fn notice_stop(&mut self) -> bool {
        if !self.stop.requested() {
            return false;
        }
        let now = self.now();
        if self.progress.stopped_at.is_none() {
            log::info(self.unit, "asked to stop; finishing what was begun");
            systemd::stopping(now);
        }
        now >= *self.progress.stopped_at.get_or_insert(now) + GRACE
    }

    fn say(&self, changes: &[Change]) {
        for change in changes {
            if let Change::Held(_, _, Duration::ZERO, _) = change {
                self.metrics.count(|numbers| numbers.holds += 1);
            }
            match change {
                Change::Released(..) | Change::Allowed(..) => log::info(self.unit, change),
                _ => log::warn(self.unit, change),
            }
            systemd::status(change, self.now());
        }
    }

    fn now(&self) -> Instant {
        (self.clock.now)()
    }
}
