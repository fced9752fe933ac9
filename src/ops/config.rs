//! Every setting of the program, in one table.
//!
//! The table [`VARS`] gives names, flags, defaults and meanings; parsing, `mailroom help` and the
//! README all come from it. In scope: reading settings from flags, environment, files and systemd
//! credentials, and reporting all that is wrong with them at once. Out of scope: opening anything.

mod reader;
mod values;
mod vars;

use crate::edges::log;
use crate::edges::metrics::statsd::Place;
use crate::mail::kind::Templates;
use crate::mail::token::SigningKey;
use crate::queue::source::Retention;
#[cfg(feature = "smtp")]
use crate::send::smtp::Server;
pub use reader::Inputs;
use reader::Reader;
use std::path::PathBuf;
use std::time::Duration;
#[cfg(feature = "postmark")]
pub use values::ApiToken;
#[cfg(feature = "postmark")]
use values::api_token;
use values::{channel, config_set, duration, file_path, rate, retention, sender, web_url};
use vars::{QUEUE, SENDERS};
pub use vars::{VARS, Var, is_unknown};
use zeroize::Zeroizing;

/// When a delivery of `collect` is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// When it was written.
    Written,
    /// When `send` settled it.
    Sent,
}

/// The text that `collect` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// CSV records.
    Csv,
    /// CloudEvents.
    CloudEvents,
}

/// Who sends the mails.
#[derive(Clone, Debug)]
pub enum Provider {
    /// Amazon SES.
    Ses,
    /// An SMTP server.
    #[cfg(feature = "smtp")]
    Smtp(Server),
    /// Postmark, with its API token.
    #[cfg(feature = "postmark")]
    Postmark(ApiToken),
}

/// All settings of one command, checked. Secrets are not shown by `Debug`.
pub struct Config {
    /// Where the database is.
    pub database_url: Option<Zeroizing<String>>,
    /// The key to sign with.
    pub secret_key: Option<SigningKey>,
    /// The key before it.
    pub previous_key: Option<SigningKey>,
    /// Channel to listen on.
    pub channel: String,
    /// Queue to work on.
    pub queue: String,
    /// Between two rounds of maintenance.
    pub healthcheck: Duration,
    /// Until a partial batch is flushed.
    pub batch_timeout: Duration,
    /// Messages in a batch.
    pub batch_limit: usize,
    /// When a delivery is settled.
    pub ack: Ack,
    /// How long a claim stands.
    pub lease: Duration,
    /// Tries before a delivery is failed.
    pub max_attempts: u32,
    /// How long settled deliveries are kept.
    pub retention: Retention,
    /// What `collect` writes.
    pub format: Format,
    /// The provider's name: `ses`, `smtp` or `postmark`.
    pub transport: &'static str,
    /// Who sends; SES for a command that sends nothing.
    pub provider: Provider,
    /// Print instead of sending.
    pub debug: bool,
    /// SES configuration set.
    pub config_set: String,
    /// From address.
    pub source: String,
    /// Where responses and undelivered messages are kept.
    pub output: PathBuf,
    /// Template of each action.
    pub templates: Templates,
    /// Where the templates' files are.
    pub template_dir: PathBuf,
    /// Where Postmark's API is.
    pub postmark_url: String,
    /// Recipients a second.
    pub send_rate: f64,
    /// Recipients in 24 hours.
    pub daily_limit: Option<u64>,
    /// How long mail may be due.
    pub max_age: Duration,
    /// Where DogStatsD is.
    pub statsd: Option<Place>,
    /// Where numbers are kept for Prometheus.
    pub metrics_file: Option<PathBuf>,
    /// Shape of the log.
    pub log_format: log::Format,
    /// How much is logged.
    pub log_level: log::Level,
}

/// Who sends, with what that provider alone needs. The settings of the others are not looked
/// at: a half-configured spare is no reason not to start.
fn provider(r: &mut Reader<'_>, transport: &str) -> Provider {
    if !SENDERS.contains(&r.inputs.command) {
        return Provider::Ses;
    }
    match transport {
        #[cfg(feature = "smtp")]
        "smtp" => {
            let password = r.text("MAILROOM_SMTP_PASSWORD");
            let password = password.as_ref().map(|text| text.as_str());
            let parse = |url: &str| Server::parse(url, password);
            let server = r.required("MAILROOM_SMTP_URL", parse);
            server.map_or(Provider::Ses, Provider::Smtp)
        }
        #[cfg(feature = "postmark")]
        "postmark" => {
            let token = r.required("MAILROOM_POSTMARK_TOKEN", api_token);
            token.map_or(Provider::Ses, Provider::Postmark)
        }
        "ses" => Provider::Ses,
        left_out => {
            let what = "this mailroom was built without the cargo feature";
            r.problem("MAILROOM_TRANSPORT", format_args!("{what} `{left_out}`"));
            Provider::Ses
        }
    }
}

/// Whether a problem is one with this variable, or with its file.
pub fn is_about(problem: &str, name: &str) -> bool {
    // All of the name counts: names begin like others.
    problem.split(':').next().is_some_and(|of| of.trim_end_matches("_FILE") == name)
}

