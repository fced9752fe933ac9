//! Deliveries that `send` takes over from the collector that wrote them into the pipe.
//!
//! In scope: which messages are ours, putting back what is held, settling. Out of scope: the
//! statements (`sql/adopt.sql`, `sql/turn.sql`), reading the pipe. What is not taken over is the
//! collector's: its lease runs out, and the delivery is claimed again.

use crate::edges::log;
use crate::edges::pg::fault::is_locked_out;
use crate::mail::ends::{Ask, Ledger, Place, Taken};
use crate::mail::error::Error;
use crate::mail::model::{Cause, Message, Outcome, shown};
use crate::mail::token::Parsed;
use crate::queue::link::Link;
use crate::queue::settle::Settling;
use crate::queue::store::values::{Adopted, new_lease};
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
}

/// What names the delivery of a message: its token, or else `deliveries.id`.
type Name = (Option<Parsed>, Option<i64>);

/// The name of the delivery of a message.
///
/// # Errors
/// What is wrong with the message.
fn name_of(message: &Message) -> Result<Name, String> {
    match &message.ticket {
        _ if !message.token.is_empty() => Ok((Some(Parsed::from_text(&message.token)?), None)),
        Some(ticket) => Ok((None, Some(ticket.delivery))),
        None => Err("neither a token nor an id names its delivery".to_owned()),
    }
}

impl DatabaseLedger {
    /// Takes deliveries over for the time of `lease`; they fail after `max_attempts` tries.
    pub fn new(link: Link, lease: Duration, max_attempts: u32) -> DatabaseLedger {
        let settling = Settling::new(max_attempts, link.clock);
        DatabaseLedger { link, lease, settling }
    }

    /// Takes deliveries over. Gives what became of each; `None`: asked to stop first.
    fn adopt(&mut self, named: &[(Place, Message, Name)]) -> Result<Option<Vec<Adopted>>, Error> {
        let names = named.iter().map(|(_, message, (token, id))| {
            (token.as_ref().map(Parsed::secret), *id, message.email.as_str())
        });
        let (secrets, ids, addresses): (Vec<_>, Vec<_>, Vec<_>) = names.collect();
        let names = (&secrets[..], &ids[..], &addresses[..]);
        let (lease, time) = (new_lease("send"), self.lease);
        self.link.run("taking over a batch", |statements, client| {
            // One that another transaction has locked for long does not keep the others.
            match statements.adopt(client, names, &lease, time, false) {
                Err(error) if is_locked_out(&error) => {
                    statements.adopt(client, names, &lease, time, true)
                }
                other => other,
            }
        })
    }
}

impl Ledger for DatabaseLedger {
    /// What is held goes back at once: it must not stand in the way of others, nor outlast its lease.
    fn take(&mut self, read: &mut VecDeque<(Place, Message)>, ask: &Ask) -> Result<Taken, Error> {
        let (mut taken, mut named) = (Taken::default(), Vec::new());
        for (place, message) in read.drain(..read.len().min(ask.limit)) {
            match name_of(&message) {
                Ok(name) => named.push((place, message, name)),
                Err(why) => taken.refused.push((place, message, why)),
            }
        }
        if named.is_empty() {
            return Ok(taken);
        }
        let Some(adopted) = self.adopt(&named)? else {
            let count = named.len();
            let text = format!(
                "messages left out: {count}; asked to stop before they could be taken over, so \
                 their leases stand"
            );
            log::info("SEND", text);
            return Ok(taken);
        };
        // Why is said by the one that was tried.
        let held = Outcome::refused(Cause::Template, "");
        let now = (self.link.clock.now)();
        let delay = ask.until.unwrap_or(now).saturating_duration_since(now);
        for ((place, mut message, _), adopted) in named.into_iter().zip(adopted) {
            match adopted {
                Adopted::Taken(ticket) if ask.held.contains(&message.kind.name) => {
                    self.settling.settle(ticket, held.clone(), delay);
                }
                Adopted::Taken(ticket) => {
                    message.ticket = Some(ticket);
                    taken.batch.messages.push(message);
                }
                Adopted::Unsent => taken.refused.push((place, message, UNSENT.to_owned())),
                Adopted::Left => {
                    let to = shown(&message.email, log::is_debug());
                    let text = format!(
                        "left out {to}: its delivery is settled, expired, locked, or waits for \
                         another claim"
                    );
                    log::info("SEND", text);
                }
            }
        }
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
                self.settling.settle(ticket, outcome, probe);
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
