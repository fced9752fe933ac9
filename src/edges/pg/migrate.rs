//! The versions of a schema: which of them a database has, and the way from one to another.
//!
//! In scope: the table `schema_migrations` and the advisory lock, both as golang-migrate has them,
//! so that either tool can be used on the same database. Out of scope: what the versions are,
//! connecting, and saying anything; a caller gets steps and faults.
//! <https://github.com/golang-migrate/migrate/blob/master/MIGRATIONS.md>

mod lock;
pub mod state;

use crate::edges::pg::fault::{Fault, is_locked_out};
use lock::alone;
use postgres::Client;
use postgres::error::ErrorPosition;
use state::{NOTHING, OWN, State};

/// One version of a schema.
pub struct Migration {
    /// From 0, without a gap.
    pub version: i64,
    /// Such as `init`.
    pub name: &'static str,
    /// Tables and types that it makes, by which it is known. The search path finds an installation by
    /// the first one of version 0, a table, whose owner owns the record of versions too.
    pub signs: &'static [&'static str],
    /// The way up from the version before: SQL that is one transaction.
    pub up: &'static str,
    /// The way back to it: SQL that is one transaction.
    pub down: &'static str,
}

/// A schema that is kept by migrations.
pub struct Schema {
    /// All versions, ascending.
    pub migrations: &'static [Migration],
}

/// What was done with one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its `up` file ran.
    Applied,
    /// Its `down` file ran.
    Reverted,
    /// Its tables were there without a record of it, or with one that was left dirty; now there is
    /// one.
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

impl Schema {
    /// The version that this program works with.
    pub fn newest(&self) -> i64 {
        self.migrations.last().map_or(NOTHING, |migration| migration.version)
    }

    /// Brings the schema to the newest version and says which steps that took; none if it was
    /// there.
    ///
    /// Tables that were made without a tool are recognised and taken over, and so is what a
    /// migration left that broke off.
    ///
    /// # Errors
    /// `Denied`: the schema is another program's or newer than this one, a migration failed, or the
    /// server did not let us. `Statement`: somebody's lock was in the way. What failed was rolled
    /// back.
    pub fn up(&self, client: &mut Client) -> Result<Vec<Step>, Fault> {
        alone(client, &self.signs(), |client, mut found| {
            let mut steps = self.prepare(client, &mut found)?;
            for migration in self.migrations.iter().filter(|one| one.version > found.number()) {
                run(client, &found, migration, Change::Applied)?;
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
        alone(client, &self.signs(), |client, mut found| {
            let mut done = self.prepare(client, &mut found)?;
            let applied = self.migrations.iter().rev().filter(|one| one.version <= found.number());
            for migration in applied.take(steps as usize) {
                run(client, &found, migration, Change::Reverted)?;
                done.push(migration.step(Change::Reverted));
            }
            Ok(done)
        })
    }

    /// Says which version the database has. Changes nothing.
    ///
    /// # Errors
    /// The database cannot be asked, or its `schema_migrations` does not fit what is there.
    pub fn status(&self, client: &mut Client) -> Result<State, Fault> {
        let found = State::read(client, &self.signs())?;
        self.refuse_untrue(&found)?;
        found.refuse_taken(false)?;
        Ok(found)
    }

    /// Writes `version` down as the one in force, clean, without running anything; -1: nothing is
    /// applied.
    ///
    /// # Errors
    /// The server did not let us.
    pub fn force(&self, client: &mut Client, version: i64) -> Result<(), Fault> {
        alone(client, &self.signs(), |client, found| {
            found.ensure_table(client, self.neighbour())?;
            found.record(client, version, false)
        })
    }

    /// Makes sure that this program and the database speak of the same schema. Changes nothing.
    ///
    /// # Errors
    /// `Denied` if they do not, with the version found, the version needed and what to do.
    pub fn require_current(&self, client: &mut Client) -> Result<(), Fault> {
        let found = self.status(client)?;
        self.refuse_newer(&found)?;
        let newest = self.newest();
        let have = match found.version {
            _ if found.dirty => format!("version {}, dirty: a migration broke off", found.number()),
            Some(version) if version == newest && found.recorded => return Ok(()),
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

    fn signs(&self) -> Vec<&'static [&'static str]> {
        self.migrations.iter().map(|one| one.signs).collect()
    }

    fn neighbour(&self) -> &str {
        self.signs().first().and_then(|signs| signs.first()).copied().unwrap_or_default()
    }

    /// Makes sure that what was found is sound, and that its version is written down. Each migration
    /// is one transaction: what broke off is there as a whole, or not at all.
    fn prepare(&self, client: &mut Client, found: &mut State) -> Result<Vec<Step>, Fault> {
        self.refuse_untrue(found)?;
        self.refuse_newer(found)?;
        found.refuse_taken(true)?;
        found.ensure_table(client, self.neighbour())?;
        if found.recorded && !found.dirty {
            return Ok(Vec::new());
        }
        (found.version, found.dirty) = (found.made, false);
        found.record(client, found.number(), false)?;
        let made = self.migrations.iter().filter(|one| Some(one.version) == found.made);
        Ok(made.map(|one| one.step(Change::Recorded)).collect())
    }

    /// What is written down must be there. A migration that broke off left the version before or after
    /// it.
    fn refuse_untrue(&self, found: &State) -> Result<(), Fault> {
        let should = found.number().min(self.newest()) - i64::from(found.dirty);
        if found.made.unwrap_or(NOTHING) >= should {
            return Ok(());
        }
        let signs: Vec<&str> = self.migrations.iter().flat_map(|one| one.signs).copied().collect();
        Err(Fault::Denied(format!(
            "the schema \"{}\" is marked as version {}, but {} is not there: it was made by a \
             mailroom that was never released. Take it back to version 0 with the program that \
             made it and run: mailroom migrate up; or give mailroom an empty schema",
            found.schema,
            found.number(),
            found.missing(&signs).join(", ")
        )))
    }

    fn refuse_newer(&self, found: &State) -> Result<(), Fault> {
        let (version, newest) = (found.number(), self.newest());
        if version <= newest {
            return Ok(());
        }
        Err(Fault::Denied(format!(
            "the schema \"{}\" has version {version}, but this mailroom knows only up to {newest}: \
             install the newer mailroom, or take the schema back with that one (mailroom migrate \
             down {}); if the number is another program's, {OWN}",
            found.schema,
            version - newest
        )))
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
            "it is not known whether it was committed, and the schema is marked dirty; run the same \
             command again: it looks"
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
