//! One migration at a time: golang-migrate's advisory lock, and the session around it.
//! <https://github.com/golang-migrate/migrate/blob/master/database/util.go>

use crate::edges::crc::crc32;
use crate::edges::pg::fault::{Fault, is_locked_out};
use crate::edges::pg::migrate::state::State;
use postgres::Client;

/// How long to wait for another migration.
const LOCK_TIMEOUT: &str = "60s";

/// How long to wait for other people's transactions: whoever comes after waits behind us, and sign-ups
/// with them.
const TABLES_TIMEOUT: &str = "5s";

/// Does `work` alone: under golang-migrate's lock, in the schema of the installation. The session
/// gets its own search path back.
pub(crate) fn alone<T>(
    client: &mut Client,
    signs: &[&[&str]],
    work: impl FnOnce(&mut Client, State) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let found = State::read(client, signs)?;
    // golang-migrate's driver takes the database's name from the server, its command takes the
    // path of the URL, which has a slash in front.
    let ids = [found.database.clone(), format!("/{}", found.database)]
        .map(|name| lock_id(&name, &found.schema));
    let set = |client: &mut Client, sql: &str| {
        let refused = |error| Fault::failed("cannot set up the session for migrations", &error);
        client.batch_execute(sql).map_err(refused)
    };
    let result = (|| {
        set(client, &format!("SET lock_timeout = '{LOCK_TIMEOUT}'"))?;
        for id in ids {
            client.execute("SELECT pg_advisory_lock($1)", &[&id]).map_err(unlocked)?;
        }
        // Again, because another migration may just have ended.
        let found = State::read(client, signs)?;
        let quoted = &found.quoted;
        set(client, &format!("SET lock_timeout = '{TABLES_TIMEOUT}'; SET search_path = {quoted}"))?;
        work(client, found)
    })();
    // On a lost connection the server does both by itself.
    for id in ids {
        let _ = client.execute("SELECT pg_advisory_unlock($1)", &[&id]);
    }
    let _ = set(client, "RESET lock_timeout; RESET search_path");
    result
}

fn unlocked(error: postgres::Error) -> Fault {
    let what = "cannot get the lock on migrations";
    match Fault::failed(what, &error) {
        Fault::Denied(text) if is_locked_out(&error) => Fault::Statement(format!(
            "{text}; another migration has been running for {LOCK_TIMEOUT}: wait for its end"
        )),
        fault => fault,
    }
}

/// The number of golang-migrate's lock for the table `schema_migrations`: a checksum of schema,
/// table and database, times its salt, in 32 bits. `database/util.go` there.
fn lock_id(database: &str, schema: &str) -> i64 {
    const SALT: u32 = 1_486_364_155;
    let sum = crc32(format!("{schema}\0schema_migrations\0{database}").as_bytes());
    i64::from(sum.wrapping_mul(SALT))
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
}
