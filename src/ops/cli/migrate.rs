//! The words after `mailroom migrate`.

use crate::mail::error::Error;
use crate::ops::cli::words::usage;
use pico_args::Arguments;

/// What is to be done with the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Migrate {
    /// To the newest version.
    Up,
    /// Back by so many versions.
    Down {
        /// How many.
        steps: u32,
        /// Also if tables of accounts go.
        yes: bool,
    },
    /// Say what is applied.
    Status,
    /// Set the version without running anything.
    Force(i64),
    /// Give a role what it needs.
    Grants {
        /// The role.
        role: String,
        /// Also what `queue pause` needs.
        operator: bool,
    },
}

/// Reads them.
///
/// # Errors
/// What is wrong with them.
pub fn parse(args: &mut Arguments) -> Result<Migrate, Error> {
    let expects =
        || Error::usage("migrate needs one of: up, down [N], status, force VERSION, grants ROLE");
    let (operator, yes) = (args.contains("--operator"), args.contains("--yes"));
    let word: String = args.opt_free_from_str().map_err(usage)?.ok_or_else(expects)?;
    let number: Option<String> = match word.as_str() {
        "down" | "force" | "grants" => args.opt_free_from_str().map_err(usage)?,
        _ => None,
    };
    let wrong = |what: &str| Error::usage(format!("migrate {word} needs {what}"));
    if operator && word != "grants" {
        return Err(Error::usage(format!("migrate {word} does not take \"--operator\"")));
    }
    if yes && word != "down" {
        return Err(Error::usage(format!("migrate {word} does not take \"--yes\"")));
    }
    match (word.as_str(), &number) {
        ("up", None) => Ok(Migrate::Up),
        ("status", None) => Ok(Migrate::Status),
        ("down", None) => Ok(Migrate::Down { steps: 1, yes }),
        ("down", Some(number)) => match number.parse() {
            Ok(steps) if steps > 0 => Ok(Migrate::Down { steps, yes }),
            _ => Err(wrong("a number of steps, at least 1")),
        },
        ("force", Some(number)) => match number.parse() {
            Ok(version) if version >= -1 => Ok(Migrate::Force(version)),
            _ => Err(wrong("a version, or -1 for none")),
        },
        ("force", None) => Err(wrong("a version")),
        ("grants", Some(role)) => Ok(Migrate::Grants { role: role.clone(), operator }),
        ("grants", None) => Err(wrong("a role")),
        _ => Err(expects()),
    }
}
