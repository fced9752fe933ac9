//! The command line: which command, and the settings that stand on it. The words of a command are read where
//! it is; the help texts are in `cli/help.rs`.

pub mod help;
mod words;

use crate::mail::error::Error;
use crate::ops::config::VARS;
use crate::ops::config::reader::Var;
use help::COMMANDS;
use pico_args::Arguments;
use std::ffi::OsString;
use std::path::PathBuf;
use words::{near, shown};

/// A command line of which the command's own words are still to be read.
pub struct Line {
    /// Name of the command, as in [`COMMANDS`].
    pub name: &'static str,
    /// A file of variables.
    pub env_file: Option<PathBuf>,
    /// Settings given as flags, by variable name.
    pub flags: Vec<(&'static str, String)>,
    /// The rest.
    pub args: Arguments,
}

/// Reads the words after the program's name. `mailroom COMMAND --help` is `mailroom help COMMAND`.
///
/// # Errors
/// What is wrong with them (exit 64).
pub fn begin(words: Vec<OsString>) -> Result<Line, Error> {
    let mut args = Arguments::from_vec(words);
    let env_file = args.opt_value_from_str("--env-file")?;
    let help = args.contains(["-h", "--help"]);
    let name = args.subcommand()?.map(|word| command_name(&word)).transpose()?;
    let mut flags = Vec::new();
    if help {
        let args = Arguments::from_vec(name.into_iter().map(OsString::from).collect());
        return Ok(Line { name: "help", env_file: None, flags, args });
    }
    let Some(name) = name else {
        return Err(Error::usage(match args.finish().first() {
            Some(flag) => {
                let flag = shown(&flag.to_string_lossy());
                format!("flags stand behind the command, but for --env-file, once: there is{flag}")
            }
            None => "which command?".to_owned(),
        }));
    };
    for var in VARS.iter().filter(|var| var.used_by.contains(&name)) {
        flags.extend(flag(&mut args, var)?.map(|value| (var.name, value)));
    }
    Ok(Line { name, env_file, flags, args })
}

impl Line {
    /// Gives its flags; all other words must have been read.
    ///
    /// # Errors
    /// The first that was not.
    pub fn end(self) -> Result<Vec<(&'static str, String)>, Error> {
        match self.args.finish().first() {
            None => Ok(self.flags),
            Some(word) => {
                Err(Error::usage(refused(self.name, &word.to_string_lossy(), &self.flags)))
            }
        }
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
            let meant = match flags_of(name).any(|known| known == flag) {
                true => " here, or takes it once".to_owned(),
                false => near(flag, flags_of(name)),
            };
            format!("`mailroom {name}` does not take{}{meant}", shown(word))
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

/// The command of this name.
///
/// # Errors
/// There is none; says which may be meant.
pub fn command_name(word: &str) -> Result<&'static str, Error> {
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
    Ok(args.opt_value_from_str(flag)?)
}
