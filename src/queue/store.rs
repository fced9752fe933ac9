//! The statements that work the queue, prepared once a connection.
//!
//! In scope: running them and turning rows into values. Out of scope: deciding when, deadlines,
//! reconnecting. Every function can fail with the error of the statement.

mod prepared;
mod turn;
pub mod values;

use crate::edges::pg::statement::{of_row, sql};
use crate::mail::batcher::Waiting;
use crate::mail::counts::Depth;
use crate::mail::model::{Cause, Ticket};
use crate::mail::policy::{self, Wait};
use crate::queue::schema;
use crate::queue::status;
use crate::queue::store::prepared::{Prepared, SETTINGS};
use crate::queue::store::values::{Adopted, CHUNK, Levels, Names, count, seconds};
use postgres::types::ToSql;
use postgres::{Client, Error, GenericClient};
use std::sync::Arc;
use std::time::Duration;

/// How far the rows of one state are counted.
const COUNTED: i64 = 100_000;

/// Deliveries of issues that wait at most: enough for any rate, and made in some hundredths of a second,
/// in which other mail waits.
const ISSUE: i32 = 1000;

/// What starting and sending need.
const LEVELS: &str = sql!("sql/levels.sql");
const LOOK: &str = sql!("sql/look.sql");
const TURN: &str = sql!("sql/turn.sql");

const RESCUE: &str = sql!("sql/rescue.sql");

/// The statements of one connection, for one queue.
pub struct Statements {
    queue: String,
    prepared: Prepared,
}

impl Statements {
    /// Prepares what starting and sending need on a new connection.
    ///
    /// # Errors
    /// As the statements.
    pub fn prepare(client: &mut Client, queue: &str) -> Result<Statements, Error> {
        client.batch_execute(SETTINGS)?;
        let mut prepared = Prepared::default();
        for sql in [LEVELS, LOOK, TURN, RESCUE] {
            prepared.on(client, sql)?;
        }
        Ok(Statements { queue: queue.to_owned(), prepared })
    }

    /// The same for a connection to a pooler of transactions, where nothing lasts.
    pub fn pooled(queue: &str) -> Statements {
        Statements { queue: queue.to_owned(), prepared: Prepared::pooled() }
    }

    /// Lets others see that this connection listens for the queue, as long as it stands.
    ///
    /// # Errors
    /// As the statement.
    pub fn announce(&mut self, client: &mut Client) -> Result<(), Error> {
        let sql = sql!("sql/announce.sql");
        self.prepared.query(client, sql, &[&schema::LISTENER, &self.queue]).map(drop)
    }

    /// Says that this connection sleeps, if that is not said (`again`), and whether no transaction is
    /// under way that does not know; `None`: it could not be said.
    ///
    /// # Errors
    /// As the statement.
    pub fn sleep(&mut self, client: &mut Client, again: bool) -> Result<Option<bool>, Error> {
        let sql = sql!("sql/sleep.sql");
        self.prepared.row(client, sql, &[&self.queue, &again])?.try_get(0)
    }

    /// Says that this connection does not sleep any more.
    ///
    /// # Errors
    /// As the statement.
    pub fn awake(&mut self, client: &mut Client) -> Result<(), Error> {
        self.prepared.query(client, sql!("sql/awake.sql"), &[&self.queue]).map(drop)
    }

    /// Finds where the deliveries of each priority begin; whether one is due, or will be within a
    /// second; and when the first lease runs out: zero if one has.
    ///
    /// It passes over the index entries of all rows that a transaction which still stands may want
    /// to see as they were, as many as there were mails since it began. Claims begin at these
    /// moments and do not. Two seconds are left for transactions that began before this one and
    /// commit after it. Priorities of kinds are told without a row, for theirs may come next.
    ///
    /// With `back` it looks only so far back, or to where `known` begins, and not for leases.
    ///
    /// # Errors
    /// As the statement.
    pub fn levels(
        &mut self,
        client: &mut Client,
        back: Option<Duration>,
        known: &Levels,
    ) -> Result<(Levels, bool, Option<Duration>), Error> {
        let back = back.map(|back| back.as_secs_f64());
        let Levels { priorities, floors, .. } = known;
        let row = self.prepared.row(client, LEVELS, &[&self.queue, &back, priorities, floors])?;
        let (reached, claimed) = (row.try_get("floors")?, false);
        let levels = of_row!(row, Levels { priorities, floors, lists; reached, claimed });
        let lapse: Option<f64> = row.try_get("lease")?;
        Ok((levels, row.try_get("due")?, lapse.map(seconds)))
    }

