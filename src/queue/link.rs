//! A database connection that comes back.
//!
//! In scope: connecting, checking on the first connection that the database is set up, backing
//! off and connecting again, running statements until they succeed or the process must end. Out
//! of scope: what the statements say. <https://www.postgresql.org/docs/current/sql-listen.html>

use crate::edges::clock::Clock;
use crate::edges::log;
use crate::edges::pg::fault::{BALANCED, Fault, POOLED};
use crate::edges::pg::session::Session;
use crate::edges::pg::{Client, StatementError};
use crate::edges::stop::{GRACE, Stop};
use crate::edges::systemd as notify;
use crate::mail::counts::Metrics;
use crate::mail::error::Error;
use crate::queue::fit::{self, Finding, Purpose, Severity};
use crate::queue::store::Statements;
use std::time::{Duration, Instant};

/// The longest a statement of the normal loop may take.
pub const STATEMENT: Duration = Duration::from_secs(20);
/// How often it is looked for what nobody notifies us of.
pub const POLL: Duration = Duration::from_secs(1);
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_CAP: Duration = Duration::from_secs(30);
/// A line on which nothing came for so long is tried,
const PULSE: Duration = Duration::from_secs(8);
/// and given up if there is no answer in this time.
const PULSE_ANSWER: Duration = Duration::from_secs(4);
/// A connection that was lost sooner is not replaced at once.
const SOON: Duration = Duration::from_secs(1);

/// Makes a session; called for every attempt.
pub type Open = Box<dyn FnMut() -> Result<Session, Fault>>;

/// A connection with its prepared statements, made again when it is lost.
pub struct Link {
    open: Open,
    /// The queue, and what is done with it.
    purpose: Purpose,
    /// `host=… port=…`, for the log; no password.
    target: String,
    live: Option<(Session, Statements)>,
    /// The request to stop.
    pub stop: Stop,
    /// Time.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Metrics,
    /// The wait before the next attempt.
    backoff: Duration,
    /// Whether a pooler lends us a process of the server for each transaction, or asks a standby.
    pooled: bool,
    /// How often to look on this connection, if those who insert may not notify it.
    pub poll: Option<Duration>,
    /// Whether a new connection was made and nobody asked yet.
    fresh: bool,
    /// When the last connection was made; `None`: the database was never found sound.
    since: Option<Instant>,
    give_up_at: Option<Instant>,
    /// When something came from the server last.
    heard_at: Option<Instant>,
    /// The highest number of a delivery at the last two pulses, the older one first.
    pulses: [i64; 2],
    /// Whether deliveries came of which a notification may have been lost.
    missed: bool,
}

impl Link {
    /// A link that is not connected yet. It counts connections in `metrics`, and writes the numbers
    /// while it waits.
    pub fn new(
        open: Open,
        purpose: Purpose,
        target: String,
        metrics: Metrics,
        stop: Stop,
        clock: Clock,
    ) -> Link {
        metrics.count(|numbers| numbers.connected = Some(false));
        Link {
            open,
            purpose,
            target,
            live: None,
            stop,
            clock,
            metrics,
            backoff: BACKOFF_FIRST,
            pooled: false,
            poll: None,
            fresh: false,
            since: None,
            give_up_at: None,
            heard_at: None,
            pulses: [0; 2],
            missed: false,
        }
    }

    /// Whether the connection is a new one since this was last asked: what was missed while
    /// there was none must be looked for.
    pub fn is_fresh(&mut self) -> bool {
        std::mem::take(&mut self.fresh)
    }

    /// Whether deliveries have come, since this was last asked, of which a notification may have been
    /// lost.
    pub fn has_missed(&mut self) -> bool {
        std::mem::take(&mut self.missed)
    }

    /// Connects, if that is not done, however long it takes.
    ///
    /// Gives `false` if the process was asked to stop first.
    ///
    /// # Errors
    /// On the first connection: what a person must change before this can work.
    pub fn connect(&mut self) -> Result<bool, Error> {
        while self.live.is_none() {
            if self.must_give_up((self.clock.now)()) {
                return Ok(false);
            }
            let now = (self.clock.now)();
            notify::progress(now);
            notify::status(format_args!("connecting to {}", self.target), now);
            log::info("PG", format_args!("connecting to {}", self.target));
            match self.attempt() {
                Ok(live) => {
                    // A listener says so itself, after its first look at what it missed.
                    if self.purpose.channel.is_none() {
                        log::info("PG", "connected");
                    }
                    self.live = Some(live);
                    self.metrics.count(|numbers| {
                        numbers.connected = Some(true);
                        numbers.reconnects += u64::from(self.since.is_some());
                    });
                    let now = (self.clock.now)();
                    (self.fresh, self.since) = (true, Some(now));
                    notify::ready(now);
                    notify::status(format_args!("connected to {}", self.target), now);
                }
                Err(Fault::Denied(text)) if self.since.is_none() => {
                    return Err(Error::config(text));
                }
                Err(fault) => {
                    let wait = self.next_wait();
                    let state = format_args!("no connection to {}", self.target);
                    notify::status(state, (self.clock.now)());
                    let ms = wait.as_millis();
                    let text = format!("connection failed: {fault}; next try in {ms} ms");
                    log::error("PG", text);
                    self.metrics.tick((self.clock.now)());
                    self.pause(wait);
                }
            }
        }
        Ok(true)
    }

