//! The queue in the database as a source: it does what the batcher decides, and reports what
//! came of it.
//!
//! Out of scope: when to look, claim and wait (`mail/batcher.rs`), the statements (`queue/store.rs`),
//! reconnecting (`queue/link.rs`).

pub mod settings;
mod signing;
mod upkeep;

use crate::edges::log;
use crate::mail::batcher::{Action, Batcher, Event, Search};
use crate::mail::ends::{Ask, Next, Source};
use crate::mail::error::Error;
use crate::mail::model::{Batch, Message, Outcome};
use crate::mail::sleep::Stage;
use crate::mail::token::SigningKey;
use crate::queue::link::Link;
use crate::queue::settle::Settling;
use crate::queue::source::settings::Settings;
use crate::queue::source::signing::sign;
use crate::queue::source::upkeep::{Upkeep, report_expired};
use crate::queue::store::values::{DATA, Levels, Turn, Want, new_lease};
use std::time::{Duration, Instant};

/// Due rows that a claim looks at once ineligible ones were met, to get past them quickly.
const WIDE_LOOK: usize = 1000;

/// The longest wait, such as one for the rate, that a batch in hand outlasts.
const SHORT: Duration = Duration::from_secs(1);

/// While it is awake, a look begins at the watermark so often; those between pass over less.
const DEEP_EVERY: Duration = Duration::from_millis(100);

/// How long what is held waits if nobody knows better.
const HELD_FOR: Duration = Duration::from_secs(30);

/// Messages claimed from the database.
pub struct QueueSource {
    settings: Settings,
    link: Link,
    key: SigningKey,
    batcher: Batcher,
    upkeep: Upkeep,
    settling: Settling,
    /// Where looks and claims begin.
    watermark: Levels,
    /// When the next look begins at the watermark, not where the last claim ended.
    deep_at: Instant,
    /// The last claim met ineligible rows.
    met_ineligible: bool,
    /// The last one asked for nothing that is of a list.
    urgent: bool,
    /// There was a connection before this one.
    was_connected: bool,
    /// When the last batch was claimed.
    claimed_at: Instant,
    /// What was claimed while the last call was under way, and until when it may be given out.
    in_hand: Option<(Batch, Instant)>,
}

impl QueueSource {
    /// A source that connects when it is first asked.
    pub fn new(settings: Settings, link: Link, key: SigningKey) -> QueueSource {
        let now = (link.clock.now)();
        QueueSource {
            batcher: Batcher::new(settings.timeout),
            upkeep: Upkeep::new(settings, now),
            settling: Settling::new(settings.max_attempts, link.clock),
            watermark: Levels::default(),
            deep_at: now,
            met_ineligible: false,
            urgent: false,
            was_connected: false,
            claimed_at: now,
            in_hand: None,
            settings,
            link,
            key,
        }
    }

    fn now(&self) -> Instant {
        (self.link.clock.now)()
    }

    fn report(&mut self, event: Event) -> Action {
        self.batcher.step(event, self.now())
    }

    /// Does what is not about batches and due; gives `false` if the process must end.
    fn keep_up(&mut self) -> Result<bool, Error> {
        if self.link.stop.requested() || !self.link.connect()? {
            return Ok(false);
        }
        if self.upkeep.due() <= self.now() {
            self.write_down()?;
        }
        if self.upkeep.run(&mut self.link, &self.settling.unwritten())? {
            self.report(Event::Swept);
        }
        self.settling.retry(&mut self.link)?;
        Ok(true)
    }

    /// Puts back what others left lying.
    fn rescue(&mut self) -> Result<(), Error> {
        self.upkeep.rescue(&mut self.link, &self.settling.unwritten(), false)
    }

    /// On a new connection: puts back what others left lying, on the first one also what is held.
    fn catch_up(&mut self) -> Result<(), Error> {
        self.write_down()?;
        let first = !std::mem::replace(&mut self.was_connected, true);
        self.upkeep.rescue(&mut self.link, &self.settling.unwritten(), first)?;
        self.report(Event::Connected(self.link.poll));
        Ok(())
    }

