//! What `send` and `run` need of SES.

use crate::edges::aws::credentials::Keeper;
use crate::edges::aws::credentials::source::Failure;
use crate::edges::aws::endpoint::{ANY, Endpoint};
use crate::edges::http::{Fault, Http};
use crate::mail::recipient;
use crate::ops::check::clock::{APART, apart};
use crate::ops::check::{Checks, Round, Status};
use crate::ops::environment::env;
use crate::ops::provider::ses::calls::{Calls, encoded, identity};
use crate::ops::provider::templates::check as check_templates;
use crate::pump::system_clock;
use crate::send::ses::bulk::Through;
use crate::send::ses::client::{Client, Refused, quota};
use http::{Method, Request};
use serde_json::Value;
use std::time::Duration;

/// SES refuses signatures that are further from its own time.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html>
const TOLERATED: Duration = Duration::from_secs(300);

/// The line about an endpoint of several regions.
const GLOBAL: &str = "global endpoint";

/// Looks at the account and all that sending needs there. `mails`: where they go.
pub fn check(round: &mut Round<'_>, mails: Result<Endpoint, String>, through: &Through) {
    let both = endpoints(&mut round.checks, mails);
    let identity = credentials(round);
    let mut rest = vec!["templates", "identity", "configuration set"];
    rest.extend((!through.endpoint_id.is_empty()).then_some(GLOBAL));
    let (Some((endpoint, mails)), Some((http, keeper))) = (both, identity) else {
        for name in ["account", "SES clock"].iter().chain(&rest) {
            round.checks.unknown(name, "SES cannot be asked");
        }
        return;
    };
    let client = Client::new(endpoint, http.clone(), keeper, system_clock().wall);
    let mut calls = Calls { client, stop: round.stop.clone() };
    let answered = account_of(&mut round.checks, &mut calls.client, round.config.send_rate);
    clock(&mut round.checks, &calls.client);
    if !answered {
        for name in rest {
            round.checks.unknown(name, "SES cannot be asked");
        }
        return;
    }
    check_templates(round, &mut calls);
    verified(round, &mut calls);
    configuration_set(round, &mut calls, &through.config_set);
    global(round, &mut calls, &through.endpoint_id, &http, &mails.url);
}

/// Where everything is asked, and where mails go.
fn endpoints(checks: &mut Checks, mails: Result<Endpoint, String>) -> Option<(Endpoint, Endpoint)> {
    const NAME: &str = "region, endpoint";
    let both = Endpoint::read(&env).and_then(|endpoint| Ok((endpoint, mails?)));
    let (endpoint, mails) = match both {
        Ok(both) => both,
        Err(why) => {
            checks.misconfigured(
                NAME,
                why,
                "see AWS_REGION, AWS_ENDPOINT_URL and MAILROOM_SES_ENDPOINT_ID",
            );
            return None;
        }
    };
    let mut detail = format!("{}, {}", endpoint.region, endpoint.url);
    if mails.region == ANY {
        detail.push_str(&format!("; mails, for any region: {}", mails.url));
    }
    checks.ok(NAME, detail);
    Some((endpoint, mails))
}

/// Finds credentials, and says where, never which.
fn credentials(round: &mut Round) -> Option<(Http, Keeper)> {
    const NAME: &str = "credentials";
    let (http, mut keeper) = match identity(round.stop) {
        Ok(both) => both,
        Err(error) => {
            round.checks.misconfigured(NAME, error.message, "");
            return None;
        }
    };
    match keeper.get() {
        Ok(_) => {
            round.checks.ok(NAME, format!("from {}", keeper.source()));
            Some((http, keeper))
        }
        Err(Failure::Unset(why) | Failure::Setup(why)) => {
            let advice = "mailroom looks where botocore looks, in its order";
            round.checks.misconfigured(NAME, why, advice);
            None
        }
        Err(Failure::Passing(why)) => {
            let advice = "their source is set up but gave none now: try again";
            round.checks.unreachable(NAME, why, advice);
            None
        }
    }
}

