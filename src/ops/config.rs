//! Every setting of the program, in one table.
//!
//! The table makes three things: [`VARS`], from which come flags, `mailroom help`, docs/REFERENCE.md and
//! the completions; the fields of [`Config`]; and how they are read. A setting that only one
//! provider has stands in it without a field: the provider's file in `ops/provider/` reads it.
//!
//! In scope: reading settings from flags, environment, files and systemd credentials, and reporting
//! all that is wrong with them at once. Out of scope: opening anything.

pub mod envfile;
pub mod reader;
pub(crate) mod values;

use crate::edges::log::line;
use crate::edges::metrics::statsd::Place;
use crate::mail::kind::Templates;
use crate::mail::token::SigningKey;
use reader::{Reader, Var, optional, secret, setting};
use std::path::PathBuf;
use std::time::Duration;
use values::{
    at_least_one, channel, choice, duration, file_path, hidden, millis, name, number, path, period,
    rate, retention, sender, some,
};
use zeroize::Zeroizing;

/// When a delivery of `collect` is settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ack {
    /// When it was written.
    #[default]
    Written,
    /// When `send` settled it.
    Sent,
}

/// The text that goes through the pipe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// CSV records.
    #[default]
    Csv,
    /// CloudEvents.
    CloudEvents,
}

/// The commands with settings.
const ALL: &[&str] = &[
    "collect", "send", "run", "mail", "migrate", "verify", "template", "status", "queue", "list",
    "publish", "health", "check",
];
/// The commands that read the queue, and the one that checks what they need.
const QUEUE: &[&str] = &["collect", "run", "check"];
/// The commands that send, and the one that checks what they need.
pub const SENDERS: &[&str] = &["send", "run", "check"];

/// A row is a setting, `=>`, its field in [`Config`] and how its text is read.
macro_rules! settings {
    ($($var:expr $(=> $field:ident: $type:ty = $parse:expr)?;)*) => {
        /// All settings, in the order of the documents.
        pub const VARS: &[Var] = &[$($var),*];

        /// The settings of one command. Those that it does not read have their defaults.
        pub struct Config {
            $($(#[doc = concat!("The setting `", stringify!($field), "` of the table.")]
            pub $field: $type,)?)*
        }

        impl Config {
            /// Reads and checks all settings that the command of `reader` uses. What is wrong is
            /// kept there; such a setting has its default, or nothing, and must not be relied on.
            pub fn read(reader: &mut Reader<'_>) -> Config {
                let config = Config { $($($field: reader.value($var.name, $parse),)?)* };
                config.check_together(reader);
                config
            }
        }
    };
}

