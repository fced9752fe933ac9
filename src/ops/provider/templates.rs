//! The templates that mails are made from, wherever they are: which there are, in which languages, and
//! whether they can be filled with what mails have.

use crate::edges::stop::Stop;
use crate::mail::error;
use crate::mail::error::Error;
use crate::mail::kind::{data, example};
use crate::mail::model::{Kind, List, Message};
use crate::ops::check::{Round, Status};
use crate::ops::config::Config;
use crate::queue::samples::Sample;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

/// The end of the link in samples by which one leaves a list: no engine escapes any of it.
const LEAVE: &str = "example0token0to0leave0the0list0";

/// A template, or a mail that was made from it. A part that it does not have is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Content {
    /// The subject line.
    pub subject: String,
    /// The plain text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// The HTML.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub html: String,
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// There is none.
    Missing(String),
    /// It cannot be filled, or what comes of it is of no use.
    Broken(String),
}

impl Problem {
    /// What, for people: goes on from the name of the template.
    pub fn text(&self) -> &str {
        let (Problem::Missing(text) | Problem::Broken(text)) = self;
        text
    }
}

/// The templates could not be asked about.
#[derive(Debug)]
pub struct Fault {
    /// The end of a command that needs to know.
    pub error: Error,
    /// How it comes out as a check.
    pub status: Status,
    /// What to do.
    pub advice: &'static str,
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        fault.error
    }
}

/// Where a provider's templates are.
pub trait Store {
    /// What stands between a template's name and its language.
    fn mark(&self) -> char {
        '.'
    }

    /// What is wrong with a template as one of this provider.
    fn refusal(&self, _name: &str, _content: &Content) -> Option<String> {
        None
    }

    /// The names of all, in any order.
    ///
    /// # Errors
    /// They cannot be asked for.
    fn list(&mut self) -> Result<Vec<String>, Fault>;

    /// A template; `None` if there is none of that name.
    ///
    /// # Errors
    /// It cannot be asked for.
    fn get(&mut self, name: &str) -> Result<Option<Content>, Fault>;

    /// Replaces a template, or creates it; gives which, in a word.
    ///
    /// # Errors
    /// It was not taken.
    fn put(&mut self, name: &str, content: &Content) -> Result<&'static str, Fault>;

    /// A mail made from a template and the data of a message, as the provider would, with its images in
    /// it; or what is wrong with the template.
    ///
    /// # Errors
    /// It cannot be asked for.
    fn fill(&mut self, name: &str, message: &Message) -> Result<Result<Content, Problem>, Fault>;
}

/// The names of the templates that a directory has files of.
///
/// # Errors
/// It cannot be read.
pub fn in_files(directory: &Path) -> Result<BTreeSet<String>, Error> {
    let cannot = |error| Error::io(format_args!("{} cannot be read", directory.display()), error);
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(directory).map_err(cannot)? {
        let file = entry.map_err(cannot)?.file_name().to_string_lossy().into_owned();
        found.extend(file.strip_suffix(".subject").map(str::to_owned));
    }
    Ok(found)
}

/// A template of `NAME.subject`, `NAME.txt` and `NAME.html`; a part without a file is empty.
///
/// # Errors
/// A file cannot be read, or is not UTF-8.
pub fn of_files(directory: &Path, name: &str) -> Result<Content, Error> {
    let part = |ending: &str| {
        let path = directory.join(format!("{name}.{ending}"));
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                Err(Error::new(error::Kind::Data, format!("{} is not UTF-8", path.display())))
            }
            Err(error) => Err(Error::io(format_args!("{} cannot be read", path.display()), error)),
        }
    };
    let subject = part("subject")?.trim().to_owned();
    Ok(Content { subject, text: part("txt")?, html: part("html")? })
}

/// Opens a store. Which one, and what it needs of the settings, is known.
pub type Open = Box<dyn Fn(&Config, &Stop) -> Result<Box<dyn Store>, Error>>;

/// A template that kinds of mail are made from.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Its name, without a language.
    pub name: String,
    actions: Vec<u16>,
    kinds: Vec<Arc<str>>,
    /// Mails as they may be, none of them a real one.
    pub samples: Vec<Message>,
    /// Whether it is known what data its mails have: where it is not, none was asked for yet.
    known: bool,
}

impl Wanted {
    /// `action 1, 3`, or `kind invoice`.
    pub fn uses(&self) -> String {
        let actions: Vec<String> = self.actions.iter().map(u16::to_string).collect();
        let lists = [("action", actions.join(", ")), ("kind", self.kinds.join(", "))];
        let lists = lists.iter().filter(|(_, list)| !list.is_empty());
        lists.map(|(word, list)| format!("{word} {list}")).collect::<Vec<_>>().join("; ")
    }

