//! Debug mode: says what would be sent, and sends nothing.
//!
//! In scope: the calls that a provider would get, for people to read. Out of scope: the provider.
//! Here, and only here, tokens and whole addresses are shown: it is what a developer turns it on for.

use crate::mail::ends::Transport;
use crate::mail::error::Error;
use crate::mail::kind::{Templates, data};
use crate::mail::model::{Batch, Cause, Outcome, Refusal};
use crate::send::calls::{Answer, Calls, Item, alike};
use std::io::Write;
use std::time::Instant;

/// What the transport needs to know.
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
    now: fn() -> Instant,
    out: W,
    broken: Option<Error>,
}

impl<W: Write> Dry<W> {
    /// A transport that prints to `out`, and flushes it after each call.
    pub fn new(settings: Settings, now: fn() -> Instant, out: W) -> Dry<W> {
        Dry { settings, now, out, broken: None }
    }

    /// Prints one call; what was not printed was not handed over.
    fn call(&mut self, items: &[Item]) -> Answer {
        if let Err(error) = self.print(items) {
            let error = Error::io("printing the requests to standard output failed", error);
            let why = error.message.clone();
            self.broken = Some(error);
            return Answer::None(Refusal { cause: Cause::Output, why, after: None });
        }
        Answer::Each(vec![Outcome::Accepted { provider_id: String::new() }; items.len()])
    }

    fn print(&mut self, items: &[Item]) -> std::io::Result<()> {
        let Settings { to, source, config_set, .. } = &self.settings;
        let Some(Item { message, template, .. }) = items.first() else { return Ok(()) };
        writeln!(self.out, "{to}")?;
        let (count, kind) = (items.len(), &message.kind);
        let which =
            kind.number.map_or_else(|| format!("kind {}", kind.name), |n| format!("action {n}"));
        writeln!(self.out, "  template {template} ({which}), {count} to send")?;
        let source = kind.sender.as_ref().unwrap_or(source);
        match config_set.as_str() {
            "" => writeln!(self.out, "  from {source}")?,
            set => writeln!(self.out, "  from {source}, configuration set {set}")?,
        }
        for Item { message, .. } in items {
            let locale: String = message.locale.iter().map(|name| format!(" in {name}")).collect();
            writeln!(self.out, "  to {}{locale} {}", message.email, data(message))?;
        }
        self.out.flush()
    }
}

impl<W: Write> Transport for Dry<W> {
    fn send(&mut self, batch: &Batch) -> Vec<Outcome> {
        let templates = self.settings.templates.clone();
        let calls =
            Calls { tag: "", most: usize::MAX, together: alike, now: self.now, ascii: None };
        calls.deliver(batch, &templates, &mut |items, _| self.call(items))
    }

    fn broken(&mut self) -> Option<Error> {
        self.broken.take()
    }
}
