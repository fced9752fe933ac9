//! One migration at a time: golang-migrate's advisory lock, and the session around it.
//! <https://github.com/golang-migrate/migrate/blob/master/database/util.go>

use crate::edges::pg::migrate::Home;
use crate::edges::pg::migrate::failed;
use crate::mail::error::{Error, Kind};
use postgres::Client;
use postgres::error::SqlState;

/// How long to wait for another migration.
const LOCK_TIMEOUT: &str = "60s";

/// How long to wait for other people's transactions: whoever comes after waits behind us, and sign-ups
/// with them.
const TABLES_TIMEOUT: &str = "5s";

/// Does `work` alone: under golang-migrate's lock, in the schema of the installation, without a
/// statement timeout. The session is left as it was.
pub(crate) fn alone<T>(
    client: &mut Client,
    work: impl FnOnce(&mut Client, &Home) -> Result<T, Error>,
) -> Result<T, Error> {
    let ids = lock_ids(&Home::find(client)?);
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
        settings(client, Some(["0".to_owned(), TABLES_TIMEOUT.to_owned(), home.quoted.clone()]))?;
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

/// The numbers of golang-migrate's lock on this schema: its driver takes the database's name from
/// the server, its command takes the path of the URL, which has a slash in front.
fn lock_ids(home: &Home) -> [i64; 2] {
    [home.database.clone(), format!("/{}", home.database)].map(|name| lock_id(&name, &home.schema))
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
