//! Which credentials, region and endpoint are chosen, compared with what botocore chooses from
//! the same files and variables, with the same services to ask.

mod table;

use crate::support::cloud::{Cloud, SECRET};
use crate::support::python;
use mailroom::edges::aws::credentials::Keeper;
use mailroom::edges::aws::credentials::source::{Failure, Outside};
use mailroom::edges::aws::endpoint::Endpoint;
use mailroom::edges::aws::shared::Shared;
use mailroom::edges::http::Http;
use mailroom::edges::stop::Stop;
use serde_json::{Value, json};
use std::time::{Instant, SystemTime};

/// What is set, and what is chosen.
struct Case {
    name: &'static str,
    /// Variables, `NAME=value` a line.
    variables: &'static str,
    /// `~/.aws/config`.
    config: &'static str,
    /// `~/.aws/credentials`.
    credentials: &'static str,
    /// The access key id and the session token, `none`, or `error`.
    chosen: &'static str,
}

/// The variables of a case, with its files written in a home of its own. `HOME`, `CLOUD` and
/// `SECRET` stand for what they are.
fn prepare(case: &Case, home: &std::path::Path, cloud: &Cloud) -> Vec<(String, String)> {
    let fill = |text: &str| {
        text.replace("HOME", home.to_str().unwrap())
            .replace("CLOUD", &cloud.url())
            .replace("SECRET", SECRET)
    };
    std::fs::create_dir_all(home.join(".aws")).unwrap();
    for (name, text) in [("config", case.config), ("credentials", case.credentials)] {
        if !text.is_empty() {
            std::fs::write(home.join(".aws").join(name), fill(text)).unwrap();
        }
    }
    std::fs::write(home.join("token"), "bearer").unwrap();
    let mut variables: Vec<(String, String)> = [
        ("PATH", std::env::var("PATH").unwrap()),
        ("HOME", home.to_str().unwrap().to_owned()),
        ("BOTO_CONFIG", "/nonexistent".to_owned()),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", cloud.url()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    for line in case.variables.lines() {
        let (name, value) = line.trim().split_once('=').unwrap();
        variables.push((name.to_owned(), fill(value)));
    }
    variables
}

fn outside(variables: Vec<(String, String)>) -> Outside {
    let get = move |name: &str| {
        let found = variables.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone())
    };
    let stop = Stop::new();
    Outside {
        http: Http::new(&get, stop.clone()).unwrap(),
        variables: Box::new(get),
        wall: Box::new(SystemTime::now),
        now: Box::new(Instant::now),
        stop,
        clean: mailroom::send::text::clean,
    }
}

fn our_credentials(variables: Vec<(String, String)>) -> String {
    match Keeper::new(outside(variables)).get() {
        Ok(found) => match found.session_token() {
            Some(token) => format!("{} {token}", found.access_key_id()),
            None => found.access_key_id().to_owned(),
        },
        Err(Failure::Setup(why)) if why.starts_with("no AWS credentials") => "none".to_owned(),
        Err(failure) => format!("error: {failure}"),
    }
}

fn our_settings(variables: Vec<(String, String)>) -> String {
    let outside = outside(variables);
    let endpoint = match Endpoint::read(&*outside.variables) {
        Ok(endpoint) => endpoint,
        Err(why) => return format!("error: {why}"),
    };
    let shared = Shared::read(&*outside.variables).unwrap();
    let bundle = shared.setting("AWS_CA_BUNDLE");
    format!("{} {} {}", endpoint.region, endpoint.url, bundle.as_deref().unwrap_or("-"))
}

fn kind(answer: &str) -> &str {
    if answer.starts_with("error") { "error" } else { answer }
}

/// Prints the table and fails if a row has two answers.
fn compare(
    cases: &[Case],
    list: &str,
    more: &[(&str, &str)],
    ours: fn(Vec<(String, String)>) -> String,
) {
    let cloud = Cloud::start();
    let homes: Vec<tempfile::TempDir> =
        cases.iter().map(|_| tempfile::tempdir().unwrap()).collect();
    let mut environments: Vec<Vec<(String, String)>> = Vec::new();
    for (case, home) in cases.iter().zip(&homes) {
        let mut variables = prepare(case, home.path(), &cloud);
        for (name, value) in more {
            variables.insert(0, ((*name).to_owned(), value.replace("CLOUD", &cloud.url())));
        }
        environments.push(variables);
    }
    let as_json = |variables: &Vec<(String, String)>| {
        let pairs = variables.iter().map(|(name, value)| (name.clone(), json!(value)));
        Value::Object(pairs.collect())
    };
    let mut asked = json!({ "credentials": [], "settings": [] });
    asked[list] = environments.iter().map(as_json).collect();
    let theirs = python::ask("tests/precedence/botocore_chooses.py", &asked);
    let theirs: Vec<&str> =
        theirs[list].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    assert_eq!(theirs.len(), cases.len());
    let mut wrong = Vec::new();
    for ((case, theirs), variables) in cases.iter().zip(theirs).zip(environments) {
        let ours = ours(variables);
        println!("| {} | {} | {} |", case.name, ours, theirs);
        let chosen = case.chosen.replace("CLOUD", &cloud.url());
        if kind(&ours) != chosen || kind(theirs) != chosen {
            let name = case.name;
            wrong.push(format!("{name}\n  wanted {chosen}\n  ours   {ours}\n  theirs {theirs}"));
        }
        assert!(!ours.starts_with("error") || !ours.contains(SECRET), "{ours}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_credentials_are_those_that_botocore_chooses() {
    let more = [("AWS_DEFAULT_REGION", "eu-west-1"), ("AWS_ENDPOINT_URL_STS", "CLOUD")];
    compare(table::CREDENTIALS, "credentials", &more, our_credentials);
}

#[test]
fn the_region_endpoint_and_authorities_are_those_that_botocore_chooses() {
    compare(table::SETTINGS, "settings", &[], our_settings);
}
