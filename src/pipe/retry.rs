//! Messages in memory that nobody else has: what is to be tried again waits here.
//!
//! In scope: when what is due, and after how many tries it is given up. Out of scope: what is given
//! up (`undelivered.rs`).

use crate::edges::clock::Clock;
use crate::mail::ends::{Ask, Ledger, Place};
use crate::mail::error::Error;
use crate::mail::model::{Batch, Message, Outcome, Settlement};
use crate::mail::{pace, policy};
use std::time::{Duration, Instant};

/// A message that was read and is not settled.
struct Waiting {
    message: Message,
    attempts: u32,
    due: Instant,
}

/// Messages that wait in memory.
pub struct MemoryLedger {
    max_attempts: u32,
    clock: Clock,
    waiting: Vec<Waiting>,
    /// Attempts of the messages of the batch that is under way, in its order.
    under_way: Vec<u32>,
}

impl MemoryLedger {
    /// Gives messages up after `max_attempts` tries.
    pub fn new(max_attempts: u32, clock: Clock) -> MemoryLedger {
        MemoryLedger { max_attempts, clock, waiting: Vec::new(), under_way: Vec::new() }
    }
}

impl Ledger for MemoryLedger {
    fn is_sole(&self) -> bool {
        true
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn enter(
        &mut self,
        messages: Vec<(Place, Message)>,
    ) -> Result<Vec<(Place, Message, String)>, Error> {
        let due = (self.clock.now)();
        let entry = |(_, message)| Waiting { message, attempts: 0, due };
        self.waiting.extend(messages.into_iter().map(entry));
        Ok(Vec::new())
    }

    fn next(&mut self, ask: &Ask) -> Result<Batch, Error> {
        let now = (self.clock.now)();
        let goes = |waiting: &mut Waiting| {
            waiting.due <= now && !ask.held.contains(&waiting.message.action)
        };
        let going = self.waiting.extract_if(.., goes).take(ask.limit);
        let (messages, attempts) = going.map(|going| (going.message, going.attempts)).unzip();
        self.under_way = attempts;
        Ok(Batch { messages })
    }

    fn settle(
        &mut self,
        batch: Batch,
        outcomes: Vec<Outcome>,
        probe: Duration,
    ) -> Result<Vec<(Message, String)>, Error> {
        let mut given_up = Vec::new();
        let attempts = std::mem::take(&mut self.under_way);
        for ((message, outcome), attempts) in batch.messages.into_iter().zip(outcomes).zip(attempts)
        {
            let backoff = |attempt| pace::backoff(attempt, (self.clock.chance)());
            match policy::settlement(outcome, attempts, self.max_attempts, backoff, probe) {
                Settlement::Sent { .. } => {}
                Settlement::Failed { why, .. } => given_up.push((message, why)),
                Settlement::Again { delay, counts, .. } => {
                    let attempts = attempts + u32::from(counts);
                    let due = (self.clock.now)() + delay;
                    self.waiting.push(Waiting { message, attempts, due });
                }
            }
        }
        Ok(given_up)
    }

    fn tend(&mut self) -> Result<Option<Instant>, Error> {
        let now = (self.clock.now)();
        Ok(self.waiting.iter().map(|waiting| waiting.due).filter(|due| *due > now).min())
    }

    fn close(&mut self) -> Result<Vec<Message>, Error> {
        Ok(self.waiting.drain(..).map(|waiting| waiting.message).collect())
    }
}
