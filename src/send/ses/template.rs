//! The templates at the provider: list, get, put, render.
//!
//! In scope: the calls and what they say. Out of scope: which templates matter, and waiting: SES
//! takes about one of these calls a second.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_TestRenderEmailTemplate.html>

use crate::send::ses::client::{Client, Refused, encoded};
use ::http::Method;
use serde::Serialize;
use serde_json::{Value, json};

/// The most names that one call lists.
const PAGE: usize = 100;

/// A template: what a mail is made from. A part that it does not have is empty.
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

/// How a template got to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It was not there.
    Created,
    /// It was there and is replaced.
    Updated,
}

/// What rendering said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rendered {
    /// All is there.
    Good,
    /// There is no such template.
    NoTemplate,
    /// The template asks for a variable that is not in the data: its name, if SES says it.
    NoVariable(String),
    /// The template cannot be rendered for another reason.
    Bad(String),
}

/// The names of one page of the account's templates, and where the next page begins.
///
/// # Errors
/// As [`Client::ask`].
pub fn list(
    client: &mut Client,
    from: Option<&str>,
) -> Result<(Vec<String>, Option<String>), Refused> {
    let next = from.map(|token| format!("&NextToken={}", encoded(token))).unwrap_or_default();
    let path = format!("/v2/email/templates?PageSize={PAGE}{next}");
    let page = client.ask(&Method::GET, &path, None)?;
    let names = page.get("TemplatesMetadata").and_then(Value::as_array);
    let names = names.into_iter().flatten().filter_map(|one| one.get("TemplateName")?.as_str());
    let next = page.get("NextToken").and_then(Value::as_str).filter(|next| !next.is_empty());
    Ok((names.map(str::to_owned).collect(), next.map(str::to_owned)))
}

/// A template; `None` if there is none of that name.
///
/// # Errors
/// As [`Client::ask`].
pub fn get(client: &mut Client, name: &str) -> Result<Option<Content>, Refused> {
    match client.ask(&Method::GET, &path(name), None) {
        Ok(found) => {
            let part = |name: &str| {
                let text = found.pointer(&format!("/TemplateContent/{name}"));
                text.and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            Ok(Some(Content { subject: part("Subject"), text: part("Text"), html: part("Html") }))
        }
        Err(refused) if refused.is_missing() => Ok(None),
        Err(refused) => Err(refused),
    }
}

/// Replaces a template, or creates it.
///
/// # Errors
/// As [`Client::ask`].
pub fn put(client: &mut Client, name: &str, content: &Content) -> Result<Put, Refused> {
    let update = json!({ "TemplateContent": content });
    match client.ask(&Method::PUT, &path(name), Some(&update)) {
        Ok(_) => return Ok(Put::Updated),
        Err(refused) if refused.is_missing() => {}
        Err(refused) => return Err(refused),
    }
    let create = json!({ "TemplateName": name, "TemplateContent": content });
    client.ask(&Method::POST, "/v2/email/templates", Some(&create)).map(|_| Put::Created)
}

/// Lets the provider render a template with this data, which is a JSON object.
///
/// # Errors
/// As [`Client::ask`], but for what [`Rendered`] tells.
pub fn render(client: &mut Client, name: &str, data: &str) -> Result<Rendered, Refused> {
    let body = json!({ "TemplateData": data });
    match client.ask(&Method::POST, &format!("{}/render", path(name)), Some(&body)) {
        Ok(_) => Ok(Rendered::Good),
        Err(refused) if refused.is_missing() => Ok(Rendered::NoTemplate),
        Err(refused) if refused.is_bad_request() => Ok(match variable(&refused.text) {
            Some(name) => Rendered::NoVariable(name),
            None => Rendered::Bad(refused.to_string()),
        }),
        Err(refused) => Err(refused),
    }
}

fn path(name: &str) -> String {
    format!("/v2/email/templates/{}", encoded(name))
}

/// The variable that SES names: `Attribute 'x' is not present in the rendering data.`
fn variable(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("Attribute '")?;
    let (name, rest) = rest.split_once('\'')?;
    rest.contains("not present").then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_is_found_in_what_ses_says() {
        let text = "Attribute 'first.name' is not present in the rendering data.";
        assert_eq!(variable(text).as_deref(), Some("first.name"));
        assert_eq!(variable("Template data is not JSON"), None);
    }
}
