//! Writing down what became of deliveries, and of those whose rows somebody else has locked, later.
//!
//! In scope: trying again, and what is said of settlements that the database did not take. Out of
//! scope: the statement (`sql/turn.sql`), faults of the connection (`link.rs`).

use crate::edges::clock::Clock;
use crate::edges::log;
use crate::edges::pg::Client;
use crate::edges::pg::fault::is_locked_out;
use crate::mail::counts::Metrics;
use crate::mail::error::Error;
use crate::mail::model::{Outcome, Settlement, Ticket};
use crate::mail::policy;
use crate::queue::link::Link;
use crate::queue::store::Statements;
use crate::queue::store::values::{Turn, Want};
use std::time::{Duration, Instant};

/// How often rows that are locked are tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Settlements that are still to be written.
pub struct Settling {
    clock: Clock,
    max_attempts: u32,
    /// The lease of a claim that got no answer, with which they were perhaps written.
    unanswered: Option<String>,
    /// They go with the next claim, or before anything else is done.
    owed: Vec<(Ticket, Settlement)>,
    /// Their rows are locked by another transaction.
    locked: Vec<(Ticket, Settlement)>,
    again_at: Option<Instant>,
}

impl Settling {
    /// Nothing is to be written. A delivery fails after so many attempts.
    pub fn new(max_attempts: u32, clock: Clock) -> Settling {
        let (owed, locked) = (Vec::new(), Vec::new());
        Settling { clock, max_attempts, unanswered: None, owed, locked, again_at: None }
    }

    /// Takes what became of a message, which is written with the next claim or by [`Settling::write`];
    /// `probe` is how long what is held waits.
    pub fn settle(&mut self, ticket: Ticket, outcome: Outcome, probe: Duration) {
        let backoff = |attempt| policy::backoff(attempt, (self.clock.chance)());
        let Ticket { attempts, age, .. } = ticket;
        let settlement =
            policy::settlement(outcome, attempts, age, self.max_attempts, backoff, probe);
        self.owed.push((ticket, settlement));
    }

    /// When [`Settling::retry`] has something to do.
    pub fn due(&self) -> Option<Instant> {
        self.again_at
    }

    /// The deliveries that are still to be written. What became of them is known: they are not to be
    /// put back when their leases run out.
    pub fn unwritten(&self) -> Vec<i64> {
        self.owed.iter().chain(&self.locked).map(|(ticket, _)| ticket.delivery).collect()
    }

    /// Writes down what is owed, however often that must be tried. Gives whether anything was written.
    ///
    /// # Errors
    /// As [`Link::run`].
    pub fn write(&mut self, link: &mut Link) -> Result<bool, Error> {
        if self.owed.is_empty() {
            return Ok(false);
        }
        let done = self.claim(link, Want::default())?;
        Ok(done.is_some_and(|done| !done.written.is_empty()))
    }

    /// Writes down what is owed and claims; `None`: the process must give up, or it was to be tried once
    /// alone.
    ///
    /// # Errors
    /// As [`Link::run`].
    pub fn claim(&mut self, link: &mut Link, want: Want<'_>) -> Result<Option<Turn>, Error> {
        let owed = std::mem::take(&mut self.owed);
        self.put(link, owed, false, want)
    }

    /// Tries those again whose rows were locked, if it is time.
    ///
    /// # Errors
    /// As [`Link::run`].
    pub fn retry(&mut self, link: &mut Link) -> Result<(), Error> {
        if self.again_at.take_if(|at| *at <= (self.clock.now)()).is_some() {
            // What has no answer is theirs.
            self.write(link)?;
            let locked = std::mem::take(&mut self.locked);
            self.put(link, locked, true, Want::default())?;
        }
        Ok(())
    }

    /// The last try: what cannot be written now is said to be ambiguous.
    ///
    /// # Errors
    /// As [`Link::run`].
    pub fn close(&mut self, link: &mut Link) -> Result<(), Error> {
        self.write(link)?;
        self.again_at = self.again_at.map(|_| (self.clock.now)());
        self.retry(link)?;
        report(&std::mem::take(&mut self.locked), None, &link.metrics);
        Ok(())
    }

