//! Templates as files, from which mails are made here.

use crate::mail::error::Error;
use crate::mail::kind::data;
use crate::mail::model::Message;
use crate::ops::check::Status;
use crate::ops::provider::templates::{Content, Fault, Problem, Store};
use crate::send::images::{Wrong, embed};
use crate::send::smtp::mail;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The directory.
pub struct Files(pub PathBuf);

impl Files {
    fn fault(&self, path: &Path, error: &std::io::Error) -> Fault {
        Fault {
            error: Error::io(format_args!("{} cannot be read", path.display()), error),
            status: Status::Misconfigured,
            advice: "let MAILROOM_TEMPLATE_DIR name a directory that this user may read",
        }
    }
}

impl Store for Files {
    fn mark(&self) -> char {
        '.'
    }

    fn refusal(&self, _: &str, _: &Content) -> Option<String> {
        let own = self.0.display();
        Some(format!(
            "with smtp mails are made from the files in {own}: there is nowhere to push them"
        ))
    }

    fn list(&mut self) -> Result<Vec<String>, Fault> {
        let entries = std::fs::read_dir(&self.0).map_err(|error| self.fault(&self.0, &error))?;
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        // A directory has no order of its own.
        let names: BTreeSet<String> =
            names.filter_map(|name| name.strip_suffix(".subject").map(str::to_owned)).collect();
        Ok(names.into_iter().collect())
    }

    fn get(&mut self, name: &str) -> Result<Option<Content>, Fault> {
        let part = |ending: &str| {
            let path = self.0.join(format!("{name}.{ending}"));
            match std::fs::read_to_string(&path) {
                Ok(text) => Ok(text),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
                Err(error) => Err(self.fault(&path, &error)),
            }
        };
        let (subject, text, html) =
            (part("subject")?.trim().to_owned(), part("txt")?, part("html")?);
        let content = Content { subject, text, html };
        Ok(Some(content).filter(|content| *content != Content::default()))
    }

    fn put(&mut self, name: &str, content: &Content) -> Result<&'static str, Fault> {
        let why = self.refusal(name, content).unwrap_or_default();
        Err(Fault { error: Error::config(why), status: Status::Misconfigured, advice: "" })
    }

    fn fill(&mut self, name: &str, message: &Message) -> Result<Result<Content, Problem>, Fault> {
        let files = mail::Files::new(&self.0);
        Ok(match files.render(name, &data(message)) {
            Ok(mail) => Ok(Content {
                html: embed(&mail.html, &mail.images),
                subject: mail.subject,
                text: mail.text,
            }),
            Err(Wrong { why, .. }) if !files.has(name) => Err(Problem::Missing(why)),
            Err(Wrong { why, by_data: true }) => Err(Problem::Lacks(why)),
            Err(Wrong { why, .. }) => Err(Problem::Broken(why)),
        })
    }
}
