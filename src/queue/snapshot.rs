//! What is known of a queue at one moment, and of single deliveries in it: the words of `status`,
//! `health` and `queue`.
//!
//! In scope: the facts, and what they mean for whether mail moves. Out of scope: finding them out, and
//! how they look.

use crate::mail::model::Cause;
use crate::mail::policy::{self, Wait};
use crate::queue::fit::Finding;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Why deliveries wait or failed, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What they have in common; `None`: no cause was written down.
    pub cause: Option<Cause>,
    /// What most of them say, for people.
    pub text: String,
    /// How many deliveries.
    pub count: i64,
}

impl Reason {
    /// Whether a change here mends it: no provider has refused these.
    pub fn is_ours(&self) -> bool {
        self.cause.is_some_and(policy::is_ours)
    }
}

/// Deliveries of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindCounts {
    /// In state `pending`.
    pub pending: i64,
    /// Those of them that may be claimed now.
    pub due: i64,
    /// In state `leased`.
    pub leased: i64,
    /// In state `failed`, not given up, of at most the latest 5000 of all kinds.
    pub failed: i64,
}

/// A connection that listens for the queue.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listener {
    /// Process id of its backend on the database server.
    pub pid: i32,
    /// The database role.
    pub role: String,
    /// `application_name`: by default `mailroom run` or `mailroom collect`.
    pub name: String,
    /// Its address; empty for a local socket, or if this role may not know.
    pub address: String,
    /// Seconds since it connected, if this role may know.
    pub seconds: Option<f64>,
}

/// A pause of the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Pause {
    /// What a person gave as the reason; may be empty.
    pub reason: String,
    /// Seconds since it began.
    pub seconds: f64,
}

/// Somebody for whom many mails were asked for in the last hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recipient {
    /// The address, masked.
    pub address: String,
    /// How many were asked for.
    pub asked: i64,
    /// How many of these were sent.
    pub sent: i64,
    /// How many were superseded: the limits of their kinds stopped them.
    pub superseded: i64,
    /// How many wait for these limits.
    pub limited: i64,
    /// The latest of them, which tells apart whose addresses look alike.
    pub latest: i64,
}

/// A queue at one moment. Ages are in seconds, by the clock of the database.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The queue.
    pub queue: String,
    /// The moment: UTC, ISO 8601.
    pub time: String,
    /// `jobs.last_seq`: the highest token handed out.
    pub last_seq: i64,
    /// Whether nothing is claimed, and why.
    pub pause: Option<Pause>,
    /// Deliveries in state `pending`.
    pub pending: i64,
    /// Those of them that may be claimed now.
    pub due: i64,
    /// Those of them that were tried before.
    pub retrying: i64,
    /// Deliveries in state `leased`.
    pub leased: i64,
    /// All that were ever settled as sent, also those that were removed since.
    pub sent: i64,
    /// In the last five minutes, the five before, and so on: twelve, the earliest first.
    pub sent_by_five_minutes: Vec<i64>,
    /// In the last day.
    pub sent_last_24h: i64,
    /// Deliveries in state `failed` that nobody gave up.
    pub failed: i64,
    /// Deliveries in state `failed` that a person gave up with `queue drop`.
    pub dropped: i64,
    /// Deliveries in state `expired` that could have been sent.
    pub expired: i64,
    /// Deliveries in that state that were not to be sent until then.
    pub ineligible: i64,
    /// Deliveries in state `superseded`.
    pub superseded: i64,
    /// How long ago the oldest pending delivery was made.
    pub oldest_pending: Option<f64>,
    /// How long the delivery that was due first has been due, or its lease has been over; what is
    /// held or was put off, since it was made.
    pub oldest_due: Option<f64>,
    /// Why pending deliveries do not go.
    pub waiting: Vec<Reason>,
    /// Why the latest deliveries failed that nobody gave up: of at most the latest 5000.
    pub failures: Vec<Reason>,
    /// For whom most was asked for in the last hour, if it was much: at most five.
    pub recipients: Vec<Recipient>,
    /// How many more there are than these.
    pub more_recipients: i64,
    /// Whether only the latest 5000 mails of the hour were looked at for these.
    pub hour_is_cut: bool,
    /// What there is of each kind, by its name.
    pub kinds: BTreeMap<String, KindCounts>,
    /// Who listens.
    pub listeners: Vec<Listener>,
    /// What is wrong with the database, if that was looked at.
    pub findings: Vec<Finding>,
    /// Lists, each with its confirmed subscribers, counted up to a bound.
    pub lists: Vec<(String, i64)>,
    /// Issues that are under way, each with how many of it are to go, and its state and list in words.
    pub issues: Vec<(String, i64, String)>,
}