    /// Looks at what waits; if that is little, an issue of a list goes on.
    fn look(&mut self, ask: &Ask) -> Result<Event, Error> {
        let (begun, limit, watermark) = (self.now(), ask.limit, &mut self.watermark);
        if self.batcher.stage() != Stage::Awake || begun >= self.deep_at {
            self.deep_at = begun + DEEP_EVERY;
            (watermark.reached, watermark.claimed) = (watermark.floors.clone(), false);
        }
        let found = self.link.run("looking", |statements, client| {
            statements.look(client, limit, watermark, ask.urgent)
        })?;
        let Some(found) = found else { return Ok(Event::Time) };
        self.upkeep.answered(&self.link);
        if self.batcher.is_new() {
            log::info("PG", "connected");
        }
        match (&found.paused, self.batcher.is_paused()) {
            (Some(reason), false) => {
                let why = if reason.is_empty() { "" } else { ": " };
                log::warn("PG", format_args!("queue paused{why}{reason}; nothing is claimed"));
            }
            (None, true) => log::info("PG", "queue resumed"),
            _ => {}
        }
        if found.due == 0 {
            self.upkeep.lull(&mut self.link);
        }
        let few = found.due < ask.limit && !ask.urgent;
        let issue = found.issue && few && self.settings.carries != "csv";
        let event = Event::Looked(begun, found);
        if !issue {
            return Ok(event);
        }
        self.report(event);
        // Part of the day is kept for mails that nobody can plan.
        let share = ask.daily.map(|daily| daily * u64::from(self.settings.bulk_share) / 100);
        let enqueued =
            self.link.run("enqueueing", |statements, client| statements.enqueue(client, share))?;
        Ok(if enqueued == Some(true) { Event::Changed } else { Event::Time })
    }

    fn find_watermark(&mut self, back: Option<Duration>) -> Result<Event, Error> {
        let (begun, known) = (self.now(), &self.watermark);
        let found = self.link.run("finding watermarks", |statements, client| {
            statements.levels(client, back, known)
        })?;
        let Some((levels, due, lapse)) = found else { return Ok(Event::Time) };
        self.watermark = levels;
        Ok(Event::WatermarkFound(Search { begun, back, due, lapse }))
    }

    /// Says that we sleep: whoever inserts notifies us from now on.
    fn sleep(&mut self) -> Event {
        let again = self.batcher.stage() == Stage::Restless;
        let clear =
            self.link.ask("falling asleep", |statements, client| statements.sleep(client, again));
        // What was heard so far is found by the look that follows.
        self.link.wait(self.now());
        Event::Slept(clear.flatten())
    }

    /// Says that we are awake: nobody needs to notify us. (If it cannot be said, they do.)
    fn wake(&mut self) -> Event {
        self.link.ask("waking up", |statements, client| statements.awake(client));
        Event::Woken
    }

    /// Claims deliveries if at least `least` can be had, and writes down with that what became of the
    /// last ones; asks again as long as only ineligible rows are met. `None`: the process must end, or it
    /// was to be tried `once` alone.
    fn claim(&mut self, ask: &Ask, least: usize, once: bool) -> Result<Option<Turn>, Error> {
        let lease = new_lease(self.settings.holder);
        let held_for = ask.until.map_or(HELD_FOR, |until| {
            until.saturating_duration_since(self.now()).max(Duration::from_secs(1))
        });
        loop {
            let want = Want {
                limit: ask.limit,
                least,
                look: if self.met_ineligible { WIDE_LOOK.max(ask.limit) } else { ask.limit },
                lease: &lease,
                lease_for: self.settings.lease,
                held: &ask.held,
                held_for,
                daily: self.settings.daily_limit,
                priorities: self.watermark.priorities.as_deref(),
                reached: self.watermark.reached.as_deref(),
                before: self.watermark.lists.filter(|_| ask.urgent),
                carries: self.settings.carries,
                once,
            };
            let Some(claimed) = self.settling.claim(&mut self.link, want)? else {
                return Ok(None);
            };
            self.upkeep.answered(&self.link);
            report_expired(&self.link, claimed.expired);
            if !once && (claimed.expired > 0 || !claimed.written.is_empty()) {
                self.upkeep.prune_at_once(&mut self.link);
            }
            if claimed.full {
                // A lease that ran out counts as sent as long as it is not put back.
                self.rescue()?;
                return Ok(Some(claimed));
            }
            self.met_ineligible = claimed.passed > 0;
            if !claimed.claims.is_empty() || !self.met_ineligible || self.link.stop.requested() {
                return Ok(Some(claimed));
            }
            if once {
                return Ok(None);
            }
        }
    }

