//! Standard input as a source: reads batches, and keeps what could not be delivered.
//!
//! Without a database, what is to be tried again stays here and nothing more is read meanwhile,
//! so the pipe fills and the writer waits. With one, deliveries are taken over from the collector
//! before they are sent, and settled there.

mod input;

use self::input::{Input, Read};
use super::{Ask, Next, Source, new_lease, report_settled};
use crate::clock::Clock;
use crate::error::{Error, Kind};
use crate::link::Link;
use crate::log;
use crate::metrics::Metrics;
use crate::model::{Batch, HELD, Message, Outcome, Scope, Settlement};
use crate::notify;
use crate::pace;
use crate::stop::{SLICE, Stop};
use crate::token::Parsed;
use crate::undelivered::Undelivered;
use crate::verdict;
use crate::wire::{self, Reader, Record};
use std::collections::VecDeque;
use std::fs::File;
use std::time::{Duration, Instant};

/// Where deliveries are acknowledged.
pub enum Acknowledge {
    /// Nowhere: once it is in the pipe, it is ours.
    Here,
    /// In the database, under leases of this length.
    Database(Box<Link>, Duration),
}

/// How standard input is read.
pub struct Settings {
    /// What reads the text.
    pub reader: Reader,
    /// Tries before a message is given up.
    pub max_attempts: u32,
    /// Where deliveries are acknowledged.
    pub acknowledge: Acknowledge,
    /// What is counted.
    pub metrics: Metrics,
    /// Whether there is a template for an action; without a database a message of any other
    /// action is bad.
    pub known: Box<dyn Fn(u16) -> bool>,
}

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
    max_attempts: u32,
    acknowledge: Acknowledge,
    known: Box<dyn Fn(u16) -> bool>,
    metrics: Metrics,
    input: Input,
    undelivered: Undelivered,
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
        let Settings { reader, max_attempts, acknowledge, known, metrics } = settings;
        StdinSource {
            max_attempts,
            acknowledge,
            known,
            metrics,
            input: Input::new(input, reader, stop.clone(), clock),
            undelivered,
            stop,
            clock,
            waiting: VecDeque::new(),
            under_way: Vec::new(),
            bad: 0,
        }
    }

    /// Sorts records into what will be sent and what is bad.
    fn take(&mut self, records: Vec<Record>) -> Result<(), Error> {
        let mut good = Vec::new();
        for record in records {
            self.sort(record, &mut good)?;
        }
        let due = (self.clock.now)();
        let mut lapses = None;
        if let Acknowledge::Database(_, lease_for) = self.acknowledge {
            lapses = Some(due + lease_for);
            good = self.adopt(good)?;
        }
        self.waiting.extend(good.into_iter().map(|message| {
            let attempts = message.ticket.as_ref().map_or(0, |ticket| ticket.attempts);
            Held { message, attempts, due, lapses }
        }));
        Ok(())
    }

    /// Reports what is bad in a record and adds the rest to `good`.
    fn sort(&mut self, record: Record, good: &mut Vec<Message>) -> Result<(), Error> {
        for bad in &record.bad {
            let place = match bad.message {
                Some(message) => format!("record {}, message {message}", record.number),
                None => format!("record {}", record.number),
            };
            self.report_bad(&place, &bad.why, &bad.raw)?;
        }
        if let Acknowledge::Database(..) = self.acknowledge {
            good.extend(record.good);
            return Ok(());
        }
        let bad: Vec<usize> = record.bad.iter().filter_map(|bad| bad.message).collect();
        let places = (1..).filter(|place| !bad.contains(place));
        for (message, place) in record.good.into_iter().zip(places) {
            if (self.known)(message.action) {
                good.push(message);
                continue;
            }
            let place = format!("record {}, message {place}", record.number);
            let why = format!("there is no template for action {}", message.action);
            self.report_bad(&place, &why, &encode(message))?;
        }
        Ok(())
    }

    fn report_bad(&mut self, place: &str, why: &str, raw: &[u8]) -> Result<(), Error> {
        self.bad += 1;
        self.metrics.bad_input();
        if raw.is_empty() {
            log::error("SES", format_args!("bad input: {place}: {why}"));
            return Ok(());
        }
        let path = self.undelivered.path().display().to_string();
        log::error("SES", format_args!("bad input: {place}: {why}; kept in {path}"));
        self.keep(raw)
    }

    fn keep(&mut self, records: &[u8]) -> Result<(), Error> {
        self.undelivered.append(records).map_err(|error| {
            let path = self.undelivered.path().display();
            Error::io(format_args!("a message could not be delivered, nor kept in {path}"), error)
        })
    }

    /// Takes deliveries over from the collector; leaves out those that are not to be sent now.
    fn adopt(&mut self, messages: Vec<Message>) -> Result<Vec<Message>, Error> {
        let Acknowledge::Database(link, lease_for) = &mut self.acknowledge else {
            return Ok(messages);
        };
        let tokens: Vec<Parsed> =
            messages.iter().filter_map(|message| Parsed::from_text(&message.token).ok()).collect();
        let secrets: Vec<&[u8]> = tokens.iter().map(Parsed::secret).collect();
        let lease = new_lease("send");
        let adopted = link.run("taking over a batch", |statements, client| {
            statements.adopt(client, &secrets, &lease, *lease_for)
        })?;
        let mut adopted = adopted.unwrap_or_default();
        let mut taken = Vec::with_capacity(adopted.len());
        for (mut message, token) in messages.into_iter().zip(&tokens) {
            let found = adopted.iter().position(|(secret, _)| secret == token.secret());
            match found.map(|index| adopted.swap_remove(index)) {
                Some((_, ticket)) => {
                    message.ticket = Some(ticket);
                    taken.push(message);
                }
                None => log::info(
                    "SES",
                    format_args!(
                        "left out {}: its delivery is settled, expired, or somebody else's",
                        log::address(&message.email)
                    ),
                ),
            }
        }
        Ok(taken)
    }

    /// Takes what is due, and not held, from what waits.
    fn due(&mut self, ask: &Ask, now: Instant) -> Batch {
        let mut batch = Batch::default();
        self.under_way.clear();
        let mut rest = VecDeque::with_capacity(self.waiting.len());
        // What lapsed while we waited is claimed again, and may be sent by somebody else.
        self.waiting.retain(|held| held.lapses.is_none_or(|at| now < at));
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
        while self.stop.requested() && (self.clock.now)() < start + SLICE {
            match self.input.read(None, 1)? {
                Read::Records(records) => self.take(records)?,
                Read::Nothing | Read::End => break,
            }
        }
        Ok(())
    }

    /// Keeps what a person must see to, with the reasons: nobody else has it.
    fn give_up(&mut self, messages: Vec<(Message, String)>) -> Result<(), Error> {
        if messages.is_empty() {
            return Ok(());
        }
        let path = self.undelivered.path().display().to_string();
        let mut raw = Vec::new();
        for (message, why) in messages {
            let to = log::address(&message.email);
            log::error("SES", format_args!("not delivered to {to}: {why}; kept in {path}"));
            raw.extend(encode(message));
        }
        // One write: each waits for the disk, and the process may have to end soon.
        self.keep(&raw)
    }

    /// Puts back, with a database, what waits here and cannot be sent now: it must not stand in
    /// the way of others, nor outlast its lease.
    fn put_back(
        &mut self,
        which: impl Fn(&Message) -> bool,
        delay: Duration,
        why: &str,
    ) -> Result<(), Error> {
        let Acknowledge::Database(link, _) = &mut self.acknowledge else { return Ok(()) };
        let (back, kept): (VecDeque<_>, VecDeque<_>) =
            self.waiting.drain(..).partition(|held| which(&held.message));
        self.waiting = kept;
        let again = || Settlement::Again { delay, why: why.to_owned(), counts: false };
        let back: Vec<_> = back
            .into_iter()
            .filter_map(|held| held.message.ticket.map(|ticket| (ticket, again())))
            .collect();
        if !back.is_empty() {
            link.run("putting back", |statements, client| statements.settle(client, &back))?;
        }
        Ok(())
    }
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
            // The pump writes the numbers.
            let wake = ask.until.into_iter().chain(self.metrics.due()).min();
            if !self.waiting.is_empty() {
                if let Some(until) = ask.until.filter(|_| !ask.held.is_empty()) {
                    let delay = until.saturating_duration_since(now);
                    let held = |message: &Message| ask.held.contains(&message.action);
                    self.put_back(held, delay, &format!("{HELD}its action is held"))?;
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
            match self.input.read(wake, ask.limit)? {
                Read::Records(records) => self.take(records)?,
                Read::Nothing => return Ok(Next::Idle),
                Read::End => return Ok(Next::End),
            }
        }
    }

    fn idle(&mut self, until: Instant) -> Result<bool, Error> {
        let now = (self.clock.now)();
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
        let held = |outcome: &Outcome| matches!(outcome, Outcome::Hold { scope: Scope::All, .. });
        let all_held = outcomes.iter().any(held);
        for ((message, outcome), attempts) in batch.messages.into_iter().zip(outcomes).zip(attempts)
        {
            let chance = self.clock.chance;
            let settlement = verdict::settlement(
                outcome,
                attempts,
                self.max_attempts,
                |attempt| pace::backoff(attempt, chance()),
                probe,
            );
            if let Some(ticket) = message.ticket {
                settled.push((ticket, settlement));
                continue;
            }
            match settlement {
                Settlement::Sent { .. } => {}
                Settlement::Failed { why } => {
                    self.metrics.failed(&why);
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
            let written =
                link.run("settling", |statements, client| statements.settle(client, &settled))?;
            report_settled(&settled, written.as_deref(), &self.metrics);
        }
        self.give_up(undelivered)?;
        if all_held {
            self.put_back(|_| true, probe, &format!("{HELD}everything is held"))
        } else {
            Ok(())
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
        if let Acknowledge::Here = self.acknowledge {
            self.empty_the_pipe()?;
        }
        self.put_back(|_| true, Duration::ZERO, "released: the sender was stopped")?;
        let stopped = |held: Held| (held.message, "the process was asked to stop".to_owned());
        let waiting = self.waiting.drain(..).map(stopped).collect();
        self.give_up(waiting)?;
        if self.bad > 0 {
            let path = self.undelivered.path().display();
            return Err(Error::new(
                Kind::Data,
                format!("{} bad records or messages in the input; see {path}", self.bad),
            ));
        }
        Ok(())
    }
}
