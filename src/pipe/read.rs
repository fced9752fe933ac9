//! Standard input as a source: reads batches, and keeps what could not be delivered.
//!
//! Without a database, what is to be tried again stays here and nothing more is read meanwhile,
//! so the pipe fills and the writer waits. With one, deliveries are taken over from the collector
//! before they are sent, and settled there.

mod input;
mod kept;
mod settings;
mod takeover;

pub use self::settings::{Acknowledge, Settings};

use self::input::{Input, Read};
use self::kept::Kept;
use self::takeover::take_over;
use crate::edges::clock::Clock;
use crate::edges::log;
use crate::edges::stop::{SLICE, Stop};
use crate::edges::systemd as notify;
use crate::mail::counts::Metrics;
use crate::mail::ends::{Ask, Next, Source};
use crate::mail::error::{Error, Kind};
use crate::mail::model::{Batch, Cause, Message, Outcome, Scope, Settlement};
use crate::mail::policy;
use crate::mail::wire;
use crate::mail::wire::{Bad, Record};
use crate::pipe::undelivered::Undelivered;
use crate::queue::settle::Settling;
use std::collections::VecDeque;
use std::fs::File;
use std::time::{Duration, Instant};

/// So many messages that will not be sent are kept at once: a writer that does not end must not fill
/// the memory.
const TOGETHER: usize = 500;

/// The number of a record, and that of a message in it, both from 1.
type Place = (u64, usize);

/// Messages that will be sent, and what is bad, with the number of its record.
type Sorted = (Vec<(Place, Message)>, Vec<(u64, Bad)>);

/// A message that was read and is not settled.
struct Held {
    message: Message,
    attempts: u32,
    due: Instant,
    /// When its lease runs out and it is not ours any more.
    lapses: Option<Instant>,
}

/// Messages read from a file, normally standard input.
pub struct StdinSource {
    acknowledge: Acknowledge,
    known: Box<dyn Fn(u16) -> bool>,
    metrics: Metrics,
    input: Input,
    kept: Kept,
    settling: Settling,
    stop: Stop,
    clock: Clock,
    waiting: VecDeque<Held>,
    /// Attempts of the messages of the batch that is under way, in its order.
    under_way: Vec<u32>,
    bad: u64,
}

impl StdinSource {
    /// Reads from `input`.
    pub fn new(
        settings: Settings,
        input: File,
        undelivered: Undelivered,
        stop: Stop,
        clock: Clock,
    ) -> StdinSource {
        let Settings { reader, max_attempts, acknowledge, known, metrics, alone } = settings;
        StdinSource {
            acknowledge,
            known,
            metrics,
            input: Input::new(input, alone, reader, stop.clone(), clock),
            kept: Kept::new(undelivered),
            settling: Settling::new(max_attempts, clock),
            stop,
            clock,
            waiting: VecDeque::new(),
            under_way: Vec::new(),
            bad: 0,
        }
    }

    /// Sorts records into what will be sent and what is bad.
    fn take(&mut self, records: Vec<Record>) -> Result<(), Error> {
        let (mut placed, mut bad) = (Vec::new(), Vec::new());
        for Record { number, good, bad: refused } in records {
            let taken: Vec<usize> = refused.iter().filter_map(|bad| bad.message).collect();
            let places = (1..).filter(|place| !taken.contains(place));
            placed.extend(places.map(|place| (number, place)).zip(good));
            bad.extend(refused.into_iter().map(|bad| (number, bad)));
        }
        let due = (self.clock.now)();
        let mut lapses = None;
        let sorted = match &mut self.acknowledge {
            Acknowledge::Database(link, lease_for) => {
                lapses = Some(due + *lease_for);
                take_over(link, *lease_for, placed)
            }
            Acknowledge::Here => Ok(with_template(placed, &self.known)),
        };
        let ((good, refused), ended) = match sorted {
            Ok(sorted) => (sorted, Ok(())),
            Err(error) => (Default::default(), Err(error)),
        };
        bad.extend(refused);
        bad.sort_by_key(|(record, bad)| (*record, bad.message));
        self.waiting.extend(good.into_iter().map(|(_, message)| {
            let attempts = message.ticket.as_ref().map_or(0, |ticket| ticket.attempts);
            Held { message, attempts, due, lapses }
        }));
        self.report_bad(&bad);
        ended
    }

    fn report_bad(&mut self, bad: &[(u64, Bad)]) {
        let raw: Vec<&[u8]> =
            bad.iter().map(|(_, bad)| bad.raw.as_slice()).filter(|raw| !raw.is_empty()).collect();
        let kept = self.keep(&raw.concat(), raw.len());
        for (record, Bad { message, why, raw }) in bad {
            self.bad += 1;
            self.metrics.count(|numbers| numbers.bad_input += 1);
            let message = message.map(|place| format!(", message {place}")).unwrap_or_default();
            let kept = if raw.is_empty() { String::new() } else { format!("; {kept}") };
            let place = format_args!("{} {record}{message}", self.input.counts());
            log::error("SEND", format_args!("bad input: {place}: {why}{kept}"));
        }
    }

