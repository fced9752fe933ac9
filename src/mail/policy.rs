//! The failure policy: every answer of a provider, and what is done about it.
//!
//! In scope: plain facts in, a verdict out. Out of scope: reading replies, sending again, waiting,
//! writing outcomes down. Here: what holds for every provider. Below: what the answers of each
//! mean.

use crate::mail::model::{HELD, Outcome, PUT_OFF, Scope, Settlement};
use std::time::Duration;

/// The longest reason that is kept, in characters; a provider's text may be of any length.
const WHY_LIMIT: usize = 300;

/// The longest id of a message; a token is longer.
const ID_LIMIT: usize = 80;

/// The shortest run of letters and digits that could be a secret: 32 bytes in base64.
const SECRET_LEN: usize = 43;

/// A call that was answered with anything but a success.
#[derive(Clone, Debug, Default)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The error code; empty if there was none.
    pub code: String,
    /// The provider's explanation; may be empty.
    pub message: String,
    /// The wait that the provider asked for.
    pub after: Option<Duration>,
}

/// A call that got no readable answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No byte of the request left: resolving, connecting or the TLS handshake failed.
    NothingSent,
    /// The request, or a part of it, left; whether it was acted on is not known.
    Unknown,
}

impl Fault {
    /// What is known of a call; `sent`: something of it left.
    pub fn of(sent: bool) -> Fault {
        if sent { Fault::Unknown } else { Fault::NothingSent }
    }
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
    /// This is the outcome of every message of the call.
    Each(Outcome),
    /// Some message is at fault: call again with each half. A message alone is rejected with this
    /// reason.
    Split(String),
    /// Fetch the credentials anew and call again.
    RefreshCredentials(String),
    /// Take the time from the reply's `Date` header and call again.
    CorrectClock(String),
}

/// The verdict on a call without a readable answer, for each of its messages.
pub fn fault(fault: Fault, why: &str) -> Outcome {
    match fault {
        Fault::NothingSent => away(reason("not sent", why), None),
        Fault::Unknown => retry(reason("no answer", why), None, true, false),
    }
}

/// The verdict on messages of an action that has no template.
pub fn no_template(action: u16) -> Outcome {
    Outcome::Hold {
        scope: Scope::Action(action),
        why: format!("no template for action {action} in MAILROOM_TEMPLATES"),
    }
}

/// The verdict when a mail cannot be made from its template.
pub fn unrendered(action: u16, why: &str) -> Outcome {
    Outcome::Hold { scope: Scope::Action(action), why: reason("template", why) }
}

/// The verdict when there are no credentials to sign with.
pub fn no_credentials(why: &str) -> Outcome {
    Outcome::Hold { scope: Scope::All, why: reason("no credentials", why) }
}

/// The longest wait that is heeded: who asks for hours may be back long before, and tokens do not
/// live so long.
const WAIT_LIMIT: Duration = Duration::from_secs(300);

/// The shortest wait after an error inside the provider.
const FAULTY: Duration = Duration::from_secs(30);

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

/// What is written down about a message.
///
/// `attempts` is the number of tries before this one. A retry uses an attempt and waits the longer
/// of what the provider asked for and `backoff(this try's number)`; after `max_attempts` tries the
/// message has failed. A try that met no provider, or that came too fast for it, uses no attempt:
/// the message is not at fault, and an outage must not fail what waits for its end. It does if the
/// message may have been sent all the same: nobody is to get it over and over. A hold uses none
/// either and waits for the next `probe`.
pub fn settlement(
    outcome: Outcome,
    attempts: u32,
    max_attempts: u32,
    backoff: impl FnOnce(u32) -> Duration,
    probe: Duration,
) -> Settlement {
    match outcome {
        Outcome::Accepted { provider_id } => Settlement::Sent { provider_id },
        Outcome::Reject { why } => Settlement::Failed { why },
        Outcome::Hold { why, .. } => {
            Settlement::Again { delay: probe, why: format!("{HELD}{why}"), counts: false }
        }
        Outcome::Retry { after, why, throttled, away, ambiguous } => {
            let attempt = attempts.saturating_add(1);
            let delay = after.unwrap_or_default().max(backoff(attempt));
            if throttled || away && !ambiguous {
                return Settlement::Again { delay, why: format!("{PUT_OFF}{why}"), counts: false };
            }
            if attempt >= max_attempts {
                return Settlement::Failed { why: format!("{why} (attempt {attempt}, the last)") };
            }
            Settlement::Again { delay, why, counts: true }
        }
    }
}

/// A provider's id of a message, if it is one: it is logged and stored, and whoever answers might
/// quote what it was sent.
pub(crate) fn identifier(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_id = text.len() <= ID_LIMIT && text.chars().all(is_plain);
    if is_id { text.to_owned() } else { "(no id)".to_owned() }
}

/// The provider cannot serve, whatever it is asked.
pub(crate) fn away(why: String, after: Option<Duration>) -> Outcome {
    Outcome::Retry { after, why, ambiguous: false, throttled: false, away: true }
}

