//! The credentials endpoint of a container: ECS, EKS Pod Identity, Greengrass.
//!
//! In scope: which address, and with which authorization. Never through a proxy.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>

use crate::edges::aws::credentials::source::{Failure, Found, Look};
use crate::edges::http::is_plain;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use http::{Request, Uri};
use std::net::IpAddr;
use zeroize::Zeroizing;

const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
/// Where a relative URI is meant.
const HOST: &str = "http://169.254.170.2";
/// The hosts that may be asked without encryption, besides loopback addresses.
const HOSTS: &[&str] = &["169.254.170.2", "169.254.170.23", "fd00:ec2::23", "localhost"];

/// Asks the endpoint that the variables name.
pub(crate) fn find(look: &Look) -> Result<Found, Failure> {
    let url = match (look.shared.variable(RELATIVE), look.shared.variable(FULL)) {
        (Some(path), _) => relative(&path),
        (None, Some(url)) => full(&url).map_err(|why| format!("{FULL} {why}")),
        (None, None) => {
            return Err(Failure::Unset(format!("{RELATIVE} and _FULL_URI are not set")));
        }
    };
    let mut request = Request::get(url.map_err(Failure::Setup)?).header(ACCEPT, "application/json");
    if let Some(value) = authorization(look)? {
        request = request.header(AUTHORIZATION, value);
    }
    let (status, body) = look.near(request).map_err(|fault| Failure::Passing(fault.why))?;
    if status != 200 {
        return Err(Failure::Passing(format!("it answered with HTTP {status}")));
    }
    serde_json::from_slice(&body)
        .map_err(|_| "the answer is not JSON".to_owned())
        .and_then(|body| Found::of_json(body, "Token", "the container's credentials endpoint"))
        .map_err(Failure::Passing)
}

fn relative(path: &str) -> Result<Uri, String> {
    let url = path.starts_with('/').then(|| format!("{HOST}{path}").parse().ok()).flatten();
    url.ok_or_else(|| format!("{RELATIVE} is not a path such as /v2/credentials"))
}

/// A URL that may be asked: by https, or on this machine or its link.
fn full(text: &str) -> Result<Uri, &'static str> {
    let url: Uri = text.parse().map_err(|_| "is not a URL")?;
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let near = HOSTS.contains(&host) || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match url.scheme_str() {
        _ if !is_plain(&url) => Err("is not a URL with a host and without a user"),
        Some("https") => Ok(url),
        Some("http") if near => Ok(url),
        Some("http") => Err(
            "names a host that may not be asked without encryption: use https, a loopback address, \
             169.254.170.2, 169.254.170.23 or [fd00:ec2::23]",
        ),
        _ => Err("is not a URL that begins with https:// or http://"),
    }
}

/// The value of the header: of the file, which is written anew from time to time, else of the
/// variable.
fn authorization(look: &Look) -> Result<Option<HeaderValue>, Failure> {
    let (name, text) = match look.shared.variable(TOKEN_FILE) {
        Some(path) => {
            let failed = |error| Failure::Passing(format!("{TOKEN_FILE}: {path}: {error}"));
            (TOKEN_FILE, Zeroizing::new(std::fs::read_to_string(&path).map_err(failed)?))
        }
        // As it stands: a line break in it is a mistake and not to be trimmed.
        None => match (look.outside.variables)(TOKEN) {
            Some(token) if !token.trim().is_empty() => (TOKEN, Zeroizing::new(token)),
            _ => return Ok(None),
        },
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        Failure::Setup(format!("{name}: a line break or another character that no header can hold"))
    })?;
    value.set_sensitive(true);
    Ok(Some(value))
}
