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
    let says = |text: String| Parsed {
        name: "help",
        env_file: None,
        flags: Vec::new(),
        verb: Box::new(move |_, _| print(&text)),
    };
    if words.iter().any(|word| word == "-V" || word == "--version") {
        return Ok(says(format!("mailroom {}\n", env!("CARGO_PKG_VERSION"))));
    }
    let mut line = match cli::begin(words)? {
        Some(line) if !line.help => line,
        about => return Ok(says(help::help(about.map(|line| line.name)))),
    };
    let (args, name) = (&mut line.args, line.name);
    let verb: Verb = match name {
        "collect" => Box::new(|given, stop| collect::run(&given.config, stop)),
        "send" => Box::new(send::run),
        "run" => Box::new(run::run),
        "health" => Box::new(|given, stop| health::run(&given.config, stop)),
        "check" => check::words(args),
        "migrate" => {
            let what = cli::migrate::parse(args)?;
            Box::new(move |given, stop| migrate::run(&given.config, what, stop))
        }
        "mail" => mail::words(args)?,
        "list" => {
            let what = cli::list::parse(args)?;
            Box::new(move |given, stop| list::run(&given.config, &what, stop))
        }
        "publish" => {
            let what = cli::publish::parse(args)?;
            Box::new(move |given, stop| publish::run(&given.config, &what, stop))
        }
        "template" => {
            let what = cli::template::parse(args)?;
            Box::new(move |given, stop| template::run(given, &what, stop))
        }
        "status" => status::words(args)?,
        "queue" => queue::words(args)?,
        "verify" => verify::words(args)?,
        _ => {
            let about = args.opt_free_from_str::<String>()?;
            let about = about.map(|word| cli::command_name(&word)).transpose()?;
            Box::new(move |_, _| print(&help::help(about)))
        }
    };
    let env_file = line.env_file.take();
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
    let mut problems = settings.problems.clone();
    problems.extend(more_problems(&settings, stop));
    Err(Error::config(problems.join("\n")))
}

/// What is wrong besides with what is read when it is needed, so that all is said at once.
fn more_problems(settings: &Settings, stop: &Stop) -> Vec<String> {
    let Settings { config, provider, problems, .. } = settings;
    let sound = |name: &str| !problems.iter().any(|problem| is_about(problem, name));
    let mut more = Vec::new();
    if config.database_url.is_some() && sound("MAILROOM_DATABASE_URL") {
        more.extend(target(config).err().map(|error| error.message));
    }
    if let Some(provider) = provider
        && sound("MAILROOM_TEMPLATES")
        && sound("MAILROOM_TEMPLATE_DIR")
    {
        more.extend(provider.problems(config, stop));
    }
    more
}
