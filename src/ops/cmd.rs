//! The commands: each builds its parts from the configuration, runs them, and reports.

mod check;
mod collect;
mod health;
mod metrics;
mod migrate;
mod queue;
mod run;
mod send;
mod status;
mod template;
mod transports;
mod verify;

use crate::edges::aws::credentials::Keeper;
use crate::edges::aws::credentials::source::{Failure, Outside};
use crate::edges::aws::endpoint::Endpoint;
use crate::edges::aws::shared::Shared;
use crate::edges::http::Http;
use crate::edges::log;
use crate::edges::pg::conninfo;
use crate::edges::pg::fault::Fault;
use crate::edges::pg::session::Session;
use crate::edges::pg::target::Target;
use crate::edges::stop::Stop;
use crate::edges::{pg as db, signal, systemd as notify};
use crate::mail::counts::Metrics;
use crate::mail::error::{Error, Kind};
use crate::mail::pace::Pace;
use crate::ops::cli;
use crate::ops::cli::Command;
use crate::ops::config::{Config, Inputs, is_about, is_unknown};
use crate::ops::screen::Look;
use crate::pump::system_clock;
use crate::queue::link;
use crate::queue::link::Link;
use crate::queue::operate;
use crate::queue::schema;
use crate::queue::source::{OnAccept, Retention, Settings};
use crate::send::WORST;
use crate::send::ses::client::Client;
use metrics::metrics;
use std::ffi::OsString;
use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;
#[cfg(feature = "postmark")]
use template::unknown;
use template::{Calls, examine, names, used_by};
use transports::{transport, unit};

/// Runs the program with these words after its name.
///
/// # Errors
/// Why it ends other than well; `main` prints it and gives its exit status.
pub fn main(words: Vec<OsString>) -> Result<(), Error> {
    let parsed = cli::parse(words)?;
    match parsed.command {
        Command::Help(command) => return print(&cli::help(command)),
        Command::Version => return print(&format!("mailroom {}\n", env!("CARGO_PKG_VERSION"))),
        _ => {}
    }
    let inputs =
        Inputs { command: parsed.name, flags: &parsed.flags, env: &|name| std::env::var_os(name) };
    if let Command::Check { json } = parsed.command {
        let (config, problems) = Config::read(&inputs);
        return check::run(&config, &problems, json, &Stop::new());
    }
    let (config, mut problems) = Config::read(&inputs);
    // First, so that what is wrong is told in the shape that is wished.
    log::configure(config.log_level, config.log_format);
    let stop = Stop::new();
    if !matches!(parsed.command, Command::Verify { .. }) {
        for name in strangers() {
            let (tag, command) = (parsed.name.to_ascii_uppercase(), parsed.name);
            log::warn(
                &tag,
                format_args!("{name} is no setting; mailroom help {command} lists them"),
            );
        }
    }
    if !problems.is_empty() {
        problems.extend(more_problems(&config, &parsed.command, &problems, &stop));
        return Err(Error::config(problems.join("\n")));
    }
    match parsed.command {
        Command::Collect => collect::run(&config, &stop),
        Command::Send => send::run(&config, &stop),
        Command::Run => run::run(&config, &stop),
        Command::Migrate(what) => migrate::run(&config, what, &stop),
        Command::Template(what) => template::run(&config, &what, &stop),
        Command::Status { json, watch, exit_code } => {
            status::run(&config, status::Wanted { json, watch, exit_code }, &stop)
        }
        Command::Queue(what) => queue::run(&config, what, &stop),
        Command::Health => health::run(&config, &stop),
        Command::Verify { token, code, paths } => verify::run(&config, token, code, &paths),
        Command::Check { .. } | Command::Help(_) | Command::Version => Ok(()),
    }
}

