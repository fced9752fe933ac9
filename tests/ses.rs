//! The SES transport against a provider under our control: every answer it can give, and what
//! becomes of each message then.

use crate::support::endpoint::{Endpoint, Proxy, Reply};
use mailroom::aws::credentials::Keeper;
use mailroom::aws::endpoint::Endpoint as Place;
use mailroom::http::Http;
use mailroom::model::{Batch, Message, Outcome, Scope};
use mailroom::stop::Stop;
use mailroom::template::Templates;
use mailroom::transport::Transport;
use mailroom::transport::ses::{Ses, Settings};
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

const TOKEN: &str =
    "TOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENT";

/// A transport with its surroundings.
struct Rig {
    endpoint: Endpoint,
    output: tempfile::TempDir,
    stop: Stop,
    variables: Vec<(String, String)>,
}

impl Rig {
    fn new() -> Rig {
        Rig::with(Endpoint::start())
    }

    fn with(endpoint: Endpoint) -> Rig {
        let mut rig = Rig {
            output: tempfile::tempdir().unwrap(),
            stop: Stop::new(),
            variables: Vec::new(),
            endpoint,
        };
        let url = rig.endpoint.url();
        rig.set("AWS_ENDPOINT_URL", &url);
        rig.set("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
        rig.set("AWS_SECRET_ACCESS_KEY", "hunter2hunter2");
        rig
    }

    fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(key, _)| key != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    fn variables(&self) -> impl Fn(&str) -> Option<String> + 'static {
        let variables = self.variables.clone();
        move |name| variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    fn http(&self) -> Result<Http, String> {
        Http::new(&self.variables(), self.stop.clone())
    }

    fn saved_in(&self) -> PathBuf {
        self.output.path().join("a/b")
    }

    fn ses(&self) -> Ses {
        self.ses_at(Box::new(SystemTime::now))
    }

    fn ses_at(&self, clock: Box<dyn Fn() -> SystemTime>) -> Ses {
        let settings = Settings {
            endpoint: Place::read(&self.variables()).unwrap(),
            templates: Templates::parse("1=activationv1,2=passwordrecoveryv1").unwrap(),
            source: "noreply@example.com".into(),
            config_set: "default".into(),
            output: self.saved_in(),
            clock,
        };
        Ses::new(settings, self.http().unwrap(), Keeper::new(Box::new(self.variables())))
    }

    /// What was saved, by name.
    fn saved(&self) -> Vec<(String, String)> {
        let Ok(dir) = std::fs::read_dir(self.saved_in()) else { return Vec::new() };
        let mut saved: Vec<(String, String)> = dir
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let text = std::fs::read(entry.path()).unwrap();
                (
                    entry.file_name().into_string().unwrap(),
                    String::from_utf8_lossy(&text).into_owned(),
                )
            })
            .collect();
        saved.sort();
        saved
    }
}

fn message(action: u16, number: usize) -> Message {
    Message {
        action,
        email: format!("user{number}@example.com"),
        login: format!("login{number}"),
        token: TOKEN.to_owned(),
        code: if action == 2 { "01234".into() } else { String::new() },
        ticket: None,
    }
}

fn batch(count: usize) -> Batch {
    Batch { messages: (0..count).map(|number| message(1, number)).collect() }
}

fn accepted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Accepted { .. })
}

#[test]
fn a_batch_of_two_kinds_is_two_calls_with_the_data_of_each_message() {
    let rig = Rig::new();
    let mut batch = batch(3);
    batch.messages[1] = message(2, 1);
    let outcomes = rig.ses().send(&batch);
    let ids: Vec<&str> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Accepted { provider_id } => provider_id.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, ["id-000001", "id-000003", "id-000002"]);
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
