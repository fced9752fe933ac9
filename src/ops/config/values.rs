//! How values are read. Out of scope: where they come from.

use crate::edges::http::is_plain;
use crate::mail::recipient as address;
use crate::queue::source::Retention;
use std::path::PathBuf;
use std::time::Duration;
#[cfg(feature = "postmark")]
use zeroize::Zeroizing;

/// A token; not shown by `Debug`.
#[cfg(feature = "postmark")]
#[derive(Clone)]
pub struct ApiToken(pub Zeroizing<String>);

#[cfg(feature = "postmark")]
impl std::fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiToken")
    }
}

/// Tokens are printable: others cannot stand in a header.
#[cfg(feature = "postmark")]
pub(crate) fn api_token(text: &str) -> Result<ApiToken, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must be the API token of a Postmark server".to_owned());
    }
    Ok(ApiToken(Zeroizing::new(text.to_owned())))
}

/// The start of a URL, without a slash at its end. What is sent there holds secrets: without
/// encryption it may only be this machine.
pub(crate) fn web_url(text: &str) -> Result<String, String> {
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

/// The longest identifier that PostgreSQL takes as a channel, in bytes.
const CHANNEL_BYTES: usize = 63;

pub(crate) fn channel(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > CHANNEL_BYTES || text.contains('\0') {
        return Err(format!("must be 1 to {CHANNEL_BYTES} bytes, without NUL"));
    }
    Ok(text.to_owned())
}

/// The longest retention: further back PostgreSQL's moments end.
/// <https://www.postgresql.org/docs/current/datatype-datetime.html>
const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);

pub(crate) fn retention(text: &str) -> Result<Retention, String> {
    match text {
        "forever" => Ok(Retention::Forever),
        "0" => Ok(Retention::For(Duration::ZERO)),
        _ => match duration(text) {
            Ok(time) if time > LONGEST => Err("must be at most 36500d, or `forever`".to_owned()),
            Ok(time) => Ok(Retention::For(time)),
            Err(why) => Err(format!("{why}, or `0`, or `forever`")),
        },
    }
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let parse = || {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let seconds = [("s", 1), ("m", 60), ("h", 3600), ("d", 86400)];
        let (_, seconds) = seconds.iter().find(|(name, _)| *name == unit)?;
        Some(Duration::from_secs(u64::from(number.parse::<u32>().ok()?) * seconds))
    };
    parse().ok_or_else(|| "must be a number with s, m, h or d".to_owned())
}

/// A file in a directory; it need not be there.
pub(crate) fn file_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let fits = path.file_name().is_some() && !text.ends_with('/') && !text.contains('\0');
    if fits { Ok(path) } else { Err("must be the path of a file".to_owned()) }
}

/// Checks a From address, which may be `Name <local@domain>`. A wrong one would make the provider
/// refuse every mail.
pub(crate) fn sender(text: &str) -> Result<(), String> {
    if text.contains(char::is_control) {
        return Err("must not hold a control character".to_owned());
    }
    let (_, address) = address::split(text);
    address::check(address).map_err(|why| format!("is no address to send from: {why}"))
}

/// The name of a configuration set.
/// <https://docs.aws.amazon.com/ses/latest/APIReference/API_ConfigurationSet.html>
pub(crate) fn config_set(name: &str) -> Result<(), &'static str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=64).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(());
    }
    Err("must be 1 to 64 of the letters A to Z and a to z, digits, hyphens and underscores")
}

pub(crate) fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && (0.01..=1_000_000.0).contains(&rate) => Ok(rate),
        _ => Err("must be a number from 0.01 to 1000000".to_owned()),
    }
}
