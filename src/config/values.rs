//! What the values of single settings must look like. Errors say what they must be, and leave the
//! value itself to the caller.

use crate::address;
use crate::source::queue::Retention;
use std::time::Duration;

/// The longest identifier that PostgreSQL takes as a channel, in bytes.
const CHANNEL_BYTES: usize = 63;

pub(super) fn channel(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > CHANNEL_BYTES || text.contains('\0') {
        return Err(format!("must be 1 to {CHANNEL_BYTES} bytes, without NUL"));
    }
    Ok(text.to_owned())
}

pub(super) fn retention(text: &str) -> Result<Retention, String> {
    match text {
        "forever" => Ok(Retention::Forever),
        "0" => Ok(Retention::For(Duration::ZERO)),
        _ => match duration(text) {
            Ok(time) => Ok(Retention::For(time)),
            Err(why) => Err(format!("{why}, or `0`, or `forever`")),
        },
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parse = || {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let seconds = [("s", 1), ("m", 60), ("h", 3600), ("d", 86400)];
        let (_, seconds) = seconds.iter().find(|(name, _)| *name == unit)?;
        Some(Duration::from_secs(u64::from(number.parse::<u32>().ok()?) * seconds))
    };
    parse().ok_or_else(|| "must be a number with s, m, h or d".to_owned())
}

/// Checks a From address, which may be `Name <local@domain>`. A wrong one would make the provider
/// refuse every mail.
pub(super) fn sender(text: &str) -> Result<(), String> {
    let address = match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        Some((_, address)) => address,
        None => text,
    };
    address::check(address).map_err(|why| format!("is no address to send from: {why}"))
}

pub(super) fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && (0.01..=1_000_000.0).contains(&rate) => Ok(rate),
        _ => Err("must be a number from 0.01 to 1000000".to_owned()),
    }
}
