//! The versions of a schema: which of them a database has, and the way from one to another.
//!
//! In scope: the table `schema_migrations` and the advisory lock, both as golang-migrate has them,
//! so that either tool can be used on the same database. Out of scope: what the versions are,
//! connecting, and saying anything; a caller gets steps and faults.
//! <https://github.com/golang-migrate/migrate/blob/master/MIGRATIONS.md>

mod lock;
mod state;

use crate::edges::pg::fault::{Fault, is_locked_out};
use lock::alone;
use postgres::Client;
use postgres::error::ErrorPosition;
use state::{NOTHING, State};

/// One version of a schema.
pub struct Migration {
    /// From 0, without a gap.
    pub version: i64,
    /// Such as `init`.
    pub name: &'static str,
    /// The way up from the version before: SQL that is one transaction.
    pub up: &'static str,
    /// The way back to it: SQL that is one transaction.
    pub down: &'static str,
}

/// A schema that is kept by migrations.
pub struct Schema {
    /// All versions, ascending.
    pub migrations: &'static [Migration],
    /// The tables and types by which an installation is known that has no record of its version:
    /// then it has version 0. The search path finds it by the first, a table, whose owner owns the
    /// record too.
    pub signs: &'static [&'static str],
}

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

/// One step that [`Schema::up`] or [`Schema::down`] made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The version.
    pub version: i64,
    /// Its name, such as `init`.
    pub name: &'static str,
    /// What was done.
    pub change: Change,
}

/// What [`Schema::status`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The database.
    pub database: String,
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

impl Schema {
    /// The version that this program works with.
    pub fn newest(&self) -> i64 {
        self.migrations.last().map_or(NOTHING, |migration| migration.version)
    }

    /// Brings the schema to the newest version and says which steps that took; none if it was
    /// there.
    ///
    /// Tables of version 0 that were made without a tool are recognised and taken over.
    ///
    /// # Errors
    /// `Denied`: the schema is dirty or newer than this program, a migration failed, or the server
    /// did not let us. `Statement`: somebody's lock was in the way. What failed was rolled back.
    pub fn up(&self, client: &mut Client) -> Result<Vec<Step>, Fault> {
        alone(client, self.signs, |client, found| {
            self.prepare(client, found)?;
            let start = found.number();
            let mut steps = Vec::new();
            if found.version.is_some() && !found.recorded {
                found.record(client, start, false)?;
                let original = self.migrations.iter().find(|one| one.version == start);
                steps.extend(original.map(|one| one.step(Change::Recorded)));
            }
            for migration in self.migrations.iter().filter(|one| one.version > start) {
                run(client, found, migration, Change::Applied)?;
                steps.push(migration.step(Change::Applied));
            }
            Ok(steps)
        })
    }

    /// Takes the last `steps` versions back and says which those were. Fewer when there are no
    /// more.
    ///
    /// # Errors
    /// As [`Schema::up`].
    pub fn down(&self, client: &mut Client, steps: u32) -> Result<Vec<Step>, Fault> {
        alone(client, self.signs, |client, found| {
            self.prepare(client, found)?;
            let applied = self.migrations.iter().rev().filter(|one| one.version <= found.number());
            let mut done = Vec::new();
            for migration in applied.take(steps as usize) {
                run(client, found, migration, Change::Reverted)?;
                done.push(migration.step(Change::Reverted));
            }
            Ok(done)
        })
    }

    /// Says which version the database has. Changes nothing.
    ///
    /// # Errors
    /// The database cannot be asked, or its `schema_migrations` is another tool's.
    pub fn status(&self, client: &mut Client) -> Result<Status, Fault> {
        let found = State::read(client, self.signs)?;
        let known = |one: &Migration| (one.version, one.name, one.version <= found.number());
        Ok(Status {
            known: self.migrations.iter().map(known).collect(),
            database: found.database,
            schema: found.schema,
            version: found.version,
            dirty: found.dirty,
            recorded: found.recorded,
            newest: self.newest(),
        })
    }

    /// Writes `version` down as the one in force, clean, without running anything; -1: nothing is
    /// applied.
    ///
    /// # Errors
    /// The server did not let us.
    pub fn force(&self, client: &mut Client, version: i64) -> Result<(), Fault> {
        alone(client, self.signs, |client, found| {
            found.ensure_table(client, self.neighbour())?;
            found.record(client, version, false)
        })
    }

