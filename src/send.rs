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
use crate::mail::model::{Cause, Message, Outcome, mask, shown};
use crate::mail::policy::Fate;
use crate::mail::{policy, recipient};
pub use calls::{BUDGET, WORST};
use calls::{Budget, Calls, Item};
use std::time::Duration;

/// The template of a message that a provider may be asked to send, or the outcome of one that
/// needs no provider.
fn ready<'a>(message: &Message, templates: &'a Templates) -> Result<&'a str, Outcome> {
    let template = templates.name(message.action).ok_or_else(|| no_template(message.action))?;
    recipient::check(&message.email).map_err(|why| Outcome::refused(Cause::Rejected, why))?;
    Ok(template)
}

fn no_template(kind: u16) -> Outcome {
    let why = format!("no template for action {kind} in MAILROOM_TEMPLATES");
    Outcome::refused(Cause::Template, why)
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
        Outcome::Refused(refusal) => {
            let policy = policy::of(refusal.cause);
            let (level, status, what) = match policy.fate {
                _ if policy.ambiguous => {
                    (Level::Warn, "ambiguous", ": ambiguous, it may have been sent: ")
                }
                Fate::Retry | Fate::Wait => (Level::Warn, "retry", ": not now: "),
                Fate::Fail => (Level::Error, "rejected", ": rejected: "),
                Fate::HoldAll | Fate::HoldKind => (Level::Warn, "held", ": held: "),
            };
            (level, status, what, refusal.why.as_str(), "")
        }
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
