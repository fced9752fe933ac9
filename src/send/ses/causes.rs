//! What the answers of SES v2 mean: the statuses of `SendBulkEmail` and the error codes of a call.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_BulkEmailEntryResult.html>,
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendBulkEmail.html>

use crate::mail::model::Cause;
use crate::mail::recipient;
use crate::send::reply::{Ruling, by_status};
use crate::send::text::look_up;

/// The statuses of one message, but for `SUCCESS`. Whatever SES may say of a message one day is a
/// fault, as `FAILED` is.
pub const STATUSES: [(Cause, &str); 10] = [
    (Cause::Throttled, "ACCOUNT_THROTTLED"),
    (Cause::Quota, "ACCOUNT_DAILY_QUOTA_EXCEEDED"),
    (Cause::Account, "ACCOUNT_SUSPENDED, ACCOUNT_SENDING_PAUSED"),
    (Cause::Sender, "MAIL_FROM_DOMAIN_NOT_VERIFIED"),
    (Cause::Setup, "CONFIGURATION_SET_NOT_FOUND, CONFIGURATION_SET_DOES_NOT_EXIST"),
    (Cause::Setup, "CONFIGURATION_SET_SENDING_PAUSED, INVALID_SENDING_POOL_NAME"),
    (Cause::Template, "TEMPLATE_NOT_FOUND, TEMPLATE_DOES_NOT_EXIST"),
    (Cause::Rejected, "MESSAGE_REJECTED, INVALID_PARAMETER, INVALID_PARAMETER_VALUE"),
    (Cause::Busy, "TRANSIENT_FAILURE"),
    (Cause::Fault, "FAILED"),
];

/// The error codes of a call, with and without `Exception` at their end.
pub const CODES: [(Ruling, &str); 12] = [
    (Ruling::Each(Cause::Throttled), "TooManyRequests, Throttling"),
    (Ruling::Each(Cause::Quota), "LimitExceeded"),
    (Ruling::Each(Cause::Account), "AccountSuspended, SendingPaused"),
    (Ruling::Each(Cause::Sender), "MailFromDomainNotVerified"),
    (Ruling::Each(Cause::Credentials), "AccessDenied, UnrecognizedClient, InvalidClientTokenId"),
    (Ruling::Each(Cause::Credentials), "MissingAuthenticationToken, IncompleteSignature"),
    (Ruling::Each(Cause::Credentials), "OptInRequired"),
    (Ruling::Each(Cause::Setup), "NotFound"),
    (Ruling::Halves, "MessageRejected, BadRequest"),
    (Ruling::NewCredentials, "ExpiredToken"),
    (Ruling::ItsClock, "InvalidSignature, SignatureDoesNotMatch"),
    (Ruling::ItsClock, "RequestTimeTooSkewed, RequestExpired"),
];

/// Why one message was not accepted, by its `Status` and `Error`; `None`: it was. `from` and `to`
/// are the addresses of its sender and its recipient; none if it cannot be the recipient's fault that an
/// address is not verified.
pub fn entry(status: &str, error: &str, from: &str, to: &[&str]) -> Option<Cause> {
    if status == "SUCCESS" {
        return None;
    }
    match look_up(&STATUSES, |name| name == status).unwrap_or(Cause::Fault) {
        Cause::Rejected => by_words(error, from, to).or(Some(Cause::Rejected)),
        cause => Some(cause),
    }
}

/// What to do about a call that was answered with an error: a known code decides, else the status;
/// the words say more where a code is about several things. `to` are the addresses of its messages; none if
/// it went to an endpoint of several regions, of which one may be in the sandbox, or was for no message.
pub fn call(status: u16, code: &str, text: &str, from: &str, to: &[&str]) -> Ruling {
    let name = code.trim_end_matches("Exception");
    let ruling = look_up(&CODES, |known| known == name).unwrap_or_else(|| match status {
        // Without a code it is not SES, which always gives one.
        400 if !code.is_empty() => Ruling::Halves,
        status => by_status(status),
    });
    match (ruling, by_words(text, from, to)) {
        (Ruling::Each(Cause::Throttled), Some(Cause::Quota)) => Ruling::Each(Cause::Quota),
        (Ruling::Each(Cause::Setup), Some(Cause::Template)) => Ruling::Each(Cause::Template),
        // Halves tell whose address it is.
        (Ruling::Halves, Some(cause)) if cause != Cause::Rejected => Ruling::Each(cause),
        (ruling, _) => ruling,
    }
}

/// What is set up and may be spoken of: the tenant first; the rest are words for an endpoint of several
/// regions, and mean nothing where there is none.
const SETUP: &[&str] = &["tenant", "endpoint", "multi-region", "mrep"];

/// What SES says in words alone.
fn by_words(text: &str, from: &str, to: &[&str]) -> Option<Cause> {
    let words = text.to_lowercase();
    let says = |part: &str| words.contains(part);
    // The names in addresses were chosen by people.
    let named = |part: &str| words.split_whitespace().any(|w| w.contains(part) && !w.contains('@'));
    let ours = if to.is_empty() { SETUP } else { &SETUP[..1] };
    let missing = says("not exist") || says("not found");
    match () {
        () if says("daily message quota exceeded") => Some(Cause::Quota),
        () if says("not verified") => Some(unverified(text, from, to)),
        () if missing && says("template") && !says("configuration set") => Some(Cause::Template),
        // Or what is not associated with it.
        () if missing || ours.iter().any(|one| says(one) && named(one)) => Some(Cause::Setup),
        () => None,
    }
}

/// Whose address is "not verified": SES names those that are not. In the sandbox it may be the
/// recipient's, and that mail is never sent; the sender's holds all.
/// <https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html>
pub fn unverified(text: &str, from: &str, to: &[&str]) -> Cause {
    let names = |address: &str| {
        let address = &*recipient::wire(address);
        let domain = address.rsplit('@').next().unwrap_or_default();
        let mut words = text.split(|c: char| c.is_whitespace() || "<>()[],;:\"'".contains(c));
        words.any(|word| {
            let word = word.trim_end_matches('.');
            word.eq_ignore_ascii_case(address) || word.eq_ignore_ascii_case(domain)
        })
    };
    let is_theirs = !names(from) && to.iter().any(|to| names(to));
    if is_theirs { Cause::Rejected } else { Cause::Sender }
}

/// The error code of a reply: the header `x-amzn-errortype`, else the body's `code` or `__type`;
/// cut at `:`, then after `#`. Empty if there is none.
/// <https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization>
pub fn error_code(header: Option<&str>, body: &serde_json::Value) -> String {
    let text = header.or(body["code"].as_str()).or(body["__type"].as_str()).unwrap_or_default();
    let text = text.split(':').next().unwrap_or_default();
    let text = text.rsplit('#').next().unwrap_or_default();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_error_code_comes_from_the_header_then_from_the_body() {
        let body = json!({"code": "FromCode", "__type": "FromType"});
        for (header, body, code) in [
            (Some("FromHeader"), body.clone(), "FromHeader"),
            (Some("Throttled:http://internal.amazon.com/x/"), body.clone(), "Throttled"),
            (Some("aws.ses#Throttled"), body.clone(), "Throttled"),
            (Some("aws.ses#Throttled:http://x/#y"), body.clone(), "Throttled"),
            (None, body, "FromCode"),
            (None, json!({"__type": "com.amazonaws.ses#FromType"}), "FromType"),
            (None, json!({"__type": 7}), ""),
            (None, json!("text"), ""),
            (None, json!(null), ""),
        ] {
            assert_eq!(error_code(header, &body), code);
        }
    }
}