settings! {
    secret("MAILROOM_DATABASE_URL", &["collect", "run", "mail", "migrate", "status", "queue", "list", "publish", "health", "send", "check", "template"], "libpq connection string, keyword/value or URI; `send` needs it only with MAILROOM_ACK=sent, and `template` to know what data mails have") => database_url: Option<Zeroizing<String>> = some(hidden);
    secret("MAILROOM_SECRET_KEY", &["collect", "run", "verify", "check"], "64 hexadecimal digits: the HMAC key") => secret_key: Option<SigningKey> = some(SigningKey::from_hex);
    secret("MAILROOM_SECRET_KEY_PREVIOUS", &["verify", "check"], "a retired key that `verify` still accepts") => previous_key: Option<SigningKey> = some(SigningKey::from_hex);
    setting("MAILROOM_CHANNEL_NAME", "--channel-name", "token_insert", &["collect", "run", "queue", "check"], "channel to LISTEN on; `queue` wakes its listeners") => channel: String = channel;
    optional("MAILROOM_POLL", "--poll", &["collect", "run", "check"], "how often to look for mail that nobody notifies us of: 1s, 1m; without it, each second where `mailroom.notify` is `never` or a pooler lends connections for a transaction or asks a standby, else not at all") => poll: Option<Duration> = some(period);
    setting("MAILROOM_QUEUE_NAME", "--queue-name", "mailroom", &["collect", "run", "send", "status", "queue", "health", "check", "template"], "queue whose deliveries are taken: a value of the type job_type") => queue: String = name;
    setting("MAILROOM_HEALTHCHECK_INTERVAL", "--healthcheck-interval", "270000", QUEUE, "ms between probes of the connection; then also leases are rescued, old rows pruned, missed work looked for") => healthcheck: Duration = millis;
    setting("MAILROOM_BATCH_TIMEOUT", "--batch-timeout", "5000", &["collect", "run", "status", "health", "check"], "ms from the first waiting notification to the flush of a partial batch") => batch_timeout: Duration = millis;
    setting("MAILROOM_BATCH_LIMIT", "--batch-limit", "10", QUEUE, "messages in a batch, 1 to 50") => batch_limit: usize = number(1, 50);
    setting("MAILROOM_ACK", "--ack", "written", &["collect", "send", "check"], "`written`: a batch is settled when it was written to stdout; `sent`: when `send` settled it in the database") => ack: Ack = choice(&[("written", Ack::Written), ("sent", Ack::Sent)]);
    setting("MAILROOM_LEASE", "--lease", "120000", &["collect", "run", "send", "check"], "ms a claimed delivery stays ours before it may be claimed again; less than 110000 gives a warning: with a slow provider, one batch can take that long") => lease: Duration = millis;
    setting("MAILROOM_MAX_ATTEMPTS", "--max-attempts", "5", SENDERS, "tries before a delivery is failed; one that its recipient puts off is tried for four days") => max_attempts: u32 = number(1, 1000);
    setting("MAILROOM_END_TIMEOUT", "--end-timeout", "15m", &["send", "check"], "how long mails that wait for another try are tried after the end of the input: 90s, 15m, 12h; what is left then is kept in undelivered.csv, and the exit status is 75") => end_timeout: Duration = duration;
    setting("MAILROOM_RETENTION", "--retention", "30d", QUEUE, "how long settled deliveries are kept: 90s, 15m, 12h, 30d; `0` deletes at once (by `collect` with MAILROOM_ACK=sent: at its next healthcheck), `forever` keeps all") => retention: Option<Duration> = retention;
    setting("MAILROOM_FORMAT", "--format", "csv", &["collect", "send", "check"], "what goes through the pipe: `csv`, or `cloudevents`: one CloudEvents 1.0 JSON object a line") => format: Format = choice(&[("csv", Format::Csv), ("cloudevents", Format::CloudEvents)]);
    setting("MAILROOM_TRANSPORT", "--transport", "ses", &["send", "run", "template", "check"], "provider: `ses`, `smtp` or `postmark`");
    setting("MAILROOM_DEBUG", "--debug", "false", SENDERS, "`true`: print the requests that would be made to stdout, send nothing, and settle what was shown as sent") => debug: bool = choice(&[("false", false), ("true", true)]);
    setting("MAILROOM_SES_CONFIG_SET", "--ses-config-set", "default", SENDERS, "SES configuration set, which must exist there; empty: none");
    optional("MAILROOM_SES_TENANT", "--ses-tenant", SENDERS, "SES tenant to send through, with which the identity, the configuration set and the templates must be associated");
    optional("MAILROOM_SES_ENDPOINT_ID", "--ses-endpoint-id", SENDERS, "id of the SES endpoint of several regions (global endpoint) that mails go through");
    setting("MAILROOM_SES_SOURCE", "--ses-source", "noreply@localhost", SENDERS, "From address, with every provider: `a@example.com` or `Name <a@example.com>`") => source: String = sender;
    setting("MAILROOM_SES_OUTPUT_PATH", "--ses-output-path", "./output", SENDERS, "directory for provider responses that were not a plain success, and for undelivered.csv") => output: PathBuf = path;
    setting("MAILROOM_TEMPLATES", "--templates", "1=activationv1,2=passwordrecoveryv1", &["send", "run", "template", "check"], "templates of kinds, by their numbers: a name at SES, an alias at Postmark, or a name of files; kinds that are not listed have the one that the table kinds says") => templates: Templates = Templates::parse;
    secret("MAILROOM_SMTP_URL", SENDERS, "`smtps://user:password@host:465` or `smtp://host:587?tls=required`, `opportunistic` or `none`; `ca=FILE` and `helo=NAME` are taken too; required with `smtp`");
    secret("MAILROOM_SMTP_PASSWORD", SENDERS, "password of the user in MAILROOM_SMTP_URL, if that has none");
    secret("MAILROOM_SMTP_TOKEN", SENDERS, "OAuth 2.0 access token of the user in MAILROOM_SMTP_URL, for XOAUTH2 in place of a password");
    optional("MAILROOM_SMTP_TOKEN_COMMAND", "--smtp-token-command", SENDERS, "command that prints such a token; it is run without a shell at each connection");
    setting("MAILROOM_SMTP_CONNECTIONS", "--smtp-connections", "2", SENDERS, "the most connections to the SMTP server at a time, 1 to 50");
    setting("MAILROOM_SMTP_CONNECTION_MAILS", "--smtp-connection-mails", "10", SENDERS, "the most mails on one connection to the SMTP server, 1 to 100000; then another one is opened");
    setting("MAILROOM_TEMPLATE_DIR", "--template-dir", "./templates", &["send", "run", "template", "check"], "directory of NAME.subject, NAME.txt and NAME.html for each template, and of the images that the HTML names: `smtp` makes its mails from them, `postmark` takes the images, and `mailroom template` pushes them") => template_dir: PathBuf = path;
    secret("MAILROOM_POSTMARK_TOKEN", &["send", "run", "template", "check"], "API token of the Postmark server; required with `postmark`");
    setting("MAILROOM_POSTMARK_URL", "--postmark-url", "https://api.postmarkapp.com", &["send", "run", "template", "check"], "where Postmark's API is");
    setting("MAILROOM_SEND_RATE", "--send-rate", "50", &["send", "run", "publish", "check"], "recipients a second, sustained; no batch holds more than a second's worth; the provider's own quota counts where it is lower") => send_rate: f64 = rate;
    optional("MAILROOM_DAILY_LIMIT", "--daily-limit", &["send", "run", "publish", "check"], "recipients in any 24 hours. `run`: all processes on this database together; `send`: this process alone, with MAILROOM_ACK=sent also what the database has recorded. The provider's own quota counts where it is lower") => daily_limit: Option<u64> = some(at_least_one);
    setting("MAILROOM_BULK_SHARE", "--bulk-share", "80", &["run", "publish", "check"], "the part of the day's limit, in per cent, that issues of lists may use: 1 to 100; the rest is kept for other mail") => bulk_share: u8 = number(1, 100);
    optional("MAILROOM_STATSD", "--statsd", &["collect", "send", "run", "check"], "DogStatsD for metrics: `host:port` or `unix:///path`; DD_ENV, DD_SERVICE, DD_VERSION and DD_ENTITY_ID become tags") => statsd: Option<Place> = some(Place::parse);
    optional("MAILROOM_METRICS_FILE", "--metrics-file", &["collect", "send", "run", "check"], "file for metrics in the text format of Prometheus, one for each process: `/var/lib/node_exporter/mailroom.prom`") => metrics_file: Option<PathBuf> = some(file_path);
    setting("MAILROOM_HEALTH_MAX_AGE", "--max-age", "10m", &["collect", "run", "health", "status", "check"], "how long mail may be due before something is wrong: 90s, 10m, 1h; more than MAILROOM_BATCH_TIMEOUT, less than tokens live") => max_age: Duration = duration;
    setting("MAILROOM_LOG_FORMAT", "--log-format", "text", ALL, "`text` or `json`") => log_format: line::Format = choice(&[("text", line::Format::Text), ("json", line::Format::Json)]);
    setting("MAILROOM_LOG_LEVEL", "--log-level", "info", ALL, "`error`, `warn`, `info` or `debug`; debug shows addresses in full") => log_level: line::Level = choice(&[("info", line::Level::Info), ("error", line::Level::Error), ("warn", line::Level::Warn), ("debug", line::Level::Debug)]);
}

