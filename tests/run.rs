//! `mailroom run`: from the row to the provider, and every outcome back into the row.

mod ahead;
mod crash;
mod outcomes;

use crate::support::cluster::Database;
use crate::support::endpoint::Endpoint;
use crate::support::program::{Program, wait_until};
use std::collections::BTreeMap;

/// `run`, with a short window.
fn run(database: &Database, endpoint: &Endpoint) -> Program {
    Program::run(database, &endpoint.url())
        .env("MAILROOM_BATCH_TIMEOUT", "100")
        .env("MAILROOM_HEALTHCHECK_INTERVAL", "500")
}

/// How many mails more than one went to each recipient; everybody must have one.
fn repeated(endpoint: &Endpoint, recipients: usize) -> usize {
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for mail in endpoint.accepted() {
        *count.entry(mail.to).or_default() += 1;
    }
    assert_eq!(count.len(), recipients, "somebody got no mail");
    count.values().map(|n| n - 1).sum()
}

fn wait_state(database: &Database, state: &str, count: i64) {
    let mut client = database.client();
    let text = "SELECT count(*) FROM deliveries WHERE state::text = $1";
    wait_until(&format!("{count} are {state}"), || {
        client.query_one(text, &[&state]).unwrap().get::<_, i64>(0) == count
    });
}
