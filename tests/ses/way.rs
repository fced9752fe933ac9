//! The way to the provider: TLS, private authorities, proxies.

use super::Rig;
use crate::support::batches::{accepted, batch, cause, why};
use crate::support::endpoint::{Endpoint, Proxy};
use mailroom::mail::ends::Transport;
use mailroom::mail::model::{Cause, Outcome};

fn tls_rig() -> Rig {
    let mut rig = Rig::with(Endpoint::start_tls());
    let path = rig.output.path().join("ca.pem");
    std::fs::write(&path, rig.endpoint.ca_pem()).unwrap();
    rig.set("AWS_CA_BUNDLE", path.to_str().unwrap());
    rig
}

fn not_sent(outcomes: &[Outcome]) -> &str {
    assert_eq!(cause(&outcomes[0]), Cause::Away, "{outcomes:?}");
    why(&outcomes[0])
}

#[test]
fn a_private_authority_is_trusted_when_aws_ca_bundle_names_it() {
    let rig = tls_rig();
    let mut ses = rig.ses();
    assert!(ses.send(&batch(2)).iter().all(accepted));
    assert!(ses.send(&batch(2)).iter().all(accepted));
    assert_eq!(rig.endpoint.connections(), 1);
}

#[test]
fn an_unknown_authority_or_a_wrong_name_gets_nothing() {
    let mut unknown = tls_rig();
    unknown.set("AWS_CA_BUNDLE", "");
    let mut name = tls_rig();
    let url = format!("https://127.0.0.1:{}", name.endpoint.port());
    name.set("AWS_ENDPOINT_URL", &url);
    for rig in [unknown, name] {
        let outcomes = rig.ses().send(&batch(1));
        assert!(not_sent(&outcomes).contains("certificate"), "{outcomes:?}");
        assert!(rig.endpoint.requests().is_empty());
    }
}

#[test]
fn a_bundle_that_cannot_be_used_is_named() {
    let mut rig = Rig::new();
    let path = rig.output.path().join("empty.pem");
    std::fs::write(&path, "no certificate here").unwrap();
    let broken = rig.output.path().join("broken.pem");
    std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").unwrap();
    for path in [path.to_str().unwrap(), broken.to_str().unwrap(), "/nonexistent/ca.pem"] {
        rig.set("AWS_CA_BUNDLE", path);
        let Err(error) = rig.http() else { panic!("{path} was taken") };
        assert!(error.starts_with(&format!("AWS_CA_BUNDLE: {path}: ")), "{error}");
    }
}

#[test]
fn https_goes_through_the_proxy_with_its_password_and_stays_encrypted() {
    let mut rig = tls_rig();
    let proxy = Proxy::start(200);
    rig.set("HTTPS_PROXY", &format!("http://user:pass%21@{}", proxy.authority()));
    assert!(rig.ses().send(&batch(1)).iter().all(accepted));
    let seen = proxy.requests();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].method, "CONNECT");
    assert_eq!(seen[0].path, format!("localhost:{}", rig.endpoint.port()));
    assert_eq!(seen[0].header("proxy-authorization"), Some("Basic dXNlcjpwYXNzIQ=="));
    let request = rig.endpoint.requests().remove(0);
    assert_eq!(request.header("proxy-authorization"), None);
}

#[test]
fn no_proxy_goes_around_the_proxy() {
    for list in ["localhost", "*", "example.com, localhost"] {
        let mut rig = tls_rig();
        let proxy = Proxy::start(200);
        rig.set("HTTPS_PROXY", &format!("http://{}", proxy.authority()));
        rig.set("NO_PROXY", list);
        assert!(rig.ses().send(&batch(1)).iter().all(accepted));
        assert!(proxy.requests().is_empty(), "{list}");
    }
}

#[test]
fn plain_http_uses_the_lower_case_variable_only() {
    for (name, count) in [("HTTP_PROXY", 0), ("http_proxy", 1), ("ALL_PROXY", 1)] {
        let mut rig = Rig::new();
        let proxy = Proxy::start(200);
        rig.set(name, &proxy.authority());
        assert!(rig.ses().send(&batch(1)).iter().all(accepted));
        assert_eq!(proxy.requests().len(), count, "{name}");
    }
}

#[test]
fn a_proxy_that_refuses_or_is_not_there_was_sent_no_mail() {
    for status in [407, 403, 502] {
        let mut rig = tls_rig();
        let proxy = Proxy::start(status);
        rig.set("HTTPS_PROXY", &format!("http://user:hunter3@{}", proxy.authority()));
        let outcomes = rig.ses().send(&batch(1));
        let why = not_sent(&outcomes);
        assert!(why.contains(&status.to_string()) && !why.contains("hunter3"), "{why}");
        assert!(rig.endpoint.requests().is_empty());
    }
    let mut rig = tls_rig();
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    rig.set("HTTPS_PROXY", &format!("http://127.0.0.1:{port}"));
    not_sent(&rig.ses().send(&batch(1)));
}
