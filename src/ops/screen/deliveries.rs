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
        let reason = one.error.as_deref().or(one.provider_id.as_deref()).unwrap_or_default();
        let (id, tries, when) = (one.id.to_string(), one.attempts.to_string(), when(one));
        let cause = one.cause.as_deref().unwrap_or_default();
        [id.as_str(), &one.state, &tries, &when, &one.kind, &one.address, cause, reason].map(clean)
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
    let due = one.due_seconds_ago;
    match (one.state.as_str(), one.settled_seconds_ago) {
        (_, Some(ago)) => format!("{} ago", span(ago)),
        ("leased", _) if due < 0.0 => format!("lease {}", span(-due)),
        ("leased", _) => format!("lease over {}", span(due)),
        _ if due < 0.0 => format!("in {}", span(-due)),
        _ => format!("due {}", span(due)),
    }
}

/// Everything about one delivery: `mailroom queue show`.
pub fn show(one: &Entry) -> String {
    let token = match one.token_expires_in_seconds {
        _ if one.token_used => Some("used".to_owned()),
        Some(until) if until <= 0.0 => Some(format!("expired {} ago", span(-until))),
        until => until.map(|until| format!("expires in {}", span(until))),
    };
    let data = one.data.as_ref().map(|data| match data.as_array() {
        Some(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        None => data.to_string(),
    });
    let status = one.account_status.as_deref().unwrap_or_default();
    let rows = [
        ("delivery", Some(one.id.to_string())),
        ("queue", Some(one.queue.clone())),
        ("state", Some(format!("{} ({})", one.state, when(one)))),
        ("mail", Some(format!("{}, priority {}", one.kind, one.priority))),
        ("address", Some(one.address.clone())),
        ("account", one.account.map(|account| format!("{account}, {status}"))),
        ("token", token),
        ("tries", Some(one.attempts.to_string())),
        ("made", Some(format!("{} ago", span(one.created_seconds_ago)))),
        ("login", one.login.clone()),
        ("cause", one.cause.clone()),
        ("reason", one.error.clone()),
        (if one.cause.is_some() { "next look" } else { "not before" }, one.not_before.clone()),
        ("language", one.locale.clone()),
        ("key", one.key.clone()),
        ("data", data),
        ("lease", one.lease.clone()),
        ("provider id", one.provider_id.clone()),
    ];
    let mut out = String::new();
    for (name, text) in rows.iter().filter_map(|(name, text)| Some((name, text.as_ref()?))) {
        if !text.is_empty() {
            let _ = writeln!(out, "{name:<12} {}", clean(text));
        }
    }
    out
}
