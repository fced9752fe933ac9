//! Templates as files, from which mails are made here.

use crate::mail::error::Error;
use crate::mail::kind::data;
use crate::mail::model::Message;
use crate::ops::check::Status;
use crate::ops::provider::templates::{Content, Fault, Problem, Store, in_files, of_files};
use crate::send::images::embed;
use crate::send::smtp::mail;
use std::path::PathBuf;

/// The directory.
pub struct Files(pub PathBuf);

/// The files cannot be read.
fn fault(error: Error) -> Fault {
    let advice = "let MAILROOM_TEMPLATE_DIR name a directory that this user may read";
    Fault { error, status: Status::Misconfigured, advice }
}

impl Store for Files {
    fn refusal(&self, _: &str, _: &Content) -> Option<String> {
        let own = self.0.display();
        Some(format!(
            "with smtp mails are made from the files in {own}: there is nowhere to push them"
        ))
    }

    fn list(&mut self) -> Result<Vec<String>, Fault> {
        in_files(&self.0).map(|names| names.into_iter().collect()).map_err(fault)
    }

    fn get(&mut self, name: &str) -> Result<Option<Content>, Fault> {
        let content = of_files(&self.0, name).map_err(fault)?;
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
            Err(wrong) if !files.has(name) => Err(Problem::Missing(wrong.why)),
            Err(wrong) => Err(Problem::Broken(wrong.why)),
        })
    }
}
