//! Lists: coming to one, leaving it, and issues to all who are on it.

#[cfg(all(feature = "postmark", feature = "smtp"))]
mod headers;
mod leaving;
mod members;
mod publish;
mod shell;
#[cfg(all(feature = "postmark", feature = "smtp"))]
mod templates;

use crate::support::cluster::Database;
use postgres::Client;

/// The end of a link to unsubscribe of subscriber `s`, as the claim makes it.
const TOKEN: &str =
    "translate(encode(int8send(s.id) || uuid_send(s.secret), 'base64'), '+/', '-_')";

/// A database with the list `news`.
fn database() -> Database {
    let database = Database::migrated();
    database.run(
        "INSERT INTO lists (list, unsubscribe)
         VALUES ('news', 'https://example.com/unsubscribe?token=')",
    );
    database
}

/// So many confirmed subscribers: `s1@example.com`, …, of whom the even ones have the plan `pro`.
fn subscribers(database: &Database, count: u32) {
    database.run(&format!(
        "INSERT INTO subscribers (list, address, state, data, how)
         SELECT 'news', 's' || n || '@example.com', 'confirmed',
                jsonb_build_object('plan', CASE n % 2 WHEN 0 THEN 'pro' ELSE 'free' END, 'n', n),
                'import'
           FROM generate_series(1, {count}) n"
    ));
}

/// What a query gives that gives one text or nothing.
fn text(client: &mut Client, sql: &str) -> Option<String> {
    client.query_one(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
}

fn state_of(database: &Database, address: &str) -> String {
    let sql = format!("SELECT state::text FROM subscribers WHERE address = '{address}'");
    text(&mut database.client(), &sql).unwrap()
}

/// The token in the subscriber's link.
fn token_of(database: &Database, address: &str) -> String {
    let sql = format!("SELECT {TOKEN} FROM subscribers s WHERE address = '{address}'");
    text(&mut database.client(), &sql).unwrap()
}

#[test]
fn every_statement_of_the_document_runs() {
    let database = Database::migrated();
    let document = include_str!("../docs/LISTS.md");
    let blocks: Vec<&str> =
        document.split("```sql\n").skip(1).map(|rest| rest.split_once("```").unwrap().0).collect();
    assert!(blocks.len() >= 5);
    let mut client = database.client();
    for block in blocks {
        client.batch_execute(block).unwrap_or_else(|error| panic!("{block}\n{error:?}"));
    }
    assert_eq!(database.number("SELECT count(*) FROM issues"), 1);
}
