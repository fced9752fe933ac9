//! The templates at SES: list, get, put, render.
//!
//! Out of scope: which templates matter.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_TestRenderEmailTemplate.html>

use crate::mail::kind::{data_text, example, unsent};
use crate::ops::provider::ses::calls::{Calls, encoded};
use crate::ops::provider::templates::unknown;
use crate::send::ses::client::Refused;
use http::Method;
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

/// The names of one page of the account's templates, and where the next page begins.
///
/// # Errors
/// As [`Calls::ask`].
pub fn list(
    calls: &mut Calls,
    from: Option<&str>,
) -> Result<(Vec<String>, Option<String>), Refused> {
    let next = from.map(|token| format!("&NextToken={}", encoded(token))).unwrap_or_default();
    let path = format!("/v2/email/templates?PageSize={PAGE}{next}");
    let page = calls.ask(&Method::GET, &path, None)?;
    let names = page.get("TemplatesMetadata").and_then(Value::as_array);
    let names = names.into_iter().flatten().filter_map(|one| one.get("TemplateName")?.as_str());
    let next = page.get("NextToken").and_then(Value::as_str).filter(|next| !next.is_empty());
    Ok((names.map(str::to_owned).collect(), next.map(str::to_owned)))
}

/// A template; `None` if there is none of that name.
///
/// # Errors
/// As [`Calls::ask`].
pub fn get(calls: &mut Calls, name: &str) -> Result<Option<Content>, Refused> {
    match calls.ask(&Method::GET, &path(name), None) {
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

/// Replaces a template, or creates it; gives which, in a word.
///
/// # Errors
/// As [`Calls::ask`].
pub fn put(calls: &mut Calls, name: &str, content: &Content) -> Result<&'static str, Refused> {
    let update = json!({ "TemplateContent": content });
    match calls.ask(&Method::PUT, &path(name), Some(&update)) {
        Ok(_) => return Ok("updated"),
        Err(refused) if refused.is_missing() => {}
        Err(refused) => return Err(refused),
    }
    let create = json!({ "TemplateName": name, "TemplateContent": content });
    calls.ask(&Method::POST, "/v2/email/templates", Some(&create)).map(|_| "created")
}

/// Lets SES render a template with data like that of a mail; gives what is wrong with it.
///
/// # Errors
/// As [`Calls::ask`], but for what is wrong with the template.
pub fn examine(calls: &mut Calls, action: u16, name: &str) -> Result<Option<String>, Refused> {
    let body = json!({ "TemplateData": data_text(&example(action)) });
    let path = format!("{}/render", path(name));
    let refused = match calls.ask(&Method::POST, &path, Some(&body)) {
        Ok(_) => return Ok(None),
        Err(refused) => refused,
    };
    if refused.is_missing() {
        return Ok(Some("is not at the provider; see `mailroom template push`".to_owned()));
    }
    if !refused.is_bad_request() {
        return Err(refused);
    }
    if let Some(variable) = variable(&refused.text) {
        return Ok(Some(unknown(&[variable])));
    }
    let content = get(calls, name)?.unwrap_or_default();
    let parts = [&content.subject, &content.text, &content.html];
    let all: Vec<String> = parts.iter().flat_map(|part| unsent(part)).collect();
    let none = all.is_empty();
    Ok(Some(if none { format!("cannot be rendered: {refused}") } else { unknown(&all) }))
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
