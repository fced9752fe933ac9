//! Who is on a list: taken from elsewhere, given out, counted.
//!
//! Out of scope: files (`file.rs`).

use crate::edges::pg::fault::refused_value;
use crate::edges::pg::statement::sql;
use crate::lists::file::Subscriber;
use postgres::{Client, Error, Row};
use std::collections::VecDeque;

/// Subscribers that one statement takes or gives.
pub const CHUNK: usize = 1000;

/// Whether there is such a list.
///
/// # Errors
/// As the statement.
pub fn exists(client: &mut Client, list: &str) -> Result<bool, Error> {
    client.query_one("SELECT EXISTS (SELECT FROM lists WHERE list = $1)", &[&list])?.try_get(0)
}

/// Takes subscribers: confirmed ones as they are, others are asked by mail. Gives the places of those
/// that were not taken, and why.
///
/// # Errors
/// As the statement, in all that is no fault of a single subscriber.
pub fn import(
    client: &mut Client,
    list: &str,
    confirmed: bool,
    given: &[Subscriber],
) -> Result<Vec<(usize, String)>, Error> {
    let mut refused = Vec::new();
    // What the database refuses is found by halves.
    let mut parts = VecDeque::from([(0, given)]);
    while let Some((first, part)) = parts.pop_front() {
        match take(client, list, confirmed, part) {
            Ok(left) => refused.extend(left.into_iter().map(|(place, why)| (first + place, why))),
            Err(error) => match refused_value(&error) {
                None => return Err(error),
                Some(why) if part.len() < 2 => {
                    let why = match why.column().or(why.constraint()) {
                        None => why.message().to_owned(),
                        Some(of) => format!(
                            "its {} is not allowed",
                            of.trim_start_matches("subscribers_").trim_end_matches("_check")
                        ),
                    };
                    refused.push((first, why));
                }
                Some(_) => {
                    let (left, right) = part.split_at(part.len() / 2);
                    parts.extend([(first, left), (first + left.len(), right)]);
                }
            },
        }
    }
    refused.sort_unstable();
    Ok(refused)
}

fn take(
    client: &mut Client,
    list: &str,
    confirmed: bool,
    given: &[Subscriber],
) -> Result<Vec<(usize, String)>, Error> {
    let addresses: Vec<&str> = given.iter().map(|one| one.address.as_str()).collect();
    let locales: Vec<Option<&str>> = given.iter().map(|one| one.locale.as_deref()).collect();
    let subjects: Vec<Option<&str>> = given.iter().map(|one| one.subject.as_deref()).collect();
    let data: Vec<Option<&str>> = given.iter().map(|one| one.data.as_deref()).collect();
    let sql = match confirmed {
        true => sql!("sql/import.sql"),
        false => sql!("sql/ask.sql"),
    };
    let rows = client.query(sql, &[&list, &addresses, &locales, &subjects, &data])?;
    let left = |row: &Row| {
        let place = usize::try_from(row.try_get::<_, i64>("place")?).unwrap_or(0);
        Ok((place, row.try_get("why")?))
    };
    rows.iter().map(left).collect()
}

/// The subscribers of a list behind `after`, by their id, at most [`CHUNK`]: the id, and the columns
/// of [`crate::lists::file::COLUMNS`].
///
/// # Errors
/// As the statement.
pub fn export(
    client: &mut Client,
    list: &str,
    after: i64,
) -> Result<Vec<(i64, Vec<String>)>, Error> {
    let rows = client.query(sql!("sql/export.sql"), &[&list, &after, &(CHUNK as i64)])?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Subscribers of a list that [`confirmed`] counts at most.
pub const COUNTED: i64 = 100_000;

/// How many confirmed subscribers each list has, up to [`COUNTED`].
///
/// # Errors
/// As the statement.
pub fn confirmed(client: &mut Client) -> Result<Vec<(String, i64)>, Error> {
    let rows = client.query(sql!("sql/confirmed.sql"), &[&COUNTED])?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// The sizes of a list, or of all: how many are confirmed, pending, unsubscribed and suppressed.
///
/// # Errors
/// As the statement, which reads all subscribers.
pub fn sizes(client: &mut Client, list: Option<&str>) -> Result<Vec<(String, [i64; 4])>, Error> {
    let rows = client.query(sql!("sql/sizes.sql"), &[&list])?;
    let size = |row: &Row| {
        let counts = [row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?];
        Ok((row.try_get(0)?, counts))
    };
    rows.iter().map(size).collect()
}
