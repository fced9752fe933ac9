//! The statements that work the queue, prepared once a connection.
//!
//! In scope: running them and turning rows into values. Out of scope: deciding when, deadlines,
//! reconnecting. Every function can fail with the error of the statement.

use crate::model::{Action, Claim, Settlement, Ticket};
use postgres::{Client, Error, Statement};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// Rows that one statement of maintenance touches at most.
pub const CHUNK: i64 = 1000;

/// Characters of a provider's id or of a reason that are kept.
const TEXT: usize = 1000;

/// Slots of ten minutes in a day.
const SLOTS: usize = 144;

/// Claims must use their indexes whatever the statistics said when they were planned: a plan
/// made while the tables were empty would read them whole later. (Compiling them just in time,
/// which the cost of what is turned off would cause, takes longer than they do.)
const PLANNING: &str = "SET enable_seqscan = off; SET enable_bitmapscan = off; \
    SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_sort = off; SET jit = off; \
    SET plan_cache_mode = force_generic_plan";

/// The prepared statements of one connection, for one queue.
pub struct Statements {
    queue: String,
    claim: Statement,
    look: Statement,
    floor: Statement,
    settle: Statement,
    adopt: Statement,
    rescue: Statement,
    expire: Statement,
    prune: Statement,
    record: Statement,
    sent: Statement,
    fold: Statement,
}

/// What a claim asks for.
#[derive(Clone, Copy, Debug)]
pub struct Want<'a> {
    /// Take at most this many.
    pub limit: usize,
    /// Take none if fewer than this can be had.
    pub least: usize,
    /// Look at this many due rows.
    pub look: usize,
    /// Text of the lease; every claim has one of its own.
    pub lease: &'a Arc<str>,
    /// How long the lease lasts.
    pub lease_for: Duration,
    /// Actions that are held.
    pub held: &'a [u16],
    /// How long their deliveries wait.
    pub held_for: Duration,
    /// No row is due earlier than this, as [`Statements::floor`] gives it.
    pub floor: Option<&'a str>,
}

/// What a claim got.
#[derive(Default)]
pub struct Claimed {
    /// The deliveries, in order.
    pub claims: Vec<Claim>,
    /// Due rows that were not eligible, and now wait or are expired.
    pub passed: usize,
    /// Those of them whose token expired.
    pub expired: usize,
}

/// What waits.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Due deliveries, counted up to what was asked for.
    pub due: usize,
    /// How long the oldest of them has been due.
    pub age: Duration,
    /// When the next one comes due or a lease runs out; zero if one has.
    pub next: Option<Duration>,
    /// The queue is paused, for this reason: then nothing is due, and nothing comes.
    pub paused: Option<String>,
}

fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value.max(0.0)).unwrap_or(Duration::MAX)
}

/// A text from outside as PostgreSQL can store it: without NUL, and no longer than a person reads.
/// <https://www.postgresql.org/docs/current/datatype-character.html>
fn storable(text: &str) -> String {
    text.chars().filter(|&c| c != '\0').take(TEXT).collect()
}

fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Lets others see that this connection listens for `queue`, as long as it stands.
///
/// # Errors
/// As the statement.
pub fn announce(client: &mut Client, queue: &str) -> Result<(), Error> {
    client.query(include_str!("announce.sql"), &[&super::LISTENER, &queue]).map(drop)
}

impl Statements {
    /// Prepares all statements on a new connection.
    ///
    /// # Errors
    /// As the statements.
    pub fn prepare(client: &mut Client, queue: &str) -> Result<Statements, Error> {
        client.batch_execute(PLANNING)?;
        Ok(Statements {
            queue: queue.to_owned(),
            claim: client.prepare(include_str!("claim.sql"))?,
            look: client.prepare(include_str!("look.sql"))?,
            floor: client.prepare(include_str!("floor.sql"))?,
            settle: client.prepare(include_str!("settle.sql"))?,
            adopt: client.prepare(include_str!("adopt.sql"))?,
            rescue: client.prepare(include_str!("rescue.sql"))?,
            expire: client.prepare(include_str!("expire.sql"))?,
            prune: client.prepare(include_str!("prune.sql"))?,
            record: client.prepare(include_str!("record.sql"))?,
            sent: client.prepare(include_str!("sent.sql"))?,
            fold: client.prepare(include_str!("fold.sql"))?,
        })
    }

