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
    /// Create or update them.
    Push {
        /// The directory of their files, if not that of the settings.
        from: Option<PathBuf>,
    },
    /// Let the provider render those of the settings and the database.
    Check,
    /// Make pages of them.
    Preview {
        /// The directory for the pages.
        to: PathBuf,
    },
}

/// Reads them.
///
/// # Errors
/// What is wrong with them.
pub fn parse(args: &mut Arguments) -> Result<Templating, Error> {
    let expects = || {
        Error::usage(
            "template needs one of: list, show NAME [--data], push [--from DIR], check, preview DIR",
        )
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
        "push" => Ok(Templating::Push { from: args.opt_value_from_str("--from").map_err(usage)? }),
        "check" => Ok(Templating::Check),
        "preview" => {
            let to: Option<PathBuf> = args.opt_free_from_str().map_err(usage)?;
            let to = to.ok_or_else(|| Error::usage("template preview needs a directory"))?;
            Ok(Templating::Preview { to })
        }
        _ => Err(expects()),
    }
}