    /// The language of a template of this name.
    pub fn language<'a>(&self, name: &'a str, mark: char) -> Option<&'a str> {
        name.strip_prefix(&self.name)?.strip_prefix(mark).filter(|rest| is_language(rest))
    }

    /// This one and those of its languages, as far as they are among `listed`.
    pub fn names<'a>(&'a self, listed: &'a [String], mark: char) -> impl Iterator<Item = &'a str> {
        let localized = listed.iter().filter(move |one| self.language(one, mark).is_some());
        [&self.name].into_iter().chain(localized).map(String::as_str)
    }
}

/// Whether it is a language tag, `de` or `pt-BR`, as `send_mail` takes them.
pub fn is_language(text: &str) -> bool {
    let mut parts = text.split('-');
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    parts.next().is_some_and(|first| (2..=3).contains(&first.len()) && plain(first))
        && parts.all(|part| (1..=8).contains(&part.len()) && plain(part))
}

/// The templates that the settings and the kinds of the database name; of the latter nothing may be known.
///
/// # Errors
/// A file of data cannot be read.
pub fn wanted(config: &Config, kinds: &[Sample]) -> Result<Vec<Wanted>, Error> {
    let mut all: Vec<Wanted> = Vec::new();
    let numbers = || config.templates.iter().map(|(number, _)| number);
    let is_known = |number| kinds.iter().any(|one| one.kind.number == Some(number));
    let unknown = numbers().filter(|number| !is_known(*number)).map(|number| {
        // What may be signed, is: nothing says that it is not.
        let kind = Kind { path: Some(String::new()), ..Kind::numbered(number) };
        Sample { kind, of_account: true, ..Sample::default() }
    });
    for of in unknown.chain(kinds.iter().cloned()) {
        let number = numbers().find(|number| of.kind.number == Some(*number));
        let kind = Arc::new(of.kind);
        let Some(name) = config.templates.name(&kind) else { continue };
        if number.is_none() && of.is_event {
            continue;
        }
        let own = if of.data.is_empty() { sample(config, name)? } else { None };
        let seen = of.data.iter().filter_map(|text| serde_json::from_str(text).ok());
        let mut data: Vec<Value> = seen.map(|value| like("", &value)).chain(own).collect();
        let place = all.iter().position(|one| one.name == name).unwrap_or_else(|| {
            all.push(Wanted { name: name.to_owned(), known: true, ..Wanted::default() });
            all.len() - 1
        });
        let found = &mut all[place];
        match number {
            Some(number) => found.actions.push(number),
            None => found.kinds.push(Arc::clone(&kind.name)),
        }
        found.known &= of.of_account || !data.is_empty();
        if data.is_empty() {
            data.push(Map::new().into());
        }
        let list = of
            .unsubscribe
            .map(|link| List { id: "list.example.org".to_owned(), unsubscribe: link + LEAVE });
        let token = if kind.path.is_some() { example(1).token } else { String::new() };
        found.samples.extend(data.into_iter().map(|data| Message {
            kind: Arc::clone(&kind),
            list: list.clone(),
            token: token.clone(),
            data: Some(data.to_string()),
            ..example(1)
        }));
    }
    Ok(all)
}

