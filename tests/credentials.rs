//! Where credentials come from, each source against a real file or a service on this machine, and
//! how they are kept and renewed.

mod metadata;
mod process;
mod renewal;
mod roles;
mod running;

use crate::support::cloud::{Cloud, SECRET, SESSION};
use mailroom::edges::aws::credentials::Keeper;
use mailroom::edges::aws::credentials::source::{Failure, Outside};
use mailroom::edges::http::Http;
use mailroom::edges::stop::Stop;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// A home, variables, and clocks that can be moved on.
struct Place {
    home: tempfile::TempDir,
    variables: Vec<(String, String)>,
    /// Seconds that the date is ahead of the true one.
    ahead: Arc<AtomicU64>,
    /// Seconds that went by besides the true ones.
    gone: Arc<AtomicU64>,
    stop: Stop,
}

impl Place {
    /// Nothing is set but the metadata service's address, which is `cloud`'s.
    fn new(cloud: &Cloud) -> Place {
        let mut place = Place {
            home: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
            ahead: Arc::default(),
            gone: Arc::default(),
            stop: Stop::new(),
        };
        let home = place.home.path().to_str().unwrap().to_owned();
        place.set("HOME", &home);
        place.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &cloud.url());
        place.set("AWS_ENDPOINT_URL_STS", &cloud.url());
        place.set("AWS_REGION", "eu-west-1");
        place
    }

    fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(key, _)| key != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Writes a file under the home and gives its path.
    fn write(&self, name: &str, text: &str) -> String {
        let path = self.home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Moves the date on.
    fn pass(&self, time: Duration) {
        self.ahead.fetch_add(time.as_secs(), Ordering::SeqCst);
    }

    fn keeper(&self) -> Keeper {
        let variables = self.variables.clone();
        let get = move |name: &str| {
            variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
        };
        let (ahead, gone) = (self.ahead.clone(), self.gone.clone());
        Keeper::new(Outside {
            http: Http::new(&get, self.stop.clone()).unwrap(),
            variables: Box::new(get),
            wall: Box::new(move || {
                SystemTime::now() + Duration::from_secs(ahead.load(Ordering::SeqCst))
            }),
            now: Box::new(move || {
                Instant::now() + Duration::from_secs(gone.load(Ordering::SeqCst))
            }),
            stop: self.stop.clone(),
            clean: mailroom::send::text::clean,
        })
    }

    /// The access key id of what is found.
    fn id(&self) -> Result<String, Failure> {
        self.keeper().get().map(|found| found.access_key_id().to_owned())
    }

    /// What a person must do.
    fn setup(&self) -> String {
        match self.id() {
            Err(Failure::Setup(why)) => clean(why),
            other => panic!("{other:?}"),
        }
    }

    /// Why there is nothing now.
    fn passing(&self) -> String {
        match self.id() {
            Err(Failure::Passing(why)) => clean(why),
            other => panic!("{other:?}"),
        }
    }
}

/// An error, which shows no secret.
fn clean(why: String) -> String {
    for secret in [SECRET, SESSION, "hunter2", "a-token=="] {
        assert!(!why.contains(secret), "{why}");
    }
    why
}

#[test]
fn when_there_are_none_it_is_said_what_was_tried() {
    let cloud = Cloud::start();
    let mut place = Place::new(&cloud);
    place.set("AWS_EC2_METADATA_DISABLED", "TRUE");
    place.set("AWS_SECRET_ACCESS_KEY", "hunter2");
    place.write(".aws/config", "[profile other]\nregion = eu-west-1\n");
    let why = place.setup();
    for part in [
        "no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or",
        "environment: AWS_SECRET_ACCESS_KEY is set but AWS_ACCESS_KEY_ID is not set;",
        "role: no role_arn for \"default\";",
        "web identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set;",
        "profile: no keys for \"default\" in ",
        "/.aws/credentials (not there) and ",
        "container: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and _FULL_URI are not set;",
        "EC2 instance: AWS_EC2_METADATA_DISABLED is true",
    ] {
        assert!(why.contains(part), "{part:?} is not in {why}");
    }
    assert!(cloud.requests().is_empty());
}

#[test]
fn half_a_key_says_which_half_is_missing() {
    let cloud = Cloud::start();
    let mut place = Place::new(&cloud);
    place.set("AWS_ACCESS_KEY_ID", "AKID");
    assert_eq!(place.setup(), "environment: the secret access key is missing");
}

#[test]
fn a_key_that_cannot_stand_in_a_header_is_refused_and_not_shown() {
    let cloud = Cloud::start();
    for (id, secret, session) in [
        ("AK\nID", "hunter2", "hunter2"),
        ("AKID", "hunter2 hunter2", "hunter2"),
        ("AKID", "hunter2", "hunter2\r\nx: y"),
        ("AKID", "hunter2\u{e9}", "hunter2"),
    ] {
        let mut place = Place::new(&cloud);
        place.set("AWS_ACCESS_KEY_ID", id);
        place.set("AWS_SECRET_ACCESS_KEY", secret);
        place.set("AWS_SESSION_TOKEN", session);
        assert!(place.setup().contains("a blank or a character"));
    }
}

#[test]
fn a_file_that_is_no_plain_file_or_too_long_is_not_read() {
    let cloud = Cloud::start();
    let mut place = Place::new(&cloud);
    place.set("AWS_EC2_METADATA_DISABLED", "true");
    let pipe = place.home.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    place.set("AWS_CONFIG_FILE", pipe.to_str().unwrap());
    assert!(place.setup().contains("pipe (not a file)"));
    let long = place.write("long", &"#\n".repeat(600_000));
    place.set("AWS_CONFIG_FILE", &long);
    assert!(place.setup().contains("long: longer than 1 MiB"));
}

#[test]
fn sso_and_login_sessions_are_refused_with_what_to_do() {
    let cloud = Cloud::start();
    for text in [
        "[default]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n[sso-session s]\n",
        "[default]\nlogin_session = arn:aws:iam::1:user/u\n",
    ] {
        let place = Place::new(&cloud);
        place.write(".aws/config", text);
        let why = place.setup();
        assert!(
            why.contains("a person at a browser") && why.contains("export-credentials"),
            "{why}"
        );
    }
    assert!(cloud.requests().is_empty());
}

#[test]
fn no_secret_of_a_credential_is_shown_for_debugging() {
    let cloud = Cloud::start();
    let shown = format!("{:?}", Place::new(&cloud).keeper().get().unwrap());
    assert!(!shown.contains(SECRET) && !shown.contains(SESSION), "{shown}");
}
