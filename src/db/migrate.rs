//! The versions of the schema: the SQL, which of it a database has, and the way from one to
//! another.
//!
//! In scope: the files of `migrations/`, the table `schema_migrations` and the advisory lock, all
//! three as golang-migrate has them, so that either tool can be used on the same database.
//! Out of scope: connecting, and saying anything; a caller gets steps and errors.
//! <https://github.com/golang-migrate/migrate/blob/master/MIGRATIONS.md>

use crate::error::{Error, Kind};
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
            up: include_str!(concat!("../../migrations/", $version, "_", $name, ".up.sql")),
            down: include_str!(concat!("../../migrations/", $version, "_", $name, ".down.sql")),
        }
    };
}

/// All versions, ascending. Each file is one transaction.
const MIGRATIONS: &[Migration] =
    &[migration!(0, "init"), migration!(1, "harden"), migration!(2, "deliveries")];

/// The version that this program works with.
pub const NEWEST: i64 = MIGRATIONS[MIGRATIONS.len() - 1].version;

/// golang-migrate's number for "nothing applied": in the table only while it is dirty.
const NOTHING: i64 = -1;

/// How long to wait for another migration, and for other people's transactions.
const LOCK_TIMEOUT: &str = "60s";

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
    locked(client, |client, home| {
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
    locked(client, |client, home| {
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
    locked(client, |client, home| {
        ensure_table(client, home)?;
        record(client, home, version, false)
    })
}

/// Makes sure that this program and the database speak of the same schema. Changes nothing.
///
/// # Errors
/// [`Kind::Config`] if they do not, with the version found, the version needed and what to do.
pub fn require_current(client: &mut Client) -> Result<(), Error> {
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

/// Where the tables are, or would be made.
struct Home {
    database: String,
    schema: String,
    /// `"schema".schema_migrations`.
    table: String,
    /// Whether that table exists, and whether it is one of golang-migrate's form.
    exists: bool,
    sound: bool,
    /// Whether the tables of version 0 are there.
    original: bool,
}

/// The schema is the one whose `tokens` the search path finds, if `jobs` and the type `job_type`
/// are beside it; else the one where new tables go.
const FIND_HOME: &str = "
    SELECT current_database()::text, n.nspname::text, quote_ident(n.nspname) || '.schema_migrations',
        m.oid IS NOT NULL,
        2 = (SELECT count(*) FROM pg_attribute
             WHERE attrelid = m.oid AND NOT attisdropped
                AND (attname, atttypid) IN (('version', 'int8'::regtype), ('dirty', 'bool'::regtype))),
        ours.oid IS NOT NULL,
        current_setting('server_version_num')::int
    FROM (SELECT 1) one
    LEFT JOIN LATERAL (
        SELECT t.relnamespace AS oid
        FROM pg_class t
        JOIN pg_class j ON j.relnamespace = t.relnamespace AND j.relname = 'jobs'
        JOIN pg_class a ON a.relnamespace = t.relnamespace AND a.relname = 'accounts'
        JOIN pg_type y ON y.typnamespace = t.relnamespace AND y.typname = 'job_type'
        WHERE t.oid = to_regclass('tokens')
    ) ours ON true
    JOIN pg_namespace n ON n.oid = coalesce(ours.oid,
        (SELECT oid FROM pg_namespace WHERE nspname = current_schema()))
    LEFT JOIN pg_class m ON m.relnamespace = n.oid AND m.relname = 'schema_migrations'";

impl Home {
    fn find(client: &mut Client) -> Result<Home, Error> {
        let row = client
            .query_opt(FIND_HOME, &[])
            .map_err(|e| failed("cannot look for the mailroom schema", &e))?
            .ok_or_else(|| {
                Error::config(
                    "no schema of the search path exists, so there is nowhere to look for tables: \
                     create the schema, or change search_path",
                )
            })?;
        let number: i32 = row.get(6);
        if number < 130_000 {
            return Err(Error::config(format!(
                "the server is PostgreSQL {}; mailroom needs 13 or later",
                number / 10_000
            )));
        }
        Ok(Home {
            database: row.get(0),
            schema: row.get(1),
            table: row.get(2),
            exists: row.get(3),
            sound: row.get(4),
            original: row.get(5),
        })
    }

    /// golang-migrate's lock on this schema: its driver takes the database's name from the
    /// server, its command takes the path of the URL, which has a slash in front.
    fn lock_ids(&self) -> [i64; 2] {
        [
            lock_id(&self.database, &self.schema),
            lock_id(&format!("/{}", self.database), &self.schema),
        ]
    }
}

/// What `schema_migrations` says.
struct Found {
    version: Option<i64>,
    dirty: bool,
    recorded: bool,
}

fn read(client: &mut Client, home: &Home) -> Result<Found, Error> {
    if home.exists && !home.sound {
        return Err(Error::config(format!(
            "{} belongs to another migration tool (no version bigint and dirty boolean): give \
             mailroom a schema of its own, and name it in search_path",
            home.table
        )));
    }
    let row = if home.exists {
        client
            .query_opt(&format!("SELECT version, dirty FROM {} LIMIT 1", home.table), &[])
            .map_err(|e| failed(&format!("cannot read {} (needs SELECT on it)", home.table), &e))?
    } else {
        None
    };
    Ok(match row {
        Some(row) => {
            let version: i64 = row.get(0);
            let version = (version != NOTHING).then_some(version);
            Found { version, dirty: row.get(1), recorded: true }
        }
        None => Found { version: home.original.then_some(0), dirty: false, recorded: false },
    })
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

fn ensure_table(client: &mut Client, home: &Home) -> Result<(), Error> {
    if home.exists {
        return Ok(());
    }
    let sql = format!(
        "CREATE TABLE {} (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)",
        home.table
    );
    client.batch_execute(&sql).map_err(|e| failed(&format!("cannot create {}", home.table), &e))
}

/// Replaces the row of `schema_migrations`; no row stands for a clean [`NOTHING`].
fn record(client: &mut Client, home: &Home, version: i64, dirty: bool) -> Result<(), Error> {
    let mut sql = format!("BEGIN; DELETE FROM {};", home.table);
    if dirty || version != NOTHING {
        sql += &format!("INSERT INTO {} (version, dirty) VALUES ({version}, {dirty});", home.table);
    }
    sql += "COMMIT";
    client.batch_execute(&sql).map_err(|e| {
        // An open, failed transaction would refuse everything after it.
        let _ = client.batch_execute("ROLLBACK");
        failed(&format!("cannot write to {}", home.table), &e)
    })
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
    let what = if undone {
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

/// Does `work` alone: under golang-migrate's lock, in the schema of the installation, without a
/// statement timeout. The session is left as it was.
fn locked<T>(
    client: &mut Client,
    work: impl FnOnce(&mut Client, &Home) -> Result<T, Error>,
) -> Result<T, Error> {
    let ids = Home::find(client)?.lock_ids();
    let before = settings(client, None)?;
    let result = (|| {
        settings(client, Some(["0".to_owned(), LOCK_TIMEOUT.to_owned(), before[2].clone()]))?;
        for id in ids {
            client.execute("SELECT pg_advisory_lock($1)", &[&id]).map_err(|e| {
                let mut error = failed("cannot get the lock on migrations", &e);
                if e.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) {
                    error.kind = Kind::Temporary;
                    error.message += &format!(
                        "; another migration has been running for {LOCK_TIMEOUT}: wait for its end"
                    );
                }
                error
            })?;
        }
        // Again, because another migration may just have ended.
        let home = Home::find(client)?;
        let path = home.table.trim_end_matches(".schema_migrations").to_owned();
        settings(client, Some(["0".to_owned(), LOCK_TIMEOUT.to_owned(), path]))?;
        work(client, &home)
    })();
    // On a lost connection the server does both by itself.
    for id in ids {
        let _ = client.execute("SELECT pg_advisory_unlock($1)", &[&id]);
    }
    let _ = settings(client, Some(before));
    result
}

/// Sets the session's statement timeout, lock timeout and search path, and returns them.
fn settings(client: &mut Client, to: Option<[String; 3]>) -> Result<[String; 3], Error> {
    let row = match to {
        None => client.query_one(
            "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'),
                current_setting('search_path')",
            &[],
        ),
        Some([statement, lock, path]) => client.query_one(
            "SELECT set_config('statement_timeout', $1, false),
                set_config('lock_timeout', $2, false), set_config('search_path', $3, false)",
            &[&statement, &lock, &path],
        ),
    };
    let row = row.map_err(|e| failed("cannot set up the session for migrations", &e))?;
    Ok([row.get(0), row.get(1), row.get(2)])
}

/// The number of golang-migrate's lock for the table `schema_migrations`: a checksum of schema,
/// table and database, times its salt, in 32 bits. `database/util.go` there.
fn lock_id(database: &str, schema: &str) -> i64 {
    const SALT: u32 = 1_486_364_155;
    let sum = crc32(format!("{schema}\0schema_migrations\0{database}").as_bytes());
    i64::from(sum.wrapping_mul(SALT))
}

/// CRC-32 of ISO-HDLC, as in zlib.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 == 1 { (sum >> 1) ^ 0xEDB8_8320 } else { sum >> 1 }
        })
    })
}

/// What the server said, with what was being done. A server that refuses is a matter of
/// configuration; one that is gone is not.
fn failed(what: &str, error: &postgres::Error) -> Error {
    match error.as_db_error() {
        Some(db) => {
            let mut message = format!("{what}: {} ({})", db.message(), db.code().code());
            if let Some(detail) = db.detail() {
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
    fn the_lock_number_is_golang_migrates() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        // Its own test has this number for the name alone.
        let alone = crc32(b"database_name").wrapping_mul(1_486_364_155);
        assert_eq!(alone, 1_764_327_054);
        let joined = crc32(b"schema_name_1\0schema_name_2\0database_name");
        assert_eq!(joined.wrapping_mul(1_486_364_155), 3_743_845_847);
    }

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
