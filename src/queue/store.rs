//! The statements that work the queue, prepared once a connection.
//!
//! In scope: running them and turning rows into values. Out of scope: deciding when, deadlines,
//! reconnecting. Every function can fail with the error of the statement.

mod claim;
mod later;
pub mod values;

use crate::mail::batcher::Waiting;
use crate::mail::counts::Depth;
use crate::mail::model::{Cause, Settlement, Ticket};
use crate::mail::policy::{self, Wait};
use crate::queue::store::later::Later;
use crate::queue::store::values::{
    Adopted, CHUNK, Claimed, Found, Levels, Rescued, Settled, Want, count, seconds,
};
use postgres::{Client, Error, Statement};
use std::sync::Arc;
use std::time::Duration;

/// Characters of a provider's id or of a reason that are kept.
const TEXT: usize = 1000;

/// How far the rows of one state are counted.
const COUNTED: i64 = 100_000;

/// Slots of ten minutes in a day.
const SLOTS: usize = 144;

/// Claims must use their indexes whatever the statistics said when they were planned: a plan
/// made while the tables were empty would read them whole later. (Compiling them just in time,
/// which the cost of what is turned off would cause, takes longer than they do.) Dates as a role
/// has them may not be read as they were written. Who waits for a lock keeps other mail waiting.
const SETTINGS: &str = "SET datestyle = iso; SET enable_seqscan = off; SET enable_bitmapscan = off; \
    SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_sort = off; \
    SET enable_incremental_sort = off; SET jit = off; SET plan_cache_mode = force_generic_plan; \
    SET idle_in_transaction_session_timeout = '5s'; SET lock_timeout = '2s'";

/// The prepared statements of one connection, for one queue.
pub struct Statements {
    queue: String,
    levels: Statement,
    claim: Statement,
    look: Statement,
    settle: Statement,
    adopt: Later,
    rescue: Statement,
    expire: Later,
    prune: Later,
    record: Later,
    sent: Later,
    room: Later,
    fold: Later,
}

/// A text from outside as PostgreSQL can store it: without NUL, and no longer than a person reads.
/// <https://www.postgresql.org/docs/current/datatype-character.html>
fn storable(text: &str) -> String {
    text.chars().filter(|&c| c != '\0').take(TEXT).collect()
}

/// Lets others see that this connection listens for `queue`, as long as it stands.
///
/// # Errors
/// As the statement.
pub fn announce(client: &mut Client, queue: &str) -> Result<(), Error> {
    client
        .query(include_str!("sql/announce.sql"), &[&crate::queue::schema::LISTENER, &queue])
        .map(drop)
}

impl Statements {
    /// Prepares what starting and sending need on a new connection.
    ///
    /// # Errors
    /// As the statements.
    pub fn prepare(client: &mut Client, queue: &str) -> Result<Statements, Error> {
        client.batch_execute(SETTINGS)?;
        Ok(Statements {
            queue: queue.to_owned(),
            levels: client.prepare(include_str!("sql/levels.sql"))?,
            claim: client.prepare(include_str!("sql/claim.sql"))?,
            look: client.prepare(include_str!("sql/look.sql"))?,
            settle: client.prepare(include_str!("sql/settle.sql"))?,
            adopt: Later::new(include_str!("sql/adopt.sql")),
            rescue: client.prepare(include_str!("sql/rescue.sql"))?,
            expire: Later::new(include_str!("sql/expire.sql")),
            prune: Later::new(include_str!("sql/prune.sql")),
            record: Later::new(include_str!("sql/record.sql")),
            sent: Later::new(include_str!("sql/sent.sql")),
            room: Later::new(include_str!("sql/room.sql")),
            fold: Later::new(include_str!("sql/fold.sql")),
        })
    }

    /// Finds where the deliveries of each priority begin, and when the first lease runs out.
    ///
    /// # Errors
    /// As the statement.
    pub fn levels(&self, client: &mut Client) -> Result<Found, Error> {
        let row = client.query_one(&self.levels, &[&self.queue])?;
        Ok(Found {
            levels: Levels {
                priorities: row.try_get("priorities")?,
                floors: row.try_get("floors")?,
            },
            due: row.try_get("due")?,
            lease: row.try_get::<_, Option<f64>>("lease")?.map(seconds),
        })
    }

