//! All that a command is given: its settings, who sends, and what is wrong with either.

use crate::edges::stop::Stop;
use crate::mail::error::Error;
use crate::ops::config::reader::{Inputs, Reader};
use crate::ops::config::{Config, SENDERS, VARS};
use crate::ops::provider::Known;
use crate::ops::provider::duties::Provider;

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
        let sends = SENDERS.contains(&inputs.command) && !reader.is_wrong("MAILROOM_TRANSPORT");
        let provider = if sends { transport.read(&mut reader) } else { None };
        Settings { config, transport, provider, problems: reader.problems().to_vec() }
    }
}
