//! Messages in memory that nobody else has: what is to be tried again waits here.
//!
//! In scope: when what is due, and after how many tries it is given up. Out of scope: what is given
//! up (`undelivered.rs`).

use crate::edges::clock::Clock;
use crate::mail::ends::{Ask, Ledger, Place, Taken};
use crate::mail::error::Error;
use crate::mail::kind::Templates;
use crate::mail::model::{Batch, Message, Outcome, Settlement};
use crate::mail::policy;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A message that was read and is not settled.
struct Waiting {
    message: Message,
    attempts: u32,
    since: Instant,
    due: Instant,
}

/// Messages that wait in memory.
pub struct MemoryLedger {
    templates: Templates,
    max_attempts: u32,
    clock: Clock,
    waiting: Vec<Waiting>,
    /// Attempts of the messages of the batch that is under way, in its order, and since when they are
    /// here.
    under_way: Vec<(u32, Instant)>,
}

impl MemoryLedger {
    /// Refuses messages of kinds that have no template, and gives the others up after `max_attempts`
    /// tries.
    pub fn new(templates: Templates, max_attempts: u32, clock: Clock) -> MemoryLedger {
        let (waiting, under_way) = (Vec::new(), Vec::new());
        MemoryLedger { templates, max_attempts, clock, waiting, under_way }
    }
}

impl Ledger for MemoryLedger {
    fn is_sole(&self) -> bool {
        true
    }

    fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn take(&mut self, read: &mut VecDeque<(Place, Message)>, ask: &Ask) -> Result<Taken, Error> {
        let (now, mut refused) = ((self.clock.now)(), Vec::new());
        for (place, message) in read.drain(..) {
            if self.templates.name(&message.kind).is_none() {
                let why = format!("there is no template for action {}", message.kind.name);
                refused.push((place, message, why));
                continue;
            }
            self.waiting.push(Waiting { message, attempts: 0, since: now, due: now });
        }
        let goes = |waiting: &mut Waiting| {
            waiting.due <= now && !ask.held.contains(&waiting.message.kind.name)
        };
        let going = self.waiting.extract_if(.., goes).take(ask.limit);
        let numbered = |Waiting { mut message, attempts, since, .. }| {
            if let Some(ticket) = &mut message.ticket {
                ticket.attempts = attempts;
            }
            (message, (attempts, since))
        };
        let (messages, under_way) = going.map(numbered).unzip();
        self.under_way = under_way;
        Ok(Taken { batch: Batch { messages }, refused })
    }

