//! The queue in the database as a source: when to claim, what to sign, how to settle.
//!
//! In scope: the batching rule, leases, maintenance between batches. Out of scope: the
//! statements (`db/queue.rs`), reconnecting (`link.rs`), retry policy (`verdict.rs`). What keeps the
//! table in order is in `queue/upkeep.rs`, claims in `queue/claiming.rs`, where they begin in
//! `queue/survey.rs`, what makes messages of them in `queue/signing.rs`.

mod claiming;
mod settings;
mod signing;
mod survey;
mod upkeep;

pub use settings::{OnAccept, Retention, Settings};

use crate::edges::clock::Clock;
use crate::edges::log;
use crate::edges::stop::Stop;
use crate::mail::ends::{Ask, Next, Source};
use crate::mail::error::Error;
use crate::mail::model::{Batch, Outcome, Settlement, Ticket};
use crate::mail::token::SigningKey;
use crate::mail::window::Window;
use crate::queue::link::Link;
use crate::queue::settle::Settling;
use std::time::{Duration, Instant};
use survey::Survey;

/// After a wake-up that brought nothing, wake-ups are not looked into for so long, doubling with each
/// of them: a flood of notifications is not a flood of queries.
const QUIET_FIRST: Duration = Duration::from_millis(2);
const QUIET: Duration = Duration::from_millis(50);

/// A batch that is not full goes so long before the first of its tokens expires.
const LAST_CALL: Duration = Duration::from_secs(1);

/// Messages claimed from the database.
pub struct QueueSource {
    settings: Settings,
    link: Link,
    key: SigningKey,
    stop: Stop,
    clock: Clock,
    window: Window,
    settling: Settling,
    /// When the last batch was given out.
    given_at: Instant,
    /// Full batches were found; claim without looking first.
    draining: bool,
    /// A full batch went out since the last look.
    drained: bool,
    /// Enough was due for a full batch, but could not be claimed.
    stalled: bool,
    /// What was due when the window ended could not be claimed.
    missed: bool,
    /// Look at what waits before the next wait.
    look: bool,
    /// Where claims and looks begin.
    survey: Survey,
    /// Do not wait for the window: this is the first look on a new connection.
    flush: bool,
    /// The connection is new and its first look has not been made.
    connecting: bool,
    /// Rows to look at in one claim.
    reach: usize,
    /// What the last look counted.
    last_due: usize,
    /// The queue was found paused.
    paused: bool,
    /// Notifications since the last look or full batch: the look to come is because of them.
    heard: usize,
    /// After the last wake-up that brought nothing.
    quiet: Duration,
    quiet_until: Option<Instant>,
    next_due: Option<Instant>,
    next_check: Instant,
    /// When what waits is counted next, if anybody wants to know; not before the other moment.
    count_at: Option<Instant>,
    count_after: Option<Instant>,
    connected_before: bool,
    highest: i64,
    recorded: i64,
    /// A lull before this moment is not for writing it down.
    record_after: Instant,
}

impl QueueSource {
    /// A source that connects when it is first asked.
    pub fn new(settings: Settings, link: Link, key: SigningKey, stop: Stop, clock: Clock) -> Self {
        let now = (clock.now)();
        QueueSource {
            window: Window::new(settings.timeout),
            settling: Settling::new(settings.max_attempts, clock),
            given_at: now,
            next_check: now + settings.healthcheck,
            reach: settings.limit,
            settings,
            link,
            key,
            stop,
            clock,
            draining: false,
            drained: false,
            stalled: false,
            missed: false,
            look: false,
            survey: Survey::new(now),
            flush: false,
            connecting: false,
            last_due: 0,
            paused: false,
            heard: 0,
            quiet: Duration::ZERO,
            quiet_until: None,
            next_due: None,
            count_at: None,
            count_after: None,
            connected_before: false,
            highest: 0,
            recorded: 0,
            record_after: now,
        }
    }

    fn now(&self) -> Instant {
        (self.clock.now)()
    }

    /// Writes settlements into the database, however long that takes.
    fn write_down(&mut self, settled: Vec<(Ticket, Settlement)>) -> Result<(), Error> {
        if self.settling.write(&mut self.link, "settling", settled)? {
            self.prune_at_once();
        }
        Ok(())
    }

