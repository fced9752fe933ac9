//! What `send` and `run` need of Postmark.

use crate::edges::http::Http;
use crate::mail::kind::unsent;
use crate::ops::cmd::check::Round;
use crate::ops::cmd::{env, names, unknown, used_by};
use crate::ops::config::ApiToken;
use crate::send::postmark::{Answer, Trial};
use serde_json::Value;

pub(crate) fn check(round: &mut Round, token: &ApiToken) {
    const NAME: &str = "Postmark token";
    let http = match Http::new(&env, round.stop.clone()) {
        Ok(http) => http,
        Err(why) => {
            round.checks.misconfigured("Postmark", why, "");
            return round.checks.unknown("templates", "Postmark cannot be asked");
        }
    };
    let url = round.config.postmark_url.clone();
    let trial = Trial { url: url.clone(), token: token.0.clone(), http };
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
    if round.is_wrong("MAILROOM_TEMPLATES") {
        return round.checks.unknown("templates", "MAILROOM_TEMPLATES is wrong");
    }
    for (_, template) in names(round.config) {
        let name = format!("template {template}");
        let of = used_by(round.config, template);
        match trial.template(template) {
            Answer::Good(found) => match strangers(&found) {
                none if none.is_empty() => {
                    round.checks.ok(&name, format!("{of}: is there, with variables that are sent"));
                }
                some => {
                    let advice = "change the template at Postmark";
                    round.checks.misconfigured(&name, format!("{of}: {}", unknown(&some)), advice);
                }
            },
            Answer::Missing(why) => {
                let advice = "make a template with this alias at Postmark, or see \
                              MAILROOM_TEMPLATES";
                round.checks.misconfigured(&name, format!("{of}: {why}"), advice);
            }
            Answer::Refused(why) | Answer::None(why) => {
                round.checks.unreachable(&name, format!("{of}: {why}"), "try again");
            }
        }
    }
}

/// The variables of a template that no mail has.
fn strangers(found: &Value) -> Vec<String> {
    let parts = ["Subject", "HtmlBody", "TextBody"];
    let texts = parts.iter().filter_map(|part| found.get(part).and_then(Value::as_str));
    texts.flat_map(unsent).collect()
}
