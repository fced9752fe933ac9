//! What a profile holds itself: static keys, or a process to ask.
//!
//! In scope: the order within a profile, and refusing what needs a person. Out of scope: roles.

use crate::edges::aws::credentials::{Answer, Failure, Found, Look, process};

/// In botocore's order: SSO (refused), static keys of the credentials file, login session
/// (refused), credential process, static keys of the config file.
pub(crate) fn find(look: &Look, profile: &str) -> Result<Answer, Failure> {
    let shared = &look.shared;
    let get = |name| shared.get(profile, name);
    if get("sso_account_id").or(get("sso_role_name")).is_some() {
        return Err(refused(profile, "SSO (IAM Identity Center)"));
    }
    if let Some(found) = keys(profile, "credentials", |name| shared.in_credentials(profile, name))?
    {
        return Ok(Answer::Found(found));
    }
    if get("login_session").is_some() {
        return Err(refused(profile, "a login session"));
    }
    if let Some(line) = get("credential_process") {
        return process(look, profile, line).map(Answer::Found);
    }
    if let Some(found) = keys(profile, "config", |name| shared.in_config(profile, name))? {
        return Ok(Answer::Found(found));
    }
    Ok(Answer::Nothing(format!("no keys for {profile:?} in {}", shared.files())))
}

/// The keys that one of the files has for the profile.
fn keys<'a>(
    profile: &str,
    file: &str,
    get: impl Fn(&'static str) -> Option<&'a str>,
) -> Result<Option<Found>, Failure> {
    let Some(id) = get("aws_access_key_id") else { return Ok(None) };
    let owned = |text: Option<&str>| text.map(|text| text.trim().to_owned());
    let token = owned(get("aws_security_token").or_else(|| get("aws_session_token")));
    let secret = owned(get("aws_secret_access_key"));
    let source = format!("the profile {profile:?} of the {file} file");
    Found::new(source, Some(id.trim().to_owned()), secret, token, None)
        .map(Some)
        .map_err(|why| Failure::Setup(why).of(format_args!("{profile:?} in the {file} file")))
}

fn refused(profile: &str, what: &str) -> Failure {
    Failure::Setup(format!(
        "{profile:?} signs in by {what}, which needs a person at a browser and is not supported: \
         give this service a role or a key of its own, or put `credential_process = aws configure \
         export-credentials --profile NAME` into a profile of its own"
    ))
}
