//! One mail, asked for as an application asks, and followed as it may.
//!
//! In scope: the call of `send_mail`, and what its refusals mean. Out of scope: what a mail must be,
//! which the database says.

use postgres::types::ToSql;
use postgres::{Client, Error};

/// What `send_mail` is asked for; `None`: its default.
#[derive(Clone, Copy, Debug)]
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

/// Why there is no such mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// What was asked for makes no sense.
    Input(String),
    /// The function is not there, or this role may not call it.
    Setup(String),
}

/// How far a mail has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Its state.
    pub state: String,
    /// Why it waits or how it ended; may be empty.
    pub cause: String,
    /// The provider's id of the mail; may be empty.
    pub provider_id: String,
}

/// Asks for a mail; gives the id of its delivery.
///
/// # Errors
/// The outer one: as the statement, in all that is no refusal.
pub fn send(client: &mut Client, request: &Request<'_>) -> Result<Result<i64, Refused>, Error> {
    let Request { kind, recipient, data, locale, key, not_before } = request;
    let values: [&(dyn ToSql + Sync); 6] = [kind, recipient, data, locale, key, not_before];
    let error = match client.query_one(include_str!("sql/request/send.sql"), &values) {
        Ok(row) => return row.try_get(0).map(Ok),
        Err(error) => error,
    };
    let Some(refusal) = error.as_db_error() else { return Err(error) };
    let text = [Some(refusal.message()), refusal.hint()].into_iter().flatten();
    let text = text.collect::<Vec<_>>().join("; ");
    match refusal.code().code() {
        // Class 22 is data exception: no such kind, no address, no JSON, no time.
        // <https://www.postgresql.org/docs/current/errcodes-appendix.html>
        code if code.starts_with("22") => Ok(Err(Refused::Input(text))),
        "42501" => Ok(Err(Refused::Setup(format!(
            "{text}; let the owner of the tables run: mailroom migrate grants ROLE --application"
        )))),
        "42883" => Ok(Err(Refused::Setup(format!(
            "{}; run: mailroom migrate up, or name its schema in search_path",
            refusal.message()
        )))),
        _ => Err(error),
    }
}

/// How far the mail `id` has come; `None`: there is none.
///
/// # Errors
/// As the statement.
pub fn progress(client: &mut Client, id: i64) -> Result<Option<Progress>, Error> {
    let row = client.query_opt(include_str!("sql/request/progress.sql"), &[&id])?;
    let progress = |row: postgres::Row| {
        Ok(Progress {
            state: row.try_get("state")?,
            cause: row.try_get("cause")?,
            provider_id: row.try_get("provider_id")?,
        })
    };
    row.map(progress).transpose()
}

/// What was said of the mail `id`, for people.
///
/// # Errors
/// As the statement: an application may not see this.
pub fn reason(client: &mut Client, id: i64) -> Result<String, Error> {
    let sql = "SELECT coalesce(error, '') FROM deliveries WHERE id = $1";
    client.query_one(sql, &[&id])?.try_get(0)
}
