//! Standard input as a source: reads batches, and keeps what could not be delivered.
//!
//! In scope: when to read on, what is said of bad input, the end. Out of scope: what becomes of
//! messages (a [`Ledger`]): without a database they wait in memory (`pipe/retry.rs`), with one they
//! are taken over from the collector and settled there (`queue/adopt.rs`).

pub mod input;

use crate::edges::log;
use crate::edges::stop::SLICE;
use crate::edges::systemd as notify;
use crate::mail::counts::Metrics;
use crate::mail::ends::{Ask, Ledger, Next, Place, Source, Taken};
use crate::mail::error::{Error, Kind};
use crate::mail::model::{Batch, Message, Outcome, shown};
use crate::mail::wire::cloudevents::kept;
use crate::mail::wire::{Bad, Record};
use crate::pipe::read::input::Input;
use crate::pipe::undelivered::Undelivered;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So many messages that will not be sent are kept at once: a writer that does not end must not fill
/// the memory.
const TOGETHER: usize = 500;
/// While so many messages wait for another try nothing more is read, and the writer of the pipe waits: they
/// are lost with the process.
const MOST: usize = 50;
/// While nothing goes no more than this is read ahead, so that the first batch is whole.
const AHEAD: usize = 50;

/// Messages read from a pipe or a file.
pub struct PipeSource {
    input: Input,
    /// What was read and the ledger has not taken yet.
    read: VecDeque<(Place, Message)>,
    ledger: Box<dyn Ledger>,
    undelivered: Undelivered,
    metrics: Metrics,
    /// Bad records and messages so far.
    bad: usize,
    /// How long what waits is tried after the end of the input, and since when it is.
    patience: Duration,
    ended: Option<Instant>,
}

impl PipeSource {
    /// Reads `input` into `ledger`; what nobody else has and will not be sent goes to `undelivered`.
    /// What waits is tried for so long after the end of the input: `patience`.
    pub fn new(
        input: Input,
        ledger: Box<dyn Ledger>,
        undelivered: Undelivered,
        patience: Duration,
        metrics: Metrics,
    ) -> PipeSource {
        let (read, bad, ended) = (VecDeque::new(), 0, None);
        PipeSource { input, read, ledger, undelivered, metrics, bad, patience, ended }
    }

    /// Whether more may be read: what would not go soon had better stay in the pipe.
    fn has_room(&self) -> bool {
        self.read.is_empty() && self.ledger.waiting() < MOST && !self.undelivered.is_full()
    }

    /// Gives what may go now, if there is any.
    fn take(&mut self, ask: &Ask) -> Result<Option<Batch>, Error> {
        let Taken { batch, refused } = self.ledger.take(&mut self.read, ask)?;
        let bad = refused.into_iter().map(|((number, place), message, why)| {
            (number, Bad { message: Some(place), why, raw: kept(&message) })
        });
        self.report(bad.collect());
        Ok(Some(batch).filter(|batch| !batch.messages.is_empty()))
    }

    /// When what still waits is given up; `None`: the input has not ended.
    fn deadline(&self) -> Option<Instant> {
        self.ended?.checked_add(self.patience)
    }

    /// Whether nothing more comes of the input, and nothing is waited for. Says once what is.
    fn is_done(&mut self) -> bool {
        if !self.input.has_ended() || !self.read.is_empty() {
            return false;
        }
        let (waiting, now) = (self.ledger.waiting(), (self.input.clock.now)());
        if waiting > 0 && self.ended.is_none() {
            let (seconds, process) = (self.patience.as_secs(), std::process::id());
            let file = self.undelivered.path().display();
            let text = format!(
                "the input is at its end, and messages wait for another try: {waiting}; what is \
                 left after {seconds} s (MAILROOM_END_TIMEOUT), or when process {process} gets \
                 SIGTERM, is kept in {file}"
            );
            log::warn("SEND", text);
        }
        self.ended.get_or_insert(now);
        waiting == 0 || self.deadline().is_some_and(|at| at <= now)
    }

