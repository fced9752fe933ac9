//! `mailroom template`: the templates at SES. Those of other providers are looked at by `check`.
//!
//! Exit status: 78 where the account and MAILROOM_TEMPLATES do not fit together (a template or a
//! variable is missing), 65 for a file or a name that is wrong, 69 where the provider refuses or
//! is not reached, 75 where it says "later" for too long.

use crate::edges::log;
use crate::edges::stop::Stop;
use crate::mail::error::{Error, Kind};
use crate::mail::kind as template;
use crate::mail::kind::{data, example};
use crate::ops::cli::Templating;
use crate::ops::cmd::{print, ses_client};
use crate::ops::config::Config;
use crate::send::ses::client::{Client, Refused};
use crate::send::ses::template as remote;
use crate::send::ses::template::{Content, Put, Rendered};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// SES takes one of these calls a second.
const PAUSE: Duration = Duration::from_millis(1100);
/// How often a call is made that comes too soon.
const TRIES: u32 = 10;

/// Lists, shows, pushes or checks.
pub fn run(config: &Config, what: &Templating, stop: &Stop) -> Result<(), Error> {
    // The data is the same with every provider.
    if !matches!(what, Templating::Show { data: true, .. }) {
        elsewhere(config.transport)?;
    }
    let calls = |what: &str| ses_client(stop).map(|client| Calls::new(client, stop, what));
    match what {
        Templating::List => list(config, &mut calls("listing the templates")?),
        Templating::Show { name, data: true } => show_data(config, name),
        Templating::Show { name, data: false } => show(name, &mut calls("getting the template")?),
        Templating::Push { from } => {
            let read = |(_, name)| Ok((name, read(from, name)?));
            let contents: Result<Vec<(&str, Content)>, Error> = names(config).map(read).collect();
            push(&contents?, &mut calls("putting the template")?)
        }
        Templating::Check => check(config, &mut calls("rendering the template")?),
    }
}

/// Where the templates are, if not at SES: asking for AWS's credentials would help nobody.
fn elsewhere(transport: &str) -> Result<(), Error> {
    let (place, deed) = match transport {
        "smtp" => ("mails are rendered here, from the files in MAILROOM_TEMPLATE_DIR", "tries"),
        "postmark" => ("templates are made at Postmark", "looks at"),
        _ => return Ok(()),
    };
    Err(Error::config(format!(
        "MAILROOM_TRANSPORT is {transport}, and `mailroom template` is for templates at SES; with \
         {transport} {place}; `mailroom check` {deed} them"
    )))
}

/// Calls to the provider that wait when they come too soon.
pub(crate) struct Calls {
    pub(crate) client: Client,
    stop: Stop,
    /// What is being done, for errors.
    what: String,
}

impl Calls {
    /// Calls that are for `what`.
    pub(crate) fn new(client: Client, stop: &Stop, what: &str) -> Calls {
        Calls { client, stop: stop.clone(), what: what.to_owned() }
    }

    /// Makes a call, again while it comes too soon.
    pub(crate) fn make<T>(
        &mut self,
        mut call: impl FnMut(&mut Client) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        let mut tries = 1;
        loop {
            match call(&mut self.client) {
                Err(refused) if refused.throttled && tries < TRIES => {
                    log::debug("SES", format_args!("{}: {refused}; waiting", self.what));
                    self.stop.sleep(PAUSE);
                    tries += 1;
                }
                other => return other,
            }
        }
    }

    /// The end of a command: what failed, and of which template.
    fn failed(&self, name: &str, refused: &Refused) -> Error {
        let kind = match refused {
            Refused { throttled: true, .. } => Kind::Temporary,
            Refused { status: Some(_), .. } if refused.is_bad_request() => Kind::Data,
            _ => Kind::Unavailable,
        };
        let space = if name.is_empty() { "" } else { " " };
        Error::new(kind, format!("{}{space}{name} failed: {refused}", self.what))
    }
}

/// The templates of the settings, each once, with the first action that uses it.
pub(crate) fn names(config: &Config) -> impl Iterator<Item = (u16, &str)> {
    let first = |(action, name): &(u16, &str)| {
        !config.templates.iter().any(|(other, same)| same == *name && other < *action)
    };
    config.templates.iter().filter(first)
}

