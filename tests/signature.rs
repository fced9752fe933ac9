//! Signatures and endpoints compared with botocore's, the library under the AWS command line.

use crate::support::asymmetric::{ID, SECRET, Signed, prove};
use crate::support::python;
use aws_credential_types::Credentials;
use mailroom::edges::aws::endpoint::{ANY, Endpoint, Service};
use mailroom::edges::aws::shared::Shared;
use mailroom::edges::aws::sign::sign;

use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

const SCRIPT: &str = "tests/signature/botocore_says.py";

/// A request and who signs it when.
struct Case {
    name: &'static str,
    method: &'static str,
    url: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static [u8],
    session: Option<&'static str>,
    service: &'static str,
    region: &'static str,
    time: u64,
}

const PLAIN: Case = Case {
    name: "a plain call",
    method: "POST",
    url: "https://email.us-east-1.amazonaws.com/v2/email/outbound-bulk-emails",
    headers: &[("content-type", "application/json")],
    body: b"{\"BulkEmailEntries\":[]}",
    session: None,
    service: "ses",
    region: "us-east-1",
    time: 1_795_354_620,
};

const CASES: &[Case] = &[
    PLAIN,
    Case { name: "a session token", session: Some("IQoJb3JpZ2lu//+=\u{20}x"), ..PLAIN },
    Case { name: "an empty body", body: b"", method: "GET", headers: &[], ..PLAIN },
    Case {
        name: "odd bytes in the body",
        body: "\u{1F600} \u{e9}\u{e9} \"quoted\" back\\slash\r\n\0\u{7f}".as_bytes(),
        ..PLAIN
    },
    Case {
        name: "a port and a base path",
        url: "http://127.0.0.1:8005/base//path/./x/v2/email/outbound-bulk-emails",
        ..PLAIN
    },
    Case {
        name: "escapes in the path",
        url: "https://email.us-east-1.amazonaws.com/v2/email/templates/a%20b%2Fc~d%C3%A9/render",
        ..PLAIN
    },
    Case {
        name: "signs in the path",
        url: "https://email.us-east-1.amazonaws.com/v2/email/a:b@c+d,e;f=g!h$i'(j)*k&l-_.~",
        ..PLAIN
    },
    Case {
        name: "a query out of order, with escapes and empty values",
        url: "https://email.us-east-1.amazonaws.com/v2/email/templates\
              ?PageSize=10&NextToken=a%2Bb%2F%3D%20c&Empty=&A=2&A=1&a=~-_.",
        method: "GET",
        headers: &[],
        body: b"",
        ..PLAIN
    },
    Case {
        name: "blanks and signs in headers",
        headers: &[
            ("content-type", "application/json; charset=utf-8"),
            ("x-amz-odd", "  many   blanks  \"inside\" and ,;=: signs  "),
            ("X-Upper", "Value"),
        ],
        ..PLAIN
    },
    Case {
        name: "another service, region and year",
        url: "https://sts.eu-west-1.amazonaws.com/",
        service: "sts",
        region: "eu-west-1",
        time: 951_782_400,
        body: b"Action=AssumeRole",
        ..PLAIN
    },
];

