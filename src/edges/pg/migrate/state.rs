//! Where the tables are, and what `schema_migrations` says of them.
//!
//! In scope: finding the schema of an installation, reading and writing the version. Out of
//! scope: what a version means.

use crate::edges::pg::fault::Fault;
use postgres::Client;
use postgres::error::SqlState;

/// golang-migrate's number for "nothing applied": in the table only while it is dirty.
pub(crate) const NOTHING: i64 = -1;

/// What to do where tables of others are in the way.
pub(crate) const OWN: &str = "give mailroom a schema of its own: CREATE SCHEMA mailroom, and \
                   options=-csearch_path=mailroom in the connection string";

/// An installation, or the place where one would be made.
pub struct State {
    /// The database.
    pub database: String,
    /// The schema that holds the tables, or would.
    pub schema: String,
    /// The schema's name as SQL wants it.
    pub(crate) quoted: String,
    /// `schema.schema_migrations`, as SQL wants it.
    table: String,
    exists: bool,
    /// The version in force, as it is written down, else as the tables show; `None`: nothing is
    /// applied.
    pub version: Option<i64>,
    /// The newest version of which everything is there.
    pub(crate) made: Option<i64>,
    /// What is there of all signs.
    found: Vec<String>,
    /// Another schema of this database that holds everything, as SQL wants its name.
    elsewhere: Option<String>,
    /// Whether somebody chose where to look, and not the server's default.
    chosen: bool,
    /// Whether a migration broke off and left its traces.
    pub dirty: bool,
    /// Whether the version is written down; false for tables that were made without a tool.
    pub recorded: bool,
}

/// What would open the schemas of the search path that are there.
const CLOSED: &str = "
    SELECT string_agg(format('GRANT USAGE ON SCHEMA %I TO %I', nspname, current_user), '; ')
      FROM pg_namespace
     WHERE NOT has_schema_privilege(oid, 'USAGE') AND nspname::text = ANY (
        SELECT replace(btrim(part, ' \"'), '$user', current_user)
          FROM regexp_split_to_table(current_setting('search_path'), ',') part)";

/// The schema is the one in which the search path finds `$1`, if everything of `$2` is beside it (each
/// table is a type too); else the one where new tables go. `$3`: what else is looked for there.
const FIND: &str = "
    SELECT current_database()::text, n.nspname::text, quote_ident(n.nspname),
        m.oid IS NOT NULL,
        2 = (SELECT count(*) FROM pg_attribute
             WHERE attrelid = m.oid AND NOT attisdropped
                AND (attname, atttypid) IN (('version', 'int8'::regtype), ('dirty', 'bool'::regtype))),
        ARRAY(SELECT typname::text FROM pg_type
              WHERE typnamespace = n.oid AND typname::text = ANY ($3)),
        current_setting('server_version_num')::int,
        current_setting('server_encoding'),
        (SELECT min(quote_ident(e.nspname)) FROM pg_namespace e
         WHERE e.oid <> n.oid AND cardinality($3::text[]) =
            (SELECT count(*) FROM pg_type y
             WHERE y.typnamespace = e.oid AND y.typname::text = ANY ($3))),
        (SELECT reset_val <> boot_val FROM pg_settings WHERE name = 'search_path')
    FROM (SELECT 1) one
    LEFT JOIN LATERAL (
        SELECT t.relnamespace AS oid FROM pg_class t
        WHERE t.oid = to_regclass($1) AND cardinality($2::text[]) =
            (SELECT count(*) FROM pg_type y
             WHERE y.typnamespace = t.relnamespace AND y.typname::text = ANY ($2))
    ) ours ON true
    JOIN pg_namespace n ON n.oid = coalesce(ours.oid,
        (SELECT oid FROM pg_namespace WHERE nspname = current_schema()))
    LEFT JOIN pg_class m ON m.relnamespace = n.oid AND m.relname = 'schema_migrations'";

/// What to do where the search path leads to no schema: there is none, or it is closed to us.
fn nowhere(client: &mut Client) -> Fault {
    let closed = client.query_one(CLOSED, &[]).and_then(|row| row.try_get::<_, Option<String>>(0));
    Fault::Denied(match closed {
        Ok(Some(grant)) => format!(
            "the database role may not look into the schema of the search path: let its owner run \
             {grant}, or the owner of the tables mailroom migrate grants ROLE"
        ),
        Ok(None) => "no schema of the search path exists, so there is nowhere to look for tables: \
                     create the schema, or change search_path"
            .to_owned(),
        Err(error) => return Fault::failed("cannot look for the mailroom schema", &error),
    })
}

impl State {
    /// Reads it; `signs` are the tables and types by which each version is known, from 0 on.
    pub(crate) fn read(client: &mut Client, signs: &[&[&str]]) -> Result<State, Fault> {
        match State::look(client, signs) {
            // Somebody's migration may have ended between the two statements of a look. In a transaction
            // that what was denied has ended, there is no second look.
            Err(Fault::Denied(why)) => State::look(client, signs).map_err(|again| match again {
                Fault::Denied(_) => again,
                _ => Fault::Denied(why),
            }),
            found => found,
        }
    }

