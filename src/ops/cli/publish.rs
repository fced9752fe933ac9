//! The words after `mailroom publish`.

use crate::lists::issue::{Change, filter};
use crate::mail::error::Error;
use crate::ops::cli::words::usage;
use pico_args::Arguments;

/// What is to be done with an issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Publish {
    /// Publish one.
    New(New),
    /// Say how far it has come; `None`: all that are under way.
    Status(Option<String>),
    /// Pause, resume or cancel it.
    Change(String, Change),
}

/// An issue that is to be published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct New {
    /// To whom.
    pub list: String,
    /// The template.
    pub template: String,
    /// The same key is the same issue; empty for a test.
    pub key: String,
    /// JSON, or `@` and the name of a file that holds it.
    pub data: Option<String>,
    /// Not before this moment, as PostgreSQL reads it.
    pub at: Option<String>,
    /// Only to those whose data has this: a JSON object.
    pub filter: Option<String>,
    /// It is not asked whether that is meant.
    pub yes: bool,
    /// Only say to how many.
    pub dry_run: bool,
    /// One copy to this address instead.
    pub test: Option<String>,
}

/// Reads them.
///
/// # Errors
/// What is wrong with them.
pub fn parse(args: &mut Arguments) -> Result<Publish, Error> {
    let mut text = |flag| args.opt_value_from_str::<_, String>(flag).map_err(usage);
    let (template, key, data) = (text("--template")?, text("--key")?, text("--data")?);
    let (at, test) = (text("--at")?, text("--test")?);
    let fields: Vec<String> = args.values_from_str("--where").map_err(usage)?;
    let filter = filter(&fields).map_err(Error::usage)?;
    let (yes, dry_run) = (args.contains("--yes"), args.contains("--dry-run"));
    let mut word = || args.opt_free_from_str::<String>().map_err(usage);
    let (first, of) = (word()?, word()?);
    let change = |change| {
        let key = of.clone().ok_or_else(|| Error::usage("which issue? its key is needed"))?;
        Ok(Publish::Change(key, change))
    };
    match first.as_deref() {
        Some("status") => Ok(Publish::Status(of)),
        Some("pause") => change(Change::Pause),
        Some("resume") => change(Change::Resume),
        Some("cancel") => change(Change::Cancel),
        Some(list) if of.is_none() => match (template, key, &test) {
            (Some(template), key, _) if key.is_some() || test.is_some() => {
                let (list, key) = (list.to_owned(), key.unwrap_or_default());
                let new = New { list, template, key, data, at, filter, yes, dry_run, test };
                Ok(Publish::New(new))
            }
            _ => {
                Err(Error::usage("publish needs --template NAME, and --key KEY or --test ADDRESS"))
            }
        },
        _ => Err(Error::usage(
            "publish needs a list, or one of: status [KEY], pause KEY, resume KEY, cancel KEY",
        )),
    }
}
