//! Roles, by STS.

use super::Place;
use crate::support::cloud::{Answer, Cloud, SECRET, parameter, signer, sts_error};
use crate::support::endpoint::Request;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const ROLE: &str = "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = x\n\
    role_session_name = mail\nexternal_id = a+b&c=d\nduration_seconds = 900\nregion = eu-west-1\n";

fn place(cloud: &Cloud, config: &str) -> Place {
    let place = Place::new(cloud);
    place.write(".aws/config", config);
    let keys = format!("[x]\naws_access_key_id = AKIDX\naws_secret_access_key = {SECRET}\n");
    place.write(".aws/credentials", &keys);
    place
}

/// A cloud whose STS answers in this way.
fn refusing(answer: Answer) -> Cloud {
    Cloud::scripted(move |_| Some(answer.clone()))
}

#[test]
fn a_role_is_asked_for_with_all_that_the_profile_says_and_a_signature() {
    let cloud = Cloud::start();
    assert_eq!(place(&cloud, ROLE).id().unwrap(), "r-by-AKIDX");
    let requests = cloud.requests();
    let request: &Request = &requests[0];
    for (name, value) in [
        ("Action", "AssumeRole"),
        ("Version", "2011-06-15"),
        ("RoleArn", "arn:aws:iam::123456789012:role/r"),
        ("RoleSessionName", "mail"),
        ("ExternalId", "a+b&c=d"),
        ("DurationSeconds", "900"),
    ] {
        assert_eq!(parameter(request, name).as_deref(), Some(value));
    }
    assert!(request.header("authorization").unwrap().contains("/eu-west-1/sts/aws4_request"));
}

#[test]
fn a_session_without_a_name_gets_one_that_sts_takes() {
    let cloud = Cloud::start();
    let config = "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = x\n";
    place(&cloud, config).id().unwrap();
    let name = parameter(&cloud.requests()[0], "RoleSessionName").unwrap();
    let (front, number) = name.split_once('-').unwrap();
    assert_eq!(front, "mailroom");
    number.parse::<u64>().unwrap();
    assert_eq!(parameter(&cloud.requests()[0], "DurationSeconds"), None);
}

#[test]
fn the_bearer_of_a_token_signs_nothing_and_the_token_is_read_each_time() {
    let cloud = Cloud::start();
    let mut place = Place::new(&cloud);
    let path = place.write("token", "first\n");
    place.set("AWS_WEB_IDENTITY_TOKEN_FILE", &path);
    place.set("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pod");
    place.set("AWS_ROLE_SESSION_NAME", "mail");
    let mut keeper = place.keeper();
    assert_eq!(keeper.get().unwrap().access_key_id(), "pod-bearing-first");
    place.write("token", "second");
    keeper.forget();
    assert_eq!(keeper.get().unwrap().access_key_id(), "pod-bearing-second");
    let requests = cloud.requests();
    assert!(requests.iter().all(|request| signer(request).is_none()));
    assert_eq!(parameter(&requests[0], "RoleSessionName").as_deref(), Some("mail"));
}

#[test]
fn a_token_that_is_missing_empty_or_too_long_may_come_soon() {
    let cloud = Cloud::start();
    let mut place = Place::new(&cloud);
    place.set("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pod");
    let empty = place.write("empty", " \n");
    let long = place.write("long", &"x".repeat(20_001));
    for (path, fault) in [
        ("/nonexistent", "No such file"),
        (&empty, "is empty"),
        (&long, "at most 20000 bytes"),
        ("/", "not a file"),
    ] {
        place.set("AWS_WEB_IDENTITY_TOKEN_FILE", path);
        let why = place.passing();
        assert!(why.contains(fault), "{why}");
    }
    assert!(cloud.requests().is_empty());
}

#[test]
fn what_sts_refuses_a_person_must_see_to_and_what_fails_may_pass() {
    for (answer, passes, fault) in [
        (
            sts_error(403, "AccessDenied", &format!("not {}", "eyJ0".repeat(20))),
            false,
            "AccessDenied: not ***",
        ),
        (sts_error(403, "AccessDenied", "not &quot;you&quot;"), false, "AccessDenied: not \"you\""),
        (sts_error(403, "InvalidClientTokenId", "x"), false, "InvalidClientTokenId"),
        (sts_error(400, "ValidationError", "x"), false, "ValidationError"),
        (sts_error(403, "ExpiredToken", "x"), true, "ExpiredToken"),
        (sts_error(400, "Throttling", "x"), true, "Throttling"),
        (Answer::new(503, "<html>"), true, "HTTP 503"),
        (Answer::new(200, "<html>"), true, "an unreadable answer"),
        (
            Answer::new(200, "<Credentials><AccessKeyId>A</AccessKeyId></Credentials>"),
            true,
            "an unreadable answer",
        ),
        (Answer::new(302, ""), false, "HTTP 302"),
    ] {
        let cloud = refusing(answer);
        let place = place(&cloud, ROLE);
        let why = if passes { place.passing() } else { place.setup() };
        assert!(why.contains(fault) && why.contains("role/r"), "{why}");
        assert_eq!(cloud.requests().len(), 1);
    }
    let mut place = place(&Cloud::start(), ROLE);
    place.set("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1");
    assert!(place.passing().contains("STS: 127.0.0.1: Connection refused"));
}

