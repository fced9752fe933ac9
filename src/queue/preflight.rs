//! What can be asked of a server about the connection itself.
//!
//! In scope: one statement each. Out of scope: what the answers mean, and the schema.

use crate::edges::pg::statement;
use postgres::{Client, Error};
use std::time::SystemTime;

/// What a connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The server's version, such as `15.4`.
    pub version: String,
    /// The role that statements run as.
    pub role: String,
    /// TLS version and cipher as the server sees them; `None`: not encrypted.
    pub tls: Option<String>,
    /// Whether nothing can be written here: a standby, or a database that is read-only.
    pub read_only: bool,
    /// The channel that the database's triggers notify.
    pub channel: String,
    /// Process id of the server's side.
    pub pid: i32,
}

/// What this connection is.
///
/// # Errors
/// As the statement.
pub fn facts(client: &mut Client) -> Result<Facts, Error> {
    let row = client.query_one(statement!("sql/facts.sql"), &[])?;
    Ok(Facts {
        version: row.try_get("version")?,
        role: row.try_get("role")?,
        tls: row.try_get("tls")?,
        read_only: row.try_get("read_only")?,
        channel: row.try_get("channel")?,
        pid: row.try_get("pid")?,
    })
}

/// The kinds of mail of a queue: their numbers on the wire, and what they are called.
///
/// # Errors
/// As the statement.
pub fn actions(client: &mut Client, queue: &str) -> Result<Vec<(u16, String)>, Error> {
    let sql = "SELECT number, kind FROM kinds WHERE queue::text = $1 AND number IS NOT NULL ORDER BY number";
    let action = |row: &postgres::Row| {
        Ok((u16::try_from(row.try_get::<_, i16>(0)?).unwrap_or(0), row.try_get(1)?))
    };
    client.query(sql, &[&queue])?.iter().map(action).collect()
}

/// Why a queue is paused; `None`: it is not.
///
/// # Errors
/// As the statement.
pub fn paused(client: &mut Client, queue: &str) -> Result<Option<String>, Error> {
    let sql = "SELECT coalesce(paused_reason, '') FROM jobs
                WHERE job_type::text = $1 AND paused_at IS NOT NULL";
    client.query_opt(sql, &[&queue])?.map(|row| row.try_get(0)).transpose()
}

/// The tables of which this role may not see every row.
/// <https://www.postgresql.org/docs/current/ddl-rowsecurity.html>
///
/// # Errors
/// As the statement.
pub fn row_security(client: &mut Client) -> Result<Vec<String>, Error> {
    let sql = "SELECT name FROM unnest('{accounts,tokens,deliveries,kinds,jobs}'::text[]) AS name
                WHERE row_security_active(name)";
    client.query(sql, &[])?.iter().map(|row| row.try_get(0)).collect()
}

/// The time of the server now, not that of the transaction.
///
/// # Errors
/// As the statement.
pub fn clock(client: &mut Client) -> Result<SystemTime, Error> {
    client.query_one("SELECT clock_timestamp()", &[])?.try_get(0)
}

/// Notifies `channel`.
///
/// # Errors
/// As the statement.
pub fn notify(client: &mut Client, channel: &str) -> Result<(), Error> {
    client.query("SELECT pg_notify($1, '')", &[&channel]).map(drop)
}
