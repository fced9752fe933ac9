//! What is asked of SES: which calls a batch becomes, and what stands in them.

use super::Rig;
use crate::support::asymmetric::{Signed, prove};
use crate::support::batches::{TOKEN, accepted, batch, cause, ids, message, why};
use crate::support::cluster::Database;
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::program::Program;
use crate::support::records::activations;
use mailroom::mail::ends::Transport;
use mailroom::mail::kind::Templates;
use mailroom::mail::model::{Batch, Cause, Kind};
use mailroom::send::dry::{Dry, Settings as DrySettings};
use mailroom::send::reply::Ruling;
use mailroom::send::ses::causes;
use serde_json::json;
use std::io::Read as _;
use std::time::Duration;

#[test]
fn a_batch_of_two_kinds_is_two_calls_with_the_data_of_each_message() {
    let rig = Rig::new();
    let mut batch = batch(3);
    batch.messages[1] = message(2, 1);
    let outcomes = rig.ses().send(&batch);
    assert_eq!(ids(&outcomes), ["id-000001", "id-000003", "id-000002"]);
    let mails = rig.endpoint.accepted();
    assert_eq!(mails[0].to, "user0@example.com");
    assert_eq!(mails[1].data, json!({"login": "login2", "secret": TOKEN, "code": ""}));
    assert_eq!(mails[2].template, "passwordrecoveryv1");
    assert_eq!(mails[2].data, json!({"login": "login1", "secret": TOKEN, "code": "01234"}));
    let requests = rig.endpoint.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(rig.endpoint.connections(), 1, "the connection is used again");
    let body = requests[0].json();
    assert_eq!(body["FromEmailAddress"], "noreply@example.com");
    assert_eq!(body["ConfigurationSetName"], "default");
    assert_eq!(body["DefaultContent"]["Template"]["TemplateName"], "activationv1");
    let defaults = body["DefaultContent"]["Template"]["TemplateData"].as_str().unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(defaults).unwrap(),
        json!({"login": "", "secret": "", "code": ""})
    );
    let agent = requests[0].header("user-agent").unwrap();
    assert_eq!(agent, concat!("mailroom/", env!("CARGO_PKG_VERSION")));
    assert!(rig.saved().is_empty());
}

#[test]
fn fifty_messages_are_one_call_and_fifty_one_are_two() {
    for (count, calls) in [(1, 1), (50, 1), (51, 2), (101, 3)] {
        let rig = Rig::new();
        let outcomes = rig.ses().send(&batch(count));
        assert_eq!(outcomes.len(), count);
        assert!(outcomes.iter().all(accepted));
        assert_eq!(rig.endpoint.requests().len(), calls, "{count}");
        let to: Vec<String> = rig.endpoint.accepted().into_iter().map(|mail| mail.to).collect();
        let all: Vec<String> = (0..count).map(|n| format!("user{n}@example.com")).collect();
        assert_eq!(to, all, "each once and in order");
    }
}

#[test]
fn without_a_configuration_set_none_is_named() {
    let endpoint = Endpoint::start();
    let send = Program::send(&endpoint.url()).env("MAILROOM_SES_CONFIG_SET", "");
    assert_eq!(send.input(activations("user", 1)).code, Some(0));
    let body = endpoint.requests().remove(0).json();
    assert!(body.get("ConfigurationSetName").is_none(), "{body}");
    assert!(body.get("TenantName").is_none() && body.get("EndpointId").is_none(), "{body}");
}

#[test]
fn a_tenant_is_named_in_each_call() {
    let endpoint = Endpoint::start();
    let send = || Program::send(&endpoint.url()).env("MAILROOM_SES_TENANT", "shop-1");
    assert_eq!(send().input(activations("user", 1)).code, Some(0));
    assert_eq!(endpoint.requests().remove(0).json()["TenantName"], "shop-1");
    let wrong = send().env("MAILROOM_SES_TENANT", "a shop").input("");
    assert_eq!(wrong.code, Some(78));
    assert!(wrong.log.contains("MAILROOM_SES_TENANT: must be 1 to 64"), "{}", wrong.log);
    // What is not associated with it is nobody's fault but the settings'.
    let why = "The configuration set default is not associated with the tenant shop-1";
    for (status, code) in [(400, "BadRequestException"), (404, "NotFoundException")] {
        endpoint.push(Reply::error(status, code, why));
        let mut running = send().start();
        running.write(activations("user", 2));
        running.wait_log("everything is held");
        assert_eq!(running.stop().code, Some(0));
    }
}

