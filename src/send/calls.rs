//! A batch as the calls of a provider, one after the other.
//!
//! In scope: which messages stand in a call, halves after a refusal, what is not tried after an
//! answer that holds for all, and the time of a batch, which every transport keeps to. Out of
//! scope: making a call and reading its reply.

use crate::edges::log::line::Field::{Number, Text};
use crate::edges::log::line::Level;
use crate::edges::log::{self, Lines};
use crate::mail::kind::Templates;
use crate::mail::model::{Batch, Cause, List, Message, Outcome, Refusal, shown};
use crate::mail::policy::{self, Fate};
use crate::mail::recipient::{self, split};
use serde_json::{Value, json};
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
    /// Whether nothing more of the batch may begin.
    pub fn is_over(&self) -> bool {
        (self.now)().saturating_duration_since(self.start) > BUDGET
    }

    /// When all that began has to be over.
    pub fn end(&self) -> Instant {
        self.start + WORST
    }

    /// What becomes of a message that did not begin.
    pub fn refusal() -> Refusal {
        let why = "not sent: what came before it took too long".to_owned();
        Refusal { cause: Cause::Away, why, after: None }
    }
}

/// A message on its way, with its template.
pub struct Item<'a> {
    /// The message.
    pub message: &'a Message,
    /// The name of its template.
    pub template: &'a str,
    /// Its place in the batch.
    index: usize,
}

/// What came of a call.
pub enum Answer {
    /// An outcome for each of its messages, in their order.
    Each(Vec<Outcome>),
    /// None of them is accepted.
    None(Refusal),
    /// Some message is at fault: call with each half. A message alone is refused so.
    Halves(Refusal),
    /// Call again: what was wrong is mended.
    Again,
}

/// How a provider's calls are made up.
pub struct Calls {
    /// The transport's name in the log; empty: outcomes are not logged.
    pub tag: &'static str,
    /// The most messages in a call.
    pub most: usize,
    /// Whether these two may stand in one call.
    pub together: fn(&Message, &Message) -> bool,
    /// A clock that is never set back.
    pub now: fn() -> Instant,
    /// The provider's name for people, if it takes addresses in ASCII alone.
    pub ascii: Option<&'static str>,
}

impl Calls {
    /// Makes calls until every message of the batch has its outcome, and logs each.
    ///
    /// `call` gets the messages of one call, never none, and the budget of the batch.
    pub fn deliver(
        &self,
        batch: &Batch,
        templates: &Templates,
        call: &mut dyn FnMut(&[Item<'_>], Budget) -> Answer,
    ) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::Refused(Budget::refusal()); batch.messages.len()];
        let mut calls = self.calls(batch, templates, &mut outcomes);
        let mut rest: Option<Refusal> = None;
        let budget = Budget { now: self.now, start: (self.now)() };
        while let Some(mut items) = calls.pop() {
            let begun = (self.now)();
            let answer = match &rest {
                Some(refusal) => Answer::None(refusal.clone()),
                None if budget.is_over() => Answer::None(Budget::refusal()),
                None => call(&items, budget),
            };
            let answers = match answer {
                Answer::Each(answers) => answers,
                Answer::None(refusal) => vec![Outcome::Refused(refusal); items.len()],
                Answer::Halves(refusal) if items.len() < 2 => vec![Outcome::Refused(refusal)],
                Answer::Halves(_) => {
                    let right = items.split_off(items.len() / 2);
                    calls.extend([right, items]);
                    continue;
                }
                Answer::Again => {
                    calls.push(items);
                    continue;
                }
            };
            let answers: Vec<Outcome> =
                items.iter().zip(answers).map(|(item, answer)| of_kind(item, answer)).collect();
            rest = rest.or_else(|| answers.iter().find_map(for_the_rest));
            let took = (self.now)().saturating_duration_since(begun);
            self.report(&items, &answers, took);
            for (item, answer) in items.iter().zip(answers) {
                outcomes[item.index] = answer;
            }
        }
        outcomes
    }

    /// The calls of a batch, the first one last; what needs no call gets its outcome at once.
    fn calls<'a>(
        &self,
        batch: &'a Batch,
        templates: &'a Templates,
        outcomes: &mut [Outcome],
    ) -> Vec<Vec<Item<'a>>> {
        let mut calls: Vec<Vec<Item<'a>>> = Vec::new();
        for (index, message) in batch.messages.iter().enumerate() {
            let template = templates.name(&message.kind).unwrap_or_default();
            let item = Item { message, template, index };
            if let Some(outcome) = unfit(&item, self.ascii) {
                self.report(&[item], std::slice::from_ref(&outcome), Duration::ZERO);
                outcomes[index] = outcome;
                continue;
            }
            let fits = |first: &Item| (self.together)(first.message, message);
            let open =
                |call: &&mut Vec<Item>| call.len() < self.most && call.first().is_some_and(fits);
            match calls.iter_mut().find(open) {
                Some(call) => call.push(item),
                None => calls.push(vec![item]),
            }
        }
        calls.reverse();
        calls
    }

    /// Logs the outcomes of a call that took so long. Which delivery and which attempt it was is
    /// known if the message came from a database.
    fn report(&self, items: &[Item], outcomes: &[Outcome], took: Duration) {
        if self.tag.is_empty() {
            return;
        }
        let (mut lines, mut fields) = (Lines::new(self.tag), Vec::new());
        for (Item { message, .. }, outcome) in items.iter().zip(outcomes) {
            let (level, status, what, why) = words(outcome);
            fields.clear();
            fields.push(("status", Text(status)));
            if let Some(ticket) = &message.ticket {
                fields.push(("delivery", Number(ticket.delivery)));
                fields.push(("attempt", Number(i64::from(ticket.attempts) + 1)));
            }
            fields.push(match message.kind.number {
                Some(number) => ("action", Number(number.into())),
                None => ("kind", Text(&message.kind.name)),
            });
            fields.push(("ms", Number(i64::try_from(took.as_millis()).unwrap_or(i64::MAX))));
            if let Outcome::Accepted { provider_id } = outcome
                && !provider_id.is_empty()
            {
                fields.push(("id", Text(provider_id)));
            }
            let to = shown(&message.email, log::is_debug());
            lines.event(level, &[&to, what, why], &fields);
        }
        lines.write();
    }
}

