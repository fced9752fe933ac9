//! The statements of one connection, each prepared when it is first used.
//!
//! Parsing is most of what a new connection costs the server, and what is used at healthchecks
//! only would delay the first mail.

use postgres::types::ToSql;
use postgres::{Error, GenericClient, Row, Statement};
use std::collections::BTreeMap;

/// Statements by their text. They must always be used on the same connection.
#[derive(Default)]
pub struct Prepared(BTreeMap<&'static str, Statement>);

impl Prepared {
    /// The prepared statement.
    ///
    /// # Errors
    /// As the statement.
    pub fn on(
        &mut self,
        client: &mut impl GenericClient,
        sql: &'static str,
    ) -> Result<Statement, Error> {
        if let Some(known) = self.0.get(sql) {
            return Ok(known.clone());
        }
        let prepared = client.prepare(sql)?;
        self.0.insert(sql, prepared.clone());
        Ok(prepared)
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
        let statement = self.on(client, sql)?;
        client.query(&statement, values)
    }
}