/// The one request for mail that came is signed for any region and names the endpoint.
fn is_through_the_endpoint(endpoint: &Endpoint, token: Option<&str>) {
    let request = endpoint.requests().remove(0);
    assert_eq!(request.json()["EndpointId"], "abc123.xyz");
    assert_eq!(request.header("x-amz-security-token"), token);
    let signed = Signed {
        method: &request.method,
        url: &format!("{}{}", endpoint.url(), request.path),
        given: &[("content-type", "application/json")],
        body: &request.body,
        token,
        service: "ses",
        headers: &request.headers,
    };
    prove(&signed, "a mail");
}

#[test]
fn an_endpoint_of_several_regions_gets_mails_that_any_region_may_take_and_nothing_else() {
    for token in [None, Some("session+token/=")] {
        let endpoint = Endpoint::start();
        endpoint.allow(50.0, 1000.0, 0.0);
        let send = Program::send(&endpoint.url())
            .env("MAILROOM_SES_ENDPOINT_ID", "abc123.xyz")
            .env("AWS_SESSION_TOKEN", token.unwrap_or_default())
            .env("MAILROOM_LOG_LEVEL", "debug");
        let done = send.input(activations("user", 2));
        assert_eq!((done.code, endpoint.accepted().len()), (Some(0), 2), "{}", done.log);
        is_through_the_endpoint(&endpoint, token);
        assert!(done.log.contains("endpoint_id=abc123.xyz"), "{}", done.log);
        // The account is that of one region.
        assert_eq!(endpoint.quota_asked(), 1);
        let asked = endpoint.account_asked().unwrap();
        let scope = asked.header("authorization").unwrap();
        assert!(
            scope.starts_with("AWS4-HMAC-SHA256 ") && scope.contains("/eu-central-1/"),
            "{scope}"
        );
        assert_eq!(asked.header("x-amz-region-set"), None);
    }
}

#[test]
fn run_sends_through_an_endpoint_of_several_regions_too() {
    let (database, endpoint) = (Database::migrated(), Endpoint::start());
    database.accounts("a", 1);
    let run = Program::run(&database, &endpoint.url())
        .env("MAILROOM_SES_ENDPOINT_ID", "abc123.xyz")
        .start();
    endpoint.wait_for(1, Duration::from_secs(30));
    assert_eq!(run.stop().code, Some(0));
    is_through_the_endpoint(&endpoint, None);
}

#[test]
fn where_mails_go_is_said_without_sending_and_what_cannot_be_is_refused_at_the_start() {
    let send = || Program::send("").env("MAILROOM_SES_ENDPOINT_ID", "abc123.xyz");
    let dry = send().env("MAILROOM_DEBUG", "true").input(activations("user", 1));
    let place =
        "POST https://abc123.xyz.endpoints.email.amazonaws.com/v2/email/outbound-bulk-emails";
    assert!(dry.out.contains(place), "{} {}", dry.out, dry.log);
    let fips = send().env("AWS_USE_FIPS_ENDPOINT", "true").input("");
    assert_eq!(fips.code, Some(78), "{}", fips.log);
    let why = "AWS_USE_FIPS_ENDPOINT: there is no FIPS endpoint of several regions";
    assert!(fips.log.contains(why), "{}", fips.log);
    let long = format!("a{}", ".bc".repeat(70));
    for wrong in
        ["abc/evil.example", "a..b", ".a", "a.", "-a", "a-.b", "a b", "a_b", "\u{fc}", &long]
    {
        let done = send().env("MAILROOM_SES_ENDPOINT_ID", wrong).input("");
        assert_eq!(done.code, Some(78), "{wrong}");
        let why = "MAILROOM_SES_ENDPOINT_ID: must be as SES gave it, such as abc123.xyz";
        assert!(done.log.contains(why), "{wrong}: {}", done.log);
    }
}

