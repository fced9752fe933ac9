//! A statement that is prepared when it is first used.
//!
//! Parsing is most of what a new connection costs the server, and what is used at healthchecks
//! only would delay the first mail.

use postgres::types::ToSql;
use postgres::{Error, GenericClient, Row, Statement};
use std::cell::OnceCell;

/// A statement of one connection, prepared or not.
pub struct Later {
    sql: &'static str,
    prepared: OnceCell<Statement>,
}

impl Later {
    /// A statement that is not prepared.
    pub fn new(sql: &'static str) -> Later {
        Later { sql, prepared: OnceCell::new() }
    }

    /// The prepared statement; `client` must always be the same connection.
    ///
    /// # Errors
    /// As the statement.
    pub fn on(&self, client: &mut impl GenericClient) -> Result<&Statement, Error> {
        if let Some(prepared) = self.prepared.get() {
            return Ok(prepared);
        }
        let prepared = client.prepare(self.sql)?;
        Ok(self.prepared.get_or_init(|| prepared))
    }

    /// Prepares it if need be, and runs it.
    ///
    /// # Errors
    /// As the statement.
    pub fn query(
        &self,
        client: &mut impl GenericClient,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let prepared = self.on(client)?;
        client.query(prepared, values)
    }
}
