//! The templates of the settings, whoever has them.

use crate::mail::kind;
use crate::ops::check::{Round, Status};
use crate::ops::config::Config;

/// The templates of the settings, each once, with the first action that uses it.
pub fn names(config: &Config) -> impl Iterator<Item = (u16, &str)> {
    let first = |(action, name): &(u16, &str)| {
        !config.templates.iter().any(|(other, same)| same == *name && other < *action)
    };
    config.templates.iter().filter(first)
}

/// `action 1, 3`, or nothing.
pub fn used_by(config: &Config, name: &str) -> String {
    let actions = config.templates.iter().filter(|(_, used)| *used == name);
    let actions: Vec<String> = actions.map(|(action, _)| action.to_string()).collect();
    if actions.is_empty() { String::new() } else { format!("action {}", actions.join(", ")) }
}

/// Looks at each of them; `look` gives how it came out, what was found, and what to do.
pub fn check(
    round: &mut Round<'_>,
    mut look: impl FnMut(u16, &str) -> (Status, String, &'static str),
) {
    if round.any_wrong(&["MAILROOM_TEMPLATES", "MAILROOM_TEMPLATE_DIR"]) {
        return round.checks.unknown("templates", "their settings are wrong");
    }
    let config = round.config;
    for (action, template) in names(config) {
        let (status, found, advice) = look(action, template);
        let detail = format!("{}: {found}", used_by(config, template));
        round.checks.add(&format!("template {template}"), status, detail, advice);
    }
}

/// What is wrong with a template that uses these.
pub fn unknown(variables: &[String]) -> String {
    let mut variables: Vec<String> =
        variables.iter().map(|variable| format!("{{{{{variable}}}}}")).collect();
    variables.sort();
    variables.dedup();
    format!(
        "uses {}, which is not sent: its mails would be lost without an error; sent are {}",
        variables.join(", "),
        kind::VARIABLES.map(|name| format!("{{{{{name}}}}}")).join(", ")
    )
}
