//! The program with credentials that end, and without any.

use crate::support::cloud::{Answer, Cloud, SESSION, document, signer};
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::program::{Finished, PATIENCE, Program, wait_until};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const TOKEN: &str =
    "TOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENA";

/// A sender that has no keys of its own but a container's address.
fn sender(endpoint: &Endpoint, cloud: &Cloud) -> Program {
    Program::send(&endpoint.url())
        .without("AWS_ACCESS_KEY_ID")
        .without("AWS_SECRET_ACCESS_KEY")
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/container", cloud.url()))
        .env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hunter2hunter2")
        .env("MAILROOM_LOG_LEVEL", "debug")
}

fn line(number: usize) -> String {
    format!("1,user{number}@example.com,login{number},{TOKEN},\n")
}

fn clean(done: &Finished) {
    for secret in [SESSION, "hunter2", "AKID"] {
        assert!(!done.log.contains(secret), "{}", done.log);
    }
}

/// Credentials that live a second, another key each time; and when the last ones were given.
fn fleeting() -> (Cloud, Arc<Mutex<Instant>>) {
    let given = Arc::new(Mutex::new(Instant::now()));
    let (count, last) = (AtomicUsize::new(0), given.clone());
    let cloud = Cloud::scripted(move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        *last.lock().unwrap() = Instant::now();
        Some(Answer::new(200, document(&format!("AKID{number}"), Duration::from_secs(1))))
    });
    (cloud, given)
}

#[test]
fn credentials_that_end_again_and_again_lose_no_mail() {
    let endpoint = Endpoint::start();
    let (cloud, given) = fleeting();
    let mut running = sender(&endpoint, &cloud).start();
    for number in 0..8 {
        // The provider finds some of them expired all the same.
        if number % 3 == 2 {
            endpoint.push(Reply::error(403, "ExpiredTokenException", "expired"));
        }
        running.write(line(number));
        endpoint.wait_for(number + 1, PATIENCE);
        if number % 3 == 0 {
            wait_until("they have ended", || {
                given.lock().unwrap().elapsed() > Duration::from_secs(1)
            });
        }
    }
    running.close_input();
    let done = running.finish();
    assert_eq!(done.code, Some(0), "{}", done.log);
    let to: Vec<String> = endpoint.accepted().into_iter().map(|mail| mail.to).collect();
    let all: Vec<String> = (0..8).map(|number| format!("user{number}@example.com")).collect();
    assert_eq!(to, all, "each once");
    assert_eq!(done.undelivered, "");
    let signers: BTreeSet<_> = endpoint.requests().iter().filter_map(signer).collect();
    assert!(signers.len() >= 4, "{signers:?}");
    clean(&done);
}

#[test]
fn a_source_that_fails_at_the_start_is_waited_for() {
    let endpoint = Endpoint::start();
    let broken = Arc::new(AtomicBool::new(true));
    let fails = broken.clone();
    let cloud = Cloud::scripted(move |_| {
        let fails = fails.load(Ordering::SeqCst);
        Some(if fails {
            Answer::new(500, "")
        } else {
            Answer::new(200, document("AKID1", Duration::from_secs(3600)))
        })
    });
    let mut running = sender(&endpoint, &cloud).start();
    running.wait_log("no credentials yet; mail is held until there are: container: ");
    assert!(running.is_running());
    broken.store(false, Ordering::SeqCst);
    running.write(line(0));
    endpoint.wait_for(1, PATIENCE);
    running.close_input();
    let done = running.finish();
    assert_eq!(done.code, Some(0), "{}", done.log);
    clean(&done);
}

#[test]
fn without_any_it_ends_at_once_and_says_what_was_tried() {
    let endpoint = Endpoint::start();
    let done = Program::send(&endpoint.url())
        .without("AWS_ACCESS_KEY_ID")
        .without("AWS_SECRET_ACCESS_KEY")
        .stdin(std::process::Stdio::null())
        .output();
    assert_eq!(done.code, Some(78), "{}", done.log);
    for part in ["no AWS credentials", "environment:", "profile:", "container:", "EC2 instance:"] {
        assert!(done.log.contains(part), "{}", done.log);
    }
    assert!(endpoint.requests().is_empty());
}

#[test]
fn the_profile_gives_keys_region_endpoint_and_authorities() {
    let endpoint = Endpoint::start_tls();
    let program = Program::send("")
        .without("AWS_ACCESS_KEY_ID")
        .without("AWS_SECRET_ACCESS_KEY")
        .without("AWS_ENDPOINT_URL")
        .without("AWS_REGION")
        .env("AWS_PROFILE", "mail");
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, endpoint.ca_pem()).unwrap();
    let config = dir.path().join("config");
    let text = format!(
        "[profile mail]\nregion = eu-west-3\nca_bundle = {}\nservices = local\n\
         aws_access_key_id = AKIDP\naws_secret_access_key = hunter2hunter2\n\
         [services local]\nsesv2 =\n  endpoint_url = {}\n",
        ca.display(),
        endpoint.url()
    );
    std::fs::write(&config, text).unwrap();
    let done = program.env("AWS_CONFIG_FILE", &config).input(line(0));
    assert_eq!(done.code, Some(0), "{}", done.log);
    let request = endpoint.requests().remove(0);
    let signed = request.header("authorization").unwrap();
    assert!(signed.contains("Credential=AKIDP/") && signed.contains("/eu-west-3/ses/"), "{signed}");
    clean(&done);
}
