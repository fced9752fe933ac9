//! A profile that assumes a role with the credentials of another profile or source.
//!
//! In scope: chains of profiles, and their loops. Out of scope: the call to STS.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-assume-role-credentials.html>

use crate::edges::aws::credentials::source::{Failure, Found, Look};
use crate::edges::aws::credentials::sts::{Proof, Role, assume};
use crate::edges::aws::credentials::{container, imds, keys, web_identity};

/// The most profiles in a chain.
const LONGEST: usize = 16;

/// The role of the profile in use, if it names one and how to come by it.
pub(crate) fn find(look: &Look) -> Result<Found, Failure> {
    let profile = look.shared.profile.as_str();
    if !assumes(look, profile) {
        return Err(Failure::Unset(format!("no role_arn for {profile:?}")));
    }
    take(look, profile, &mut vec![profile])
}

/// Whether a profile assumes a role with other credentials; a web identity is a way of its own.
fn assumes(look: &Look, profile: &str) -> bool {
    let has = |name| look.shared.get(profile, name).is_some();
    has("role_arn") && !has("web_identity_token_file")
}

/// Assumes the role of a profile. `visited` holds the profiles of the chain so far, this one too.
fn take<'a>(
    look: &'a Look,
    profile: &'a str,
    visited: &mut Vec<&'a str>,
) -> Result<Found, Failure> {
    let get = |name| look.shared.get(profile, name);
    let setup = |why: &str| Err(Failure::Setup(format!("profile {profile:?}: {why}")));
    if get("mfa_serial").is_some() {
        return setup(
            "mfa_serial asks a person for a code at each renewal, which a service cannot give: \
             let it assume a role that asks for none",
        );
    }
    let duration = get("duration_seconds").map(|text| text.trim().parse().map_err(|_| text));
    let duration: Option<u32> = match duration.transpose() {
        Ok(duration) => duration,
        Err(text) => return setup(&format!("duration_seconds: {text:?} is not a whole number")),
    };
    let source = match (get("source_profile"), get("credential_source")) {
        (Some(_), Some(_)) => return setup("both source_profile and credential_source are set"),
        (None, None) => {
            return setup("role_arn needs source_profile or credential_source beside it");
        }
        (Some(next), None) => of_profile(look, profile, next, visited)?,
        (None, Some(name)) => wanted(match name {
            "Environment" => keys::of_environment(look),
            "EcsContainer" => container::find(look),
            "Ec2InstanceMetadata" => imds::find(look, true),
            _ => {
                return setup(&format!(
                    "credential_source {name:?} is not known: it is Environment, EcsContainer or \
                     Ec2InstanceMetadata"
                ));
            }
        })
        .map_err(|failure| failure.of(name))?,
    };
    let role = Role {
        arn: get("role_arn").unwrap_or_default(),
        session: get("role_session_name"),
        external_id: get("external_id"),
        duration,
    };
    assume(look, &role, Proof::Key(&source.credentials))
        .map_err(|failure| failure.of(format_args!("profile {profile:?}")))
}

/// The credentials of a profile's `source_profile`.
fn of_profile<'a>(
    look: &'a Look,
    profile: &str,
    next: &'a str,
    visited: &mut Vec<&'a str>,
) -> Result<Found, Failure> {
    let setup =
        |why| Err(Failure::Setup(format!("profile {profile:?}: source_profile {next:?} {why}")));
    if !look.shared.has(next) {
        return setup("is not there");
    }
    let has = |name| look.shared.get(next, name).is_some();
    let holds_keys = has("aws_access_key_id") || has("aws_secret_access_key");
    // A profile may name itself: then its own keys are meant.
    if visited.contains(&next) && !(next == profile && holds_keys) {
        return setup("leads back to a profile of the same chain");
    }
    if visited.len() >= LONGEST {
        return setup("is one too many in this chain");
    }
    visited.push(next);
    if !holds_keys && assumes(look, next) {
        return take(look, next, visited);
    }
    let found = match web_identity::of_profile(look, next) {
        Err(Failure::Unset(_)) => keys::of_profile(look, next),
        answer => answer,
    };
    wanted(found).map_err(|failure| failure.of(format_args!("profile {next:?}")))
}

/// Credentials that must be there, because a role is built on them.
fn wanted(answer: Result<Found, Failure>) -> Result<Found, Failure> {
    answer.map_err(|failure| match failure {
        Failure::Unset(why) => Failure::Setup(why),
        other => other,
    })
}
