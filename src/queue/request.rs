//! One mail, asked for as an application asks, and followed as it may.
//!
//! In scope: the call of `send_mail`, and what its refusals mean. Out of scope: what a mail must be,
//! which the database says.

use crate::edges::pg::fault::refused_value;
use crate::edges::pg::statement::sql;
use crate::edges::pg::{Client, StatementError};
use crate::mail::error::{Error, Kind};
use postgres::types::ToSql;

/// What `send_mail` is asked for; `None`: its default.
pub struct Request<'a> {
    /// The kind of mail.
    pub kind: &'a str,
    /// To whom.
    pub recipient: &'a str,
    /// A JSON object.
    pub data: Option<&'a str>,
    /// The language.
    pub locale: Option<&'a str>,
    /// The same key is the same mail.
    pub key: Option<&'a str>,
    /// A moment, as PostgreSQL reads it.
    pub not_before: Option<&'a str>,
}

/// Asks for a mail; gives the id of its delivery.
///
/// # Errors
/// The inner one: what was asked for makes no sense (`Data`); the function is not there, or this role may
/// not call it (`Config`). The outer one: as the statement, in all else.
pub fn send(
    client: &mut Client,
    request: &Request<'_>,
) -> Result<Result<i64, Error>, StatementError> {
    let Request { kind, recipient, data, locale, key, not_before } = request;
    let values: [&(dyn ToSql + Sync); 6] = [kind, recipient, data, locale, key, not_before];
    let error = match client.query_one(sql!("sql/request/send.sql"), &values) {
        Ok(row) => return row.try_get(0).map(Ok),
        Err(error) => error,
    };
    let Some(refusal) = error.as_db_error() else { return Err(error) };
    let text = [Some(refusal.message()), refusal.detail(), refusal.hint()].into_iter().flatten();
    let text = text.collect::<Vec<_>>().join("; ");
    match refusal.code().code() {
        // No such kind, no address, no JSON, no time.
        _ if refused_value(&error).is_some() => Ok(Err(Error::new(Kind::Data, text))),
        "42501" => Ok(Err(Error::config(format!(
            "{text}; let the owner of the tables run: mailroom migrate grants ROLE --application"
        )))),
        "42883" => Ok(Err(Error::config(format!(
            "{}; run: mailroom migrate up, or name its schema in search_path",
            refusal.message()
        )))),
        _ => Err(error),
    }
}

/// How far the mail `id` has come: its state, why it waits or how it ended, the provider's id of it, which
/// may both be empty; `None`: there is none.
///
/// # Errors
/// As the statement.
pub fn progress(client: &mut Client, id: i64) -> Result<Option<[String; 3]>, StatementError> {
    let row = client.query_opt(sql!("sql/request/progress.sql"), &[&id])?;
    row.map(|row| Ok([row.try_get(0)?, row.try_get(1)?, row.try_get(2)?])).transpose()
}

/// What was said of the mail `id`, for people.
///
/// # Errors
/// As the statement: an application may not see this.
pub fn reason(client: &mut Client, id: i64) -> Result<String, StatementError> {
    let sql = "SELECT coalesce(error, '') FROM deliveries WHERE id = $1";
    client.query_one(sql, &[&id])?.try_get(0)
}
