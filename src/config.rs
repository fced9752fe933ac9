//! Every setting of the program, in one table.
//!
//! The table [`VARS`] gives names, flags, defaults and meanings; parsing, `mailroom help` and the
//! README all come from it. In scope: reading settings from flags, environment, files and systemd
//! credentials, and reporting all that is wrong with them at once. Out of scope: opening anything.

mod values;

use crate::error::Error;
use crate::log;
use crate::source::queue::Retention;
use crate::template::Templates;
use crate::token::SigningKey;
use std::path::{Path, PathBuf};
use std::time::Duration;
use values::{channel, duration, rate, retention, sender};
use zeroize::Zeroizing;

/// One setting.
#[derive(Debug)]
pub struct Var {
    /// The environment variable.
    pub name: &'static str,
    /// The flag, with its dashes; `None` for a secret, which never stands on a command line.
    pub flag: Option<&'static str>,
    /// The value if none is given; `None`: required, or off.
    pub default: Option<&'static str>,
    /// The commands that read it.
    pub used_by: &'static [&'static str],
    /// What it means, in one line.
    pub meaning: &'static str,
}

impl Var {
    /// Whether its value must not be shown and may come from a file.
    pub fn is_secret(&self) -> bool {
        self.flag.is_none()
    }
}

const fn var(
    name: &'static str,
    flag: Option<&'static str>,
    default: Option<&'static str>,
    used_by: &'static [&'static str],
    meaning: &'static str,
) -> Var {
    Var { name, flag, default, used_by, meaning }
}

const ALL: &[&str] = &["collect", "send", "run", "migrate", "verify", "status", "queue", "health"];
const QUEUE: &[&str] = &["collect", "run"];
const SENDERS: &[&str] = &["send", "run"];

/// All settings, in the order of the documents.
#[rustfmt::skip]
pub const VARS: &[Var] = &[
    var("MAILROOM_DATABASE_URL", None, None, &["collect", "run", "migrate", "status", "queue", "health", "send"], "libpq connection string, keyword/value or URI; `send` needs it only with MAILROOM_ACK=sent"),
    var("MAILROOM_SECRET_KEY", None, None, &["collect", "run", "verify"], "64 hexadecimal digits: the HMAC key"),
    var("MAILROOM_SECRET_KEY_PREVIOUS", None, None, &["verify"], "a retired key that `verify` still accepts"),
    var("MAILROOM_CHANNEL_NAME", Some("--channel-name"), Some("token_insert"), &["collect", "run", "queue"], "channel to LISTEN on; `queue` wakes its listeners"),
    var("MAILROOM_QUEUE_NAME", Some("--queue-name"), Some("mailroom"), &["collect", "run", "send", "status", "queue", "health"], "queue whose deliveries are taken: a value of the type job_type"),
    var("MAILROOM_HEALTHCHECK_INTERVAL", Some("--healthcheck-interval"), Some("270000"), QUEUE, "ms between probes of the connection; then also leases are rescued, old rows pruned, missed work looked for"),
    var("MAILROOM_BATCH_TIMEOUT", Some("--batch-timeout"), Some("5000"), &["collect", "run", "health"], "ms from the first waiting notification to the flush of a partial batch"),
    var("MAILROOM_BATCH_LIMIT", Some("--batch-limit"), Some("10"), QUEUE, "messages in a batch, 1 to 50"),
    var("MAILROOM_ACK", Some("--ack"), Some("written"), &["collect", "send"], "`written`: a batch is settled when it was written to stdout; `sent`: when `send` settled it in the database"),
    var("MAILROOM_LEASE", Some("--lease"), Some("120000"), &["collect", "run", "send"], "ms a claimed delivery stays ours before it may be claimed again"),
    var("MAILROOM_MAX_ATTEMPTS", Some("--max-attempts"), Some("5"), SENDERS, "tries before a delivery is failed"),
    var("MAILROOM_RETENTION", Some("--retention"), Some("30d"), QUEUE, "how long settled deliveries are kept: 90s, 15m, 12h, 30d; `0` deletes at once, `forever` keeps all"),
    var("MAILROOM_FORMAT", Some("--format"), Some("csv"), &["collect"], "`csv`, or `cloudevents`: one CloudEvents 1.0 JSON object a line"),
    var("MAILROOM_TRANSPORT", Some("--transport"), Some("ses"), SENDERS, "provider: `ses`"),
    var("MAILROOM_DEBUG", Some("--debug"), Some("false"), SENDERS, "`true`: print the requests that would be made to stdout, send nothing"),
    var("MAILROOM_SES_CONFIG_SET", Some("--ses-config-set"), Some("default"), SENDERS, "SES configuration set"),
    var("MAILROOM_SES_SOURCE", Some("--ses-source"), Some("noreply@localhost"), SENDERS, "From address"),
    var("MAILROOM_SES_OUTPUT_PATH", Some("--ses-output-path"), Some("./output"), SENDERS, "directory for provider responses that were not a plain success, and for undelivered.csv"),
    var("MAILROOM_TEMPLATES", Some("--templates"), Some("1=activationv1,2=passwordrecoveryv1"), SENDERS, "provider template for each action number"),
    var("MAILROOM_SEND_RATE", Some("--send-rate"), Some("50"), SENDERS, "recipients a second, sustained; burst of one batch"),
    var("MAILROOM_DAILY_LIMIT", Some("--daily-limit"), None, SENDERS, "recipients in any 24 hours"),
    var("MAILROOM_HEALTH_MAX_AGE", Some("--max-age"), Some("10m"), &["health", "status"], "how long mail may be due before something is wrong: 90s, 10m, 1h; more than MAILROOM_BATCH_TIMEOUT, less than tokens live"),
    var("MAILROOM_LOG_FORMAT", Some("--log-format"), Some("text"), ALL, "`text` or `json`"),
    var("MAILROOM_LOG_LEVEL", Some("--log-level"), Some("info"), ALL, "`error`, `warn`, `info` or `debug`; debug shows addresses in full"),
];

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
    /// Recipients a second.
    pub send_rate: f64,
    /// Recipients in 24 hours.
    pub daily_limit: Option<u64>,
    /// How long mail may be due.
    pub max_age: Duration,
    /// Shape of the log.
    pub log_format: log::Format,
    /// How much is logged.
    pub log_level: log::Level,
}

