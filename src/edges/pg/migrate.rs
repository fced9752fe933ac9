//! The versions of the schema: the SQL, which of it a database has, and the way from one to
//! another.
//!
//! In scope: the files of `migrations/`, the table `schema_migrations` and the advisory lock, all
//! three as golang-migrate has them, so that either tool can be used on the same database.
//! Out of scope: connecting, and saying anything; a caller gets steps and errors.
//! <https://github.com/golang-migrate/migrate/blob/master/MIGRATIONS.md>

mod alone;
mod history;
mod loss;

use crate::edges::pg::statement;
use crate::mail::error::{Error, Kind};
use alone::alone;
use history::{Found, Home, ensure_table, is_at, read, record};
pub use loss::loss;
use postgres::Client;
use postgres::error::{ErrorPosition, SqlState};

/// One version of the schema.
struct Migration {
    version: i64,
    name: &'static str,
    up: &'static str,
    down: &'static str,
}

macro_rules! migration {
    ($version:literal, $name:literal) => {
        Migration {
            version: $version,
            name: $name,
            up: statement!(concat!("../../../migrations/", $version, "_", $name, ".up.sql")),
            down: statement!(concat!("../../../migrations/", $version, "_", $name, ".down.sql")),
        }
    };
}

/// All versions, ascending. Each file is one transaction.
const MIGRATIONS: &[Migration] = &[
    migration!(0, "init"),
    migration!(1, "harden"),
    migration!(2, "deliveries"),
    migration!(3, "operate"),
    migration!(4, "upkeep"),
];

/// The version that this program works with.
pub const NEWEST: i64 = MIGRATIONS[MIGRATIONS.len() - 1].version;

/// golang-migrate's number for "nothing applied": in the table only while it is dirty.
const NOTHING: i64 = -1;

/// What was done with one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its `up` file ran.
    Applied,
    /// Its `down` file ran.
    Reverted,
    /// Its tables were there without a record of it; now there is one.
    Recorded,
}

/// One step that [`up`] or [`down`] made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The version.
    pub version: i64,
    /// Its name, such as `init`.
    pub name: &'static str,
    /// What was done.
    pub change: Change,
}

/// What [`status`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The schema that holds the tables, or would.
    pub schema: String,
    /// The version in force; `None`: nothing is applied.
    pub version: Option<i64>,
    /// Whether a migration broke off and left its traces.
    pub dirty: bool,
    /// Whether the version is written down; false for tables that were made without a tool.
    pub recorded: bool,
    /// The newest version that this program knows.
    pub newest: i64,
    /// Every version this program knows: number, name, whether it is applied.
    pub known: Vec<(i64, &'static str, bool)>,
}

/// Brings the schema to [`NEWEST`] and says which steps that took; none if it was there.
///
/// Tables of version 0 that were made without a tool are recognised and taken over.
///
/// # Errors
/// The schema is dirty or newer than this program, a migration failed, or the server did not let
/// us. What failed was rolled back.
pub fn up(client: &mut Client) -> Result<Vec<Step>, Error> {
    alone(client, |client, home| {
        let found = prepare(client, home)?;
        let mut steps = Vec::new();
        if let (Some(version), false) = (found.version, found.recorded) {
            record(client, home, version, false)?;
            let name = name_of(version);
            steps.push(Step { version, name, change: Change::Recorded });
        }
        let start = found.version.unwrap_or(NOTHING);
        let mut current = start;
        for migration in MIGRATIONS.iter().filter(|m| m.version > start) {
            run(client, home, migration, Change::Applied, current, migration.version)?;
            current = migration.version;
            steps.push(migration.step(Change::Applied));
        }
        Ok(steps)
    })
}

/// Takes the last `steps` versions back (`None`: one) and says which those were. Fewer when there
/// are no more.
///
/// # Errors
/// As [`up`].
pub fn down(client: &mut Client, steps: Option<u32>) -> Result<Vec<Step>, Error> {
    alone(client, |client, home| {
        let found = prepare(client, home)?;
        let start = found.version.unwrap_or(NOTHING);
        let mut current = start;
        let mut done = Vec::new();
        let wanted = steps.unwrap_or(1) as usize;
        for migration in MIGRATIONS.iter().rev().filter(|m| m.version <= start).take(wanted) {
            let target = MIGRATIONS.iter().map(|m| m.version).rfind(|v| *v < migration.version);
            let target = target.unwrap_or(NOTHING);
            run(client, home, migration, Change::Reverted, current, target)?;
            current = target;
            done.push(migration.step(Change::Reverted));
        }
        Ok(done)
    })
}

/// Says which version the database has. Changes nothing.
///
/// # Errors
/// The database cannot be asked, or its `schema_migrations` is another tool's.
pub fn status(client: &mut Client) -> Result<Status, Error> {
    let home = Home::find(client)?;
    let found = read(client, &home)?;
    let applied = |version| found.version.is_some_and(|current| version <= current);
    Ok(Status {
        schema: home.schema,
        version: found.version,
        dirty: found.dirty,
        recorded: found.recorded,
        newest: NEWEST,
        known: MIGRATIONS.iter().map(|m| (m.version, m.name, applied(m.version))).collect(),
    })
}

/// Writes `version` down as the one in force, clean, without running anything; -1: nothing is
/// applied.
///
/// # Errors
/// The version is not one of ours (a usage error), or the server did not let us.
pub fn force(client: &mut Client, version: i64) -> Result<(), Error> {
    if version != NOTHING && !MIGRATIONS.iter().any(|m| m.version == version) {
        return Err(Error::usage(format!(
            "there is no version {version} of the schema: give one from 0 to {NEWEST}, \
             or -1 for nothing applied"
        )));
    }
    alone(client, |client, home| {
        ensure_table(client, home)?;
        record(client, home, version, false)
    })
}

