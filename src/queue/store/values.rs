//! What the statements of the queue are given and give.

use crate::mail::model::{Claim, Ticket};
use std::sync::Arc;
use std::time::Duration;

/// Rows that one statement of maintenance touches at most.
pub const CHUNK: i64 = 1000;

/// Bytes of data after which a claim takes no more: what bounds the memory of a batch, of whose data
/// there are some copies.
pub const DATA: usize = 256 * 1024;

/// What a claim asks for; the default one takes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Want<'a> {
    /// Take at most this many.
    pub limit: usize,
    /// Take none if fewer than this can be had.
    pub least: usize,
    /// Look at this many due rows.
    pub look: usize,
    /// Text of the lease; every claim has one of its own.
    pub lease: &'a str,
    /// How long the lease lasts.
    pub lease_for: Duration,
    /// Kinds that are held.
    pub held: &'a [Arc<str>],
    /// How long their deliveries wait.
    pub held_for: Duration,
    /// The most recipients in any 24 hours, of all processes that claim under this limit.
    pub daily: Option<u64>,
    /// Where to begin: [`Levels::priorities`],
    pub priorities: Option<&'a str>,
    /// [`Levels::reached`],
    pub reached: Option<&'a str>,
    /// and the priority from which on all wait, if any does.
    pub before: Option<i16>,
    /// What can be carried: `csv`, `mail` or `events`.
    pub carries: &'static str,
    /// Do without the answer if it fails: what it was to settle is kept.
    pub once: bool,
}

/// What was settled, and what a claim got.
#[derive(Default)]
pub struct Turn {
    /// The deliveries that were settled.
    pub written: Vec<i64>,
    /// Those that were not, for others have their rows locked.
    pub locked: Vec<i64>,
    /// The deliveries that were claimed, in order.
    pub claims: Vec<Claim>,
    /// Due rows that were not eligible, and now wait or are expired.
    pub passed: usize,
    /// Those of them whose token expired.
    pub expired: usize,
    /// The limit of the day is reached, counting what others have leased: nothing was looked at.
    pub full: bool,
    /// [`Levels::reached`] for a claim that follows at once, if this one took any.
    pub reached: Option<String>,
}

/// Where the deliveries of each priority begin: texts of PostgreSQL, which are handed back as they
/// came; nothing is known by default.
///
/// A row that changed leaves entries in the indexes until no transaction can want it as it was.
/// Beside a long transaction these are the entries of all rows since it began, and whatever reads
/// an index from its front passes them. So that is done rarely, and other statements begin at what
/// was found then. <https://www.postgresql.org/docs/current/routine-vacuuming.html>
#[derive(Debug, Default)]
pub struct Levels {
    /// `smallint[]`: the priorities, ascending. The lowest is claimed first.
    pub priorities: Option<String>,
    /// `timestamptz[]`: the moment from which each of them has due rows.
    pub floors: Option<String>,
    /// The same, or where the last look began, or where a claim ended since: what follows does not pass
    /// over what was left in the index before.
    pub reached: Option<String>,
    /// `reached` is where a claim ended, not where a look began.
    pub claimed: bool,
    /// The first priority of a list.
    pub lists: Option<i16>,
}

/// Deliveries, in arrays of equal length: the secret of the token of each, or its id where it has no token,
/// and the address that it is to go to.
pub type Names<'a> = (&'a [Option<&'a [u8]>], &'a [Option<i64>], &'a [&'a str]);

/// What became of a delivery that was to be taken over.
pub enum Adopted {
    /// It is ours.
    Taken(Ticket),
    /// It stands as sent, but no provider has taken it.
    Unsent,
    /// It is none, or not to be had.
    Left,
}

/// Seconds as PostgreSQL gives them; less than none is none.
pub fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value.max(0.0)).unwrap_or(Duration::MAX)
}

/// A number as PostgreSQL takes it.
pub fn count(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// The text of a new lease: who, and a number that no other lease has. (The commands do not begin
/// where there are no random numbers.)
pub fn new_lease(holder: &str) -> String {
    let nonce = getrandom::u64().unwrap_or_default();
    format!("{holder}:{}:{nonce:016x}", std::process::id())
}
