//! Postmark.

use crate::edges::http::{Http, base};
use crate::edges::stop::Stop;
use crate::mail::ends::Transport;
use crate::mail::error::{Error, Kind};
use crate::mail::kind::data;
use crate::mail::model::Message;
use crate::mail::recipient;
use crate::ops::check::{Round, Status};
use crate::ops::config::Config;
use crate::ops::config::reader::Reader;
use crate::ops::environment::{env, secret};
use crate::ops::provider::duties::Provider;
use crate::ops::provider::templates::{self, Content, Fault, Open, Problem, Store};
use crate::ops::screen::page::clean;
use crate::pump::system_clock;
use crate::send::dry;
use crate::send::images;
use crate::send::postmark;
use http::{Method, Request};
use serde_json::{Value, json};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// A server of Postmark, which is known by its token. (No `Debug`: it would show the token.)
#[derive(Clone)]
struct Postmark {
    url: String,
    token: Zeroizing<String>,
}

/// Reads them.
pub fn read(reader: &mut Reader<'_>) -> Option<Box<dyn Provider>> {
    Some(Box::new(settings(reader)?))
}

/// Its templates.
pub fn templates(reader: &mut Reader<'_>) -> Option<Open> {
    let postmark = settings(reader)?;
    Some(Box::new(move |config, stop| {
        let there = There::new(postmark.clone(), config, stop).map_err(Error::config)?;
        Ok(Box::new(there))
    }))
}

fn settings(reader: &mut Reader<'_>) -> Option<Postmark> {
    let token = reader.required("MAILROOM_POSTMARK_TOKEN", api_token);
    let url = reader.value("MAILROOM_POSTMARK_URL", web_url);
    let known = !reader.is_wrong("MAILROOM_POSTMARK_URL");
    Some(Postmark { token: token.filter(|_| known)?, url })
}

impl Provider for Postmark {
    fn unit(&self) -> &'static str {
        "POSTMARK"
    }

    fn describe(&self) -> String {
        format!("url={}", self.url)
    }

    fn transport(&self, config: &Config, stop: &Stop) -> Result<Box<dyn Transport>, Error> {
        let known = self.token.clone();
        let token = move || {
            let now = secret("MAILROOM_POSTMARK_TOKEN").and_then(|text| api_token(&text).ok());
            now.unwrap_or_else(|| known.clone())
        };
        let settings = postmark::Settings {
            url: self.url.clone(),
            token: Box::new(token),
            templates: config.templates.clone(),
            directory: config.template_dir.clone(),
            source: config.source.clone(),
            clock: system_clock(),
        };
        let http = Http::new(&env, stop.clone()).map_err(Error::config)?;
        Ok(Box::new(postmark::Postmark::new(settings, http)))
    }

    fn dry(&self, config: &Config) -> Result<dry::Settings, Error> {
        Ok(dry::Settings {
            to: format!("POST {}/email/batchWithTemplates", self.url),
            templates: config.templates.clone(),
            source: recipient::from(&config.source, false),
            config_set: String::new(),
        })
    }

    fn check(&self, round: &mut Round<'_>) {
        const NAME: &str = "Postmark token";
        let mut there = match There::new(self.clone(), round.config, round.stop) {
            Ok(there) => there,
            Err(why) => {
                round.checks.misconfigured("Postmark", why, "");
                return round.checks.unknown("templates", "Postmark cannot be asked");
            }
        };
        let url = &self.url;
        match there.ask(Method::GET, "/server", None) {
            Ok(_) => round.checks.ok(NAME, format!("accepted by {url}")),
            Err((401 | 403, why)) => {
                let advice =
                    "MAILROOM_POSTMARK_TOKEN must be the token of a server, not of the account";
                round.checks.misconfigured(NAME, format!("refused by {url}: {why}"), advice);
                return round.checks.unknown("templates", "the token is refused");
            }
            Err((_, why)) => {
                let advice = "see MAILROOM_POSTMARK_URL, DNS, firewall and HTTPS_PROXY";
                round.checks.unreachable(NAME, format!("{url}: {why}"), advice);
                return round.checks.unknown("templates", "Postmark cannot be asked");
            }
        }
        templates::check(round, &mut there);
    }
}

