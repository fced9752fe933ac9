//! The two outcome tables, row by row: as pure functions, and over HTTP.

use super::Rig;
use crate::support::batches::{TOKEN, batch, why};
use crate::support::endpoint::Reply;
use crate::support::python::ask;
use mailroom::mail::ends::Transport;
use mailroom::mail::model::{Cause, Outcome, Scope};
use mailroom::mail::policy::held;
use mailroom::send::reply::Ruling;
use mailroom::send::ses::causes;
use mailroom::send::ses::causes::{CODES, STATUSES};
use serde_json::json;
use std::time::Duration;

/// What a row of the tables asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Say {
    Accept,
    Retry,
    Away,
    /// Away, but it may have been sent.
    AwayAmbiguous,
    Throttled,
    Reject,
    HoldAll,
    HoldAction,
    Split,
    Refresh,
    Clock,
}

fn said(outcome: &Outcome) -> Say {
    match outcome {
        Outcome::Accepted { .. } => Say::Accept,
        Outcome::Refused(refusal) => said_of(refusal.cause),
    }
}

fn said_of(cause: Cause) -> Say {
    match cause {
        Cause::Throttled => Say::Throttled,
        Cause::Away => Say::Away,
        Cause::Gateway => Say::AwayAmbiguous,
        Cause::Busy | Cause::Fault => Say::Retry,
        Cause::Rejected => Say::Reject,
        Cause::Template => Say::HoldAction,
        cause => {
            assert_eq!(held(cause, &"1".into()), Some(Scope::All), "{cause:?}");
            Say::HoldAll
        }
    }
}

fn said_of_call(ruling: Ruling) -> Say {
    match ruling {
        Ruling::Each(cause) => said_of(cause),
        Ruling::Halves => Say::Split,
        Ruling::NewCredentials => Say::Refresh,
        Ruling::ItsClock => Say::Clock,
    }
}

const ENTRIES: &[(&str, Say)] = &[
    ("SUCCESS", Say::Accept),
    ("ACCOUNT_THROTTLED", Say::Throttled),
    ("TRANSIENT_FAILURE", Say::Retry),
    ("FAILED", Say::Retry),
    ("SOMETHING_NEW", Say::Retry),
    ("", Say::Retry),
    ("MESSAGE_REJECTED", Say::Reject),
    ("INVALID_PARAMETER", Say::Reject),
    ("INVALID_PARAMETER_VALUE", Say::Reject),
    ("TEMPLATE_NOT_FOUND", Say::HoldAction),
    ("TEMPLATE_DOES_NOT_EXIST", Say::HoldAction),
    ("CONFIGURATION_SET_NOT_FOUND", Say::HoldAll),
    ("CONFIGURATION_SET_DOES_NOT_EXIST", Say::HoldAll),
    ("CONFIGURATION_SET_SENDING_PAUSED", Say::HoldAll),
    ("INVALID_SENDING_POOL_NAME", Say::HoldAll),
    ("MAIL_FROM_DOMAIN_NOT_VERIFIED", Say::HoldAll),
    ("ACCOUNT_DAILY_QUOTA_EXCEEDED", Say::HoldAll),
    ("ACCOUNT_SUSPENDED", Say::HoldAll),
    ("ACCOUNT_SENDING_PAUSED", Say::HoldAll),
];

