//! The templates of the settings, whoever has them.

use crate::mail::kind;
use crate::ops::config::Config;

/// The templates of the settings, each once, with the first action that uses it.
pub(crate) fn names(config: &Config) -> impl Iterator<Item = (u16, &str)> {
    let first = |(action, name): &(u16, &str)| {
        !config.templates.iter().any(|(other, same)| same == *name && other < *action)
    };
    config.templates.iter().filter(first)
}

/// `action 1, 3`, or nothing.
pub(crate) fn used_by(config: &Config, name: &str) -> String {
    let actions = config.templates.iter().filter(|(_, used)| *used == name);
    let actions: Vec<String> = actions.map(|(action, _)| action.to_string()).collect();
    if actions.is_empty() { String::new() } else { format!("action {}", actions.join(", ")) }
}

/// What is wrong with a template that uses these.
pub(crate) fn unknown(variables: &[String]) -> String {
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
