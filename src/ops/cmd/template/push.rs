//! `mailroom template push`: files, to templates at the provider.

use crate::edges::log;
use crate::mail::error::{Error, Kind};
use crate::ops::config::Config;
use crate::ops::provider::templates::{
    Content, Store, in_files, is_example, is_language, of_files,
};
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
    names.append(&mut in_files(from)?);
    let one = |name: &String| {
        let wrong =
            |what: &str| Err(Error::new(Kind::Data, format!("{}/{name}{what}", from.display())));
        let (plain, language) = name.split_once('.').unwrap_or((name, ""));
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if plain.is_empty()
            || !plain.bytes().all(fits)
            || !language.is_empty() && !is_language(language)
        {
            return wrong(
                ".subject is no name of a template: NAME.subject, or NAME.LANGUAGE.subject, where \
                 a name has letters, digits, - and _, and a language is like de or pt-BR",
            );
        }
        let content = of_files(from, name)?;
        if content.subject.is_empty() || content.subject.contains(['\n', '\r']) {
            return wrong(
                ".subject must be there and hold one line; --from names another directory",
            );
        }
        if content.text.trim().is_empty() && content.html.trim().is_empty() {
            return wrong(".txt or .html must be there and hold the mail");
        }
        let mark = if language.is_empty() { String::new() } else { store.mark().to_string() };
        let there = format!("{plain}{mark}{language}");
        match store.refusal(&there, &content) {
            Some(why) => wrong(&format!(": {why}")),
            None => Ok((there, content)),
        }
    };
    names.iter().map(one).collect()
}

/// Creates or updates them.
pub fn push(contents: &[(String, Content)], store: &mut dyn Store) -> Result<(), Error> {
    for (name, content) in contents {
        let done = store.put(name, content)?;
        print(&format!("{name} {done}\n"))?;
        if [&content.text, &content.html].iter().any(|part| is_example(part)) {
            let what =
                "leads to example.com: put the address of your application in, and push again";
            log::warn("TEMPLATE", format_args!("{name} {what}"));
        }
    }
    Ok(())
}