/// The verdict on a call that was answered with a status of 408 or 5xx. Who stands in front of the
/// service says that it is not there; an error inside may be of this call's making, so attempts
/// bound it, far enough apart to outlast a short fault. A gateway (502, 504) had the request, and
/// may have passed it on: whether it was acted on is not known, so attempts bound that too.
/// <https://www.rfc-editor.org/rfc/rfc9110#section-15.6>
pub(crate) fn by_server_error(refusal: &Refusal, why: String) -> Outcome {
    match refusal.status {
        408 | 503 => away(why, refusal.after),
        502 | 504 => Outcome::Retry {
            after: Some(refusal.after.unwrap_or_default().max(FAULTY)),
            why,
            ambiguous: true,
            throttled: false,
            away: true,
        },
        _ => retry(why, Some(refusal.after.unwrap_or_default().max(FAULTY)), false, false),
    }
}

pub(crate) fn retry(
    why: String,
    after: Option<Duration>,
    ambiguous: bool,
    throttled: bool,
) -> Outcome {
    Outcome::Retry { after, why, ambiguous, throttled, away: false }
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

    fn settled(outcome: Outcome, attempts: u32) -> Settlement {
        let backoff = |attempt| Duration::from_secs(10 * u64::from(attempt));
        settlement(outcome, attempts, 5, backoff, Duration::from_secs(30))
    }

    #[test]
    fn a_retry_waits_the_longer_of_what_was_asked_for_and_the_backoff() {
        for (asked, attempts, delay) in [(None, 0, 10), (Some(7), 0, 10), (Some(70), 2, 70)] {
            let after = asked.map(Duration::from_secs);
            let delay = Duration::from_secs(delay);
            let why = "busy".to_owned();
            assert_eq!(
                settled(retry(why.clone(), after, false, false), attempts),
                Settlement::Again { delay, why, counts: true }
            );
        }
    }

    #[test]
    fn the_last_attempt_fails_with_the_reason() {
        let busy = || retry("busy".to_owned(), None, true, false);
        assert!(matches!(settled(busy(), 3), Settlement::Again { .. }));
        for attempts in [4, 5, u32::MAX] {
            let Settlement::Failed { why } = settled(busy(), attempts) else { panic!() };
            assert!(why.starts_with("busy (attempt "), "{why}");
        }
    }

    #[test]
    fn a_provider_that_is_away_or_throttles_uses_no_attempt() {
        let throttled = retry("too fast".to_owned(), None, false, true);
        for outcome in [throttled, fault(Fault::NothingSent, "connection refused")] {
            let settled = settled(outcome, 100);
            assert!(matches!(settled, Settlement::Again { counts: false, .. }), "{settled:?}");
        }
    }

    #[test]
    fn a_hold_uses_no_attempt_however_often_it_is_met() {
        let hold = Outcome::Hold { scope: Scope::All, why: "paused".into() };
        let (delay, why) = (Duration::from_secs(30), "held: paused".to_owned());
        assert_eq!(settled(hold, 100), Settlement::Again { delay, why, counts: false });
    }

    #[test]
    fn acceptance_and_rejection_are_final() {
        let sent = Outcome::Accepted { provider_id: "id".into() };
        assert_eq!(settled(sent, 9), Settlement::Sent { provider_id: "id".into() });
        let rejected = Outcome::Reject { why: "bad".into() };
        assert_eq!(settled(rejected, 0), Settlement::Failed { why: "bad".into() });
    }

    #[test]
    fn a_reason_is_one_short_line_without_the_address() {
        let text = format!("Address <john@example.com>\n is bad {}", "x ".repeat(1000));
        let Outcome::Reject { why } =
            crate::send::ses::causes::entry("MESSAGE_REJECTED", &text, "", 1)
        else {
            panic!()
        };
        assert!(why.starts_with("MESSAGE_REJECTED: Address "), "{why}");
        assert!(!why.contains("john") && !why.contains('\n'));
        assert_eq!(why.chars().count(), WHY_LIMIT + 1);
    }

    #[test]
    fn an_id_that_quotes_what_was_sent_is_none() {
        let id = |text: &str| match crate::send::ses::causes::entry("SUCCESS", "", text, 1) {
            Outcome::Accepted { provider_id } => provider_id,
            other => panic!("{other:?}"),
        };
        let real = "0107018f2c5b3a4d-1f0e8c5e-7a0b-4d7c-9a55-3d1c2b6f9e10-000000";
        assert_eq!(id(real), real);
        assert_eq!(id(""), "");
        for quoted in ["ann@example.com", "{\"code\":\"12345\"}", &"aZ-_".repeat(22), "a\nb"] {
            assert_eq!(id(quoted), "(no id)");
        }
    }

    #[test]
    fn a_reason_shows_no_token_and_no_secret() {
        let secrets = ["aZ-_".repeat(22), "5a".repeat(32), format!("{}=", "A".repeat(43))];
        for secret in secrets {
            let text = format!("bad data {{\"secret\":\"{secret}\"}} here");
            let Outcome::Reject { why } =
                crate::send::ses::causes::entry("MESSAGE_REJECTED", &text, "", 1)
            else {
                panic!()
            };
            assert_eq!(why, "MESSAGE_REJECTED: bad data *** here");
        }
    }
}
