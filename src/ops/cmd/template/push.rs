//! `mailroom template push`: files, to templates at SES.

use crate::edges::log;
use crate::mail::error::{Error, Kind};
use crate::ops::config::Config;
use crate::ops::provider::ses::calls::Calls;
use crate::ops::provider::ses::templates::{Content, put};
use crate::ops::provider::templates::names;
use crate::ops::terminal::print;
use std::path::Path;

/// The templates of the settings, with what the files in `from` say of them.
pub fn contents<'a>(config: &'a Config, from: &Path) -> Result<Vec<(&'a str, Content)>, Error> {
    names(config).map(|(_, name)| Ok((name, read(from, name)?))).collect()
}

/// Creates or updates them.
pub fn push(contents: &[(&str, Content)], calls: &mut Calls) -> Result<(), Error> {
    for (name, content) in contents {
        let done = put(calls, name, content);
        let done = done.map_err(|refused| calls.failed(name, &refused))?;
        print(&format!("{name} {done}\n"))?;
        if [&content.text, &content.html].iter().any(|part| part.contains("://example.com/")) {
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
