//! The failure policy: what follows from each cause, in one table.
//!
//! A transport says of each message that it was accepted, or why not; each provider has a table of
//! its own that makes causes of its answers. Here stands what is done about a cause: to the
//! message, to what is left of its batch, and to the pace. Out of scope: reading answers, waiting,
//! writing outcomes down.

use crate::mail::model::{Cause, Outcome, Refusal, Scope, Settlement};
use std::sync::Arc;
use std::time::Duration;

/// What happens to the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is tried again and uses an attempt; after the last one it has failed.
    Retry,
    /// It is tried again and uses no attempt: it is not at fault.
    Wait,
    /// It waits with everything else until a probe finds that the cause is gone.
    HoldAll,
    /// It waits with all mail of its kind, as above.
    HoldKind,
    /// It has failed.
    Fail,
}

/// What happens to the pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// Nothing.
    Same,
    /// The rate that goes through is searched for; a pause that the provider asks for is kept.
    Slower,
    /// Where a whole batch met nothing else, nothing goes for a while.
    Pause,
    /// Nothing of what is held goes but a probe now and then.
    Probes,
}

/// What follows from a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// To the message.
    pub fate: Fate,
    /// To the messages of the batch that were not tried yet: `None`: they are tried; else they are
    /// not, and this is their cause.
    pub rest: Option<Cause>,
    /// To the pace.
    pub speed: Speed,
    /// The shortest wait until the next try, in seconds.
    pub least: u64,
    /// Whether the message may have been sent all the same.
    pub ambiguous: bool,
    /// A message that is younger does not fail, however often it was tried.
    pub patience: Duration,
}

/// For so long a message is tried whose recipient's server says "later": servers greylist for up to
/// a day, mailboxes are full over a weekend. One with a token ends when that expires.
/// <https://www.rfc-editor.org/rfc/rfc5321#section-4.5.4.1>
const PATIENCE: Duration = Duration::from_secs(4 * 24 * 3600);
/// Beyond its attempts it waits so much longer at each try.
const LATER: Duration = Duration::from_secs(90);

/// The table.
pub fn of(cause: Cause) -> Policy {
    use Cause::*;
    let (least, ambiguous, patience) = (0, false, Duration::ZERO);
    let row = |fate, rest, speed| Policy { fate, rest, speed, least, ambiguous, patience };
    match cause {
        // Those behind it would hear the same.
        Throttled => row(Fate::Wait, Some(Throttled), Speed::Slower),
        // An outage must not fail what waits for its end.
        Away => row(Fate::Wait, Some(Away), Speed::Pause),
        // It may have been passed on, so attempts bound it: nobody is to get it over and over. The
        // rest was not passed on.
        Gateway => {
            Policy { ambiguous: true, least: 30, ..row(Fate::Retry, Some(Away), Speed::Pause) }
        }
        // A lost answer says nothing of the next call.
        Unknown => Policy { ambiguous: true, ..row(Fate::Retry, None, Speed::Same) },
        // It may be of this message's making, so attempts bound it, far enough apart to outlast a
        // short fault.
        Fault => Policy { least: 30, ..row(Fate::Retry, None, Speed::Same) },
        // It is said that nothing was taken, and that later it may be: attempts would end it too soon.
        Busy => Policy { patience: PATIENCE, ..row(Fate::Retry, None, Speed::Same) },
        Rejected | Unsigned | Expired | Dropped | Superseded | Unsubscribed | Format => {
            row(Fate::Fail, None, Speed::Same)
        }
        // No message is at fault: a person must change something, or a day must pass.
        Account | Credentials | Quota | Sender | Setup | Output => {
            row(Fate::HoldAll, Some(cause), Speed::Probes)
        }
        // Mail of other kinds has other templates.
        Template => row(Fate::HoldKind, None, Speed::Probes),
        // They wait in the queue, and no provider has heard of them.
        Ineligible | Limited | Stopped => row(Fate::Wait, None, Speed::Same),
    }
}

/// What a cause holds, where the message is of this kind; `None`: nothing.
pub fn held(cause: Cause, kind: &Arc<str>) -> Option<Scope> {
    match of(cause).fate {
        Fate::HoldAll => Some(Scope::All),
        Fate::HoldKind => Some(Scope::Kind(Arc::clone(kind))),
        Fate::Retry | Fate::Wait | Fate::Fail => None,
    }
}

