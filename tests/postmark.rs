//! The Postmark transport against a scripted endpoint.

use crate::support::batches::{TOKEN, accepted, cause, ids, message, why};
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::postmark::API_TOKEN;
use crate::support::tools::qr_code;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailroom::edges::http::Http;
use mailroom::edges::stop::Stop;
use mailroom::mail::ends::Transport;
use mailroom::mail::kind::Templates;
use mailroom::mail::model::{Batch, Cause, Outcome, Scope};
use mailroom::mail::policy::held;
use mailroom::pump::system_clock;
use mailroom::send::postmark::{Postmark, Settings};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// A transport that sends to `url` with this API token.
pub fn postmark(url: &str, token: &str, stop: &Stop) -> Postmark {
    postmark_from("/nowhere".as_ref(), url, token, stop)
}

/// The same, whose templates were pushed from the files in `directory`.
fn postmark_from(directory: &Path, url: &str, token: &str, stop: &Stop) -> Postmark {
    let settings = Settings {
        url: url.to_owned(),
        token: Box::new({
            let token = token.to_owned();
            move || token.clone().into()
        }),
        templates: Templates::parse("1=activationv1,2=passwordrecoveryv1").unwrap(),
        directory: directory.to_owned(),
        source: "noreply@example.com".into(),
        clock: system_clock(),
    };
    Postmark::new(settings, Http::new(&|_| None, stop.clone()).unwrap())
}

fn to(endpoint: &Endpoint) -> Postmark {
    postmark(&endpoint.url(), API_TOKEN, &Stop::new())
}

