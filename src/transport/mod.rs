//! What a batch is handed to.

pub mod dry;
mod parts;
pub mod pipe;
#[cfg(feature = "postmark")]
pub mod postmark;
pub mod ses;
#[cfg(feature = "smtp")]
pub mod smtp;

use crate::error::Error;
use crate::log::{Field, Level, Lines};
use crate::model::{Batch, Message, Outcome, mask};
use crate::pace::Quota;
use crate::template::Templates;
use crate::{address, log, verdict};
pub use parts::{BUDGET, WORST};
use parts::{Budget, Calls, Item};
use std::time::Duration;

/// The other end of the pump: hands a batch over and reports what was said of each message.
pub trait Transport {
    /// Hands the batch over.
    ///
    /// The answer has one outcome for each message of the batch, in its order. A fault of any
    /// kind is an outcome too: this does not fail and does not panic.
    fn send(&mut self, batch: &Batch) -> Vec<Outcome>;

    /// What the provider allows the account now, if it tells.
    fn quota(&mut self) -> Option<Quota> {
        None
    }

    /// Why nothing can be handed over any more, if that is so: the process ends, and what was
    /// not handed over is released.
    fn broken(&mut self) -> Option<Error> {
        None
    }
}

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
    let to = log::address(&message.email);
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