const CALLS: &[(u16, &str, &str, Say)] = &[
    (429, "TooManyRequestsException", "Too many", Say::Throttled),
    (429, "TooManyRequestsException", "Daily message quota exceeded", Say::HoldAll),
    (400, "ThrottlingException", "Maximum sending rate exceeded.", Say::Throttled),
    (400, "ThrottlingException", "Daily message quota exceeded.", Say::HoldAll),
    (429, "", "", Say::Throttled),
    (429, "", "Daily message quota exceeded", Say::HoldAll),
    (408, "RequestTimeout", "", Say::Away),
    (500, "InternalServiceErrorException", "", Say::Retry),
    (502, "", "", Say::AwayAmbiguous),
    (503, "ServiceUnavailable", "", Say::Away),
    (504, "", "", Say::AwayAmbiguous),
    (409, "ConcurrentModificationException", "", Say::Retry),
    (400, "LimitExceededException", "", Say::HoldAll),
    (400, "AccountSuspendedException", "", Say::HoldAll),
    (400, "SendingPausedException", "", Say::HoldAll),
    (400, "MailFromDomainNotVerifiedException", "", Say::HoldAll),
    (403, "AccessDeniedException", "not authorized to perform ses:SendEmail", Say::HoldAll),
    (403, "AccessDenied", "", Say::HoldAll),
    (403, "UnrecognizedClientException", "The security token is invalid", Say::HoldAll),
    (403, "MissingAuthenticationTokenException", "", Say::HoldAll),
    (403, "", "", Say::HoldAll),
    (404, "NotFoundException", "Template activationv1 does not exist", Say::HoldAction),
    (404, "NotFoundException", "Configuration set <default> does not exist.", Say::HoldAll),
    (404, "", "", Say::HoldAll),
    (301, "", "", Say::HoldAll),
    (400, "MessageRejected", "Bad", Say::Split),
    (400, "MessageRejected", "Email address is not verified.", Say::HoldAll),
    (400, "BadRequestException", "Bad", Say::Split),
    (400, "BadRequestException", "Template activationv1 does not exist", Say::HoldAction),
    (400, "BadRequestException", "Configuration set default does not exist", Say::HoldAll),
    (400, "", "", Say::HoldAll),
    (400, "SomethingNewException", "", Say::Split),
    (413, "", "", Say::Split),
    (403, "ExpiredTokenException", "", Say::Refresh),
    (403, "ExpiredToken", "", Say::Refresh),
    (403, "InvalidSignatureException", "Signature expired", Say::Clock),
    (403, "SignatureDoesNotMatch", "", Say::Clock),
    (403, "RequestTimeTooSkewed", "", Say::Clock),
];

#[test]
fn each_entry_status_has_the_outcome_of_the_table() {
    for (status, say) in ENTRIES {
        let cause = causes::entry(status, "because", "a@example.com", &["b@example.com"]);
        assert_eq!(cause.map_or(Say::Accept, said_of), *say, "{status}");
    }
}

#[test]
fn each_call_error_has_the_verdict_of_the_table() {
    for (status, code, message, say) in CALLS {
        let ruling = causes::call(*status, code, message, "a@example.com", &["b@example.com"]);
        assert_eq!(said_of_call(ruling), *say, "{status} {code} {message}");
    }
}

#[test]
fn an_address_that_is_not_verified_fails_its_own_mail_and_the_senders_holds_all() {
    for (who, one, all) in [
        ("user0@example.com", Cause::Rejected, Ruling::Halves),
        ("noreply@example.org", Cause::Sender, Ruling::Each(Cause::Sender)),
        ("user0@example.com, Us <noreply@example.org>", Cause::Sender, Ruling::Each(Cause::Sender)),
        ("somebody@else.example", Cause::Sender, Ruling::Each(Cause::Sender)),
    ] {
        let text = format!(
            "Email address is not verified. The following identities failed the check in region \
             EU-CENTRAL-1: {who}"
        );
        let (from, to) = ("noreply@example.org", "user0@example.com");
        assert_eq!(causes::entry("MESSAGE_REJECTED", &text, from, &[to]), Some(one), "{who}");
        let to = [to, "user1@example.com"];
        assert_eq!(causes::call(400, "MessageRejected", &text, from, &to), all, "{who}");
    }
}

#[test]
fn each_entry_status_has_its_outcome_over_http_and_spoils_nothing_beside_it() {
    for (status, say) in ENTRIES {
        let rig = Rig::new();
        rig.endpoint.push(Reply::Statuses(vec![
            ("SUCCESS", ""),
            (status, "because"),
            ("SUCCESS", ""),
        ]));
        let outcomes = rig.ses().send(&batch(3));
        let got: Vec<Say> = outcomes.iter().map(said).collect();
        assert_eq!(got, [Say::Accept, *say, Say::Accept], "{status}");
        let plain = usize::from(*say == Say::Accept);
        assert_eq!(rig.endpoint.accepted().len(), 2 + plain);
        assert_eq!(rig.endpoint.requests().len(), 1);
        let saved = rig.saved();
        assert_eq!(saved.len(), 1 - plain, "{status}");
        if let Some((_, text)) = saved.first() {
            assert!(text.contains("because") && text.contains(status));
        }
    }
}

