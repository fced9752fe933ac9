//! What is counted while mail moves, and the names under which others read it.
//!
//! In scope: the numbers, what adds to them, the table of their names, and when it is time to write
//! them. Out of scope: formats, files and sockets. docs/METRICS.md shows the table; a test holds the
//! two together.

use crate::mail::model::{Cause, Message, Outcome};
use crate::mail::policy::{self, Fate, Speed};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The numbers are written this often; also when nothing happens, without a query.
pub const INTERVAL: Duration = Duration::from_secs(10);

/// So many durations are kept at most; then the numbers are written at once.
const SAMPLES: usize = 4096;

/// What an attempt may come to, in the words of the label `outcome`.
pub const OUTCOMES: [&str; 6] = ["accepted", "retry", "ambiguous", "unreached", "rejected", "held"];

/// What may be said of whether mail moves, in the words of the label `movement`.
pub const MOVEMENTS: [&str; 7] =
    ["stopped", "paused", "stuck", "held", "put_off", "moving", "idle"];

/// Takes the numbers somewhere. It never fails and never waits.
pub type Sink = Box<dyn FnMut(&Numbers, Instant)>;

/// The numbers of one process since its start.
#[derive(Debug, Default)]
pub struct Numbers {
    /// Messages handed over, by what was said of them, in the order of [`OUTCOMES`].
    pub attempts: [u64; OUTCOMES.len()],
    /// Messages that were not accepted, by reason.
    pub errors: Reasons,
    /// Messages that were accepted, by their kind.
    pub kinds: Reasons,
    /// Deliveries given up, by reason.
    pub failed: Reasons,
    /// Deliveries whose token expired first.
    pub expired: u64,
    /// Holds that began.
    pub holds: u64,
    /// Holds in force.
    pub holding: usize,
    /// Bad messages and records on standard input.
    pub bad_input: u64,
    /// Connections that replaced one that was lost.
    pub reconnects: u64,
    /// Whether there is a connection to the database; `None`: none is wanted.
    pub connected: Option<bool>,
    /// Whether mail moves, one of [`MOVEMENTS`]; `None`: not known.
    pub movement: Option<&'static str>,
    /// What waits, and when that was counted.
    pub depth: Option<(Depth, Instant)>,
    /// Seconds that handing over a batch took.
    pub send: Histogram,
    /// Seconds from a delivery's creation until it was accepted.
    pub latency: Histogram,
    /// When the loop last got something done.
    pub progress: Option<(Instant, SystemTime)>,
}

impl Numbers {
    /// Nothing is counted yet.
    fn new() -> Numbers {
        Numbers {
            send: Histogram::new(&[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]),
            // Up to a day.
            latency: Histogram::new(&[
                0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 86_400.0,
            ]),
            ..Numbers::default()
        }
    }
}

/// How many deliveries are in which state of waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Depth {
    /// Pending and due.
    pub due: i64,
    /// Pending, for later.
    pub later: i64,
    /// Leased.
    pub leased: i64,
    /// How long the oldest of those that are due has been; zero if there are none.
    pub oldest: Duration,
    /// Of issues: how many deliveries are still to be made,
    pub unmade: i64,
    /// and how many of those above are of one.
    pub of_issues: i64,
}

/// A handle on the numbers of this process; clones share them.
///
/// The default one counts and writes nothing.
#[derive(Clone, Default)]
pub struct Metrics(Option<Rc<RefCell<Inner>>>);

struct Inner {
    numbers: Numbers,
    sinks: Vec<Sink>,
    due: Option<Instant>,
}

impl Metrics {
    /// Numbers that are written to each of `sinks`.
    pub fn new(sinks: Vec<Sink>) -> Metrics {
        let inner = Inner { numbers: Numbers::new(), sinks, due: None };
        Metrics((!inner.sinks.is_empty()).then(|| Rc::new(RefCell::new(inner))))
    }

    /// Whether anybody wants the numbers.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// When [`Metrics::tick`] should be called again; a wait should not go on beyond that.
    pub fn due(&self) -> Option<Instant> {
        self.0.as_ref()?.try_borrow().ok()?.due
    }

