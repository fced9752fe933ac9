//! A role for the bearer of a token in a file, as Kubernetes gives one to a pod.
//!
//! In scope: which token and which role. Out of scope: the call to STS.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-assume-role-credentials.html>

use crate::edges::aws::credentials::source::{Failure, Found, Look};
use crate::edges::aws::credentials::sts::{Proof, Role, assume};
use crate::edges::aws::shared::read;
use std::path::Path;
use zeroize::Zeroizing;

/// The longest token; STS takes 20,000 bytes.
const LONGEST: u64 = 20_000;

/// Each setting from its variable, else from the profile in use.
pub(crate) fn find(look: &Look) -> Result<Found, Failure> {
    let names = ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME"];
    with(look, names.map(|name| look.shared.setting(name)))
}

/// All settings from a profile.
pub(crate) fn of_profile(look: &Look, profile: &str) -> Result<Found, Failure> {
    let names = ["web_identity_token_file", "role_arn", "role_session_name"];
    with(look, names.map(|name| look.shared.get(profile, name).map(str::to_owned)))
}

fn with(look: &Look, [path, arn, session]: [Option<String>; 3]) -> Result<Found, Failure> {
    let Some(path) = path else {
        return Err(Failure::Unset("AWS_WEB_IDENTITY_TOKEN_FILE is not set".to_owned()));
    };
    let Some(arn) = arn else {
        let why = "there is a web identity token file but no role: set AWS_ROLE_ARN or role_arn";
        return Err(Failure::Setup(why.to_owned()));
    };
    // The file is written anew from time to time, so it is read each time; between two writings
    // it may be missing.
    let token = read(Path::new(&path), LONGEST, "a token has at most 20000 bytes")
        .map_err(|error| Failure::Passing(format!("{path}: {error}")))?;
    let token = Zeroizing::new(token.trim().to_owned());
    if token.is_empty() {
        return Err(Failure::Passing(format!("{path}: the file is empty")));
    }
    let role = Role { arn: &arn, session: session.as_deref(), external_id: None, duration: None };
    assume(look, &role, Proof::Token(&token))
}
