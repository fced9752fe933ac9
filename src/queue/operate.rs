//! What people do with a queue: look at deliveries, let them be tried again, give them up, pause.
//!
//! In scope: one statement for each. Out of scope: asking whether that is meant.

use crate::edges::pg::statement::{of_row, sql};
use crate::mail::model::mask;
use crate::queue::snapshot::Entry;
use postgres::types::ToSql;
use postgres::{Client, Error, Row};
use std::time::SystemTime;

/// Rows that one statement changes at most.
pub const CHUNK: i64 = 5000;

/// Which deliveries are meant.
pub struct Which {
    /// These; `None`: all.
    pub ids: Option<Vec<i64>>,
    /// Only those of which people read a text that begins so.
    pub reason: Option<String>,
    /// Only those of this cause.
    pub cause: Option<String>,
}

/// The states that deliveries can be in, in the order of lists.
pub const STATES: [&str; 6] = ["leased", "pending", "failed", "expired", "superseded", "sent"];

/// The first `limit` deliveries of `queue` in these states: their ids.
///
/// # Errors
/// As the statement.
pub fn list(
    client: &mut Client,
    queue: &str,
    states: &[&str],
    limit: i64,
) -> Result<Vec<i64>, Error> {
    ids(client, sql!("sql/operate/list.sql"), &[&queue, &states, &limit])
}

/// The latest `limit` deliveries to `address` in these states, of `queue` or any: their ids.
///
/// # Errors
/// As the statement, which reads all deliveries.
pub fn find(
    client: &mut Client,
    address: &str,
    queue: Option<&str>,
    states: &[&str],
    limit: i64,
) -> Result<Vec<i64>, Error> {
    ids(client, sql!("sql/operate/find.sql"), &[&address, &queue, &states, &limit])
}

fn ids(client: &mut Client, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<i64>, Error> {
    client.query(sql, values)?.iter().map(|row| row.try_get(0)).collect()
}

/// Those of these deliveries that there are, of any queue, in this order. `reveal`: with addresses,
/// logins and the values of their data.
///
/// # Errors
/// As the statement.
pub fn show(client: &mut Client, ids: &[i64], reveal: bool) -> Result<Vec<Entry>, Error> {
    let rows = client.query(sql!("sql/operate/show.sql"), &[&ids, &reveal])?;
    rows.iter().map(|row| entry(row, reveal)).collect()
}

fn entry(row: &Row, reveal: bool) -> Result<Entry, Error> {
    let email: String = row.try_get("email")?;
    let data: Option<&str> = row.try_get("data")?;
    Ok(of_row!(row, Entry {
        id, queue, state, cause, attempts, priority, kind, account, account_status, login, lease,
        provider_id, error, created_seconds_ago, due_seconds_ago, settled_seconds_ago,
        token_expires_in_seconds, token_used, locale, key, not_before;
        address: if reveal { email } else { mask(&email) },
        data: data.and_then(|text| serde_json::from_str(text).ok())
    }))
}

/// Lets failed deliveries be tried again; gives which, at most [`CHUNK`].
///
/// # Errors
/// As the statement.
pub fn retry(client: &mut Client, queue: &str, which: &Which) -> Result<Vec<i64>, Error> {
    let sql = sql!("sql/operate/retry.sql");
    ids(client, sql, &[&queue, &which.ids, &which.reason, &CHUNK, &which.cause])
}

/// How many failed deliveries [`retry`] of all leaves as they are, because their tokens expired or
/// were used.
///
/// # Errors
/// As the statement.
pub fn beyond_retry(client: &mut Client, queue: &str, which: &Which) -> Result<i64, Error> {
    let values: [&(dyn ToSql + Sync); 3] = [&queue, &which.reason, &which.cause];
    client.query_one(sql!("sql/operate/beyond_retry.sql"), &values)?.try_get(0)
}

/// Gives deliveries up that were made by `until`, in the name of `who`; gives which, at most
/// [`CHUNK`].
///
/// # Errors
/// As the statement.
pub fn drop(
    client: &mut Client,
    queue: &str,
    which: &Which,
    who: &str,
    until: SystemTime,
) -> Result<Vec<i64>, Error> {
    let sql = sql!("sql/operate/drop.sql");
    ids(client, sql, &[&queue, &which.ids, &which.reason, &CHUNK, &who, &until, &which.cause])
}

/// The time of the database.
///
/// # Errors
/// As the statement.
pub fn now(client: &mut Client) -> Result<SystemTime, Error> {
    client.query_one("SELECT now()", &[])?.try_get(0)
}

/// Pauses `queue` for a reason, or lets it go on (`None`). Gives whether it was paused before;
/// `None`: there is no such queue.
///
/// # Errors
/// As the statement.
pub fn pause(
    client: &mut Client,
    queue: &str,
    reason: Option<&str>,
) -> Result<Option<bool>, Error> {
    let row =
        client.query_opt(sql!("sql/operate/pause.sql"), &[&queue, &reason.is_some(), &reason])?;
    row.map(|row| row.try_get(0)).transpose()
}

/// Wakes those who listen on `channel`, and on the channel that the database's triggers notify.
///
/// # Errors
/// As the statement.
pub fn wake(client: &mut Client, channel: &str) -> Result<(), Error> {
    client.query(sql!("sql/operate/wake.sql"), &[&channel]).map(std::mem::drop)
}
