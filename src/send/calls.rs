//! A batch as the calls of a provider that takes many messages in one.
//!
//! In scope: which messages stand in a call, halves after a refusal, and the time of a batch, which
//! every transport keeps to. Out of scope: making a call and reading its reply.

use crate::edges::log::Lines;
use crate::mail::kind::Templates;
use crate::mail::model::{Batch, Cause, Message, Outcome, Refusal};
use crate::mail::policy;
use crate::mail::policy::CallVerdict;
use crate::send::{ready, report};
use std::time::{Duration, Instant};

/// No mail of a batch begins its way later than this after the first one.
pub const BUDGET: Duration = Duration::from_secs(60);

/// The longest that a batch can take with any provider, looking names up aside: [`BUDGET`], and
/// what began just before its end. A lease must outlast it, or somebody else claims what is still
/// on its way. (A pipe waits for its reader, however long.)
pub const WORST: Duration = Duration::from_secs(110);

/// The time of one batch. Copies end together.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    now: fn() -> Instant,
    start: Instant,
}

impl Budget {
    /// It begins now, by a clock that is never set back.
    pub fn new(now: fn() -> Instant) -> Budget {
        Budget { now, start: now() }
    }

    /// Whether nothing more of the batch may begin.
    pub fn is_over(&self) -> bool {
        (self.now)().saturating_duration_since(self.start) > BUDGET
    }

    /// What becomes of a message that did not begin.
    pub fn refusal() -> Refusal {
        policy::fault(false, "what came before it took too long")
    }
}

/// A message on its way, with its template.
#[derive(Clone, Copy)]
pub struct Item<'a> {
    /// The message.
    pub message: &'a Message,
    /// The name of its template.
    pub template: &'a str,
    /// Its place in the batch.
    index: usize,
}

/// How a provider's calls are made up.
pub struct Calls {
    /// The transport's name in the log.
    pub tag: &'static str,
    /// The most messages in a call.
    pub most: usize,
    /// Whether these two may stand in one call.
    pub together: fn(&Message, &Message) -> bool,
    /// The clock of the budget.
    pub now: fn() -> Instant,
}

/// What became of each message of a batch so far, and how long the call took that decided it.
type Answers = Vec<Option<(Outcome, Duration)>>;

impl Calls {
    /// Makes calls until every message of the batch has its outcome, and logs each.
    ///
    /// `call` gets the messages of one call, never none, and the budget of the batch. It gives an
    /// outcome for each of them, in their order, or a verdict on the call; where that is a remedy,
    /// `call` has applied it before and is called again.
    pub fn deliver(
        &self,
        batch: &Batch,
        templates: &Templates,
        mut call: impl FnMut(&[Item<'_>], Budget) -> Result<Vec<Outcome>, CallVerdict>,
    ) -> Vec<Outcome> {
        let mut answers: Answers = vec![None; batch.messages.len()];
        let mut parts = self.parts(batch, templates, &mut answers);
        let mut rest: Option<Refusal> = None;
        let budget = Budget::new(self.now);
        while let Some(mut part) = parts.pop() {
            let begun = (self.now)();
            let result = match &rest {
                Some(refusal) => Err(CallVerdict::Each(refusal.clone())),
                None if budget.is_over() => Err(CallVerdict::Each(Budget::refusal())),
                None => call(&part, budget),
            };
            let took = (self.now)().saturating_duration_since(begun);
            let outcomes = match result {
                Ok(outcomes) => outcomes,
                Err(CallVerdict::Each(refusal)) => vec![Outcome::Refused(refusal); part.len()],
                Err(CallVerdict::Split(why)) if part.len() < 2 => {
                    vec![Outcome::refused(Cause::Rejected, why)]
                }
                Err(CallVerdict::Split(_)) => {
                    let right = part.split_off(part.len() / 2);
                    parts.extend([right, part]);
                    continue;
                }
                Err(CallVerdict::RefreshCredentials(_) | CallVerdict::CorrectClock(_)) => {
                    parts.push(part);
                    continue;
                }
            };
            for (item, outcome) in part.iter().zip(outcomes) {
                rest = rest.or_else(|| for_the_rest(&outcome));
                put(&mut answers, item.index, outcome, took);
            }
        }
        let mut lines = Lines::new(self.tag);
        let mut outcomes = Vec::with_capacity(answers.len());
        for (message, answer) in batch.messages.iter().zip(answers) {
            let (outcome, took) = answer.unwrap_or_else(|| {
                let left_out = policy::fault(false, "it was left out");
                (Outcome::Refused(left_out), Duration::ZERO)
            });
            report(&mut lines, message, &outcome, took);
            outcomes.push(outcome);
        }
        lines.write();
        outcomes
    }

    /// The calls of a batch, the first one last; what needs no call gets its outcome at once.
    fn parts<'a>(
        &self,
        batch: &'a Batch,
        templates: &'a Templates,
        answers: &mut Answers,
    ) -> Vec<Vec<Item<'a>>> {
        let mut parts: Vec<Vec<Item<'a>>> = Vec::new();
        for (index, message) in batch.messages.iter().enumerate() {
            let item = match ready(message, templates) {
                Ok(template) => Item { message, template, index },
                Err(outcome) => {
                    put(answers, index, outcome, Duration::ZERO);
                    continue;
                }
            };
            let fits = |first: &Item| (self.together)(first.message, message);
            let open =
                |part: &&mut Vec<Item>| part.len() < self.most && part.first().is_some_and(fits);
            match parts.iter_mut().find(open) {
                Some(part) => part.push(item),
                None => parts.push(vec![item]),
            }
        }
        parts.reverse();
        parts
    }
}

/// What the answer to one message means for those that were not tried yet, if they need not be: the
/// policy says it, for every provider alike.
pub(crate) fn for_the_rest(outcome: &Outcome) -> Option<Refusal> {
    let Outcome::Refused(refusal) = outcome else { return None };
    let cause = policy::of(refusal.cause).rest?;
    Some(Refusal { cause, ..refusal.clone() })
}

fn put(answers: &mut Answers, index: usize, outcome: Outcome, took: Duration) {
    if let Some(place) = answers.get_mut(index) {
        *place = Some((outcome, took));
    }
}
