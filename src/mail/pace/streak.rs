//! Many recipients in a row that are refused alike: then it is we who are meant.
//!
//! Providers refuse us in words that nobody can list, and at the recipient. Mails that all fail for
//! our own fault would be lost; so from a number of refusals in a row on they count as a fault of the
//! setup, which holds everything and is probed. When a probe is accepted it was the recipients after
//! all, and the next streak must be twice as long: no refused mail is held for ever.

use crate::mail::model::{Cause, Message, Outcome, Refusal};
use std::collections::BTreeSet;

/// So many different recipients in a row are no chance: as many as a batch has by default.
const MANY: usize = 10;

/// The refusals since a message was last accepted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Streak {
    /// What was said of each, without what differs.
    why: String,
    recipients: BTreeSet<String>,
    /// So many more than [`MANY`] are a streak.
    more: usize,
}

impl Streak {
    /// Looks at the outcomes of a batch, and makes those of a streak the setup's.
    pub(crate) fn judge(&mut self, messages: &[Message], outcomes: &mut [Outcome]) {
        let many = MANY + self.more;
        if outcomes.iter().any(Outcome::is_accepted) {
            if self.recipients.len() >= many {
                self.more += many;
            }
            self.recipients.clear();
            return;
        }
        for (message, refusal) in rejected(messages, outcomes) {
            let why = alike(&refusal.why);
            if why != self.why {
                (self.why, self.recipients) = (why, BTreeSet::new());
            }
            // No more are needed.
            if self.recipients.len() < many {
                self.recipients.insert(message.email.clone());
            }
        }
        if self.recipients.len() < many {
            return;
        }
        for (_, refusal) in rejected(messages, outcomes) {
            if alike(&refusal.why) == self.why {
                let why = format!("{many} recipients in a row were refused alike");
                (refusal.cause, refusal.why) = (Cause::Setup, format!("{why}: {}", refusal.why));
            }
        }
    }
}

/// The messages that were refused for ever.
fn rejected<'a>(
    messages: &'a [Message],
    outcomes: &'a mut [Outcome],
) -> impl Iterator<Item = (&'a Message, &'a mut Refusal)> {
    messages.iter().zip(outcomes).filter_map(|(message, outcome)| match outcome {
        Outcome::Refused(refusal) if refusal.cause == Cause::Rejected => Some((message, refusal)),
        _ => None,
    })
}

/// A reason without what differs between recipients: addresses, host names, numbers.
fn alike(why: &str) -> String {
    let is_same = |word: &&str| !word.contains(|c: char| c == '@' || c.is_ascii_digit());
    why.split_whitespace().filter(is_same).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(numbers: std::ops::Range<usize>) -> Vec<Message> {
        let email = |number| format!("user{number}@example.com");
        numbers.map(|number| Message { email: email(number), ..Message::default() }).collect()
    }

    /// How many of these recipients count as refused for our fault, where each was refused so.
    fn ours(streak: &mut Streak, numbers: std::ops::Range<usize>, why: &str) -> usize {
        let refused = |number| {
            Outcome::refused(
                Cause::Rejected,
                format!("550 {why}: u***@host{number}.example {number}"),
            )
        };
        let mut outcomes: Vec<Outcome> = numbers.clone().map(refused).collect();
        streak.judge(&messages(numbers), &mut outcomes);
        let ours =
            |one: &&Outcome| matches!(one, Outcome::Refused(one) if one.cause == Cause::Setup);
        outcomes.iter().filter(ours).count()
    }

    fn accept(streak: &mut Streak) {
        let mut outcomes = [Outcome::Accepted { provider_id: String::new() }];
        streak.judge(&messages(0..1), &mut outcomes);
    }

    #[test]
    fn ten_recipients_in_a_row_that_are_refused_alike_are_our_fault() {
        let mut streak = Streak::default();
        assert_eq!(ours(&mut streak, 0..10, "no"), 10, "a whole batch");
        assert_eq!(ours(&mut streak, 3..4, "no"), 1, "the probe");
        let mut streak = Streak::default();
        assert_eq!((0..12).map(|n| ours(&mut streak, n..n + 1, "no")).sum::<usize>(), 3);
    }

    #[test]
    fn the_same_recipient_another_reason_or_an_acceptance_makes_no_streak() {
        let mut streak = Streak::default();
        assert_eq!((0..20).map(|_| ours(&mut streak, 1..2, "no")).sum::<usize>(), 0);
        let mut streak = Streak::default();
        let reasons = ["no such user", "mailbox is closed"];
        let one = |n: usize| ours(&mut streak, n..n + 1, reasons[n % 2]);
        assert_eq!((0..20).map(one).sum::<usize>(), 0);
        let mut streak = Streak::default();
        for n in 0..20 {
            assert_eq!(ours(&mut streak, n..n + 1, "no"), 0);
            if n % 7 == 0 {
                accept(&mut streak);
            }
        }
    }

    #[test]
    fn after_each_streak_that_was_the_recipients_fault_the_next_must_be_twice_as_long() {
        let mut streak = Streak::default();
        for many in [10, 20, 40] {
            assert_eq!(ours(&mut streak, 0..many - 1, "no"), 0);
            assert_eq!(ours(&mut streak, many..many + 1, "no"), 1);
            accept(&mut streak);
        }
    }
}