/// Makes sure that this program and the database speak of the same schema. Changes nothing.
///
/// # Errors
/// [`Kind::Config`] if they do not, with the version found, the version needed and what to do.
pub fn require_current(client: &mut Client) -> Result<(), Error> {
    if is_at(client, NEWEST) {
        return Ok(());
    }
    let home = Home::find(client)?;
    let found = read(client, &home)?;
    refuse_dirty_or_newer(&home, &found)?;
    let have = match found.version {
        Some(version) if version == NEWEST => return Ok(()),
        Some(version) if found.recorded => format!("version {version}"),
        Some(version) => format!("version {version}, made without a migration tool"),
        None => "none".to_owned(),
    };
    Err(Error::config(format!(
        "the mailroom schema in database \"{}\" (schema \"{}\") is not up to date: found {have}, \
         version {NEWEST} is needed. Run: mailroom migrate up",
        home.database, home.schema
    )))
}

impl Migration {
    fn step(&self, change: Change) -> Step {
        Step { version: self.version, name: self.name, change }
    }
}

fn name_of(version: i64) -> &'static str {
    MIGRATIONS.iter().find(|m| m.version == version).map_or("", |m| m.name)
}

fn refuse_dirty_or_newer(home: &Home, found: &Found) -> Result<(), Error> {
    let version = found.version.unwrap_or(NOTHING);
    if found.dirty {
        return Err(Error::config(format!(
            "the schema \"{}\" is dirty at version {version} (version {NEWEST} is needed): a \
             migration towards it broke off. Each migration is one transaction: if its changes \
             are there, run: mailroom migrate force {version}; if not, force the version before \
             it; then run: mailroom migrate up",
            home.schema
        )));
    }
    if version > NEWEST {
        return Err(Error::config(format!(
            "the schema \"{}\" has version {version}, but this mailroom knows only up to \
             {NEWEST}: install the newer mailroom, or take the schema back with that one \
             (mailroom migrate down {})",
            home.schema,
            version - NEWEST
        )));
    }
    Ok(())
}

/// The state to start from, under the lock, once it is known to be sound.
fn prepare(client: &mut Client, home: &Home) -> Result<Found, Error> {
    let found = read(client, home)?;
    refuse_dirty_or_newer(home, &found)?;
    ensure_table(client, home)?;
    Ok(found)
}

/// Runs one file between the two writes of the dirty flag.
///
/// golang-migrate leaves the flag up after any failure. Here the file is one transaction: once the
/// server has rolled it back the schema is what it was, and the version is put back too. Only a
/// lost connection, after which nobody knows, leaves the flag.
fn run(
    client: &mut Client,
    home: &Home,
    migration: &Migration,
    change: Change,
    from: i64,
    to: i64,
) -> Result<(), Error> {
    let (sql, way) = match change {
        Change::Reverted => (migration.down, "down"),
        Change::Applied | Change::Recorded => (migration.up, "up"),
    };
    record(client, home, to, true)?;
    let Err(error) = client.batch_execute(sql) else {
        return record(client, home, to, false);
    };
    let file = format!("{}_{}.{way}.sql", migration.version, migration.name);
    let undone = error.as_db_error().is_some()
        && client.batch_execute("ROLLBACK").is_ok()
        && record(client, home, from, false).is_ok();
    let locked = error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE);
    let what = if undone && locked {
        "somebody's transaction has a lock on the tables; nothing was kept; run the same command \
         again when it has ended"
    } else if undone {
        "nothing of it was kept; remove the cause and run the same command again"
    } else {
        "it is not known whether it was committed, and the schema is marked dirty; \
         see: mailroom migrate status"
    };
    let mut said = failed(&format!("migration {file} failed"), &error);
    if let Some(line) = line_of(sql, &error) {
        said.message += &format!(", line {line}");
    }
    said.message += &format!("; {what}");
    if locked {
        said.kind = Kind::Temporary;
    }
    Err(said)
}

/// The line of `sql` that the server complains about, from 1.
fn line_of(sql: &str, error: &postgres::Error) -> Option<usize> {
    match error.as_db_error()?.position()? {
        ErrorPosition::Original(at) => {
            let before = (*at as usize).saturating_sub(1);
            Some(sql.chars().take(before).filter(|c| *c == '\n').count() + 1)
        }
        ErrorPosition::Internal { .. } => None,
    }
}

/// What the server said, with what was being done. A server that refuses is a matter of
/// configuration; one that is gone is not.
fn failed(what: &str, error: &postgres::Error) -> Error {
    match error.as_db_error() {
        Some(db) => {
            let mut message = format!("{what}: {} ({})", db.message(), db.code().code());
            // That of a constraint quotes a row, and rows hold secrets.
            if let Some(detail) = db.detail().filter(|_| !db.code().code().starts_with("23")) {
                message += &format!("; {detail}");
            }
            if let Some(hint) = db.hint() {
                message += &format!("; {hint}");
            }
            Error::config(message)
        }
        None => Error::new(Kind::Unavailable, format!("{what}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_one_transaction() {
        for migration in MIGRATIONS {
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
    fn versions_ascend_without_a_gap() {
        for (expected, migration) in (0..).zip(MIGRATIONS) {
            assert_eq!(migration.version, expected);
        }
    }
}