#[test]
fn what_is_wrong_with_the_endpoint_fails_no_mail() {
    let endpoint = Endpoint::start();
    for (status, code, why) in [
        (404, "NotFoundException", "Multi-region endpoint abc123.xyz does not exist"),
        (400, "BadRequestException", "Endpoint abc123.xyz is not READY"),
        (400, "BadRequestException", "Invalid EndpointId"),
        (400, "MessageRejected", "The multi-region endpoint abc123.xyz is being deleted."),
        (400, "BadRequestException", "Multi-region sending is not enabled"),
    ] {
        endpoint.push(Reply::error(status, code, why));
        let send = Program::send(&endpoint.url()).env("MAILROOM_SES_ENDPOINT_ID", "abc123.xyz");
        let mut running = send.start();
        running.write(activations("user", 2));
        running.wait_log("everything is held");
        assert_eq!(running.stop().code, Some(0));
        let cause = causes::call(status, code, why, "a@example.com", &[]);
        assert_eq!(cause, Ruling::Each(Cause::Setup), "{why}");
    }
    // An address that has the word in it holds nothing.
    let why = "Illegal address endpoint@tenant.example";
    let cause = causes::call(400, "MessageRejected", why, "a@example.com", &[]);
    assert_eq!(cause, Ruling::Halves);
    // One of its regions is in the sandbox: that is no recipient's fault.
    let why = "Email address is not verified: b0@example.com";
    let (endpoint, status) = (Endpoint::start(), [("MESSAGE_REJECTED", why)]);
    endpoint.push(Reply::Statuses(status.to_vec()));
    let send = Program::send(&endpoint.url()).env("MAILROOM_SES_ENDPOINT_ID", "abc123.xyz");
    let mut running = send.start();
    running.write(activations("b", 1));
    running.wait_log("everything is held");
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn a_from_name_stands_in_the_call_as_a_header_has_it() {
    for (source, said) in [
        ("Acme, Inc. <a@example.com>", "\"Acme, Inc.\" <a@example.com>"),
        ("Caf\u{e9} <a@example.com>", "=?UTF-8?B?Q2Fmw6k=?= <a@example.com>"),
    ] {
        let rig = Rig::new();
        let mut settings = rig.settings(mailroom::pump::system_clock());
        settings.source = source.to_owned();
        let keeper = rig.keeper(rig.variables());
        let mut ses = rig.with_settings(settings, keeper);
        assert!(ses.send(&batch(1)).iter().all(accepted));
        assert_eq!(rig.endpoint.requests().remove(0).json()["FromEmailAddress"], said);
    }
}

#[test]
fn an_empty_batch_is_no_call() {
    let rig = Rig::new();
    assert!(rig.ses().send(&Batch::default()).is_empty());
    assert!(rig.endpoint.requests().is_empty());
}

#[test]
fn odd_logins_arrive_verbatim_and_address_nobody_else() {
    let long = "\u{e9}".repeat(254);
    let logins = [
        "a,b",
        "\"quoted\"",
        "line\nbreak\r\n",
        "back\\slash\\",
        "\u{1F600}",
        long.as_str(),
        "",
        "x\",\"secret\":\"forged",
        "1,eve@example.com,eve,SECRET,",
        "{{code}} <b>&amp;</b> \u{0} \u{7f}",
    ];
    let rig = Rig::new();
    let mut batch = batch(logins.len());
    for (message, login) in batch.messages.iter_mut().zip(logins) {
        message.login = login.to_owned();
    }
    assert!(rig.ses().send(&batch).iter().all(accepted));
    let mails = rig.endpoint.accepted();
    assert_eq!(mails.len(), logins.len());
    for (number, (mail, login)) in mails.iter().zip(logins).enumerate() {
        assert_eq!(mail.data, json!({"login": login, "secret": TOKEN, "code": ""}));
        assert_eq!(mail.to, format!("user{number}@example.com"));
    }
}

#[test]
fn an_address_that_is_not_one_plain_address_is_not_tried_and_the_others_go() {
    let odd = [
        "a@example.com,b@example.com",
        "\"a@example.com,b\"@example.com",
        "<eve@example.com>",
        "Eve <eve@example.com>",
        "eve@example.com eve2@example.com",
        "j\u{f6}hn@example.com",
        "john@-\u{fc}.example",
    ];
    let rig = Rig::new();
    let mut batch = batch(odd.len() + 2);
    for (message, address) in batch.messages.iter_mut().skip(1).zip(odd) {
        message.email = address.to_owned();
    }
    let outcomes = rig.ses().send(&batch);
    assert!(accepted(&outcomes[0]) && accepted(&outcomes[odd.len() + 1]));
    for (outcome, address) in outcomes[1..=odd.len()].iter().zip(odd) {
        // Another provider may take this one.
        let is_other = address.starts_with("j\u{f6}");
        let expected = if is_other { Cause::Rejected } else { Cause::Unsigned };
        assert_eq!(cause(outcome), expected, "{address}: {outcome:?}");
        let why = why(outcome);
        assert!(!why.contains(address));
    }
    let to: Vec<String> = rig.endpoint.accepted().into_iter().map(|mail| mail.to).collect();
    assert_eq!(to, ["user0@example.com", "user8@example.com"]);
}

#[test]
fn an_action_without_a_template_is_held_and_the_others_go() {
    let rig = Rig::new();
    let mut batch = batch(3);
    batch.messages[1].kind = Kind::numbered(3).into();
    let outcomes = rig.ses().send(&batch);
    assert!(accepted(&outcomes[0]) && accepted(&outcomes[2]));
    assert_eq!(cause(&outcomes[1]), Cause::Template, "{outcomes:?}");
    let why = why(&outcomes[1]);
    assert_eq!(why, "no template for action 3 in MAILROOM_TEMPLATES");
}

#[test]
fn without_credentials_everything_is_held_and_nothing_is_sent() {
    let mut rig = Rig::new();
    rig.set("AWS_ACCESS_KEY_ID", "  ");
    let outcomes = rig.ses().send(&batch(2));
    for outcome in &outcomes {
        assert_eq!(cause(outcome), Cause::Credentials, "{outcome:?}");
        let why = why(outcome);
        assert!(why.contains("AWS_ACCESS_KEY_ID") && !why.contains("hunter2"), "{why}");
    }
    assert!(rig.endpoint.requests().is_empty());
}

#[test]
fn a_session_token_goes_into_a_signed_header() {
    let mut rig = Rig::new();
    rig.set("AWS_SESSION_TOKEN", "session+token/=");
    rig.set("AWS_REGION", "eu-west-1");
    assert!(rig.ses().send(&batch(1)).iter().all(accepted));
    let request = rig.endpoint.requests().remove(0);
    assert_eq!(request.header("x-amz-security-token"), Some("session+token/="));
    let signed = request.header("authorization").unwrap();
    assert!(signed.contains("/eu-west-1/ses/aws4_request"), "{signed}");
    assert!(signed.contains("x-amz-security-token"), "{signed}");
}

#[test]
fn debug_mode_prints_what_would_be_sent_and_sends_nothing() {
    let settings = DrySettings {
        to: "POST https://email.us-east-1.amazonaws.com/v2/email/outbound-bulk-emails".into(),
        templates: Templates::parse("1=activationv1,2=passwordrecoveryv1").unwrap(),
        source: "noreply@example.com".into(),
        config_set: "default".into(),
    };
    let mut batch = batch(4);
    batch.messages[1] = message(2, 1);
    batch.messages[1].locale = Some("ar".to_owned());
    batch.messages[2].kind = Kind::numbered(9).into();
    batch.messages[3].email = "a@example.com,b@example.com".into();
    let mut out = Vec::new();
    let outcomes = Dry::new(settings, std::time::Instant::now, &mut out).send(&batch);
    assert!(accepted(&outcomes[0]) && accepted(&outcomes[1]));
    assert!(cause(&outcomes[2]) == Cause::Template);
    assert!(cause(&outcomes[3]) == Cause::Unsigned);
    let text = String::from_utf8(out).unwrap();
    for line in [
        "POST https://email.us-east-1.amazonaws.com/v2/email/outbound-bulk-emails",
        "template activationv1 (action 1), 1 to send",
        "template passwordrecoveryv1 (action 2), 1 to send",
        "from noreply@example.com, configuration set default",
        &format!("to user0@example.com {}", mailroom::mail::kind::data(&batch.messages[0])),
        &format!("to user1@example.com in ar {}", mailroom::mail::kind::data(&batch.messages[1])),
    ] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
    assert!(!text.contains("b@example.com"));
}

#[test]
fn debug_mode_whose_output_is_full_hands_nothing_over() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let settings = DrySettings {
        to: "POST https://x".into(),
        templates: Templates::parse("1=a").unwrap(),
        source: "a@example.com".into(),
        config_set: String::new(),
    };
    let mut dry = Dry::new(settings, std::time::Instant::now, full);
    for outcome in &dry.send(&batch(2)) {
        assert_eq!(cause(outcome), Cause::Output, "{outcome:?}");
    }
    assert_eq!(dry.broken().map(|error| error.kind), Some(mailroom::mail::error::Kind::Io));
}

#[test]
fn a_call_leaves_in_one_piece() {
    let mut rig = Rig::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    rig.set("AWS_ENDPOINT_URL", &format!("http://{}", listener.local_addr().unwrap()));
    let seen = std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        let length = listener.accept().unwrap().0.read(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    });
    assert_eq!(cause(&rig.ses().send(&batch(10))[0]), Cause::Unknown);
    let seen = seen.join().unwrap();
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
    assert!(body.contains("user9@example.com"), "{body}");
}

#[test]
fn a_domain_in_other_letters_goes_in_its_ascii_form_and_a_local_part_does_not_go() {
    let rig = Rig::new();
    let mut three = batch(3);
    three.messages[0].email = "user@b\u{fc}cher.example".into();
    three.messages[1].email = "j\u{f6}rg@example.com".into();
    let outcomes = rig.ses().send(&three);
    assert!(accepted(&outcomes[0]) && accepted(&outcomes[2]), "{outcomes:?}");
    assert_eq!(cause(&outcomes[1]), Cause::Rejected);
    assert!(why(&outcomes[1]).ends_with("is not ASCII, which SES does not take"), "{outcomes:?}");
    assert_eq!(rig.endpoint.accepted()[0].to, "user@xn--bcher-kva.example");
}
