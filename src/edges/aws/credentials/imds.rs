//! The role of the EC2 instance, from its metadata service, version 2.
//!
//! In scope: the session token, the role's name, the credentials. Never through a proxy.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html>
//!
//! What does not connect is no instance, and the source is not set up, unless somebody asked for it:
//! then it may not be up yet. What connects and then fails is one: it may have credentials soon.

use crate::edges::aws::credentials::{Answer, Failure, Look, document};
use crate::edges::http::{Fault, Reply, is_plain};
use http::header::HeaderValue;
use http::{Request, Uri};
use serde_json::Value;
use zeroize::Zeroizing;

const DISABLED: &str = "AWS_EC2_METADATA_DISABLED";
const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const MODE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
/// The longest role's name; IAM allows 64 characters.
const NAME: usize = 128;

/// Asks the metadata service, if there is one.
pub(crate) fn find(look: &Look) -> Result<Answer, Failure> {
    fetch(look, look.shared.variable(&*look.outside.variables, ENDPOINT).is_some())
}

/// Asks the metadata service, which a profile says there is.
pub(crate) fn find_named(look: &Look) -> Result<Answer, Failure> {
    fetch(look, true)
}

fn fetch(look: &Look, asked_for: bool) -> Result<Answer, Failure> {
    if crate::edges::aws::is_true(&*look.outside.variables, DISABLED) {
        return Ok(Answer::Nothing(format!("{DISABLED} is true")));
    }
    let base = endpoint(look)?;
    let put = Request::put(format!("{base}/latest/api/token"))
        .header("x-aws-ec2-metadata-token-ttl-seconds", "21600");
    let reply = match ask(look, put) {
        Ok(reply) => reply,
        Err(Fault { sent: true, why, .. }) => {
            return Err(Failure::Passing(format!(
                "{why} (in a container, the instance's metadata hop limit must be 2 or more)"
            )));
        }
        Err(Fault { why, .. }) if asked_for => return Err(Failure::Passing(why)),
        Err(Fault { why, .. }) => return Ok(Answer::Nothing(why)),
    };
    let token = match reply.status.as_u16() {
        200 => Zeroizing::new(reply.body),
        status @ (429 | 500..) => return Err(Failure::Passing(answered(status))),
        status => return Ok(Answer::Nothing(answered(status))),
    };
    let mut token = HeaderValue::from_bytes(token.trim_ascii())
        .map_err(|_| Failure::Passing("its token cannot stand in a header".to_owned()))?;
    token.set_sensitive(true);
    let get = |path: &str| {
        let request = Request::get(format!("{base}{path}"));
        ask(look, request.header("x-aws-ec2-metadata-token", &token))
            .map_err(|fault| Failure::Passing(fault.why))
    };
    let roles = get(ROLES)?;
    let name = match roles.status.as_u16() {
        200 => name(&roles.body)?,
        404 => None,
        status => return Err(Failure::Passing(answered(status))),
    };
    let Some(name) = name else {
        return Ok(Answer::Nothing("the instance has no role".to_owned()));
    };
    let reply = get(&format!("{ROLES}{name}"))?;
    let body = Zeroizing::new(reply.body);
    if reply.status != 200 {
        return Err(Failure::Passing(answered(reply.status.as_u16())));
    }
    read(&body, &name).map(Answer::Found).map_err(Failure::Passing)
}

/// The service's address without a slash at the end.
fn endpoint(look: &Look) -> Result<String, Failure> {
    let variable = |name| look.shared.variable(&*look.outside.variables, name);
    let setup = |name: &str, why: &str| Err(Failure::Setup(format!("{name} {why}")));
    if let Some(url) = variable(ENDPOINT) {
        let parsed: Option<Uri> = url.parse().ok();
        let fits = |uri: &Uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && is_plain(uri)
                && uri.query().is_none()
        };
        return match parsed.is_some_and(|uri| fits(&uri)) {
            true => Ok(url.trim_end_matches('/').to_owned()),
            false => setup(ENDPOINT, "is not a URL such as http://169.254.169.254"),
        };
    }
    match variable(MODE).map(|mode| mode.to_lowercase()).as_deref() {
        None | Some("ipv4") => Ok("http://169.254.169.254".to_owned()),
        Some("ipv6") => Ok("http://[fd00:ec2::254]".to_owned()),
        Some(_) => setup(MODE, "must be IPv4 or IPv6"),
    }
}

fn answered(status: u16) -> String {
    format!("the metadata service answered with HTTP {status}")
}

fn ask(look: &Look, request: http::request::Builder) -> Result<Reply, Fault> {
    let unusable =
        |error: http::Error| Fault { sent: false, why: error.to_string(), partial: None };
    look.outside.http.near(request.body(Vec::new()).map_err(unusable)?)
}

/// The first line: the name of the role, which becomes a part of a path.
fn name(body: &[u8]) -> Result<Option<String>, Failure> {
    let text = String::from_utf8_lossy(body);
    let name = text.lines().next().unwrap_or_default().trim();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    if name.len() > NAME || !name.bytes().all(fits) {
        return Err(Failure::Passing("its answer is not the name of a role".to_owned()));
    }
    Ok(Some(name.to_owned()).filter(|name| !name.is_empty()))
}

fn read(
    body: &Zeroizing<Vec<u8>>,
    name: &str,
) -> Result<crate::edges::aws::credentials::Found, String> {
    let value: Value = serde_json::from_slice(body).map_err(|_| "the answer is not JSON")?;
    match value.get("Code").and_then(Value::as_str) {
        None | Some("Success") => document(body, "Token", format!("the instance's role {name}")),
        Some(code) => {
            let code: String = code.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
            Err(format!("the role {name} gives no credentials: {code}"))
        }
    }
}