    /// Keeps so many records, if there are any: one write, for each waits for the disk, and the
    /// process may have to end soon. Gives where they are, for the log.
    fn keep(&mut self, records: &[u8], count: usize) -> String {
        match count {
            0 => String::new(),
            _ => self.kept.keep(records, count, (self.clock.now)()),
        }
    }

    /// Takes what is due, and not held, from what waits.
    fn due(&mut self, ask: &Ask, now: Instant) -> Batch {
        let mut batch = Batch::default();
        self.under_way.clear();
        let mut rest = VecDeque::with_capacity(self.waiting.len());
        // What lapsed while we waited is claimed again, and may be sent by somebody else.
        let before = self.waiting.len();
        self.waiting.retain(|held| held.lapses.is_none_or(|at| now < at));
        let lapsed = before - self.waiting.len();
        if lapsed > 0 {
            let what = "deliveries whose leases ran out before they could be sent";
            log::warn("SEND", format_args!("{what}: {lapsed}; they will be claimed again"));
        }
        for held in self.waiting.drain(..) {
            let due = held.due <= now && !ask.held.contains(&held.message.action);
            if due && batch.messages.len() < ask.limit {
                self.under_way.push(held.attempts);
                batch.messages.push(held.message);
            } else {
                rest.push_back(held);
            }
        }
        self.waiting = rest;
        batch
    }

    /// Takes what is in the pipe and will not be sent any more: nobody else has it.
    fn empty_the_pipe(&mut self) -> Result<(), Error> {
        let start = (self.clock.now)();
        while self.stop.requested() && !self.kept.is_full() && (self.clock.now)() < start + SLICE {
            match self.input.read(None, 1)? {
                Read::Records(records) => self.take(records)?,
                Read::Nothing | Read::End => break,
            }
            if self.waiting.len() >= TOGETHER {
                self.give_up_all();
            }
        }
        Ok(())
    }

    /// Keeps what waits.
    fn give_up_all(&mut self) {
        let why = match self.stop.requested() {
            true => "the process was asked to stop",
            false => "the process could not go on",
        };
        let waiting = self.waiting.drain(..).map(|held| (held.message, why.to_owned()));
        self.kept.give_up(waiting.collect(), (self.clock.now)());
    }

    /// Puts back, with a database, what waits here and cannot be sent now: it must not stand in
    /// the way of others, nor outlast its lease.
    fn put_back(
        &mut self,
        which: impl Fn(&Message) -> bool,
        delay: Duration,
        cause: Cause,
        why: &str,
    ) -> Result<(), Error> {
        let Acknowledge::Database(link, _) = &mut self.acknowledge else { return Ok(()) };
        let (back, kept): (VecDeque<_>, VecDeque<_>) =
            self.waiting.drain(..).partition(|held| which(&held.message));
        self.waiting = kept;
        let again = || Settlement::Again { delay, cause, why: why.to_owned(), counts: false };
        let back: Vec<_> = back
            .into_iter()
            .filter_map(|held| held.message.ticket.map(|ticket| (ticket, again())))
            .collect();
        if !back.is_empty() {
            self.settling.write(link, "putting back", back)?;
        }
        Ok(())
    }
}

/// Sorts messages, each with its place, into those whose action has a template and those that are
/// bad.
fn with_template(mut placed: Vec<(Place, Message)>, known: impl Fn(u16) -> bool) -> Sorted {
    let bad = placed.extract_if(.., |(_, message)| !known(message.action));
    let bad = bad.map(|((record, place), message)| {
        let why = format!("there is no template for action {}", message.action);
        (record, Bad { message: Some(place), why, raw: encode(message) })
    });
    let bad = bad.collect();
    (placed, bad)
}

fn encode(message: Message) -> Vec<u8> {
    let mut raw = Vec::new();
    wire::encode(&Batch { messages: vec![message] }, &mut raw);
    raw
}

impl Source for StdinSource {
    fn next(&mut self, ask: &Ask) -> Result<Next, Error> {
        loop {
            let now = (self.clock.now)();
            self.kept.retry(now);
            if let Acknowledge::Database(link, _) = &mut self.acknowledge {
                self.settling.retry(link)?;
            }
            // The pump writes the numbers.
            let wakes = [ask.until, self.metrics.due(), self.kept.due(), self.settling.due()];
            let wake = wakes.into_iter().flatten().min();
            if !self.waiting.is_empty() {
                if let Some(until) = ask.until.filter(|_| !ask.held.is_empty()) {
                    let delay = until.saturating_duration_since(now);
                    let held = |message: &Message| ask.held.contains(&message.action);
                    self.put_back(held, delay, Cause::Template, "its action is held")?;
                }
                let batch = self.due(ask, now);
                if !batch.messages.is_empty() {
                    return Ok(Next::Batch(batch));
                }
                if self.waiting.is_empty() {
                    continue;
                }
                if self.stop.requested() {
                    return Ok(Next::End);
                }
                if wake.is_some_and(|wake| wake <= now) {
                    return Ok(Next::Idle);
                }
                let next = self.waiting.iter().map(|held| held.due.max(now)).min();
                let next = next.filter(|&next| next > now).unwrap_or(now + SLICE);
                let end = wake.map_or(next, |wake| wake.min(next));
                notify::progress(now);
                self.stop.sleep(notify::before(end, now).saturating_duration_since(now));
                continue;
            }
            if self.kept.is_full() {
                if self.stop.requested() {
                    return Ok(Next::End);
                }
                // The pipe fills, and the writer waits.
                let end = notify::before(wake.unwrap_or(now + SLICE), now);
                notify::progress(now);
                self.stop.sleep(end.saturating_duration_since(now));
                return Ok(Next::Idle);
            }
            match self.input.read(wake, ask.limit)? {
                Read::Records(records) => {
                    self.take(records)?;
                    if self.waiting.is_empty() && self.stop.requested() {
                        return Ok(Next::Idle);
                    }
                }
                Read::Nothing => return Ok(Next::Idle),
                Read::End => return Ok(Next::End),
            }
        }
    }

