//! Issues: published, followed, stopped.
//!
//! In scope: one statement for each. Out of scope: asking whether that is meant.

use crate::edges::pg::fault::refused_value;
use crate::edges::pg::statement::{of_row, sql};
use postgres::{Client, Error, Row};
use serde_json::{Map, Value};

/// What is to be published; `None`: the default of the function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publication {
    /// To whom.
    pub list: String,
    /// The template.
    pub template: String,
    /// The same key is the same issue.
    pub key: String,
    /// A JSON object.
    pub data: Option<String>,
    /// A moment, as PostgreSQL reads it.
    pub not_before: Option<String>,
    /// A JSON object: what subscribers' data must have.
    pub filter: Option<String>,
}

/// `FIELD=VALUE`, any number of times, as a JSON object.
///
/// # Errors
/// What is none.
pub fn filter(fields: &[String]) -> Result<Option<String>, String> {
    let mut all = Map::new();
    for text in fields {
        let (name, value) =
            text.split_once('=').ok_or_else(|| format!("{text:?} is not FIELD=VALUE"))?;
        if all.insert(name.to_owned(), Value::from(value)).is_some() {
            return Err(format!("{name:?} is given twice; an issue goes to those who fit all"));
        }
    }
    Ok((!all.is_empty()).then(|| Value::Object(all).to_string()))
}

/// To how many an issue would go now; `None`: there is no such list.
///
/// # Errors
/// As the statement, which reads all subscribers of the list.
pub fn audience(client: &mut Client, what: &Publication) -> Result<Option<i64>, Error> {
    let sql = sql!("sql/audience.sql");
    let row = client.query_opt(sql, &[&what.list, &what.filter])?;
    row.map(|row| row.try_get(0)).transpose()
}

/// Publishes an issue, or finds that it was published before.
///
/// # Errors
/// The outer one: as the statement. The inner one: what was asked for makes no sense.
pub fn publish(client: &mut Client, what: &Publication) -> Result<Result<i64, String>, Error> {
    let Publication { list, template, key, data, not_before, filter } = what;
    let values: [&(dyn postgres::types::ToSql + Sync); 6] =
        [list, template, key, data, not_before, filter];
    one(client.query_one(sql!("sql/publish.sql"), &values))
}

/// Sends one copy to an address; gives the delivery.
///
/// # Errors
/// As [`publish`].
pub fn test(
    client: &mut Client,
    what: &Publication,
    address: &str,
) -> Result<Result<i64, String>, Error> {
    let sql = "SELECT publish_test($1, $2, $3, $4::text::jsonb)";
    one(client.query_one(sql, &[&what.list, &what.template, &address, &what.data]))
}

/// The id that a function gave.
fn one(answer: Result<Row, Error>) -> Result<Result<i64, String>, Error> {
    match answer {
        Ok(row) => row.try_get(0).map(Ok),
        Err(error) => match refused_value(&error) {
            Some(refusal) => Ok(Err(refusal.message().to_owned())),
            None => Err(error),
        },
    }
}

/// How far an issue has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Issue {
    /// Its key.
    pub key: String,
    /// Of which list.
    pub list: String,
    /// From which template.
    pub template: String,
    /// `publishing`, `paused`, `cancelled` or `published`.
    pub state: String,
    /// To how many it was to go.
    pub total: i64,
    /// How many deliveries were made.
    pub enqueued: i64,
    /// How many of these were sent,
    pub sent: i64,
    /// wait or are on their way,
    pub waiting: i64,
    /// and failed.
    pub failed: i64,
    /// Whether there are subscribers left to make deliveries for.
    pub more: bool,
    /// How many were sent a second, in the last five minutes.
    pub rate: f64,
    /// In how many seconds it begins.
    pub starts: f64,
}

impl Issue {
    /// How many are still to be sent, as far as is known.
    pub fn left(&self) -> i64 {
        let unmade = if self.more { (self.total - self.enqueued).max(0) } else { 0 };
        if self.state == "cancelled" { 0 } else { unmade + self.waiting }
    }

    /// How many were made and will not be sent: their subscriber left, or the issue was cancelled.
    pub fn stopped(&self) -> i64 {
        (self.enqueued - self.sent - self.waiting - self.failed).max(0)
    }
}

/// The issue of this key; `None`: all that are under way.
///
/// # Errors
/// As the statement.
pub fn issues(client: &mut Client, key: Option<&str>) -> Result<Vec<Issue>, Error> {
    let rows = client.query(sql!("sql/issues.sql"), &[&key])?;
    let issue = |row: &Row| {
        Ok(of_row!(row, Issue {
            key, list, template, state, total, enqueued, sent, waiting, failed, more, rate, starts;
        }))
    };
    rows.iter().map(issue).collect()
}

/// What may be done with an issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// No more of it is sent for now.
    Pause,
    /// It goes on.
    Resume,
    /// No more of it is sent, ever.
    Cancel,
}

/// Does it; gives whether anything changed.
///
/// # Errors
/// As the statement.
pub fn change(client: &mut Client, key: &str, change: Change) -> Result<bool, Error> {
    let sql = match change {
        Change::Pause => sql!("sql/pause.sql"),
        Change::Resume => sql!("sql/resume.sql"),
        Change::Cancel => sql!("sql/cancel.sql"),
    };
    let changed = !client.query(sql, &[&key])?.is_empty();
    if changed && change == Change::Resume {
        client.query("SELECT notify_mailroom()", &[])?;
    }
    Ok(changed)
}
