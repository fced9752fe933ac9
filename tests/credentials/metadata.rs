//! The metadata services of instances and containers.

use super::Place;
use crate::support::cloud::{Answer, Cloud, document};
use crate::support::endpoint::Proxy;
use std::time::Duration;

const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";

/// A cloud that answers one path in another way.
fn but(path: &'static str, answer: Answer) -> Cloud {
    Cloud::scripted(move |request| (request.path == path).then(|| answer.clone()))
}

fn redirect(cloud: &Cloud) -> Answer {
    let headers = vec![("location", format!("{}/elsewhere", cloud.url()))];
    Answer { headers, ..Answer::new(302, "") }
}

#[test]
fn an_instance_gives_its_role_after_a_session_token() {
    let cloud = Cloud::start();
    assert_eq!(Place::new(&cloud).id().unwrap(), "AKIDINSTANCE");
    let role = format!("{ROLES}instance-role");
    assert_eq!(cloud.paths(), ["/latest/api/token", ROLES, &role]);
}

#[test]
fn an_instance_is_not_asked_when_that_is_turned_off() {
    let cloud = Cloud::start();
    let mut place = Place::new(&cloud);
    place.set("AWS_EC2_METADATA_DISABLED", "true");
    assert!(place.setup().contains("AWS_EC2_METADATA_DISABLED is true"));
    assert!(cloud.requests().is_empty());
}

#[test]
fn a_service_that_somebody_asked_for_and_that_does_not_connect_may_come_up_soon() {
    let mut place = Place::new(&Cloud::start());
    place.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1");
    assert!(place.passing().contains("EC2 instance: 127.0.0.1: Connection refused"));
}

#[test]
fn no_version_2_and_no_role_are_a_matter_of_setting_up() {
    for status in [403, 404, 405] {
        let cloud = but("/latest/api/token", Answer::new(status, ""));
        assert!(Place::new(&cloud).setup().contains(&format!("answered with HTTP {status}")));
        assert_eq!(cloud.requests().len(), 1, "version 1 is not tried");
    }
    for answer in [Answer::new(404, ""), Answer::new(200, "")] {
        let cloud = but(ROLES, answer);
        assert!(Place::new(&cloud).setup().contains("the instance has no role"));
    }
}

