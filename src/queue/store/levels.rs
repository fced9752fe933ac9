//! Where the deliveries of each priority begin.
//!
//! A row that changed leaves entries in the indexes until no transaction can want it as it was.
//! Beside a long transaction these are the entries of all rows since it began, and whatever reads
//! an index from its front passes them. So that is done rarely, and other statements begin at what
//! was found then. <https://www.postgresql.org/docs/current/routine-vacuuming.html>

use crate::queue::store::{Statements, seconds};
use postgres::{Client, Error};
use std::time::Duration;

/// Where the deliveries of each priority begin: texts of PostgreSQL, which are handed back as they
/// came.
#[derive(Debug)]
pub struct Levels {
    /// `smallint[]`: the priorities, ascending. The lowest is claimed first.
    pub(crate) priorities: String,
    /// `timestamptz[]`: the moment from which each of them has due rows.
    pub(crate) floors: String,
}

impl Default for Levels {
    /// No priority is known.
    fn default() -> Levels {
        Levels { priorities: "{}".to_owned(), floors: "{}".to_owned() }
    }
}

/// What was found out about a queue.
#[derive(Debug)]
pub struct Found {
    /// Where its deliveries begin.
    pub levels: Levels,
    /// One is due, or will be within a second.
    pub due: bool,
    /// When the first lease runs out; zero if one has.
    pub lease: Option<Duration>,
}

impl Statements {
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
}
