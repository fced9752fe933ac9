//! The words after `mailroom migrate`.

use crate::mail::error::Error;
use crate::ops::cli::words::usage;
use crate::queue::grants::Purpose;
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
        /// Also if rows go that the version before has no place for.
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
        /// What it is for.
        purpose: Purpose,
    },
}

/// Reads them.
///
/// # Errors
/// What is wrong with them.
pub fn parse(args: &mut Arguments) -> Result<Migrate, Error> {
    let word = args.subcommand().map_err(usage)?.unwrap_or_default();
    let wrong = |what: &str| Error::usage(format!("migrate {word} needs {what}"));
    match word.as_str() {
        "up" => Ok(Migrate::Up),
        "status" => Ok(Migrate::Status),
        "down" => {
            let yes = args.contains("--yes");
            let steps: Option<String> = args.opt_free_from_str().map_err(usage)?;
            match steps.as_deref().unwrap_or("1").parse() {
                Ok(steps) if steps > 0 => Ok(Migrate::Down { steps, yes }),
                _ => Err(wrong("a number of steps, at least 1")),
            }
        }
        "force" => match args.opt_free_from_str::<String>().map_err(usage)?.map(|n| n.parse()) {
            Some(Ok(version)) if version >= -1 => Ok(Migrate::Force(version)),
            Some(_) => Err(wrong("a version, or -1 for none")),
            None => Err(wrong("a version")),
        },
        "grants" => {
            let given = ["--operator", "--application", "--lists"].map(|flag| args.contains(flag));
            let purpose = match given {
                [false, false, false] => Purpose::Daemon,
                [true, false, false] => Purpose::Operator,
                [false, true, false] => Purpose::Application,
                [false, false, true] => Purpose::Lists,
                _ => return Err(wrong("one of --operator, --application and --lists at a time")),
            };
            let role: Option<String> = args.opt_free_from_str().map_err(usage)?;
            Ok(Migrate::Grants { role: role.ok_or_else(|| wrong("a role"))?, purpose })
        }
        _ => Err(Error::usage(
            "migrate needs one of: up, down [N], status, force VERSION, grants ROLE",
        )),
    }
}
