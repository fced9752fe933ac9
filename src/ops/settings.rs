//! All that a command is given: its settings, who sends, and what is wrong with either.

use crate::edges::stop::Stop;
use crate::mail::error::Error;
use crate::ops::config::reader::{Inputs, Reader};
use crate::ops::config::{Config, SENDERS, VARS};
use crate::ops::provider::Known;
use crate::ops::provider::duties::Provider;
use crate::ops::provider::templates::Open;

/// What a command does once its words are read.
pub type Verb = Box<dyn FnOnce(&Settings, &Stop) -> Result<(), Error>>;

/// What a command is given.
pub struct Settings {
    /// The settings that do not depend on who sends.
    pub config: Config,
    /// Who sends.
    pub transport: &'static Known,
    /// The same with its own settings; `None`: the command sends nothing, or one of them is wrong.
    pub provider: Option<Box<dyn Provider>>,
    /// Where the templates are, for the command that asks.
    pub templates: Option<Open>,
    /// All that is wrong, `NAME: what` each: a setting that is wrong has its default, or nothing,
    /// and must not be relied on.
    pub problems: Vec<String>,
}

impl Settings {
    /// Reads and checks all settings that the command uses.
    pub fn read(inputs: &Inputs<'_>) -> Settings {
        let mut reader = Reader::new(inputs, VARS);
        let config = Config::read(&mut reader);
        let transport = Known::chosen(&mut reader);
        let command = Some(inputs.command).filter(|_| !reader.is_wrong("MAILROOM_TRANSPORT"));
        let sends = command.is_some_and(|command| SENDERS.contains(&command));
        let provider = if sends { transport.read(&mut reader) } else { None };
        let asks = command == Some("template");
        let templates = if asks { transport.templates(&mut reader) } else { None };
        Settings { config, transport, provider, templates, problems: reader.problems().to_vec() }
    }
}
