//! Deliveries that `send` takes over from the collector that wrote them into the pipe.
//!
//! In scope: which messages are ours, putting back what is held, settling. Out of scope: the
//! statements (`sql/adopt.sql`, `sql/turn.sql`), reading the pipe. What is not taken over is the
//! collector's: its lease runs out, and the delivery is claimed again.

use crate::edges::clock::Clock;
use crate::edges::log;
use crate::edges::pg::fault::is_locked_out;
use crate::mail::ends::{Ask, Ledger, Place, Taken};
use crate::mail::error::Error;
use crate::mail::model::{Cause, Message, Outcome, shown};
use crate::mail::token::Parsed;
use crate::queue::lease::new_lease;
use crate::queue::link::Link;
use crate::queue::settle::Settling;
use crate::queue::store::values::Adopted;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Why a delivery is refused that nobody would send, though it stands as sent.
const UNSENT: &str = "its delivery stands as sent, but no provider has taken it: MAILROOM_ACK must \
                      be the same for collect and send";

/// Messages whose deliveries are ours, under leases in the database.
pub struct DatabaseLedger {
    link: Link,
    lease: Duration,
    settling: Settling,
    clock: Clock,
}

/// What names a delivery.
enum Name {
    /// Its token.
    Token(Parsed),
    /// `deliveries.id`, where it has no token.
    Id(i64),
}

/// A message, and what names its delivery.
struct Named {
    place: Place,
    message: Message,
    name: Name,
}

impl Name {
    /// # Errors
    /// What is wrong with the message.
    fn of(message: &Message) -> Result<Name, String> {
        match (&message.ticket, message.token.is_empty()) {
            (Some(ticket), true) => Ok(Name::Id(ticket.delivery)),
            (None, true) => Err("neither a token nor an id names its delivery".to_owned()),
            (_, false) => Parsed::from_text(&message.token).map(Name::Token),
        }
    }

    fn is(&self, found: &Adopted) -> bool {
        match self {
            Name::Token(token) => found.secret.as_deref() == Some(token.secret()),
            Name::Id(id) => found.secret.is_none() && found.delivery == *id,
        }
    }
}

impl DatabaseLedger {
    /// Takes deliveries over for the time of `lease`; they fail after `max_attempts` tries.
    pub fn new(link: Link, lease: Duration, max_attempts: u32, clock: Clock) -> DatabaseLedger {
        let settling = Settling::new(max_attempts, clock);
        DatabaseLedger { link, lease, settling, clock }
    }

    /// Takes deliveries over. Gives what was found of each that exists; `None`: asked to stop first.
    fn adopt(&mut self, named: &[Named]) -> Result<Option<Vec<Adopted>>, Error> {
        let (mut of_tokens, mut of_ids) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
        for Named { message, name, .. } in named {
            let addresses = match name {
                Name::Token(token) => {
                    of_tokens.0.push(token.secret());
                    &mut of_tokens.1
                }
                Name::Id(id) => {
                    of_ids.0.push(*id);
                    &mut of_ids.1
                }
            };
            addresses.push(message.email.as_str());
        }
        let of_tokens: (&[&[u8]], &[&str]) = (&of_tokens.0, &of_tokens.1);
        let of_ids: (&[i64], &[&str]) = (&of_ids.0, &of_ids.1);
        let (lease, time) = (new_lease("send"), self.lease);
        self.link.run("taking over a batch", |statements, client| {
            let mut adopt =
                |pass_over| statements.adopt(client, of_tokens, of_ids, &lease, time, pass_over);
            // One that another transaction has locked for long does not keep the others.
            match adopt(false) {
                Err(error) if is_locked_out(&error) => adopt(true),
                other => other,
            }
        })
    }
}

impl Ledger for DatabaseLedger {
    fn is_sole(&self) -> bool {
        false
    }

    /// What is held goes back at once: it must not stand in the way of others, nor outlast its lease.
    fn take(&mut self, read: &mut VecDeque<(Place, Message)>, ask: &Ask) -> Result<Taken, Error> {
        let (mut taken, mut back, mut named) = (Taken::default(), Vec::new(), Vec::new());
        for (place, message) in read.drain(..read.len().min(ask.limit)) {
            match Name::of(&message) {
                Ok(name) => named.push(Named { place, message, name }),
                Err(why) => taken.refused.push((place, message, why)),
            }
        }
        if named.is_empty() {
            return Ok(taken);
        }
        let Some(mut adopted) = self.adopt(&named)? else {
            let count = named.len();
            log::info(
                "SEND",
                format_args!(
                    "messages left out: {count}; asked to stop before they could be taken over, so \
                     their leases stand"
                ),
            );
            return Ok(taken);
        };
        let held = Outcome::refused(Cause::Template, "its kind is held");
        let delay = ask.until.map(|until| until.saturating_duration_since((self.clock.now)()));
        let delay = delay.unwrap_or_default();
        for Named { place, mut message, name } in named {
            let found = adopted.iter().position(|found| name.is(found));
            match found.map(|index| adopted.swap_remove(index)) {
                Some(Adopted { ticket: Some(ticket), .. })
                    if ask.held.contains(&message.kind.name) =>
                {
                    let settlement = self.settling.of(held.clone(), &ticket, delay);
                    back.push((ticket, settlement));
                }
                Some(Adopted { ticket: Some(ticket), .. }) => {
                    message.ticket = Some(ticket);
                    taken.batch.messages.push(message);
                }
                Some(Adopted { unsent: true, .. }) => {
                    taken.refused.push((place, message, UNSENT.to_owned()));
                }
                _ => {
                    let to = shown(&message.email, log::is_debug());
                    log::info(
                        "SEND",
                        format_args!(
                            "left out {to}: its delivery is settled, expired, locked, or waits for \
                             another claim"
                        ),
                    );
                }
            }
        }
        self.settling.owe(back);
        self.settling.write(&mut self.link)?;
        Ok(taken)
    }

    fn settle(
        &mut self,
        done: Vec<(Message, Outcome)>,
        probe: Duration,
    ) -> Result<Vec<(Message, String)>, Error> {
        for (message, outcome) in done {
            if let Some(ticket) = message.ticket {
                let settlement = self.settling.of(outcome, &ticket, probe);
                self.settling.owe([(ticket, settlement)]);
            }
        }
        self.settling.write(&mut self.link)?;
        Ok(Vec::new())
    }

    fn tend(&mut self) -> Result<Option<Instant>, Error> {
        self.settling.retry(&mut self.link)?;
        Ok(self.settling.due())
    }

    fn left(&mut self, daily: u64) -> Result<Option<u64>, Error> {
        self.link.run("counting what was sent", |statements, client| {
            statements.room(client, daily).map(|(_, left)| left)
        })
    }

    fn close(&mut self) -> Result<Vec<Message>, Error> {
        self.settling.close(&mut self.link)?;
        Ok(Vec::new())
    }
}