/// `action 1, 3`, or nothing.
pub(crate) fn used_by(config: &Config, name: &str) -> String {
    let actions = config.templates.iter().filter(|(_, used)| *used == name);
    let actions: Vec<String> = actions.map(|(action, _)| action.to_string()).collect();
    if actions.is_empty() { String::new() } else { format!("action {}", actions.join(", ")) }
}

fn list(config: &Config, calls: &mut Calls) -> Result<(), Error> {
    let mut found: Vec<String> = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let page = calls.make(|client| remote::list(client, next.as_deref()));
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
    let content = calls.make(|client| remote::get(client, name));
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
    print(&format!("{}\n", data(&example(action))))
}

/// Reads `NAME.subject`, `NAME.txt` and `NAME.html`; one of the last two may be missing.
fn read(from: &Path, name: &str) -> Result<Content, Error> {
    let part = |end: &str| {
        let path = from.join(format!("{name}.{end}"));
        match std::fs::read(&path).map(String::from_utf8) {
            Ok(Ok(text)) => Ok(Some(text)),
            Ok(Err(_)) => Err(Error::new(Kind::Data, format!("{} is not UTF-8", path.display()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(format_args!("cannot read {}", path.display()), error)),
        }
    };
    let subject = part("subject")?.unwrap_or_default();
    let (text, html) = (part("txt")?.unwrap_or_default(), part("html")?.unwrap_or_default());
    let subject = subject.trim();
    let wrong = |what| Err(Error::new(Kind::Data, format!("{}/{name}{what}", from.display())));
    if subject.is_empty() || subject.contains(['\n', '\r']) {
        return wrong(".subject must be there and hold one line; --from names another directory");
    }
    if text.trim().is_empty() && html.trim().is_empty() {
        return wrong(".txt or .html must be there and hold the mail");
    }
    Ok(Content { subject: subject.to_owned(), text, html })
}

fn push(contents: &[(&str, Content)], calls: &mut Calls) -> Result<(), Error> {
    for (name, content) in contents {
        let done = calls.make(|client| remote::put(client, name, content));
        let done = match done.map_err(|refused| calls.failed(name, &refused))? {
            Put::Created => "created",
            Put::Updated => "updated",
        };
        print(&format!("{name} {done}\n"))?;
        if [&content.text, &content.html].iter().any(|part| part.contains("://example.com/")) {
            let what =
                "leads to example.com: put the address of your application in, and push again";
            log::warn("TEMPLATE", format_args!("{name} {what}"));
        }
    }
    Ok(())
}

fn check(config: &Config, calls: &mut Calls) -> Result<(), Error> {
    let mut problems = Vec::new();
    for (action, name) in names(config) {
        let problem = examine(calls, action, name);
        match problem.map_err(|refused| calls.failed(name, &refused))? {
            None => print(&format!("{name} good ({})\n", used_by(config, name)))?,
            Some(problem) => {
                problems.push(format!("template {name} ({}) {problem}", used_by(config, name)));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::config(problems.join("\n"))) }
}

/// Lets the provider render a template with data like that of a mail; gives what is wrong with it.
pub(crate) fn examine(
    calls: &mut Calls,
    action: u16,
    name: &str,
) -> Result<Option<String>, Refused> {
    let data = data(&example(action));
    Ok(match calls.make(|client| remote::render(client, name, &data))? {
        Rendered::Good => None,
        Rendered::NoTemplate => {
            Some("is not at the provider; see `mailroom template push`".to_owned())
        }
        Rendered::NoVariable(variable) => Some(unknown(&[variable])),
        Rendered::Bad(why) => {
            let content = calls.make(|client| remote::get(client, name))?.unwrap_or_default();
            let parts = [&content.subject, &content.text, &content.html];
            let all: Vec<String> = parts.iter().flat_map(|part| template::unsent(part)).collect();
            let none = all.is_empty();
            Some(if none { format!("cannot be rendered: {why}") } else { unknown(&all) })
        }
    })
}

/// What is wrong with a template that uses these.
pub(crate) fn unknown(variables: &[String]) -> String {
    let mut variables: Vec<String> =
        variables.iter().map(|variable| format!("{{{{{variable}}}}}")).collect();
    variables.sort();
    variables.dedup();
    format!(
        "uses {}, which is not sent: its mails would be lost without an error; sent are {}",
        variables.join(", "),
        template::VARIABLES.map(|name| format!("{{{{{name}}}}}")).join(", ")
    )
}