/// Where values come from: flags before environment before defaults.
pub struct Inputs<'a> {
    /// The command, which decides what is read.
    pub command: &'a str,
    /// Values of flags, by variable name.
    pub flags: &'a [(&'static str, String)],
    /// The environment; a value that is not UTF-8 is an error there.
    pub env: &'a dyn Fn(&str) -> Option<std::ffi::OsString>,
}

struct Reader<'a> {
    inputs: &'a Inputs<'a>,
    problems: Vec<String>,
}

impl Reader<'_> {
    fn problem(&mut self, name: &str, what: impl std::fmt::Display) {
        self.problems.push(format!("{name}: {what}"));
    }

    fn env(&mut self, name: &str) -> Option<Zeroizing<String>> {
        match (self.inputs.env)(name)?.into_string() {
            Ok(value) => Some(Zeroizing::new(value)),
            Err(_) => {
                self.problem(name, "is not UTF-8");
                None
            }
        }
    }

    /// The text of a variable, if its command reads it and somebody set it or it has a default.
    fn text(&mut self, name: &'static str) -> Option<Zeroizing<String>> {
        let var = VARS.iter().find(|var| var.name == name)?;
        if !var.used_by.contains(&self.inputs.command) {
            return var.default.map(|value| Zeroizing::new(value.to_owned()));
        }
        if let Some((_, value)) = self.inputs.flags.iter().find(|(flag, _)| *flag == name) {
            return Some(Zeroizing::new(value.clone()));
        }
        let direct = self.env(name);
        if !var.is_secret() {
            return direct.or_else(|| var.default.map(|value| Zeroizing::new(value.to_owned())));
        }
        let file_name = format!("{name}_FILE");
        let file = self.env(&file_name);
        match (direct, file) {
            (Some(_), Some(_)) => {
                self.problem(name, format_args!("set it or {file_name}, not both"));
                None
            }
            (Some(value), None) => Some(value),
            (None, Some(path)) => self.file(&file_name, Path::new(path.as_str())),
            (None, None) => {
                let directory = self.env("CREDENTIALS_DIRECTORY")?;
                let path = Path::new(directory.as_str()).join(name);
                if path.exists() { self.file(name, &path) } else { None }
            }
        }
    }

    fn file(&mut self, name: &str, path: &Path) -> Option<Zeroizing<String>> {
        let text = match std::fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => Zeroizing::new(text),
            Ok(Err(_)) => {
                self.problem(name, format_args!("{} is not UTF-8", path.display()));
                return None;
            }
            Err(error) => {
                self.problem(name, format_args!("cannot read {}: {error}", path.display()));
                return None;
            }
        };
        let trimmed = text.strip_suffix('\n').unwrap_or(&text);
        Some(Zeroizing::new(trimmed.strip_suffix('\r').unwrap_or(trimmed).to_owned()))
    }

    /// A value that `parse` understands. What it refuses is reported; the text is shown, unless
    /// the variable is a secret.
    fn parsed<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(name)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(why) => {
                let secret = VARS.iter().any(|var| var.name == name && var.is_secret());
                if secret {
                    self.problem(name, why);
                } else {
                    self.problem(name, format_args!("{why}, not {:?}", text.as_str()));
                }
                None
            }
        }
    }

    fn number(&mut self, name: &'static str, least: u64, most: u64) -> u64 {
        let parse = |text: &str| match text.parse::<u64>() {
            Ok(n) if (least..=most).contains(&n) => Ok(n),
            _ => Err(format!("must be a whole number from {least} to {most}")),
        };
        self.parsed(name, parse).unwrap_or(least)
    }

    fn millis(&mut self, name: &'static str) -> Duration {
        Duration::from_millis(self.number(name, 1, MONTH_MS))
    }

    fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> T {
        let parse = |text: &str| {
            let found = choices.iter().find(|(word, _)| *word == text);
            let words: Vec<String> = choices.iter().map(|(word, _)| format!("`{word}`")).collect();
            found.map(|(_, value)| *value).ok_or_else(|| format!("must be {}", words.join(" or ")))
        };
        self.parsed(name, parse).unwrap_or(choices[0].1)
    }

    fn name(&mut self, name: &'static str) -> String {
        let parse = |text: &str| match text {
            "" => Err("must not be empty".to_owned()),
            _ if text.contains('\0') => Err("must not hold a NUL".to_owned()),
            _ => Ok(text.to_owned()),
        };
        self.parsed(name, parse).unwrap_or_default()
    }
}

