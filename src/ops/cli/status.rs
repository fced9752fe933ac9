//! The words after `mailroom status`.

use crate::mail::error::Error;
use crate::ops::cli::words::usage;
use pico_args::Arguments;
use std::path::PathBuf;

/// How the state of the queue is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// As JSON.
    pub json: bool,
    /// Into this file, as a page of HTML.
    pub html: Option<PathBuf>,
    /// Again and again.
    pub watch: bool,
    /// Say it in the exit status too.
    pub exit_code: bool,
}

/// Reads them.
///
/// # Errors
/// What is wrong with them.
pub fn parse(args: &mut Arguments) -> Result<Status, Error> {
    let html: Option<PathBuf> = args.opt_value_from_str("--html").map_err(usage)?;
    let [json, watch, exit_code] =
        ["--json", "--watch", "--exit-code"].map(|flag| args.contains(flag));
    match json && html.is_some() {
        true => Err(Error::usage("give --json or --html, not both")),
        false => Ok(Status { json, html, watch, exit_code }),
    }
}