/// Asks about the account; gives whether SES can be asked more.
fn account_of(checks: &mut Checks, client: &mut Client, rate: f64) -> bool {
    const NAME: &str = "account";
    let refused = match client.account() {
        Ok(account) => {
            checks.ok(NAME, "SES answers and takes the credentials");
            standing(checks, &account, rate);
            return true;
        }
        Err(refused) => refused,
    };
    let denied = refused.code.starts_with("AccessDenied");
    let signature = ["Unrecognized", "Invalid", "Missing", "Incomplete", "Signature", "Expired"];
    let of_key = signature.iter().any(|start| refused.code.starts_with(start));
    let (status, what, advice) = match refused.status {
        None => {
            let advice = "see that the endpoint is right, and DNS, firewall and HTTPS_PROXY";
            (Status::Unreachable, "", advice)
        }
        Some(_) if denied => {
            let advice = "allow ses:GetAccount; without it the limits are MAILROOM_SEND_RATE and \
                          MAILROOM_DAILY_LIMIT alone";
            (Status::Warning, "it may not be asked about: ", advice)
        }
        Some(_) if refused.is_throttled() => {
            (Status::Warning, "it may not be asked about: ", "try again")
        }
        Some(status) if of_key || matches!(status, 401 | 403) => {
            let advice = "see that the key is active, whole, and of the account of this region";
            (Status::Misconfigured, "the credentials are refused: ", advice)
        }
        Some(500..) => (Status::Unreachable, "", "try again; see AWS's status page"),
        Some(_) => (Status::Warning, "", "see that the endpoint is one of SES v2"),
    };
    checks.add(NAME, status, format!("{what}{refused}"), advice);
    let answered = status == Status::Warning;
    if answered {
        for rest in ["sending", "sandbox", "quota"] {
            checks.unknown(rest, "the account could not be read");
        }
    }
    answered
}

/// What the account may do.
fn standing(checks: &mut Checks, account: &Value, rate: f64) {
    let flag = |name: &str| account.get(name).and_then(Value::as_bool);
    let standing = account.get("EnforcementStatus").and_then(Value::as_str).unwrap_or("unknown");
    match (flag("SendingEnabled"), standing) {
        (Some(false), _) => {
            let detail = format!("sending is turned off for this account here ({standing})");
            checks.misconfigured("sending", detail, "turn it on in the SES console");
        }
        (Some(true), "PROBATION" | "SHUTDOWN") => {
            let detail = format!("enabled, but the account is under {standing}");
            checks.warning("sending", detail, "see the account's reputation in the SES console");
        }
        (Some(true), _) => checks.ok("sending", "enabled"),
        (None, _) => checks.unknown("sending", "the reply does not say"),
    }
    match flag("ProductionAccessEnabled") {
        Some(true) => checks.ok("sandbox", "out of it"),
        Some(false) => {
            let detail = "the account is in the sandbox: only verified addresses get mail";
            checks.warning("sandbox", detail, "ask for production access in the SES console");
        }
        None => checks.unknown("sandbox", "the reply does not say"),
    }
    let Some(quota) = quota(account) else {
        return checks.unknown("quota", "the reply does not say");
    };
    let a_second = quota.rate.map_or("any number".to_owned(), |rate| rate.to_string());
    let sending = quota.rate.map_or(rate, |most| most.min(rate));
    let speed = format!("{a_second} recipients/s (sending {sending})");
    match (quota.daily, quota.left) {
        (Some(daily), Some(0)) => {
            let detail = format!("{speed}; all of the {daily} in 24 h are used up");
            checks.warning("quota", detail, "wait, or ask for a higher quota");
        }
        (Some(daily), Some(left)) => {
            checks.ok("quota", format!("{speed}; {left} of {daily} in 24 h left"));
        }
        _ => checks.ok("quota", format!("{speed}; any number in 24 h")),
    }
}

