//! The table of what is counted: names, units, meanings, and which number each one is.
//!
//! docs/METRICS.md shows it; a test holds the two together.

use crate::edges::metrics::{Numbers, OUTCOMES, Value};
use std::time::{Instant, UNIX_EPOCH};

/// How a number behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from zero at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations by buckets; a distribution for DogStatsD.
    Histogram,
}

/// What is counted under one name.
#[derive(Debug)]
pub struct Family {
    /// The name for Prometheus. <https://prometheus.io/docs/practices/naming/>
    pub name: &'static str,
    /// The name for DogStatsD; empty: it is not sent there.
    pub statsd: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What is counted or measured.
    pub unit: &'static str,
    /// The label that tells its numbers apart, if any.
    pub label: &'static str,
    /// What it means, in one line.
    pub help: &'static str,
}

const fn family(
    name: &'static str,
    statsd: &'static str,
    kind: Kind,
    unit: &'static str,
    label: &'static str,
    help: &'static str,
) -> Family {
    Family { name, statsd, kind, unit, label, help }
}

use Kind::{Counter, Gauge, Histogram};

/// All of them, in the order in which they are written.
#[rustfmt::skip]
pub const FAMILIES: &[Family] = &[
    family("mailroom_build_info", "", Gauge, "", "version", "Always 1; the version of the program is in the label."),
    family("mailroom_attempts_total", "mailroom.attempts", Counter, "messages", "outcome", "Messages handed over, by what was said of them."),
    family("mailroom_sent_total", "mailroom.sent", Counter, "messages", "", "Messages that the next holder accepted: the provider, or the reader of collect."),
    family("mailroom_attempt_errors_total", "mailroom.attempt_errors", Counter, "messages", "reason", "Messages handed over and not accepted, by reason."),
    family("mailroom_failed_total", "mailroom.failed", Counter, "deliveries", "", "Deliveries given up."),
    family("mailroom_failed_by_reason_total", "mailroom.failed_by_reason", Counter, "deliveries", "reason", "Deliveries given up, by reason."),
    family("mailroom_expired_total", "mailroom.expired", Counter, "deliveries", "", "Deliveries whose token expired before they could be sent."),
    family("mailroom_holds_total", "mailroom.holds", Counter, "holds", "", "Holds that began: the account, a template or the credentials were at fault."),
    family("mailroom_holds_active", "mailroom.holds.active", Gauge, "holds", "", "Holds in force now."),
    family("mailroom_bad_input_total", "mailroom.bad_input", Counter, "messages", "", "Bad messages and records on standard input."),
    family("mailroom_database_reconnects_total", "mailroom.database.reconnects", Counter, "connections", "", "Connections to the database that replaced one that was lost."),
    family("mailroom_database_up", "mailroom.database.up", Gauge, "", "", "Whether there is a connection to the database: 1 or 0."),
    family("mailroom_queue_paused", "mailroom.queue.paused", Gauge, "", "", "Whether the queue was found paused: 1 or 0."),
    family("mailroom_queue_depth", "mailroom.queue.depth", Gauge, "deliveries", "state", "Deliveries that are not settled: due, later (due later) or leased; each counted up to 100000."),
    family("mailroom_queue_oldest_age_seconds", "mailroom.queue.oldest_age", Gauge, "seconds", "", "How long the oldest due delivery has been due; 0 if none is."),
    family("mailroom_send_duration_seconds", "mailroom.send.duration", Histogram, "seconds", "", "Time that handing over one batch took."),
    family("mailroom_queue_latency_seconds", "mailroom.queue.latency", Histogram, "seconds", "", "Time from the creation of a delivery until its message was accepted."),
    family("mailroom_last_progress_timestamp_seconds", "mailroom.last_progress.age", Gauge, "seconds", "", "When the loop last got something done, if only the answer that there is nothing to do: seconds since 1970; for DogStatsD, how long ago."),
];

