//! `mailroom template preview`: every mail, in every language, as its provider renders it, for a browser.

use crate::edges::metrics::textfile;
use crate::mail::error::{Error, Kind};
use crate::mail::model::{self, Message};
use crate::ops::config::Config;
use crate::ops::provider::templates::{Content, Store, Wanted, in_files, sample};
use crate::ops::screen::html::{document, safe};
use crate::ops::terminal::print;
use crate::queue::samples::Sample;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Adds a kind for each `NAME.json` beside the files of templates, if no other one has that template:
/// whoever writes templates may have no database yet.
pub fn add_own(config: &Config, kinds: &mut Vec<Sample>) {
    for entry in fs::read_dir(&config.template_dir).into_iter().flatten().flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let Some(name) = file.strip_suffix(".json").filter(|name| !name.contains('.')) else {
            continue;
        };
        let template = Some(name.to_owned());
        if kinds.iter().all(|one| one.kind.template != template)
            && config.templates.iter().all(|(_, own)| own != name)
        {
            let kind = model::Kind { name: name.into(), template, ..model::Kind::default() };
            kinds.push(Sample { kind, ..Sample::default() });
        }
    }
}

/// Writes `index.html` into `to`, and a page for the HTML of each template.
pub fn write(
    config: &Config,
    to: &Path,
    wanted: &[Wanted],
    store: &mut dyn Store,
) -> Result<(), Error> {
    let cannot = |error| Error::io(format_args!("cannot write to {}", to.display()), error);
    fs::create_dir_all(to).map_err(cannot)?;
    if !in_files(to)?.is_empty() {
        let why = "holds templates, which pages would replace: name another directory";
        return Err(Error::usage(format!("{} {why}", to.display())));
    }
    let listed = store.list()?;
    let mark = store.mark();
    let mut body = String::new();
    let mut problems = Vec::new();
    for one in wanted {
        let uses = one.uses();
        let _ = writeln!(
            body,
            "<h2>{} <span class=\"quiet\">{}</span></h2>\n<div class=\"mails\">",
            safe(&one.name),
            safe(&uses)
        );
        for name in one.names(&listed, mark) {
            let language = one.language(name, mark);
            let message = example(config, one, language)?;
            match store.fill(name, &message)? {
                Ok(mail) => {
                    if !mail.html.is_empty() {
                        textfile::write(&to.join(format!("{name}.html")), &mail.html)
                            .map_err(cannot)?;
                    }
                    body += &shown(name, language, &mail);
                }
                Err(problem) => {
                    problems.push(format!("template {name} ({uses}) {}", problem.text()));
                    body +=
                        &article(name, &format!("<p class=\"wrong\">{}</p>", safe(problem.text())));
                }
            }
        }
        body += "</div>\n";
    }
    let index = to.join("index.html");
    let body = format!("<h1>Mails with sample data</h1>\n{body}");
    let page = document("Mails", include_str!("preview.css"), "", &body);
    textfile::write(&index, &page).map_err(cannot)?;
    print(&format!("{}\n", index.display()))?;
    if problems.is_empty() { Ok(()) } else { Err(Error::config(problems.join("\n"))) }
}

/// A mail of this template: with the data of its file, if there is one, else with data like that of mails.
fn example(config: &Config, one: &Wanted, language: Option<&str>) -> Result<Message, Error> {
    let name = &one.name;
    let own = language.map(|language| sample(config, &format!("{name}.{language}"))).transpose()?;
    let data = match own.flatten() {
        Some(own) => Some(own),
        None => sample(config, name)?,
    };
    let missing = || Error::new(Kind::Bug, format!("the template {name} has no data"));
    let mut message = one.samples.first().cloned().ok_or_else(missing)?;
    if let Some(data) = data {
        message.data = Some(data.to_string());
    }
    Ok(message)
}

/// One mail on the page.
fn shown(name: &str, language: Option<&str>, mail: &Content) -> String {
    let mut parts = format!("<p class=\"subject\" dir=\"auto\">{}</p>\n", safe(&mail.subject));
    let page = safe(&format!("{name}.html"));
    if !mail.html.is_empty() {
        let language = language.unwrap_or_default();
        let _ = writeln!(
            parts,
            "<iframe src=\"{page}\" title=\"{page}\" sandbox></iframe>\n\
             <p class=\"quiet\"><a href=\"{page}\">alone</a> {language}</p>"
        );
    }
    if !mail.text.is_empty() {
        let open = if mail.html.is_empty() { " open" } else { "" };
        let text = safe(&mail.text);
        let _ = writeln!(
            parts,
            "<details{open}><summary>as text</summary><pre dir=\"auto\">{text}</pre></details>"
        );
    }
    article(name, &parts)
}

fn article(name: &str, parts: &str) -> String {
    format!("<article>\n<p class=\"quiet\">{}</p>\n{parts}</article>\n", safe(name))
}
