//! `mailroom template`: the templates at SES. Those of other providers are looked at by `check`.
//!
//! Exit status: 78 where the account and MAILROOM_TEMPLATES do not fit together (a template or a
//! variable is missing), 65 for a file or a name that is wrong, 69 where the provider refuses or
//! is not reached, 75 where it says "later" for too long.

mod push;

use crate::edges::stop::Stop;
use crate::mail::error::{Error, Kind};
use crate::mail::kind::{data_text, example};
use crate::ops::cli::template::Templating;
use crate::ops::config::Config;
use crate::ops::provider::ses::calls::{Calls, client};
use crate::ops::provider::ses::templates;
use crate::ops::provider::templates::{names, used_by};
use crate::ops::settings::Settings;
use crate::ops::terminal::print;
use std::fmt::Write as _;

/// Lists, shows, pushes or checks.
pub fn run(given: &Settings, what: &Templating, stop: &Stop) -> Result<(), Error> {
    let config = &given.config;
    // The data is the same with every provider.
    if let Templating::Show { name, data: true } = what {
        return show_data(config, name);
    }
    // To ask for AWS's credentials would help nobody.
    if let Some(place) = given.transport.templates {
        let name = given.transport.name;
        return Err(Error::config(format!(
            "MAILROOM_TRANSPORT is {name}, and `mailroom template` is for templates at SES; with \
             {name} {place}"
        )));
    }
    let calls = |what: &str| client(stop).map(|client| Calls::new(client, stop, what));
    match what {
        Templating::List => list(config, &mut calls("listing the templates")?),
        Templating::Show { name, .. } => show(name, &mut calls("getting the template")?),
        Templating::Push { from } => {
            let contents = push::contents(config, from)?;
            push::push(&contents, &mut calls("putting the template")?)
        }
        Templating::Check => check(config, &mut calls("rendering the template")?),
    }
}

fn list(config: &Config, calls: &mut Calls) -> Result<(), Error> {
    let mut found: Vec<String> = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let page = templates::list(calls, next.as_deref());
        let (mut page, more) = page.map_err(|refused| calls.failed("", &refused))?;
        found.append(&mut page);
        if more.is_none() || more == next {
            break;
        }
        next = more;
    }
    found.sort();
    let mut out = String::new();
    for name in &found {
        let _ = writeln!(out, "{}", format!("{name:<32}  {}", used_by(config, name)).trim_end());
    }
    for (_, name) in names(config).filter(|(_, name)| !found.iter().any(|one| one == name)) {
        let _ = writeln!(out, "{name:<32}  {}: not at the provider", used_by(config, name));
    }
    print(&out)
}

fn show(name: &str, calls: &mut Calls) -> Result<(), Error> {
    let content = templates::get(calls, name);
    let Some(content) = content.map_err(|refused| calls.failed(name, &refused))? else {
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

fn show_data(config: &Config, name: &str) -> Result<(), Error> {
    let Some((action, _)) = names(config).find(|(_, one)| *one == name) else {
        let text = format!("no action has the template {name:?} in MAILROOM_TEMPLATES");
        return Err(Error::new(Kind::Data, text));
    };
    print(&format!("{}\n", data_text(&example(action))))
}

fn check(config: &Config, calls: &mut Calls) -> Result<(), Error> {
    let mut problems = Vec::new();
    for (action, name) in names(config) {
        let problem = templates::examine(calls, action, name);
        match problem.map_err(|refused| calls.failed(name, &refused))? {
            None => print(&format!("{name} good ({})\n", used_by(config, name)))?,
            Some(problem) => {
                problems.push(format!("template {name} ({}) {problem}", used_by(config, name)));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::config(problems.join("\n"))) }
}
