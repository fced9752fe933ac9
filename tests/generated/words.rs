//! What can stand on the command line, read from the tables of commands and settings: nothing about
//! a command is known here.

use mailroom::ops::cli::help::{COMMANDS, CommandHelp};
use mailroom::ops::cmd;
use mailroom::ops::config::VARS;
use mailroom::ops::config::reader::{Inputs, Var, is_about};
use mailroom::ops::settings::Settings;

/// A flag of a command.
pub struct Flag {
    /// With its dashes.
    pub name: &'static str,
    /// What it means, in a few words.
    pub meaning: String,
    pub value: Value,
}

/// What follows a flag.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing: it is a switch.
    None,
    /// One of these.
    OneOf(Vec<String>),
    Directory,
    Any,
}

/// The first words of the alternatives in the usage of a command: `up`, `down`, ...
pub fn subcommands(command: &CommandHelp) -> Vec<&'static str> {
    let start = format!("mailroom {}", command.name);
    let lines = command.usage().lines().map(|line| line.trim_start().strip_prefix(&start).unwrap());
    let firsts = lines
        .flat_map(|line| line.split('|'))
        .filter_map(|part| part.split(' ').find(|word| !word.is_empty()));
    firsts.filter(|word| word.bytes().all(|b| b.is_ascii_lowercase())).collect()
}

/// What the help of a command says between its summary and its example; may be empty.
pub fn details(command: &CommandHelp) -> String {
    let path = format!("{}/src/ops/cli/help/{}.txt", env!("CARGO_MANIFEST_DIR"), command.name);
    let text = std::fs::read_to_string(path).unwrap();
    let rest = text.splitn(3, "\n\n").nth(2).unwrap_or_default();
    rest.rsplit_once("  mailroom ").map_or(rest, |(before, _)| before).trim_end().to_owned()
}

/// All flags of a command: those in its usage, and the settings that it reads.
pub fn flags(command: &CommandHelp) -> Vec<Flag> {
    let mut flags: Vec<Flag> = Vec::new();
    for var in VARS.iter().filter(|var| var.used_by.contains(&command.name)) {
        let Some(name) = var.flag else { continue };
        flags.push(Flag { name, meaning: plain(var.meaning), value: value(var, command.name) });
    }
    let words: Vec<&str> = command.usage().split_whitespace().collect();
    for (index, word) in words.iter().enumerate() {
        let name = word.trim_start_matches('[').trim_end_matches([']', '.']);
        if !name.starts_with("--") || flags.iter().any(|flag| flag.name == name) {
            continue;
        }
        let next = words.get(index + 1).copied().unwrap_or_default();
        let takes_none =
            word.ends_with(']') || next.is_empty() || next.starts_with(['[', '|', '-', 'm']);
        let value = match (takes_none, name) {
            (true, _) => Value::None,
            (false, "--state") => Value::OneOf(states()),
            (false, _) if next.starts_with("DIR") => Value::Directory,
            _ => Value::Any,
        };
        flags.push(Flag { name, meaning: String::new(), value });
    }
    flags
}

/// Words that can follow a command or subcommand as they are.
pub fn arguments(command: &CommandHelp) -> Vec<&'static str> {
    match command.name {
        "help" => COMMANDS.iter().map(|command| command.name).collect(),
        _ => subcommands(command),
    }
}

/// The states of a delivery, as the program lists them to who names another.
fn states() -> Vec<String> {
    let words = ["queue", "list", "--state", "no-such-state"].map(Into::into).to_vec();
    let said = cmd::parse(words).err().unwrap().message;
    let list = said.split(": ").nth(1).unwrap();
    list.split(", ").map(str::to_owned).collect()
}

/// What follows the flag of a setting: the words that its meaning quotes and the program takes, if
/// the program does not take every word.
fn value(var: &'static Var, command: &str) -> Value {
    if var.default == Some("false") {
        return Value::None;
    }
    if var.meaning.contains("directory") {
        return Value::Directory;
    }
    let taken = |word: &str| {
        let flags = [(var.name, word.to_owned())];
        let inputs = Inputs { command, flags: &flags, env: &|_| None };
        let problems = Settings::read(&inputs).problems;
        !problems.iter().any(|problem| is_about(problem, var.name))
    };
    let quoted = var.meaning.split('`').skip(1).step_by(2);
    let word = |word: &&str| word.bytes().all(|b| b.is_ascii_lowercase());
    let words: Vec<String> =
        quoted.filter(word).filter(|word| taken(word)).map(str::to_owned).collect();
    if words.is_empty() || taken("xyzzy") { Value::Any } else { Value::OneOf(words) }
}

/// Without the marks of Markdown.
pub fn plain(text: &str) -> String {
    text.replace('`', "")
}