/// What is wrong besides with what is read when it is needed: told with the others.
fn more_problems(
    config: &Config,
    command: &Command,
    problems: &[String],
    stop: &Stop,
) -> Vec<String> {
    let sound = |names: &[&str]| {
        !problems.iter().any(|problem| names.iter().any(|name| is_about(problem, name)))
    };
    let mut more = Vec::new();
    if config.database_url.is_some() && sound(&["MAILROOM_DATABASE_URL"]) {
        more.extend(target(config).err().map(|error| error.message));
    }
    if matches!(command, Command::Send | Command::Run) && sound(TRANSPORT) {
        more.extend(transports::problems(config, stop));
    }
    more
}

/// What has to be right before a transport can tell what is wrong with it.
const TRANSPORT: &[&str] =
    &["MAILROOM_TRANSPORT", "MAILROOM_SMTP_URL", "MAILROOM_POSTMARK_TOKEN", "MAILROOM_TEMPLATES"];

/// Writes to standard output, where a reader that is gone is an error like any other.
fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Error::io("writing to standard output failed", error))
}

/// What standard output is: <https://no-color.org> for the colours.
fn look() -> Look {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let columns = || set("COLUMNS").and_then(|text| text.parse().ok());
    Look {
        width: size().map(|(columns, _)| columns).or_else(columns).unwrap_or(80),
        colour: std::io::stdout().is_terminal()
            && set("NO_COLOR").is_none()
            && set("TERM").is_none_or(|term| term != "dumb"),
    }
}

/// As [`look`]; what no person looks at directly is not cut.
fn look_whole() -> Look {
    let seen = std::io::stdout().is_terminal() || env("COLUMNS").is_some();
    Look { width: if seen { look().width } else { usize::MAX }, ..look() }
}

/// Columns and rows of the terminal, if it is one that knows.
fn size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Variables that look like settings and are none: a misspelt one would be silent otherwise.
fn strangers() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| is_unknown(name)).collect()
}

/// A file of our own on a standard stream, without the buffering of the standard library.
fn stream(stream: impl std::os::fd::AsFd) -> Result<File, Error> {
    let owned = stream.as_fd().try_clone_to_owned();
    owned.map(File::from).map_err(|error| Error::io("a standard stream is not open", error))
}

/// Installs the signal handlers of a daemon, and opens the way to the service manager, if there is
/// one. `overdue` is the exit status if something holds it up for too long after the request to
/// stop: 0 where a database leases the deliveries.
fn become_daemon(stop: &Stop, overdue: u8) -> Result<(), Error> {
    // Leases are told apart by random numbers. Where there are some now, there always are:
    // <https://man7.org/linux/man-pages/man2/getrandom.2.html>
    getrandom::u64()
        .map_err(|error| Error::new(Kind::Bug, format!("there are no random numbers: {error}")))?;
    if let Err(why) = notify::configure(&env) {
        log::warn("RUN", format_args!("{why}; the service manager is not told how we are"));
    }
    signal::install(stop, overdue).map_err(|why| Error::new(Kind::Bug, why))
}

/// Where the database is.
fn target(config: &Config) -> Result<Target, Error> {
    let url = config.database_url.as_ref().map(|url| url.as_str()).unwrap_or_default();
    conninfo::parse(url, &env).map_err(|error| {
        let of_the_string = error.message.starts_with("connection string");
        let name = if of_the_string { "MAILROOM_DATABASE_URL: " } else { "" };
        Error::new(error.kind, format!("{name}{}", error.message))
    })
}

/// How long each step of a command that runs once may take: to connect, to be answered.
const STEP: Duration = Duration::from_secs(5);

/// A connection for `command`, which runs once, to a database that has the schema and the queue.
fn session(config: &Config, command: &str, stop: &Stop) -> Result<Session, Error> {
    let mut target = target(config)?;
    target.name(command);
    target.hurry(STEP);
    let mut session = db::connect(&target, stop).map_err(unusable)?;
    let queue = config.queue.as_str();
    let sound = session.call(STEP, |client| {
        let current = schema::require_current(client);
        let exists = match &current {
            Ok(()) => operate::exists(client, queue)?,
            Err(_) => true,
        };
        Ok(current.map(|()| exists))
    });
    match sound.map_err(unusable)?? {
        true => Ok(session),
        false => Err(Error::config(format!(
            "there is no queue {queue:?}: MAILROOM_QUEUE_NAME must be a value of the type \
             job_type with a row in the table jobs"
        ))),
    }
}