    fn attempt(&mut self) -> Result<(Session, Statements), Fault> {
        let (first, mut session) = (self.since.is_none(), (self.open)()?);
        // Through a pool of transactions all would seem well, but no notification would ever come. A role
        // may be allowed a single connection: then it is not known.
        if first && let Ok(mut other) = (self.open)() {
            self.pooled = session.is_pooled_with(&mut other)?;
        }
        // Whom it asks may change from connection to connection.
        self.pooled |= session.is_balanced();
        if self.pooled {
            // Behind a pooler what is prepared for it must end with a transaction. SERIALIZABLE, so that a
            // pool asks the primary.
            let begin = "BEGIN ISOLATION LEVEL SERIALIZABLE";
            session.call(STATEMENT, |client| client.batch_execute(begin))?;
        } else {
            session.introduce()?;
            // As early as can be: what comes from now on is heard.
            if let Some(channel) = &self.purpose.channel {
                session.listen(channel)?;
            }
        }
        let found = fit::inspect(&mut session, STATEMENT, &self.purpose)?;
        if self.pooled {
            session.call(STATEMENT, |client| client.batch_execute("COMMIT"))?;
        }
        fit::refuse(&found).map_err(Fault::Denied)?;
        let is_never = |one: &Finding| one.subject == "polling" && one.severity != Severity::Good;
        let never = found.iter().any(is_never);
        let poll = self.purpose.poll.or((self.pooled || never).then_some(POLL));
        let before = std::mem::replace(&mut self.poll, poll);
        if let Some(poll) = poll.filter(|_| before.is_none() && self.purpose.channel.is_some()) {
            let why = match never {
                _ if session.is_balanced() => BALANCED,
                _ if self.pooled => POOLED,
                true => "mailroom.notify is never",
                false => "MAILROOM_POLL is set",
            };
            log::info("PG", format_args!("{why}: looking every {} ms", poll.as_millis()));
        }
        for wrong in found.iter().filter(|one| first && one.severity == Severity::Wrong) {
            log::warn("PG", wrong);
        }
        let queue = &self.purpose.queue;
        if self.pooled {
            return Ok((session, Statements::pooled(queue)));
        }
        let mut statements =
            session.call(STATEMENT, |client| Statements::prepare(client, queue))?;
        if self.purpose.channel.is_some() {
            session.call(STATEMENT, |client| statements.announce(client))?;
            // What comes from now on is not in the look that follows.
            self.pulses = [session.call(STATEMENT, |client| statements.pulse(client))?; 2];
        }
        Ok((session, statements))
    }

    /// Runs one statement until it succeeds. Faults that pass are waited out.
    ///
    /// Gives `None` if the process had to give up first.
    ///
    /// # Errors
    /// As [`Link::connect`].
    pub fn run<T>(
        &mut self,
        what: &str,
        mut work: impl FnMut(&mut Statements, &mut Client) -> Result<T, StatementError>,
    ) -> Result<Option<T>, Error> {
        loop {
            if !self.connect()? {
                return Ok(None);
            }
            let Some((session, statements)) = &mut self.live else { continue };
            let begun = (self.clock.now)();
            let done = session.call(STATEMENT, |client| work(statements, client));
            notify::progress((self.clock.now)());
            match done {
                Ok(value) => {
                    self.backoff = BACKOFF_FIRST;
                    self.heard_at = Some((self.clock.now)());
                    return Ok(Some(value));
                }
                Err(fault) if self.failed(what, &fault, begun) => {}
                Err(_) => return Ok(None),
            }
        }
    }

    /// Runs one statement, if there is a connection, and does without the answer if it fails:
    /// what is only good to know does not hold up mail.
    pub fn ask<T>(
        &mut self,
        what: &str,
        work: impl FnOnce(&mut Statements, &mut Client) -> Result<T, StatementError>,
    ) -> Option<T> {
        let (session, statements) = self.live.as_mut()?;
        let done = session.call(STATEMENT, |client| work(statements, client));
        done.map_err(|fault| self.note(what, &fault)).ok()
    }

