//! Standard input as a source: reads batches, and keeps what could not be delivered.
//!
//! In scope: when to read on, what is said of bad input, the end. Out of scope: what becomes of
//! messages (a [`Ledger`]): without a database they wait in memory (`pipe/retry.rs`), with one they
//! are taken over from the collector and settled there (`queue/adopt.rs`).

pub mod input;

use crate::edges::clock::Clock;
use crate::edges::log;
use crate::edges::stop::{SLICE, Stop};
use crate::edges::systemd as notify;
use crate::mail::counts::Metrics;
use crate::mail::ends::{Ask, Ledger, Next, Source};
use crate::mail::error::{Error, Kind};
use crate::mail::model::{Batch, Message, Outcome, shown};
use crate::mail::wire::csv::encode;
use crate::mail::wire::{Bad, Record};
use crate::pipe::read::input::Input;
use crate::pipe::undelivered::Undelivered;
use std::time::{Duration, Instant};

/// So many messages that will not be sent are kept at once: a writer that does not end must not fill
/// the memory.
const TOGETHER: usize = 500;

/// Messages read from a pipe or a file.
pub struct PipeSource {
    input: Input,
    ledger: Box<dyn Ledger>,
    undelivered: Undelivered,
    metrics: Metrics,
    stop: Stop,
    clock: Clock,
    /// Bad records and messages so far.
    bad: usize,
}

impl PipeSource {
    /// Reads `input` into `ledger`; what nobody else has and will not be sent goes to `undelivered`.
    pub fn new(
        input: Input,
        ledger: Box<dyn Ledger>,
        undelivered: Undelivered,
        metrics: Metrics,
        stop: Stop,
        clock: Clock,
    ) -> PipeSource {
        PipeSource { input, ledger, undelivered, metrics, stop, clock, bad: 0 }
    }

