//! `mailroom send` without a database: reading, handing over, keeping what could not be delivered.

mod disk;
mod faults;
mod input;
mod kept;
mod stop;

use crate::support::endpoint::{Endpoint, Mail};

/// The recipients of mails, in order.
fn recipients(mails: &[Mail]) -> Vec<&str> {
    mails.iter().map(|mail| mail.to.as_str()).collect()
}

/// Accepted mails of a provider, by recipient.
fn sent(endpoint: &Endpoint) -> Vec<String> {
    endpoint.accepted().into_iter().map(|mail| mail.to).collect()
}
