//! Whether a database is fit for its queue: one inspection, whose findings start-up, `check`,
//! `migrate` and `status` read.
//!
//! In scope: what is found, how serious it is, what to do about it. Out of scope: whom it stops.

use crate::edges::pg::fault::Fault;
use crate::edges::pg::session::Session;
use crate::edges::pg::statement::sql;
use crate::queue::grants;
use crate::queue::schema::SCHEMA;
use std::fmt;
use std::time::Duration;

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// As it should be.
    Good,
    /// Mail moves; a person may want to look.
    Warning,
    /// Mail is late, or is never asked for, before a person changes something.
    Wrong,
    /// Nothing can be done with this database before a person changes something.
    Fatal,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What, in a word or three: stable, so that programs may go by it.
    pub subject: &'static str,
    /// How it came out.
    pub severity: Severity,
    /// What was found. Holds no secret.
    pub detail: String,
    /// What to do; empty where nothing is to be done, or the detail says it.
    pub advice: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let between = if self.advice.is_empty() { "" } else { "; " };
        write!(f, "{}{between}{}", self.detail, self.advice)
    }
}

/// What is looked at: how serious it is if something is wrong, what is said if nothing is, and what
/// to do. A subject of `fit.sql` each, but for the first two.
#[rustfmt::skip]
const SUBJECTS: &[(&str, Severity, &str, &str)] = &[
    ("schema", Severity::Fatal, "the one that is needed", ""),
    ("grants", Severity::Fatal, "all that are needed", "grant them, or let the owner of the tables run: mailroom migrate grants ROLE"),
    ("polling", Severity::Warning, "not needed: whoever inserts notifies those who sleep", "without need: ALTER DATABASE … RESET mailroom.notify"),
    ("queue", Severity::Fatal, "is there", "MAILROOM_QUEUE_NAME must be a value of the type job_type with a row in the table jobs"),
    ("pause", Severity::Warning, "nobody paused it", "mailroom queue resume"),
    ("row level security", Severity::Warning, "hides nothing", "let a policy show the daemon all rows, or give its role BYPASSRLS"),
    ("triggers", Severity::Wrong, "all are there and enabled", "ALTER TABLE … ENABLE TRIGGER …, or restore it: without it mails are not asked for"),
    ("replication", Severity::Warning, "no rows come by a subscription", "add rows on this side, or find accounts without a token: docs/OPERATIONS.md"),
    ("sequence", Severity::Wrong, "ahead of all deliveries", "SELECT setval('tokens_id_seq', max(id)) FROM deliveries"),
    ("two-phase commit", Severity::Warning, "is off", "let no transaction that is prepared add accounts or tokens, or call send_mail"),
    ("channel", Severity::Wrong, "the one that the triggers notify", "set MAILROOM_CHANNEL_NAME, or ALTER DATABASE … SET mailroom.channel"),
    ("database", Severity::Wrong, "can be written to", "connect to the primary, not to a standby, without default_transaction_read_only"),
];

/// What is found, but for the database itself, in the order in which people see it.
pub fn subjects() -> impl Iterator<Item = &'static str> {
    SUBJECTS.iter().map(|(name, ..)| *name).filter(|name| *name != "database")
}

/// What a connection is for, which says what it needs.
#[derive(Clone, Debug, Default)]
pub struct Purpose {
    /// The queue that is worked or looked at.
    pub queue: String,
    /// The channel that is listened on.
    pub channel: Option<String>,
    /// Whether deliveries are claimed or settled.
    pub works: bool,
    /// Whether settled deliveries are removed.
    pub deletes: bool,
    /// How often it is looked for deliveries, whoever is notified; `None`: if nobody is, each second.
    pub poll: Option<Duration>,
}

/// Looks at the database; each statement may take `limit`. What depends on something that is fatal
/// may be left out.
///
/// # Errors
/// The database cannot be asked.
pub fn inspect(
    session: &mut Session,
    limit: Duration,
    purpose: &Purpose,
) -> Result<Vec<Finding>, Fault> {
    match session.call(limit, |client| Ok(SCHEMA.require_current(client)))? {
        Err(Fault::Denied(why)) => return Ok(finding("schema", Some(why)).into_iter().collect()),
        current => current?,
    }
    let missing = match purpose.works {
        true => session.call(limit, |client| grants::missing(client, purpose.deletes))?.join(", "),
        false => String::new(),
    };
    let lacks =
        (!missing.is_empty()).then(|| format!("the database role lacks privileges: {missing}"));
    let mut found = vec![("schema".to_owned(), None), ("grants".to_owned(), lacks)];
    let rows = session.call(limit, |client| {
        let rows = client.query(sql!("sql/fit.sql"), &[&purpose.queue, &purpose.channel])?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<Vec<_>, _>>()
    });
    match rows {
        Ok(rows) => found.extend(rows),
        // The privileges that are missing may be those to look there.
        Err(Fault::Denied(_) | Fault::Statement(_)) if !missing.is_empty() => {}
        Err(fault) => return Err(fault),
    }
    Ok(found.into_iter().filter_map(|(subject, wrong)| finding(&subject, wrong)).collect())
}

fn finding(subject: &str, wrong: Option<String>) -> Option<Finding> {
    let &(subject, severity, good, advice) = SUBJECTS.iter().find(|(name, ..)| *name == subject)?;
    Some(match wrong {
        Some(detail) => Finding { subject, severity, detail, advice },
        None => Finding { subject, severity: Severity::Good, detail: good.to_owned(), advice: "" },
    })
}

/// Refuses a database with which nothing can be done.
///
/// # Errors
/// What a person must change.
pub fn refuse<'a>(found: impl IntoIterator<Item = &'a Finding>) -> Result<(), String> {
    let fatal = found.into_iter().find(|one| one.severity == Severity::Fatal);
    fatal.map_or(Ok(()), |fatal| Err(fatal.to_string()))
}