    /// Claims due deliveries.
    ///
    /// # Errors
    /// As the statement.
    pub fn claim(&self, client: &mut Client, want: Want<'_>) -> Result<Claimed, Error> {
        claim::claim(&self.queue, &self.claim, &self.room, client, want)
    }

    /// Looks at what waits, without taking it; counts up to `limit`.
    ///
    /// # Errors
    /// As the statement.
    pub fn look(
        &self,
        client: &mut Client,
        limit: usize,
        levels: &Levels,
    ) -> Result<Waiting, Error> {
        let Levels { priorities, floors } = levels;
        let row =
            client.query_one(&self.look, &[&self.queue, &count(limit), priorities, floors])?;
        Ok(Waiting {
            due: usize::try_from(row.try_get::<_, i64>("due")?).unwrap_or(0),
            age: seconds(row.try_get("age")?),
            expires: row.try_get::<_, Option<f64>>("expires")?.map(seconds),
            next: row.try_get::<_, Option<f64>>("next")?.map(seconds),
            paused: match row.try_get("paused")? {
                true => Some(row.try_get::<_, Option<String>>("reason")?.unwrap_or_default()),
                false => None,
            },
        })
    }

    /// Counts what waits, each state up to a bound.
    ///
    /// # Errors
    /// As the statement.
    pub fn depth(&self, client: &mut Client) -> Result<Depth, Error> {
        let row = client.query_one(include_str!("sql/depth.sql"), &[&self.queue, &COUNTED])?;
        let number = |name| row.try_get::<_, i64>(name).map(|n| u64::try_from(n).unwrap_or(0));
        Ok(Depth {
            due: number("due")?,
            later: number("later")?,
            leased: number("leased")?,
            oldest: seconds(row.try_get("oldest")?),
        })
    }

    /// Settles deliveries: all whose lease still stands. `again`: this was tried before without an
    /// answer; what was written then counts too. `pass_over`: rows that others have locked are not
    /// waited for.
    ///
    /// # Errors
    /// As the statement.
    pub fn settle(
        &self,
        client: &mut Client,
        settled: &[(Ticket, Settlement)],
        again: bool,
        pass_over: bool,
    ) -> Result<Settled, Error> {
        let tokens: Vec<i64> = settled.iter().map(|(ticket, _)| ticket.delivery).collect();
        let leases: Vec<&str> = settled.iter().map(|(ticket, _)| ticket.lease.as_ref()).collect();
        let mut states = Vec::with_capacity(settled.len());
        let mut causes = Vec::with_capacity(settled.len());
        let mut texts = Vec::with_capacity(settled.len());
        let mut delays = Vec::with_capacity(settled.len());
        let mut counted = Vec::with_capacity(settled.len());
        for (_, settlement) in settled {
            let (state, cause, text, delay, counts) = match settlement {
                Settlement::Sent { provider_id } => ("sent", "", provider_id, 0.0, true),
                Settlement::Failed { cause, why } => ("failed", cause.name(), why, 0.0, true),
                Settlement::Again { delay, cause, why, counts } => {
                    ("pending", cause.name(), why, delay.as_secs_f64(), *counts)
                }
            };
            states.push(state);
            causes.push(cause);
            texts.push(storable(text));
            delays.push(delay);
            counted.push(counts);
        }
        let row = client.query_one(
            &self.settle,
            &[&tokens, &leases, &states, &causes, &texts, &delays, &counted, &again, &pass_over],
        )?;
        let mut written: Vec<i64> = row.try_get(0)?;
        written.sort_unstable();
        Ok(Settled { written, locked: row.try_get(1)? })
    }

