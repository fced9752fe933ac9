//! STS gives temporary credentials for a role.
//!
//! In scope: the two calls, and reading their replies. Out of scope: who may ask, and with what.
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
//!
//! Of the replies, which are XML, only leaves of known names are read, each of which must be
//! there once: that takes no XML parser, and a reply of another shape is an error.

use crate::edges::aws::credentials::source::{Failure, Found, Look};
use crate::edges::aws::endpoint::{Endpoint, Service};
use crate::edges::aws::sign::sign;
use crate::edges::http::Reply;
use aws_credential_types::Credentials;
use std::time::SystemTime;
use time::OffsetDateTime;
use zeroize::Zeroizing;

/// A clock that is less wrong than this is not why a signature is refused.
const SKEW: time::Duration = time::Duration::MINUTE;

/// What STS says if our clock is wrong.
const SKEWED: [&str; 4] = [
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "RequestTimeTooSkewed",
    "RequestExpired",
];

/// A role and how to ask for it.
pub(crate) struct Role<'a> {
    pub arn: &'a str,
    /// The name of the session; `None`: one of ours.
    pub session: Option<&'a str>,
    pub external_id: Option<&'a str>,
    /// In seconds; `None`: an hour.
    pub duration: Option<u32>,
}

/// Who may assume a role.
#[derive(Clone, Copy)]
pub(crate) enum Proof<'a> {
    /// The holder of a key, who signs the call.
    Key(&'a Credentials),
    /// The bearer of a web identity's token; such a call is not signed.
    Token(&'a str),
}

/// Assumes a role.
pub(crate) fn assume(look: &Look, role: &Role, proof: Proof) -> Result<Found, Failure> {
    let endpoint = Endpoint::of(Service::Sts, &look.shared).map_err(Failure::Setup)?;
    let now = OffsetDateTime::from((look.outside.wall)());
    let form = form(role, proof, now);
    let mut time = now;
    let mut corrected = false;
    loop {
        let reply = post(look, &endpoint, &form, proof, time.into())?;
        let status = reply.status.as_u16();
        let date = reply.date();
        let body =
            Zeroizing::new(String::from_utf8_lossy(&Zeroizing::new(reply.body)).into_owned());
        if status == 200 {
            let wrong = |why| Failure::Passing(format!("STS: {}: {why}", role.arn));
            return read(&body, role).map_err(wrong);
        }
        let (code, failure) = refusal(look, &body, status, role);
        let skewed = SKEWED.contains(&code.as_str());
        match date.filter(|date| skewed && (*date - time).abs() > SKEW) {
            Some(date) if !corrected => (time, corrected) = (date, true),
            _ => return Err(failure),
        }
    }
}

/// The parameters of a call.
fn form(role: &Role, proof: Proof, now: OffsetDateTime) -> Zeroizing<String> {
    let ours = format!("mailroom-{}", now.unix_timestamp());
    let (action, token) = match proof {
        Proof::Key(_) => ("AssumeRole", None),
        Proof::Token(token) => ("AssumeRoleWithWebIdentity", Some(token)),
    };
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", action)
        .append_pair("Version", "2011-06-15")
        .append_pair("RoleArn", role.arn)
        .append_pair("RoleSessionName", role.session.unwrap_or(&ours))
        .extend_pairs(role.external_id.map(|id| ("ExternalId", id)))
        .extend_pairs(role.duration.map(|seconds| ("DurationSeconds", seconds.to_string())))
        .extend_pairs(token.map(|token| ("WebIdentityToken", token)));
    Zeroizing::new(form.finish())
}

fn post(
    look: &Look,
    endpoint: &Endpoint,
    form: &str,
    proof: Proof,
    time: SystemTime,
) -> Result<Reply, Failure> {
    let setup = |why: String| Failure::Setup(format!("STS: {why}"));
    let mut request = http::Request::post(format!("{}/", endpoint.url))
        .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        .body(form.as_bytes().to_vec())
        .map_err(|error| setup(error.to_string()))?;
    if let Proof::Key(credentials) = proof {
        sign(&mut request, credentials, &endpoint.region, "sts", time).map_err(setup)?;
    }
    if look.late() {
        return Err(Failure::Passing("STS: the calls before this one took too long".to_owned()));
    }
    let reply = look.outside.http.call(request);
    reply.map_err(|fault| Failure::Passing(format!("STS: {}", fault.why)))
}

fn read(body: &str, role: &Role) -> Result<Found, String> {
    let inside = leaf(body, "Credentials").ok_or("an unreadable answer")?;
    let text = |name| {
        let found = leaf(inside, name).map(str::trim);
        found.filter(|text| !text.contains(['<', '&'])).map(str::to_owned)
    };
    let key = ["AccessKeyId", "SecretAccessKey", "SessionToken"].map(text);
    let expires = text("Expiration").filter(|_| key[2].is_some()).ok_or("an unreadable answer")?;
    Found::new(format!("the role {}", role.arn), key, Some(&expires))
}

/// The error code, and what it means for us.
fn refusal(look: &Look, body: &str, status: u16, role: &Role) -> (String, Failure) {
    let text = |name| leaf(body, name).map(|text| plain(text.trim())).unwrap_or_default();
    // It may quote the token that it was sent.
    let (code, message) = (text("Code"), (look.outside.clean)(&text("Message")));
    let shown = if code.is_empty() { format!("HTTP {status}") } else { code.clone() };
    let why = format!("STS refuses the role {}: {shown}: {message}", role.arn);
    let why = why.trim_end_matches(": ").to_owned();
    // What expired is written anew by whoever gave it; an identity provider comes back.
    let passes = status >= 500
        || status == 429
        || ["Throttling", "Expired", "IDPCommunicationError", "RequestTimeTooSkewed"]
            .iter()
            .any(|start| code.starts_with(start));
    let failure = if passes { Failure::Passing(why) } else { Failure::Setup(why) };
    (code, failure)
}

/// The text between the tags of the only element of this name.
fn leaf<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let (_, rest) = text.split_once(&open)?;
    let (inside, after) = rest.split_once(&close)?;
    (!after.contains(&open) && !inside.contains(&open)).then_some(inside)
}

/// Text for people: the entities of XML resolved, and no longer than a line should be.
fn plain(text: &str) -> String {
    let mut text = text.to_owned();
    for (entity, sign) in
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")]
    {
        text = text.replace(entity, sign);
    }
    text.chars().take(400).collect()
}
