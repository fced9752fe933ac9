//! The only loop: from the source, to the transport, and back.
//!
//! In scope: the order of things, and the pace. Out of scope: what a database or a provider is.

use crate::edges::clock::Clock;
use crate::edges::log;
use crate::edges::stop::{GRACE, Stop};
use crate::edges::systemd as notify;
use crate::mail::counts::Metrics;
use crate::mail::ends::Transport;
use crate::mail::ends::{Ask, Next, Source};
use crate::mail::error::Error;
use crate::mail::model::Scope;
use crate::mail::pace::{Change, Pace, Permit, Quota};
use std::time::{Duration, Instant, SystemTime};

/// The clock of the process.
pub fn system_clock() -> Clock {
    Clock { now: Instant::now, wall: SystemTime::now, chance }
}

fn chance() -> f64 {
    let bits = getrandom::u64().unwrap_or(u64::MAX / 2);
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// What the log says of a run as a whole.
#[derive(Default)]
struct Told {
    /// That the process was asked to stop.
    stopping: bool,
    /// Messages that were accepted.
    accepted: usize,
}

/// A source, a transport, and the pace between them.
pub struct Pump<'a> {
    /// Where messages come from. (Not a type of its own for each: this is the whole loop.)
    pub source: &'a mut dyn Source,
    /// Where they go.
    pub transport: Box<dyn Transport>,
    /// How fast.
    pub pace: Pace,
    /// The request to stop.
    pub stop: Stop,
    /// Time.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Metrics,
    /// Part of the program, for the log.
    pub unit: &'static str,
}

