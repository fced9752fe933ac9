//! The program: what was asked for is read and checked, then its verb runs. A file a verb.

mod check;
mod collect;
mod health;
mod list;
mod mail;
mod migrate;
mod publish;
mod queue;
mod run;
mod send;
mod status;
mod template;
mod verify;

use crate::edges::log;
use crate::edges::stop::Stop;
use crate::mail::error::Error;
use crate::ops::cli;
use crate::ops::cli::help;
use crate::ops::config::reader::{Inputs, is_about};
use crate::ops::database::target;
use crate::ops::environment;
use crate::ops::environment::{env_os, unknown_settings};
use crate::ops::settings::{Settings, Verb};
use crate::ops::terminal::print;
use std::ffi::OsString;
use std::path::PathBuf;

/// What is to be done, and with which settings.
pub struct Parsed {
    /// Name of the command.
    pub name: &'static str,
    /// A file of variables.
    pub env_file: Option<PathBuf>,
    /// Settings given as flags, by variable name.
    pub flags: Vec<(&'static str, String)>,
    verb: Verb,
}

/// Runs the program with these words after its name.
///
/// # Errors
/// Why it ends other than well; `main` prints it and gives its exit status.
pub fn main(words: Vec<OsString>) -> Result<(), Error> {
    if words.iter().any(|word| word == "-V" || word == "--version") {
        return print(&format!("mailroom {}\n", env!("CARGO_PKG_VERSION")));
    }
    let parsed = parse(words)?;
    if let Some(path) = &parsed.env_file {
        environment::read(path)?;
    }
    let inputs = Inputs { command: parsed.name, flags: &parsed.flags, env: &env_os };
    let stop = Stop::new();
    let settings = match parsed.name {
        // What is wrong with the settings is what it shows.
        "check" => Settings::read(&inputs),
        _ => sound(&inputs, &stop)?,
    };
    (parsed.verb)(&settings, &stop)
}

/// Reads all words.
///
/// # Errors
/// What is wrong with them (exit 64).
pub fn parse(words: Vec<OsString>) -> Result<Parsed, Error> {
    let mut line = cli::begin(words)?;
    let args = &mut line.args;
    let verb: Verb = match line.name {
        "collect" => Box::new(|given, stop| collect::run(&given.config, stop)),
        "send" => Box::new(send::run),
        "run" => Box::new(run::run),
        "health" => Box::new(|given, stop| health::run(&given.config, stop)),
        "check" => check::words(args),
        "migrate" => migrate::words(args)?,
        "mail" => mail::words(args)?,
        "list" => list::words(args)?,
        "publish" => publish::words(args)?,
        "template" => template::words(args)?,
        "status" => status::words(args)?,
        "queue" => queue::words(args)?,
        "verify" => verify::words(args)?,
        _ => {
            let about = args.opt_free_from_str::<String>()?;
            let about = about.map(|word| cli::command_name(&word)).transpose()?;
            Box::new(move |_, _| print(&help::help(about)))
        }
    };
    let (name, env_file) = (line.name, line.env_file.take());
    Ok(Parsed { name, env_file, flags: line.end()?, verb })
}

/// The settings, if nothing is wrong with them.
fn sound(inputs: &Inputs<'_>, stop: &Stop) -> Result<Settings, Error> {
    let settings = Settings::read(inputs);
    // First, so that what is wrong is said in the shape that is wished.
    log::configure(settings.config.log_level, settings.config.log_format);
    if !["verify", "help"].contains(&inputs.command) {
        let (tag, command) = (inputs.command.to_ascii_uppercase(), inputs.command);
        for name in unknown_settings() {
            let what = format_args!("{name} is no setting; mailroom help {command} lists them");
            log::warn(&tag, what);
        }
    }
    if settings.problems.is_empty() {
        return Ok(settings);
    }
    // What is read when it is needed is looked at now, so that all is said at once.
    let Settings { config, provider, mut problems, .. } = settings;
    let sound = |name: &str| !problems.iter().any(|problem| is_about(problem, name));
    let has_url = config.database_url.is_some() && sound("MAILROOM_DATABASE_URL");
    let database = has_url.then(|| target(&config).err()).flatten();
    let has_templates = sound("MAILROOM_TEMPLATES") && sound("MAILROOM_TEMPLATE_DIR");
    let provider = provider.filter(|_| has_templates);
    let provider = provider.and_then(|provider| provider.fault(&config, stop));
    problems.extend(database.into_iter().chain(provider).map(|error| error.message));
    Err(Error::config(problems.join("\n")))
}
