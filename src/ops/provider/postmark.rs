//! Postmark.

use crate::edges::http::{Http, base};
use crate::edges::stop::Stop;
use crate::mail::ends::Transport;
use crate::mail::error::Error;
use crate::mail::kind::unsent;
use crate::mail::recipient;
use crate::ops::check::{Round, Status};
use crate::ops::config::Config;
use crate::ops::config::reader::Reader;
use crate::ops::environment::{env, secret};
use crate::ops::provider::duties::Provider;
use crate::ops::provider::templates;
use crate::ops::provider::templates::unknown;
use crate::pump::system_clock;
use crate::send::dry;
use crate::send::postmark;
use http::Request;
use serde_json::Value;
use zeroize::Zeroizing;

/// A server of Postmark, which is known by its token. (No `Debug`: it would show the token.)
struct Postmark {
    url: String,
    token: Zeroizing<String>,
}

/// Reads them.
pub fn read(reader: &mut Reader<'_>) -> Option<Box<dyn Provider>> {
    let token = reader.required("MAILROOM_POSTMARK_TOKEN", api_token);
    let url = reader.value("MAILROOM_POSTMARK_URL", web_url);
    let known = !reader.is_wrong("MAILROOM_POSTMARK_URL");
    Some(Box::new(Postmark { token: token.filter(|_| known)?, url }))
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
        check(round, self);
    }
}

impl Postmark {
    /// Asks about the token's server, or a template there; changes nothing.
    /// <https://postmarkapp.com/developer/api/server-api> and
    /// <https://postmarkapp.com/developer/api/templates-api#get-template>
    ///
    /// # Errors
    /// The status, 404 for what is not there and 0 if there was no answer, and why.
    fn ask(&self, http: &Http, path: &str) -> Result<Value, (u16, String)> {
        let request = Request::get(format!("{}{path}", self.url))
            .header("accept", "application/json")
            .header("x-postmark-server-token", self.token.as_str())
            .body(Vec::new())
            .map_err(|error| (0, error.to_string()))?;
        let reply = http.call(request).map_err(|fault| (0, fault.why))?;
        let status = reply.status.as_u16();
        let body = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
        if status == 200 && body.is_object() {
            return Ok(body);
        }
        let why = match body.get("Message").and_then(Value::as_str).unwrap_or_default() {
            "" => format!("HTTP {status}"),
            text => text.chars().take(200).collect(),
        };
        // 1101: there is no such template. <https://postmarkapp.com/developer/api/overview>
        let is_missing = body.get("ErrorCode").and_then(Value::as_u64) == Some(1101);
        Err((if is_missing { 404 } else { status }, why))
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

fn check(round: &mut Round<'_>, postmark: &Postmark) {
    const NAME: &str = "Postmark token";
    let http = match Http::new(&env, round.stop.clone()) {
        Ok(http) => http,
        Err(why) => {
            round.checks.misconfigured("Postmark", why, "");
            return round.checks.unknown("templates", "Postmark cannot be asked");
        }
    };
    let url = &postmark.url;
    match postmark.ask(&http, "/server") {
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
    // An alias needs no escaping.
    templates::check(round, |_, alias| match postmark.ask(&http, &format!("/templates/{alias}")) {
        Ok(found) => match strangers(&found) {
            none if none.is_empty() => {
                (Status::Ok, "is there, with variables that are sent".to_owned(), "")
            }
            some => (Status::Misconfigured, unknown(&some), "change the template at Postmark"),
        },
        Err((404, why)) => {
            let advice = "make a template with this alias at Postmark, or see MAILROOM_TEMPLATES";
            (Status::Misconfigured, why, advice)
        }
        Err((_, why)) => (Status::Unreachable, why, "try again"),
    });
}

/// The variables of a template that no mail has.
fn strangers(found: &Value) -> Vec<String> {
    let parts = ["Subject", "HtmlBody", "TextBody"];
    let texts = parts.iter().filter_map(|part| found.get(part).and_then(Value::as_str));
    texts.flat_map(unsent).collect()
}
