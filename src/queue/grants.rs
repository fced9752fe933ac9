//! The privileges that each kind of role needs: one table, from which they are given and checked.
//!
//! In scope: giving and finding what is missing. Out of scope: making roles, and taking away.
//! <https://www.postgresql.org/docs/current/ddl-priv.html>

use crate::edges::pg::statement::sql;
use crate::edges::pg::{Client, StatementError};
use crate::mail::error::Error;
use postgres::GenericClient;

/// A privilege on a table or function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grant {
    /// `SELECT`, `INSERT`, `UPDATE` or `DELETE`; `EXECUTE` for a function.
    pub privilege: &'static str,
    /// The table; the function, of which there is one by this name.
    pub table: &'static str,
    /// The columns; none: all, also those that a later version adds.
    pub columns: &'static [&'static str],
}

type Text = &'static str;

const fn grant(privilege: Text, table: Text, columns: &'static [Text]) -> Grant {
    Grant { privilege, table, columns }
}

/// What the daemons, `status` and `health` need. The columns of [`Grant`]s on `deliveries` and
/// `jobs` are those that mailroom's statements write.
#[rustfmt::skip]
pub const COLLECTOR: &[Grant] = &[
    grant("SELECT", "schema_migrations", &[]),
    grant("SELECT", "jobs", &[]),
    grant("UPDATE", "jobs", &["last_seq"]),
    grant("SELECT", "kinds", &[]),
    grant("SELECT", "accounts", &["id", "email", "login", "status"]),
    grant("SELECT", "tokens", &["id", "secret", "code", "account", "expires_at", "consumed_at"]),
    grant("SELECT", "deliveries", &[]),
    grant("SELECT", "tokens_id_seq", &[]),
    grant("UPDATE", "deliveries", &["state", "cause", "attempts", "due_at", "lease", "provider_id", "error"]),
    grant("SELECT", "tallies", &[]),
    grant("INSERT", "tallies", &[]),
    grant("UPDATE", "tallies", &["sent"]),
    grant("DELETE", "tallies", &[]),
    grant("SELECT", "lists", &[]),
    grant("SELECT", "subscribers", &["id", "list", "state", "data", "secret"]),
    grant("SELECT", "issues", &[]),
    grant("EXECUTE", "enqueue_issue", &[]),
    DELETE,
];

/// Needed only where settled deliveries are removed, which `MAILROOM_RETENTION=forever` turns off.
const DELETE: Grant = grant("DELETE", "deliveries", &[]);

/// What `mailroom queue pause` and `resume`, `list` and `publish` need besides.
#[rustfmt::skip]
pub const OPERATOR: &[Grant] = &[
    grant("UPDATE", "jobs", &["paused_at", "paused_reason"]),
    grant("SELECT", "subscribers", &[]),
    grant("INSERT", "subscribers", &[]),
    grant("UPDATE", "subscribers", &["address", "state", "subject", "data", "locale", "confirmed_at", "changed_at", "how"]),
    grant("UPDATE", "issues", &["state"]),
    grant("EXECUTE", "fits", &[]),
    grant("EXECUTE", "publish", &[]),
    grant("EXECUTE", "publish_test", &[]),
    grant("EXECUTE", "subscribe", &[]),
];

/// What a role needs that asks for mails, and for nothing else.
pub const APPLICATION: &[Grant] =
    &[grant("EXECUTE", "send_mail", &[]), grant("EXECUTE", "send_mails", &[])];

/// What a role needs through which people come to a list and leave it.
pub const LISTS: &[Grant] = &[
    grant("EXECUTE", "subscribe", &[]),
    grant("EXECUTE", "confirm", &[]),
    grant("EXECUTE", "unsubscribe", &[]),
];

/// What the current role lacks of what a collector needs. `deletes`: whether settled deliveries will
/// be removed.
///
/// # Errors
/// As the statement.
pub fn missing(client: &mut Client, deletes: bool) -> Result<Vec<String>, StatementError> {
    lacking(client, None, COLLECTOR.iter().filter(|grant| deletes || **grant != DELETE))
}

/// Which of `needed` a role does not have; `None`: the current one.
fn lacking<'a>(
    client: &mut impl GenericClient,
    role: Option<&str>,
    needed: impl Iterator<Item = &'a Grant>,
) -> Result<Vec<String>, StatementError> {
    let parts = needed.flat_map(|grant| {
        let columns: Vec<Option<&str>> = match grant.columns {
            [] => vec![None],
            columns => columns.iter().map(|column| Some(*column)).collect(),
        };
        columns.into_iter().map(|column| (grant.privilege, grant.table, column))
    });
    let (privileges, tables, columns): (Vec<_>, Vec<_>, Vec<_>) = parts.collect();
    let rows = client.query(sql!("sql/missing.sql"), &[&role, &privileges, &tables, &columns])?;
    rows.iter().map(|row| row.try_get("missing")).collect()
}

/// Gives `role` what it needs, and gives the statements that ran, in one transaction. To
/// be run by the owner of the tables. Takes nothing away, and changes nothing when run again.
///
/// # Errors
/// The inner one: there is no such role, or not all may be given by the current one. The outer one: as
/// the statements.
pub fn give(
    client: &mut Client,
    role: &str,
    needed: &[Grant],
) -> Result<Result<Vec<String>, Error>, StatementError> {
    let found = client.query_opt(
        "SELECT quote_ident($1), relnamespace::regnamespace::text AS home
           FROM pg_class
          WHERE oid = 'deliveries'::regclass
            AND EXISTS (SELECT FROM pg_roles WHERE rolname = $1)",
        &[&role],
    )?;
    let Some(row) = found else {
        let why = format!("there is no role {role:?}: make it first (CREATE ROLE … LOGIN)");
        return Ok(Err(Error::config(why)));
    };
    let name: String = row.try_get(0)?;
    // The text of a regnamespace is quoted where it has to be.
    let home: String = row.try_get("home")?;
    let mut statements = vec![format!("GRANT USAGE ON SCHEMA {home} TO {name}")];
    for Grant { privilege, table, columns } in needed {
        let columns = match columns {
            [] => String::new(),
            columns => format!(" ({})", columns.join(", ")),
        };
        let what = if *privilege == "EXECUTE" { "FUNCTION " } else { "" };
        statements.push(format!("GRANT {privilege}{columns} ON {what}{home}.{table} TO {name}"));
    }
    let mut transaction = client.transaction()?;
    transaction.batch_execute(&statements.join("; "))?;
    // To grant what is not ours to grant brings a warning only.
    let missing = lacking(&mut transaction, Some(role), needed.iter())?;
    if !missing.is_empty() {
        let why = format!("only the owner of the tables can give these: {}", missing.join(", "));
        return Ok(Err(Error::config(why)));
    }
    transaction.commit()?;
    Ok(Ok(statements))
}
