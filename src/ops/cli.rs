//! The command line: words to a [`Command`]. The help texts are in `cli/help.rs`.

pub mod help;
pub mod list;
pub mod mail;
pub mod migrate;
pub mod publish;
pub mod queue;
pub mod status;
pub mod template;
mod words;

use crate::mail::error::Error;
use crate::ops::config::VARS;
use crate::ops::config::reader::Var;
use help::COMMANDS;
use list::List;
use mail::Mail;
use migrate::Migrate;
use pico_args::Arguments;
use publish::Publish;
use queue::Queue;
use status::Status;
use std::ffi::OsString;
use std::path::PathBuf;
use template::Templating;
use words::{near, shown, usage};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Database to standard output.
    Collect,
    /// Standard input to the provider.
    Send,
    /// Database to the provider.
    Run,
    /// The schema.
    Migrate(Migrate),
    /// The templates at the provider.
    Template(Templating),
    /// One mail.
    Mail(Mail),
    /// Whether mail moves, for people.
    Status(Status),
    /// Deliveries, one by one or all.
    Queue(Queue),
    /// Subscribers.
    List(List),
    /// Issues to them.
    Publish(Publish),
    /// Whether mail moves, for a machine.
    Health,
    /// Whether all that sending needs is there.
    Check {
        /// As JSON.
        json: bool,
    },
    /// Is this token ours?
    Verify {
        /// The token; `None`: one a line on standard input.
        token: Option<String>,
        /// The code that may have been signed with it.
        code: Option<String>,
        /// Paths to try besides the two known ones.
        paths: Vec<String>,
    },
    /// Help, on one command or all.
    Help(Option<&'static str>),
    /// The version.
    Version,
}

/// The command, and the values of its flags by variable name.
#[derive(Debug)]
pub struct Parsed {
    /// What is to be done.
    pub command: Command,
    /// Name of the command, as in [`COMMANDS`].
    pub name: &'static str,
    /// A file of variables.
    pub env_file: Option<PathBuf>,
    /// Settings given as flags.
    pub flags: Vec<(&'static str, String)>,
}

/// Reads the words after the program's name.
///
/// # Errors
/// What is wrong with them (exit 64).
pub fn parse(words: Vec<OsString>) -> Result<Parsed, Error> {
    let mut args = Arguments::from_vec(words);
    let of_itself = |command| Parsed { command, name: "help", env_file: None, flags: Vec::new() };
    if args.contains(["-V", "--version"]) {
        return Ok(of_itself(Command::Version));
    }
    let env_file = args.opt_value_from_str("--env-file").map_err(usage)?;
    let asked_help = args.contains(["-h", "--help"]);
    let word = args.subcommand().map_err(usage)?;
    let Some(word) = word else {
        return match asked_help {
            true => Ok(of_itself(Command::Help(None))),
            false => match args.finish().first() {
                Some(flag) => {
                    Err(Error::usage(format!("unknown flag{}", shown(&flag.to_string_lossy()))))
                }
                None => Err(Error::usage("which command?")),
            },
        };
    };
    let name = command_name(&word)?;
    if asked_help {
        return Ok(of_itself(Command::Help(Some(name))));
    }
    let mut flags = Vec::new();
    for var in VARS.iter().filter(|var| var.used_by.contains(&name)) {
        flags.extend(flag(&mut args, var)?.map(|value| (var.name, value)));
    }
    let command = match name {
        "collect" => Command::Collect,
        "send" => Command::Send,
        "run" => Command::Run,
        "migrate" => Command::Migrate(migrate::parse(&mut args)?),
        "mail" => Command::Mail(mail::parse(&mut args)?),
        "template" => Command::Template(template::parse(&mut args)?),
        "status" => Command::Status(status::parse(&mut args)?),
        "queue" => Command::Queue(queue::parse(&mut args)?),
        "list" => Command::List(list::parse(&mut args)?),
        "publish" => Command::Publish(publish::parse(&mut args)?),
        "health" => Command::Health,
        "check" => Command::Check { json: args.contains("--json") },
        "verify" => Command::Verify {
            code: args.opt_value_from_str("--code").map_err(usage)?,
            paths: args.values_from_str("--path").map_err(usage)?,
            token: args.opt_free_from_str().map_err(usage)?,
        },
        _ => Command::Help(match args.opt_free_from_str::<String>().map_err(usage)? {
            Some(word) => Some(command_name(&word)?),
            None => None,
        }),
    };
    match args.finish().first() {
        None => Ok(Parsed { command, name, env_file, flags }),
        Some(word) => Err(Error::usage(refused(name, &word.to_string_lossy(), &flags))),
    }
}

/// Why a word that is left over is not taken.
fn refused(name: &str, word: &str, flags: &[(&str, String)]) -> String {
    let flag = word.split('=').next().unwrap_or_default();
    let var = VARS.iter().find(|var| var.flag == Some(flag) && var.used_by.contains(&name));
    let secret = |var: &&Var| var.flag.is_none() && as_flag(var.name) == flag;
    if let Some(Var { name, .. }) = VARS.iter().find(secret) {
        return format!("a secret has no flag: set {name}, or {name}_FILE to a file that holds it");
    }
    let switch = |(name, _): &(&str, String)| VARS.iter().any(|v| v.name == *name && is_switch(v));
    match var {
        Some(var) if flags.iter().any(|(given, _)| *given == var.name) => {
            format!("{flag} is given twice")
        }
        Some(var) if is_switch(var) => format!("{flag} takes no value"),
        _ if ["true", "false"].contains(&word) && flags.iter().any(switch) => {
            format!("`mailroom {name}` does not take {word:?}: a switch takes no value")
        }
        _ => {
            format!("`mailroom {name}` does not take{}{}", shown(word), near(flag, flags_of(name)))
        }
    }
}

/// The flags of a command: its own, as its help has them, and those of settings.
fn flags_of(name: &str) -> impl Iterator<Item = &'static str> {
    let usage = COMMANDS.iter().find(|command| command.name == name).map(|one| one.usage());
    let words = usage.unwrap_or_default().split(|c: char| " []\n.".contains(c));
    let settings = VARS.iter().filter(move |var| var.used_by.contains(&name));
    words.filter(|word| word.starts_with("--")).chain(settings.filter_map(|var| var.flag))
}

/// `MAILROOM_SECRET_KEY` as a flag would be called.
fn as_flag(name: &str) -> String {
    let name = name.strip_prefix("MAILROOM_").unwrap_or(name);
    format!("--{}", name.to_ascii_lowercase().replace('_', "-"))
}

fn command_name(word: &str) -> Result<&'static str, Error> {
    COMMANDS.iter().map(|command| command.name).find(|name| *name == word).ok_or_else(|| {
        let meant = near(word, COMMANDS.iter().map(|command| command.name));
        Error::usage(format!("there is no command{}{meant}", shown(word)))
    })
}

/// Switches take no value.
fn is_switch(var: &Var) -> bool {
    var.default == Some("false")
}

fn flag(args: &mut Arguments, var: &Var) -> Result<Option<String>, Error> {
    let Some(flag) = var.flag else { return Ok(None) };
    if is_switch(var) {
        return Ok(args.contains(flag).then(|| "true".to_owned()));
    }
    args.opt_value_from_str(flag).map_err(usage)
}