impl Pump<'_> {
    /// Runs until the source ends, the process is asked to stop, or nothing can be handed over
    /// any more.
    ///
    /// # Errors
    /// Why the process must end; everything that was taken is settled, released or kept.
    pub fn run(&mut self) -> Result<(), Error> {
        let mut told = Told::default();
        let ended = self.turn(&mut told);
        self.tell_stopping(&mut told);
        notify::stopping((self.clock.now)());
        let closed = self.source.close();
        self.metrics.flush((self.clock.now)());
        if ended.is_ok() {
            let why = if told.stopping { "stopped" } else { "end of input" };
            log::info(self.unit, format_args!("{why}; {} messages handed over", told.accepted));
        }
        ended.and(closed)
    }

    fn turn(&mut self, told: &mut Told) -> Result<(), Error> {
        let mut give_up_at = None;
        loop {
            self.tell_stopping(told);
            let now = (self.clock.now)();
            notify::progress(now);
            if self.stop.requested() && now >= *give_up_at.get_or_insert(now + GRACE) {
                return Ok(());
            }
            self.metrics.tick(now);
            self.read_limits(now)?;
            let now = (self.clock.now)();
            let full = self.pace.news(now);
            self.tell(full.as_slice());
            let ask = match self.pace.permit(now) {
                Permit::Go { limit, held, until } => Ask { limit, held, until },
                Permit::Wait(at) => {
                    // A short wait for the rate is part of finishing; a hold is not.
                    if self.stop.requested() && at > now + Duration::from_secs(1) {
                        return Ok(());
                    }
                    if !self.source.idle(self.metrics.before(at))? {
                        return Ok(());
                    }
                    continue;
                }
            };
            match self.source.next(&ask)? {
                Next::End => return Ok(()),
                Next::Idle => self.progressed(),
                Next::Full => {
                    self.pace.crowded((self.clock.now)());
                    self.progressed();
                }
                Next::Batch(batch) => {
                    let begun = (self.clock.now)();
                    self.pace.spent(batch.messages.len(), begun);
                    let outcomes = self.transport.send(&batch);
                    let now = (self.clock.now)();
                    let took = now.saturating_duration_since(begun);
                    self.metrics.attempted(&batch.messages, &outcomes, took);
                    let broken = self.transport.broken();
                    let accepted = outcomes.iter().filter(|outcome| outcome.is_accepted()).count();
                    if accepted > 0 {
                        told.accepted += accepted;
                        let so_far = told.accepted;
                        notify::status(format_args!("{so_far} messages handed over"), now);
                    }
                    // With nobody to hand over to there is nothing to learn of a pace.
                    let kinds = batch.messages.iter().map(|message| message.action);
                    if broken.is_none() {
                        let changes = self.pace.learn(kinds.clone().zip(&outcomes), now);
                        self.tell(&changes);
                        let holds = self.pace.holds().len();
                        self.metrics.count(|numbers| numbers.holding = holds);
                    }
                    // Who ends keeps nothing from those who go on.
                    let probe = if broken.is_some() || self.stop.requested() {
                        Duration::ZERO
                    } else {
                        self.pace.probe_delay(kinds.zip(&outcomes), now)
                    };
                    self.source.settle(batch, outcomes, probe)?;
                    self.progressed();
                    if let Some(error) = broken {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// What others sent, and what the provider allows, when it is time to ask.
    fn read_limits(&mut self, now: Instant) -> Result<(), Error> {
        if self.stop.requested() {
            return Ok(());
        }
        if self.pace.wants_quota(now) {
            let quota = self.transport.quota();
            let change = self.pace.allow(quota, (self.clock.now)());
            self.tell(change.as_slice());
        }
        if self.pace.wants_counts(now) {
            let counts = self.source.sent_by_slot()?;
            self.pace.seed(counts.as_deref(), (self.clock.now)());
        }
        Ok(())
    }

    fn tell_stopping(&self, told: &mut Told) {
        if self.stop.requested() && !std::mem::replace(&mut told.stopping, true) {
            log::info(self.unit, "asked to stop; finishing what was begun");
            notify::stopping((self.clock.now)());
        }
    }

    fn progressed(&self) {
        let now = ((self.clock.now)(), (self.clock.wall)());
        self.metrics.count(|numbers| numbers.progress = Some(now));
    }

    fn tell(&self, changes: &[Change]) {
        for change in changes {
            if let Change::Held(_, _, Duration::ZERO, _) = change {
                self.metrics.count(|numbers| numbers.holds += 1);
            }
            let text = in_words(change);
            match change {
                Change::Released(..) | Change::Allowed(..) => log::info(self.unit, &text),
                _ => log::warn(self.unit, &text),
            }
            notify::status(text, (self.clock.now)());
        }
    }
}

fn in_words(change: &Change) -> String {
    match change {
        Change::Held(scope, why, Duration::ZERO, wait) => {
            format!("{} held: {why}; next probe in {} s", name(*scope), wait.as_secs())
        }
        Change::Held(scope, why, lasted, wait) => format!(
            "{} still held, for {} s now: {why}; next probe in {} s",
            name(*scope),
            lasted.as_secs(),
            wait.as_secs()
        ),
        Change::Released(scope, lasted) => {
            format!("{} no longer held, after {} s", name(*scope), lasted.as_secs())
        }
        Change::Unreached(pause) => {
            let wait = whole_seconds(*pause);
            format!("the provider was not reached or cannot serve; next try in {wait} s")
        }
        Change::Asked(pause) => {
            format!("the provider asks for a pause; next try in {} s", whole_seconds(*pause))
        }
        Change::Allowed(quota, rate) => {
            format!("the provider allows {}; sending {rate} a second", told(*quota))
        }
        Change::Full(wait) => format!(
            "the limit of recipients in 24 h is reached; looking again in {} s",
            wait.as_secs()
        ),
        Change::Slowed(rate) => {
            format!("throttled by the provider; slowing to {rate:.1} recipients/s")
        }
    }
}

/// A wait is told as no shorter than it is.
fn whole_seconds(wait: Duration) -> u128 {
    wait.as_millis().div_ceil(1000)
}

/// `14 recipients/s and 50000 in 24 h, 49000 of them left`.
fn told(quota: Quota) -> String {
    let rate = quota.rate.map_or("any number of".to_owned(), |rate| rate.to_string());
    let day = match (quota.daily, quota.left) {
        (Some(daily), Some(left)) => format!("{daily} in 24 h, {left} of them left"),
        _ => "any number in 24 h".to_owned(),
    };
    format!("{rate} recipients/s and {day}")
}

fn name(scope: Scope) -> String {
    match scope {
        Scope::All => "everything is".to_owned(),
        Scope::Kind(number) => format!("action {number} is"),
    }
}
