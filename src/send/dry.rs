//! Debug mode: says what would be sent, and sends nothing.
//!
//! In scope: the calls that a provider would get, for people to read. Out of scope: the provider.
//! Here, and only here, tokens and whole addresses are shown: it is what a developer turns it on for.

use crate::mail::ends::Transport;
use crate::mail::error::Error;
use crate::mail::kind::{Templates, data};
use crate::mail::model::{Batch, Cause, Message, Outcome};
use crate::send::ready;
use std::io::Write;

/// What the transport is told.
pub struct Settings {
    /// The first line of a call: who would get it.
    pub to: String,
    /// The template of each action.
    pub templates: Templates,
    /// The From address.
    pub source: String,
    /// The configuration set of SES; empty for none.
    pub config_set: String,
}

/// The transport; it prints to `out`.
pub struct Dry<W: Write> {
    settings: Settings,
    out: W,
    broken: Option<Error>,
}

impl<W: Write> Dry<W> {
    /// A transport that prints to `out`, and flushes it after each batch.
    pub fn new(settings: Settings, out: W) -> Dry<W> {
        Dry { settings, out, broken: None }
    }

    /// Prints one call.
    fn print(&mut self, action: u16, template: &str, to: &[&Message]) -> std::io::Result<()> {
        let Settings { to: whom, source, config_set, .. } = &self.settings;
        writeln!(self.out, "{whom}")?;
        writeln!(self.out, "  template {template} (action {action}), {} to send", to.len())?;
        match config_set.as_str() {
            "" => writeln!(self.out, "  from {source}")?,
            set => writeln!(self.out, "  from {source}, configuration set {set}")?,
        }
        for message in to {
            writeln!(self.out, "  to {} {}", message.email, data(message))?;
        }
        Ok(())
    }
}

impl<W: Write> Transport for Dry<W> {
    fn send(&mut self, batch: &Batch) -> Vec<Outcome> {
        let templates = self.settings.templates.clone();
        let mut calls: Vec<(u16, &str, Vec<&Message>)> = Vec::new();
        let mut outcomes = Vec::with_capacity(batch.messages.len());
        for message in &batch.messages {
            let template = match ready(message, &templates) {
                Ok(template) => template,
                Err(outcome) => {
                    outcomes.push(outcome);
                    continue;
                }
            };
            outcomes.push(Outcome::Accepted { provider_id: String::new() });
            match calls.iter_mut().find(|(action, ..)| *action == message.action) {
                Some((_, _, messages)) => messages.push(message),
                None => calls.push((message.action, template, vec![message])),
            }
        }
        let printed = calls
            .iter()
            .try_for_each(|(action, template, to)| self.print(*action, template, to))
            .and_then(|()| self.out.flush());
        if let Err(error) = printed {
            let what = "printing the requests to standard output failed";
            let why = format!("{what}: {error}");
            // What was not printed was not handed over.
            for outcome in &mut outcomes {
                if matches!(outcome, Outcome::Accepted { .. }) {
                    *outcome = Outcome::refused(Cause::Output, why.clone());
                }
            }
            self.broken = Some(Error::io(what, error));
        }
        outcomes
    }

    fn broken(&mut self) -> Option<Error> {
        self.broken.take()
    }
}
