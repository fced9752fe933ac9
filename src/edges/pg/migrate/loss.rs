//! What going back would cost: the first version made the tables of the accounts.
//!
//! In scope: saying so. Out of scope: asking whether that is meant.

use crate::edges::pg::migrate::{Home, MIGRATIONS, failed, read};
use crate::mail::error::Error;
use postgres::Client;

/// What would be lost if the last `steps` versions were taken back, for people; `None`: no
/// accounts and no tokens, because the first version stays.
///
/// # Errors
/// The database cannot be asked, or its `schema_migrations` is another tool's.
pub fn loss(client: &mut Client, steps: u32) -> Result<Option<String>, Error> {
    let home = Home::find(client)?;
    let Some(version) = read(client, &home)?.version else { return Ok(None) };
    let applied = MIGRATIONS.iter().filter(|migration| migration.version <= version).count();
    if (steps as usize) < applied {
        return Ok(None);
    }
    let sql = "SELECT (SELECT count(*) FROM accounts), (SELECT count(*) FROM tokens)";
    let row = client.query_one(sql, &[]);
    let row = row.map_err(|error| failed("counting what would be dropped", &error))?;
    let count = |index: usize| row.try_get::<_, i64>(index).unwrap_or_default();
    let (accounts, tokens) = (count(0), count(1));
    Ok(Some(format!(
        "the tables accounts (rows: {accounts}), tokens (rows: {tokens}) and jobs of database \
         \"{}\", schema \"{}\"",
        home.database, home.schema
    )))
}
