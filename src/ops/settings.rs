//! All that a command is given: its settings, who sends, and what is wrong with either.

use crate::edges::pg::session::Session;
use crate::edges::stop::Stop;
use crate::mail::error::{Error, Kind};
use crate::ops::config::reader::{Inputs, Reader};
use crate::ops::config::{Config, SENDERS, VARS};
use crate::ops::database::session;
use crate::ops::provider::chosen;
use crate::ops::provider::duties::Provider;
use crate::ops::provider::templates::Open;

/// What a command does once its words are read.
pub type Verb = Box<dyn FnOnce(&Settings, &Stop) -> Result<(), Error>>;

type Work = Box<dyn FnOnce(&Config, &mut Session, &Stop) -> Result<(), Error>>;

/// What `command` does with a database that has the schema and the queue, and with an operator's rights.
pub fn operation(
    command: &'static str,
    work: impl FnOnce(&Config, &mut Session, &Stop) -> Result<(), Error> + 'static,
) -> Verb {
    connected(command, Box::new(work))
}

/// As [`operation`], and not compiled once for each.
fn connected(command: &'static str, work: Work) -> Verb {
    Box::new(move |given, stop| {
        let mut session = session(&given.config, command, stop)?;
        work(&given.config, &mut session, stop).map_err(|mut error| {
            if error.kind == Kind::Config {
                error.message += "; let the owner of the tables run: mailroom migrate grants ROLE \
                                  --operator";
            }
            error
        })
    })
}

/// What a command is given.
pub struct Settings {
    /// The settings that do not depend on who sends.
    pub config: Config,
    /// Who sends, with its own settings; `None`: the command sends nothing, or one of them is wrong.
    pub provider: Option<Box<dyn Provider>>,
    /// Where the templates are, for the command that asks.
    pub templates: Option<Open>,
    /// All that is wrong, `NAME: what` each: a setting that is wrong has its default, or nothing,
    /// and must not be relied on.
    pub problems: Vec<String>,
}

impl Settings {
    /// Reads and checks all settings that the command uses. Those of other providers are not looked
    /// at: a half-configured spare is no reason not to start.
    pub fn read(inputs: &Inputs<'_>) -> Settings {
        let mut reader = Reader::new(inputs, VARS);
        let config = Config::read(&mut reader);
        let known = chosen(&mut reader);
        let sends = known.filter(|_| SENDERS.contains(&inputs.command));
        let provider = sends.and_then(|known| (known.read)(&mut reader));
        let asks = known.filter(|_| inputs.command == "template");
        let templates = asks.and_then(|known| (known.templates)(&mut reader));
        Settings { config, provider, templates, problems: reader.problems().to_vec() }
    }
}