    /// Claims due deliveries.
    ///
    /// # Errors
    /// As the statement.
    pub fn claim(&self, client: &mut Client, want: Want<'_>) -> Result<Claimed, Error> {
        let held: Vec<i16> = want.held.iter().filter_map(|&n| i16::try_from(n).ok()).collect();
        let rows = client.query(
            &self.claim,
            &[
                &self.queue,
                &count(want.limit),
                &count(want.least),
                &want.lease.as_ref(),
                &want.lease_for.as_secs_f64(),
                &held,
                &want.held_for.as_secs_f64(),
                &count(want.look),
                &want.floor,
            ],
        )?;
        let mut claimed = Claimed::default();
        // Columns by their place: a name is looked for among all names, for each row.
        for row in rows {
            claimed.passed = usize::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0);
            claimed.expired = usize::try_from(row.try_get::<_, i64>(1)?).unwrap_or(0);
            let Some(delivery) = row.try_get::<_, Option<i64>>(2)? else { continue };
            let attempts: i32 = row.try_get(3)?;
            let number: i16 = row.try_get(4)?;
            claimed.claims.push(Claim {
                ticket: Ticket {
                    delivery,
                    lease: Arc::clone(want.lease),
                    attempts: u32::try_from(attempts).unwrap_or(0),
                },
                action: Action {
                    number: u16::try_from(number).unwrap_or(0),
                    path: row.try_get(5)?,
                    signs_code: row.try_get(6)?,
                },
                email: row.try_get(7)?,
                login: row.try_get(8)?,
                secret: Zeroizing::new(row.try_get(9)?),
                code: row.try_get(10)?,
            });
        }
        Ok(claimed)
    }

    /// Looks at what waits, without taking it; counts up to `limit`. No row is due earlier than
    /// `floor`, if that is known.
    ///
    /// # Errors
    /// As the statement.
    pub fn look(
        &self,
        client: &mut Client,
        limit: usize,
        floor: Option<&str>,
    ) -> Result<Waiting, Error> {
        let row = client.query_one(&self.look, &[&self.queue, &count(limit), &floor])?;
        Ok(Waiting {
            due: usize::try_from(row.try_get::<_, i64>("due")?).unwrap_or(0),
            age: seconds(row.try_get("age")?),
            next: row.try_get::<_, Option<f64>>("next")?.map(seconds),
            paused: match row.try_get("paused")? {
                true => Some(row.try_get::<_, Option<String>>("reason")?.unwrap_or_default()),
                false => None,
            },
        })
    }

    /// The earliest moment for which anything is due, as the server writes it.
    ///
    /// # Errors
    /// As the statement.
    pub fn floor(&self, client: &mut Client) -> Result<String, Error> {
        client.query_one(&self.floor, &[&self.queue])?.try_get(0)
    }

    /// Settles deliveries; gives those that were written, which are all whose lease still stood.
    ///
    /// # Errors
    /// As the statement.
    pub fn settle(
        &self,
        client: &mut Client,
        settled: &[(Ticket, Settlement)],
    ) -> Result<Vec<i64>, Error> {
        let tokens: Vec<i64> = settled.iter().map(|(ticket, _)| ticket.delivery).collect();
        let leases: Vec<&str> = settled.iter().map(|(ticket, _)| ticket.lease.as_ref()).collect();
        let mut states = Vec::with_capacity(settled.len());
        let mut texts = Vec::with_capacity(settled.len());
        let mut delays = Vec::with_capacity(settled.len());
        let mut counted = Vec::with_capacity(settled.len());
        for (_, settlement) in settled {
            let (state, text, delay, counts) = match settlement {
                Settlement::Sent { provider_id } => ("sent", provider_id, 0.0, true),
                Settlement::Failed { why } => ("failed", why, 0.0, true),
                Settlement::Again { delay, why, counts } => {
                    ("pending", why, delay.as_secs_f64(), *counts)
                }
            };
            states.push(state);
            texts.push(storable(text));
            delays.push(delay);
            counted.push(counts);
        }
        let rows =
            client.query(&self.settle, &[&tokens, &leases, &states, &texts, &delays, &counted])?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }

    /// Takes over deliveries by the secrets of their tokens; gives the ticket of each that was
    /// taken, with its secret.
    ///
    /// # Errors
    /// As the statement.
    pub fn adopt(
        &self,
        client: &mut Client,
        secrets: &[&[u8]],
        lease: &Arc<str>,
        lease_for: Duration,
    ) -> Result<Vec<(Vec<u8>, Ticket)>, Error> {
        let rows =
            client.query(&self.adopt, &[&secrets, &lease.as_ref(), &lease_for.as_secs_f64()])?;
        let ticket = |row: &postgres::Row| {
            let attempts: i32 = row.try_get("attempts")?;
            let ticket = Ticket {
                delivery: row.try_get("token")?,
                lease: Arc::clone(lease),
                attempts: u32::try_from(attempts).unwrap_or(0),
            };
            Ok((row.try_get("secret")?, ticket))
        };
        rows.iter().map(ticket).collect()
    }

    /// Puts back deliveries whose lease ran out and, if asked, lets held ones be tried now.
    /// Gives how many there were, at most [`CHUNK`].
    ///
    /// # Errors
    /// As the statement.
    pub fn rescue(&self, client: &mut Client, held_too: bool) -> Result<usize, Error> {
        Ok(client.query(&self.rescue, &[&self.queue, &held_too, &CHUNK])?.len())
    }

    /// Ends deliveries whose token expired. Gives how many there were, at most [`CHUNK`].
    ///
    /// # Errors
    /// As the statement.
    pub fn expire(&self, client: &mut Client) -> Result<usize, Error> {
        Ok(client.query(&self.expire, &[&self.queue, &CHUNK])?.len())
    }

    /// Deletes deliveries that were settled `retention` ago or earlier. Gives how many there
    /// were, at most [`CHUNK`].
    ///
    /// # Errors
    /// As the statement.
    pub fn prune(&self, client: &mut Client, retention: Duration) -> Result<usize, Error> {
        let retention = retention.as_secs_f64();
        Ok(client.query(&self.prune, &[&self.queue, &retention, &CHUNK])?.len())
    }

    /// Counts the recipients of the last 24 hours by slots of ten minutes, the latest first.
    ///
    /// # Errors
    /// As the statement.
    pub fn sent(&self, client: &mut Client) -> Result<Vec<u64>, Error> {
        let mut slots = vec![0; SLOTS];
        for row in client.query(&self.sent, &[])? {
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
        client.execute(&self.record, &[&self.queue, &token]).map(drop)
    }

    /// Adds up old tallies of what was sent.
    ///
    /// # Errors
    /// As the statement.
    pub fn fold(&self, client: &mut Client) -> Result<(), Error> {
        client.execute(&self.fold, &[&self.queue]).map(drop)
    }
}