    /// Claims and signs a batch; `None`: there is none.
    fn take(
        &mut self,
        ask: &Ask,
        least: usize,
        catching_up: bool,
        once: bool,
    ) -> Result<Option<Next>, Error> {
        let claimed = self.claim(ask, least, once)?;
        let Some(Turn { claims, full, reached, .. }) = claimed else { return Ok(None) };
        if !claims.is_empty() {
            (self.watermark.reached, self.watermark.claimed) = (reached, true);
        }
        if full {
            return Ok(Some(Next::Full));
        }
        let data = claims.iter().filter_map(|claim| claim.data.as_deref());
        // A batch is full of mails, or of their data.
        let is_full = data.map(str::len).sum::<usize>() >= DATA;
        let taken = if is_full { ask.limit } else { claims.len() };
        self.report(Event::Claimed { least, taken });
        self.upkeep.handed_out(claims.iter().map(|claim| claim.ticket.delivery));
        let (batch, failed) = sign(&self.key, claims);
        for (ticket, outcome) in failed {
            self.settling.settle(ticket, outcome, Duration::ZERO);
        }
        let count = batch.messages.len();
        if count == 0 {
            return Ok(None);
        }
        let why = match catching_up {
            _ if least == ask.limit || taken == ask.limit => "max reached",
            true => "catching up",
            false => "timeout",
        };
        log::info("PG", format_args!("processing {count} rows... ({why})"));
        self.claimed_at = self.now();
        Ok(Some(Next::Batch(batch)))
    }

    /// Puts back what is in hand.
    fn put_back(&mut self) -> Result<(), Error> {
        let first = self.in_hand.take().and_then(|(batch, _)| batch.messages.into_iter().next());
        if let Some(ticket) = first.and_then(|message| message.ticket) {
            self.link.run("putting back", |statements, client| {
                statements.rescue(client, false, &[], &ticket.lease)
            })?;
            self.report(Event::Changed);
        }
        Ok(())
    }

    /// Waits for the earliest of: notification, `until`, upkeep, what the pump wants.
    fn wait(&mut self, ask: &Ask, until: Option<Instant>) -> Event {
        let ends = [until, ask.until, self.settling.due()];
        let end = ends.into_iter().flatten().fold(self.upkeep.due(), Instant::min);
        let heard = if end > self.now() { self.link.wait(end) } else { 0 };
        if heard == 0 {
            return if self.link.has_missed() { Event::Changed } else { Event::Time };
        }
        if self.batcher.is_idle() {
            log::info("PG", "NOTIFY called; waking up");
        }
        Event::Notified(heard)
    }

    /// Writes down what became of the last batch, which a claim would have done.
    fn write_down(&mut self) -> Result<(), Error> {
        if self.settling.write(&mut self.link)? {
            self.upkeep.prune_at_once(&mut self.link);
        }
        Ok(())
    }
}