    /// Makes sure that this program and the database speak of the same schema. Changes nothing.
    ///
    /// # Errors
    /// `Denied` if they do not, with the version found, the version needed and what to do.
    pub fn require_current(&self, client: &mut Client) -> Result<(), Fault> {
        let found = State::read(client, self.signs)?;
        self.refuse_dirty_or_newer(&found)?;
        let newest = self.newest();
        let have = match found.version {
            Some(version) if version == newest => return Ok(()),
            Some(version) if found.recorded => format!("version {version}"),
            Some(version) => format!("version {version}, made without a migration tool"),
            None => "none".to_owned(),
        };
        Err(Fault::Denied(format!(
            "the mailroom schema in database \"{}\" (schema \"{}\") is not up to date: found \
             {have}, version {newest} is needed. Run: mailroom migrate up",
            found.database, found.schema
        )))
    }

    fn neighbour(&self) -> &str {
        self.signs.first().copied().unwrap_or_default()
    }

    /// Makes sure that what was found is sound, and that its version can be written down.
    fn prepare(&self, client: &mut Client, found: &State) -> Result<(), Fault> {
        self.refuse_dirty_or_newer(found)?;
        found.ensure_table(client, self.neighbour())
    }

    fn refuse_dirty_or_newer(&self, found: &State) -> Result<(), Fault> {
        let (version, newest, schema) = (found.number(), self.newest(), &found.schema);
        if found.dirty {
            return Err(Fault::Denied(format!(
                "the schema \"{schema}\" is dirty at version {version} (version {newest} is \
                 needed): a migration towards it broke off. Each migration is one transaction: if \
                 its changes are there, run: mailroom migrate force {version}; if not, force the \
                 version before it; then run: mailroom migrate up"
            )));
        }
        if version > newest {
            return Err(Fault::Denied(format!(
                "the schema \"{schema}\" has version {version}, but this mailroom knows only up \
                 to {newest}: install the newer mailroom, or take the schema back with that one \
                 (mailroom migrate down {})",
                version - newest
            )));
        }
        Ok(())
    }
}

impl Migration {
    fn step(&self, change: Change) -> Step {
        Step { version: self.version, name: self.name, change }
    }
}

/// Runs one file between the two writes of the dirty flag.
///
/// golang-migrate leaves the flag up after any failure. Here the file is one transaction: once the
/// server has rolled it back the schema is what it was, and the version is put back too. Only a
/// lost connection, after which nobody knows, leaves the flag.
fn run(
    client: &mut Client,
    home: &State,
    migration: &Migration,
    change: Change,
) -> Result<(), Fault> {
    let version = migration.version;
    let (sql, way, from, to) = match change {
        Change::Reverted => (migration.down, "down", version, version - 1),
        Change::Applied | Change::Recorded => (migration.up, "up", version - 1, version),
    };
    home.record(client, to, true)?;
    let Err(error) = client.batch_execute(sql) else {
        return home.record(client, to, false);
    };
    let undone = error.as_db_error().is_some()
        && client.batch_execute("ROLLBACK").is_ok()
        && home.record(client, from, false).is_ok();
    let locked = is_locked_out(&error);
    let what = match (undone, locked) {
        (true, true) => {
            "somebody's transaction has a lock on the tables; nothing was kept; run the same \
             command again when it has ended"
        }
        (true, false) => "nothing of it was kept; remove the cause and run the same command again",
        (false, _) => {
            "it is not known whether it was committed, and the schema is marked dirty; \
             see: mailroom migrate status"
        }
    };
    let file = format!("migration {version}_{}.{way}.sql failed", migration.name);
    let line = line_of(sql, &error).map(|line| format!(", line {line}")).unwrap_or_default();
    let fault = Fault::failed(&file, &error).map(|text| format!("{text}{line}; {what}"));
    Err(if locked { Fault::Statement(fault.to_string()) } else { fault })
}

/// The line of `sql` that the server complains about, from 1.
fn line_of(sql: &str, error: &postgres::Error) -> Option<usize> {
    let ErrorPosition::Original(at) = error.as_db_error()?.position()? else { return None };
    let before = sql.chars().take((*at as usize).saturating_sub(1));
    Some(before.filter(|c| *c == '\n').count() + 1)
}
