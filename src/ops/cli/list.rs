//! The words after `mailroom list`.

use crate::mail::error::Error;
use crate::ops::cli::words::usage;
use pico_args::Arguments;
use std::path::PathBuf;

/// What is to be done with a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum List {
    /// Take subscribers from a file.
    Import {
        /// The list.
        list: String,
        /// The file; `-`: standard input.
        file: PathBuf,
        /// They need not be asked.
        confirmed: bool,
    },
    /// Write all of them out.
    Export(String),
    /// Count them; `None`: of all lists.
    Show(Option<String>),
}

/// Reads them.
///
/// # Errors
/// What is wrong with them.
pub fn parse(args: &mut Arguments) -> Result<List, Error> {
    let confirmed = args.contains("--confirmed");
    let mut word = || args.opt_free_from_str::<String>().map_err(usage);
    let (verb, list, file) = (word()?.unwrap_or_default(), word()?, word()?);
    match (verb.as_str(), list, file) {
        ("import", Some(list), Some(file)) => {
            Ok(List::Import { list, file: file.into(), confirmed })
        }
        ("export", Some(list), None) if !confirmed => Ok(List::Export(list)),
        ("show", list, None) if !confirmed => Ok(List::Show(list)),
        _ => Err(Error::usage(
            "list needs one of: import LIST FILE.csv [--confirmed], export LIST, show [LIST]",
        )),
    }
}
