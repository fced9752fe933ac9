//! The loop between a source and a transport that are lists in memory, on a clock that only
//! waiting moves: holds, and what becomes of the mails meanwhile.

use mailroom::edges::clock::Clock;
use mailroom::edges::stop::Stop;
use mailroom::mail::counts::Metrics;
use mailroom::mail::ends::Transport;
use mailroom::mail::ends::{Ask, Next, Source};
use mailroom::mail::error::Error;
use mailroom::mail::model::{Batch, Cause, Kind, Message, Outcome, Quota, Settlement, Ticket};
use mailroom::mail::pace::Pace;
use mailroom::mail::policy;
use mailroom::pump::{Progress, Pump};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

thread_local! {
    static START: Instant = Instant::now();
    /// What has passed since.
    static PASSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

fn now() -> Instant {
    START.with(|start| *start) + PASSED.get()
}

fn clock() -> Clock {
    Clock { now, wall: SystemTime::now, chance: || 0.5 }
}

fn seconds() -> u64 {
    PASSED.get().as_secs()
}

/// A delivery, as the table has it.
#[derive(Clone, Debug)]
struct Row {
    action: u16,
    due: Instant,
    attempts: u32,
    sent_at: Option<u64>,
    failed: bool,
}

/// The queue as a list; hands out what is due and not held, and ends at a time.
struct List {
    rows: BTreeMap<i64, Row>,
    ends: Instant,
    /// What was sent before: how many seconds before the start, and how many.
    past: Vec<(u64, u64)>,
    counted: usize,
    /// Messages of the batch that was given out last.
    given: usize,
}

impl List {
    fn new(actions: &[u16], lasts: Duration) -> List {
        let row = |action: &u16| Row {
            action: *action,
            due: now(),
            attempts: 0,
            sent_at: None,
            failed: false,
        };
        let rows = (1..).zip(actions.iter().map(row)).collect();
        List { rows, ends: now() + lasts, past: Vec::new(), counted: 0, given: 0 }
    }

    fn open(&self) -> impl Iterator<Item = (&i64, &Row)> {
        self.rows.iter().filter(|(_, row)| row.sent_at.is_none() && !row.failed)
    }
}

impl Source for List {
    fn next(&mut self, ask: &Ask) -> Result<Next, Error> {
        loop {
            if now() >= self.ends || self.open().next().is_none() {
                return Ok(Next::End);
            }
            let due = self.open().filter(|(_, row)| row.due <= now());
            let due = due
                .filter(|(_, row)| !ask.held.contains(&row.action.to_string().into()))
                .take(ask.limit);
            let message = |(id, row): (&i64, &Row)| Message {
                kind: Kind::numbered(row.action).into(),
                email: format!("user{id}@example.com"),
                ticket: Some(Ticket {
                    delivery: *id,
                    lease: "".into(),
                    attempts: row.attempts,
                    age: None,
                }),
                ..Message::default()
            };
            let messages: Vec<Message> = due.map(message).collect();
            if !messages.is_empty() {
                self.given = messages.len();
                return Ok(Next::Batch(Batch { messages }));
            }
            if ask.until.is_some_and(|until| until <= now()) {
                return Ok(Next::Idle);
            }
            let later = self.open().map(|(_, row)| row.due).filter(|due| *due > now());
            let end = later.chain(ask.until).fold(self.ends, Instant::min);
            PASSED.set(PASSED.get() + end.saturating_duration_since(now()));
        }
    }

    fn idle(&mut self, until: Instant) -> Result<bool, Error> {
        let until = until.min(self.ends);
        PASSED.set(PASSED.get() + until.saturating_duration_since(now()));
        Ok(now() < self.ends)
    }

    fn settle(&mut self, done: Vec<(Message, Outcome)>, probe: Duration) -> Result<(), Error> {
        assert_eq!(done.len(), self.given);
        for (message, outcome) in done {
            let row = self.rows.get_mut(&message.ticket.unwrap().delivery).unwrap();
            let backoff = |attempt| policy::backoff(attempt, 0.5);
            match policy::settlement(outcome, row.attempts, None, 5, backoff, probe) {
                Settlement::Sent { .. } => row.sent_at = Some(seconds()),
                Settlement::Failed { .. } => row.failed = true,
                Settlement::Again { delay, counts, .. } => {
                    row.due = now() + delay;
                    row.attempts += u32::from(counts);
                }
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn left(&mut self, daily: u64) -> Result<Option<u64>, Error> {
        self.counted += 1;
        let ours = self.rows.values().filter_map(|row| Some((seconds() - row.sent_at?, 1)));
        let past = self.past.iter().map(|(age, count)| (age + seconds(), *count));
        let of_today = ours.chain(past).filter(|(age, _)| *age < 24 * 3600);
        Ok(Some(daily.saturating_sub(of_today.map(|(_, count)| count).sum())))
    }
}

/// What a provider says of a message, at a time in seconds.
type Says = Box<dyn Fn(&Message, u64) -> Outcome>;

/// A provider; each call takes a tenth of a second.
struct Provider {
    says: Says,
    quota: Option<Quota>,
    /// When it was called, and with how many.
    calls: Rc<RefCell<Vec<(u64, usize)>>>,
}

impl Transport for Provider {
    fn send(&mut self, batch: &Batch) -> Vec<Outcome> {
        self.calls.borrow_mut().push((seconds(), batch.messages.len()));
        PASSED.set(PASSED.get() + Duration::from_millis(100));
        batch.messages.iter().map(|message| (self.says)(message, seconds())).collect()
    }

    fn quota(&mut self) -> Option<Quota> {
        self.quota
    }
}

/// Runs until the list ends; gives the rows, and the calls that were made.
fn run(mut list: List, pace: Pace, quota: Option<Quota>, says: Says) -> (List, Vec<(u64, usize)>) {
    let calls = Rc::default();
    let transport = Box::new(Provider { says, quota, calls: Rc::clone(&calls) });
    let mut pump = Pump {
        source: &mut list,
        transport,
        pace,
        stop: Stop::new(),
        clock: clock(),
        metrics: Metrics::default(),
        unit: "TEST",
        progress: Progress::default(),
    };
    pump.run().unwrap();
    let calls = calls.borrow().clone();
    (list, calls)
}

fn accepted() -> Outcome {
    Outcome::Accepted { provider_id: "id".into() }
}

fn refused(cause: Cause) -> Outcome {
    Outcome::refused(cause, "why")
}

#[test]
fn what_is_held_moves_within_one_probe_after_the_cause_is_gone_and_uses_no_attempt() {
    for pause in [10, 40, 100, 400, 2000, 7000] {
        PASSED.set(Duration::ZERO);
        let list = List::new(&[1; 25], Duration::from_secs(20_000));
        let says = move |_: &Message, at| {
            if at < pause { refused(Cause::Account) } else { accepted() }
        };
        let (list, calls) = run(list, Pace::new(10, 50.0, None), None, Box::new(says));
        // While it is held, one message at a time asks whether it still is.
        let asked: Vec<u64> =
            calls.iter().map(|(at, _)| *at).take_while(|at| *at < pause).collect();
        assert!(calls[1..asked.len()].iter().all(|(_, count)| *count == 1), "{calls:?}");
        let gaps: Vec<u64> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let expected = [30, 60, 120, 240, 480, 600].into_iter().chain(std::iter::repeat(600));
        assert!(gaps.iter().zip(expected).all(|(gap, due)| gap.abs_diff(due) <= 2), "{gaps:?}");
        let probe = gaps.last().map_or(30, |gap| (gap * 2).min(600));
        for row in list.rows.values() {
            let late = row.sent_at.expect("it is sent") - pause;
            assert!(late <= probe + 2, "{late} s after the pause of {pause} s, probes {gaps:?}");
            assert_eq!(row.attempts, 0, "a hold uses no attempt");
        }
    }
}

#[test]
fn a_held_action_waits_and_the_others_go_on() {
    PASSED.set(Duration::ZERO);
    let actions: Vec<u16> = (0..40).map(|n| 1 + n % 2).collect();
    let list = List::new(&actions, Duration::from_secs(5000));
    let says = |message: &Message, at| match message.kind.number.unwrap() {
        2 if at < 300 => refused(Cause::Template),
        _ => accepted(),
    };
    let (list, _) = run(list, Pace::new(10, 50.0, None), None, Box::new(says));
    for row in list.rows.values() {
        let sent_at = row.sent_at.expect("it is sent");
        match row.action {
            1 => assert!(sent_at < 30, "{sent_at}"),
            _ => assert!((300..=300 + 240 + 2).contains(&sent_at), "{sent_at}"),
        }
        assert_eq!(row.attempts, 0);
    }
}

#[test]
fn a_new_hold_on_everything_does_not_wait_for_the_probe_of_an_old_one_on_an_action() {
    PASSED.set(Duration::ZERO);
    // Action 2 has no template, and is found so ever more rarely; then the account is paused.
    let mut list = List::new(&[2, 1], Duration::from_secs(20_000));
    list.rows.get_mut(&2).unwrap().due += Duration::from_secs(2000);
    let says = |message: &Message, at| match (message.kind.number.unwrap(), at) {
        (2, _) => refused(Cause::Template),
        (_, 2000..2010) => refused(Cause::Account),
        _ => accepted(),
    };
    let (list, calls) = run(list, Pace::new(10, 50.0, None), None, Box::new(says));
    let sent_at = list.rows[&2].sent_at.expect("it is sent");
    assert!((2030..=2032).contains(&sent_at), "{sent_at}: {calls:?}");
}

#[test]
fn a_cause_that_changes_while_it_is_held_does_not_start_over() {
    PASSED.set(Duration::ZERO);
    let list = List::new(&[1; 3], Duration::from_secs(5000));
    let says = |_: &Message, at| match at {
        0..100 => refused(Cause::Account),
        100..500 => refused(Cause::Quota),
        _ => accepted(),
    };
    let (list, calls) = run(list, Pace::new(10, 50.0, None), None, Box::new(says));
    assert!(list.rows.values().all(|row| row.sent_at.is_some() && row.attempts == 0));
    assert!(calls.len() <= 10, "{calls:?}");
}

#[test]
fn throttling_and_outages_use_no_attempts_and_failures_do() {
    PASSED.set(Duration::ZERO);
    let says = move |message: &Message, at| match (message.kind.number.unwrap(), at) {
        (1, 0..120) => refused(Cause::Throttled),
        (2, 0..120) => refused(Cause::Unknown),
        _ => accepted(),
    };
    let list = List::new(&[2, 1], Duration::from_secs(5000));
    let (list, _) = run(list, Pace::new(10, 50.0, None), None, Box::new(says));
    assert_eq!((list.rows[&2].attempts, list.rows[&2].sent_at.is_some()), (0, true));
    assert!(list.rows[&1].failed, "its attempts are bounded");

    PASSED.set(Duration::ZERO);
    let says = move |_: &Message, at| if at < 600 { refused(Cause::Away) } else { accepted() };
    let list = List::new(&[1; 20], Duration::from_secs(5000));
    let (list, calls) = run(list, Pace::new(10, 50.0, None), None, Box::new(says));
    assert!(list.rows.values().all(|row| row.attempts == 0 && row.sent_at.is_some()));
    assert!(calls.len() < 60, "{} calls", calls.len());
}

#[test]
fn the_day_is_counted_before_the_first_batch_and_the_quota_is_asked_for() {
    PASSED.set(Duration::ZERO);
    let mut list = List::new(&[1; 50], Duration::from_secs(26 * 3600));
    // 20 in the last ten minutes, 60 twenty hours ago; 100 may go.
    list.past = vec![(5, 20), (20 * 3600 + 5, 60)];
    let (list, calls) =
        run(list, Pace::new(10, 50.0, Some(100)), None, Box::new(|_, _| accepted()));
    let early = list.rows.values().filter(|row| row.sent_at.unwrap() < 3600).count();
    assert_eq!(early, 20, "{calls:?}");
    // Those of twenty hours ago are out of the day four hours later, give or take a slot.
    let late = list.rows.values().filter(|row| (4 * 3600..15_000).contains(&row.sent_at.unwrap()));
    assert_eq!(late.count(), 30, "{calls:?}");
    assert!(list.counted >= 1);

    PASSED.set(Duration::ZERO);
    let list = List::new(&[1; 30], Duration::from_secs(7200));
    let quota = Quota { rate: Some(2.0), daily: Some(1000), left: Some(900) };
    let (list, calls) =
        run(list, Pace::new(10, 50.0, None), Some(quota), Box::new(|_, _| accepted()));
    assert!(calls.iter().all(|(_, count)| *count <= 2), "{calls:?}");
    let last = list.rows.values().filter_map(|row| row.sent_at).max().unwrap();
    assert!((14..=16).contains(&last), "30 at 2 a second take 14 s, not {last}");
}
