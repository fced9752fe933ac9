//! What the answers of SES v2 mean: the statuses of `SendBulkEmail` and the error codes of a call.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendBulkEmail.html>,
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_BulkEmailEntryResult.html>

use crate::mail::model::{Outcome, Scope};
use crate::mail::policy::{
    CallVerdict, Refusal, Remedies, by_server_error, identifier, reason, retry,
};

/// The verdict on one entry of a reply: its `Status`, `Error` and `MessageId`.
///
/// `action` is the action of the call, which is held if its template is at fault.
pub fn entry(status: &str, error: &str, message_id: &str, action: u16) -> Outcome {
    if status == "SUCCESS" {
        return Outcome::Accepted { provider_id: identifier(message_id) };
    }
    let why = reason(if status.is_empty() { "no status" } else { status }, error);
    match status {
        "ACCOUNT_THROTTLED" => retry(why, None, false, true),
        "TRANSIENT_FAILURE" => retry(why, None, false, false),
        "MESSAGE_REJECTED" | "INVALID_PARAMETER" | "INVALID_PARAMETER_VALUE" => {
            Outcome::Reject { why }
        }
        "TEMPLATE_NOT_FOUND" | "TEMPLATE_DOES_NOT_EXIST" => {
            Outcome::Hold { scope: Scope::Action(action), why }
        }
        "CONFIGURATION_SET_NOT_FOUND"
        | "CONFIGURATION_SET_DOES_NOT_EXIST"
        | "CONFIGURATION_SET_SENDING_PAUSED"
        | "INVALID_SENDING_POOL_NAME"
        | "MAIL_FROM_DOMAIN_NOT_VERIFIED"
        | "ACCOUNT_DAILY_QUOTA_EXCEEDED"
        | "ACCOUNT_SUSPENDED"
        | "ACCOUNT_SENDING_PAUSED" => Outcome::Hold { scope: Scope::All, why },
        // FAILED, and whatever SES may say one day: the attempts bound it.
        _ => retry(why, None, false, false),
    }
}

/// The verdict on a call that was answered with an error. A known code decides, else the status.
pub fn call(refusal: &Refusal, action: u16, tried: Remedies) -> CallVerdict {
    let status = format!("HTTP {}", refusal.status);
    let code = if refusal.code.is_empty() { &status } else { &refusal.code };
    let why = reason(code, &refusal.message);
    by_code(refusal, action, tried, &why).unwrap_or_else(|| by_status(refusal, why))
}

fn by_code(refusal: &Refusal, action: u16, tried: Remedies, why: &str) -> Option<CallVerdict> {
    let why = why.to_owned();
    let message = refusal.message.to_lowercase();
    let hold = |scope, why| Some(CallVerdict::Each(Outcome::Hold { scope, why }));
    match refusal.code.as_str() {
        "TooManyRequestsException" | "ThrottlingException" | "Throttling" => {
            if message.contains("daily message quota exceeded") {
                return hold(Scope::All, why);
            }
            Some(CallVerdict::Each(retry(why, refusal.after, false, true)))
        }
        "LimitExceededException"
        | "AccountSuspendedException"
        | "SendingPausedException"
        | "MailFromDomainNotVerifiedException"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "MissingAuthenticationTokenException"
        | "MissingAuthenticationToken"
        | "IncompleteSignatureException"
        | "IncompleteSignature"
        | "OptInRequired" => hold(Scope::All, why),
        code if code.starts_with("AccessDenied") => hold(Scope::All, why),
        "NotFoundException" => hold(missing(&message, action), why),
        "MessageRejected" | "BadRequestException" => {
            if message.contains("not verified") {
                return hold(Scope::All, why);
            }
            // No message is at fault here either, and to reject all would be final.
            if message.contains("not exist") {
                return hold(missing(&message, action), why);
            }
            Some(CallVerdict::Split(why))
        }
        code if code.starts_with("ExpiredToken") => {
            if tried.refreshed {
                return hold(Scope::All, why);
            }
            Some(CallVerdict::RefreshCredentials(why))
        }
        "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "RequestTimeTooSkewed"
        | "RequestExpired" => {
            if tried.corrected {
                return hold(Scope::All, why);
            }
            Some(CallVerdict::CorrectClock(why))
        }
        _ => None,
    }
}

fn by_status(refusal: &Refusal, why: String) -> CallVerdict {
    match refusal.status {
        // Not SES: it always gives a code. A proxy answers so, or a TLS port that is spoken to
        // without TLS. To look for the message at fault would reject them all.
        400 if refusal.code.is_empty() => {
            CallVerdict::Each(Outcome::Hold { scope: Scope::All, why })
        }
        // The request is refused as it is; halves tell which message is at fault.
        400 | 413 => CallVerdict::Split(why),
        429 if refusal.message.to_lowercase().contains("daily message quota exceeded") => {
            CallVerdict::Each(Outcome::Hold { scope: Scope::All, why })
        }
        429 => CallVerdict::Each(retry(why, refusal.after, false, true)),
        // No message is at fault when a wrong endpoint or missing rights answer.
        300..=399 | 401 | 403 | 404 | 405 => {
            CallVerdict::Each(Outcome::Hold { scope: Scope::All, why })
        }
        408 | 500..=599 => CallVerdict::Each(by_server_error(refusal, why)),
        // It may pass, and the attempts bound it.
        _ => CallVerdict::Each(retry(why, refusal.after, false, false)),
    }
}

/// What a `NotFoundException` found missing.
fn missing(message: &str, action: u16) -> Scope {
    if message.contains("template") && !message.contains("configuration set") {
        Scope::Action(action)
    } else {
        Scope::All
    }
}

/// The error code of a reply: the header `x-amzn-errortype`, else the body's `code` or `__type`;
/// cut at `:`, then after `#`. Empty if there is none.
/// <https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization>
pub fn error_code(header: Option<&str>, body: &serde_json::Value) -> String {
    let text = header
        .or_else(|| body.get("code").and_then(|value| value.as_str()))
        .or_else(|| body.get("__type").and_then(|value| value.as_str()))
        .unwrap_or_default();
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
