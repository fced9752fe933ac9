//! What the answers of Postmark mean.
//! <https://postmarkapp.com/developer/api/overview#error-codes>

use crate::mail::model::{Outcome, Scope};
use crate::mail::policy::{CallVerdict, Refusal, away, by_server_error, identifier, reason, retry};

/// The verdict on one message of a Postmark reply: its `ErrorCode`, `Message` and `MessageID`.
pub fn message(code: u64, text: &str, id: &str, action: u16) -> Outcome {
    let why = reason(&format!("error {code}"), text);
    let hold = |scope, why| Outcome::Hold { scope, why };
    match code {
        0 => Outcome::Accepted { provider_id: identifier(id) },
        100 => retry(why, None, false, false),
        429 => retry(why, None, false, true),
        // Also said of the From address, which is a setting.
        300 if text.to_lowercase().contains("'from'") => hold(Scope::All, why),
        300 | 406 => Outcome::Reject { why },
        // Token, sender signature, credits, account that is pending or may not send.
        10 | 400 | 401 | 405 | 412 | 413 => hold(Scope::All, why),
        // The data does not fit the template; the template is missing or broken.
        403 | 1100..=1199 => hold(Scope::Action(action), why),
        // The message stream is missing, archived or of another kind.
        1221..=1299 => hold(Scope::All, why),
        // Whatever Postmark may say one day: the attempts bound it.
        _ => retry(why, None, false, false),
    }
}

/// The verdict on a call that Postmark answered with an error; `refusal.code` is its `ErrorCode`.
///
/// A code that is about a message splits the call; alone, [`message`] has the verdict.
pub fn call(refusal: &Refusal) -> CallVerdict {
    let code = refusal.code.parse().unwrap_or(0);
    let why = match code {
        0 => reason(&format!("HTTP {}", refusal.status), &refusal.message),
        _ => reason(&format!("error {code}"), &refusal.message),
    };
    let hold = |why| CallVerdict::Each(Outcome::Hold { scope: Scope::All, why });
    match (refusal.status, code) {
        (429, _) | (_, 429) => CallVerdict::Each(retry(why, refusal.after, false, true)),
        (401, _) => hold(why),
        (_, 100) => CallVerdict::Each(away(why, refusal.after)),
        (408 | 500..=599, _) => CallVerdict::Each(by_server_error(refusal, why)),
        (413, _) | (_, 300 | 403 | 406 | 410 | 1100..=1199) => CallVerdict::Split(why),
        (422, 0) => CallVerdict::Split(why),
        // Not Postmark, which gives a code: a 400 comes from a proxy or a wrong port.
        (300..=400 | 403..=405 | 415, 0) => hold(why),
        (_, 0) => CallVerdict::Each(retry(why, refusal.after, false, false)),
        (_, code) => CallVerdict::Each(message(code, &refusal.message, "", 0)),
    }
}