    /// Waits for notifications until `until`; gives how many came. Returns early when there is
    /// no connection, the process is asked to stop, or numbers are to be written. It does not
    /// connect: whoever does must look at what it missed.
    pub fn wait(&mut self, until: Instant) -> usize {
        self.metrics.tick((self.clock.now)());
        let until = self.metrics.before(until);
        loop {
            let now = (self.clock.now)();
            notify::progress(now);
            let listens = self.purpose.channel.is_some() && !self.pooled;
            let pulse = listens.then(|| *self.heard_at.get_or_insert(now) + PULSE);
            if pulse.is_some_and(|at| at <= now) && !self.pulse() {
                return 0;
            }
            let end = notify::before(pulse.map_or(until, |at| at.min(until)), now);
            let Some((session, _)) = &mut self.live else { return 0 };
            match session.wait(end) {
                Ok(0) if end < until && !self.stop.requested() => {}
                Ok(heard) => {
                    if heard > 0 {
                        self.heard_at = Some((self.clock.now)());
                    }
                    return heard;
                }
                Err(fault) => {
                    self.failed("waiting for notifications", &fault, now);
                    return 0;
                }
            }
        }
    }

    /// Tries a line on which nothing came: what is between may have swallowed a notification, with the
    /// connection or without it. Gives whether there is nothing to do about it.
    fn pulse(&mut self) -> bool {
        let now = (self.clock.now)();
        let Some((session, statements)) = &mut self.live else { return false };
        match session.call(PULSE_ANSWER, |client| statements.pulse(client)) {
            Ok(pulse) => {
                self.heard_at = Some((self.clock.now)());
                // Twice, for the transaction that moved it may not have ended the first time.
                let [before, last] = self.pulses;
                self.pulses = [last, pulse];
                self.missed = before != last || last != pulse;
                !self.missed
            }
            Err(fault) => {
                self.failed("a sign of life", &fault, now);
                false
            }
        }
    }

    /// Drops a connection that nobody has read from for `unread`, without a fault: the next statement
    /// connects again. All notifications that came meanwhile would be taken into memory before the
    /// answer to that statement; a look finds what they tell.
    pub fn drop_unread(&mut self, unread: Duration) {
        if self.live.take().is_some() {
            let seconds = unread.as_secs_f64();
            log::info("PG", format_args!("nothing was read for {seconds:.1} s; connecting anew"));
            self.metrics.count(|numbers| numbers.connected = Some(false));
        }
    }

    /// Deals with a failed statement that began then; gives whether to try again.
    fn failed(&mut self, what: &str, fault: &Fault, begun: Instant) -> bool {
        let now = (self.clock.now)();
        // One that is lost as soon as it is made would be lost again at once.
        let soon = self.since.is_some_and(|since| now < since + SOON);
        if !self.note(what, fault) || soon {
            let wait = self.next_wait();
            self.pause(wait);
        }
        !self.must_give_up(begun)
    }

    /// Says what failed; gives whether the connection is gone with it.
    fn note(&mut self, what: &str, fault: &Fault) -> bool {
        log::warn("PG", format_args!("{what} failed: {fault}"));
        let lost = matches!(fault, Fault::Lost(_));
        if lost {
            self.live = None;
            self.metrics.count(|numbers| numbers.connected = Some(false));
        }
        lost
    }

    /// Whether the process was asked to stop so long ago that what is under way, since `begun`, must
    /// end. A statement that had no answer used up most of the time.
    fn must_give_up(&mut self, begun: Instant) -> bool {
        if !self.stop.requested() {
            return false;
        }
        // With nothing to finish there is nothing to connect for.
        let limit = if self.since.is_some() { GRACE / 2 } else { Duration::ZERO };
        (self.clock.now)() >= *self.give_up_at.get_or_insert(begun + limit)
    }

    fn next_wait(&mut self) -> Duration {
        let wait = self.backoff.mul_f64(0.5 + (self.clock.chance)() / 2.0);
        self.backoff = (self.backoff * 2).min(BACKOFF_CAP);
        wait
    }

    /// Waits between tries; shortly once the process was asked to stop.
    fn pause(&self, wait: Duration) {
        if self.stop.requested() {
            std::thread::sleep(wait.min(Duration::from_secs(1)));
        } else {
            let end = (self.clock.now)() + wait;
            while let now = (self.clock.now)()
                && now < end
                && !self.stop.requested()
            {
                notify::progress(now);
                self.stop.sleep(notify::before(end, now) - now);
            }
        }
    }
}