#[test]
fn an_instance_that_fails_may_work_soon() {
    for (cloud, fault) in [
        (but("/latest/api/token", Answer::new(503, "")), "HTTP 503"),
        (but("/latest/api/token", Answer::new(200, "a\u{1}b")), "cannot stand in a header"),
        (but(ROLES, Answer::new(500, "")), "HTTP 500"),
        (but(ROLES, Answer::new(200, "../../evil?x")), "not the name of a role"),
        (but(ROLES, Answer::new(200, "gone")), "HTTP 404"),
        (but(ROLES, Answer::new(200, "x".repeat(70_000))), "longer than"),
    ] {
        let why = Place::new(&cloud).passing();
        assert!(why.contains(fault), "{why}");
    }
    let role = "/latest/meta-data/iam/security-credentials/instance-role";
    for (body, fault) in [
        (
            r#"{"Code":"AssumeRoleUnauthorizedAccess","Message":"no"}"#,
            "AssumeRoleUnauthorizedAccess",
        ),
        ("<html>", "not JSON"),
        (r#"{"AccessKeyId":"A"}"#, "the secret access key is missing"),
        (r#"{"AccessKeyId":"A","SecretAccessKey":"hunter2","Expiration":"soon"}"#, "no date"),
        (r#"{"AccessKeyId":7}"#, "AccessKeyId is not a text"),
    ] {
        let why = Place::new(&but(role, Answer::new(200, body))).passing();
        assert!(why.contains(fault), "{why}");
    }
}

#[test]
fn an_instance_that_does_not_answer_is_not_waited_for_longer_than_a_second() {
    let slow = Answer { after: Duration::from_secs(10), ..Answer::new(200, "a-token==") };
    let cloud = but("/latest/api/token", slow);
    // Had it waited, there would be an answer.
    let why = Place::new(&cloud).passing();
    assert!(why.contains("timed out") && why.contains("hop limit"), "{why}");
}

#[test]
fn a_container_gives_its_role_with_the_authorization_it_asks_for() {
    let cloud = Cloud::start();
    let mut place = Place::new(&cloud);
    place.set(FULL, &format!("{}/container", cloud.url()));
    assert_eq!(place.id().unwrap(), "AKIDCONTAINER");
    place.set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic one");
    place.id().unwrap();
    let path = place.write("pod-token", "two");
    place.set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &path);
    place.id().unwrap();
    let requests = cloud.requests();
    let sent: Vec<_> = requests.iter().map(|request| request.header("authorization")).collect();
    assert_eq!(sent, [None, Some("Basic one"), Some("two")]);
    assert!(requests.iter().all(|request| request.header("accept") == Some("application/json")));
}

#[test]
fn an_authorization_with_a_line_break_is_never_sent() {
    let cloud = Cloud::start();
    for token in ["hunter2\r\nx-evil: 1", "hunter2\n", "\rhunter2"] {
        let mut place = Place::new(&cloud);
        place.set(FULL, &format!("{}/container", cloud.url()));
        place.set("AWS_CONTAINER_AUTHORIZATION_TOKEN", token);
        assert!(place.setup().contains("AWS_CONTAINER_AUTHORIZATION_TOKEN: a line break"));
        let path = place.write("pod-token", token);
        place.set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &path);
        assert!(place.setup().contains("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: a line break"));
    }
    assert!(cloud.requests().is_empty());
}

#[test]
fn a_container_is_asked_on_this_machine_or_by_https_only() {
    let cloud = Cloud::start();
    let port = cloud.url().rsplit(':').next().unwrap().to_owned();
    for host in ["127.0.0.1", "localhost"] {
        let mut place = Place::new(&cloud);
        place.set(FULL, &format!("http://{host}:{port}/container"));
        assert_eq!(place.id().unwrap(), "AKIDCONTAINER", "{host}");
    }
    for (url, fault) in [
        ("http://192.0.2.1/x", "may not be asked without encryption"),
        ("http://169.254.169.254/x", "may not be asked without encryption"),
        ("http://localhost.evil.test/x", "may not be asked without encryption"),
        ("http://127.0.0.1.evil.test/x", "may not be asked without encryption"),
        ("http://127.0.0.1@192.0.2.1/x", "without a user"),
        ("ftp://127.0.0.1/x", "https:// or http://"),
        ("/x", "is not a URL"),
    ] {
        let mut place = Place::new(&cloud);
        place.set(FULL, url);
        let why = place.setup();
        assert!(why.contains(fault), "{url}: {why}");
    }
    let mut place = Place::new(&cloud);
    place.set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@evil.test/x");
    assert!(place.setup().contains("is not a path"));
}

#[test]
fn a_container_that_fails_is_no_reason_to_ask_the_instance() {
    for (answer, fault) in [
        (Answer::new(404, "{\"message\":\"hunter2\"}"), "HTTP 404"),
        (redirect(&Cloud::start()), "HTTP 302"),
        (Answer::new(200, "x"), "not JSON"),
        (Answer::new(200, " ".repeat(70_000)), "longer than"),
    ] {
        let cloud = but("/container", answer);
        let mut place = Place::new(&cloud);
        place.set(FULL, &format!("{}/container", cloud.url()));
        let why = place.passing();
        assert!(why.starts_with("container: ") && why.contains(fault), "{why}");
        assert_eq!(cloud.paths(), ["/container"]);
    }
}

#[test]
fn redirects_of_metadata_services_are_not_followed() {
    let elsewhere = Cloud::scripted(|_| {
        Some(Answer::new(200, document("AKIDEVIL", Duration::from_secs(3600))))
    });
    for path in ["/latest/api/token", ROLES] {
        let cloud = but(path, redirect(&elsewhere));
        assert!(Place::new(&cloud).id().is_err());
    }
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn metadata_services_are_never_asked_through_a_proxy() {
    let cloud = Cloud::start();
    let proxy = Proxy::start(200);
    let mut place = Place::new(&cloud);
    place.set("ALL_PROXY", &format!("http://{}", proxy.authority()));
    assert_eq!(place.id().unwrap(), "AKIDINSTANCE");
    place.set(FULL, &format!("{}/container", cloud.url()));
    assert_eq!(place.id().unwrap(), "AKIDCONTAINER");
    assert!(proxy.requests().is_empty());
    // STS is asked through it, as SES is.
    place.write(".aws/config", "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\ncredential_source = EcsContainer\n");
    assert_eq!(place.id().unwrap(), "r-by-AKIDCONTAINER");
    assert_eq!(proxy.requests().len(), 1);
}