fn encoded(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn our_signatures_are_those_of_botocore() {
    let (id, secret) = (ID, SECRET);
    let asked: Vec<Value> = CASES
        .iter()
        .map(|case| {
            json!({
                "method": case.method, "url": case.url, "headers": case.headers,
                "body": encoded(case.body), "id": id, "secret": secret, "token": case.session,
                "service": case.service, "region": case.region, "time": case.time,
            })
        })
        .collect();
    let answers = python::ask(SCRIPT, &json!({ "signed": asked }));
    assert_eq!(answers["signed"].as_array().unwrap().len(), CASES.len());
    for (case, theirs) in CASES.iter().zip(answers["signed"].as_array().unwrap()) {
        let mut request = http::Request::builder().method(case.method).uri(case.url);
        for (name, value) in case.headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(case.body.to_vec()).unwrap();
        let session = case.session.map(str::to_owned);
        let credentials = Credentials::new(id, secret, session, None, "test");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(case.time);
        let region = case.region;
        sign(&mut request, &credentials, region, case.service, time).unwrap();
        for name in ["x-amz-date", "x-amz-security-token", "authorization"] {
            let ours = request.headers().get(name).map(|value| value.to_str().unwrap());
            assert_eq!(ours, theirs[name].as_str(), "{name} of {}", case.name);
        }
        assert!(theirs["authorization"].is_string(), "{}", case.name);
        assert_eq!(request.body(), case.body, "what is signed is what is sent");
    }
}

/// The signature itself is another one each time: it is held to the published key of the secret.
#[test]
fn what_is_signed_for_any_region_is_as_the_common_runtime_of_aws_signs_it() {
    for case in CASES {
        let mut request = http::Request::builder().method(case.method).uri(case.url);
        for (name, value) in case.headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(case.body.to_vec()).unwrap();
        let credentials =
            Credentials::new(ID, SECRET, case.session.map(str::to_owned), None, "test");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(case.time);
        sign(&mut request, &credentials, ANY, case.service, time).unwrap();
        let ours = request.headers().iter();
        let ours = ours.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        let signed = Signed {
            method: case.method,
            url: case.url,
            given: case.headers,
            body: case.body,
            token: case.session,
            service: case.service,
            headers: &ours.collect::<Vec<_>>(),
        };
        prove(&signed, case.name);
        assert_eq!(request.body(), case.body, "what is signed is what is sent");
    }
}

#[test]
fn our_endpoints_of_several_regions_are_those_of_botocore() {
    let mut asked = Vec::new();
    for region in ["us-east-1", "eu-central-1", "us-gov-west-1", "eusc-de-east-1"] {
        for dual in [false, true] {
            asked.push(json!({ "service": "sesv2", "region": region, "fips": false, "dual": dual, "id": "abc123.xyz" }));
        }
    }
    let answers = python::ask(SCRIPT, &json!({ "endpoints": asked }));
    for (case, theirs) in asked.iter().zip(answers["endpoints"].as_array().unwrap()) {
        let variables = |name: &str| match name {
            "AWS_REGION" => case["region"].as_str().map(str::to_owned),
            "AWS_USE_DUALSTACK_ENDPOINT" => Some(case["dual"].to_string()),
            _ => None,
        };
        let shared = Shared::read(&variables).unwrap();
        let ours = Endpoint::of(Service::Global("abc123.xyz"), &shared).unwrap();
        assert_eq!(Some(ours.url.as_str()), theirs.as_str(), "{case}");
        assert!(ours.region == ANY, "{ours:?}");
    }
}

#[test]
fn our_endpoints_are_those_of_botocore() {
    let mut asked = Vec::new();
    for region in ["us-east-1", "eu-central-1", "ap-southeast-2", "us-gov-west-1", "eusc-de-east-1"]
    {
        for (fips, dual) in [(false, false), (true, false), (false, true), (true, true)] {
            for service in ["sesv2", "sts"] {
                let case =
                    json!({ "service": service, "region": region, "fips": fips, "dual": dual });
                asked.push(case);
            }
        }
    }
    let answers = python::ask(SCRIPT, &json!({ "endpoints": asked }));
    assert_eq!(answers["endpoints"].as_array().unwrap().len(), asked.len());
    for (case, theirs) in asked.iter().zip(answers["endpoints"].as_array().unwrap()) {
        let variables = |name: &str| match name {
            "AWS_REGION" => case["region"].as_str().map(str::to_owned),
            "AWS_USE_FIPS_ENDPOINT" => Some(case["fips"].to_string()),
            "AWS_USE_DUALSTACK_ENDPOINT" => Some(case["dual"].to_string()),
            _ => None,
        };
        let service = if case["service"] == "sts" { Service::Sts } else { Service::Ses };
        let ours = Endpoint::of(service, &Shared::read(&variables).unwrap());
        assert_eq!(Some(ours.unwrap().url.as_str()), theirs.as_str(), "{case}");
    }
}
