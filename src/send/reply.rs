//! What the replies of an HTTP API have in common: statuses, waits, and calls without a reply.

use crate::edges::http::{Fault, Reply};
use crate::mail::model::{Cause, Message, Outcome, Refusal};
use crate::send::calls::Answer;
use crate::send::text::reason;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// What to do about a call that was answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Ruling {
    /// This is why none of its messages is accepted.
    Each(Cause),
    /// Some message is at fault: halves are called. A message alone is rejected.
    Halves,
    /// Once more, with credentials that are fetched anew.
    NewCredentials,
    /// Once more, by the provider's clock.
    ItsClock,
}

/// What a status means by itself. It may not be the provider's: who stands before it, or at a wrong
/// port, answers so too.
/// <https://www.rfc-editor.org/rfc/rfc9110#section-15>
pub(crate) fn by_status(status: u16) -> Ruling {
    Ruling::Each(match status {
        // The request is refused as it is; halves tell which message is at fault.
        413 | 422 => return Ruling::Halves,
        401 | 403 => Cause::Credentials,
        408 | 503 => Cause::Away,
        429 => Cause::Throttled,
        // No message is at fault when a wrong endpoint answers.
        300..=405 | 415 => Cause::Setup,
        502 | 504 => Cause::Gateway,
        _ => Cause::Fault,
    })
}

/// The longest wait that is heeded, in seconds: who asks for hours may be back long before, and
/// tokens do not live so long.
const WAIT_LIMIT: f64 = 300.0;

/// The wait that a reply asks for, at most five minutes: `x-amz-retry-after` in milliseconds, else
/// `Retry-After` in seconds or as an HTTP date.
/// <https://www.rfc-editor.org/rfc/rfc9110#field.retry-after>
pub(crate) fn wait_asked(reply: &Reply, now: OffsetDateTime) -> Option<Duration> {
    let number = |name| reply.header(name)?.trim().parse::<f64>().ok();
    let date = || {
        let at = OffsetDateTime::parse(reply.header("retry-after")?.trim(), &Rfc2822).ok()?;
        Some((at - now).as_seconds_f64())
    };
    let millis = number("x-amz-retry-after").map(|millis| millis / 1000.0);
    let seconds = millis.or_else(|| number("retry-after")).or_else(date)?;
    (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(WAIT_LIMIT)))
}

/// A call without a whole reply.
pub(crate) fn lost(fault: &Fault) -> Refusal {
    let (cause, what) =
        if fault.sent { (Cause::Unknown, "no answer") } else { (Cause::Away, "not sent") };
    Refusal { cause, why: reason(what, &fault.why), after: None }
}

/// A success that says nothing of the messages: who stands before the provider answered in its
/// place.
pub(crate) fn unreadable(why: &str) -> Refusal {
    Refusal { cause: Cause::Gateway, why: reason("no answer", why), after: None }
}

/// What a success says of each message: `results` stand in the order of the call.
pub(crate) fn each<T>(
    results: Option<Vec<T>>,
    messages: &[&Message],
    outcome: impl Fn(T, &Message) -> Outcome,
) -> Answer {
    let why = match results {
        Some(results) if results.len() == messages.len() => {
            let both = results.into_iter().zip(messages);
            return Answer::Each(both.map(|(one, message)| outcome(one, message)).collect());
        }
        Some(results) => {
            format!("the reply has {} results for {} messages", results.len(), messages.len())
        }
        None => "the reply has no results".to_owned(),
    };
    Answer::None(unreadable(&why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue, StatusCode};

    fn asked(headers: &[(&'static str, &str)]) -> Option<Duration> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let reply =
            Reply { status: StatusCode::SERVICE_UNAVAILABLE, headers: map, body: Vec::new() };
        wait_asked(&reply, OffsetDateTime::from_unix_timestamp(784_111_777 - 9).unwrap())
    }

    #[test]
    fn the_wait_is_read_in_milliseconds_seconds_or_as_a_date() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let (amz, plain) = ("x-amz-retry-after", "retry-after");
        assert_eq!(asked(&[(amz, "1500"), (plain, "7")]), Some(Duration::from_millis(1500)));
        assert_eq!(asked(&[(plain, " 7 ")]), seconds(7));
        assert_eq!(asked(&[(amz, "soon"), (plain, "7")]), seconds(7));
        assert_eq!(asked(&[(plain, "Sun, 06 Nov 1994 08:49:37 GMT")]), seconds(9));
        assert_eq!(asked(&[(plain, "Sun, 06 Nov 1994 08:49:00 GMT")]), None);
        assert_eq!(asked(&[(plain, "-3")]), None);
        assert_eq!(asked(&[(plain, "NaN")]), None);
        assert_eq!(asked(&[]), None);
        for endless in ["18446744073709551615", "99999999999999999999", "86400", "inf"] {
            assert_eq!(asked(&[(plain, endless)]), seconds(300));
        }
    }
}
