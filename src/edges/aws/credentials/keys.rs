//! Keys in the environment, and what a profile holds itself: static keys, or a process to ask.
//!
//! In scope: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, the order within a
//! profile, and refusing what needs a person. Out of scope: roles, and AWS_CREDENTIAL_EXPIRATION: a
//! process's environment does not change, so nothing can be renewed.

use crate::edges::aws::credentials::source::{Failure, Found, Look};
use crate::edges::aws::shared::Profiles;
use crate::edges::command;
use serde_json::Value;

/// Of the environment. Blank variables count as not set. A secret without its id is nothing, as in
/// botocore; an id without its secret is an error.
pub(crate) fn of_environment(look: &Look) -> Result<Found, Failure> {
    let variable = |name| look.shared.variable(name);
    let (id, secret) = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"));
    if id.is_none() {
        let why = if secret.is_some() { "AWS_SECRET_ACCESS_KEY is set but " } else { "" };
        return Err(Failure::Unset(format!("{why}AWS_ACCESS_KEY_ID is not set")));
    }
    // The first name is older; botocore reads it first.
    let token = variable("AWS_SECURITY_TOKEN").or_else(|| variable("AWS_SESSION_TOKEN"));
    Found::new("the environment", [id, secret, token], None).map_err(Failure::Setup)
}

/// Of a profile, in botocore's order: SSO (refused), static keys of the credentials file, login
/// session (refused), credential process, static keys of the config file.
pub(crate) fn of_profile(look: &Look, profile: &str) -> Result<Found, Failure> {
    let shared = &look.shared;
    let get = |name| shared.get(profile, name);
    if get("sso_account_id").or(get("sso_role_name")).is_some() {
        return Err(refused(profile, "SSO (IAM Identity Center)"));
    }
    if let Some(found) = keys(profile, "credentials", &shared.credentials) {
        return found;
    }
    if get("login_session").is_some() {
        return Err(refused(profile, "a login session"));
    }
    if let Some(line) = get("credential_process") {
        let of = |failure: Failure| failure.of(format_args!("credential_process of {profile:?}"));
        return run(look, profile, line).map_err(of);
    }
    let nothing = || format!("no keys for {profile:?} in {}", shared.files());
    keys(profile, "config", &shared.config).unwrap_or_else(|| Err(Failure::Unset(nothing())))
}

/// The keys that one of the files has for the profile.
fn keys(profile: &str, name: &str, file: &Profiles) -> Option<Result<Found, Failure>> {
    let get = |name| file.get(profile, name).map(|text| text.trim().to_owned());
    let id = get("aws_access_key_id")?;
    let token = get("aws_security_token").or_else(|| get("aws_session_token"));
    let source = format!("the profile {profile:?} of the {name} file");
    let found = Found::new(source, [Some(id), get("aws_secret_access_key"), token], None);
    Some(found.map_err(|why| Failure::Setup(format!("{profile:?} in the {name} file: {why}"))))
}

fn refused(profile: &str, what: &str) -> Failure {
    Failure::Setup(format!(
        "{profile:?} signs in by {what}, which needs a person at a browser and is not supported: \
         give this service a role or a key of its own, or put `credential_process = aws configure \
         export-credentials --profile NAME` into a profile of its own"
    ))
}

/// Runs the command line of a profile.
fn run(look: &Look, profile: &str, line: &str) -> Result<Found, Failure> {
    let output = command::output(line, &look.outside.stop).map_err(|why| match why {
        command::Failure::Setup(why) => Failure::Setup(why),
        command::Failure::Passing(why) => Failure::Passing(why),
    })?;
    printed(&output, profile).map_err(Failure::Setup)
}

fn printed(output: &[u8], profile: &str) -> Result<Found, String> {
    let value: Value = serde_json::from_slice(output).map_err(|_| "it does not print JSON")?;
    match value.get("Version").and_then(Value::as_i64) {
        Some(1) => {
            let source = format!("the process of the profile {profile:?}");
            Found::of_json(value, "SessionToken", source)
        }
        Some(other) => Err(format!("it prints Version {other}; 1 is supported")),
        None => Err("it prints no Version; 1 is supported".to_owned()),
    }
}
