//! `mailroom template push`: files, to templates at the provider.

use crate::edges::log;
use crate::mail::error::{Error, Kind};
use crate::ops::config::Config;
use crate::ops::provider::templates::{Content, Store, is_example, is_language};
use crate::ops::terminal::print;
use std::collections::BTreeSet;
use std::path::Path;

/// What the files in `from` say: the templates of the settings, and all others that are there, in their
/// languages, by the names that they have at the provider.
pub fn contents(
    config: &Config,
    from: Option<&Path>,
    store: &dyn Store,
) -> Result<Vec<(String, Content)>, Error> {
    let from = from.unwrap_or(&config.template_dir);
    let mut names: BTreeSet<String> =
        config.templates.iter().map(|(_, name)| name.to_owned()).collect();
    let cannot = |error| Error::io(format_args!("cannot read {}", from.display()), error);
    for entry in std::fs::read_dir(from).map_err(cannot)? {
        let file = entry.map_err(cannot)?.file_name().to_string_lossy().into_owned();
        names.extend(file.strip_suffix(".subject").map(str::to_owned));
    }
    let one = |name: &String| {
        let wrong = |what: &str| Error::new(Kind::Data, format!("{}/{name}{what}", from.display()));
        let (plain, language) = name.split_once('.').unwrap_or((name, ""));
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if plain.is_empty()
            || !plain.bytes().all(fits)
            || !language.is_empty() && !is_language(language)
        {
            let why = ".subject is no name of a template: NAME.subject, or NAME.LANGUAGE.subject, where \
                       a name has letters, digits, - and _, and a language is like de or pt-BR";
            return Err(wrong(why));
        }
        let content = read(from, name)?;
        let mark = if language.is_empty() { String::new() } else { store.mark().to_string() };
        let there = format!("{plain}{mark}{language}");
        match store.refusal(&there, &content) {
            Some(why) => Err(wrong(&format!(": {why}"))),
            None => Ok((there, content)),
        }
    };
    names.iter().map(one).collect()
}

/// Creates or updates them.
pub fn push(contents: &[(String, Content)], store: &mut dyn Store) -> Result<(), Error> {
    for (name, content) in contents {
        let done = store.put(name, content).map_err(|fault| fault.error)?;
        print(&format!("{name} {done}\n"))?;
        if [&content.text, &content.html].iter().any(|part| is_example(part)) {
            let what =
                "leads to example.com: put the address of your application in, and push again";
            log::warn("TEMPLATE", format_args!("{name} {what}"));
        }
    }
    Ok(())
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