impl Config {
    /// What is required, and what must fit together.
    fn check_together(&self, reader: &mut Reader<'_>) {
        let used = |reader: &Reader<'_>, name| {
            reader.var(name).is_some_and(|var| var.used_by.contains(&reader.command()))
        };
        let needs_database = match reader.command() {
            "send" => self.ack == Ack::Sent,
            "template" => false,
            _ => used(reader, "MAILROOM_DATABASE_URL"),
        };
        let url = self.database_url.as_ref().map_or("", |url| url.as_str());
        if needs_database && url.is_empty() {
            reader.also("MAILROOM_DATABASE_URL", "is required: a libpq connection string");
        }
        if used(reader, "MAILROOM_SECRET_KEY") && self.secret_key.is_none() {
            reader.also("MAILROOM_SECRET_KEY", "is required: 64 hexadecimal digits");
        }
        let least = self.batch_timeout.as_millis();
        if QUEUE.contains(&reader.command()) && self.healthcheck < self.batch_timeout {
            let why = format_args!("must not be less than MAILROOM_BATCH_TIMEOUT ({least} ms)");
            reader.also("MAILROOM_HEALTHCHECK_INTERVAL", why);
        }
        if ["health", "status"].contains(&reader.command()) && self.max_age <= self.batch_timeout {
            let why = format_args!("must be more than MAILROOM_BATCH_TIMEOUT ({least} ms)");
            reader.also("MAILROOM_HEALTH_MAX_AGE", why);
        }
    }
}

/// Whether a variable looks like a setting and is none. A container manager may make some of its own
/// where there is a service of our name. In a file, what a shell would take counts as part of the name:
/// `export NAME`.
pub fn is_unknown(name: &str) -> bool {
    let mut words = name.split(|c: char| !c.is_ascii_graphic());
    let ours = words.any(|word| word.starts_with("MAILROOM_"))
        && !["MAILROOM_PORT", "MAILROOM_SERVICE_"].iter().any(|theirs| name.starts_with(theirs));
    let known = |var: &Var| {
        name == var.name || var.is_secret() && name.strip_suffix("_FILE") == Some(var.name)
    };
    ours && !VARS.iter().any(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_that_is_taken() {
        for command in ALL {
            let inputs = reader::Inputs { command, flags: &[], env: &|_| None };
            let mut reader = Reader::new(&inputs, VARS);
            Config::read(&mut reader);
            let problems = reader.problems();
            assert!(problems.iter().all(|why| why.contains("is required")), "{problems:?}");
        }
    }
}
