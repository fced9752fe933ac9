//! The statements of one connection, each prepared when it is first used.
//!
//! Parsing is most of what a new connection costs the server, and what is used at healthchecks
//! only would delay the first mail. Behind a pooler of transactions nothing is prepared, and nothing
//! set, for longer than one of them.

use crate::edges::pg::session;
use postgres::types::{ToSql, Type};
use postgres::{Error, GenericClient, Row, Statement};
use std::collections::btree_map::{BTreeMap, Entry};

/// Claims must use their indexes whatever the statistics said when they were planned: a plan
/// made while the tables were empty would read them whole later. (Compiling them just in time,
/// which the cost of what is turned off would cause, takes longer than they do.) Dates as a role
/// has them may not be read as they were written. Who waits for a lock keeps other mail waiting.
pub const SETTINGS: &str = "SET datestyle = iso; SET enable_seqscan = off; SET enable_bitmapscan = off; \
    SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_sort = off; \
    SET enable_incremental_sort = off; SET jit = off; SET plan_cache_mode = force_generic_plan; \
    SET idle_in_transaction_session_timeout = '5s'; SET lock_timeout = '2s'";

/// Statements by their text. They must always be used on the same connection.
#[derive(Default)]
pub struct Prepared {
    known: BTreeMap<&'static str, Statement>,
    /// The connection is to a pooler, which lends a process of the server for each transaction.
    pub pooled: bool,
}

impl Prepared {
    /// For a connection to a pooler of transactions.
    pub fn pooled() -> Prepared {
        Prepared { pooled: true, ..Prepared::default() }
    }

    /// Prepares it, if that is not done.
    ///
    /// # Errors
    /// As the statement.
    pub fn on(
        &mut self,
        client: &mut impl GenericClient,
        sql: &'static str,
    ) -> Result<Statement, Error> {
        Ok(match self.known.entry(sql) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(place) => place.insert(client.prepare(sql)?).clone(),
        })
    }

    /// Runs it, and gives its rows.
    ///
    /// # Errors
    /// As the statement.
    pub fn query(
        &mut self,
        client: &mut impl GenericClient,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        if self.pooled {
            return alone(client, sql, values);
        }
        let statement = self.on(client, sql)?;
        client.query(&statement, values)
    }

    /// Runs one that gives a row, and gives that.
    ///
    /// # Errors
    /// As the statement.
    pub fn row(
        &mut self,
        client: &mut impl GenericClient,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, Error> {
        let mut rows = self.query(client, sql, values)?;
        // There is one: the statement has no condition. The client says it as it does for others.
        rows.pop().map_or_else(|| client.query_one("SELECT WHERE false", &[]), Ok)
    }
}

/// Runs it in a transaction of its own, which has our settings, and leaves nothing behind: a statement
/// without a name, of whose values the types are known. Another pooler reads the comment, and keeps it
/// from a standby. <https://www.pgpool.net/docs/latest/en/html/runtime-config-load-balancing.html>
fn alone(
    client: &mut impl GenericClient,
    sql: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, Error> {
    // The isolation is that of this transaction, not of those to come.
    let settings = format!("{}; {SETTINGS}", session::limits().replace("default_", ""));
    let settings = settings.replace("SET ", "SET LOCAL ");
    let values: Vec<_> = values.iter().copied().zip(types(sql)).collect();
    let mut alone = client.transaction()?;
    alone.batch_execute(&settings)?;
    let rows = alone.query_typed(&format!("/*NO LOAD BALANCE*/ {sql}"), &values)?;
    alone.commit()?;
    Ok(rows)
}

/// The types of the parameters, as the statement casts each of them at least once.
fn types(sql: &str) -> impl Iterator<Item = Type> {
    (1..).map_while(move |n| {
        let (_, cast) = sql.split_once(&format!("${n}::"))?;
        let end = cast.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(cast.len());
        let (name, rest) = cast.split_at(end);
        Some(match (name, rest.starts_with("[]")) {
            ("bigint", false) => Type::INT8,
            ("bigint", true) => Type::INT8_ARRAY,
            ("integer", false) => Type::INT4,
            ("smallint", false) => Type::INT2,
            ("float8", false) => Type::FLOAT8,
            ("float8", true) => Type::FLOAT8_ARRAY,
            ("bool", false) => Type::BOOL,
            ("bool", true) => Type::BOOL_ARRAY,
            ("bytea", true) => Type::BYTEA_ARRAY,
            (_, false) => Type::TEXT,
            (_, true) => Type::TEXT_ARRAY,
        })
    })
}
