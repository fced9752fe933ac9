//! What is counted while mail moves, as plain values, and when it is written out.
//!
//! In scope: the numbers, what adds to them, and the moment to hand them to whoever writes them.
//! `metrics/table.rs` names them, `metrics/prometheus.rs` and `metrics/statsd.rs` put them into the
//! words of others. Out of scope: files and sockets (`textfile.rs`, `statsd.rs`).

pub mod prometheus;
pub mod statsd;
mod table;
mod values;

use crate::mail::model::{Message, Outcome};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};
pub use table::{FAMILIES, Family, Kind};
pub use values::{Depth, Histogram, Reasons, Value};

/// The numbers are written this often; also when nothing happens, without a query.
pub const INTERVAL: Duration = Duration::from_secs(10);

/// So many durations are kept at most; then the numbers are written at once.
const SAMPLES: usize = 4096;

/// What an attempt may come to, in the words of the label `outcome`.
pub const OUTCOMES: [&str; 6] = ["accepted", "retry", "ambiguous", "unreached", "rejected", "held"];

/// Takes the numbers somewhere. It never fails and never waits.
pub type Sink = Box<dyn FnMut(&Numbers, Instant)>;

/// The numbers of one process since its start.
#[derive(Debug, Default)]
pub struct Numbers {
    /// Messages handed over, by what was said of them, in the order of [`OUTCOMES`].
    pub attempts: [u64; OUTCOMES.len()],
    /// Messages that were not accepted, by reason.
    pub errors: Reasons,
    /// Deliveries given up.
    pub failed: u64,
    /// The same by reason.
    pub failed_by_reason: Reasons,
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
    /// Whether the queue is paused; `None`: not known.
    pub paused: Option<bool>,
    /// What waits, and when that was counted.
    pub depth: Option<(Depth, Instant)>,
    /// Seconds that handing over a batch took.
    pub send: Histogram,
    /// Seconds from a delivery's creation until it was accepted.
    pub latency: Histogram,
    /// When the loop last got something done.
    pub progress: Option<(Instant, SystemTime)>,
}

/// A handle on the numbers of this process; clones share them.
///
/// The default one counts and writes nothing.
#[derive(Clone, Default)]
pub struct Metrics(Rc<Inner>);

#[derive(Default)]
struct Inner {
    numbers: RefCell<Numbers>,
    sinks: RefCell<Vec<Sink>>,
    on: bool,
    due: Cell<Option<Instant>>,
}

impl Metrics {
    /// Numbers that are written to each of `sinks`.
    pub fn new(sinks: Vec<Sink>) -> Metrics {
        let on = !sinks.is_empty();
        let numbers = RefCell::new(Numbers {
            send: Histogram::sends(),
            latency: Histogram::latencies(),
            ..Numbers::default()
        });
        Metrics(Rc::new(Inner { numbers, sinks: RefCell::new(sinks), on, due: Cell::default() }))
    }

    /// Whether anybody wants the numbers.
    pub fn is_on(&self) -> bool {
        self.0.on
    }

    /// When [`Metrics::tick`] should be called again; a wait should not go on beyond that.
    pub fn due(&self) -> Option<Instant> {
        self.0.due.get()
    }

    /// `until`, or when [`Metrics::tick`] should be called, if that is earlier.
    pub fn before(&self, until: Instant) -> Instant {
        self.due().map_or(until, |due| due.min(until))
    }

    /// Writes the numbers, if it is time.
    pub fn tick(&self, now: Instant) {
        if !self.0.on {
            return;
        }
        let samples = self.0.numbers.try_borrow().map_or(0, |numbers| numbers.samples());
        if samples >= SAMPLES || self.0.due.get().is_none_or(|due| due <= now) {
            self.flush(now);
        }
    }

    /// Writes the numbers.
    pub fn flush(&self, now: Instant) {
        if !self.0.on {
            return;
        }
        self.0.due.set(Some(now + INTERVAL));
        let (Ok(mut numbers), Ok(mut sinks)) =
            (self.0.numbers.try_borrow_mut(), self.0.sinks.try_borrow_mut())
        else {
            return;
        };
        for sink in sinks.iter_mut() {
            sink(&numbers, now);
        }
        numbers.send.forget();
        numbers.latency.forget();
    }

    fn change(&self, change: impl FnOnce(&mut Numbers)) {
        if self.0.on
            && let Ok(mut numbers) = self.0.numbers.try_borrow_mut()
        {
            change(&mut numbers);
        }
    }

