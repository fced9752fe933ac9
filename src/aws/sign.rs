//! Signature Version 4 over a request, just before it is sent.
//!
//! In scope: the headers that make a request ours. Out of scope: sending it; the body must be sent
//! exactly as it is signed. Every service but S3 is signed so.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use super::Credentials;
use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, InvalidHeaderValue, ToStrError};
use http::{Request, Uri};
use ring::{digest, hmac};
use std::borrow::Cow;
use std::time::SystemTime;
use time::OffsetDateTime;
use time::macros::format_description;
use zeroize::Zeroizing;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What may change on the way is not signed.
const UNSIGNED: [&str; 4] = ["authorization", "transfer-encoding", "user-agent", "x-amzn-trace-id"];

/// Adds `x-amz-date`, `x-amz-security-token` (for temporary credentials) and `authorization`.
///
/// `time` is the provider's time as far as it is known; `service` is `ses` for SES v2.
///
/// # Errors
/// The request has a header that is not text, or the credentials cannot stand in one.
pub fn sign(
    request: &mut Request<Vec<u8>>,
    credentials: &Credentials,
    region: &str,
    service: &str,
    time: SystemTime,
) -> Result<(), String> {
    let form = format_description!("[year][month][day]T[hour][minute][second]Z");
    let time = OffsetDateTime::from(time).format(form).map_err(|error| error.to_string())?;
    let date = time.split('T').next().unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert("x-amz-date", value(&time)?);
    if let Some(token) = &credentials.session_token {
        headers.insert("x-amz-security-token", hidden(token)?);
    }
    let (names, canonical) = canonical(request)?;
    let scope = format!("{date}/{region}/{service}/aws4_request");
    let text = format!("{ALGORITHM}\n{time}\n{scope}\n{}", hash(canonical.as_bytes()));
    let secret = Zeroizing::new(format!("AWS4{}", credentials.secret_access_key.as_str()));
    let mut key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    for part in [date, region, service, "aws4_request"] {
        let tag = hmac::sign(&key, part.as_bytes());
        key = hmac::Key::new(hmac::HMAC_SHA256, tag.as_ref());
    }
    let signature = digits(hmac::sign(&key, text.as_bytes()).as_ref());
    let id = &credentials.access_key_id;
    let authorization = format!(
        "{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}"
    );
    request.headers_mut().insert(AUTHORIZATION, hidden(&authorization)?);
    Ok(())
}

fn value(text: &str) -> Result<HeaderValue, String> {
    let told = |_: InvalidHeaderValue| "the credentials hold what no header can".to_owned();
    HeaderValue::from_str(text).map_err(told)
}

/// A header that is not shown.
fn hidden(text: &str) -> Result<HeaderValue, String> {
    let mut value = value(text)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The names of the headers that are signed, and the request as it is signed.
fn canonical(request: &Request<Vec<u8>>) -> Result<(String, String), String> {
    let uri = request.uri();
    let headers = signed(request.headers(), uri)?;
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let mut out = format!("{}\n{}\n{}\n", request.method(), path(uri.path()), query(uri));
    for (name, value) in &headers {
        for part in [name, ":", value, "\n"] {
            out.push_str(part);
        }
    }
    for part in ["\n", &names, "\n", &hash(request.body())] {
        out.push_str(part);
    }
    Ok((names, out))
}

/// The headers that are signed, in order, and the host.
fn signed<'a>(
    headers: &'a HeaderMap,
    uri: &'a Uri,
) -> Result<Vec<(&'a str, Cow<'a, str>)>, String> {
    let mut found = Vec::with_capacity(headers.keys_len() + 1);
    for name in headers.keys().filter(|name| !UNSIGNED.contains(&name.as_str())) {
        let values: Result<Vec<_>, ToStrError> =
            headers.get_all(name).iter().map(|value| value.to_str().map(squeezed)).collect();
        let values = values.map_err(|_| format!("the header {name} is not text"))?;
        let value = match <[_; 1]>::try_from(values) {
            Ok([value]) => value,
            Err(values) => Cow::Owned(values.join(",")),
        };
        found.push((name.as_str(), value));
    }
    if !headers.contains_key(HOST) {
        found.push(("host", host(uri)));
    }
    found.sort_unstable();
    Ok(found)
}

/// As HTTP says it: without the port that goes with the scheme.
fn host(uri: &Uri) -> Cow<'_, str> {
    let host = uri.host().unwrap_or_default();
    match (uri.port_u16(), uri.scheme_str()) {
        (None, _) | (Some(80), Some("http")) | (Some(443), Some("https")) => host.into(),
        (Some(port), _) => format!("{host}:{port}").into(),
    }
}

/// A header's value without blanks at its ends, and with single ones inside.
fn squeezed(value: &str) -> Cow<'_, str> {
    let value = value.trim();
    if !value.contains("  ") {
        return value.into();
    }
    let words: Vec<&str> = value.split(' ').filter(|word| !word.is_empty()).collect();
    words.join(" ").into()
}

/// A path without empty segments and dots, encoded once more.
fn path(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len() + 1);
    for segment in &kept {
        out.push('/');
        encode(segment, &mut out);
    }
    if out.is_empty() || path.ends_with('/') {
        out.push('/');
    }
    out
}

/// The parameters of a query, in order. They must be encoded as [`encode`] does it.
fn query(uri: &Uri) -> String {
    let query = uri.query().unwrap_or_default();
    let mut pairs: Vec<(&str, &str)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

fn hash(bytes: &[u8]) -> String {
    digits(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// 32 bytes in hexadecimal.
fn digits(bytes: &[u8]) -> String {
    let mut digits = vec![0; 2 * bytes.len()];
    // Nothing else is twice as long.
    let _ = hex::encode_to_slice(bytes, &mut digits);
    String::from_utf8(digits).unwrap_or_default()
}

/// Adds a text to `out`, percent-encoded but for the characters that need it nowhere.
/// <https://www.rfc-editor.org/rfc/rfc3986#section-2.3>
pub fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&hex::encode_upper([byte]));
        }
    }
}
