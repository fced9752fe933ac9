//! What the answers of SES v2 mean: the statuses of `SendBulkEmail` and the error codes of a call.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendBulkEmail.html>,
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_BulkEmailEntryResult.html>

use crate::mail::model::{Cause, Outcome};
use crate::mail::policy::{
    CallVerdict, ErrorReply, Remedies, by_server_error, identifier, reason, refusal,
};

/// The verdict on one entry of a reply: its `Status`, `Error` and `MessageId`.
pub fn entry(status: &str, error: &str, message_id: &str) -> Outcome {
    let cause = match status {
        "SUCCESS" => return Outcome::Accepted { provider_id: identifier(message_id) },
        "ACCOUNT_THROTTLED" => Cause::Throttled,
        "MESSAGE_REJECTED" | "INVALID_PARAMETER" | "INVALID_PARAMETER_VALUE" => Cause::Rejected,
        "TEMPLATE_NOT_FOUND" | "TEMPLATE_DOES_NOT_EXIST" => Cause::Template,
        "CONFIGURATION_SET_NOT_FOUND"
        | "CONFIGURATION_SET_DOES_NOT_EXIST"
        | "CONFIGURATION_SET_SENDING_PAUSED"
        | "INVALID_SENDING_POOL_NAME" => Cause::Setup,
        "MAIL_FROM_DOMAIN_NOT_VERIFIED" => Cause::Sender,
        "ACCOUNT_DAILY_QUOTA_EXCEEDED" => Cause::Quota,
        "ACCOUNT_SUSPENDED" | "ACCOUNT_SENDING_PAUSED" => Cause::Account,
        // TRANSIENT_FAILURE, FAILED, and whatever SES may say of a message one day.
        _ => Cause::Busy,
    };
    let status = if status.is_empty() { "no status" } else { status };
    Outcome::Refused(refusal(cause, reason(status, error), None))
}

/// The verdict on a call that was answered with an error. A known code decides, else the status.
pub fn call(reply: &ErrorReply, tried: Remedies) -> CallVerdict {
    let status = format!("HTTP {}", reply.status);
    let code = if reply.code.is_empty() { &status } else { &reply.code };
    let why = reason(code, &reply.message);
    by_code(reply, tried, &why).unwrap_or_else(|| by_status(reply, why))
}

fn by_code(reply: &ErrorReply, tried: Remedies, why: &str) -> Option<CallVerdict> {
    let why = why.to_owned();
    let message = reply.message.to_lowercase();
    let each = |cause, why| Some(CallVerdict::Each(refusal(cause, why, reply.after)));
    match reply.code.as_str() {
        "TooManyRequestsException" | "ThrottlingException" | "Throttling" => {
            if message.contains("daily message quota exceeded") {
                return each(Cause::Quota, why);
            }
            each(Cause::Throttled, why)
        }
        "LimitExceededException" => each(Cause::Quota, why),
        "AccountSuspendedException" | "SendingPausedException" => each(Cause::Account, why),
        "MailFromDomainNotVerifiedException" => each(Cause::Sender, why),
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "MissingAuthenticationTokenException"
        | "MissingAuthenticationToken"
        | "IncompleteSignatureException"
        | "IncompleteSignature"
        | "OptInRequired" => each(Cause::Credentials, why),
        code if code.starts_with("AccessDenied") => each(Cause::Credentials, why),
        "NotFoundException" => each(missing(&message), why),
        "MessageRejected" | "BadRequestException" => {
            if message.contains("not verified") {
                return each(Cause::Sender, why);
            }
            // No message is at fault here either, and to reject all would be final.
            if message.contains("not exist") {
                return each(missing(&message), why);
            }
            Some(CallVerdict::Split(why))
        }
        code if code.starts_with("ExpiredToken") => {
            if tried.refreshed {
                return each(Cause::Credentials, why);
            }
            Some(CallVerdict::RefreshCredentials(why))
        }
        "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "RequestTimeTooSkewed"
        | "RequestExpired" => {
            if tried.corrected {
                return each(Cause::Credentials, why);
            }
            Some(CallVerdict::CorrectClock(why))
        }
        _ => None,
    }
}

fn by_status(reply: &ErrorReply, why: String) -> CallVerdict {
    let cause = match reply.status {
        // Not SES: it always gives a code. A proxy answers so, or a TLS port that is spoken to
        // without TLS. To look for the message at fault would reject them all.
        400 if reply.code.is_empty() => Cause::Setup,
        // The request is refused as it is; halves tell which message is at fault.
        400 | 413 => return CallVerdict::Split(why),
        429 if reply.message.to_lowercase().contains("daily message quota exceeded") => {
            Cause::Quota
        }
        429 => Cause::Throttled,
        // No message is at fault when a wrong endpoint or missing rights answer.
        401 | 403 => Cause::Credentials,
        300..=399 | 404 | 405 => Cause::Setup,
        408 | 500..=599 => by_server_error(reply.status),
        // It may pass, and the attempts bound it.
        _ => Cause::Fault,
    };
    CallVerdict::Each(refusal(cause, why, reply.after))
}

/// What a `NotFoundException` found missing.
fn missing(message: &str) -> Cause {
    if message.contains("template") && !message.contains("configuration set") {
        Cause::Template
    } else {
        Cause::Setup
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