    /// Enters what is good; says what is bad, and keeps it.
    fn take(&mut self, records: Vec<Record>) -> Result<(), Error> {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for Record { number, good: messages, bad: others } in records {
            good.extend(messages.into_iter().map(|(place, message)| ((number, place), message)));
            bad.extend(others.into_iter().map(|bad| (number, bad)));
        }
        let (refused, entered) = match self.ledger.enter(good) {
            Ok(refused) => (refused, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        bad.extend(refused.into_iter().map(|((number, place), message, why)| {
            (number, Bad { message: Some(place), why, raw: record(message) })
        }));
        bad.sort_by_key(|(number, bad)| (*number, bad.message));
        self.bad += bad.len();
        let counts = self.input.counts();
        let kept = bad.into_iter().map(|(number, Bad { message, why, raw })| {
            self.metrics.count(|numbers| numbers.bad_input += 1);
            let place = message.map(|place| format!(", message {place}")).unwrap_or_default();
            (format!("bad input: {counts} {number}{place}: {why}"), raw)
        });
        self.undelivered.keep(kept.collect(), (self.clock.now)());
        entered
    }

    /// Keeps for a person what was not delivered, with the reasons.
    fn give_up(&mut self, messages: Vec<(Message, String)>) {
        let kept = messages.into_iter().map(|(message, why)| {
            let to = shown(&message.email, log::is_debug());
            (format!("not delivered to {to}: {why}"), record(message))
        });
        self.undelivered.keep(kept.collect(), (self.clock.now)());
    }

    /// Gives up what waits.
    fn release(&mut self) -> Result<(), Error> {
        let why = match self.stop.requested() {
            true => "the process was asked to stop",
            false => "the process could not go on",
        };
        let messages = self.ledger.release()?;
        self.give_up(messages.into_iter().map(|message| (message, why.to_owned())).collect());
        Ok(())
    }

    /// Takes what is in the pipe and will not be sent any more: nobody else has it.
    fn empty_the_pipe(&mut self) -> Result<(), Error> {
        let end = (self.clock.now)() + SLICE;
        while self.stop.requested() && !self.undelivered.is_full() && (self.clock.now)() < end {
            let records = self.input.read(None, 1)?;
            if records.is_empty() {
                break;
            }
            self.take(records)?;
            if self.ledger.waiting() >= TOGETHER {
                self.release()?;
            }
        }
        Ok(())
    }

    /// Whether the writer has handed over what nobody read, and nobody has.
    fn is_lost(&self) -> bool {
        if let Some(last) = self.input.left() {
            let after = format_args!("{} {last}", self.input.counts());
            log::warn(
                "SEND",
                format_args!(
                    "asked to stop before the end of the input, after {after}; the rest is in its \
                     file alone"
                ),
            );
        }
        self.input.holds_more()
    }
}

/// A message as a record of its own.
fn record(message: Message) -> Vec<u8> {
    let mut record = Vec::new();
    encode(&[message], &mut record);
    record
}

impl Source for PipeSource {
    fn next(&mut self, ask: &Ask) -> Result<Next, Error> {
        loop {
            let now = (self.clock.now)();
            notify::progress(now);
            // The pump writes the numbers.
            let dues = [self.metrics.due(), self.undelivered.retry(now), self.ledger.tend()?];
            let wake = dues.into_iter().chain([ask.until]).flatten().min();
            let batch = self.ledger.next(ask)?;
            if !batch.messages.is_empty() {
                return Ok(Next::Batch(batch));
            }
            if self.ledger.waiting() > 0 || self.undelivered.is_full() {
                if self.stop.requested() {
                    return Ok(Next::End);
                }
                if wake.is_some_and(|wake| wake <= now) {
                    return Ok(Next::Idle);
                }
                // Meanwhile the pipe fills, and its writer waits.
                let end = wake.unwrap_or(now + SLICE).min(now + SLICE);
                self.stop.sleep(end - now);
                continue;
            }
            let records = self.input.read(wake, ask.limit)?;
            if records.is_empty() {
                return Ok(if self.input.is_over() { Next::End } else { Next::Idle });
            }
            self.take(records)?;
            if self.ledger.waiting() == 0 {
                // Bad records without end must not keep the pump from its other work.
                return Ok(Next::Idle);
            }
        }
    }

    fn idle(&mut self, until: Instant) -> Result<bool, Error> {
        self.ledger.tend()?;
        let left = until.saturating_duration_since((self.clock.now)()).min(SLICE);
        if self.stop.requested() {
            std::thread::sleep(left);
        } else {
            self.stop.sleep(left);
        }
        Ok(true)
    }

    fn settle(
        &mut self,
        batch: Batch,
        outcomes: Vec<Outcome>,
        probe: Duration,
    ) -> Result<(), Error> {
        let given_up = self.ledger.settle(batch, outcomes, probe)?;
        for (_, why) in &given_up {
            self.metrics.count(|numbers| numbers.failed.add(why));
        }
        self.give_up(given_up);
        Ok(())
    }

    fn sent_by_slot(&mut self) -> Result<Option<Vec<u64>>, Error> {
        self.ledger.sent_by_slot()
    }

    fn close(&mut self) -> Result<(), Error> {
        let is_sole = self.ledger.is_sole();
        let emptied = if is_sole { self.empty_the_pipe() } else { Ok(()) };
        let lost = is_sole && self.is_lost();
        self.input.close();
        let released = self.release();
        let kept = self.undelivered.close((self.clock.now)());
        emptied.and(released).and(kept)?;
        if lost {
            return Err(Error::new(
                Kind::Io,
                "asked to stop while the input went on: what its writer had handed over beyond the \
                 last record is lost",
            ));
        }
        if self.bad > 0 {
            let place = self.undelivered.place();
            let place = place.map(|path| format!("; see {}", path.display())).unwrap_or_default();
            let bad = format!("bad records or messages in the input: {}{place}", self.bad);
            return Err(Error::new(Kind::Data, bad));
        }
        Ok(())
    }
}
