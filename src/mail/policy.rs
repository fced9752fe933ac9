//! The failure policy: what follows from each cause, in one table.
//!
//! A transport says of each message that it was accepted, or why not; each provider has a table of
//! its own that makes causes of its answers. Here stands what is done about a cause: to the
//! message, to what is left of its batch, and to the pace. Out of scope: reading answers, waiting,
//! writing outcomes down.

use crate::mail::model::{Cause, Outcome, Refusal, Scope, Settlement};
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
    /// The rate is halved; a pause that the provider asks for is kept.
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
}

/// The table.
pub fn of(cause: Cause) -> Policy {
    use Cause::{
        Account, Away, Busy, Credentials, Dropped, Expired, Fault, Format, Gateway, Ineligible,
        Limited, Output, Quota, Rejected, Sender, Setup, Stopped, Superseded, Template, Throttled,
        Unknown, Unsigned,
    };
    let row = |fate, rest, speed| Policy { fate, rest, speed, least: 0, ambiguous: false };
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
        Busy => row(Fate::Retry, None, Speed::Same),
        Rejected | Unsigned | Expired | Dropped | Superseded | Format => {
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
pub fn held(cause: Cause, kind: u16) -> Option<Scope> {
    match of(cause).fate {
        Fate::HoldAll => Some(Scope::All),
        Fate::HoldKind => Some(Scope::Kind(kind)),
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
    /// For a change in the database, or its time.
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

/// What is written down about a message.
///
/// `attempts` is the number of tries before this one. The wait until the next try is the longest of
/// what the provider asked for, what the cause wants, and `backoff(this try's number)`; what is held
/// waits for the next `probe`.
pub fn settlement(
    outcome: Outcome,
    attempts: u32,
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
        least.max(backoff(attempt))
    };
    match policy.fate {
        Fate::Fail => Settlement::Failed { cause, why },
        Fate::HoldAll | Fate::HoldKind => {
            Settlement::Again { delay: probe, cause, why, counts: false }
        }
        Fate::Wait => Settlement::Again { delay: wait(), cause, why, counts: false },
        Fate::Retry if attempt >= max_attempts => {
            Settlement::Failed { cause, why: format!("{why} (attempt {attempt}, the last)") }
        }
        Fate::Retry => Settlement::Again { delay: wait(), cause, why, counts: true },
    }
}

/// The longest reason that is kept, in characters; a provider's text may be of any length.
const WHY_LIMIT: usize = 300;

/// The longest id of a message; a token is longer.
const ID_LIMIT: usize = 80;

/// The shortest run of letters and digits that could be a secret: 32 bytes in base64.
const SECRET_LEN: usize = 43;

/// A call that was answered with anything but a success.
#[derive(Clone, Debug, Default)]
pub struct ErrorReply {
    /// HTTP status.
    pub status: u16,
    /// The error code; empty if there was none.
    pub code: String,
    /// The provider's explanation; may be empty.
    pub message: String,
    /// The wait that the provider asked for.
    pub after: Option<Duration>,
}

/// What was done already about this call, so that it is done once only.
#[derive(Clone, Copy, Debug, Default)]
pub struct Remedies {
    /// The credentials were fetched anew.
    pub refreshed: bool,
    /// The clock offset was taken from the provider's clock.
    pub corrected: bool,
}

/// What to do about a call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum CallVerdict {
    /// This is why every message of the call is refused.
    Each(Refusal),
    /// Some message is at fault: call again with each half. A message alone is rejected with this
    /// reason.
    Split(String),
    /// Fetch the credentials anew and call again.
    RefreshCredentials(String),
    /// Take the time from the reply's `Date` header and call again.
    CorrectClock(String),
}

/// The longest wait that is heeded: who asks for hours may be back long before, and tokens do not
/// live so long.
const WAIT_LIMIT: Duration = Duration::from_secs(300);

/// The wait that a reply asks for, at most five minutes: `x-amz-retry-after` in milliseconds, else
/// `Retry-After` in seconds; `until` reads the other form of `Retry-After`, an HTTP date, as a wait
/// from now.
/// <https://www.rfc-editor.org/rfc/rfc9110#field.retry-after>
pub fn wait_asked(
    amz_retry_after: Option<&str>,
    retry_after: Option<&str>,
    until: impl FnOnce(&str) -> Option<Duration>,
) -> Option<Duration> {
    let millis = amz_retry_after.and_then(|text| whole(text.trim()));
    let wait = millis.map(Duration::from_millis).or_else(|| {
        let text = retry_after?.trim();
        whole(text).map(Duration::from_secs).or_else(|| until(text))
    });
    wait.map(|wait| wait.min(WAIT_LIMIT))
}

/// A whole number; one of more digits than fit is the largest.
fn whole(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// A provider's id of a message, if it is one: it is logged and stored, and whoever answers might
/// quote what it was sent.
pub(crate) fn identifier(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_id = text.len() <= ID_LIMIT && text.chars().all(is_plain);
    if is_id { text.to_owned() } else { "(no id)".to_owned() }
}

/// A provider's text on one line, of bounded length, and with addresses and secrets masked.
pub fn clean(text: &str) -> String {
    reason(text, "")
}

/// `what: detail`, on one line, of bounded length, and with addresses and secrets masked:
/// providers quote what they were sent.
pub(crate) fn reason(what: &str, detail: &str) -> String {
    let text = if detail.is_empty() { what.to_owned() } else { format!("{what}: {detail}") };
    let mut out = String::new();
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&without_secrets(word));
    }
    match out.char_indices().nth(WHY_LIMIT) {
        Some((end, _)) => format!("{}…", &out[..end]),
        None => out,
    }
}

/// A word with what stands before its last `@` masked; nothing of it if it could be a token.
fn without_secrets(word: &str) -> String {
    let is_token = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if word.split(|c| !is_token(c)).any(|run| run.len() >= SECRET_LEN) {
        "***".to_owned()
    } else if word.contains('@') {
        crate::mail::model::mask(word)
    } else {
        word.to_owned()
    }
}

/// Not accepted, for this cause.
pub(crate) fn refusal(cause: Cause, why: String, after: Option<Duration>) -> Refusal {
    Refusal { cause, why, after }
}

/// A call without a readable answer, for each of its messages; `sent`: something of it left.
pub fn fault(sent: bool, why: &str) -> Refusal {
    match sent {
        false => refusal(Cause::Away, reason("not sent", why), None),
        true => refusal(Cause::Unknown, reason("no answer", why), None),
    }
}

/// A call that was answered with a status of 408 or 5xx: who stands in front of the service says
/// that it is not there (503), had the request (502, 504), or it is an error inside.
/// <https://www.rfc-editor.org/rfc/rfc9110#section-15.6>
pub(crate) fn by_server_error(status: u16) -> Cause {
    match status {
        408 | 503 => Cause::Away,
        502 | 504 => Cause::Gateway,
        _ => Cause::Fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_read_in_milliseconds_seconds_or_as_a_date() {
        let never = |_: &str| None;
        let date = |_: &str| Some(Duration::from_secs(9));
        let millis = Some(Duration::from_millis(1500));
        assert_eq!(wait_asked(Some("1500"), Some("7"), never), millis);
        assert_eq!(wait_asked(None, Some(" 7 "), never), Some(Duration::from_secs(7)));
        assert_eq!(wait_asked(Some("soon"), Some("7"), never), Some(Duration::from_secs(7)));
        assert_eq!(
            wait_asked(None, Some("Sun, 06 Nov 1994 08:49:37 GMT"), date),
            Some(Duration::from_secs(9))
        );
        assert_eq!(wait_asked(None, Some("-3"), never), None);
        assert_eq!(wait_asked(None, None, never), None);
        for endless in ["18446744073709551615", "99999999999999999999", "86400"] {
            assert_eq!(wait_asked(None, Some(endless), never), Some(WAIT_LIMIT));
        }
    }

    fn settled(cause: Cause, after: Option<u64>, attempts: u32) -> Settlement {
        let after = after.map(Duration::from_secs);
        let outcome = Outcome::Refused(Refusal { cause, why: "why".to_owned(), after });
        let backoff = |attempt| Duration::from_secs(10 * u64::from(attempt));
        settlement(outcome, attempts, 5, backoff, Duration::from_secs(99))
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
            |outcome| settlement(outcome, 9, 5, |_| Duration::ZERO, Duration::ZERO);
        assert_eq!(settled_at_once(sent), Settlement::Sent { provider_id: "id".into() });
        let rejected = Outcome::refused(Cause::Rejected, "bad");
        let failed = Settlement::Failed { cause: Cause::Rejected, why: "bad".into() };
        assert_eq!(settled_at_once(rejected), failed);
    }

    #[test]
    fn a_template_holds_its_kind_and_other_holds_hold_everything() {
        assert_eq!(held(Cause::Template, 7), Some(Scope::Kind(7)));
        assert_eq!(held(Cause::Account, 7), Some(Scope::All));
        assert_eq!(held(Cause::Busy, 7), None);
        for cause in Cause::all() {
            let policy = of(cause);
            assert_eq!(policy.speed == Speed::Probes, held(cause, 1).is_some(), "{cause:?}");
            // What was not tried was not sent, and is not at fault.
            let rest = policy.rest.map(of);
            assert!(rest.is_none_or(|rest| !rest.ambiguous && rest.fate != Fate::Fail));
        }
    }

    #[test]
    fn a_reason_is_one_short_line_without_the_address() {
        let text = format!("Address <john@example.com>\n is bad {}", "x ".repeat(1000));
        let why = reason("MESSAGE_REJECTED", &text);
        assert!(why.starts_with("MESSAGE_REJECTED: Address "), "{why}");
        assert!(!why.contains("john") && !why.contains('\n'));
        assert_eq!(why.chars().count(), WHY_LIMIT + 1);
    }

    #[test]
    fn an_id_that_quotes_what_was_sent_is_none() {
        let real = "0107018f2c5b3a4d-1f0e8c5e-7a0b-4d7c-9a55-3d1c2b6f9e10-000000";
        assert_eq!(identifier(real), real);
        assert_eq!(identifier(""), "");
        for quoted in ["ann@example.com", "{\"code\":\"12345\"}", &"aZ-_".repeat(22), "a\nb"] {
            assert_eq!(identifier(quoted), "(no id)");
        }
    }

    #[test]
    fn a_reason_shows_no_token_and_no_secret() {
        let secrets = ["aZ-_".repeat(22), "5a".repeat(32), format!("{}=", "A".repeat(43))];
        for secret in secrets {
            let text = format!("bad data {{\"secret\":\"{secret}\"}} here");
            assert_eq!(reason("MESSAGE_REJECTED", &text), "MESSAGE_REJECTED: bad data *** here");
        }
    }
}
