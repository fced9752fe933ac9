//! The screens of `mailroom queue list` and `mailroom queue show`.

use crate::ops::screen::page::{Look, Page, Tone, clean, span};
use crate::queue::snapshot::Entry;
use serde_json::Value;
use std::fmt::Write as _;

/// The table of `mailroom queue list`.
pub fn list(found: &[Entry], look: Look) -> String {
    let mut page = Page::new(look);
    let mut rows = vec![
        ["ID", "STATE", "TRIES", "WHEN", "MAIL", "ADDRESS", "CAUSE", "REASON OR ID"]
            .map(str::to_owned),
    ];
    rows.extend(found.iter().map(|one| {
        let reason = if one.error.is_empty() { &one.provider_id } else { &one.error };
        let texts = [&one.state, &one.kind, &one.address, &one.cause, reason];
        let [state, kind, address, cause, reason] = texts.map(|text| clean(text));
        let id = one.id.to_string();
        [id, state, one.attempts.to_string(), when(one), kind, address, cause, reason]
    }));
    let longest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..8).map(|column| longest(column).unwrap_or(0)).collect();
    for (number, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (text, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{text:<width$}  ");
        }
        page.line(if number == 0 { Tone::Quiet } else { Tone::Plain }, &line);
    }
    page.text
}

/// When it is its turn, or was.
fn when(one: &Entry) -> String {
    match (one.state.as_str(), one.settled) {
        (_, Some(ago)) => format!("{} ago", span(ago)),
        ("leased", _) if one.due < 0.0 => format!("lease {}", span(-one.due)),
        ("leased", _) => format!("lease over {}", span(one.due)),
        _ if one.due < 0.0 => format!("in {}", span(-one.due)),
        _ => format!("due {}", span(one.due)),
    }
}

/// Everything about one delivery: `mailroom queue show`.
pub fn show(one: &Entry) -> String {
    let token = match one.expires {
        _ if one.consumed => "used".to_owned(),
        None => String::new(),
        Some(ago) if ago >= 0.0 => format!("expired {} ago", span(ago)),
        Some(until) => format!("expires in {}", span(-until)),
    };
    let data = match &one.data {
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        Some(object) => object.to_string(),
        None => String::new(),
    };
    let account = one.account.map(|account| format!("{account}, {}", one.status));
    let mut rows = vec![
        ("delivery", one.id.to_string()),
        ("queue", one.queue.clone()),
        ("state", format!("{} ({})", one.state, when(one))),
        ("mail", format!("{}, priority {}", one.kind, one.priority)),
        ("address", one.address.clone()),
        ("account", account.unwrap_or_default()),
        ("token", token),
        ("tries", one.attempts.to_string()),
        ("made", format!("{} ago", span(one.created))),
    ];
    rows.extend(one.login.clone().map(|login| ("login", login)));
    let optional = [
        ("cause", &one.cause),
        ("reason", &one.error),
        ("not before", &one.not_before),
        ("language", &one.locale),
        ("key", &one.key),
        ("data", &data),
        ("lease", &one.lease),
        ("provider id", &one.provider_id),
    ];
    rows.extend(optional.map(|(name, text)| (name, text.clone())));
    let mut out = String::new();
    for (name, text) in rows.iter().filter(|(_, text)| !text.is_empty()) {
        let _ = writeln!(out, "{name:<12} {}", clean(text));
    }
    out
}