    /// Reads what there is by `until`; gives whether there was anything.
    fn read(&mut self, until: Option<Instant>, limit: usize) -> Result<bool, Error> {
        let records = self.input.read(until, limit)?;
        let is_some = !records.is_empty();
        let mut bad = Vec::new();
        for Record { number, good, bad: others } in records {
            bad.extend(others.into_iter().map(|bad| (number, bad)));
            self.read.extend(good.into_iter().map(|(place, message)| ((number, place), message)));
        }
        self.report(bad);
        Ok(is_some)
    }

    /// Says what is bad, each with the number of its record, and keeps it.
    fn report(&mut self, bad: Vec<(u64, Bad)>) {
        self.bad += bad.len();
        let counts = self.input.counts();
        let kept = bad.into_iter().map(|(number, Bad { message, why, raw })| {
            self.metrics.count(|numbers| numbers.bad_input += 1);
            let message = message.map(|place| format!(", message {place}")).unwrap_or_default();
            let place = format!("{counts} {number}{message}");
            (format!("bad input: {place}: {why}"), raw)
        });
        self.undelivered.keep(kept.collect(), (self.input.clock.now)());
    }

    /// Keeps for a person what was not delivered, with the reasons.
    fn give_up(&mut self, messages: Vec<(Message, String)>) {
        let kept = messages.into_iter().map(|(message, why)| {
            let to = shown(&message.email, log::is_debug());
            (format!("not delivered to {to}: {why}"), kept(&message))
        });
        self.undelivered.keep(kept.collect(), (self.input.clock.now)());
    }

    /// Keeps for a person what waits, and what was read and not taken.
    fn give_up_rest(&mut self, waiting: Vec<Message>) {
        let why = match (self.input.stop.requested(), self.ended) {
            (true, _) => "the process was asked to stop",
            (false, Some(_)) => "the time after the end of the input is over",
            (false, None) => "the process could not go on",
        };
        let rest = waiting.into_iter().chain(self.read.drain(..).map(|(_, message)| message));
        let rest = rest.map(|message| (message, why.to_owned())).collect();
        self.give_up(rest);
    }

    /// Takes what is in the pipe and will not be sent any more: nobody else has it.
    fn empty_the_pipe(&mut self) -> Result<(), Error> {
        let now = self.input.clock.now;
        let end = now() + SLICE;
        while self.input.stop.requested() && !self.undelivered.is_full() && now() < end {
            if !self.read(None, 1)? {
                break;
            }
            if self.read.len() >= TOGETHER {
                self.give_up_rest(Vec::new());
            }
        }
        Ok(())
    }

    /// Waits until then, or for a slice.
    fn pause(&self, until: Option<Instant>) {
        let now = (self.input.clock.now)();
        let left = until.map_or(SLICE, |until| until.saturating_duration_since(now).min(SLICE));
        // A request to stop may wait for so long, and after one this must not turn without a rest.
        std::thread::sleep(left);
    }
}

impl Source for PipeSource {
    fn next(&mut self, ask: &Ask) -> Result<Next, Error> {
        let now = (self.input.clock.now)();
        notify::progress(now);
        if let Some(batch) = self.take(ask)? {
            return Ok(Next::Batch(batch));
        }
        // The pump writes the numbers.
        let dues = [self.metrics.due(), self.undelivered.retry(now), self.ledger.tend()?];
        let wake = dues.into_iter().chain([ask.until, self.deadline()]).flatten().min();
        if self.has_room() && self.read(wake, ask.limit)? {
            return Ok(self.take(ask)?.map_or(Next::Idle, Next::Batch));
        }
        if self.input.stop.requested() && self.read.is_empty() || self.is_done() {
            return Ok(Next::End);
        }
        if self.input.has_ended() || !self.has_room() {
            // Meanwhile the pipe fills, and its writer waits.
            self.pause(wake);
        }
        Ok(Next::Idle)
    }

    fn idle(&mut self, until: Instant) -> Result<bool, Error> {
        self.ledger.tend()?;
        // The end of the input is to be seen while everything is held, too.
        if self.has_room() && !self.input.stop.requested() {
            self.read(Some((self.input.clock.now)()), AHEAD)?;
        }
        if self.is_done() {
            return Ok(false);
        }
        self.pause(self.deadline().map_or(Some(until), |at| Some(at.min(until))));
        Ok(true)
    }