/// What becomes of a message that no provider need be asked to send.
fn unfit(item: &Item, ascii: Option<&str>) -> Option<Outcome> {
    let Item { message: Message { kind, email, reply_to, .. }, template, .. } = item;
    if template.is_empty() {
        let why = format!("no template for action {} in MAILROOM_TEMPLATES", kind.name);
        return Some(Outcome::refused(Cause::Template, why));
    }
    if let Some(Err(why)) = kind.sender.as_deref().map(|from| recipient::check(split(from).1)) {
        return Some(Outcome::refused(Cause::Template, format!("the sender of its kind: {why}")));
    }
    if let Err(why) = recipient::check_any(email) {
        return Some(Outcome::refused(Cause::Unsigned, why));
    }
    if let Some(Err(why)) = reply_to.as_deref().map(recipient::check) {
        return Some(Outcome::refused(Cause::Unsigned, format!("its reply_to: {why}")));
    }
    let name = ascii.filter(|_| !recipient::is_ascii(email))?;
    let why = format!("the part before the @ is not ASCII, which {name} does not take");
    Some(Outcome::refused(Cause::Rejected, why))
}

/// The outcome of a message whose kind has a sender of its own: if that may not be used, the other
/// kinds go on.
pub fn of_kind(item: &Item, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Refused(refusal)
            if refusal.cause == Cause::Sender && item.message.kind.sender.is_some() =>
        {
            let why = format!("the sender of its kind: {}", refusal.why);
            Outcome::Refused(Refusal { cause: Cause::Template, why, ..refusal })
        }
        outcome => outcome,
    }
}

/// Whether it was the template alone that the provider did not find.
pub fn is_without_template(answer: &Answer) -> bool {
    let missing = |refusal: &Refusal| refusal.cause == Cause::Template;
    match answer {
        Answer::Each(outcomes) => {
            let all = |one: &Outcome| matches!(one, Outcome::Refused(one) if missing(one));
            outcomes.iter().all(all)
        }
        Answer::None(refusal) | Answer::Halves(refusal) => missing(refusal),
        Answer::Again => false,
    }
}

/// Whether all but the recipient, and what fills the template, is the same.
pub fn alike(one: &Message, other: &Message) -> bool {
    one.kind == other.kind && one.locale == other.locale && one.reply_to == other.reply_to
}

/// The headers of a list's mail, as SES and Postmark take them.
pub(crate) fn headers(list: &List) -> Vec<Value> {
    list.headers().map(|(name, value)| json!({ "Name": name, "Value": value })).to_vec()
}

/// What an outcome of one message means for those that were not tried yet, if they need not be.
pub fn for_the_rest(outcome: &Outcome) -> Option<Refusal> {
    let Outcome::Refused(refusal) = outcome else { return None };
    let cause = policy::of(refusal.cause).rest?;
    Some(Refusal { cause, ..refusal.clone() })
}

/// An outcome in words: how loud, the value of `status`, and the text with the reason behind it.
fn words(outcome: &Outcome) -> (Level, &'static str, &'static str, &str) {
    let Outcome::Refused(refusal) = outcome else {
        return (Level::Info, "sent", ": accepted", "");
    };
    let policy = policy::of(refusal.cause);
    let (level, status, what) = match policy.fate {
        _ if policy.ambiguous => (Level::Warn, "ambiguous", ": ambiguous, it may have been sent: "),
        Fate::Retry | Fate::Wait => (Level::Warn, "retry", ": not now: "),
        Fate::HoldAll | Fate::HoldKind => (Level::Warn, "held", ": held: "),
        Fate::Fail => (Level::Error, "rejected", ": rejected: "),
    };
    (level, status, what, &refusal.why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::kind::example;

    /// What becomes of three mails, each a call by itself, where the first is answered so; and how
    /// many calls were made.
    fn three(first: Cause) -> (Vec<Outcome>, usize) {
        let calls =
            Calls { tag: "", most: 1, together: |_, _| false, now: Instant::now, ascii: None };
        let batch = Batch { messages: vec![example(1), example(1), example(1)] };
        let templates = Templates::parse("1=a").unwrap();
        let mut made = 0;
        let outcomes = calls.deliver(&batch, &templates, &mut |items, _| {
            made += 1;
            let accepted = Outcome::Accepted { provider_id: String::new() };
            let outcome = if made == 1 { Outcome::refused(first, "why") } else { accepted };
            Answer::Each(vec![outcome; items.len()])
        });
        (outcomes, made)
    }

    #[test]
    fn what_is_left_of_a_batch_is_tried_or_not_as_the_policy_says() {
        for cause in Cause::all() {
            let (outcomes, made) = three(cause);
            assert_eq!(outcomes[0], Outcome::refused(cause, "why"));
            match policy::of(cause).rest {
                None => assert!(made == 3 && outcomes[1..].iter().all(Outcome::is_accepted)),
                Some(rest) => {
                    assert_eq!(made, 1, "{cause:?}");
                    let untried = Outcome::refused(rest, "why");
                    assert!(outcomes[1..].iter().all(|outcome| *outcome == untried));
                }
            }
        }
    }
}