fn clock(checks: &mut Checks, client: &Client) {
    const NAME: &str = "SES clock";
    let Some(ahead) = client.ahead() else {
        return checks.unknown(NAME, "no reply told the time");
    };
    let seconds = ahead.as_seconds_f64();
    let detail = apart("SES's", seconds);
    match seconds.abs() {
        // A date has whole seconds, and replies travel.
        little if little <= APART.as_secs_f64() => {
            checks.ok(NAME, if little < 2.5 { apart("SES's", 0.0) } else { detail });
        }
        much if much < TOLERATED.as_secs_f64() => {
            checks.warning(NAME, detail, "set the clock by NTP: from 5 min SES refuses signatures");
        }
        _ => {
            let detail = format!("{detail}: SES refuses signatures that are 5 min off");
            checks.misconfigured(NAME, detail, "set the clock by NTP");
        }
    }
}

/// Whether SES lets this account send from the sender's address.
fn verified(round: &mut Round, calls: &mut Calls) {
    const NAME: &str = "identity";
    if round.is_wrong("MAILROOM_SES_SOURCE") {
        return round.checks.unknown(NAME, "MAILROOM_SES_SOURCE is wrong");
    }
    let (_, address) = recipient::split(&round.config.source);
    let mut unverified = None;
    let mut asked = Vec::new();
    for name in identities(address) {
        match allowed(calls, "identities", &name, "/VerifiedForSendingStatus") {
            Ok(Some(true)) => return round.checks.ok(NAME, format!("{name} is verified")),
            Ok(Some(false)) => unverified = unverified.or(Some(name)),
            Ok(None) => asked.push(name),
            Err(refused) => return unasked(round, NAME, "ses:GetEmailIdentity", &refused),
        }
    }
    let detail = match unverified {
        Some(name) => format!("{name} is not verified yet"),
        None => format!("SES knows none of {} here", asked.join(", ")),
    };
    let advice = "verify the address or its domain in this region, or set MAILROOM_SES_SOURCE";
    round.checks.misconfigured(NAME, detail, advice);
}

/// The identities that may stand for an address, the address first: a domain stands for those below
/// it, an address for itself with a label behind `+`.
/// <https://docs.aws.amazon.com/ses/latest/dg/creating-identities.html>
fn identities(address: &str) -> Vec<String> {
    let (local, domain) = address.rsplit_once('@').unwrap_or(("", address));
    let domain = domain.to_ascii_lowercase();
    let mut found = vec![format!("{local}@{domain}")];
    found.extend(local.split_once('+').map(|(name, _)| format!("{name}@{domain}")));
    let mut rest = domain.as_str();
    loop {
        found.push(rest.to_owned());
        match rest.split_once('.') {
            Some((_, above)) if above.contains('.') => rest = above,
            _ => return found,
        }
    }
}

/// Whether the configuration set is there.
fn configuration_set(round: &mut Round, calls: &mut Calls, set: &str) {
    const NAME: &str = "configuration set";
    if round.is_wrong("MAILROOM_SES_CONFIG_SET") {
        return round.checks.unknown(NAME, "MAILROOM_SES_CONFIG_SET is wrong");
    }
    if set.is_empty() {
        return round.checks.ok(NAME, "none is used");
    }
    match allowed(calls, "configuration-sets", set, "/SendingOptions/SendingEnabled") {
        Ok(Some(true)) => round.checks.ok(NAME, set),
        Ok(Some(false)) => {
            let detail = format!("sending with {set} is turned off");
            round.checks.misconfigured(NAME, detail, "turn it on in the SES console");
        }
        Ok(None) => {
            let detail = format!("there is none called {set} here: all mail would be held");
            let advice = "create it, or set MAILROOM_SES_CONFIG_SET: empty for none";
            round.checks.misconfigured(NAME, detail, advice);
        }
        Err(refused) => unasked(round, NAME, "ses:GetConfigurationSet", &refused),
    }
}