/// The templates at Postmark, by their aliases; the images are in files.
struct There {
    postmark: Postmark,
    http: Http,
    files: PathBuf,
}

impl There {
    /// The way to it.
    ///
    /// # Errors
    /// What is wrong with the proxy.
    fn new(postmark: Postmark, config: &Config, stop: &Stop) -> Result<There, String> {
        let http = Http::new(&env, stop.clone())?;
        Ok(There { postmark, http, files: config.template_dir.clone() })
    }

    /// Asks about the token's server, or about a template there.
    /// <https://postmarkapp.com/developer/api/server-api> and
    /// <https://postmarkapp.com/developer/api/templates-api>
    ///
    /// # Errors
    /// The status, 404 for what is not there and 0 if there was no answer, and why.
    fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, (u16, String)> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.postmark.url))
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .header("x-postmark-server-token", self.postmark.token.as_str())
            .body(body.map(|body| body.to_string().into_bytes()).unwrap_or_default())
            .map_err(|error| (0, error.to_string()))?;
        let reply = self.http.call(request).map_err(|fault| (0, fault.why))?;
        let status = reply.status.as_u16();
        let body = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
        if status == 200 && body.is_object() {
            return Ok(body);
        }
        let why = match body["Message"].as_str().unwrap_or_default() {
            "" => format!("HTTP {status}"),
            text => text.chars().take(200).collect(),
        };
        // 1101: there is no such template. <https://postmarkapp.com/developer/api/overview>
        let is_missing = body["ErrorCode"].as_u64() == Some(1101);
        Err((if is_missing { 404 } else { status }, why))
    }
}

/// A template could not be asked about, or not be put there.
fn fault(what: &str, (status, why): (u16, String)) -> Fault {
    let (kind, status) = match status {
        429 => (Kind::Temporary, Status::Unreachable),
        400..500 => (Kind::Data, Status::Misconfigured),
        _ => (Kind::Unavailable, Status::Unreachable),
    };
    let error = Error::new(kind, format!("{what} failed: {why}"));
    Fault { error, status, advice: "try again, or see the template at Postmark" }
}

impl Store for There {
    fn list(&mut self) -> Result<Vec<String>, Fault> {
        // More than a server may have.
        let page =
            self.ask(Method::GET, "/templates?Count=500&Offset=0&TemplateType=Standard", None);
        let page = page.map_err(|why| fault("listing the templates", why))?;
        let names = page["Templates"].as_array().into_iter().flatten();
        Ok(names.filter_map(|one| Some(one["Alias"].as_str()?.to_owned())).collect())
    }

    fn get(&mut self, name: &str) -> Result<Option<Content>, Fault> {
        // An alias needs no escaping.
        match self.ask(Method::GET, &format!("/templates/{name}"), None) {
            Ok(found) => {
                let part = |part: &str| found[part].as_str().unwrap_or_default().to_owned();
                let (subject, text, html) = (part("Subject"), part("TextBody"), part("HtmlBody"));
                Ok(Some(Content { subject, text, html }))
            }
            Err((404, _)) => Ok(None),
            Err(why) => Err(fault(&format!("getting the template {name}"), why)),
        }
    }