    /// What has no answer is tried again, after what it may have claimed was put back. Settlements that
    /// were written then need no flush, which may be what there is no answer to; a claim beside them
    /// would.
    fn put(
        &mut self,
        link: &mut Link,
        mut settled: Vec<(Ticket, Settlement)>,
        again: bool,
        want: Want<'_>,
    ) -> Result<Option<Turn>, Error> {
        settled.sort_unstable_by_key(|(ticket, _)| ticket.delivery);
        let what = if settled.is_empty() { "claiming" } else { "settling" };
        let mut pass_over = again;
        let unanswered = &mut self.unanswered;
        let mut turn = |statements: &mut Statements, client: &mut Client| {
            let tried = unanswered.is_some();
            if let Some(lease) = unanswered.as_deref().filter(|lease| !lease.is_empty()) {
                let count = statements.rescue(client, false, &[], lease)?.len();
                if count > 0 {
                    log::info("PG", format_args!("claimed without an answer: {count}; put back"));
                }
            }
            *unanswered = Some(want.lease.to_owned());
            let want = if !tried || settled.is_empty() { want } else { Want::default() };
            let again = again || tried;
            let done = match statements.turn(client, &settled, (again, pass_over), want) {
                Err(error) if is_locked_out(&error) && !pass_over => {
                    pass_over = true;
                    statements.turn(client, &settled, (again, pass_over), want)
                }
                other => other,
            }?;
            *unanswered = None;
            Ok(done)
        };
        let done = if want.once { link.ask(what, turn) } else { link.run(what, &mut turn)? };
        let Some(done) = done else {
            match want.once {
                true => self.owed = settled,
                false => report(&settled, None, &link.metrics),
            }
            return Ok(None);
        };
        self.keep(&mut settled, &done.locked);
        if !again && !done.locked.is_empty() {
            let text = format!(
                "deliveries that another transaction has locked: {}; they are written down when it \
                 ends",
                done.locked.len()
            );
            log::warn("PG", text);
        }
        report(&settled, Some(&done.written), &link.metrics);
        Ok(Some(done))
    }

    /// Takes out what is locked, for later.
    fn keep(&mut self, settled: &mut Vec<(Ticket, Settlement)>, locked: &[i64]) {
        self.locked.extend(settled.extract_if(.., |(ticket, _)| locked.contains(&ticket.delivery)));
        if !self.locked.is_empty() {
            // Of the first of them: batches may follow each other in less time.
            self.again_at.get_or_insert_with(|| (self.clock.now)() + AGAIN);
        }
    }
}

/// Counts what has failed, and says which settlements the database did not take. `written` has the
/// deliveries that it took; `None`: it gave no answer.
fn report(settled: &[(Ticket, Settlement)], written: Option<&[i64]>, metrics: &Metrics) {
    for (ticket, settlement) in settled {
        let id = ticket.delivery;
        let written = written.map(|written| written.contains(&id));
        if let (Some(true), Settlement::Failed { why, .. }) = (written, settlement) {
            metrics.count(|numbers| numbers.failed.add(why));
        }
        if let Some(doubt) = doubt(id, settlement, written) {
            log::warn("PG", doubt);
        }
    }
}

/// What a person should know of a settlement, by whether it was `written`.
fn doubt(id: i64, settlement: &Settlement, written: Option<bool>) -> Option<String> {
    match (written, settlement) {
        (None, Settlement::Sent { .. }) => Some(format!(
            "delivery {id} is ambiguous: it was accepted, but that could not be written down; it \
             may be sent twice"
        )),
        (Some(false), Settlement::Sent { .. }) => Some(format!(
            "delivery {id} is ambiguous: it was accepted after somebody else had settled or deleted \
             it; it may have been sent twice"
        )),
        (Some(false), _) => {
            Some(format!("delivery {id}: its lease had run out; somebody else settles it"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::model::Cause;
    use std::time::SystemTime;

    fn settling() -> Settling {
        let clock = Clock { now: Instant::now, wall: SystemTime::now, chance: || 0.5 };
        Settling::new(5, clock)
    }

    fn sent() -> Settlement {
        Settlement::Sent { provider_id: "id".into() }
    }

    fn failed() -> Settlement {
        Settlement::Failed { cause: Cause::Rejected, why: "no such mailbox".into() }
    }

    fn settled(deliveries: &[i64]) -> Vec<(Ticket, Settlement)> {
        let ticket =
            |&delivery: &i64| Ticket { delivery, lease: "run:1:0".into(), attempts: 0, age: None };
        deliveries.iter().map(|delivery| (ticket(delivery), sent())).collect()
    }

    #[test]
    fn what_is_locked_is_kept_and_the_rest_is_done() {
        let mut settling = settling();
        assert_eq!(settling.due(), None);
        let mut done = settled(&[1, 2, 3]);
        settling.keep(&mut done, &[2]);
        let done: Vec<i64> = done.iter().map(|(ticket, _)| ticket.delivery).collect();
        assert_eq!((done, settling.unwritten()), (vec![1, 3], vec![2]));
    }

    #[test]
    fn batches_that_follow_do_not_put_off_what_is_locked() {
        let mut settling = settling();
        settling.keep(&mut settled(&[1]), &[1]);
        let due = settling.due();
        assert!(due.is_some());
        settling.keep(&mut settled(&[2, 3]), &[2]);
        assert_eq!((settling.due(), settling.unwritten()), (due, vec![1, 2]));
        settling.keep(&mut settled(&[4]), &[]);
        assert_eq!(settling.due(), due);
    }

    #[test]
    fn a_mail_that_was_sent_without_a_record_is_ambiguous_and_others_are_not() {
        for written in [None, Some(false)] {
            assert!(doubt(7, &sent(), written).unwrap().contains("is ambiguous"));
        }
        assert_eq!(doubt(7, &sent(), Some(true)), None);
        assert_eq!(doubt(7, &failed(), Some(true)), None);
        // Its lease runs out, and it is tried again.
        assert_eq!(doubt(7, &failed(), None), None);
        assert!(doubt(7, &failed(), Some(false)).unwrap().contains("somebody else settles it"));
    }
}