    fn settle(
        &mut self,
        done: Vec<(Message, Outcome)>,
        probe: Duration,
    ) -> Result<Vec<(Message, String)>, Error> {
        let (mut given_up, now) = (Vec::new(), (self.clock.now)());
        let under_way = std::mem::take(&mut self.under_way);
        for ((message, outcome), (attempts, since)) in done.into_iter().zip(under_way) {
            let backoff = |attempt| policy::backoff(attempt, (self.clock.chance)());
            let (age, most) = (Some(now.saturating_duration_since(since)), self.max_attempts);
            match policy::settlement(outcome, attempts, age, most, backoff, probe) {
                Settlement::Sent { .. } => {}
                Settlement::Failed { why, .. } => given_up.push((message, why)),
                Settlement::Again { delay, counts, .. } => {
                    let attempts = attempts + u32::from(counts);
                    self.waiting.push(Waiting { message, attempts, since, due: now + delay });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::model::Kind;
    use crate::mail::model::{Cause, Refusal};
    use std::time::SystemTime;

    /// The longest backoff there can be: the first wait is a second.
    fn ledger(max_attempts: u32) -> MemoryLedger {
        let clock = Clock { now: Instant::now, wall: SystemTime::now, chance: || 1.0 };
        MemoryLedger::new(Templates::parse("1=a,2=b").unwrap(), max_attempts, clock)
    }

    fn message(action: u16, login: &str) -> Message {
        let (email, token) = (format!("{login}@example.com"), String::new());
        let kind = Kind::numbered(action).into();
        Message { kind, email, login: login.into(), token, ..Message::default() }
    }

    /// Asks for no message.
    const NOTHING: Ask =
        Ask { limit: 0, held: Vec::new(), until: None, daily: None, urgent: false };

    fn placed(messages: &[(u16, &str)]) -> VecDeque<(Place, Message)> {
        let placed = messages.iter().zip(1..);
        placed.map(|((action, login), at)| ((1, at), message(*action, login))).collect()
    }

    fn next(ledger: &mut MemoryLedger, limit: usize, held: &[u16]) -> Batch {
        let held = held.iter().map(|number| number.to_string().into()).collect();
        let ask = Ask { limit, held, until: None, daily: None, urgent: false };
        ledger.take(&mut VecDeque::new(), &ask).unwrap().batch
    }

    fn logins(batch: &Batch) -> Vec<&str> {
        batch.messages.iter().map(|message| message.login.as_str()).collect()
    }

    fn refused(cause: Cause) -> Outcome {
        Outcome::Refused(Refusal { cause, why: "why".into(), after: None })
    }

    fn accepted() -> Outcome {
        Outcome::Accepted { provider_id: String::new() }
    }

    #[test]
    fn what_is_due_goes_out_in_order_and_what_is_held_stays() {
        let mut ledger = ledger(5);
        ledger.take(&mut placed(&[(1, "a"), (2, "b"), (1, "c"), (1, "d")]), &NOTHING).unwrap();
        assert_eq!(logins(&next(&mut ledger, 2, &[2])), ["a", "c"]);
        assert_eq!(logins(&next(&mut ledger, 2, &[2])), ["d"]);
        assert_eq!(logins(&next(&mut ledger, 2, &[2])), [""; 0]);
        assert_ne!(ledger.waiting(), 0);
        assert_eq!(ledger.tend().unwrap(), None, "it is due, but held");
        assert_eq!(logins(&next(&mut ledger, 2, &[])), ["b"]);
        assert!(ledger.waiting() == 0);
    }

    #[test]
    fn what_was_not_taken_now_waits_and_the_rest_is_done_with() {
        let mut ledger = ledger(5);
        ledger.take(&mut placed(&[(1, "a"), (1, "b"), (1, "c")]), &NOTHING).unwrap();
        let batch = next(&mut ledger, 50, &[]);
        let outcomes = [accepted(), refused(Cause::Busy), refused(Cause::Rejected)];
        let done = batch.messages.into_iter().zip(outcomes).collect();
        let before = Instant::now();
        let given_up = ledger.settle(done, Duration::ZERO).unwrap();
        assert_eq!(given_up, [(message(1, "c"), "why".to_owned())]);
        assert_eq!(logins(&next(&mut ledger, 50, &[])), [""; 0]);
        let due = ledger.tend().unwrap().unwrap();
        assert!(due >= before + Duration::from_secs(1), "the first wait is a second");
        assert_eq!(ledger.close().unwrap(), [message(1, "b")]);
    }

    #[test]
    fn only_tries_that_count_use_up_the_attempts() {
        let mut ledger = ledger(2);
        ledger.take(&mut placed(&[(1, "a")]), &NOTHING).unwrap();
        let mut turn = |cause| {
            // It is due whatever the wait.
            for waiting in &mut ledger.waiting {
                waiting.due = Instant::now();
            }
            let mut batch = next(&mut ledger, 50, &[]);
            assert_eq!(logins(&batch), ["a"]);
            let done = vec![(batch.messages.remove(0), refused(cause))];
            ledger.settle(done, Duration::ZERO).unwrap().len()
        };
        let causes = [Cause::Away, Cause::Fault, Cause::Throttled, Cause::Account, Cause::Fault];
        assert_eq!(causes.map(&mut turn), [0, 0, 0, 0, 1]);
        assert!(ledger.waiting() == 0);
    }
}
