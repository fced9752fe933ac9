//! Deliveries that `send` takes over from the collector that wrote them into the pipe.
//!
//! In scope: which messages are ours, putting back what cannot be sent now, settling. Out of scope:
//! the statements (`sql/adopt.sql`, `sql/settle.sql`), reading the pipe.

use crate::edges::clock::Clock;
use crate::edges::log;
use crate::edges::pg::fault::is_locked_out;
use crate::mail::ends::{Ask, Ledger, Place};
use crate::mail::error::Error;
use crate::mail::model::{Batch, Cause, Message, Outcome, Scope, Settlement, shown};
use crate::mail::policy;
use crate::mail::token::Parsed;
use crate::queue::lease::new_lease;
use crate::queue::link::Link;
use crate::queue::settle::Settling;
use crate::queue::store::Adopted;
use std::time::{Duration, Instant};

/// Why a delivery is refused that nobody would send, though it stands as sent.
const UNSENT: &str = "its delivery stands as sent, but no provider has taken it: MAILROOM_ACK must \
                      be the same for collect and send";

/// Messages whose deliveries are ours, under leases in the database.
pub struct DatabaseLedger {
    link: Link,
    lease_for: Duration,
    settling: Settling,
    clock: Clock,
    waiting: Vec<Message>,
    /// When the leases of what waits run out: then it is not ours any more.
    lapses: Instant,
}

/// A message, and the token that names its delivery.
struct Named {
    place: Place,
    message: Message,
    token: Parsed,
}

impl DatabaseLedger {
    /// Takes deliveries over for `lease_for`; they fail after `max_attempts` tries.
    pub fn new(link: Link, lease_for: Duration, max_attempts: u32, clock: Clock) -> Self {
        let settling = Settling::new(max_attempts, clock);
        let lapses = (clock.now)();
        DatabaseLedger { link, lease_for, settling, clock, waiting: Vec::new(), lapses }
    }

    /// Puts back what waits and cannot be sent now: it must not stand in the way of others, nor
    /// outlast its lease.
    fn put_back(
        &mut self,
        mut which: impl FnMut(&Message) -> bool,
        delay: Duration,
        cause: Cause,
        why: &str,
    ) -> Result<(), Error> {
        let again = || Settlement::Again { delay, cause, why: why.to_owned(), counts: false };
        let back = self.waiting.extract_if(.., |message| which(message));
        let back: Vec<_> = back.filter_map(|message| Some((message.ticket?, again()))).collect();
        match back.is_empty() {
            true => Ok(()),
            false => self.settling.write(&mut self.link, "putting back", back).map(drop),
        }
    }
}

impl Ledger for DatabaseLedger {
    fn is_sole(&self) -> bool {
        false
    }

    fn enter(
        &mut self,
        messages: Vec<(Place, Message)>,
    ) -> Result<Vec<(Place, Message, String)>, Error> {
        let (mut named, mut refused) = (Vec::with_capacity(messages.len()), Vec::new());
        for (place, message) in messages {
            match Parsed::from_text(&message.token) {
                Ok(token) => named.push(Named { place, message, token }),
                Err(why) => refused.push((place, message, why)),
            }
        }
        let secrets: Vec<&[u8]> = named.iter().map(|named| named.token.secret()).collect();
        let addresses: Vec<&str> = named.iter().map(|named| named.message.email.as_str()).collect();
        let (lease, lease_for) = (new_lease("send"), self.lease_for);
        self.lapses = (self.clock.now)() + lease_for;
        let adopted = self.link.run("taking over a batch", |statements, client| {
            let mut adopt = |pass_over| {
                statements.adopt(client, &secrets, &addresses, &lease, lease_for, pass_over)
            };
            // One that another transaction has locked for long does not keep the others.
            match adopt(false) {
                Err(error) if is_locked_out(&error) => adopt(true),
                other => other,
            }
        })?;
        let Some(mut adopted) = adopted else {
            let (count, why) = (named.len(), "asked to stop before they could be taken over");
            log::info(
                "SEND",
                format_args!("messages left out: {count}; {why}, so their leases stand"),
            );
            return Ok(refused);
        };
        for Named { place, mut message, token } in named {
            let found = adopted.iter().position(|found| found.secret == token.secret());
            match found.map(|index| adopted.swap_remove(index)) {
                Some(Adopted { ticket: Some(ticket), .. }) => {
                    message.ticket = Some(ticket);
                    self.waiting.push(message);
                }
                Some(Adopted { unsent: true, .. }) => {
                    refused.push((place, message, UNSENT.to_owned()));
                }
                _ => {
                    let to = shown(&message.email, log::is_debug());
                    let why =
                        "its delivery is settled, expired, locked, or waits for another claim";
                    log::info("SEND", format_args!("left out {to}: {why}"));
                }
            }
        }
        Ok(refused)
    }

    fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn next(&mut self, ask: &Ask) -> Result<Batch, Error> {
        let now = (self.clock.now)();
        if !ask.held.is_empty() {
            let delay =
                ask.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
            let held = |message: &Message| ask.held.contains(&message.action);
            self.put_back(held, delay, Cause::Template, "its action is held")?;
        }
        if now >= self.lapses && !self.waiting.is_empty() {
            // They are claimed again, and may be sent by somebody else.
            let (what, count) = ("deliveries whose leases ran out", self.waiting.len());
            log::warn(
                "SEND",
                format_args!(
                    "{what} before they could be sent: {count}; they will be claimed again"
                ),
            );
            self.waiting.clear();
        }
        let count = self.waiting.len().min(ask.limit);
        Ok(Batch { messages: self.waiting.drain(..count).collect() })
    }

    fn settle(
        &mut self,
        batch: Batch,
        outcomes: Vec<Outcome>,
        probe: Duration,
    ) -> Result<Vec<(Message, String)>, Error> {
        let all_held = outcomes.iter().find_map(|outcome| {
            match outcome {
                Outcome::Refused(refusal) => Some(refusal.cause),
                Outcome::Accepted { .. } => None,
            }
            .filter(|cause| policy::held(*cause, 0) == Some(Scope::All))
        });
        let settled = batch.messages.into_iter().zip(outcomes).filter_map(|(message, outcome)| {
            let ticket = message.ticket?;
            let settlement = self.settling.of(outcome, ticket.attempts, probe);
            Some((ticket, settlement))
        });
        let settled = settled.collect();
        self.settling.write(&mut self.link, "settling", settled)?;
        if let Some(cause) = all_held {
            self.put_back(|_| true, probe, cause, "everything is held")?;
        }
        Ok(Vec::new())
    }

    fn tend(&mut self) -> Result<Option<Instant>, Error> {
        self.settling.retry(&mut self.link)?;
        Ok(self.settling.due())
    }

    fn sent_by_slot(&mut self) -> Result<Option<Vec<u64>>, Error> {
        self.link.run("counting what was sent", |statements, client| statements.sent(client))
    }

    fn release(&mut self) -> Result<Vec<Message>, Error> {
        let back =
            self.put_back(|_| true, Duration::ZERO, Cause::Stopped, "the sender was stopped");
        back.and(self.settling.close(&mut self.link))?;
        Ok(Vec::new())
    }
}