#[test]
fn a_clock_that_is_wrong_is_corrected_once_for_a_role() {
    let count = AtomicUsize::new(0);
    let cloud = Cloud::scripted(move |_| {
        let date = time::OffsetDateTime::now_utc();
        let date = date.format(&time::format_description::well_known::Rfc2822).unwrap();
        let refused = Answer {
            headers: vec![("date", date.replace("+0000", "GMT"))],
            ..sts_error(403, "SignatureDoesNotMatch", "Signature expired")
        };
        (count.fetch_add(1, Ordering::SeqCst) == 0).then_some(refused)
    });
    let place = place(&cloud, ROLE);
    place.pass(Duration::from_secs(7200));
    assert_eq!(place.id().unwrap(), "r-by-AKIDX");
    let stamps: Vec<String> = cloud
        .requests()
        .iter()
        .map(|request| request.header("x-amz-date").unwrap().to_owned())
        .collect();
    assert_eq!(stamps.len(), 2);
    let now = time::OffsetDateTime::now_utc();
    let format = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
    let off = |stamp: &str| {
        let signed = time::PrimitiveDateTime::parse(stamp, format).unwrap().assume_utc();
        (signed - now).whole_seconds()
    };
    assert!((7100..7300).contains(&off(&stamps[0])) && off(&stamps[1]).abs() < 60, "{stamps:?}");
}

#[test]
fn a_chain_whose_calls_take_too_long_is_given_up_for_now() {
    let gone = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let moved = gone.clone();
    let cloud = Cloud::scripted(move |_| {
        moved.fetch_add(21, Ordering::SeqCst);
        None
    });
    let chain = "[default]\nrole_arn = arn:aws:iam::123456789012:role/r2\nsource_profile = b\n\
        [profile b]\nrole_arn = arn:aws:iam::123456789012:role/r1\nsource_profile = x\n";
    let mut place = place(&cloud, chain);
    // The date says nothing of it: it may be set back meanwhile.
    place.gone = gone;
    assert!(place.passing().contains("took too long"));
    assert_eq!(cloud.requests().len(), 1);
}

#[test]
fn a_chain_is_bounded_and_its_faults_are_named() {
    let cloud = Cloud::start();
    let role = |name: &str, more: &str| {
        format!("[profile {name}]\nrole_arn = arn:aws:iam::123456789012:role/{name}\n{more}\n")
    };
    let long: String =
        (0..30).map(|n| role(&format!("p{n}"), &format!("source_profile = p{}", n + 1))).collect();
    for (config, profile, fault) in [
        (long, "p0", "one too many"),
        (role("a", "source_profile = b") + &role("b", "source_profile = a"), "a", "leads back"),
        (role("a", "source_profile = a"), "a", "leads back"),
        (role("a", "source_profile = nobody"), "a", "\"nobody\" is not there"),
        (role("a", "source_profile = x\nduration_seconds = soon"), "a", "not a whole number"),
        (role("a", "source_profile = x\nmfa_serial = arn"), "a", "mfa_serial asks a person"),
        (role("a", "credential_source = Moon"), "a", "\"Moon\" is not known"),
        (role("a", ""), "a", "needs source_profile or credential_source"),
    ] {
        let mut place = place(&cloud, &config);
        place.set("AWS_PROFILE", profile);
        let why = place.setup();
        assert!(why.contains(fault), "{why}");
    }
    assert!(cloud.requests().is_empty());
}

#[test]
fn a_profile_without_what_it_names_is_an_error_that_says_where() {
    let cloud = Cloud::start();
    let mut place = place(&cloud, "");
    place.set("AWS_PROFILE", "nobody");
    let why = place.setup();
    assert!(why.contains("AWS_PROFILE: there is no profile \"nobody\" in "), "{why}");
    assert!(why.contains(".aws/credentials and ") && why.contains(".aws/config"), "{why}");
}
