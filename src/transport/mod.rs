//! What a batch is handed to.

pub mod dry;
pub mod pipe;
#[cfg(feature = "postmark")]
pub mod postmark;
pub mod ses;
#[cfg(feature = "smtp")]
pub mod smtp;

use crate::error::Error;
use crate::model::{Batch, Message, Outcome, mask};
use crate::pace::Quota;
use crate::template::Templates;
use crate::{address, log, verdict};

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

/// One line for a message that was not accepted; `tag` is the transport's.
fn report(tag: &'static str, message: &Message, outcome: &Outcome) {
    let to = log::address(&message.email);
    match outcome {
        Outcome::Accepted { provider_id } => {
            log::debug(tag, format_args!("{to}: accepted as {provider_id}"));
        }
        Outcome::Retry { why, ambiguous: true, .. } => {
            log::warn(tag, format_args!("{to}: ambiguous, it may have been sent: {why}"));
        }
        Outcome::Retry { why, .. } => log::warn(tag, format_args!("{to}: not now: {why}")),
        Outcome::Reject { why } => log::error(tag, format_args!("{to}: rejected: {why}")),
        Outcome::Hold { why, .. } => log::warn(tag, format_args!("{to}: held: {why}")),
    }
}
