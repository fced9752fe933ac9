//! What changed in the pace, and how the log says it.

use crate::mail::model::{Quota, Scope};
use std::fmt;
use std::time::Duration;

/// A change that is worth a line in the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A hold began, or was found to go on: the reason, for how long it has lasted, and the wait
    /// until the next probe.
    Held(Scope, String, Duration, Duration),
    /// A hold is over; it lasted so long.
    Released(Scope, Duration),
    /// So many recipients a second are too many for the provider: the rate that it takes is looked
    /// for.
    Throttled(f64),
    /// The provider was found to take about so many recipients a second.
    Takes(f64),
    /// The provider was not reached or cannot serve: nothing is tried for so long.
    Unreached(Duration),
    /// The provider asked for a pause: nothing is tried for so long.
    Asked(Duration),
    /// The provider says what it allows; the rate is now so many recipients a second.
    Allowed(Quota, f64),
    /// The limit of the day is reached, ours or the provider's: nothing goes for so long.
    Full(Duration),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Held(scope, why, Duration::ZERO, wait) => {
                let (name, wait) = (name(scope), wait.as_secs());
                write!(f, "{name} held: {why}; next probe in {wait} s")
            }
            Change::Held(scope, why, lasted, wait) => {
                let (name, lasted, wait) = (name(scope), lasted.as_secs(), wait.as_secs());
                write!(f, "{name} still held, for {lasted} s now: {why}; next probe in {wait} s")
            }
            Change::Released(scope, lasted) => {
                write!(f, "{} no longer held, after {} s", name(scope), lasted.as_secs())
            }
            Change::Throttled(rate) => write!(
                f,
                "throttled by the provider at {rate:.1} recipients/s; looking for the rate that it \
                 takes"
            ),
            Change::Takes(rate) => write!(f, "the provider takes about {rate:.1} recipients/s"),
            Change::Unreached(pause) => {
                let wait = whole_seconds(*pause);
                write!(f, "the provider was not reached or cannot serve; next try in {wait} s")
            }
            Change::Asked(pause) => {
                let wait = whole_seconds(*pause);
                write!(f, "the provider asks for a pause; next try in {wait} s")
            }
            Change::Allowed(quota, rate) => {
                let a_second = quota.rate.map_or("any number of".to_owned(), |n| n.to_string());
                let a_day = match (quota.daily, quota.left) {
                    (Some(daily), Some(left)) => format!("{daily} in 24 h, {left} of them left"),
                    _ => "any number in 24 h".to_owned(),
                };
                write!(
                    f,
                    "the provider allows {a_second} recipients/s and {a_day}; sending {rate} a second"
                )
            }
            Change::Full(wait) => {
                let wait = wait.as_secs();
                write!(f, "the limit of recipients in 24 h is reached; looking again in {wait} s")
            }
        }
    }
}

fn name(scope: &Scope) -> String {
    match scope {
        Scope::All => "everything is".to_owned(),
        Scope::Kind(kind) if kind.parse::<u16>().is_ok() => format!("action {kind} is"),
        Scope::Kind(kind) => format!("kind {kind} is"),
    }
}

/// A wait is shown as no shorter than it is.
fn whole_seconds(wait: Duration) -> u128 {
    wait.as_millis().div_ceil(1000)
}