impl Numbers {
    /// Gives every number that is known: its family, the value of its label, itself. Those of one
    /// family come together, in the order of [`FAMILIES`].
    pub fn each(&self, now: Instant, give: &mut dyn FnMut(&'static Family, &str, Value<'_>)) {
        for family in FAMILIES {
            match family.name {
                "mailroom_build_info" => give(family, env!("CARGO_PKG_VERSION"), Value::Info),
                "mailroom_attempts_total" => {
                    for (outcome, count) in OUTCOMES.iter().zip(self.attempts) {
                        give(family, outcome, Value::Count(count));
                    }
                }
                "mailroom_attempt_errors_total" => {
                    self.errors.iter().for_each(|(why, n)| give(family, why, Value::Count(n)));
                }
                "mailroom_failed_by_reason_total" => {
                    let reasons = self.failed_by_reason.iter();
                    reasons.for_each(|(why, n)| give(family, why, Value::Count(n)));
                }
                "mailroom_queue_depth" => {
                    if let Some((depth, _)) = &self.depth {
                        give(family, "due", Value::Level(depth.due as f64));
                        give(family, "later", Value::Level(depth.later as f64));
                        give(family, "leased", Value::Level(depth.leased as f64));
                    }
                }
                name => {
                    self.single(name, now).into_iter().for_each(|value| give(family, "", value));
                }
            }
        }
    }

    /// The number of a family that has one only, if it is known.
    fn single(&self, name: &str, now: Instant) -> Option<Value<'_>> {
        let flag = |flag: Option<bool>| flag.map(|flag| Value::Level(f64::from(u8::from(flag))));
        match name {
            "mailroom_sent_total" => Some(Value::Count(self.sent())),
            "mailroom_failed_total" => Some(Value::Count(self.failed)),
            "mailroom_expired_total" => Some(Value::Count(self.expired)),
            "mailroom_holds_total" => Some(Value::Count(self.holds)),
            "mailroom_holds_active" => Some(Value::Level(self.holding as f64)),
            "mailroom_bad_input_total" => Some(Value::Count(self.bad_input)),
            "mailroom_database_reconnects_total" => Some(Value::Count(self.reconnects)),
            "mailroom_database_up" => flag(self.connected),
            "mailroom_queue_paused" => flag(self.paused),
            "mailroom_queue_oldest_age_seconds" => {
                let (depth, counted) = self.depth?;
                // It has aged since it was counted.
                let since = now.saturating_duration_since(counted);
                let age = if depth.due > 0 { (depth.oldest + since).as_secs_f64() } else { 0.0 };
                Some(Value::Level(age))
            }
            "mailroom_send_duration_seconds" => Some(Value::Spread(&self.send)),
            "mailroom_queue_latency_seconds" => Some(Value::Spread(&self.latency)),
            "mailroom_last_progress_timestamp_seconds" => {
                let (at, wall) = self.progress?;
                let unix = wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
                Some(Value::Moment(unix, now.saturating_duration_since(at).as_secs_f64()))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edges::metrics::{Depth, Metrics};
    use std::time::{Duration, SystemTime};

    #[test]
    fn every_family_has_a_number_once_everything_is_known() {
        let metrics = Metrics::new(vec![Box::new(|_, _| {})]);
        let now = Instant::now();
        metrics.failed("x");
        metrics.connected(false);
        metrics.paused(false);
        metrics.progressed(now, SystemTime::now());
        metrics.depth(Depth { due: 1, oldest: Duration::from_secs(2), ..Depth::default() }, now);
        metrics.change(|numbers| numbers.errors.add("x"));
        let mut seen = Vec::new();
        let mut oldest = 0.0;
        metrics.change(|numbers| {
            numbers.each(now + Duration::from_secs(3), &mut |family, _, value| {
                seen.push(family.name);
                if let ("mailroom_queue_oldest_age_seconds", Value::Level(age)) =
                    (family.name, value)
                {
                    oldest = age;
                }
            });
        });
        seen.dedup();
        assert_eq!(seen, FAMILIES.iter().map(|family| family.name).collect::<Vec<_>>());
        assert_eq!(oldest, 5.0);
    }
}
