//! The SES transport against a provider under our control: every answer it can give, and what
//! becomes of each message then.

mod faults;
mod peer;
mod requests;
mod table;
mod way;

use crate::support::endpoint::Endpoint;
use mailroom::edges::aws::credentials::Keeper;
use mailroom::edges::aws::credentials::source::Outside;
use mailroom::edges::aws::endpoint::Endpoint as Place;
use mailroom::edges::clock::Clock;
use mailroom::edges::http::Http;
use mailroom::edges::stop::Stop;
use mailroom::mail::kind::Templates;
use mailroom::pump::system_clock;
use mailroom::send::ses::bulk::Through;
use mailroom::send::ses::client::Client;
use mailroom::send::ses::{Ses, Settings};
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

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
        rig.set("AWS_REGION", "us-east-1");
        rig.set("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
        rig.set("AWS_SECRET_ACCESS_KEY", "hunter2hunter2");
        rig.set("AWS_EC2_METADATA_DISABLED", "true");
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
        self.ses_at(system_clock())
    }

    fn ses_at(&self, clock: Clock) -> Ses {
        self.build(clock, self.keeper(self.variables()))
    }

    fn keeper(&self, variables: impl Fn(&str) -> Option<String> + 'static) -> Keeper {
        Keeper::new(Outside {
            variables: Box::new(variables),
            http: self.http().unwrap(),
            wall: Box::new(SystemTime::now),
            now: Box::new(Instant::now),
            stop: self.stop.clone(),
            clean: mailroom::send::text::clean,
        })
    }

    fn ses_with(&self, keeper: Keeper) -> Ses {
        self.build(system_clock(), keeper)
    }

    fn build(&self, clock: Clock, keeper: Keeper) -> Ses {
        self.with_settings(self.settings(clock), keeper)
    }

    fn with_settings(&self, settings: Settings, keeper: Keeper) -> Ses {
        let (endpoint, wall) = (settings.endpoint.clone(), settings.clock.wall);
        Ses::new(settings, Client::new(endpoint, self.http().unwrap(), keeper, wall))
    }

    fn settings(&self, clock: Clock) -> Settings {
        Settings {
            endpoint: Place::read(&self.variables()).unwrap(),
            templates: Templates::parse("1=activationv1,2=passwordrecoveryv1").unwrap(),
            source: "noreply@example.com".into(),
            through: Through { config_set: "default".into(), ..Through::default() },
            output: self.saved_in(),
            clock,
        }
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