/// What a fault of the database means for a command that runs once.
fn unusable(fault: Fault) -> Error {
    match fault {
        Fault::Denied(text) => Error::config(text),
        Fault::Lost(text) | Fault::Statement(text) => Error::new(Kind::Unavailable, text),
    }
}

/// A link to the database for the queue; listens if there is a channel.
fn link(
    config: &Config,
    command: &str,
    channel: Option<&str>,
    metrics: &Metrics,
    stop: &Stop,
) -> Result<Link, Error> {
    let mut target = target(config)?;
    target.name(command);
    target.write();
    for warning in &target.warnings {
        log::warn("PG", warning);
    }
    let settings = link::Settings {
        queue: config.queue.clone(),
        channel: channel.map(str::to_owned),
        deletes: config.retention != Retention::Forever && channel.is_some(),
        target: target.to_string(),
    };
    let token = stop.clone();
    let open = Box::new(move || db::connect(&target, &token));
    let link = Link::new(open, settings, stop.clone(), system_clock());
    Ok(link.with_metrics(metrics.clone()))
}

/// How the queue is worked.
fn queue_settings(config: &Config, holder: &'static str, on_accept: OnAccept) -> Settings {
    Settings {
        limit: config.batch_limit,
        timeout: config.batch_timeout,
        healthcheck: config.healthcheck,
        lease: config.lease,
        retention: config.retention,
        max_attempts: config.max_attempts,
        on_accept,
        daily_limit: None,
        holder,
    }
}

/// What is wrong with the lease, if a batch can outlast it.
fn short_lease(config: &Config) -> Option<String> {
    (config.lease < WORST).then(|| {
        format!(
            "MAILROOM_LEASE ({} ms) is shorter than a batch may take ({} ms): a slow provider \
             could get mails twice",
            config.lease.as_millis(),
            WORST.as_millis()
        )
    })
}

/// Says it in the log of a command that settles what it sends.
fn warn_of_short_lease(config: &Config) {
    if let Some(why) = short_lease(config) {
        log::warn("PG", why);
    }
}

/// The line that both collecting commands begin with.
fn log_configured(config: &Config) {
    log::info(
        "PG",
        format_args!(
            "configured; channel={} queue={} limit={} timeout={}ms healthcheck-interval={}ms",
            config.channel,
            config.queue,
            config.batch_limit,
            config.batch_timeout.as_millis(),
            config.healthcheck.as_millis()
        ),
    );
}

/// The way to AWS, and who we are there.
fn account(stop: &Stop) -> Result<(Http, Keeper), Error> {
    let shared = Shared::read(&env).map_err(Error::config)?;
    let variables = |name: &str| shared.setting(name);
    let http = Http::new(&variables, stop.clone()).map_err(Error::config)?;
    let keeper = Keeper::new(Outside {
        variables: Box::new(env),
        http: http.clone(),
        wall: Box::new(system_clock().wall),
        now: Box::new(system_clock().now),
        stop: stop.clone(),
        clean: crate::mail::policy::clean,
    });
    Ok((http, keeper))
}

/// Calls to the API of SES besides sending.
fn ses_client(stop: &Stop) -> Result<Client, Error> {
    let endpoint = Endpoint::read(&env).map_err(Error::config)?;
    let (http, mut keeper) = account(stop)?;
    keeper.get().map_err(|failure| match failure {
        Failure::Setup(why) => Error::config(why),
        Failure::Passing(why) => Error::new(Kind::Temporary, why),
    })?;
    Ok(Client::new(endpoint, http, keeper, Box::new(system_clock().wall)))
}

/// The pace of a provider.
fn pace(config: &Config, limit: usize) -> Pace {
    Pace::new(limit, config.send_rate, config.daily_limit)
}
