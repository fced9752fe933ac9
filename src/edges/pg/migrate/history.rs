//! Where the tables are, and what `schema_migrations` says of them.
//!
//! In scope: finding the schema of an installation, reading and writing the version. Out of
//! scope: what a version means.

use crate::edges::pg::migrate::{NOTHING, failed};
use crate::mail::error::Error;
use postgres::error::SqlState;
use postgres::{Client, SimpleQueryMessage};

/// Where the tables are, or would be made.
pub(crate) struct Home {
    pub(crate) database: String,
    pub(crate) schema: String,
    /// The schema's name as SQL wants it.
    pub(crate) quoted: String,
    /// `schema.schema_migrations`, as SQL wants it.
    pub(crate) table: String,
    /// Whether that table exists, and whether it is one of golang-migrate's form.
    pub(crate) exists: bool,
    sound: bool,
    /// Whether the tables of version 0 are there.
    original: bool,
}

/// The schema is the one whose `tokens` the search path finds, if `jobs` and the type `job_type`
/// are beside it; else the one where new tables go.
const FIND_HOME: &str = "
    SELECT current_database()::text, n.nspname::text, quote_ident(n.nspname),
        m.oid IS NOT NULL,
        2 = (SELECT count(*) FROM pg_attribute
             WHERE attrelid = m.oid AND NOT attisdropped
                AND (attname, atttypid) IN (('version', 'int8'::regtype), ('dirty', 'bool'::regtype))),
        ours.oid IS NOT NULL,
        current_setting('server_version_num')::int,
        current_setting('server_encoding')
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
    pub(crate) fn find(client: &mut Client) -> Result<Home, Error> {
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
        let (database, quoted, encoding): (String, String, String) =
            (row.get(0), row.get(2), row.get(7));
        // Others cannot hold every login, nor every text of a provider.
        if encoding != "UTF8" {
            return Err(Error::config(format!(
                "the database \"{database}\" is encoded in {encoding}; mailroom needs one in UTF8 \
                 (CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0)"
            )));
        }
        Ok(Home {
            database,
            schema: row.get(1),
            table: format!("{quoted}.schema_migrations"),
            quoted,
            exists: row.get(3),
            sound: row.get(4),
            original: row.get(5),
        })
    }
}

/// Whether nothing is to be said: a server that will do, and tables that are recorded at `version`.
/// [`Home::find`] and [`read`] tell everything, and on a new connection that takes the server twice
/// as long. If this cannot be asked, they find out why.
pub(crate) fn is_at(client: &mut Client, version: i64) -> bool {
    let sql = format!(
        "SELECT current_setting('server_version_num')::int >= 130000
            AND current_setting('server_encoding') = 'UTF8'
            AND version = {version} AND NOT dirty
            AND (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('tokens'))
              = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('schema_migrations'))
        FROM schema_migrations LIMIT 1"
    );
    let yes = |message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("t"));
    client.simple_query(&sql).is_ok_and(|answer| answer.into_iter().any(yes))
}

/// What `schema_migrations` says.
pub(crate) struct Found {
    pub(crate) version: Option<i64>,
    pub(crate) dirty: bool,
    pub(crate) recorded: bool,
}

pub(crate) fn read(client: &mut Client, home: &Home) -> Result<Found, Error> {
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
            .map_err(|error| {
                let mut told = failed(&format!("cannot read {}", home.table), &error);
                if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
                    told.message +=
                        "; let the owner of the tables run: mailroom migrate grants ROLE";
                }
                told
            })?
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

/// Makes `schema_migrations` if it is not there; its owner is that of the tables it speaks of.
pub(crate) fn ensure_table(client: &mut Client, home: &Home) -> Result<(), Error> {
    if home.exists {
        return Ok(());
    }
    let table = &home.table;
    let sql = format!(
        "CREATE TABLE {table} (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL);
         DO $$
         DECLARE
            owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class
                           WHERE oid = to_regclass('tokens'));
         BEGIN
            IF owner <> current_user AND current_setting('is_superuser') = 'on' THEN
                EXECUTE format('ALTER TABLE schema_migrations OWNER TO %I', owner);
            END IF;
         END $$"
    );
    client.batch_execute(&sql).map_err(|e| failed(&format!("cannot create {table}"), &e))
}

/// Replaces the row of `schema_migrations`; no row stands for a clean [`NOTHING`].
pub(crate) fn record(
    client: &mut Client,
    home: &Home,
    version: i64,
    dirty: bool,
) -> Result<(), Error> {
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