const MONTH_MS: u64 = 31 * 24 * 3600 * 1000;

impl Config {
    /// Reads and checks all settings that `inputs.command` uses.
    ///
    /// # Errors
    /// Everything that is wrong, a line each, by the name of the variable (exit 78).
    pub fn load(inputs: &Inputs<'_>) -> Result<Config, Error> {
        let mut r = Reader { inputs, problems: Vec::new() };
        let flags = [("false", false), ("true", true)];
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
            debug: {
                r.choice("MAILROOM_TRANSPORT", &[("ses", ())]);
                r.choice("MAILROOM_DEBUG", &flags)
            },
            config_set: r.name("MAILROOM_SES_CONFIG_SET"),
            source: r.name("MAILROOM_SES_SOURCE"),
            output: PathBuf::from(r.name("MAILROOM_SES_OUTPUT_PATH")),
            templates: r.parsed("MAILROOM_TEMPLATES", Templates::parse).unwrap_or_default(),
            send_rate: r.parsed("MAILROOM_SEND_RATE", rate).unwrap_or(1.0),
            daily_limit: r.parsed("MAILROOM_DAILY_LIMIT", |text| {
                text.parse().map_err(|_| "must be a whole number".to_owned())
            }),
        };
        config.check_together(&mut r);
        if r.problems.is_empty() { Ok(config) } else { Err(Error::config(r.problems.join("\n"))) }
    }

    /// What is required, and what must fit together.
    fn check_together(&self, r: &mut Reader<'_>) {
        let command = r.inputs.command;
        let needs_database = match command {
            "send" => self.ack == Ack::Sent,
            _ => VARS[0].used_by.contains(&command),
        };
        let mentioned =
            |r: &Reader<'_>, name: &str| r.problems.iter().any(|problem| problem.starts_with(name));
        if needs_database
            && self.database_url.as_ref().is_none_or(|url| url.is_empty())
            && !mentioned(r, VARS[0].name)
        {
            r.problem(VARS[0].name, "is required: a libpq connection string");
        }
        if VARS[1].used_by.contains(&command)
            && self.secret_key.is_none()
            && !mentioned(r, VARS[1].name)
        {
            r.problem(VARS[1].name, "is required: 64 hexadecimal digits");
        }
        if QUEUE.contains(&command) && self.healthcheck < self.batch_timeout {
            r.problem(
                "MAILROOM_HEALTHCHECK_INTERVAL",
                format_args!(
                    "must not be less than MAILROOM_BATCH_TIMEOUT ({} ms)",
                    self.batch_timeout.as_millis()
                ),
            );
        }
        if command == "health"
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
    }
}