#[test]
fn each_call_error_has_its_outcome_over_http() {
    for (status, code, message, say) in CALLS {
        let rig = Rig::new();
        rig.endpoint.push(if code.is_empty() && message.is_empty() {
            Reply::Full(*status, Vec::new(), "<html>".into())
        } else {
            Reply::error(*status, code, message)
        });
        let outcomes = rig.ses().send(&batch(2));
        let got: Vec<Say> = outcomes.iter().map(said).collect();
        let (want, calls) = match say {
            Say::Split => (Say::Accept, 3),
            Say::Refresh | Say::Clock => (Say::Accept, 2),
            other => (*other, 1),
        };
        assert_eq!(got, [want, want], "{status} {code} {message}");
        assert_eq!(rig.endpoint.requests().len(), calls, "{status} {code} {message}");
        assert_eq!(rig.saved().len(), 1);
        assert!(rig.saved()[0].1.starts_with(&format!("HTTP/1.1 {status} ")));
    }
}

#[test]
fn each_status_and_each_error_of_the_model_of_this_year_is_known() {
    let model = ask("tests/ses/model.py", &json!({}));
    let names = |of: &str| -> Vec<String> {
        let names = model[of].as_array().unwrap().iter();
        names.map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let (statuses, errors) = (names("statuses"), names("errors"));
    assert!(statuses.len() >= 14 && errors.len() >= 8, "{model}");
    let among = |name: &str, known: &str| known.split(", ").any(|known| known == name);
    for status in statuses.iter().filter(|status| *status != "SUCCESS") {
        assert!(STATUSES.iter().any(|(_, known)| among(status, known)), "{status}");
    }
    for error in errors {
        let name = error.trim_end_matches("Exception");
        assert!(CODES.iter().any(|(_, known)| among(name, known)), "{error}");
    }
}

#[test]
fn what_is_done_once_is_not_done_twice() {
    for (status, code, message, say) in CALLS {
        if !matches!(say, Say::Refresh | Say::Clock) {
            continue;
        }
        let rig = Rig::new();
        rig.endpoint.set(Reply::error(*status, code, message));
        let outcomes = rig.ses().send(&batch(2));
        assert!(outcomes.iter().all(|outcome| said(outcome) == Say::HoldAll), "{code}");
        assert_eq!(rig.endpoint.requests().len(), 2, "{code}");
    }
}

#[test]
fn the_code_is_also_found_in_the_body() {
    for body in [
        r#"{"code":"SendingPausedException","message":"paused"}"#,
        r#"{"__type":"com.amazonaws.sesv2#SendingPausedException","Message":"paused"}"#,
    ] {
        let rig = Rig::new();
        rig.endpoint.push(Reply::Full(400, Vec::new(), body.into()));
        let outcomes = rig.ses().send(&batch(1));
        assert_eq!(said(&outcomes[0]), Say::HoldAll);
        assert_eq!(why(&outcomes[0]), "SendingPausedException: paused");
    }
}

#[test]
fn the_wait_that_was_asked_for_is_passed_on() {
    let in_a_minute = {
        let at = time::OffsetDateTime::now_utc() + time::Duration::seconds(90);
        at.format(&time::format_description::well_known::Rfc2822).unwrap().replace("+0000", "GMT")
    };
    for (name, value, low, high) in [
        ("retry-after", "7".to_owned(), 7_000, 7_000),
        ("x-amz-retry-after", "1500".to_owned(), 1_500, 1_500),
        ("retry-after", in_a_minute, 80_000, 90_000),
    ] {
        let rig = Rig::new();
        rig.endpoint.push(Reply::Full(503, vec![(name, value.clone())], String::new()));
        let outcomes = rig.ses().send(&batch(1));
        let Outcome::Refused(refusal) = &outcomes[0] else { panic!("{value}: {outcomes:?}") };
        let after = refusal.after.unwrap();
        let range = Duration::from_millis(low)..=Duration::from_millis(high);
        assert!(range.contains(&after), "{value}: {after:?}");
    }
}

#[test]
fn a_reason_never_holds_what_the_provider_echoes_of_ours() {
    let rig = Rig::new();
    let text = format!("user0@example.com: bad data {TOKEN} and 01234");
    rig.endpoint.push(Reply::error(400, "MessageRejected", &text));
    let mut batch = batch(1);
    batch.messages[0].code = "01234".into();
    let outcomes = rig.ses().send(&batch);
    assert_eq!(said(&outcomes[0]), Say::Reject);
    assert_eq!(why(&outcomes[0]), "MessageRejected: u***@example.com: bad data *** and ***");
}