/// The causes for which a delivery waits so.
pub fn causes(of: Wait) -> impl Iterator<Item = Cause> {
    Cause::all().filter(move |cause| wait(*cause) == of)
}

/// What a delivery waits for that waits for this cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// For the provider or its settings: it is held.
    Held,
    /// For a provider that was not reached or took no more: it was put off.
    PutOff,
    /// For its own next try.
    Retry,
    /// For a change in the database or the settings, or its time.
    Change,
}

/// What a delivery waits for.
pub fn wait(cause: Cause) -> Wait {
    match of(cause) {
        Policy { fate: Fate::HoldAll | Fate::HoldKind, .. } => Wait::Held,
        Policy { fate: Fate::Wait, speed: Speed::Slower | Speed::Pause, .. } => Wait::PutOff,
        Policy { fate: Fate::Retry, .. } => Wait::Retry,
        Policy { fate: Fate::Wait | Fate::Fail, .. } => Wait::Change,
    }
}

/// Whether a cause is of our own making: a setting, a template or a row, not the provider's answer about
/// a recipient nor its state.
pub fn is_ours(cause: Cause) -> bool {
    match of(cause).fate {
        Fate::HoldAll | Fate::HoldKind => !matches!(cause, Cause::Account | Cause::Quota),
        Fate::Fail => cause != Cause::Rejected,
        Fate::Retry | Fate::Wait => false,
    }
}

/// The longest wait between two tries.
pub const BACKOFF_CAP: Duration = Duration::from_secs(60);

/// The wait after try number `attempt` (from 1) failed: full jitter over
/// 1 s × 2^(attempt − 1), at most 60 s.
///
/// `chance` is a random number from 0 up to 1.
pub fn backoff(attempt: u32, chance: f64) -> Duration {
    let doubled = 1u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX);
    let ceiling = Duration::from_secs(doubled).min(BACKOFF_CAP);
    ceiling.mul_f64(chance.clamp(0.0, 1.0))
}

