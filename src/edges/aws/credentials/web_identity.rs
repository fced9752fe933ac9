//! A role for the bearer of a token in a file, as Kubernetes gives one to a pod.
//!
//! In scope: which token and which role. Out of scope: the call to STS.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-assume-role-credentials.html>

use crate::edges::aws::credentials::{Answer, Failure, Look, Role, assume_with_web_identity};
use std::io::Read;
use zeroize::Zeroizing;

/// The longest token; STS takes 20,000 bytes.
const LONGEST: u64 = 20_000;

/// The variable of each setting of a profile.
const SETTINGS: &[(&str, &str)] = &[
    ("web_identity_token_file", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    ("role_arn", "AWS_ROLE_ARN"),
    ("role_session_name", "AWS_ROLE_SESSION_NAME"),
];

/// Each setting from its variable, else from the profile in use.
pub(crate) fn find(look: &Look) -> Result<Answer, Failure> {
    let profile = look.shared.profile();
    with(look, |name| {
        let variable = SETTINGS.iter().find(|(setting, _)| *setting == name);
        let set = variable.and_then(|(_, variable)| look.variable(variable));
        set.or_else(|| look.shared.get(profile, name).map(str::to_owned))
    })
}

/// All settings from a profile.
pub(crate) fn of_profile(look: &Look, profile: &str) -> Result<Answer, Failure> {
    with(look, |name| look.shared.get(profile, name).map(str::to_owned))
}

fn with(look: &Look, get: impl Fn(&str) -> Option<String>) -> Result<Answer, Failure> {
    let Some(path) = get("web_identity_token_file") else {
        return Ok(Answer::Nothing("AWS_WEB_IDENTITY_TOKEN_FILE is not set".to_owned()));
    };
    let Some(arn) = get("role_arn") else {
        let why = "there is a web identity token file but no role: set AWS_ROLE_ARN or role_arn";
        return Err(Failure::Setup(why.to_owned()));
    };
    // The file is written anew from time to time, so it is read each time; between two writings
    // it may be missing.
    let token = token(&path).map_err(|why| Failure::Passing(format!("{path}: {why}")))?;
    let session = get("role_session_name");
    let role = Role { arn: &arn, session: session.as_deref(), external_id: None, duration: None };
    assume_with_web_identity(look, &token, &role).map(Answer::Found)
}

fn token(path: &str) -> Result<Zeroizing<String>, String> {
    if !std::fs::metadata(path).map_err(|error| error.to_string())?.is_file() {
        return Err("not a file".to_owned());
    }
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = Zeroizing::new(String::with_capacity(32 * 1024));
    let read = file.take(LONGEST + 1).read_to_string(&mut text);
    read.map_err(|error| error.to_string())?;
    if text.len() as u64 > LONGEST {
        return Err(format!("a token has at most {LONGEST} bytes"));
    }
    let token = Zeroizing::new(text.trim().to_owned());
    if token.is_empty() { Err("the file is empty".to_owned()) } else { Ok(token) }
}
