//! Postmark.

use crate::edges::http::{Http, is_plain};
use crate::edges::stop::Stop;
use crate::mail::ends::Transport;
use crate::mail::error::Error;
use crate::mail::kind::unsent;
use crate::mail::recipient;
use crate::ops::check::{Round, Status};
use crate::ops::config::Config;
use crate::ops::config::reader::Reader;
use crate::ops::environment::env;
use crate::ops::provider::duties::Provider;
use crate::ops::provider::templates;
use crate::ops::provider::templates::unknown;
use crate::pump::system_clock;
use crate::send::dry;
use crate::send::postmark;
use crate::send::postmark::trial::{Answer, Trial};
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
        let settings = postmark::Settings {
            url: self.url.clone(),
            token: self.token.clone(),
            templates: config.templates.clone(),
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
    let wrong = || "must be a URL with https:// and a host (http:// for this machine)".to_owned();
    let url: http::Uri = text.parse().map_err(|_| wrong())?;
    let near = matches!(url.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.scheme_str() {
        _ if !is_plain(&url) => return Err(wrong()),
        Some("https") if url.query().is_none() => {}
        Some("http") if url.query().is_none() && near => {}
        _ => return Err(wrong()),
    }
    Ok(text.trim_end_matches('/').to_owned())
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
    let trial = Trial { url: url.clone(), token: postmark.token.clone(), http };
    match trial.server() {
        Answer::Good(_) => round.checks.ok(NAME, format!("accepted by {url}")),
        Answer::Refused(why) => {
            let advice =
                "MAILROOM_POSTMARK_TOKEN must be the token of a server, not of the account";
            round.checks.misconfigured(NAME, format!("refused by {url}: {why}"), advice);
            return round.checks.unknown("templates", "the token is refused");
        }
        Answer::Missing(why) | Answer::None(why) => {
            let advice = "see MAILROOM_POSTMARK_URL, DNS, firewall and HTTPS_PROXY";
            round.checks.unreachable(NAME, format!("{url}: {why}"), advice);
            return round.checks.unknown("templates", "Postmark cannot be asked");
        }
    }
    templates::check(round, |_, template| match trial.template(template) {
        Answer::Good(found) => match strangers(&found) {
            none if none.is_empty() => {
                (Status::Ok, "is there, with variables that are sent".to_owned(), "")
            }
            some => (Status::Misconfigured, unknown(&some), "change the template at Postmark"),
        },
        Answer::Missing(why) => {
            let advice = "make a template with this alias at Postmark, or see MAILROOM_TEMPLATES";
            (Status::Misconfigured, why, advice)
        }
        Answer::Refused(why) | Answer::None(why) => (Status::Unreachable, why, "try again"),
    });
}

/// The variables of a template that no mail has.
fn strangers(found: &Value) -> Vec<String> {
    let parts = ["Subject", "HtmlBody", "TextBody"];
    let texts = parts.iter().filter_map(|part| found.get(part).and_then(Value::as_str));
    texts.flat_map(unsent).collect()
}
