//! The JSON of `status`. Keys are documented, and only ever added.

use crate::mail::model::Cause;
use crate::mail::policy::Wait;
use crate::queue::fit::Finding;
use crate::queue::schema::NEWEST;
use crate::queue::snapshot::{KindCounts, Reason, Snapshot};
use crate::queue::status::LATEST;
use serde_json::{Value, json};
use std::time::Duration;

/// A queue; docs/STATUS.md says what the keys mean. `max_age` is how long mail may be due.
pub fn status(found: &Snapshot, max_age: Duration) -> Value {
    let pause = found.pause.as_ref();
    let held = found.waiting_for(Wait::Held).chain(found.waiting_for(Wait::PutOff));
    json!({
        "queue": found.queue,
        "time": found.time,
        "schema_version": NEWEST,
        "last_seq": found.last_seq,
        "movement": found.movement(max_age).word(),
        "paused": pause.is_some(),
        "paused_reason": pause.map(|pause| pause.reason.as_str()),
        "paused_seconds": pause.map(|pause| pause.seconds),
        "pending": found.pending,
        "due": found.due,
        "retrying": found.retrying,
        "leased": found.leased,
        "sent": found.sent,
        "sent_last_hour": found.sent_last_hour(),
        "sent_last_24h": found.sent_last_24h,
        "sent_by_five_minutes": found.sent_by_five_minutes,
        "failed": found.failed,
        "dropped": found.dropped,
        "expired": found.expired,
        "ineligible": found.ineligible,
        "superseded": found.superseded,
        "oldest_pending_seconds": found.oldest_pending,
        "oldest_due_seconds": found.oldest_due,
        "held": held.map(reason).collect::<Value>(),
        "waiting": found.waiting_for(Wait::Change).map(reason).collect::<Value>(),
        "failures": found.failures.iter().map(reason).collect::<Value>(),
        "failures_cut": found.failed > LATEST,
        "recipients": found.recipients,
        "recipients_cut": found.hour_is_cut || found.more_recipients > 0,
        "findings": found.findings.iter().map(finding).collect::<Value>(),
        "kinds": found.kinds.iter().map(kind).collect::<Value>(),
        "lists": found.lists.iter().map(|(list, confirmed)| json!({ "list": list, "confirmed": confirmed })).collect::<Value>(),
        "issues": found.issues.iter().map(|(key, left, what)| json!({ "key": key, "left": left, "state": what })).collect::<Value>(),
        "listeners": found.listeners.len(),
        "listening": found.listeners,
    })
}

fn reason(one: &Reason) -> Value {
    json!({ "cause": one.cause.map(Cause::name), "reason": one.text, "count": one.count, "ours": one.is_ours() })
}

fn kind((name, of): (&String, &KindCounts)) -> Value {
    json!({
        "kind": name, "pending": of.pending, "due": of.due, "leased": of.leased,
        "failed": of.failed,
    })
}

fn finding(one: &Finding) -> Value {
    json!({ "name": one.subject, "detail": one.detail, "advice": one.advice })
}
