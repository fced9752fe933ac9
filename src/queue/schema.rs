//! Our schema: its versions, and what they are known by.
//!
//! Out of scope: how a database gets from one to another.

use crate::edges::pg::Client;
use crate::edges::pg::fault::Fault;
use crate::edges::pg::migrate::state::State;
use crate::edges::pg::migrate::{Migration, Schema, Step};
use crate::edges::pg::statement::sql;
use crate::mail::error::{Error, Kind};

macro_rules! migration {
    ($version:literal, $name:literal, $signs:expr) => {
        Migration {
            version: $version,
            name: $name,
            signs: &$signs,
            up: include_str!(concat!("../../migrations/", $version, "_", $name, ".up.sql")),
            down: include_str!(concat!("../../migrations/", $version, "_", $name, ".down.sql")),
        }
    };
}

/// The version that this program works with.
pub const NEWEST: i64 = 1;

/// All versions.
pub const SCHEMA: Schema = Schema {
    migrations: &[
        migration!(0, "init", ["tokens", "accounts", "jobs", "job_type"]),
        migration!(1, "mailroom", ["deliveries", "kinds", "delivery_cause"]),
    ],
};

/// First key of the advisory lock that a listener holds, shared: "mail" in ASCII. The second one is
/// the queue's, so that whoever asks sees who listens, whatever their role.
pub const LISTENER: i32 = 0x6d61_696c;

/// What makes the newest version.
pub fn text() -> &'static str {
    SCHEMA.migrations.last().map_or("", |newest| newest.up)
}

/// Brings the schema to [`NEWEST`]; gives the steps that took.
///
/// # Errors
/// As [`Schema::up`]; of kind `Temporary` if it can be done later.
pub fn up(client: &mut Client) -> Result<Vec<Step>, Error> {
    SCHEMA.up(client).map_err(error)
}

/// Takes the last `steps` versions back; gives the steps that took.
///
/// # Errors
/// As [`up`].
pub fn down(client: &mut Client, steps: u32) -> Result<Vec<Step>, Error> {
    SCHEMA.down(client, steps).map_err(error)
}

/// Says which version the database has.
///
/// # Errors
/// As [`Schema::status`].
pub fn status(client: &mut Client) -> Result<State, Error> {
    SCHEMA.status(client).map_err(error)
}

/// Writes `version` down as the one in force; -1: nothing is applied.
///
/// # Errors
/// Of kind `Usage` if it is not one of ours; else as [`Schema::force`].
pub fn force(client: &mut Client, version: i64) -> Result<(), Error> {
    if !(-1..=NEWEST).contains(&version) {
        return Err(Error::usage(format!(
            "there is no version {version} of the schema: give one from 0 to {NEWEST}, \
             or -1 for nothing applied"
        )));
    }
    SCHEMA.force(client, version).map_err(error)
}

/// What would be lost if the last `steps` versions were taken back that the version before them has
/// no place for, for people; `None`: nothing.
///
/// # Errors
/// As [`status`], or the tables cannot be read.
pub fn loss(client: &mut Client, steps: u32) -> Result<Option<String>, Error> {
    let found = status(client)?;
    let Some(version) = found.version.filter(|_| !found.dirty) else { return Ok(None) };
    let sql = match version < i64::from(steps) {
        true => sql!("sql/loss_of_all.sql"),
        false => sql!("sql/loss.sql"),
    };
    let row = client.query_one(sql, &[]).and_then(|row| row.try_get::<_, Option<String>>(0));
    let lost = row.map_err(|cause| error(Fault::failed("counting what would be lost", &cause)))?;
    let place = format!("of database \"{}\", schema \"{}\"", found.database, found.schema);
    Ok(lost.map(|lost| format!("{lost} {place}")))
}

fn error(fault: Fault) -> Error {
    match fault {
        Fault::Denied(text) => Error::config(text),
        Fault::Lost(text) => Error::new(Kind::Unavailable, text),
        Fault::Statement(text) => Error::new(Kind::Temporary, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_one_transaction() {
        for migration in SCHEMA.migrations {
            for sql in [migration.up, migration.down] {
                let lines: Vec<&str> =
                    sql.lines().filter(|l| !l.is_empty() && !l.starts_with("--")).collect();
                assert_eq!(lines.first(), Some(&"BEGIN ISOLATION LEVEL READ COMMITTED;"));
                assert_eq!(lines.last(), Some(&"COMMIT;"));
                assert_eq!(sql.matches("COMMIT;").count(), 1);
            }
        }
    }

    #[test]
    fn versions_ascend_without_a_gap_to_the_newest() {
        for (expected, migration) in (0..).zip(SCHEMA.migrations) {
            assert_eq!(migration.version, expected);
        }
        assert_eq!(SCHEMA.newest(), NEWEST);
    }
}