    /// Takes over deliveries, named by the secrets of their tokens, or by their ids where they have no
    /// token, each with the address that it is to go to; tells of each that exists what it found.
    /// `pass_over`: as with [`Statements::settle`].
    ///
    /// # Errors
    /// As the statement.
    pub fn adopt(
        &self,
        client: &mut Client,
        (secrets, addresses): (&[&[u8]], &[&str]),
        (ids, addresses_of_ids): (&[i64], &[&str]),
        lease: &Arc<str>,
        lease_for: Duration,
        pass_over: bool,
    ) -> Result<Vec<Adopted>, Error> {
        let lease_for = lease_for.as_secs_f64();
        let rows = self.adopt.query(
            client,
            &[
                &secrets,
                &lease.as_ref(),
                &lease_for,
                &addresses,
                &pass_over,
                &ids,
                &addresses_of_ids,
            ],
        )?;
        let adopted = |row: &postgres::Row| {
            let ticket = |attempts: i32| {
                Ok(Ticket {
                    delivery: row.try_get("id")?,
                    lease: Arc::clone(lease),
                    attempts: u32::try_from(attempts).unwrap_or(0),
                    age: row.try_get::<_, Option<f64>>("age")?.map(seconds),
                })
            };
            let attempts: Option<i32> = row.try_get("attempts")?;
            Ok(Adopted {
                delivery: row.try_get("id")?,
                secret: row.try_get("secret")?,
                ticket: attempts.map(ticket).transpose()?,
                unsent: row.try_get("unsent")?,
            })
        };
        rows.iter().map(adopted).collect()
    }

    /// Puts back deliveries whose lease ran out, but for these, and, if asked, lets held ones be
    /// tried now; at most [`CHUNK`] of each.
    ///
    /// # Errors
    /// As the statement.
    pub fn rescue(
        &self,
        client: &mut Client,
        held_too: bool,
        but: &[i64],
    ) -> Result<Rescued, Error> {
        let holds: Vec<&str> = policy::causes(Wait::Held).map(Cause::name).collect();
        let rows = client.query(&self.rescue, &[&self.queue, &held_too, &CHUNK, &but, &holds])?;
        let collector =
            |row: &postgres::Row| Ok(row.try_get::<_, Option<&str>>("holder")? == Some("collect"));
        let of_collectors: Result<Vec<bool>, Error> = rows.iter().map(collector).collect();
        let of_collectors = of_collectors?.into_iter().filter(|of_collector| *of_collector).count();
        Ok(Rescued { count: rows.len(), of_collectors })
    }

    /// Ends deliveries whose token expired. Gives how many there were, at most [`CHUNK`].
    ///
    /// # Errors
    /// As the statement.
    pub fn expire(&self, client: &mut Client) -> Result<usize, Error> {
        Ok(self.expire.query(client, &[&self.queue, &CHUNK])?.len())
    }

    /// Deletes deliveries that were settled `retention` ago or earlier. Gives how many there
    /// were, at most [`CHUNK`].
    ///
    /// # Errors
    /// As the statement.
    pub fn prune(&self, client: &mut Client, retention: Duration) -> Result<usize, Error> {
        let retention = retention.as_secs_f64();
        Ok(self.prune.query(client, &[&self.queue, &retention, &CHUNK])?.len())
    }

    /// Counts the recipients of the last 24 hours by slots of ten minutes, the latest first.
    ///
    /// # Errors
    /// As the statement.
    pub fn sent(&self, client: &mut Client) -> Result<Vec<u64>, Error> {
        let mut slots = vec![0; SLOTS];
        for row in self.sent.query(client, &[])? {
            let (slot, sent): (i32, i64) = (row.try_get("slot")?, row.try_get("sent")?);
            let place = usize::try_from(slot).ok().and_then(|slot| slots.get_mut(slot));
            if let Some(place) = place {
                *place = u64::try_from(sent).unwrap_or(0);
            }
        }
        Ok(slots)
    }

    /// Records the highest token that was handed out.
    ///
    /// # Errors
    /// As the statement.
    pub fn record(&self, client: &mut Client, token: i64) -> Result<(), Error> {
        self.record.query(client, &[&self.queue, &token]).map(drop)
    }

    /// Adds up old tallies of what was sent.
    ///
    /// # Errors
    /// As the statement.
    pub fn fold(&self, client: &mut Client) -> Result<(), Error> {
        self.fold.query(client, &[&self.queue]).map(drop)
    }
}
