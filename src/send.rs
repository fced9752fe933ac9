//! Providers as transports.

mod calls;
pub mod dry;
#[cfg(feature = "postmark")]
pub mod postmark;
pub mod ses;
#[cfg(feature = "smtp")]
pub mod smtp;

use crate::edges::log;
use crate::edges::log::{Field, Level, Lines};
use crate::mail::kind::Templates;
use crate::mail::model::{Message, Outcome, mask, shown};
use crate::mail::{policy as verdict, recipient as address};
pub use calls::{BUDGET, WORST};
use calls::{Budget, Calls, Item};
use std::time::Duration;

/// The template of a message that a provider may be asked to send, or the outcome of one that
/// needs no provider.
fn ready<'a>(message: &Message, templates: &'a Templates) -> Result<&'a str, Outcome> {
    let template =
        templates.name(message.action).ok_or_else(|| verdict::no_template(message.action))?;
    match address::check(&message.email) {
        Ok(()) => Ok(template),
        Err(why) => Err(Outcome::Reject { why: why.to_owned() }),
    }
}

/// A provider's text without what it may quote of ours.
fn scrub<'a>(text: &str, messages: impl IntoIterator<Item = &'a Message>) -> String {
    let mut text = text.to_owned();
    // Of a success nothing is said, and there is a text for each message.
    if text.is_empty() {
        return text;
    }
    for message in messages {
        text = text.replace(&message.email, &mask(&message.email));
        for secret in [&message.token, &message.code] {
            if !secret.is_empty() {
                text = text.replace(secret.as_str(), "***");
            }
        }
    }
    text
}

/// Adds the line of an attempt; `took` is the time of the call that it was part of. Which delivery
/// and which attempt it was is known if the message came from a database.
fn report(lines: &mut Lines, message: &Message, outcome: &Outcome, took: Duration) {
    let to = shown(&message.email, log::is_debug());
    let (level, status, what, why, id) = match outcome {
        Outcome::Accepted { provider_id } => {
            (Level::Info, "sent", ": accepted", "", provider_id.as_str())
        }
        Outcome::Retry { why, ambiguous: true, .. } => {
            (Level::Warn, "ambiguous", ": ambiguous, it may have been sent: ", why.as_str(), "")
        }
        Outcome::Retry { why, .. } => (Level::Warn, "retry", ": not now: ", why.as_str(), ""),
        Outcome::Reject { why } => (Level::Error, "rejected", ": rejected: ", why.as_str(), ""),
        Outcome::Hold { why, .. } => (Level::Warn, "held", ": held: ", why.as_str(), ""),
    };
    let mut fields = Vec::with_capacity(6);
    fields.push(("status", Field::Text(status)));
    if let Some(ticket) = &message.ticket {
        fields.push(("delivery", Field::Number(ticket.delivery)));
        fields.push(("attempt", Field::Number(i64::from(ticket.attempts) + 1)));
    }
    fields.push(("action", Field::Number(message.action.into())));
    fields.push(("ms", Field::Number(i64::try_from(took.as_millis()).unwrap_or(i64::MAX))));
    if !id.is_empty() {
        fields.push(("id", Field::Text(id)));
    }
    lines.event(level, &[&to, what, why], &fields);
}
