//! A profile that assumes a role with the credentials of another profile or source.
//!
//! In scope: chains of profiles, and their loops. Out of scope: the call to STS.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-assume-role-credentials.html>

use crate::edges::aws::credentials::{
    Answer, Failure, Found, Look, Role, assume, named, of_profile,
};

/// The most profiles in a chain.
const LONGEST: usize = 16;

/// The role of the profile in use, if it names one and how to come by it.
pub(crate) fn find(look: &Look) -> Result<Answer, Failure> {
    let profile = look.shared.profile();
    if !assumes(look, profile) {
        return Ok(Answer::Nothing(format!("no role_arn for {profile:?}")));
    }
    take(look, profile, &mut vec![profile.to_owned()]).map(Answer::Found)
}

/// Whether a profile assumes a role with other credentials; a web identity is a way of its own.
fn assumes(look: &Look, profile: &str) -> bool {
    let has = |name| look.shared.get(profile, name).is_some();
    has("role_arn") && !has("web_identity_token_file")
}

/// Whether a profile holds keys itself.
fn holds_keys(look: &Look, profile: &str) -> bool {
    let has = |name| look.shared.get(profile, name).is_some();
    has("aws_access_key_id") || has("aws_secret_access_key")
}

/// Assumes the role of a profile. `visited` holds the profiles of the chain so far, this one too.
fn take(look: &Look, profile: &str, visited: &mut Vec<String>) -> Result<Found, Failure> {
    let get = |name| look.shared.get(profile, name);
    let setup = |why: String| Failure::Setup(format!("profile {profile:?}: {why}"));
    if get("mfa_serial").is_some() {
        return Err(setup(
            "mfa_serial asks a person for a code at each renewal, which a service cannot give: \
             let it assume a role that asks for none"
                .to_owned(),
        ));
    }
    let duration = match get("duration_seconds").map(|text| (text, text.trim().parse::<u32>())) {
        None => None,
        Some((_, Ok(seconds))) => Some(seconds),
        Some((text, Err(_))) => {
            return Err(setup(format!("duration_seconds: {text:?} is not a whole number")));
        }
    };
    let source = match (get("source_profile"), get("credential_source")) {
        (Some(_), Some(_)) => {
            return Err(setup("both source_profile and credential_source are set".into()));
        }
        (None, None) => {
            let why = "role_arn needs source_profile or credential_source beside it";
            return Err(setup(why.into()));
        }
        (None, Some(name)) => match named(look, name) {
            Some(answer) => wanted(answer).map_err(|failure| failure.of(name))?,
            None => {
                return Err(setup(format!(
                    "credential_source {name:?} is not known: it is Environment, EcsContainer or \
                     Ec2InstanceMetadata"
                )));
            }
        },
        (Some(next), None) => from(look, profile, next, visited)?,
    };
    let role = Role {
        arn: get("role_arn").unwrap_or_default(),
        session: get("role_session_name"),
        external_id: get("external_id"),
        duration,
    };
    assume(look, &source.credentials, &role)
        .map_err(|failure| failure.of(format_args!("profile {profile:?}")))
}

/// The credentials of a profile's `source_profile`.
fn from(
    look: &Look,
    profile: &str,
    next: &str,
    visited: &mut Vec<String>,
) -> Result<Found, Failure> {
    let setup =
        |why: &str| Failure::Setup(format!("profile {profile:?}: source_profile {next:?} {why}"));
    if !look.shared.has(next) {
        return Err(setup("is not there"));
    }
    let keys = holds_keys(look, next);
    // A profile may name itself: then its own keys are meant.
    if visited.iter().any(|seen| seen == next) && !(next == profile && keys) {
        return Err(setup("leads back to a profile of the same chain"));
    }
    if visited.len() >= LONGEST {
        return Err(setup("is one too many in this chain"));
    }
    visited.push(next.to_owned());
    if keys || !assumes(look, next) {
        wanted(of_profile(look, next))
            .map_err(|failure| failure.of(format_args!("profile {next:?}")))
    } else {
        take(look, next, visited)
    }
}

/// Credentials that must be there, because a role is built on them.
fn wanted(answer: Result<Answer, Failure>) -> Result<Found, Failure> {
    match answer? {
        Answer::Found(found) => Ok(found),
        Answer::Nothing(why) => Err(Failure::Setup(why)),
    }
}