    /// Looks at what waits and decides: drain, open the window, or neither.
    fn look(&mut self, ask: &Ask) -> Result<(), Error> {
        let limit = ask.limit;
        let begun = self.now();
        let levels = &self.survey.levels;
        let Some(waiting) = self
            .link
            .run("looking", |statements, client| statements.look(client, limit, levels))?
        else {
            return Ok(());
        };
        self.answered();
        if std::mem::take(&mut self.connecting) {
            log::info("PG", "connected");
        }
        self.survey.looked(waiting.due == 0 && waiting.paused.is_none());
        // What a pause left lying is put back now, and not counted yet.
        self.look = self.heed_pause(waiting.paused.as_deref())?;
        let now = self.now();
        self.next_due = waiting.next.map(|wait| begun + wait);
        let woken = std::mem::take(&mut self.heard) > 0;
        let fruitless = woken && waiting.due == self.last_due && waiting.due < limit;
        let longer = (2 * self.quiet).clamp(QUIET_FIRST, QUIET);
        self.quiet = if fruitless { longer } else { Duration::ZERO };
        self.quiet_until = fruitless.then(|| now + self.quiet);
        self.last_due = waiting.due;
        let soon = now + 4 * QUIET;
        let stalled = std::mem::take(&mut self.stalled);
        // Somebody has locked it, another collector perhaps that is about to take it.
        let locked = stalled || std::mem::take(&mut self.missed);
        if waiting.due == 0 {
            self.window.close();
            self.flush = false;
            if now >= self.record_after {
                self.record();
            }
        } else if waiting.due >= limit && !stalled {
            self.draining = true;
        } else if waiting.due >= limit {
            self.window.open(now);
            self.next_due = Some(self.next_due.map_or(soon, |due| due.min(soon)));
        } else if self.drained {
            self.window.reopen(now, waiting.age);
        } else {
            self.window.open(now);
        }
        let last_call = |left: Duration| (begun + left.saturating_sub(LAST_CALL)).max(soon);
        self.window.bound(locked.then_some(soon), waiting.expires.map(last_call));
        self.drained = false;
        Ok(())
    }

    /// Waits for the earliest of: notification, window end, next due delivery or lapsing lease, survey,
    /// healthcheck, `until`.
    fn wait(&mut self, ask: &Ask) -> Result<(), Error> {
        let now = self.now();
        let settling = self.settling.due();
        let due = [self.next_due, self.survey.lapse, self.survey.at, self.count_at, settling];
        let ends = due.into_iter().chain([self.window.deadline(), ask.until]);
        let end = ends.flatten().fold(self.next_check, Instant::min);
        let heard = if end > now { self.link.wait(end) } else { 0 };
        if heard > 0 {
            let now = self.now();
            if let Some(quiet_until) = self.quiet_until.take().filter(|until| *until > now) {
                self.stop.sleep(quiet_until - now);
            } else if !self.window.is_open() && !self.paused {
                log::info("PG", "NOTIFY called; waking up");
            }
            self.look = true;
            self.heard += heard;
            // If each stands for a row, a batch is full: a claim that finds it is not takes nothing.
            let full = self.last_due + self.heard >= ask.limit;
            self.draining = full && self.quiet.is_zero() && !self.paused;
        }
        let now = self.now();
        if self.next_due.take_if(|due| *due <= now).is_some() {
            self.look = true;
        }
        if self.survey.lapse.take_if(|lapse| *lapse <= now).is_some() {
            self.rescue(false)?;
            self.look = true;
        }
        Ok(())
    }

    fn give(&mut self, batch: Batch, why: &str) -> Next {
        let count = batch.messages.len();
        log::info("PG", format_args!("processing {count} rows... ({why})"));
        self.given_at = self.now();
        Next::Batch(batch)
    }

    /// After a new connection: what happened meanwhile is found by looking.
    fn catch_up(&mut self) -> Result<(), Error> {
        let first = !std::mem::replace(&mut self.connected_before, true);
        self.rescue(false)?;
        if first {
            self.rescue(true)?;
        }
        self.survey.at = Some(self.now());
        (self.flush, self.draining, self.connecting) = (true, false, true);
        Ok(())
    }
}

