//! What the answers of Postmark mean.
//! <https://postmarkapp.com/developer/api/overview#error-codes>

use crate::mail::model::{Cause, Outcome};
use crate::mail::policy::{CallVerdict, ErrorReply, by_server_error, identifier, reason, refusal};

/// The verdict on one message of a Postmark reply: its `ErrorCode`, `Message` and `MessageID`.
pub fn message(code: u64, text: &str, id: &str) -> Outcome {
    match by_code(code, text) {
        None => Outcome::Accepted { provider_id: identifier(id) },
        Some(cause) => {
            Outcome::Refused(refusal(cause, reason(&format!("error {code}"), text), None))
        }
    }
}

/// What an error code of Postmark means; `None`: no error.
fn by_code(code: u64, text: &str) -> Option<Cause> {
    Some(match code {
        0 => return None,
        10 => Cause::Credentials,
        100 => Cause::Away,
        429 => Cause::Throttled,
        // Also said of the From address, which is a setting.
        300 if text.to_lowercase().contains("'from'") => Cause::Sender,
        300 | 406 => Cause::Rejected,
        400 | 401 => Cause::Sender,
        // Credits, account that is pending or may not send.
        405 => Cause::Quota,
        412 | 413 => Cause::Account,
        // The data does not fit the template; the template is missing or broken.
        403 | 1100..=1199 => Cause::Template,
        // The message stream is missing, archived or of another kind.
        1221..=1299 => Cause::Setup,
        // Whatever Postmark may say one day.
        _ => Cause::Busy,
    })
}

/// The verdict on a call that Postmark answered with an error; `reply.code` is its `ErrorCode`.
///
/// A code that is about a message splits the call; alone, [`message`] has the verdict.
pub fn call(reply: &ErrorReply) -> CallVerdict {
    let code = reply.code.parse().unwrap_or(0);
    let why = match code {
        0 => reason(&format!("HTTP {}", reply.status), &reply.message),
        _ => reason(&format!("error {code}"), &reply.message),
    };
    let cause = match (reply.status, code) {
        (429, _) | (_, 429) => Cause::Throttled,
        (401, _) => Cause::Credentials,
        (_, 100) => Cause::Away,
        (408 | 500..=599, _) => by_server_error(reply.status),
        (413, _) | (_, 300 | 403 | 406 | 410 | 1100..=1199) => return CallVerdict::Split(why),
        (422, 0) => return CallVerdict::Split(why),
        // Not Postmark, which gives a code: a 400 comes from a proxy or a wrong port.
        (300..=400 | 403..=405 | 415, 0) => Cause::Setup,
        (_, code) => by_code(code, &reply.message).unwrap_or(Cause::Fault),
    };
    CallVerdict::Each(refusal(cause, why, reply.after))
}
