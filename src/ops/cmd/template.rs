//! `mailroom template`: the templates that mails are made from, wherever the provider has them.
//!
//! Exit status: 78 where templates and mails do not fit together (a template or a variable is missing),
//! 65 for a file or a name that is wrong, 69 where the provider refuses or is not reached, 75 where it
//! says "later" for too long.

mod preview;
mod push;

use crate::edges::log;
use crate::edges::stop::Stop;
use crate::mail::error::{Error, Kind};
use crate::mail::kind::data;
use crate::ops::config::Config;
use crate::ops::database::{STEP, session};
use crate::ops::provider::templates;
use crate::ops::provider::templates::{Store, Wanted, examine};
use crate::ops::settings::{Settings, Verb};
use crate::ops::terminal::print;
use crate::queue::samples;
use crate::queue::samples::Sample;
use pico_args::Arguments;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Reads its words.
///
/// # Errors
/// What is wrong with them.
pub fn words(args: &mut Arguments) -> Result<Verb, Error> {
    let word: Option<String> = args.opt_free_from_str()?;
    Ok(match word.as_deref() {
        Some("list") => {
            Box::new(|given, stop| list(&wanted(&given.config, stop)?, &mut *open(given, stop)?))
        }
        Some("show") => {
            let data = args.contains("--data");
            let name: Option<String> = args.opt_free_from_str()?;
            let name = name.ok_or_else(|| Error::usage("template show needs a name"))?;
            Box::new(move |given, stop| match data {
                // It needs no call.
                true => show_data(&wanted(&given.config, stop)?, &name),
                false => show(&name, &mut *open(given, stop)?),
            })
        }
        Some("push") => {
            let from: Option<PathBuf> = args.opt_value_from_str("--from")?;
            Box::new(move |given, stop| {
                let mut store = open(given, stop)?;
                let contents = push::contents(&given.config, from.as_deref(), &*store)?;
                push::push(&contents, &mut *store)
            })
        }
        Some("check") => {
            Box::new(|given, stop| check(&wanted(&given.config, stop)?, &mut *open(given, stop)?))
        }
        Some("preview") => {
            let to: Option<PathBuf> = args.opt_free_from_str()?;
            let to = to.ok_or_else(|| Error::usage("template preview needs a directory"))?;
            Box::new(move |given, stop| {
                let mut kinds = kinds(&given.config, stop);
                preview::add_own(&given.config, &mut kinds);
                let wanted = templates::wanted(&given.config, &kinds)?;
                preview::write(&given.config, &to, &wanted, &mut *open(given, stop)?)
            })
        }
        _ => {
            return Err(Error::usage(
                "template needs one of: list, show NAME [--data], push [--from DIR], check, \
                 preview DIR",
            ));
        }
    })
}

/// Where the templates are.
fn open(given: &Settings, stop: &Stop) -> Result<Box<dyn Store>, Error> {
    let missing = || Error::new(Kind::Bug, "there are no templates to ask for");
    given.templates.as_ref().ok_or_else(missing)?(&given.config, stop)
}

/// The templates that mails are made from.
fn wanted(config: &Config, stop: &Stop) -> Result<Vec<Wanted>, Error> {
    templates::wanted(config, &kinds(config, stop))
}

/// What the database says of kinds and their data; without one, nothing.
fn kinds(config: &Config, stop: &Stop) -> Vec<Sample> {
    if config.database_url.is_none() {
        return Vec::new();
    }
    let read = session(config, "template", stop).and_then(|mut session| {
        Ok(session.call(STEP, |client| samples::read(client, &config.queue))?)
    });
    read.unwrap_or_else(|error| {
        let what = "what data mails have is not known";
        log::warn("TEMPLATE", format_args!("{what}: {error}"));
        Vec::new()
    })
}

fn list(wanted: &[Wanted], store: &mut dyn Store) -> Result<(), Error> {
    let mut found = store.list()?;
    found.sort();
    let mark = store.mark();
    let mut out = String::new();
    let mut line = |name: &str, text: &str| {
        let _ = writeln!(out, "{}", format!("{name:<32}  {text}").trim_end());
    };
    for name in &found {
        let used = wanted.iter().find(|one| one.names(&found, mark).any(|own| own == name));
        line(name, &used.map(Wanted::uses).unwrap_or_default());
    }
    for one in wanted.iter().filter(|one| !found.contains(&one.name)) {
        line(&one.name, &format!("{}: not at the provider", one.uses()));
    }
    print(&out)
}

fn show(name: &str, store: &mut dyn Store) -> Result<(), Error> {
    let Some(content) = store.get(name)? else {
        let text = format!("there is no template {name:?} at the provider; see `template list`");
        return Err(Error::new(Kind::Data, text));
    };
    let mut out = format!("Subject: {}\n", content.subject);
    for (part, text) in [("text", content.text), ("html", content.html)] {
        let _ = writeln!(out, "\n--- {part} ---");
        out.push_str(if text.is_empty() { "(none)" } else { text.trim_end() });
        out.push('\n');
    }
    print(&out)
}

fn show_data(wanted: &[Wanted], name: &str) -> Result<(), Error> {
    let found = wanted.iter().find(|one| one.name == name);
    let Some(message) = found.and_then(|one| one.samples.first()) else {
        let text = format!("no kind of mail has the template {name:?}");
        return Err(Error::new(Kind::Data, text));
    };
    print(&format!("{}\n", data(message)))
}

fn check(wanted: &[Wanted], store: &mut dyn Store) -> Result<(), Error> {
    let listed = store.list()?;
    let mut problems = Vec::new();
    for one in wanted {
        for name in one.names(&listed, store.mark()) {
            match examine(store, name, one)? {
                None => print(&format!("{name} good ({})\n", one.uses()))?,
                Some(problem) => {
                    problems.push(format!("template {name} ({}) {}", one.uses(), problem.text()));
                }
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::config(problems.join("\n"))) }
}