impl Source for QueueSource {
    fn next(&mut self, ask: &Ask) -> Result<Next, Error> {
        while !self.stop.requested() {
            if !self.link.connect()? {
                break;
            }
            if self.link.is_fresh() {
                self.catch_up()?;
            }
            let now = self.now();
            if now >= self.next_check {
                self.maintain()?;
            }
            self.count();
            self.settling.retry(&mut self.link)?;
            // The first batch of many need not wait for it.
            let idle = !self.draining || self.drained;
            if idle && self.survey.at.is_some_and(|at| at <= self.now()) {
                self.survey()?;
            }
            if self.draining {
                match self.claim(ask, ask.limit)? {
                    Next::Batch(batch) => {
                        (self.drained, self.heard) = (true, 0);
                        return Ok(self.give(batch, "max reached"));
                    }
                    Next::Full => return Ok(Next::Full),
                    Next::Idle | Next::End => {}
                }
                if self.stop.requested() {
                    break;
                }
                (self.draining, self.look, self.stalled) = (false, true, true);
            }
            if self.look {
                self.look(ask)?;
                if self.draining || self.look {
                    continue;
                }
            }
            if self.window.due(now) || self.flush && self.window.is_open() {
                let why = if self.flush { "catching up" } else { "timeout" };
                self.window.close();
                (self.look, self.flush) = (true, false);
                match self.claim(ask, 1)? {
                    Next::Batch(batch) => return Ok(self.give(batch, why)),
                    Next::Full => return Ok(Next::Full),
                    Next::Idle | Next::End => {
                        self.missed = true;
                        continue;
                    }
                }
            }
            if ask.until.is_some_and(|until| until <= now) {
                return Ok(Next::Idle);
            }
            // A connection that was lost on the way here did not hear what came meanwhile.
            if self.link.is_fresh() {
                self.catch_up()?;
                continue;
            }
            self.wait(ask)?;
        }
        Ok(Next::End)
    }

    fn idle(&mut self, until: Instant) -> Result<bool, Error> {
        while !self.stop.requested() && self.now() < until {
            if !self.link.connect()? {
                break;
            }
            if self.now() >= self.next_check {
                self.maintain()?;
            }
            self.count();
            self.settling.retry(&mut self.link)?;
            // Whatever is heard meanwhile is found by the look afterwards.
            self.look = true;
            let ends = [self.count_at, self.settling.due()];
            let end = ends.into_iter().flatten().fold(until, Instant::min);
            self.link.wait(end.min(self.next_check));
        }
        Ok(!self.stop.requested())
    }

    fn settle(
        &mut self,
        batch: Batch,
        outcomes: Vec<Outcome>,
        probe: Duration,
    ) -> Result<(), Error> {
        // Who takes the batches may not have done so for hours.
        let unread = self.now().saturating_duration_since(self.given_at);
        if unread > self.settings.healthcheck && !self.stop.requested() {
            self.link.drop_unread(unread);
        }
        let mut settled = Vec::with_capacity(outcomes.len());
        for (message, outcome) in batch.messages.into_iter().zip(outcomes) {
            let Some(ticket) = message.ticket else { continue };
            if outcome.is_accepted() && self.settings.on_accept == OnAccept::Leave {
                continue;
            }
            let settlement = self.settling.of(outcome, ticket.attempts, probe);
            settled.push((ticket, settlement));
        }
        if settled.iter().any(|(_, settlement)| matches!(settlement, Settlement::Again { .. })) {
            // Their next try may be the next thing that is due.
            self.look = true;
        }
        if settled.is_empty() { Ok(()) } else { self.write_down(settled) }
    }

    fn sent_by_slot(&mut self) -> Result<Option<Vec<u64>>, Error> {
        self.link.run("counting what was sent", |statements, client| statements.sent(client))
    }

    fn close(&mut self) -> Result<(), Error> {
        self.settling.close(&mut self.link)?;
        self.record();
        Ok(())
    }
}