    /// A batch was handed over, which took so long.
    pub fn attempted(&self, messages: &[Message], outcomes: &[Outcome], took: Duration) {
        self.change(|numbers| {
            numbers.send.add(took);
            for (message, outcome) in messages.iter().zip(outcomes) {
                let (place, why) = place(outcome);
                numbers.attempts[place] += 1;
                match why {
                    Some(why) => numbers.errors.add(why),
                    None => {
                        let age = message.ticket.as_ref().and_then(|ticket| ticket.age);
                        age.into_iter().for_each(|age| numbers.latency.add(age + took));
                    }
                }
            }
        });
    }

    /// A delivery was given up.
    pub fn failed(&self, why: &str) {
        self.change(|numbers| {
            numbers.failed += 1;
            numbers.failed_by_reason.add(why);
        });
    }

    /// The tokens of so many deliveries expired.
    pub fn expired(&self, count: usize) {
        self.change(|numbers| numbers.expired += count as u64);
    }

    /// A hold began.
    pub fn hold_began(&self) {
        self.change(|numbers| numbers.holds += 1);
    }

    /// So many holds are in force.
    pub fn holding(&self, count: usize) {
        self.change(|numbers| numbers.holding = count);
    }

    /// Standard input held something bad.
    pub fn bad_input(&self) {
        self.change(|numbers| numbers.bad_input += 1);
    }

    /// A connection to the database was made; `again`: it is not the first.
    pub fn connected(&self, again: bool) {
        self.change(|numbers| {
            numbers.connected = Some(true);
            numbers.reconnects += u64::from(again);
        });
    }

    /// There is no connection to the database.
    pub fn disconnected(&self) {
        self.change(|numbers| numbers.connected = Some(false));
    }

    /// Whether the queue is paused.
    pub fn paused(&self, paused: bool) {
        self.change(|numbers| numbers.paused = Some(paused));
    }

    /// What waits, counted at `now`.
    pub fn depth(&self, depth: Depth, now: Instant) {
        self.change(|numbers| numbers.depth = Some((depth, now)));
    }

    /// The loop got something done, if only the answer that there is nothing to do.
    pub fn progressed(&self, now: Instant, wall: SystemTime) {
        self.change(|numbers| numbers.progress = Some((now, wall)));
    }
}

impl Numbers {
    fn samples(&self) -> usize {
        self.send.recent().len() + self.latency.recent().len()
    }

    /// Messages that were accepted.
    pub fn sent(&self) -> u64 {
        self.attempts[0]
    }
}

/// Its place in [`OUTCOMES`], and the reason if it is not good.
fn place(outcome: &Outcome) -> (usize, Option<&str>) {
    match outcome {
        Outcome::Accepted { .. } => (0, None),
        Outcome::Retry { why, ambiguous: true, .. } => (2, Some(why)),
        Outcome::Retry { why, away: true, .. } => (3, Some(why)),
        Outcome::Retry { why, .. } => (1, Some(why)),
        Outcome::Reject { why } => (4, Some(why)),
        Outcome::Hold { why, .. } => (5, Some(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_at_once_then_at_intervals_and_when_many_came() {
        let written = Rc::new(RefCell::new(Vec::new()));
        let shared = Rc::clone(&written);
        let sink: Sink = Box::new(move |numbers, _| {
            shared.borrow_mut().push((numbers.failed, numbers.send.recent().len()));
        });
        let metrics = Metrics::new(vec![sink]);
        let mut now = Instant::now();
        metrics.tick(now);
        metrics.failed("x");
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
        for (ambiguous, away, name) in [
            (true, true, "ambiguous"),
            (true, false, "ambiguous"),
            (false, true, "unreached"),
            (false, false, "retry"),
        ] {
            let why = "why".to_owned();
            let outcome = Outcome::Retry { after: None, why, ambiguous, throttled: false, away };
            assert_eq!(OUTCOMES[place(&outcome).0], name);
        }
    }

    #[test]
    fn nothing_is_kept_where_nobody_wants_it() {
        let metrics = Metrics::default();
        metrics.attempted(&[], &[], Duration::from_secs(1));
        metrics.tick(Instant::now());
        assert_eq!((metrics.is_on(), metrics.due()), (false, None));
        assert_eq!(metrics.0.numbers.borrow().samples(), 0);
    }
}