    /// The highest number that was given to a delivery.
    ///
    /// # Errors
    /// As the statement.
    pub fn pulse(&mut self, client: &mut Client) -> Result<i64, Error> {
        self.prepared.row(client, sql!("sql/pulse.sql"), &[])?.try_get(0)
    }

    /// Looks at what waits, without taking it, from [`Levels::reached`] on; counts up to `limit`.
    ///
    /// # Errors
    /// As the statement.
    pub fn look(
        &mut self,
        client: &mut Client,
        limit: usize,
        levels: &mut Levels,
        urgent: bool,
    ) -> Result<Waiting, Error> {
        let Levels { priorities, floors, reached, claimed, lists } = levels;
        let before = lists.filter(|_| urgent);
        let values: [&(dyn ToSql + Sync); 7] =
            [&self.queue, &count(limit), priorities, floors, &before, reached, claimed];
        let row = self.prepared.row(client, LOOK, &values)?;
        (*reached, *claimed) = (row.try_get("reached")?, false);
        Ok(Waiting {
            due: usize::try_from(row.try_get::<_, i64>("due")?).unwrap_or(0),
            age: seconds(row.try_get("age")?),
            expires: row.try_get::<_, Option<f64>>("expires")?.map(seconds),
            next: row.try_get::<_, Option<f64>>("next")?.map(seconds),
            paused: row.try_get("paused")?,
            issue: row.try_get("issue")?,
        })
    }

    /// Makes deliveries of an issue, of which there may be so many in any 24 hours. Gives whether there
    /// is anything new, or more to be made.
    ///
    /// # Errors
    /// As the statement.
    pub fn enqueue(&mut self, client: &mut Client, share: Option<u64>) -> Result<bool, Error> {
        let values: [&(dyn ToSql + Sync); 3] = [&self.queue, &ISSUE, &share.map(count)];
        let row = self.prepared.row(client, sql!("sql/enqueue.sql"), &values)?;
        Ok(row.try_get::<_, i32>("made")? > 0 || row.try_get("more")?)
    }