    fn idle(&mut self, until: Instant) -> Result<bool, Error> {
        if let Acknowledge::Database(link, _) = &mut self.acknowledge {
            self.settling.retry(link)?;
        }
        let now = (self.clock.now)();
        let until = self.settling.due().map_or(until, |due| due.min(until));
        let left = notify::before(until, now).saturating_duration_since(now);
        if self.stop.requested() {
            std::thread::sleep(left.min(Duration::from_secs(1)));
        } else {
            self.stop.sleep(left);
        }
        Ok(true)
    }

    fn settle(
        &mut self,
        batch: Batch,
        outcomes: Vec<Outcome>,
        probe: Duration,
    ) -> Result<(), Error> {
        let attempts = std::mem::take(&mut self.under_way);
        let mut settled = Vec::new();
        let mut undelivered = Vec::new();
        let holds = outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Refused(refusal) => policy::held(refusal.cause, 0)
                .is_some_and(|scope| scope == Scope::All)
                .then_some(refusal.cause),
            Outcome::Accepted { .. } => None,
        });
        for ((message, outcome), attempts) in batch.messages.into_iter().zip(outcomes).zip(attempts)
        {
            let settlement = self.settling.of(outcome, attempts, probe);
            if let Some(ticket) = message.ticket {
                settled.push((ticket, settlement));
                continue;
            }
            match settlement {
                Settlement::Sent { .. } => {}
                Settlement::Failed { why, .. } => {
                    self.metrics.count(|numbers| numbers.failed.add(&why));
                    undelivered.push((message, why));
                }
                Settlement::Again { delay, counts, .. } => {
                    let attempts = attempts + u32::from(counts);
                    let due = (self.clock.now)() + delay;
                    self.waiting.push_back(Held { message, attempts, due, lapses: None });
                }
            }
        }
        if let Acknowledge::Database(link, _) = &mut self.acknowledge
            && !settled.is_empty()
        {
            self.settling.write(link, "settling", settled)?;
        }
        self.kept.give_up(undelivered, (self.clock.now)());
        match holds {
            Some(cause) => self.put_back(|_| true, probe, cause, "everything is held"),
            None => Ok(()),
        }
    }

    fn sent_by_slot(&mut self) -> Result<Option<Vec<u64>>, Error> {
        match &mut self.acknowledge {
            Acknowledge::Here => Ok(None),
            Acknowledge::Database(link, _) => {
                link.run("counting what was sent", |statements, client| statements.sent(client))
            }
        }
    }

    fn close(&mut self) -> Result<(), Error> {
        let emptied = match self.acknowledge {
            Acknowledge::Here => self.empty_the_pipe(),
            Acknowledge::Database(..) => Ok(()),
        };
        if let (Acknowledge::Here, Some(last)) = (&self.acknowledge, self.input.left()) {
            let counts = self.input.counts();
            log::warn(
                "SEND",
                format_args!(
                    "asked to stop before the end of the input, after {counts} {last}; the rest \
                     is in its file alone"
                ),
            );
        }
        let unread = matches!(self.acknowledge, Acknowledge::Here) && self.input.holds_more();
        self.input.close();
        let released = self.put_back(
            |_| true,
            Duration::ZERO,
            Cause::Stopped,
            "released: the sender was stopped",
        );
        let settled = match &mut self.acknowledge {
            Acknowledge::Database(link, _) => self.settling.close(link),
            Acknowledge::Here => Ok(()),
        };
        self.give_up_all();
        let kept = self.kept.close((self.clock.now)());
        emptied.and(released).and(settled).and(kept)?;
        if unread {
            return Err(Error::new(
                Kind::Io,
                "asked to stop while the input went on: what its writer had handed over beyond the \
                 last record is lost",
            ));
        }
        if self.bad > 0 {
            let kept = self.kept.place().map(|path| format!("; see {path}")).unwrap_or_default();
            let bad = format!("bad records or messages in the input: {}{kept}", self.bad);
            return Err(Error::new(Kind::Data, bad));
        }
        Ok(())
    }
}