    fn put(&mut self, name: &str, content: &Content) -> Result<&'static str, Fault> {
        let mut body = parts(content);
        body["Name"] = name.into();
        body["Alias"] = name.into();
        match self.ask(Method::PUT, &format!("/templates/{name}"), Some(&body)) {
            Ok(_) => return Ok("updated"),
            Err((404, _)) => {}
            Err(why) => return Err(fault(&format!("putting the template {name}"), why)),
        }
        let created = self.ask(Method::POST, "/templates", Some(&body));
        created
            .map(|_| "created")
            .map_err(|why| fault(&format!("putting the template {name}"), why))
    }

    fn fill(&mut self, name: &str, message: &Message) -> Result<Result<Content, Problem>, Fault> {
        let Some(content) = self.get(name)? else {
            let text = "is not at the provider; see `mailroom template push`";
            return Ok(Err(Problem::Missing(text.to_owned())));
        };
        let data = data(message);
        let mut body = parts(&content);
        body["TestRenderModel"] = data.clone();
        let found = self.ask(Method::POST, "/templates/validate", Some(&body));
        let found = found.map_err(|why| fault(&format!("rendering the template {name}"), why))?;
        let mut problems = ["Subject", "HtmlBody", "TextBody"].iter().filter_map(|part| {
            let error = found[part]["ValidationErrors"][0]["Message"].as_str()?;
            Some(format!("cannot be rendered: {part}: {}", clean(error)))
        });
        if let Some(problem) = problems.next() {
            return Ok(Err(Problem::Broken(problem)));
        }
        let mut unknown = Vec::new();
        lacking(&found["SuggestedTemplateModel"], &data, "", &mut unknown);
        if !unknown.is_empty() {
            return Ok(Err(templates::unknown(unknown, message)));
        }
        let part =
            |part: &str| found[part]["RenderedContent"].as_str().unwrap_or_default().to_owned();
        // The images go along that the file names.
        let file = std::fs::read_to_string(self.files.join(format!("{name}.html")));
        let file = file.unwrap_or_default();
        let shown = images::names(&content.html);
        if let Some(image) = shown.iter().find(|image| !images::names(&file).contains(image)) {
            let why = format!(
                "shows cid:{image}, which {name}.html in MAILROOM_TEMPLATE_DIR does not name"
            );
            return Ok(Err(Problem::Broken(why)));
        }
        let html = match images::load(&file, &self.files, &data) {
            Ok(images) => images::embed(&part("HtmlBody"), &images),
            Err(wrong) => return Ok(Err(Problem::Broken(wrong.why))),
        };
        Ok(Ok(Content { subject: part("Subject"), text: part("TextBody"), html }))
    }
}

/// A template in Postmark's words.
fn parts(content: &Content) -> Value {
    let Content { subject, text, html } = content;
    json!({ "Subject": subject, "TextBody": text, "HtmlBody": html })
}

/// The names of values that a template was found to use and the data has not. A section may be left out
/// on purpose, so what would stand in it does not count.
fn lacking(used: &Value, data: &Value, path: &str, found: &mut Vec<String>) {
    match (used, data) {
        (Value::Object(used), Value::Object(data)) => {
            for (name, used) in used {
                let path = format!("{path}{}{name}", if path.is_empty() { "" } else { "." });
                match data.get(name) {
                    Some(data) => lacking(used, data, &path, found),
                    None if used.is_object() || used.is_array() => {}
                    None => found.push(path),
                }
            }
        }
        (Value::Array(used), Value::Array(data)) => {
            let both = used.first().zip(data.first());
            both.into_iter().for_each(|(used, data)| lacking(used, data, path, found));
        }
        _ => {}
    }
}

/// Tokens are printable: others cannot stand in a header.
fn api_token(text: &str) -> Result<Zeroizing<String>, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must be the API token of a Postmark server".to_owned());
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// The start of a URL, without a slash at its end. What is sent there holds secrets: without
/// encryption it may only be this machine.
fn web_url(text: &str) -> Result<String, String> {
    let is_safe = |url: &&str| match url.parse::<http::Uri>() {
        Ok(url) if url.scheme_str() == Some("https") => true,
        Ok(url) => matches!(url.host(), Some("localhost" | "127.0.0.1" | "[::1]")),
        Err(_) => false,
    };
    let wrong = || "must be a URL with https:// and a host (http:// for this machine)".to_owned();
    base(text).filter(is_safe).map(str::to_owned).ok_or_else(wrong)
}