    /// `until`, or when [`Metrics::tick`] should be called, if that is earlier.
    pub fn before(&self, until: Instant) -> Instant {
        self.due().map_or(until, |due| due.min(until))
    }

    /// Writes the numbers, if it is time.
    pub fn tick(&self, now: Instant) {
        let mut samples = 0;
        self.count(|numbers| samples = numbers.send.recent.len() + numbers.latency.recent.len());
        if samples >= SAMPLES || self.due().is_none_or(|due| due <= now) {
            self.flush(now);
        }
    }

    /// Writes the numbers.
    pub fn flush(&self, now: Instant) {
        self.change(|Inner { numbers, sinks, due }| {
            *due = Some(now + INTERVAL);
            sinks.iter_mut().for_each(|sink| sink(numbers, now));
            numbers.send.recent.clear();
            numbers.latency.recent.clear();
        });
    }

    /// Changes the numbers, if anybody wants them.
    pub fn count(&self, change: impl FnOnce(&mut Numbers)) {
        self.change(|inner| change(&mut inner.numbers));
    }

    fn change(&self, change: impl FnOnce(&mut Inner)) {
        if let Some(Ok(mut inner)) = self.0.as_ref().map(|inner| inner.try_borrow_mut()) {
            change(&mut inner);
        }
    }

    /// A batch was handed over, which took so long.
    pub fn attempted(&self, messages: &[Message], outcomes: &[Outcome], took: Duration) {
        self.count(|numbers| {
            numbers.send.add(took);
            for (message, outcome) in messages.iter().zip(outcomes) {
                if let Outcome::Refused(refusal) = outcome {
                    numbers.attempts[place(refusal.cause)] += 1;
                    numbers.errors.add(&refusal.why);
                    continue;
                }
                numbers.attempts[0] += 1;
                numbers.kinds.add(&message.kind.name);
                let age = message.ticket.as_ref().and_then(|ticket| ticket.age);
                age.into_iter().for_each(|age| numbers.latency.add(age + took));
            }
        });
    }
}

/// The place in [`OUTCOMES`] of what was refused for this cause.
fn place(cause: Cause) -> usize {
    let policy = policy::of(cause);
    match policy.fate {
        _ if policy.ambiguous => 2,
        Fate::Wait if policy.speed == Speed::Pause => 3,
        Fate::Retry | Fate::Wait => 1,
        Fate::Fail => 4,
        Fate::HoldAll | Fate::HoldKind => 5,
    }
}

/// Durations, counted by buckets.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// The upper bounds of the buckets in seconds, and how many durations were not above them.
    pub buckets: Vec<(f64, u64)>,
    /// How many there were.
    pub count: u64,
    /// Their sum in seconds.
    pub sum: f64,
    /// Those since the numbers were last written, in seconds.
    pub recent: Vec<f32>,
}

impl Histogram {
    /// No durations yet; the buckets end at these seconds, in order.
    fn new(bounds: &[f64]) -> Histogram {
        let buckets = bounds.iter().map(|bound| (*bound, 0)).collect();
        Histogram { buckets, ..Histogram::default() }
    }

    fn add(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        for (bound, below) in &mut self.buckets {
            *below += u64::from(seconds <= *bound);
        }
        self.count += 1;
        self.sum += seconds;
        self.recent.push(time.as_secs_f32());
    }
}

/// The most reasons that are told apart.
const REASONS: usize = 32;
/// The longest reason that is a code and not a story, in bytes.
const REASON_LEN: usize = 80;
/// A word of this many letters and digits may be a secret.
const WORD_LEN: usize = 40;
/// What reasons beyond these limits are called.
const OTHER: &str = "other";

/// Counts by reason: not many, and without what names a person or could be a secret.
#[derive(Clone, Debug, Default)]
pub struct Reasons(BTreeMap<String, u64>);

impl Reasons {
    /// Counts one more of this reason.
    pub fn add(&mut self, why: &str) {
        let code = code(why);
        let fits = self.0.len() < REASONS || self.0.contains_key(code);
        *self.0.entry(if fits { code } else { OTHER }.to_owned()).or_default() += 1;
    }