/// Whether mail moves, and what keeps it. The screen and the exit status of `status`, and `health`
/// go by it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Movement<'a> {
    /// Nobody listens: nothing is claimed, even if a person ends this pause.
    Stopped(Option<&'a Pause>),
    /// A person paused the queue: nothing is claimed, and no process is at fault.
    Paused(&'a Pause),
    /// Something has been due for so many seconds, longer than is allowed.
    Stuck(f64),
    /// The provider or its settings hold mail back.
    Held(&'a Reason),
    /// The provider was not reached, or took no more.
    PutOff(&'a Reason),
    /// Something is due or on its way.
    Moving,
    /// Nothing is due.
    Idle,
}

impl Movement<'_> {
    /// Whether mail does not move although it should.
    pub fn is_fault(self) -> bool {
        matches!(self, Movement::Stopped(_) | Movement::Stuck(_))
    }

    /// The word for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Movement::Stopped(_) => "stopped",
            Movement::Paused(_) => "paused",
            Movement::Stuck(_) => "stuck",
            Movement::Held(_) => "held",
            Movement::PutOff(_) => "put_off",
            Movement::Moving => "moving",
            Movement::Idle => "idle",
        }
    }
}

impl Snapshot {
    /// Sent in the last hour.
    pub fn sent_last_hour(&self) -> i64 {
        self.sent_by_five_minutes.iter().sum()
    }

    /// Whether mail moves; `max_age` is how long it may be due.
    pub fn movement(&self, max_age: Duration) -> Movement<'_> {
        let held = || self.waiting_for(Wait::Held).next().map(Movement::Held);
        let put_off = || self.waiting_for(Wait::PutOff).next().map(Movement::PutOff);
        match (&self.pause, self.oldest_due) {
            (pause, _) if self.listeners.is_empty() => Movement::Stopped(pause.as_ref()),
            (Some(pause), _) => Movement::Paused(pause),
            (None, Some(age)) if age > max_age.as_secs_f64() => Movement::Stuck(age),
            _ => held().or_else(put_off).unwrap_or(match self.due + self.leased {
                0 => Movement::Idle,
                _ => Movement::Moving,
            }),
        }
    }

    /// Why deliveries wait that wait so.
    pub fn waiting_for(&self, wait: Wait) -> impl Iterator<Item = &Reason> {
        let waits = move |reason: &&Reason| reason.cause.map(policy::wait) == Some(wait);
        self.waiting.iter().filter(waits)
    }
}

/// One delivery, with what people need to know of its token and account, by the keys of its JSON; no
/// secret, no code. What it does not have is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Entry {
    /// Its token's id.
    pub id: i64,
    /// Its queue.
    pub queue: String,
    /// Its state.
    pub state: String,
    /// Why it waits or how it ended.
    pub cause: Option<String>,
    /// Tries so far.
    pub attempts: i32,
    /// The lowest goes first.
    pub priority: i16,
    /// What kind of mail it is.
    pub kind: String,
    /// `accounts.id`, if the mail is of an account.
    pub account: Option<i64>,
    /// `accounts.status`.
    pub account_status: Option<String>,
    /// The address, masked unless it was asked for.
    pub address: String,
    /// The login, only if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// Who holds it.
    pub lease: Option<String>,
    /// The provider's id of the mail.
    pub provider_id: Option<String>,
    /// What was said of it, for people.
    pub error: Option<String>,
    /// Seconds since it was made.
    pub created_seconds_ago: f64,
    /// Seconds since it became due or its lease ran out; less than zero: until then.
    pub due_seconds_ago: f64,
    /// Seconds since it was settled.
    pub settled_seconds_ago: Option<f64>,
    /// Seconds until it, or its token, expires; less than zero: since then; `None`: never.
    pub token_expires_in_seconds: Option<f64>,
    /// Whether its token was used.
    pub token_used: bool,
    /// The language.
    pub locale: Option<String>,
    /// What makes it the only one.
    pub key: Option<String>,
    /// The names in its data, or the object itself if it was asked for.
    pub data: Option<serde_json::Value>,
    /// The moment before which it is not sent: UTC, ISO 8601.
    pub not_before: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_thing_that_keeps_mail_from_moving_is_named() {
        let minute = Duration::from_secs(60);
        let movement = |found: &Snapshot| {
            let movement = found.movement(minute);
            assert!(crate::mail::counts::MOVEMENTS.contains(&movement.word()));
            (movement.word(), movement.is_fault())
        };
        let listener = Listener {
            pid: 1,
            role: String::new(),
            name: String::new(),
            address: String::new(),
            seconds: None,
        };
        let mut found = Snapshot::default();
        assert_eq!(movement(&found), ("stopped", true));
        found.listeners.push(listener);
        assert_eq!(movement(&found), ("idle", false));
        found.leased = 1;
        assert_eq!(movement(&found), ("moving", false));
        for (cause, word) in [(Cause::Away, "put_off"), (Cause::Account, "held")] {
            found.waiting.push(Reason { cause: Some(cause), text: String::new(), count: 1 });
            assert_eq!(movement(&found), (word, false));
        }
        found.oldest_due = Some(61.0);
        assert_eq!(movement(&found), ("stuck", true));
        found.pause = Some(Pause { reason: String::new(), seconds: 900.0 });
        assert_eq!(movement(&found), ("paused", false));
        found.listeners.clear();
        assert_eq!(movement(&found), ("stopped", true));
    }
}
