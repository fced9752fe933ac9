//! The kinds of mail of a queue, and what fills their templates, as far as mails that were asked for tell.

use crate::edges::pg::statement::{of_row, sql};
use crate::edges::pg::{Client, StatementError};
use crate::mail::model::Kind;

/// What is known of a kind.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// The kind, with its template.
    pub kind: Kind,
    /// Whether it is about accounts: triggers ask for it, without data.
    pub of_account: bool,
    /// The link to leave, without the token at its end, if it is an issue of a list.
    pub unsubscribe: Option<String>,
    /// Whether all that was asked for were events, which nobody is sent.
    pub is_event: bool,
    /// JSON objects, the newest first: the data of its newest mail and of mails that wait.
    pub data: Vec<String>,
}

/// Reads them.
///
/// # Errors
/// As the statement.
pub fn read(client: &mut Client, queue: &str) -> Result<Vec<Sample>, StatementError> {
    let mut found: Vec<Sample> = Vec::new();
    for row in client.query(sql!("sql/samples.sql"), &[&queue])? {
        let name: &str = row.try_get("kind")?;
        let data: Option<String> = row.try_get("data")?;
        let is_mail = row.try_get::<_, Option<bool>>("mail")?.unwrap_or(true);
        let template: String = row.try_get("template")?;
        let same = |kind: &Kind| *kind.name == *name && kind.template.as_ref() == Some(&template);
        if found.last().is_none_or(|last| !same(&last.kind)) {
            let number = row.try_get::<_, Option<i16>>("number")?;
            let kind = Kind {
                name: name.into(),
                number: number.and_then(|number| u16::try_from(number).ok()),
                template: Some(template),
                path: row.try_get("path")?,
                sender: row.try_get("sender")?,
                ..Kind::default()
            };
            let (is_event, data) = (true, Vec::new());
            found.push(of_row!(row, Sample { of_account, unsubscribe; kind, is_event, data }));
        }
        if let Some(sample) = found.last_mut().filter(|_| is_mail) {
            sample.is_event = false;
            sample.data.extend(data);
        }
    }
    Ok(found)
}