    /// How many there were of all reasons.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    fn each(&self, give: &mut Give) {
        self.0.iter().for_each(|(reason, count)| give(reason, Value::Count(*count)));
    }
}

/// The part of a reason that is the same for all of its kind: what stands before the first `:`.
fn code(why: &str) -> &str {
    let code = why.split(": ").next().unwrap_or_default();
    let code = code.split(" (attempt ").next().unwrap_or_default().trim();
    let plain = |word: &str| {
        let own = word.bytes().filter(|byte| byte.is_ascii_alphanumeric()).count();
        own < WORD_LEN && (word == "@" || !word.contains('@'))
    };
    let fits = (1..=REASON_LEN).contains(&code.len())
        && code.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && code.split(' ').all(plain);
    if fits { code } else { OTHER }
}

/// One number.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// Only grows.
    Count(u64),
    /// Goes up and down.
    Level(f64),
    /// A moment: seconds since 1970, and how many seconds ago it was.
    Moment(f64, f64),
    /// Durations.
    Spread(&'a Histogram),
}

/// Takes a number and the value of its label.
pub type Give<'a> = dyn FnMut(&str, Value<'_>) + 'a;

/// What is counted under one name.
pub struct Family {
    /// The name for Prometheus. <https://prometheus.io/docs/practices/naming/>
    pub name: &'static str,
    /// The name for DogStatsD; empty: it is not sent there.
    pub statsd: &'static str,
    /// How it behaves, in the word of Prometheus: a histogram is a distribution for DogStatsD.
    pub kind: &'static str,
    /// What is counted or measured.
    pub unit: &'static str,
    /// The label that tells its numbers apart, if any.
    pub label: &'static str,
    /// What it means, in one line.
    pub help: &'static str,
    /// Gives each of its numbers that is known at that moment.
    pub read: fn(&Numbers, Instant, &mut Give),
}