impl Config {
    /// Reads and checks all settings that `inputs.command` uses. Gives beside them all that is
    /// wrong, `NAME: what` each: a setting that is wrong has its default, or nothing, and must not
    /// be relied on (see [`is_about`]).
    pub fn read(inputs: &Inputs<'_>) -> (Config, Vec<String>) {
        let mut r = Reader { inputs, problems: Vec::new() };
        let flags = [("false", false), ("true", true)];
        let transports = [("ses", "ses"), ("smtp", "smtp"), ("postmark", "postmark")];
        let transport = r.choice("MAILROOM_TRANSPORT", &transports);
        let config = Config {
            log_format: r.choice(
                "MAILROOM_LOG_FORMAT",
                &[("text", log::Format::Text), ("json", log::Format::Json)],
            ),
            log_level: r.choice(
                "MAILROOM_LOG_LEVEL",
                &[
                    ("info", log::Level::Info),
                    ("error", log::Level::Error),
                    ("warn", log::Level::Warn),
                    ("debug", log::Level::Debug),
                ],
            ),
            database_url: r.text("MAILROOM_DATABASE_URL"),
            secret_key: r.parsed("MAILROOM_SECRET_KEY", SigningKey::from_hex),
            previous_key: r.parsed("MAILROOM_SECRET_KEY_PREVIOUS", SigningKey::from_hex),
            channel: r.parsed("MAILROOM_CHANNEL_NAME", channel).unwrap_or_default(),
            queue: r.name("MAILROOM_QUEUE_NAME"),
            healthcheck: r.millis("MAILROOM_HEALTHCHECK_INTERVAL"),
            max_age: r.parsed("MAILROOM_HEALTH_MAX_AGE", duration).unwrap_or_default(),
            batch_timeout: r.millis("MAILROOM_BATCH_TIMEOUT"),
            batch_limit: usize::try_from(r.number("MAILROOM_BATCH_LIMIT", 1, 50)).unwrap_or(50),
            ack: r.choice("MAILROOM_ACK", &[("written", Ack::Written), ("sent", Ack::Sent)]),
            lease: r.millis("MAILROOM_LEASE"),
            max_attempts: u32::try_from(r.number("MAILROOM_MAX_ATTEMPTS", 1, 1000)).unwrap_or(5),
            retention: r.parsed("MAILROOM_RETENTION", retention).unwrap_or(Retention::Forever),
            format: r.choice(
                "MAILROOM_FORMAT",
                &[("csv", Format::Csv), ("cloudevents", Format::CloudEvents)],
            ),
            transport,
            provider: provider(&mut r, transport),
            debug: r.choice("MAILROOM_DEBUG", &flags),
            config_set: r
                .text("MAILROOM_SES_CONFIG_SET")
                .map_or_else(String::new, |set| set.to_string()),
            source: r.name("MAILROOM_SES_SOURCE"),
            output: PathBuf::from(r.name("MAILROOM_SES_OUTPUT_PATH")),
            templates: r.parsed("MAILROOM_TEMPLATES", Templates::parse).unwrap_or_default(),
            template_dir: PathBuf::from(r.name("MAILROOM_TEMPLATE_DIR")),
            postmark_url: r.parsed("MAILROOM_POSTMARK_URL", web_url).unwrap_or_default(),
            send_rate: r.parsed("MAILROOM_SEND_RATE", rate).unwrap_or(1.0),
            daily_limit: r.parsed("MAILROOM_DAILY_LIMIT", |text| {
                let number = text.parse().ok().filter(|limit| *limit > 0);
                number.ok_or_else(|| "must be a whole number, at least 1".to_owned())
            }),
            statsd: r.parsed("MAILROOM_STATSD", Place::parse),
            metrics_file: r.parsed("MAILROOM_METRICS_FILE", file_path),
        };
        config.check_together(&mut r);
        (config, r.problems)
    }

    /// What is required, and what must fit together.
    fn check_together(&self, r: &mut Reader<'_>) {
        let command = r.inputs.command;
        let used =
            |name: &str| VARS.iter().any(|var| var.name == name && var.used_by.contains(&command));
        let needs_database = match command {
            "send" => self.ack == Ack::Sent,
            _ => used("MAILROOM_DATABASE_URL"),
        };
        let mentioned =
            |r: &Reader<'_>, name: &str| r.problems.iter().any(|problem| is_about(problem, name));
        let url = self.database_url.as_ref().map_or("", |url| url.as_str());
        if needs_database && url.is_empty() && !mentioned(r, "MAILROOM_DATABASE_URL") {
            r.problem("MAILROOM_DATABASE_URL", "is required: a libpq connection string");
        }
        if used("MAILROOM_SECRET_KEY")
            && self.secret_key.is_none()
            && !mentioned(r, "MAILROOM_SECRET_KEY")
        {
            r.problem("MAILROOM_SECRET_KEY", "is required: 64 hexadecimal digits");
        }
        if QUEUE.contains(&command)
            && self.healthcheck < self.batch_timeout
            && !mentioned(r, "MAILROOM_HEALTHCHECK_INTERVAL")
        {
            r.problem(
                "MAILROOM_HEALTHCHECK_INTERVAL",
                format_args!(
                    "must not be less than MAILROOM_BATCH_TIMEOUT ({} ms)",
                    self.batch_timeout.as_millis()
                ),
            );
        }
        if (command == "health" || command == "status")
            && self.max_age <= self.batch_timeout
            && !mentioned(r, "MAILROOM_HEALTH_MAX_AGE")
        {
            let least = self.batch_timeout.as_millis();
            let why = format_args!("must be more than MAILROOM_BATCH_TIMEOUT ({least} ms)");
            r.problem("MAILROOM_HEALTH_MAX_AGE", why);
        }
        if SENDERS.contains(&command)
            && !self.source.is_empty()
            && let Err(why) = sender(&self.source)
        {
            r.problem("MAILROOM_SES_SOURCE", why);
        }
        if SENDERS.contains(&command)
            && self.transport == "ses"
            && !self.config_set.is_empty()
            && let Err(why) = config_set(&self.config_set)
        {
            r.problem("MAILROOM_SES_CONFIG_SET", why);
        }
    }
}
