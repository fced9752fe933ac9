//! What is known of a queue at one moment, and of single deliveries in it: the words of `status`,
//! `health` and `queue`, and their JSON.
//!
//! In scope: the facts, what they mean for whether mail moves, their names in JSON, which are
//! documented and stay. Out of scope: finding them out, and how they look to people.

use crate::mail::model::Cause;
use crate::mail::policy::{self, Wait};
use serde_json::{Value, json};
use std::time::Duration;

/// A text, and how many deliveries it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The cause, if there is one.
    pub cause: Option<Cause>,
    /// The reason, for people.
    pub text: String,
    /// How many deliveries.
    pub count: i64,
}

/// A connection that listens for the queue.
#[derive(Clone, Debug, PartialEq)]
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

/// A queue at one moment. Ages are in seconds, by the clock of the database.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The queue.
    pub queue: String,
    /// The moment: UTC, ISO 8601.
    pub time: String,
    /// Version of the schema.
    pub schema_version: i64,
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
    /// Deliveries in state `expired`.
    pub expired: i64,
    /// How long ago the oldest pending delivery was made.
    pub oldest_pending: Option<f64>,
    /// How long the delivery that was due first has been due, or its lease has been over; what is
    /// held or was put off, since it was made.
    pub oldest_due: Option<f64>,
    /// Why pending deliveries do not go.
    pub waiting: Vec<Reason>,
    /// Why the latest deliveries failed that nobody gave up: of at most the latest 5000.
    pub failures: Vec<Reason>,
    /// Who listens.
    pub listeners: Vec<Listener>,
}

impl Snapshot {
    /// Sent in the last hour.
    pub fn sent_last_hour(&self) -> i64 {
        self.sent_by_five_minutes.iter().sum()
    }

    /// Whether something has been due for longer than `max_age` although nobody paused the queue.
    pub fn is_late(&self, max_age: Duration) -> bool {
        self.pause.is_none() && self.oldest_due.is_some_and(|age| age > max_age.as_secs_f64())
    }

    /// The reasons of deliveries that wait so, with how many each.
    pub fn waiting_for(&self, wait: Wait) -> impl Iterator<Item = (&str, i64)> {
        let waits = move |reason: &&Reason| reason.cause.map(policy::wait) == Some(wait);
        self.waiting.iter().filter(waits).map(|reason| (reason.text.as_str(), reason.count))
    }

    /// As JSON. Keys are only ever added.
    pub fn json(&self) -> Value {
        let reasons = |found: &mut dyn Iterator<Item = (&str, i64)>| -> Vec<Value> {
            found.map(|(reason, count)| json!({"reason": reason, "count": count})).collect()
        };
        let listeners: Vec<Value> = self
            .listeners
            .iter()
            .map(|one| {
                json!({
                    "pid": one.pid, "role": one.role, "name": one.name,
                    "address": one.address, "seconds": one.seconds.map(round),
                })
            })
            .collect();
        json!({
            "queue": self.queue,
            "time": self.time,
            "schema_version": self.schema_version,
            "last_seq": self.last_seq,
            "paused": self.pause.is_some(),
            "paused_reason": self.pause.as_ref().map(|pause| pause.reason.as_str()),
            "paused_seconds": self.pause.as_ref().map(|pause| round(pause.seconds)),
            "pending": self.pending,
            "due": self.due,
            "retrying": self.retrying,
            "leased": self.leased,
            "sent": self.sent,
            "sent_last_hour": self.sent_last_hour(),
            "sent_last_24h": self.sent_last_24h,
            "sent_by_five_minutes": self.sent_by_five_minutes,
            "failed": self.failed,
            "dropped": self.dropped,
            "expired": self.expired,
            "oldest_pending_seconds": self.oldest_pending.map(round),
            "oldest_due_seconds": self.oldest_due.map(round),
            "held": reasons(&mut self.waiting_for(Wait::Held).chain(self.waiting_for(Wait::PutOff))),
            "waiting": reasons(&mut self.waiting_for(Wait::Change)),
            "failures": reasons(&mut self.failures.iter().map(|r| (r.text.as_str(), r.count))),
            "listeners": self.listeners.len(),
            "listening": listeners,
        })
    }
}

/// One delivery, with what people need to know of its token and account; no secret, no code.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// Its token's id.
    pub id: i64,
    /// Its queue.
    pub queue: String,
    /// Its state.
    pub state: String,
    /// Tries so far.
    pub attempts: i32,
    /// The lowest goes first.
    pub priority: i16,
    /// What kind of mail it is.
    pub action: String,
    /// `accounts.id`
    pub account: i64,
    /// `accounts.status`
    pub status: String,
    /// The address, masked unless it was asked for.
    pub address: String,
    /// The login, only if it was asked for.
    pub login: Option<String>,
    /// Who holds it; empty if nobody.
    pub lease: String,
    /// The provider's id of the mail; may be empty.
    pub provider_id: String,
    /// The last reason; may be empty.
    pub error: String,
    /// Seconds since it was made.
    pub created: f64,
    /// Seconds since it became due or its lease ran out; less than zero: until then.
    pub due: f64,
    /// Seconds since it was settled.
    pub settled: Option<f64>,
    /// Seconds since its token expired; less than zero: until then.
    pub expires: f64,
    /// Whether its token was used.
    pub consumed: bool,
}

impl Entry {
    /// As JSON. Keys are only ever added.
    pub fn json(&self) -> Value {
        let mut value = json!({
            "id": self.id,
            "queue": self.queue,
            "state": self.state,
            "attempts": self.attempts,
            "priority": self.priority,
            "action": self.action,
            "account": self.account,
            "account_status": self.status,
            "address": self.address,
            "lease": filled(&self.lease),
            "provider_id": filled(&self.provider_id),
            "error": filled(&self.error),
            "created_seconds_ago": round(self.created),
            "due_seconds_ago": round(self.due),
            "settled_seconds_ago": self.settled.map(round),
            "token_expires_in_seconds": round(-self.expires),
            "token_used": self.consumed,
        });
        if let Some(login) = &self.login {
            value["login"] = json!(login);
        }
        value
    }
}

fn filled(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Milliseconds are enough.
fn round(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