    fn settle(&mut self, done: Vec<(Message, Outcome)>, probe: Duration) -> Result<(), Error> {
        let given_up = self.ledger.settle(done, probe)?;
        for (_, why) in &given_up {
            self.metrics.count(|numbers| numbers.failed.add(why));
        }
        self.give_up(given_up);
        Ok(())
    }

    fn left(&mut self, daily: u64) -> Result<Option<u64>, Error> {
        self.ledger.left(daily)
    }

    fn close(&mut self) -> Result<(), Error> {
        let is_sole = self.ledger.is_sole();
        let emptied = if is_sole { self.empty_the_pipe() } else { Ok(()) };
        if let Some(last) = self.input.left().filter(|_| is_sole) {
            let counts = self.input.counts();
            let text = format!(
                "asked to stop before the end of the input, after {counts} {last}; the rest is in \
                 its file alone"
            );
            log::warn("SEND", text);
        }
        let lost = is_sole && self.input.holds_more();
        self.input.close();
        let closed = self.ledger.close();
        if !is_sole {
            self.read.clear();
        }
        let left = closed.as_ref().map_or(0, Vec::len);
        let closed = closed.map(|waiting| self.give_up_rest(waiting));
        let kept = self.undelivered.close((self.input.clock.now)());
        emptied.and(closed).and(kept)?;
        if lost {
            return Err(Error::new(
                Kind::Io,
                "asked to stop while the input went on: what its writer had handed over beyond the \
                 last record is lost",
            ));
        }
        if left > 0 && !self.input.stop.requested() {
            let file = self.undelivered.path().display();
            let left = format!("messages that waited for another try: {left}; kept in {file}");
            return Err(Error::new(Kind::Temporary, left));
        }
        if self.bad > 0 {
            let place = self.undelivered.place();
            let place = place.map(|path| format!("; see {}", path.display())).unwrap_or_default();
            let bad = format!("bad records or messages in the input: {}{place}", self.bad);
            return Err(Error::new(Kind::Data, bad));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edges::clock::Clock;
    use crate::edges::stop::Stop;
    use crate::mail::kind::Templates;
    use crate::mail::model::Cause;
    use crate::mail::wire::csv::Decoder;
    use crate::pipe::retry::MemoryLedger;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use std::fs::File;
    use std::io::{PipeWriter, Write as _};
    use std::os::fd::OwnedFd;
    use std::time::SystemTime;

    const ALL: Ask = Ask { limit: 50, held: Vec::new(), until: None, daily: None, urgent: false };

    /// A source that reads a pipe and knows action 1, and what it needs.
    struct Piped {
        source: PipeSource,
        writer: PipeWriter,
        stop: Stop,
        dir: tempfile::TempDir,
    }

    fn piped() -> Piped {
        let (reader, writer) = std::io::pipe().unwrap();
        let (file, stop) = (File::from(OwnedFd::from(reader)), Stop::new());
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock { now: Instant::now, wall: SystemTime::now, chance: || 1.0 };
        let undelivered = Undelivered::new(dir.path(), &file, SystemTime::now()).unwrap();
        let decoder = Box::<Decoder>::default();
        let source = PipeSource::new(
            Input::new(file, None, decoder, stop.clone(), clock),
            Box::new(MemoryLedger::new(Templates::parse("1=a").unwrap(), 5, clock)),
            undelivered,
            Duration::MAX,
            Metrics::default(),
        );
        Piped { source, writer, stop, dir }
    }

    /// The fields of a message.
    fn fields(action: u16, login: &str) -> String {
        let token = URL_SAFE_NO_PAD.encode([7; 64]);
        format!("{action},{login}@example.com,{login},{token},")
    }

    fn refuse(batch: Batch, cause: Cause) -> Vec<(Message, Outcome)> {
        let refused = |message| (message, Outcome::refused(cause, "later"));
        batch.messages.into_iter().map(refused).collect()
    }

    impl Piped {
        fn write(&mut self, records: &[&[String]]) {
            for record in records {
                writeln!(self.writer, "{}", record.join(",")).unwrap();
            }
        }

        /// The logins of the batch that is next.
        fn batch(&mut self) -> Vec<String> {
            match self.source.next(&ALL).unwrap() {
                Next::Batch(batch) => batch.messages.into_iter().map(|one| one.login).collect(),
                other => panic!("{other:?}"),
            }
        }

        fn kept(&self) -> String {
            std::fs::read_to_string(self.dir.path().join("undelivered.csv")).unwrap_or_default()
        }
    }

    #[test]
    fn what_is_bad_is_kept_and_the_messages_beside_it_go_on() {
        let mut piped = piped();
        piped.write(&[&[fields(1, "a"), fields(2, "b"), fields(1, "c")], &[fields(2, "d")]]);
        assert_eq!(piped.batch(), ["a", "c"]);
        assert_eq!(piped.kept(), fields(2, "b") + "\n");
        assert_eq!(piped.source.next(&ALL).unwrap(), Next::Idle, "nothing of it goes");
        // The other end of the pipe is dropped.
        piped.writer = std::io::pipe().unwrap().1;
        assert_eq!(piped.source.next(&ALL).unwrap(), Next::End);
        let error = piped.source.close().unwrap_err();
        assert_eq!(error.kind, Kind::Data);
        assert!(error.message.starts_with("bad records or messages in the input: 2; see "));
    }

    #[test]
    fn while_many_messages_wait_for_their_next_try_nothing_more_is_read() {
        let mut piped = piped();
        let record: Vec<String> = (0..49).map(|n| fields(1, &n.to_string())).collect();
        piped.write(&[&record, &[fields(1, "last")], &[fields(1, "unread")]]);
        for count in [49, 1] {
            let Next::Batch(batch) = piped.source.next(&ALL).unwrap() else { panic!("no batch") };
            assert_eq!(batch.messages.len(), count);
            piped.source.settle(refuse(batch, Cause::Busy), Duration::ZERO).unwrap();
        }
        let soon = Ask { until: Some(Instant::now() + Duration::from_millis(10)), ..ALL };
        assert_eq!(piped.source.next(&soon).unwrap(), Next::Idle);
        piped.stop.request();
        assert_eq!(piped.source.next(&ALL).unwrap(), Next::End);
        piped.source.close().unwrap();
        assert_eq!(piped.kept().lines().count(), 51);
    }

    #[test]
    fn what_still_waits_some_time_after_the_end_is_kept_and_is_no_success() {
        for held in [false, true] {
            let mut piped = piped();
            piped.source.patience = Duration::from_millis(20);
            piped.write(&[&[fields(1, "a")]]);
            piped.writer = std::io::pipe().unwrap().1;
            let Next::Batch(batch) = piped.source.next(&ALL).unwrap() else { panic!("no batch") };
            let cause = if held { Cause::Account } else { Cause::Busy };
            piped.source.settle(refuse(batch, cause), Duration::from_secs(600)).unwrap();
            let later = Instant::now() + Duration::from_secs(600);
            match held {
                true => while piped.source.idle(later).unwrap() {},
                false => while piped.source.next(&ALL).unwrap() != Next::End {},
            }
            let error = piped.source.close().unwrap_err();
            assert_eq!(error.kind, Kind::Temporary, "{error}");
            assert_eq!(piped.kept(), fields(1, "a") + "\n");
        }
    }

    #[test]
    fn a_record_that_is_longer_than_a_batch_goes_in_several() {
        let mut piped = piped();
        let record: Vec<String> = (0..70).map(|n| fields(1, &n.to_string())).collect();
        piped.write(&[&record, &[fields(1, "last")]]);
        let mut sent = piped.batch();
        assert_eq!(sent.len(), 50);
        // No retry is due: these wait in the ledger, and nothing is read meanwhile.
        sent.extend(piped.batch());
        assert_eq!(sent.len(), 70);
        assert_eq!(piped.batch(), ["last"]);
    }
}