/// So many messages, of both kinds by turns.
fn batch(count: usize) -> Batch {
    Batch { messages: (0..count).map(|number| message(1 + (number % 2) as u16, number)).collect() }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Said {
    Accept,
    Retry,
    Away,
    /// Away, but it may have been sent.
    AwayAmbiguous,
    Throttled,
    Reject,
    HoldAll,
    HoldAction,
    /// Of a call: halves are tried, here with success.
    Split,
}

fn said(outcome: &Outcome) -> Said {
    match outcome {
        Outcome::Accepted { .. } => Said::Accept,
        Outcome::Refused(refusal) => match refusal.cause {
            Cause::Away => Said::Away,
            Cause::Gateway => Said::AwayAmbiguous,
            Cause::Throttled => Said::Throttled,
            Cause::Busy | Cause::Fault => Said::Retry,
            Cause::Rejected => Said::Reject,
            Cause::Template => Said::HoldAction,
            cause => {
                assert_eq!(held(cause, &"1".into()), Some(Scope::All), "{outcome:?}");
                Said::HoldAll
            }
        },
    }
}

const MESSAGES: &[(&str, &str, Said)] = &[
    ("0", "OK", Said::Accept),
    ("0", "Message OK, but will not deliver to these inactive addresses: x", Said::Reject),
    ("10", "Bad or missing API token", Said::HoldAll),
    ("100", "Maintenance", Said::Away),
    ("300", "Error parsing 'To': Illegal email address", Said::Reject),
    ("300", "Invalid 'From' address", Said::HoldAll),
    ("400", "Sender Signature not found", Said::HoldAll),
    ("401", "Sender signature not confirmed", Said::HoldAll),
    ("403", "Invalid template model", Said::HoldAction),
    ("405", "Not allowed to send: out of credits", Said::HoldAll),
    ("406", "Inactive recipient", Said::Reject),
    ("412", "Account is pending", Said::HoldAll),
    ("412", "While pending, all recipient addresses must share the From domain", Said::Reject),
    ("413", "Account may not send", Said::HoldAll),
    ("429", "Rate limit exceeded", Said::Throttled),
    ("1101", "The template alias was not found", Said::HoldAction),
    ("1235", "The message stream was not found", Said::HoldAll),
    ("9999", "Something new", Said::Retry),
];

const CALLS: &[(u16, u64, &str, Said)] = &[
    (401, 10, "No Account or Server API tokens", Said::HoldAll),
    (401, 0, "", Said::HoldAll),
    (400, 0, "", Said::HoldAll),
    (403, 0, "", Said::HoldAll),
    (404, 0, "", Said::HoldAll),
    (415, 0, "", Said::HoldAll),
    (422, 405, "out of credits", Said::HoldAll),
    (422, 412, "Account is pending", Said::HoldAll),
    (422, 100, "Maintenance", Said::Away),
    (422, 300, "Illegal email address", Said::Split),
    (422, 406, "Inactive recipient", Said::Split),
    (422, 410, "Too many batch messages", Said::Split),
    (422, 1101, "The template alias was not found", Said::Split),
    (422, 0, "", Said::Split),
    (422, 412, "All recipient addresses must share the From domain", Said::Split),
    (413, 0, "", Said::Split),
    (429, 0, "", Said::Throttled),
    (422, 429, "Rate limit exceeded", Said::Throttled),
    (500, 0, "", Said::Retry),
    (503, 100, "Maintenance", Said::Away),
    (408, 0, "", Said::Away),
    (502, 0, "", Said::AwayAmbiguous),
    (504, 0, "", Said::AwayAmbiguous),
];

#[test]
fn a_batch_is_one_call_with_the_template_and_model_of_each_message() {
    let endpoint = Endpoint::start();
    let outcomes = to(&endpoint).send(&batch(3));
    assert_eq!(ids(&outcomes), ["pm-000001", "pm-000002", "pm-000003"]);
    let requests = endpoint.requests();
    assert_eq!(requests.len(), 1);
    let second = &requests[0].json()["Messages"][1];
    assert_eq!(
        *second,
        json!({
            "From": "noreply@example.com",
            "To": "user1@example.com",
            "TemplateAlias": "passwordrecoveryv1",
            "TemplateModel": { "login": "login1", "secret": TOKEN, "code": "01234" },
        })
    );
}

#[test]
fn images_that_a_pushed_file_names_go_along_and_one_that_is_not_there_holds_its_mail_alone() {
    let (endpoint, dir) = (Endpoint::start(), tempfile::tempdir().unwrap());
    let html = "<img src=\"cid:logo.gif\"><img src=\"cid:qr.ticket\">";
    std::fs::write(dir.path().join("activationv1.html"), html).unwrap();
    std::fs::write(dir.path().join("logo.gif"), "GIF89a").unwrap();
    let mut batch = batch(5);
    for at in [0, 4] {
        batch.messages[at].data = Some(r#"{"ticket": "T-1"}"#.into());
    }
    // A template of this language was pushed too, and it is at Postmark.
    std::fs::write(dir.path().join("activationv1.de.html"), html).unwrap();
    batch.messages[4].locale = Some("de".into());
    let mut postmark = postmark_from(dir.path(), &endpoint.url(), API_TOKEN, &Stop::new());
    let outcomes = postmark.send(&batch);
    // The third has no ticket.
    assert_eq!(cause(&outcomes[2]), Cause::Template);
    assert!(
        why(&outcomes[2]).contains("cid:qr.ticket: the data has no such value"),
        "{outcomes:?}"
    );
    for at in [0, 1, 3, 4] {
        assert!(accepted(&outcomes[at]), "{outcomes:?}");
    }
    let sent: Vec<_> = endpoint
        .requests()
        .iter()
        .flat_map(|call| call.json()["Messages"].as_array().unwrap().clone())
        .collect();
    assert_eq!(sent.len(), 4);
    for (message, to) in sent.iter().zip(["user0", "user1", "user3", "user4"]) {
        assert_eq!(message["To"], format!("{to}@example.com"));
        let files = message["Attachments"].as_array();
        assert_eq!(files.map_or(0, Vec::len), if to == "user1" || to == "user3" { 0 } else { 2 });
        for file in files.into_iter().flatten() {
            let name = file["Name"].as_str().unwrap();
            assert_eq!(file["ContentID"], format!("cid:{name}"));
            let bytes = STANDARD.decode(file["Content"].as_str().unwrap()).unwrap();
            match name {
                "logo.gif" => assert_eq!(
                    (&file["ContentType"], &bytes[..]),
                    (&json!("image/gif"), &b"GIF89a"[..])
                ),
                _ => assert_eq!(
                    (&file["ContentType"], qr_code(&bytes)),
                    (&json!("image/png"), "T-1".into())
                ),
            }
        }
    }
    assert_eq!(sent[3]["TemplateAlias"], "activationv1.de");
}

#[test]
fn five_hundred_messages_are_one_call_and_one_more_is_two() {
    for (count, calls) in [(0, 0), (500, 1), (501, 2)] {
        let endpoint = Endpoint::start();
        let outcomes = to(&endpoint).send(&batch(count));
        assert!(outcomes.len() == count && outcomes.iter().all(accepted));
        assert_eq!(endpoint.requests().len(), calls);
        let got: Vec<String> = endpoint.accepted().into_iter().map(|mail| mail.to).collect();
        let all: Vec<String> = (0..count).map(|n| format!("user{n}@example.com")).collect();
        assert_eq!(got, all, "each once and in order");
    }
}

#[test]
fn each_message_code_has_the_outcome_of_the_table_and_spoils_nothing_beside_it() {
    for (code, text, say) in MESSAGES {
        let endpoint = Endpoint::start();
        let code = if *text == "OK" { "SUCCESS" } else { code };
        endpoint.push(Reply::Statuses(vec![("SUCCESS", ""), (code, text)]));
        let outcomes = to(&endpoint).send(&batch(3));
        let got: Vec<Said> = outcomes.iter().map(said).collect();
        assert_eq!(got, [Said::Accept, *say, Said::Accept], "{code} {text}");
        assert_eq!(endpoint.requests().len(), 1);
    }
}

#[test]
fn each_call_error_has_the_outcome_of_the_table() {
    for (status, code, text, say) in CALLS {
        let endpoint = Endpoint::start();
        let body = match code {
            0 => "<html>".to_owned(),
            code => json!({ "ErrorCode": code, "Message": text }).to_string(),
        };
        endpoint.push(Reply::Full(*status, Vec::new(), body));
        let outcomes = to(&endpoint).send(&batch(2));
        let got: Vec<Said> = outcomes.iter().map(said).collect();
        let (want, calls) = match say {
            Said::Split => (Said::Accept, 3),
            other => (*other, 1),
        };
        assert_eq!(got, [want, want], "{status} {code}");
        assert_eq!(endpoint.requests().len(), calls, "{status} {code}");
    }
}

#[test]
fn a_message_that_is_refused_alone_gets_the_outcome_of_its_code() {
    for (status, code, say) in [
        (422, 300, Said::Reject),
        (422, 406, Said::Reject),
        (422, 1101, Said::HoldAction),
        (413, 0, Said::Reject),
    ] {
        let endpoint = Endpoint::start();
        let body = json!({ "ErrorCode": code, "Message": "user1@example.com is bad" });
        endpoint.set(Reply::Full(status, Vec::new(), body.to_string()));
        let mut one = batch(2);
        one.messages.remove(0);
        let outcomes = to(&endpoint).send(&one);
        assert_eq!(said(&outcomes[0]), say, "{status} {code}");
        assert!(!format!("{outcomes:?}").contains("user1"), "{outcomes:?}");
    }
}

#[test]
fn a_reply_that_is_lost_or_unreadable_is_ambiguous_and_never_a_success() {
    for reply in [
        Reply::Reset,
        Reply::AcceptThenReset,
        Reply::Truncated,
        Reply::AcceptThenBody("<html>"),
        Reply::AcceptThenBody("{}"),
        Reply::AcceptThenBody("[{},{}]"),
        Reply::Fewer(1),
    ] {
        let endpoint = Endpoint::start();
        endpoint.push(reply.clone());
        let outcomes = to(&endpoint).send(&batch(2));
        let ambiguous =
            |outcome: &Outcome| matches!(cause(outcome), Cause::Unknown | Cause::Gateway);
        assert!(outcomes.iter().all(ambiguous), "{reply:?}: {outcomes:?}");
        assert_eq!(endpoint.requests().len(), 1, "it is not sent again by itself");
    }
}

#[test]
fn a_result_that_names_another_recipient_is_ambiguous_and_never_a_success() {
    let endpoint = Endpoint::start();
    endpoint.push(Reply::AcceptThenBody(
        r#"[{"ErrorCode": 0, "MessageID": "a", "To": "user2@example.com"},
            {"ErrorCode": 406, "Message": "Inactive recipient", "To": "user0@example.com"},
            {"ErrorCode": 0, "MessageID": "c", "To": " User2@EXAMPLE.com"},
            {"ErrorCode": 0, "MessageID": "d"},
            {"ErrorCode": 0, "MessageID": "e", "To": ""},
            {"ErrorCode": 0, "MessageID": "f", "To": "caf\u00e9@example.com"}]"#,
    ));
    let outcomes = to(&endpoint).send(&batch(6));
    for outcome in &outcomes[..2] {
        assert_eq!(cause(outcome), Cause::Gateway);
        assert!(why(outcome).contains("names another recipient"), "{outcome:?}");
    }
    assert_eq!(ids(&outcomes[2..]), ["c", "d", "e", "f"]);
}

#[test]
fn the_wait_that_was_asked_for_is_passed_on() {
    let endpoint = Endpoint::start();
    endpoint.push(Reply::Full(429, vec![("retry-after", "7".into())], String::new()));
    let outcomes = to(&endpoint).send(&batch(1));
    let Outcome::Refused(refusal) = &outcomes[0] else { panic!() };
    assert_eq!((refusal.cause, refusal.after), (Cause::Throttled, Some(Duration::from_secs(7))));
}

#[test]
fn a_domain_in_other_letters_goes_in_its_ascii_form_and_a_local_part_does_not_go() {
    let endpoint = Endpoint::start();
    let mut three = batch(3);
    three.messages[0].email = "user@b\u{fc}cher.example".into();
    three.messages[1].email = "j\u{f6}rg@example.com".into();
    let outcomes = to(&endpoint).send(&three);
    assert!(accepted(&outcomes[0]) && accepted(&outcomes[2]), "{outcomes:?}");
    assert_eq!(cause(&outcomes[1]), Cause::Rejected);
    assert!(why(&outcomes[1]).ends_with("is not ASCII, which Postmark does not take"));
    assert_eq!(endpoint.accepted()[0].to, "user@xn--bcher-kva.example");
}
