//! Keys in the environment.
//!
//! In scope: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN. Out of scope:
//! AWS_CREDENTIAL_EXPIRATION; a process's environment does not change, so nothing can be renewed.

use crate::edges::aws::credentials::{Answer, Failure, Found, Look};

/// Blank variables count as not set. A secret without its id is nothing, as in botocore; an id
/// without its secret is an error.
pub(crate) fn find(look: &Look) -> Result<Answer, Failure> {
    let Some(id) = look.variable("AWS_ACCESS_KEY_ID") else {
        let secret = look.variable("AWS_SECRET_ACCESS_KEY").is_some();
        let why = if secret { "AWS_SECRET_ACCESS_KEY is set but " } else { "" };
        return Ok(Answer::Nothing(format!("{why}AWS_ACCESS_KEY_ID is not set")));
    };
    let Some(secret) = look.variable("AWS_SECRET_ACCESS_KEY") else {
        let why = "AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not";
        return Err(Failure::Setup(why.to_owned()));
    };
    // The first name is older; botocore reads it first.
    let token = ["AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN"].iter().find_map(|n| look.variable(n));
    let found = Found::new("the environment", Some(id), Some(secret), token, None);
    found.map(Answer::Found).map_err(Failure::Setup)
}