/// What the data of a template's mails is like, by `NAME.json` beside its files; `name` may have a language.
///
/// # Errors
/// It is no JSON object, or cannot be read.
pub fn sample(config: &Config, name: &str) -> Result<Option<Value>, Error> {
    let path = config.template_dir.join(format!("{name}.json"));
    let wrong = |why: String| Error::config(format!("{}: {why}", path.display()));
    match std::fs::read_to_string(&path) {
        Ok(text) => match serde_json::from_str(&text) {
            Ok(Value::Object(object)) => Ok(Some(object.into())),
            Ok(_) => Err(wrong("it must be a JSON object".to_owned())),
            Err(error) => Err(wrong(error.to_string())),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// A value of the same shape that says nothing of anybody: each text is the name it has.
fn like(name: &str, value: &Value) -> Value {
    match value {
        Value::String(_) => name.into(),
        Value::Number(_) => 1.into(),
        // One stands for all.
        Value::Array(list) => list.iter().take(1).map(|one| like(name, one)).collect(),
        Value::Object(object) => {
            object.iter().map(|(name, one)| (name.clone(), like(name, one))).collect()
        }
        plain => plain.clone(),
    }
}

/// What is wrong with a template, filled with each of the samples.
///
/// # Errors
/// As [`Store::fill`].
pub fn examine(
    store: &mut dyn Store,
    name: &str,
    wanted: &Wanted,
) -> Result<Option<Problem>, Fault> {
    for message in &wanted.samples {
        match store.fill(name, message)? {
            Ok(mail) if [&mail.text, &mail.html].iter().any(|part| is_example(part)) => {
                let of_list =
                    message.list.as_ref().is_some_and(|list| is_example(&list.unsubscribe));
                let by = if of_list { " by lists.unsubscribe" } else { "" };
                let todo = "put the address of your application in";
                return Ok(Some(Problem::Broken(format!("leads to example.com{by}: {todo}"))));
            }
            Ok(mail) if message.list.is_some() && !shows_the_way_out(&mail) => {
                let text = "is of a list and shows no link to leave it: put {{unsubscribe}} into its \
                            text, and into its HTML as a link (<a href=\"{{unsubscribe}}\">…</a>)";
                return Ok(Some(Problem::Broken(text.to_owned())));
            }
            Ok(_) => {}
            Err(problem) => return Ok(Some(problem)),
        }
    }
    Ok(None)
}

/// Whether a text has links that the example templates have.
pub fn is_example(text: &str) -> bool {
    text.contains("://example.com")
}

/// Whether each part of a mail has the link to leave the list, where people see it. A stand-in for a
/// provider may not fill the templates.
fn shows_the_way_out(mail: &Content) -> bool {
    let leads_out = |text: &str| text.contains(LEAVE) || text.contains("{{unsubscribe}}");
    let html = mail.html.to_ascii_lowercase();
    let seen = html.split("<!--").enumerate().filter_map(|(place, part)| match place {
        0 => Some(part),
        _ => part.split_once("-->").map(|(_, after)| after),
    });
    let seen: String = seen.collect();
    let is_link = |link: &str| {
        link.split_once('>').is_some_and(|(tag, rest)| {
            let inside = rest.split("</a").next().unwrap_or_default();
            tag.starts_with(char::is_whitespace)
                && leads_out(tag)
                && !tag.replace(' ', "").contains("display:none")
                && !inside.trim().is_empty()
        })
    };
    (mail.text.is_empty() || leads_out(&mail.text))
        && (mail.html.is_empty() || seen.split("<a").skip(1).any(is_link))
}

/// Looks at each template, in each of its languages.
pub fn check(round: &mut Round<'_>, store: &mut dyn Store) {
    if round.is_wrong("MAILROOM_TEMPLATES") || round.is_wrong("MAILROOM_TEMPLATE_DIR") {
        return round.checks.unknown("templates", "their settings are wrong");
    }
    let wanted = match wanted(round.config, &round.kinds) {
        Ok(wanted) => wanted,
        Err(error) => {
            let advice = "let it be a JSON object like the data of its mails";
            return round.checks.misconfigured("templates", error.message, advice);
        }
    };
    let listed = store.list().unwrap_or_else(|fault| {
        let detail = format!("not looked at: {}", fault.error.message);
        round.checks.add("template languages", fault.status, detail, fault.advice);
        Vec::new()
    });
    let mark = store.mark();
    for one in &wanted {
        for name in one.names(&listed, mark) {
            let (status, found, advice) = match examine(store, name, one) {
                Ok(None) => (Status::Ok, "renders".to_owned(), ""),
                Ok(Some(problem)) => (
                    if one.known { Status::Misconfigured } else { Status::Warning },
                    problem.text().to_owned(),
                    match problem {
                        Problem::Missing(_) => {
                            "put it there (`mailroom template push`; for smtp, its files), or see MAILROOM_TEMPLATES"
                        }
                        _ if !one.known => {
                            "the latest 1000 mails have none of it; NAME.json in MAILROOM_TEMPLATE_DIR says what its data is like"
                        }
                        _ => "its mails are held, lost, or of no use until this is changed",
                    },
                ),
                Err(fault) => {
                    (fault.status, format!("not checked: {}", fault.error.message), fault.advice)
                }
            };
            let detail = format!("{}: {found}", one.uses());
            round.checks.add(&format!("template {name}"), status, detail, advice);
        }
    }
}

/// What is wrong with a template that uses these variables, for a mail such as this.
pub fn unknown(mut variables: Vec<String>, message: &Message) -> Problem {
    let braced = |name: &String| format!("{{{{{name}}}}}");
    variables.sort();
    variables.dedup();
    let used: Vec<String> = variables.iter().map(braced).collect();
    let data = data(message);
    let sent: Vec<String> = data.as_object().into_iter().flat_map(Map::keys).map(braced).collect();
    Problem::Broken(format!(
        "uses {}, which is not sent: its mails would be lost without an error; sent are {}",
        used.join(", "),
        sent.join(", ")
    ))
}
