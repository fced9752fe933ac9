//! What the answers of Postmark mean.
//! <https://postmarkapp.com/developer/api/overview#error-codes>

use crate::mail::model::Cause;
use crate::send::reply::{Ruling, by_status};

/// Why one message was not accepted, by its `ErrorCode` and `Message`; `None`: it was. Whatever Postmark
/// may say one day is a fault.
pub fn message(code: u64, text: &str) -> Option<Cause> {
    let text = text.to_lowercase();
    Some(match code {
        // "Message OK, but will not deliver to these inactive addresses".
        0 if text.contains("will not deliver") => Cause::Rejected,
        0 => return None,
        // The token.
        10 => Cause::Credentials,
        // Maintenance.
        100 => Cause::Away,
        // The sender's address is a setting.
        300 if text.contains("'from'") => Cause::Sender,
        // Sender signature.
        400 | 401 => Cause::Sender,
        // No credits.
        405 => Cause::Quota,
        // "all recipient addresses must share the same domain as the 'From' address"
        412 if text.contains("recipient") => Cause::Rejected,
        // The account is pending, or may not send.
        412 | 413 => Cause::Account,
        429 => Cause::Throttled,
        // A bad request, an inactive recipient, too many messages.
        300 | 406 | 410 => Cause::Rejected,
        // The data does not fit the template; the template is missing or broken.
        403 | 1100..=1199 => Cause::Template,
        // The message stream is missing, archived or of another kind.
        1221..=1299 => Cause::Setup,
        _ => Cause::Fault,
    })
}

/// What to do about a call that was answered with an error; `code` is its `ErrorCode`, 0 if it has
/// none: then it may not be Postmark's.
pub fn call(status: u16, code: u64, text: &str) -> Ruling {
    match (status, code) {
        (_, 100) => Ruling::Each(Cause::Away),
        (401 | 408 | 413 | 429 | 500.., _) | (_, 0) => by_status(status),
        _ => match message(code, text) {
            // About a message, or about its kind.
            Some(Cause::Rejected | Cause::Template) | None => Ruling::Halves,
            Some(cause) => Ruling::Each(cause),
        },
    }
}
