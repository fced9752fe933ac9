//! A program that a profile names in `credential_process` and that prints credentials.
//!
//! In scope: reading what it prints. Out of scope: running it (`command.rs`).
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html>

use crate::edges::aws::credentials::source::{Failure, Found, Look};
use crate::edges::command;
use serde_json::Value;

/// Runs the command line of a profile.
pub(crate) fn run(look: &Look, profile: &str, line: &str) -> Result<Found, Failure> {
    let output = command::output(line, &look.outside.stop).map_err(|why| match why {
        command::Failure::Setup(why) => Failure::Setup(why),
        command::Failure::Passing(why) => Failure::Passing(why),
    })?;
    read(&output, profile).map_err(Failure::Setup)
}

fn read(output: &[u8], profile: &str) -> Result<Found, String> {
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