    /// Whether mail moves, in the word of `status`; `max_age` is how long it may be due. `None`: not
    /// known, as behind a pooler, where nobody is seen to listen.
    ///
    /// # Errors
    /// As [`status::moving`].
    pub fn movement(
        &self,
        client: &mut Client,
        max_age: Duration,
    ) -> Result<Option<&'static str>, Error> {
        if self.prepared.pooled {
            return Ok(None);
        }
        let found = status::moving(client, &self.queue)?;
        Ok(found.map(|found| found.movement(max_age).word()))
    }

    /// Counts what waits, each state up to a bound.
    ///
    /// # Errors
    /// As the statement.
    pub fn depth(&mut self, client: &mut Client) -> Result<Depth, Error> {
        let sql = sql!("sql/depth.sql");
        let row = self.prepared.row(client, sql, &[&self.queue, &COUNTED])?;
        let oldest = seconds(row.try_get("oldest")?);
        Ok(of_row!(row, Depth { due, later, leased, unmade, of_issues; oldest }))
    }

    /// Takes over deliveries; gives what became of each. `pass_over`: rows that others
    /// have locked are left alone.
    ///
    /// What another sender holds, what is settled, and what waits for its next try is left alone;
    /// of that the statement tells whether it stands as sent though no provider has taken it: then
    /// the collector has settled it when it was written. What is held under `lease` was taken by
    /// this statement, whose answer was lost. What is leased to a collector was claimed and goes,
    /// if it was for this address: that lease may be of a later claim, whose record comes next.
    /// What no lease waits for any more has to be as a claim would have it. What is left alone is
    /// found again by a claim.
    ///
    /// # Errors
    /// As the statement.
    pub fn adopt(
        &mut self,
        client: &mut Client,
        (secrets, ids, addresses): Names<'_>,
        lease: &str,
        lease_for: Duration,
        pass_over: bool,
    ) -> Result<Vec<Adopted>, Error> {
        let lease_for = lease_for.as_secs_f64();
        let name: Arc<str> = lease.into();
        let values: [&(dyn ToSql + Sync); 6] =
            [&secrets, &lease, &lease_for, &addresses, &pass_over, &ids];
        let rows = self.prepared.query(client, sql!("sql/adopt.sql"), &values)?;
        let adopted = |row: &postgres::Row| match row.try_get("id")? {
            Some(delivery) => Ok(Adopted::Taken(Ticket {
                delivery,
                lease: Arc::clone(&name),
                attempts: u32::try_from(row.try_get::<_, i32>("attempts")?).unwrap_or(0),
                age: row.try_get::<_, Option<f64>>("age")?.map(seconds),
            })),
            None if row.try_get("unsent")? => Ok(Adopted::Unsent),
            None => Ok(Adopted::Left),
        };
        rows.iter().map(adopted).collect()
    }

    /// Puts back deliveries whose lease ran out, or those with this lease, if it is not empty; but not
    /// these. If asked, lets held ones be tried now. At most [`CHUNK`] of each. Gives of each who had
    /// leased it: `run`, `collect` or `send`; `None`: it was held.
    ///
    /// # Errors
    /// As the statement.
    pub fn rescue(
        &mut self,
        client: &mut Client,
        held_too: bool,
        but: &[i64],
        lease: &str,
    ) -> Result<Vec<Option<String>>, Error> {
        let holds: Vec<&str> = policy::causes(Wait::Held).map(Cause::name).collect();
        let values: [&(dyn ToSql + Sync); 6] =
            [&self.queue, &held_too, &CHUNK, &but, &holds, &lease];
        let rows = self.prepared.query(client, RESCUE, &values)?;
        rows.iter().map(|row| row.try_get("holder")).collect()
    }

    /// Ends deliveries whose token expired. Gives how many there were, at most
    /// [`CHUNK`], and how many of these could have been sent.
    ///
    /// # Errors
    /// As the statement.
    pub fn expire(&mut self, client: &mut Client) -> Result<(usize, usize), Error> {
        let rows = self.prepared.query(client, sql!("sql/expire.sql"), &[&self.queue, &CHUNK])?;
        Ok((rows.len(), rows.iter().filter(|row| row.try_get("late").unwrap_or(true)).count()))
    }

    /// Deletes deliveries that were settled `retention` ago or earlier. Gives how many there
    /// were, at most [`CHUNK`].
    ///
    /// # Errors
    /// As the statement.
    pub fn prune(&mut self, client: &mut Client, retention: Duration) -> Result<usize, Error> {
        let (sql, retention) = (sql!("sql/prune.sql"), retention.as_secs_f64());
        Ok(self.prepared.query(client, sql, &[&self.queue, &retention, &CHUNK])?.len())
    }

    /// How many more recipients there may be, if `daily` is the limit of any 24 hours: where what is
    /// leased counts as sent, and where it does not.
    ///
    /// # Errors
    /// As the statement.
    pub fn room(
        &mut self,
        client: &mut impl GenericClient,
        daily: u64,
    ) -> Result<(u64, u64), Error> {
        let row = self.prepared.row(client, sql!("sql/room.sql"), &[&count(daily)])?;
        let (room, left): (i64, i64) = (row.try_get("room")?, row.try_get("unleased")?);
        Ok((room.try_into().unwrap_or(0), left.try_into().unwrap_or(0)))
    }

    /// Records the highest token that was handed out.
    ///
    /// # Errors
    /// As the statement.
    pub fn record(&mut self, client: &mut Client, token: i64) -> Result<(), Error> {
        let sql = sql!("sql/record.sql");
        self.prepared.query(client, sql, &[&self.queue, &token]).map(drop)
    }

    /// Adds up old tallies of what was sent.
    ///
    /// # Errors
    /// As the statement.
    pub fn fold(&mut self, client: &mut Client) -> Result<(), Error> {
        self.prepared.query(client, sql!("sql/fold.sql"), &[&self.queue]).map(drop)
    }
}
