//! The templates at SES: list, get, put, render.
//!
//! Out of scope: which templates matter.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_TestRenderEmailTemplate.html>

use crate::edges::aws::endpoint::Endpoint;
use crate::mail::error::{Error, Kind};
use crate::mail::kind::{data, unsent};
use crate::mail::model::Message;
use crate::ops::check::Status;
use crate::ops::environment::env;
use crate::ops::provider::ses::calls::{Calls, encoded};
use crate::ops::provider::ses::mime;
use crate::ops::provider::templates::{Content, Fault, Problem, Store, unknown};
use crate::send::ses::client::Refused;
use http::Method;
use serde_json::json;

/// The most names that one call lists.
const PAGE: usize = 100;

/// The longest name of a template.
/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Template.html>
const LONGEST: usize = 64;

impl Store for Calls {
    fn mark(&self) -> char {
        '-'
    }

    fn refusal(&self, name: &str, content: &Content) -> Option<String> {
        if name.len() > LONGEST {
            return Some(format!("SES takes names of at most {LONGEST} characters"));
        }
        let (_, rest) =
            ["\"cid:", "'cid:"].iter().find_map(|start| content.html.split_once(start))?;
        let image = rest.split(['"', '\'']).next().unwrap_or_default();
        Some(format!(
            "its HTML shows the image cid:{image}, and templates at SES bring no files along; put the \
             image on a web server"
        ))
    }

    fn list(&mut self) -> Result<Vec<String>, Fault> {
        let (mut found, mut next) = (Vec::new(), None::<String>);
        loop {
            let from = next.as_ref().map(|token| format!("&NextToken={}", encoded(token)));
            let from = from.unwrap_or_default();
            let path = format!("/v2/email/templates?PageSize={PAGE}{from}");
            let page = self.ask(&Method::GET, &path, None);
            let page = page.map_err(|refused| fault("listing the templates", &refused))?;
            let names = page["TemplatesMetadata"].as_array().into_iter().flatten();
            found.extend(names.filter_map(|one| Some(one["TemplateName"].as_str()?.to_owned())));
            let more = page["NextToken"].as_str().filter(|more| !more.is_empty());
            if more.is_none() || more == next.as_deref() {
                return Ok(found);
            }
            next = more.map(str::to_owned);
        }
    }

    fn get(&mut self, name: &str) -> Result<Option<Content>, Fault> {
        match self.ask(&Method::GET, &path(name), None) {
            Ok(found) => {
                let part = |name: &str| {
                    found["TemplateContent"][name].as_str().unwrap_or_default().to_owned()
                };
                let (subject, text, html) = (part("Subject"), part("Text"), part("Html"));
                Ok(Some(Content { subject, text, html }))
            }
            Err(refused) if refused.is_missing() => Ok(None),
            Err(refused) => Err(fault(&format!("getting the template {name}"), &refused)),
        }
    }

    fn put(&mut self, name: &str, content: &Content) -> Result<&'static str, Fault> {
        let update = json!({ "TemplateContent": content });
        match self.ask(&Method::PUT, &path(name), Some(&update)) {
            Ok(_) => return Ok("updated"),
            Err(refused) if refused.is_missing() => {}
            Err(refused) => return Err(fault(&format!("putting the template {name}"), &refused)),
        }
        let create = json!({ "TemplateName": name, "TemplateContent": content });
        let created = self.ask(&Method::POST, "/v2/email/templates", Some(&create));
        created
            .map(|_| "created")
            .map_err(|refused| fault(&format!("putting the template {name}"), &refused))
    }

    fn fill(&mut self, name: &str, message: &Message) -> Result<Result<Content, Problem>, Fault> {
        let body = json!({ "TemplateData": data(message).to_string() });
        let refused = match self.ask(&Method::POST, &format!("{}/render", path(name)), Some(&body))
        {
            Ok(reply) => {
                return Ok(Ok(mime::read(reply["RenderedTemplate"].as_str().unwrap_or_default())));
            }
            Err(refused) => refused,
        };
        let missing = refused.is_missing();
        if !missing && !refused.is_bad_request() {
            return Err(fault(&format!("rendering the template {name}"), &refused));
        }
        if let Some(variable) = variable(&refused.text) {
            return Ok(Err(unknown(vec![variable], message)));
        }
        // A stand-in may not know how to render, and say of that that it is not there.
        let found = self.get(name)?;
        if missing && found.is_none() {
            let at = Endpoint::read(&env).map(|at| format!(" (at {})", at.url)).unwrap_or_default();
            let text = format!("is not at the provider{at}; see `mailroom template push`");
            return Ok(Err(Problem::Missing(text)));
        }
        let content = found.unwrap_or_default();
        let (parts, data) = ([&content.subject, &content.text, &content.html], data(message));
        let all: Vec<String> = parts.iter().flat_map(|part| unsent(part, &data)).collect();
        Ok(match all.as_slice() {
            [] if missing => Ok(content),
            [] => Err(Problem::Broken(format!("cannot be rendered: {refused}"))),
            _ => Err(unknown(all, message)),
        })
    }
}

/// A template could not be asked about, or not be put there.
fn fault(what: &str, refused: &Refused) -> Fault {
    let kind = match refused {
        refused if refused.is_throttled() => Kind::Temporary,
        Refused { status: Some(_), .. } if refused.is_bad_request() => Kind::Data,
        _ => Kind::Unavailable,
    };
    let (status, advice) = match refused.status {
        _ if refused.code.starts_with("AccessDenied") => (
            Status::Warning,
            "allow ses:TestRenderEmailTemplate, ses:GetEmailTemplate and ses:ListEmailTemplates",
        ),
        Some(400..500) => (Status::Warning, "try again"),
        _ => (Status::Unreachable, "try again"),
    };
    Fault { error: Error::new(kind, format!("{what} failed: {refused}")), status, advice }
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
