//! The words after `mailroom template`.

use crate::mail::error::Error;
use crate::ops::cli::words::usage;
use pico_args::Arguments;
use std::path::PathBuf;

/// What is to be done with the templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Templating {
    /// Say which there are.
    List,
    /// Print one, or the data that fills it.
    Show {
        /// Its name.
        name: String,
        /// Print the data.
        data: bool,
    },
    /// Create or update those of the settings.
    Push {
        /// The directory of their files.
        from: PathBuf,
    },
    /// Let the provider render those of the settings.
    Check,
}

/// Reads them.
///
/// # Errors
/// What is wrong with them.
pub fn parse(args: &mut Arguments) -> Result<Templating, Error> {
    let expects = || {
        Error::usage("template needs one of: list, show NAME [--data], push [--from DIR], check")
    };
    let word: String = args.opt_free_from_str().map_err(usage)?.ok_or_else(expects)?;
    match word.as_str() {
        "list" => Ok(Templating::List),
        "show" => {
            let data = args.contains("--data");
            let name = args.opt_free_from_str().map_err(usage)?;
            let name = name.ok_or_else(|| Error::usage("template show needs a name"))?;
            Ok(Templating::Show { name, data })
        }
        "push" => {
            let from: Option<PathBuf> = args.opt_value_from_str("--from").map_err(usage)?;
            Ok(Templating::Push { from: from.unwrap_or_else(|| PathBuf::from("./templates")) })
        }
        "check" => Ok(Templating::Check),
        _ => Err(expects()),
    }
}
