//! Nobody notifies a collector that is awake, and no mail is left to a healthcheck for that: a model of
//! what sleepers and inserts tell each other, all orders of its steps, and the same on PostgreSQL.
//!
//! docs/SCHEMA.md has the protocol in words; `wake_mailroom` and `src/queue/sql/sleep.sql` are it.

use crate::support::cluster::{Database, insert};
use crate::support::program::{Program, wait_until};
use fallible_iterator::FallibleIterator as _;
use mailroom::queue::store::Statements;
use nix::sys::signal::Signal;
use stateright::{Checker as _, Model, Property};

/// How the model is wrong, to see that this is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Planted {
    Nothing,
    /// A transaction that does not notify says so, but not until it has ended.
    ForgetsAtOnce,
    /// Who lies down asks first whether such a transaction is under way, and says so then.
    AsksFirst,
    /// Who may sleep does not look once more.
    DoesNotLook,
    /// Who sleeps is read as a row is, by the snapshot of the transaction.
    ReadsARow,
    /// Nobody notifies as long as anybody is awake.
    TrustsOneAwake,
}

/// A transaction that inserts a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Insert {
    at: Progress,
    /// Somebody slept when it began.
    snapshot: bool,
    /// Holds the first lock, shared.
    skips: bool,
    notifies: bool,
    claimed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Progress {
    #[default]
    Unborn,
    Begun,
    /// Tried to take the first lock.
    Tried,
    /// Holds the second lock, for a moment.
    Tests,
    /// Knows whether to notify.
    Knows,
    /// Committed, but still has its locks.
    Visible,
    /// Its notification is still to come.
    Unlocked,
    Ended,
}

