//! Where to connect to, how it is encrypted, and what becomes of a connection that breaks.

mod broken;
mod encrypted;
mod refused;
mod session;
mod strings;

use mailroom::edges::pg::conninfo;
use mailroom::edges::pg::fault::Fault;
use mailroom::edges::pg::session::Session;
use mailroom::edges::pg::target::Target;
use mailroom::edges::stop::Stop;

/// Parses with an environment that holds only what is given.
fn parse_with(text: &str, env: &[(&str, &str)]) -> Result<Target, String> {
    let find =
        |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    conninfo::parse(text, &find)
}

/// Connects with an empty environment.
fn open(text: &str) -> Result<Session, Fault> {
    open_with(text, &[])
}

fn open_with(text: &str, env: &[(&str, &str)]) -> Result<Session, Fault> {
    let target = parse_with(text, env).expect("a sound connection string");
    mailroom::edges::pg::connect(&target, &Stop::new())
}

/// The text of a fault that a person must see to.
fn denied(opened: Result<Session, Fault>) -> String {
    match opened {
        Err(Fault::Denied(text)) => text,
        Err(other) => panic!("not denied: {other:?}"),
        Ok(session) => panic!("connected to {}", session.label()),
    }
}

/// Asks the server for a sign of life.
fn probe(session: &mut Session) -> Result<(), Fault> {
    let limit = std::time::Duration::from_secs(5);
    session.call(limit, |client| client.simple_query("SELECT 1").map(drop))
}

/// The single text that a query gives.
fn ask(session: &mut Session, sql: &str) -> String {
    session
        .call(std::time::Duration::from_secs(10), |client| client.query_one(sql, &[]))
        .unwrap()
        .get(0)
}
