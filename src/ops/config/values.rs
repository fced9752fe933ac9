//! How values are read. Out of scope: where they come from.

use crate::mail::recipient;
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

/// The longest time in milliseconds.
const MONTH_MS: u64 = 31 * 24 * 3600 * 1000;

/// A setting that need not be there.
pub fn some<T>(
    parse: impl Fn(&str) -> Result<T, String>,
) -> impl Fn(&str) -> Result<Option<T>, String> {
    move |text| parse(text).map(Some)
}

/// Any text, kept from view.
pub fn hidden(text: &str) -> Result<Zeroizing<String>, String> {
    Ok(Zeroizing::new(text.to_owned()))
}

/// Any text that is not empty.
pub fn name(text: &str) -> Result<String, String> {
    match text {
        "" => Err("must not be empty".to_owned()),
        _ if text.contains('\0') => Err("must not hold a NUL".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// A path, of whatever.
pub fn path(text: &str) -> Result<PathBuf, String> {
    name(text).map(PathBuf::from)
}

/// A whole number.
pub fn number<T: TryFrom<u64>>(least: u64, most: u64) -> impl Fn(&str) -> Result<T, String> {
    move |text| {
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| format!("must be a whole number from {least} to {most}"))
    }
}

/// A number without an upper end.
pub fn at_least_one(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "must be a whole number, at least 1".to_owned())
}

/// A time in milliseconds.
pub fn millis(text: &str) -> Result<Duration, String> {
    let read = number(1, MONTH_MS)(text).map(Duration::from_millis);
    read.map_err(|_| format!("must be a whole number of milliseconds from 1 to {MONTH_MS}"))
}

/// One of these words.
pub fn choice<T: Copy>(choices: &[(&str, T)]) -> impl Fn(&str) -> Result<T, String> {
    move |text| {
        let found = choices.iter().find(|(word, _)| *word == text);
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("`{word}`")).collect();
        found.map(|(_, value)| *value).ok_or_else(|| format!("must be {}", words.join(" or ")))
    }
}

/// The longest identifier that PostgreSQL takes as a channel, in bytes.
const CHANNEL_BYTES: usize = 63;

pub fn channel(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > CHANNEL_BYTES || text.contains('\0') {
        return Err(format!("must be 1 to {CHANNEL_BYTES} bytes, without NUL"));
    }
    Ok(text.to_owned())
}

/// The longest retention: further back PostgreSQL's moments end.
/// <https://www.postgresql.org/docs/current/datatype-datetime.html>
const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);

pub fn retention(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "forever" => Ok(None),
        "0" => Ok(Some(Duration::ZERO)),
        _ => match duration(text) {
            Ok(time) if time > LONGEST => Err("must be at most 36500d, or `forever`".to_owned()),
            Ok(time) => Ok(Some(time)),
            Err(why) => Err(format!("{why}, or `0`, or `forever`")),
        },
    }
}

pub fn duration(text: &str) -> Result<Duration, String> {
    let parse = || {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let seconds = [("s", 1), ("m", 60), ("h", 3600), ("d", 86400)];
        let (_, seconds) = seconds.iter().find(|(name, _)| *name == unit)?;
        Some(Duration::from_secs(u64::from(number.parse::<u32>().ok()?) * seconds))
    };
    parse().ok_or_else(|| "must be a number with s, m, h or d".to_owned())
}

/// How often something is done.
pub fn period(text: &str) -> Result<Duration, String> {
    let time = duration(text).ok().filter(|time| !time.is_zero());
    time.ok_or_else(|| "must be a number with s, m, h or d, at least 1s".to_owned())
}

/// A file in a directory; it need not be there.
pub fn file_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let fits = path.file_name().is_some() && !text.ends_with('/') && !text.contains('\0');
    if fits { Ok(path) } else { Err("must be the path of a file".to_owned()) }
}

/// Checks a From address, which may be `Name <local@domain>`. A wrong one would make the provider
/// refuse every mail.
pub fn sender(text: &str) -> Result<String, String> {
    if text.contains(char::is_control) {
        return Err("must not hold a control character".to_owned());
    }
    name(text)?;
    let (_, address) = recipient::split(text);
    match recipient::check(address) {
        Ok(()) => Ok(text.to_owned()),
        Err(why) => Err(format!("is no address to send from: {why}")),
    }
}

pub fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && (0.01..=1_000_000.0).contains(&rate) => Ok(rate),
        _ => Err("must be a number from 0.01 to 1000000".to_owned()),
    }
}