    fn look(client: &mut Client, signs: &[&[&str]]) -> Result<State, Fault> {
        let first = signs.first().copied().unwrap_or_default();
        let row = client
            .query_opt(FIND, &[&first.first(), &first, &signs.concat()])
            .map_err(|error| Fault::failed("cannot look for the mailroom schema", &error))?
            .map_or_else(|| Err(nowhere(client)), Ok)?;
        let (server, encoding): (i32, String) = (row.get(6), row.get(7));
        if server < 130_000 {
            return Err(Fault::Denied(format!(
                "the server is PostgreSQL {}; mailroom needs 13 or later",
                server / 10_000
            )));
        }
        let (database, quoted): (String, String) = (row.get(0), row.get(2));
        // Others cannot hold every text that comes.
        if encoding != "UTF8" {
            return Err(Fault::Denied(format!(
                "the database \"{database}\" is encoded in {encoding}; mailroom needs one in UTF8 \
                 (CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0)"
            )));
        }
        let (exists, sound): (bool, bool) = (row.get(3), row.get(4));
        let found: Vec<String> = row.get(5);
        let whole = |signs: &&&[&str]| signs.iter().all(|sign| found.iter().any(|f| f == sign));
        let made = (0..).zip(signs.iter().take_while(whole)).last().map(|(version, _)| version);
        let mut state = State {
            database,
            schema: row.get(1),
            table: format!("{quoted}.schema_migrations"),
            quoted,
            exists,
            version: made,
            made,
            found,
            elsewhere: row.get(8),
            chosen: row.get(9),
            dirty: false,
            recorded: false,
        };
        if exists && !sound {
            state.refuse_taken(false)?;
            return Err(Fault::Denied(format!(
                "{} belongs to another migration tool (no version bigint and dirty boolean): {OWN}",
                state.table
            )));
        }
        if exists {
            state.read_version(client)?;
        }
        // Only what broke off in our first one leaves nothing.
        let broke_off = state.dirty && state.number() <= 0;
        if state.recorded && made.is_none() && !broke_off {
            return Err(Fault::Denied(format!(
                "{} is at version {}, but {} are not there: it belongs to another program: {OWN} (if \
                 the tables were dropped, drop it too)",
                state.table,
                state.number(),
                first.join(", ")
            )));
        }
        Ok(state)
    }

    /// Where there is nothing of ours, whether there may be. `anew`: tables are about to be made, which
    /// whoever chose the place means.
    ///
    /// # Errors
    /// `Denied`: they are elsewhere, or somebody else's are here.
    pub(crate) fn refuse_taken(&self, anew: bool) -> Result<(), Fault> {
        let (home, database) = (&self.quoted, &self.database);
        let why = match &self.elsewhere {
            _ if self.version.is_some() || self.dirty => return Ok(()),
            Some(other) if !(anew && self.chosen) => format!(
                "the tables are in schema {other} of database \"{database}\", and are looked for in \
                 {home}: put options=-csearch_path={other} into the connection string (to make \
                 others, name an empty schema there)"
            ),
            _ if self.found.is_empty() => return Ok(()),
            _ => {
                let theirs = self.found.join(", ");
                format!(
                    "schema {home} of database \"{database}\" has {theirs} of another program: {OWN}"
                )
            }
        };
        Err(Fault::Denied(why))
    }

    /// What is not there of `signs`.
    pub(crate) fn missing<'a>(&self, signs: &[&'a str]) -> Vec<&'a str> {
        let is_missing = |sign: &&&str| !self.found.iter().any(|found| found == **sign);
        signs.iter().filter(is_missing).copied().collect()
    }

    fn read_version(&mut self, client: &mut Client) -> Result<(), Fault> {
        let sql = format!("SELECT version, dirty FROM {} LIMIT 1", self.table);
        let row = client.query_opt(&sql, &[]).map_err(|error| {
            let fault = Fault::failed(&format!("cannot read {}", self.table), &error);
            match error.code() {
                Some(&SqlState::INSUFFICIENT_PRIVILEGE) => fault.map(|text| {
                    text + "; let the owner of the tables run: mailroom migrate grants ROLE"
                }),
                _ => fault,
            }
        })?;
        if let Some(row) = row {
            self.version = Some(row.get(0)).filter(|version| *version != NOTHING);
            self.dirty = row.get(1);
            self.recorded = true;
        }
        Ok(())
    }

    /// The version in force as golang-migrate writes it.
    pub(crate) fn number(&self) -> i64 {
        self.version.unwrap_or(NOTHING)
    }

    /// Makes `schema_migrations` if it is not there; its owner is that of `neighbour`, if there is
    /// such a table.
    pub(crate) fn ensure_table(&self, client: &mut Client, neighbour: &str) -> Result<(), Fault> {
        if self.exists {
            return Ok(());
        }
        let table = &self.table;
        let sql = format!(
            "CREATE TABLE {table} (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL);
             DO $$
             DECLARE
                owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class
                               WHERE oid = to_regclass('{neighbour}'));
             BEGIN
                IF owner <> current_user AND current_setting('is_superuser') = 'on' THEN
                    EXECUTE format('ALTER TABLE schema_migrations OWNER TO %I', owner);
                END IF;
             END $$"
        );
        let done = client.batch_execute(&sql);
        done.map_err(|error| Fault::failed(&format!("cannot create {table}"), &error))
    }

    /// Replaces the row of `schema_migrations`; no row stands for a clean [`NOTHING`].
    pub(crate) fn record(
        &self,
        client: &mut Client,
        version: i64,
        dirty: bool,
    ) -> Result<(), Fault> {
        let table = &self.table;
        let mut sql = format!("BEGIN; DELETE FROM {table};");
        if dirty || version != NOTHING {
            sql += &format!("INSERT INTO {table} (version, dirty) VALUES ({version}, {dirty});");
        }
        sql += "COMMIT";
        client.batch_execute(&sql).map_err(|error| {
            // An open, failed transaction would refuse everything after it.
            let _ = client.batch_execute("ROLLBACK");
            Fault::failed(&format!("cannot write to {table}"), &error)
        })
    }
}