/// A collector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Collector {
    doing: Doing,
    /// Holds the second lock, shared.
    sleeps: bool,
    /// A notification is there that it did not look into.
    heard: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Doing {
    /// There is no process.
    #[default]
    Nothing,
    /// Looks, and may go on so.
    Awake,
    /// Holds the first lock, for a moment.
    Tests,
    /// Has asked, and says only now that it sleeps.
    Hastens,
    /// Has asked: the look that follows; whether nobody was under way.
    Looks(bool),
    /// Does nothing before it is notified.
    Asleep,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    inserts: [Insert; 2],
    collectors: [Collector; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Insert(usize),
    /// It is rolled back, or its process dies.
    RollBack(usize),
    Begin(usize),
    /// Looks, and takes what it sees.
    Look(usize),
    /// Says that it sleeps.
    Say(usize),
    /// Asks whether somebody is under way who does not know.
    Ask(usize),
    /// Lets go of the lock that it asked with.
    Asked(usize),
    Wake(usize),
    Die(usize),
}

struct Protocol(Planted);

impl Protocol {
    fn somebody_sleeps(&self, state: &State) -> bool {
        match self.0 {
            Planted::TrustsOneAwake => {
                !state.collectors.iter().any(|one| one.doing != Doing::Nothing && !one.sleeps)
            }
            _ => state.collectors.iter().any(|one| one.sleeps),
        }
    }

    fn insert(&self, state: &mut State, n: usize) {
        let asked = state.collectors.iter().any(|one| one.doing == Doing::Tests);
        let tested = state.inserts.iter().any(|one| one.at == Progress::Tests);
        let sleeper = self.somebody_sleeps(state);
        let one = &mut state.inserts[n];
        let planted = self.0;
        one.at = match one.at {
            Progress::Unborn => {
                one.snapshot = sleeper;
                Progress::Begun
            }
            Progress::Begun => {
                (one.skips, one.notifies) = (!asked, asked);
                Progress::Tried
            }
            Progress::Tried if one.notifies => Progress::Knows,
            Progress::Tried => {
                let sleeper = if planted == Planted::ReadsARow { one.snapshot } else { sleeper };
                one.notifies = sleeper || tested;
                if one.notifies { Progress::Knows } else { Progress::Tests }
            }
            Progress::Tests => {
                one.skips &= planted != Planted::ForgetsAtOnce;
                Progress::Knows
            }
            Progress::Knows => Progress::Visible,
            Progress::Visible => {
                one.skips = false;
                Progress::Unlocked
            }
            Progress::Unlocked | Progress::Ended => {
                if one.notifies {
                    for collector in &mut state.collectors {
                        collector.heard |= collector.doing != Doing::Nothing;
                    }
                }
                Progress::Ended
            }
        };
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State { inserts: Default::default(), collectors: Default::default() }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        for (n, one) in state.inserts.iter().enumerate() {
            if one.at < Progress::Ended {
                steps.push(Step::Insert(n));
            }
            if one.at > Progress::Unborn && one.at < Progress::Visible {
                steps.push(Step::RollBack(n));
            }
        }
        for (n, one) in state.collectors.iter().enumerate() {
            let hastens = self.0 == Planted::AsksFirst;
            match one.doing {
                Doing::Nothing => steps.push(Step::Begin(n)),
                Doing::Awake => {
                    steps.push(Step::Look(n));
                    steps.push(if one.sleeps { Step::Wake(n) } else { Step::Say(n) });
                    if one.sleeps || hastens {
                        steps.push(Step::Ask(n));
                    }
                    if hastens {
                        steps.retain(|step| *step != Step::Say(n));
                    }
                }
                Doing::Tests => steps.push(Step::Asked(n)),
                Doing::Hastens => steps.push(Step::Say(n)),
                Doing::Looks(_) => steps.push(Step::Look(n)),
                Doing::Asleep if one.heard => steps.extend([Step::Look(n), Step::Wake(n)]),
                Doing::Asleep => {}
            }
            if one.doing != Doing::Nothing {
                steps.push(Step::Die(n));
            }
        }
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut state = last.clone();
        match step {
            Step::Insert(n) => self.insert(&mut state, n),
            // Its row was never seen: as if it had not begun.
            Step::RollBack(n) => state.inserts[n] = Insert::default(),
            Step::Begin(n) => state.collectors[n].doing = Doing::Awake,
            Step::Look(n) => {
                let one = &mut state.collectors[n];
                one.heard = false;
                one.doing = match one.doing {
                    Doing::Looks(true) | Doing::Asleep => Doing::Asleep,
                    _ => Doing::Awake,
                };
                for insert in &mut state.inserts {
                    insert.claimed |= insert.at >= Progress::Visible;
                }
            }
            Step::Say(n) => {
                // For a moment somebody who inserts may hold it.
                if state.inserts.iter().any(|one| one.at == Progress::Tests) {
                    return None;
                }
                state.collectors[n].sleeps = true;
                if self.0 == Planted::AsksFirst {
                    state.collectors[n].doing = Doing::Looks(true);
                }
            }
            Step::Ask(n) => {
                let held = state.inserts.iter().any(|one| one.skips)
                    || state.collectors.iter().any(|one| one.doing == Doing::Tests);
                state.collectors[n].doing = if held { Doing::Looks(false) } else { Doing::Tests };
            }
            Step::Asked(n) => {
                state.collectors[n].doing = match self.0 {
                    Planted::DoesNotLook => Doing::Asleep,
                    Planted::AsksFirst => Doing::Hastens,
                    _ => Doing::Looks(true),
                };
            }
            Step::Wake(n) => {
                let one = &mut state.collectors[n];
                (one.sleeps, one.doing) = (false, Doing::Awake);
            }
            Step::Die(n) => state.collectors[n] = Collector::default(),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Protocol>> {
        fn asleep(one: &Collector) -> bool {
            one.doing == Doing::Asleep && !one.heard
        }
        vec![
            Property::always("who sleeps leaves no row to a healthcheck", |_, state: &State| {
                let left = |one: &Insert| one.at == Progress::Ended && !one.claimed;
                !state.inserts.iter().any(left) || !state.collectors.iter().any(asleep)
            }),
            Property::sometimes("both sleep and all is done", |_, state: &State| {
                let done = |one: &Insert| one.at == Progress::Ended && one.claimed;
                state.inserts.iter().all(done) && state.collectors.iter().all(asleep)
            }),
            Property::sometimes("nobody is notified", |_, state: &State| {
                state.inserts.iter().all(|one| one.at == Progress::Ended && !one.notifies)
                    && state.collectors.iter().all(|one| one.doing == Doing::Awake)
            }),
        ]
    }
}

fn check(planted: Planted) -> impl stateright::Checker<Protocol> {
    Protocol(planted).checker().threads(2).spawn_bfs().join()
}

#[test]
fn whatever_the_order_of_the_steps_no_insert_is_left_to_the_healthcheck() {
    let checked = check(Planted::Nothing);
    checked.assert_properties();
    assert!(checked.unique_state_count() > 10_000, "{}", checked.unique_state_count());
}

#[test]
fn a_bug_in_the_protocol_is_found() {
    use Planted::{AsksFirst, DoesNotLook, ForgetsAtOnce, ReadsARow, TrustsOneAwake};
    for planted in [ForgetsAtOnce, AsksFirst, DoesNotLook, ReadsARow, TrustsOneAwake] {
        let found = check(planted).discovery("who sleeps leaves no row to a healthcheck");
        assert!(found.is_some(), "{planted:?}");
    }
}

/// Numbers that look random and are the same each time.
fn numbers() -> impl FnMut(usize) -> usize {
    let mut state = 20_261_128_u64;
    move |below| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    }
}

fn sign_up(n: usize) -> String {
    format!("INSERT INTO accounts (email, login) VALUES ('user{n}@example.com', 'user{n}')")
}

/// A collector of the walk: its connection, which listens.
struct Sleeper {
    client: postgres::Client,
    statements: Statements,
    says: bool,
    asleep: bool,
}

impl Sleeper {
    fn begin(database: &Database) -> Sleeper {
        let mut client = database.client();
        client.batch_execute("LISTEN token_insert").unwrap();
        let statements = Statements::prepare(&mut client, "mailroom").unwrap();
        let mut sleeper = Sleeper { client, statements, says: false, asleep: false };
        sleeper.look();
        sleeper
    }

    fn look(&mut self) {
        let sql = "UPDATE deliveries SET state = 'sent', due_at = now() WHERE state = 'pending'";
        self.client.execute(sql, &[]).unwrap();
    }

    fn lie_down(&mut self) {
        let clear = self.statements.sleep(&mut self.client, self.says).unwrap();
        self.says |= clear.is_some();
        let _ = self.client.notifications().iter().count();
        self.look();
        self.asleep = clear == Some(true);
    }

    fn wake(&mut self) {
        if std::mem::take(&mut self.says) {
            self.statements.awake(&mut self.client).unwrap();
        }
        self.asleep = false;
    }

    /// Looks if it was notified. What was notified before a statement comes with its answer.
    fn hear(&mut self) -> bool {
        self.client.batch_execute("").unwrap();
        let heard = self.client.notifications().iter().count().unwrap() > 0;
        if heard {
            self.look();
        }
        heard
    }
}

#[test]
fn on_postgresql_the_same_steps_in_any_order_leave_nothing_to_a_sleeper_that_was_not_told() {
    let database = Database::migrated();
    let levels = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];
    let mut number = numbers();
    let mut clients: Vec<_> = (0..3).map(|_| (database.client(), false)).collect();
    let mut sleepers: Vec<_> = (0..2).map(|_| Sleeper::begin(&database)).collect();
    let (mut told, mut untold, mut restless) = (0, 0, 0);
    for step in 0..800 {
        let (client, open) = &mut clients[number(3)];
        let sleeper = &mut sleepers[number(2)];
        match number(10) {
            0 | 1 if !*open => {
                let level = levels[number(3)];
                // Its snapshot is from now, whatever it is to insert later.
                client.batch_execute(&format!("BEGIN ISOLATION LEVEL {level}; SELECT 1")).unwrap();
                *open = true;
            }
            0..=2 if *open => {
                let what = match number(4) {
                    0 => "SAVEPOINT a".to_owned(),
                    1 => format!("{}; ROLLBACK TO a", sign_up(step)),
                    _ => sign_up(step),
                };
                // There may be no savepoint; and two that are serializable may be in each other's way.
                if client.batch_execute(&what).is_err() {
                    client.batch_execute("ROLLBACK").unwrap();
                    *open = false;
                }
            }
            3 | 4 if std::mem::take(open) => {
                let end = ["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"][number(4)];
                drop(client.batch_execute(end));
            }
            5 | 6 if !sleeper.asleep => {
                sleeper.lie_down();
                restless += usize::from(!sleeper.asleep);
            }
            7 => sleeper.wake(),
            8 => sleeper.look(),
            9 if number(4) == 0 => *sleeper = Sleeper::begin(&database),
            _ => {}
        }
        for sleeper in sleepers.iter_mut().filter(|sleeper| sleeper.asleep) {
            let before = database.in_state("pending");
            let heard = sleeper.hear();
            told += usize::from(heard);
            assert!(heard || before == 0, "step {step}: {before} left to who sleeps");
        }
        untold += usize::from(database.in_state("pending") > 0);
    }
    assert!(told > 10 && untold > 10 && restless > 10, "{told} {untold} {restless}");
}

/// First keys of the locks of those who sleep, and of transactions that did not notify.
const SLEEPS: i32 = 1_835_100_527;
const SKIPS: i32 = 1_835_100_526;

/// How many hold a lock, shared.
fn holders(database: &Database, key: i32) -> i64 {
    database.number(&format!(
        "SELECT count(*) FROM pg_locks WHERE classid = {key} AND mode = 'ShareLock' AND granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ))
}

#[test]
fn while_it_drains_nobody_notifies_it_and_afterwards_everybody_does() {
    let database = Database::migrated();
    let mut listener = database.client();
    listener.batch_execute("LISTEN token_insert").unwrap();
    let mut notified = || {
        listener.batch_execute("").unwrap();
        listener.notifications().iter().count().unwrap()
    };
    // Nobody is there to be woken up.
    insert(&mut database.client(), "early");
    assert_eq!(notified(), 0);
    let collect = Program::collect(&database).limit(1).start();
    collect.wait_log("connected");
    collect.wait_lines(1);
    wait_until("it sleeps", || holders(&database, SLEEPS) == 1);
    insert(&mut database.client(), "one");
    assert_eq!(notified(), 1);
    collect.wait_lines(2);
    // One notification for a thousand rows; those that come while it is busy are found without.
    database.accounts("many", 1000);
    wait_until("it is awake", || holders(&database, SLEEPS) == 0);
    collect.signal(Signal::SIGSTOP);
    notified();
    insert(&mut database.client(), "untold");
    assert_eq!(notified(), 0);
    collect.signal(Signal::SIGCONT);
    collect.wait_lines(1003);
    wait_until("it sleeps again", || holders(&database, SLEEPS) == 1);
    insert(&mut database.client(), "last");
    assert_eq!(notified(), 1);
    collect.wait_lines(1004);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn a_transaction_that_began_while_it_was_awake_and_ends_late_is_found_without_a_healthcheck() {
    let database = Database::migrated();
    let mut late = database.client();
    let collect = Program::collect(&database).limit(1).healthcheck(3_600_000).start();
    collect.wait_log("connected");
    database.accounts("many", 300);
    wait_until("it is awake", || holders(&database, SLEEPS) == 0);
    late.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ").unwrap();
    insert(&mut late, "late");
    assert_eq!(holders(&database, SKIPS), 1);
    collect.wait_lines(300);
    // It says that it sleeps, and hears of others at once.
    wait_until("it lies down", || holders(&database, SLEEPS) == 1);
    insert(&mut database.client(), "other");
    collect.wait_lines(301);
    late.batch_execute("COMMIT").unwrap();
    collect.wait_lines(302);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn one_that_sleeps_is_told_although_another_was_awake_when_it_was_killed() {
    let database = Database::migrated();
    let sleeper = Program::collect(&database).limit(1).healthcheck(3_600_000).start();
    sleeper.wait_log("connected");
    let mut other = Sleeper::begin(&database);
    other.wake();
    insert(&mut database.client(), "user");
    drop(other);
    sleeper.wait_lines(1);
    assert_eq!(sleeper.stop().code, Some(0));
}
