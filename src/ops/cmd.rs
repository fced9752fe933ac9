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
use crate::ops::cli::{Command, help};
use crate::ops::config::reader::{Inputs, is_about};
use crate::ops::database::target;
use crate::ops::environment;
use crate::ops::environment::{env_os, unknown_settings};
use crate::ops::settings::Settings;
use crate::ops::terminal::print;
use std::ffi::OsString;

/// Runs the program with these words after its name.
///
/// # Errors
/// Why it ends other than well; `main` prints it and gives its exit status.
pub fn main(words: Vec<OsString>) -> Result<(), Error> {
    let parsed = cli::parse(words)?;
    if let Some(path) = &parsed.env_file {
        environment::read(path)?;
    }
    let inputs = Inputs { command: parsed.name, flags: &parsed.flags, env: &env_os };
    let stop = Stop::new();
    match parsed.command {
        Command::Help(command) => print(&help::help(command)),
        Command::Version => print(&format!("mailroom {}\n", env!("CARGO_PKG_VERSION"))),
        // What is wrong with the settings is what it shows.
        Command::Check { json } => check::run(&Settings::read(&inputs), json, &stop),
        command => {
            let settings = sound(&inputs, &stop)?;
            run(command, &settings, &stop)
        }
    }
}

fn run(command: Command, settings: &Settings, stop: &Stop) -> Result<(), Error> {
    let config = &settings.config;
    match command {
        Command::Collect => collect::run(config, stop),
        Command::Send => send::run(settings, stop),
        Command::Run => run::run(settings, stop),
        Command::Migrate(what) => migrate::run(config, what, stop),
        Command::Mail(what) => mail::run(config, &what, stop),
        Command::Template(what) => template::run(settings, &what, stop),
        Command::Status(what) => status::run(config, &what, stop),
        Command::Queue(what) => queue::run(config, what, stop),
        Command::List(what) => list::run(config, &what, stop),
        Command::Publish(what) => publish::run(config, &what, stop),
        Command::Health => health::run(config, stop),
        Command::Verify { token, code, paths } => verify::run(config, token, code, &paths),
        Command::Check { .. } | Command::Help(_) | Command::Version => Ok(()),
    }
}

/// The settings, if nothing is wrong with them.
fn sound(inputs: &Inputs<'_>, stop: &Stop) -> Result<Settings, Error> {
    let settings = Settings::read(inputs);
    // First, so that what is wrong is said in the shape that is wished.
    log::configure(settings.config.log_level, settings.config.log_format);
    if inputs.command != "verify" {
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