/// Whether mails may go through an endpoint of several regions. SES lists those whose first region this is;
/// needs the permission ses:ListMultiRegionEndpoints.
/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_ListMultiRegionEndpoints.html>
fn global(round: &mut Round, calls: &mut Calls, id: &str, http: &Http, url: &str) {
    if round.is_wrong("MAILROOM_SES_ENDPOINT_ID") {
        return round.checks.unknown(GLOBAL, "MAILROOM_SES_ENDPOINT_ID is wrong");
    }
    if id.is_empty() {
        return;
    }
    // Whatever it answers: it is there, and can be reached.
    let reached = Request::get(url).body(Vec::new()).map_err(Fault::from);
    if let Err(Fault { why, .. }) = reached.and_then(|request| http.call(request)) {
        let advice = "see MAILROOM_SES_ENDPOINT_ID, the DNS and what may be connected to from here";
        return round.checks.unreachable(GLOBAL, why, advice);
    }
    let path = "/v2/email/multi-region-endpoints?PageSize=1000";
    let listed = match calls.ask(&Method::GET, path, None) {
        Ok(listed) => listed,
        Err(refused) => return unasked(round, GLOBAL, "ses:ListMultiRegionEndpoints", &refused),
    };
    let all = listed["MultiRegionEndpoints"].as_array();
    let Some(one) = all.into_iter().flatten().find(|one| one["EndpointId"] == id) else {
        let detail = format!("SES lists no endpoint {id} whose first region this is");
        let advice = "see MAILROOM_SES_ENDPOINT_ID; let AWS_REGION be the first of its regions";
        return round.checks.warning(GLOBAL, detail, advice);
    };
    let regions = one["Regions"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let regions: Vec<&str> = regions.collect();
    let status = one["Status"].as_str().unwrap_or("of no status");
    let detail = format!("{id} is {status}, in {}", regions.join(" and "));
    match status {
        "READY" => round.checks.ok(GLOBAL, detail),
        _ => round.checks.misconfigured(
            GLOBAL,
            detail,
            "no mail goes until it is READY; see SES's console",
        ),
    }
}

/// Whether what SES has of this name may be used to send: nothing is said against it at `flag`; `None`:
/// there is no such one. Only SES's own word counts for that: another server may not know the call.
/// Needs the permission ses:GetEmailIdentity or ses:GetConfigurationSet.
/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetEmailIdentity.html>,
/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetConfigurationSet.html>
fn allowed(calls: &mut Calls, kind: &str, name: &str, flag: &str) -> Result<Option<bool>, Refused> {
    let path = format!("/v2/email/{kind}/{}", encoded(name));
    match calls.ask(&Method::GET, &path, None) {
        Ok(body) => Ok(Some(body.pointer(flag).and_then(Value::as_bool).unwrap_or(true))),
        Err(refused) if refused.code == "NotFoundException" => Ok(None),
        Err(refused) => Err(refused),
    }
}

/// What could not be asked is no fault by itself: sending needs no right to ask.
fn unasked(round: &mut Round, name: &str, right: &str, refused: &Refused) {
    let advice = match refused.code.starts_with("AccessDenied") {
        true => format!("allow {right}, or see to it by hand"),
        false => "see to it by hand".to_owned(),
    };
    round.checks.warning(name, format!("not checked: {refused}"), &advice);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_allowed_by_itself_or_by_a_domain_above_it() {
        assert_eq!(
            identities("No.Reply+x@Mail.Example.co.uk"),
            [
                "No.Reply+x@mail.example.co.uk",
                "No.Reply@mail.example.co.uk",
                "mail.example.co.uk",
                "example.co.uk",
                "co.uk"
            ]
        );
        assert_eq!(identities("a@localhost"), ["a@localhost", "localhost"]);
    }
}
