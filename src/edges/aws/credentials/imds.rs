//! The role of the EC2 instance, from its metadata service, version 2.
//!
//! In scope: the session token, the role's name, the credentials. Never through a proxy.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html>
//!
//! What does not connect is no instance, and the source is not set up, unless somebody asked for it:
//! then it may not be up yet. What connects and then fails is one: it may have credentials soon.

use crate::edges::aws::credentials::source::{Failure, Found, Look};
use crate::edges::http::{Fault, base};
use http::Request;
use http::header::HeaderValue;
use serde_json::Value;

const DISABLED: &str = "AWS_EC2_METADATA_DISABLED";
const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const MODE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
/// The longest role's name; IAM allows 64 characters.
const NAME: usize = 128;

/// Asks the metadata service, if there is one; `named`: a profile says that there is.
pub(crate) fn find(look: &Look, named: bool) -> Result<Found, Failure> {
    if look.shared.is_true(DISABLED) {
        return Err(Failure::Unset(format!("{DISABLED} is true")));
    }
    let asked_for = named || look.shared.setting(ENDPOINT).is_some();
    let answered = |status: u16| format!("the metadata service answered with HTTP {status}");
    let base = endpoint(look).map_err(Failure::Setup)?;
    let put = Request::put(format!("{base}/latest/api/token"))
        .header("x-aws-ec2-metadata-token-ttl-seconds", "21600");
    let token = match look.near(put) {
        Ok((200, token)) => HeaderValue::from_bytes(token.trim_ascii()),
        Ok((status @ (429 | 500..), _)) => return Err(Failure::Passing(answered(status))),
        Ok((status, _)) => return Err(Failure::Unset(answered(status))),
        Err(Fault { sent: true, why, .. }) => {
            return Err(Failure::Passing(format!(
                "{why} (in a container, the instance's metadata hop limit must be 2 or more)"
            )));
        }
        Err(Fault { why, .. }) if asked_for => return Err(Failure::Passing(why)),
        Err(Fault { why, .. }) => return Err(Failure::Unset(why)),
    };
    let mut token =
        token.map_err(|_| Failure::Passing("its token cannot stand in a header".to_owned()))?;
    token.set_sensitive(true);
    let get = |path: &str| {
        let request = Request::get(format!("{base}{ROLES}{path}"));
        look.near(request.header("x-aws-ec2-metadata-token", &token))
            .map_err(|fault| Failure::Passing(fault.why))
    };
    let name = match get("")? {
        (200, body) => name(&body).map_err(Failure::Passing)?,
        (404, _) => String::new(),
        (status, _) => return Err(Failure::Passing(answered(status))),
    };
    if name.is_empty() {
        return Err(Failure::Unset("the instance has no role".to_owned()));
    }
    match get(&name)? {
        (200, body) => read(&body, &name).map_err(Failure::Passing),
        (status, _) => Err(Failure::Passing(answered(status))),
    }
}

/// The service's address without a slash at the end.
fn endpoint(look: &Look) -> Result<String, String> {
    if let Some(url) = look.shared.setting(ENDPOINT) {
        let url = base(&url).map(str::to_owned);
        return url
            .ok_or_else(|| format!("{ENDPOINT} is not a URL such as http://169.254.169.254"));
    }
    match look.shared.setting(MODE).map(|mode| mode.to_lowercase()).as_deref() {
        None | Some("ipv4") => Ok("http://169.254.169.254".to_owned()),
        Some("ipv6") => Ok("http://[fd00:ec2::254]".to_owned()),
        Some(_) => Err(format!("{MODE} must be IPv4 or IPv6")),
    }
}

/// The first line: the name of the role, which becomes a part of a path; empty if there is none.
fn name(body: &[u8]) -> Result<String, String> {
    let text = String::from_utf8_lossy(body);
    let name = text.lines().next().unwrap_or_default().trim();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    match name.len() <= NAME && name.bytes().all(fits) {
        true => Ok(name.to_owned()),
        false => Err("its answer is not the name of a role".to_owned()),
    }
}

fn read(body: &[u8], name: &str) -> Result<Found, String> {
    let value: Value = serde_json::from_slice(body).map_err(|_| "the answer is not JSON")?;
    match value.get("Code").and_then(Value::as_str) {
        None | Some("Success") => {
            Found::of_json(value, "Token", format!("the instance's role {name}"))
        }
        Some(code) => {
            let code: String = code.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
            Err(format!("the role {name} gives no credentials: {code}"))
        }
    }
}