const fn family(
    [name, statsd, kind, unit, label]: [&'static str; 5],
    help: &'static str,
    read: fn(&Numbers, Instant, &mut Give),
) -> Family {
    Family { name, statsd, kind, unit, label, help, read }
}

use Value::{Count, Level, Moment, Spread};

/// All of them, in the order in which they are written.
#[rustfmt::skip]
pub const FAMILIES: &[Family] = &[
    family(["mailroom_build_info", "", "gauge", "", "version"],
        "Always 1; the version of the program is in the label.",
        |_, _, give| give(env!("CARGO_PKG_VERSION"), Level(1.0))),
    family(["mailroom_attempts_total", "mailroom.attempts", "counter", "messages", "outcome"],
        "Messages handed over, by what was said of them.",
        |of, _, give| OUTCOMES.iter().zip(of.attempts).for_each(|(name, n)| give(name, Count(n)))),
    family(["mailroom_sent_total", "mailroom.sent", "counter", "messages", ""],
        "Messages that the next holder accepted: the provider, or the reader of collect.",
        |of, _, give| give("", Count(of.attempts[0]))),
    family(["mailroom_sent_by_kind_total", "mailroom.sent_by_kind", "counter", "messages", "kind"],
        "Messages that the next holder accepted, by the kind of mail.",
        |of, _, give| of.kinds.each(give)),
    family(["mailroom_attempt_errors_total", "mailroom.attempt_errors", "counter", "messages", "reason"],
        "Messages handed over and not accepted, by reason.",
        |of, _, give| of.errors.each(give)),
    family(["mailroom_failed_total", "mailroom.failed", "counter", "deliveries", ""],
        "Deliveries given up.",
        |of, _, give| give("", Count(of.failed.total()))),
    family(["mailroom_failed_by_reason_total", "mailroom.failed_by_reason", "counter", "deliveries", "reason"],
        "Deliveries given up, by reason.",
        |of, _, give| of.failed.each(give)),
    family(["mailroom_expired_total", "mailroom.expired", "counter", "deliveries", ""],
        "Deliveries whose token expired before they could be sent.",
        |of, _, give| give("", Count(of.expired))),
    family(["mailroom_holds_total", "mailroom.holds", "counter", "holds", ""],
        "Holds that began: the account, a template or the credentials were at fault.",
        |of, _, give| give("", Count(of.holds))),
    family(["mailroom_holds_active", "mailroom.holds.active", "gauge", "holds", ""],
        "Holds in force now.",
        |of, _, give| give("", Level(of.holding as f64))),
    family(["mailroom_bad_input_total", "mailroom.bad_input", "counter", "messages", ""],
        "Bad messages and records on standard input.",
        |of, _, give| give("", Count(of.bad_input))),
    family(["mailroom_database_reconnects_total", "mailroom.database.reconnects", "counter", "connections", ""],
        "Connections to the database that replaced one that was lost.",
        |of, _, give| give("", Count(of.reconnects))),
    family(["mailroom_database_up", "mailroom.database.up", "gauge", "", ""],
        "Whether there is a connection to the database: 1 or 0.",
        |of, _, give| of.connected.into_iter().for_each(|up| give("", Level(f64::from(u8::from(up)))))),
    family(["mailroom_queue_movement", "mailroom.queue.movement", "gauge", "", "movement"],
        "Whether mail moves, as `mailroom status` and `mailroom health` say it: 1 for what is so, else 0.",
        |of, _, give| if let Some(movement) = of.movement {
            MOVEMENTS.iter().for_each(|word| give(word, Level(f64::from(u8::from(*word == movement)))));
        }),
    family(["mailroom_queue_depth", "mailroom.queue.depth", "gauge", "deliveries", "state"],
        "Deliveries that are not settled: due, later (due later) or leased; each counted up to 100000.",
        |of, _, give| if let Some((depth, _)) = of.depth {
            give("due", Level(depth.due as f64));
            give("later", Level(depth.later as f64));
            give("leased", Level(depth.leased as f64));
        }),
    family(["mailroom_queue_issues", "mailroom.queue.issues", "gauge", "mails", "state"],
        "Mails of issues of lists that are not sent: unmade (their deliveries are made little by little) or waiting; the latter counted up to 100000.",
        |of, _, give| if let Some((depth, _)) = of.depth {
            give("unmade", Level(depth.unmade as f64));
            give("waiting", Level(depth.of_issues as f64));
        }),
    family(["mailroom_queue_oldest_age_seconds", "mailroom.queue.oldest_age", "gauge", "seconds", ""],
        "How long the oldest due delivery has been due; 0 if none is.",
        |of, now, give| if let Some((depth, counted)) = of.depth {
            // It has aged since it was counted.
            let age = depth.oldest + now.saturating_duration_since(counted);
            give("", Level(if depth.due > 0 { age.as_secs_f64() } else { 0.0 }));
        }),
    family(["mailroom_send_duration_seconds", "mailroom.send.duration", "histogram", "seconds", ""],
        "Time that handing over one batch took.",
        |of, _, give| give("", Spread(&of.send))),
    family(["mailroom_queue_latency_seconds", "mailroom.queue.latency", "histogram", "seconds", ""],
        "Time from the creation of a delivery until its message was accepted.",
        |of, _, give| give("", Spread(&of.latency))),
    family(["mailroom_last_progress_timestamp_seconds", "mailroom.last_progress.age", "gauge", "seconds", ""],
        "When the loop last got something done, if only the answer that there is nothing to do: seconds since 1970; for DogStatsD, how long ago.",
        |of, now, give| if let Some((at, wall)) = of.progress {
            let unix = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
            let ago = now.saturating_duration_since(at);
            give("", Moment(unix.as_secs_f64(), ago.as_secs_f64()));
        }),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_at_once_then_at_intervals_and_when_many_came() {
        let written = Rc::new(RefCell::new(Vec::new()));
        let shared = Rc::clone(&written);
        let sink: Sink = Box::new(move |numbers, _| {
            shared.borrow_mut().push((numbers.failed.total(), numbers.send.recent.len()));
        });
        let metrics = Metrics::new(vec![sink]);
        let mut now = Instant::now();
        metrics.tick(now);
        metrics.count(|numbers| numbers.failed.add("x"));
        metrics.attempted(&[], &[], Duration::from_secs(1));
        metrics.tick(now);
        assert_eq!(metrics.before(now + INTERVAL * 2), now + INTERVAL);
        now += INTERVAL;
        metrics.tick(now);
        for _ in 0..SAMPLES {
            metrics.attempted(&[], &[], Duration::from_secs(1));
        }
        metrics.tick(now);
        metrics.tick(now);
        assert_eq!(*written.borrow(), [(0, 0), (1, 1), (1, SAMPLES)]);
    }

    #[test]
    fn what_may_have_been_sent_is_told_as_ambiguous_wherever_the_provider_was() {
        for (cause, name) in [
            (Cause::Gateway, "ambiguous"),
            (Cause::Unknown, "ambiguous"),
            (Cause::Away, "unreached"),
            (Cause::Busy, "retry"),
        ] {
            assert_eq!(OUTCOMES[place(cause)], name);
        }
    }

    #[test]
    fn nothing_is_kept_where_nobody_wants_it() {
        let metrics = Metrics::default();
        metrics.tick(Instant::now());
        metrics.count(|_| panic!("counted"));
        assert_eq!((metrics.is_on(), metrics.due()), (false, None));
        assert!(!Metrics::new(Vec::new()).is_on());
    }

    #[test]
    fn every_family_has_a_number_once_everything_is_known() {
        let now = Instant::now();
        let depth = Depth { due: 1, oldest: Duration::from_secs(2), ..Depth::default() };
        let mut numbers = Numbers::new();
        numbers.failed.add("x");
        numbers.errors.add("x");
        numbers.kinds.add("x");
        numbers.connected = Some(false);
        numbers.movement = Some("idle");
        numbers.progress = Some((now, SystemTime::now()));
        numbers.depth = Some((depth, now));
        for family in FAMILIES {
            let mut given = Vec::new();
            (family.read)(&numbers, now + Duration::from_secs(3), &mut |_, value| {
                given.push(format!("{value:?}"));
            });
            assert!(!given.is_empty(), "{}", family.name);
            if family.name == "mailroom_queue_oldest_age_seconds" {
                assert_eq!(given, ["Level(5.0)"]);
            }
        }
    }

    #[test]
    fn a_reason_is_told_by_its_code_and_names_nobody() {
        for (why, wanted) in [
            ("MESSAGE_REJECTED: Address j***@example.com is bad", "MESSAGE_REJECTED"),
            ("HTTP 503", "HTTP 503"),
            ("HTTP 503 (attempt 5, the last)", "HTTP 503"),
            ("InternalFailure: no luck (attempt 2, the last)", "InternalFailure"),
            ("550 at recipient: <x> unknown", "550 at recipient"),
            ("the address has no @", "the address has no @"),
            ("john@example.com is unknown", "other"),
            ("two\nlines", "other"),
            ("", "other"),
            ("é", "other"),
        ] {
            assert_eq!(code(why), wanted, "{why:?}");
        }
        assert_eq!(code(&"a".repeat(43)), "other");
        assert_eq!(code(&"a ".repeat(43)), "other");
    }

    #[test]
    fn reasons_are_few_however_many_a_provider_invents() {
        let mut reasons = Reasons::default();
        for n in 0..1000 {
            reasons.add(&format!("Code{n}: x"));
        }
        reasons.add("Code3");
        assert_eq!((reasons.0.len(), reasons.total()), (REASONS + 1, 1001));
        assert_eq!((reasons.0["Code3"], reasons.0["other"]), (2, 968));
    }

    #[test]
    fn buckets_hold_all_that_is_not_above_their_bound() {
        let Numbers { mut send, .. } = Numbers::new();
        for millis in [10, 11, 500, 40_000] {
            send.add(Duration::from_millis(millis));
        }
        let of = |bound: f64| send.buckets.iter().find(|(own, _)| *own == bound).unwrap().1;
        assert_eq!([of(0.01), of(0.05), of(0.25), of(0.5), of(30.0)], [1, 2, 2, 3, 3]);
        assert_eq!((send.count, send.sum, send.recent.len()), (4, 40.521, 4));
    }
}