impl Source for QueueSource {
    fn next(&mut self, ask: &Ask) -> Result<Next, Error> {
        self.report(Event::Asked(ask.limit));
        if std::mem::replace(&mut self.urgent, ask.urgent) != ask.urgent {
            // The last look was at something else.
            self.report(Event::Changed);
        }
        while self.keep_up()? {
            // A lock belongs to one connection, and what it says to the batcher of that one.
            while self.link.is_fresh() {
                self.catch_up()?;
            }
            let now = self.now();
            let may = !ask.urgent && ask.held.is_empty();
            let fits = |(batch, until): &mut (Batch, Instant)| {
                may && now < *until && batch.messages.len() <= ask.limit
            };
            if let Some((batch, _)) = self.in_hand.take_if(fits) {
                return Ok(Next::Batch(batch));
            }
            self.put_back()?;
            let action = self.report(Event::Time);
            if !matches!(action, Action::Claim { .. }) {
                self.write_down()?;
            }
            let event = match action {
                Action::Look => self.look(ask)?,
                Action::FindWatermark(back) => self.find_watermark(back)?,
                Action::Rescue => {
                    self.rescue()?;
                    Event::Rescued
                }
                Action::Claim { least, catching_up } => {
                    let taken = self.take(ask, least, catching_up, false)?;
                    let Some(next) = taken else { continue };
                    return Ok(next);
                }
                Action::Sleep => self.sleep(),
                Action::Wake => self.wake(),
                Action::Rest(until) => {
                    self.link.stop.sleep(until.saturating_duration_since(self.now()));
                    Event::Time
                }
                Action::Wait(_) if ask.until.is_some_and(|until| until <= self.now()) => {
                    return Ok(Next::Idle);
                }
                Action::Wait(until) => self.wait(ask, until),
            };
            self.report(event);
        }
        Ok(Next::End)
    }

    fn ahead(&mut self, ask: &Ask, took: Duration) {
        // Under a limit of the day claims are made one after the other.
        let may = self.settings.daily_limit.is_none() && !self.link.stop.requested();
        if !may || self.urgent || took >= self.settings.spare {
            return;
        }
        let until = self.now() + self.settings.spare;
        self.report(Event::Asked(ask.limit));
        let Action::Claim { least, catching_up } = self.report(Event::Time) else { return };
        if let Ok(Some(Next::Batch(batch))) = self.take(ask, least, catching_up, true) {
            self.in_hand = Some((batch, until));
        }
    }

    fn sorts(&self) -> bool {
        true
    }

    fn idle(&mut self, until: Instant) -> Result<bool, Error> {
        if until > self.now() + SHORT {
            self.put_back()?;
        }
        self.write_down()?;
        while self.now() < until && self.keep_up()? {
            let end = self.settling.due().map_or(until, |due| due.min(until));
            let heard = self.link.wait(end.min(self.upkeep.due()));
            if self.report(Event::Notified(heard)) == Action::Wake {
                let event = self.wake();
                self.report(event);
            }
            // Whatever was heard meanwhile is found by the look afterwards.
            self.report(Event::Changed);
        }
        Ok(!self.link.stop.requested())
    }

    fn settle(&mut self, done: Vec<(Message, Outcome)>, probe: Duration) -> Result<(), Error> {
        // Who takes the batches may not have done so for hours.
        let unread = self.now().saturating_duration_since(self.claimed_at);
        if unread > self.settings.healthcheck && !self.link.stop.requested() {
            self.link.drop_unread(unread);
        }
        // The next try of one of them may be the next thing that is due.
        if !done.iter().all(|(_, outcome)| outcome.is_accepted()) {
            self.report(Event::Changed);
        }
        for (message, outcome) in done {
            let Some(ticket) = message.ticket else { continue };
            // Nobody settles an event but us: `send` takes mails alone.
            let is_event = message.email.is_empty();
            if self.settings.settles || is_event || !outcome.is_accepted() {
                self.settling.settle(ticket, outcome, probe);
            }
        }
        Ok(())
    }

    fn left(&mut self, daily: u64) -> Result<Option<u64>, Error> {
        self.write_down()?;
        self.link.run("counting what was sent", |statements, client| {
            statements.room(client, daily).map(|(_, left)| left)
        })
    }

    fn close(&mut self) -> Result<(), Error> {
        self.settling.close(&mut self.link)?;
        self.put_back()?;
        self.upkeep.record(&mut self.link);
        Ok(())
    }
}