/// What is written down about a message.
///
/// `attempts` is the number of tries before this one, `age` how long ago the message was made, as far
/// as that is known. The wait until the next try is the longest of what the provider asked for, what
/// the cause wants, and `backoff(this try's number)`; what is held waits for the next `probe`.
pub fn settlement(
    outcome: Outcome,
    attempts: u32,
    age: Option<Duration>,
    max_attempts: u32,
    backoff: impl FnOnce(u32) -> Duration,
    probe: Duration,
) -> Settlement {
    let Refusal { cause, why, after } = match outcome {
        Outcome::Accepted { provider_id } => return Settlement::Sent { provider_id },
        Outcome::Refused(refusal) => refusal,
    };
    let attempt = attempts.saturating_add(1);
    let policy = of(cause);
    let wait = || {
        let least = after.unwrap_or_default().max(Duration::from_secs(policy.least));
        least.max(backoff(attempt)).max(LATER.saturating_mul(attempt.saturating_sub(max_attempts)))
    };
    match policy.fate {
        Fate::Fail => Settlement::Failed { cause, why },
        Fate::HoldAll | Fate::HoldKind => {
            Settlement::Again { delay: probe, cause, why, counts: false }
        }
        Fate::Wait => Settlement::Again { delay: wait(), cause, why, counts: false },
        Fate::Retry if attempt >= max_attempts && age.is_none_or(|age| age >= policy.patience) => {
            Settlement::Failed { cause, why: format!("{why} (attempt {attempt}, the last)") }
        }
        Fate::Retry => Settlement::Again { delay: wait(), cause, why, counts: true },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(cause: Cause, after: Option<u64>, attempts: u32) -> Settlement {
        let after = after.map(Duration::from_secs);
        let outcome = Outcome::Refused(Refusal { cause, why: "why".to_owned(), after });
        let backoff = |attempt| Duration::from_secs(10 * u64::from(attempt));
        settlement(outcome, attempts, None, 5, backoff, Duration::from_secs(99))
    }

    #[test]
    fn a_retry_waits_the_longest_of_what_was_asked_for_what_the_cause_wants_and_the_backoff() {
        for (cause, asked, attempts, delay) in [
            (Cause::Busy, None, 0, 10),
            (Cause::Busy, Some(7), 0, 10),
            (Cause::Busy, Some(70), 2, 70),
            (Cause::Fault, None, 0, 30),
            (Cause::Gateway, Some(7), 0, 30),
            (Cause::Gateway, None, 3, 40),
            (Cause::Unknown, None, 1, 20),
        ] {
            let (delay, why) = (Duration::from_secs(delay), "why".to_owned());
            let again = Settlement::Again { delay, cause, why, counts: true };
            assert_eq!(settled(cause, asked, attempts), again);
        }
    }

    #[test]
    fn the_last_attempt_fails_with_its_cause() {
        assert!(matches!(settled(Cause::Unknown, None, 3), Settlement::Again { .. }));
        for attempts in [4, 5, u32::MAX] {
            let Settlement::Failed { cause: Cause::Unknown, why } =
                settled(Cause::Unknown, None, attempts)
            else {
                panic!()
            };
            assert!(why.starts_with("why (attempt "), "{why}");
        }
    }

    #[test]
    fn a_mail_that_is_put_off_by_its_recipient_is_tried_ever_more_rarely_for_four_days() {
        let after = Some(Duration::from_secs(90));
        let (mut age, mut attempts, mut waits) = (Duration::ZERO, 0, Vec::new());
        loop {
            let outcome =
                Outcome::Refused(Refusal { cause: Cause::Busy, why: "why".to_owned(), after });
            let backoff = |_| Duration::ZERO;
            match settlement(outcome, attempts, Some(age), 5, backoff, Duration::ZERO) {
                Settlement::Again { delay, counts: true, .. } => {
                    (age, attempts) = (age + delay, attempts + 1);
                    waits.push(delay.as_secs());
                }
                settled => break assert!(matches!(settled, Settlement::Failed { .. })),
            }
        }
        assert_eq!(waits[..9], [90, 90, 90, 90, 90, 90, 180, 270, 360]);
        assert!(waits.is_sorted() && waits.len() < 100, "{}", waits.len());
        assert!((PATIENCE..PATIENCE + Duration::from_secs(3 * 3600)).contains(&age), "{age:?}");
    }

    #[test]
    fn what_is_not_the_messages_fault_uses_no_attempt_however_often_it_is_met() {
        for cause in [Cause::Away, Cause::Throttled, Cause::Stopped] {
            let settled = settled(cause, None, 100);
            assert!(matches!(settled, Settlement::Again { counts: false, .. }), "{settled:?}");
        }
        for cause in causes(Wait::Held) {
            let (delay, why) = (Duration::from_secs(99), "why".to_owned());
            let again = Settlement::Again { delay, cause, why, counts: false };
            assert_eq!(settled(cause, Some(200), 100), again);
        }
    }

    #[test]
    fn acceptance_and_rejection_are_final() {
        let sent = Outcome::Accepted { provider_id: "id".into() };
        let settled_at_once =
            |outcome| settlement(outcome, 9, None, 5, |_| Duration::ZERO, Duration::ZERO);
        assert_eq!(settled_at_once(sent), Settlement::Sent { provider_id: "id".into() });
        let rejected = Outcome::refused(Cause::Rejected, "bad");
        let failed = Settlement::Failed { cause: Cause::Rejected, why: "bad".into() };
        assert_eq!(settled_at_once(rejected), failed);
    }

    #[test]
    fn a_template_holds_its_kind_and_other_holds_hold_everything() {
        let kind = "invoice_ready".into();
        assert_eq!(held(Cause::Template, &kind), Some(Scope::Kind(Arc::clone(&kind))));
        assert_eq!(held(Cause::Account, &kind), Some(Scope::All));
        assert_eq!(held(Cause::Busy, &kind), None);
        for cause in Cause::all() {
            let policy = of(cause);
            assert_eq!(policy.speed == Speed::Probes, held(cause, &kind).is_some(), "{cause:?}");
            // What was not tried was not sent, and is not at fault.
            let rest = policy.rest.map(of);
            assert!(rest.is_none_or(|rest| !rest.ambiguous && rest.fate != Fate::Fail));
        }
    }

    #[test]
    fn backoff_doubles_from_one_second_to_sixty_with_full_jitter() {
        let ceilings: Vec<u64> = (1..=8).map(|n| backoff(n, 1.0).as_secs()).collect();
        assert_eq!(ceilings, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff(200, 1.0), BACKOFF_CAP);
        assert_eq!(backoff(3, 0.0), Duration::ZERO);
        assert_eq!(backoff(3, 0.5), Duration::from_secs(2));
    }
}
