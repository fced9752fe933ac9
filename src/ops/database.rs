//! The database that the settings name, as each command needs it.

use crate::edges::log;
use crate::edges::pg;
use crate::edges::pg::conninfo;
use crate::edges::pg::fault::Fault;
use crate::edges::pg::session::Session;
use crate::edges::pg::target::Target;
use crate::edges::stop::Stop;
use crate::mail::counts::Metrics;
use crate::mail::error::{Error, Kind};
use crate::ops::config::Config;
use crate::ops::environment::{env, secret};
use crate::pump::system_clock;
use crate::queue::fit;
use crate::queue::fit::{Finding, Purpose};
use crate::queue::link::Link;
use std::time::Duration;

/// Where the database is.
pub fn target(config: &Config) -> Result<Target, Error> {
    parse(config.database_url.as_ref().map(|url| url.as_str()).unwrap_or_default())
}

/// Reads a connection string, and the files that it leads to.
fn parse(url: &str) -> Result<Target, Error> {
    conninfo::parse(url, &env).map_err(|why| {
        let of_the_string = why.starts_with("connection string");
        Error::config(if of_the_string { format!("MAILROOM_DATABASE_URL: {why}") } else { why })
    })
}

/// How long each step of a command that runs once may take: to connect, to be answered.
pub const STEP: Duration = Duration::from_secs(5);

/// The same for statements that read or change many rows; the server's own limit is shorter.
pub const LONG: Duration = Duration::from_secs(30);

/// A connection for `command`, which runs once.
pub fn open(config: &Config, command: &str, stop: &Stop) -> Result<Session, Error> {
    let mut target = target(config)?;
    target.name(command);
    target.hurry(STEP);
    Ok(pg::connect(&target, stop)?)
}

/// What is found in a database that is only looked at, or where single deliveries are changed.
///
/// # Errors
/// It cannot be asked, or has no such schema or queue.
pub fn inspect(config: &Config, session: &mut Session) -> Result<Vec<Finding>, Error> {
    let queue = config.queue.clone();
    let purpose = Purpose { queue, ..Purpose::default() };
    let found = fit::inspect(session, STEP, &purpose)?;
    fit::refuse(&found).map_err(Error::config)?;
    Ok(found)
}

/// A connection for `command`, which runs once, to a database that has the schema and the queue.
pub fn session(config: &Config, command: &str, stop: &Stop) -> Result<Session, Error> {
    let mut session = open(config, command, stop)?;
    inspect(config, &mut session)?;
    Ok(session)
}

/// What a fault of the database means for a command that runs once.
impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        match fault {
            Fault::Denied(text) => Error::config(text),
            Fault::Lost(text) | Fault::Statement(text) => Error::new(Kind::Unavailable, text),
        }
    }
}

/// What is needed of a database whose queue is worked, and listened to if there is a channel.
pub fn purpose(config: &Config, channel: Option<&str>) -> Purpose {
    Purpose {
        queue: config.queue.clone(),
        channel: channel.map(str::to_owned),
        works: true,
        deletes: config.retention.is_some() && channel.is_some(),
        poll: config.poll,
    }
}

/// A link to the database for the queue; listens if there is a channel.
pub fn link(
    config: &Config,
    command: &str,
    channel: Option<&str>,
    metrics: &Metrics,
    stop: &Stop,
) -> Result<Link, Error> {
    let (known, command) = (config.database_url.clone(), command.to_owned());
    // Passwords are renewed in their files, so each connection reads these anew.
    let aim = move || {
        let url = secret("MAILROOM_DATABASE_URL").or_else(|| known.clone());
        let mut target = parse(url.as_ref().map(|url| url.as_str()).unwrap_or_default())?;
        target.name(&command);
        target.write();
        Ok::<_, Error>(target)
    };
    let target = aim()?;
    if let Some(warning) = &target.warning {
        log::warn("PG", warning);
    }
    let (purpose, token) = (purpose(config, channel), stop.clone());
    let open = Box::new(move || {
        let target = aim().map_err(|error| Fault::Lost(error.message))?;
        pg::reach(&target, &token)
    });
    Ok(Link::new(open, purpose, target.to_string(), metrics.clone(), stop.clone(), system_clock()))
}
