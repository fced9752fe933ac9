//! The table of settings: names, flags, defaults and meanings. Out of scope: reading values.

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

/// Whether a variable of the environment looks like a setting and is none. A container manager may
/// make some of its own where there is a service of our name.
pub fn is_unknown(name: &str) -> bool {
    let ours = name.starts_with("MAILROOM_")
        && !["MAILROOM_PORT", "MAILROOM_SERVICE_"].iter().any(|theirs| name.starts_with(theirs));
    let known = |var: &Var| {
        name == var.name || var.is_secret() && name.strip_suffix("_FILE") == Some(var.name)
    };
    ours && !VARS.iter().any(known)
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

/// The commands with settings.
const ALL: &[&str] = &[
    "collect", "send", "run", "migrate", "verify", "template", "status", "queue", "health", "check",
];
/// The commands that read the queue, and the one that checks what they need.
pub(crate) const QUEUE: &[&str] = &["collect", "run", "check"];
/// The commands that send, and the one that checks what they need.
pub(crate) const SENDERS: &[&str] = &["send", "run", "check"];

/// All settings, in the order of the documents.
#[rustfmt::skip]
pub const VARS: &[Var] = &[
    var("MAILROOM_DATABASE_URL", None, None, &["collect", "run", "migrate", "status", "queue", "health", "send", "check"], "libpq connection string, keyword/value or URI; `send` needs it only with MAILROOM_ACK=sent"),
    var("MAILROOM_SECRET_KEY", None, None, &["collect", "run", "verify", "check"], "64 hexadecimal digits: the HMAC key"),
    var("MAILROOM_SECRET_KEY_PREVIOUS", None, None, &["verify", "check"], "a retired key that `verify` still accepts"),
    var("MAILROOM_CHANNEL_NAME", Some("--channel-name"), Some("token_insert"), &["collect", "run", "queue", "check"], "channel to LISTEN on; `queue` wakes its listeners"),
    var("MAILROOM_QUEUE_NAME", Some("--queue-name"), Some("mailroom"), &["collect", "run", "send", "status", "queue", "health", "check"], "queue whose deliveries are taken: a value of the type job_type"),
    var("MAILROOM_HEALTHCHECK_INTERVAL", Some("--healthcheck-interval"), Some("270000"), QUEUE, "ms between probes of the connection; then also leases are rescued, old rows pruned, missed work looked for"),
    var("MAILROOM_BATCH_TIMEOUT", Some("--batch-timeout"), Some("5000"), &["collect", "run", "status", "health", "check"], "ms from the first waiting notification to the flush of a partial batch"),
    var("MAILROOM_BATCH_LIMIT", Some("--batch-limit"), Some("10"), QUEUE, "messages in a batch, 1 to 50"),
    var("MAILROOM_ACK", Some("--ack"), Some("written"), &["collect", "send", "check"], "`written`: a batch is settled when it was written to stdout; `sent`: when `send` settled it in the database"),
    var("MAILROOM_LEASE", Some("--lease"), Some("120000"), &["collect", "run", "send", "check"], "ms a claimed delivery stays ours before it may be claimed again; less than 110000 gives a warning, for a batch can take so long with a slow provider"),
    var("MAILROOM_MAX_ATTEMPTS", Some("--max-attempts"), Some("5"), SENDERS, "tries before a delivery is failed"),
    var("MAILROOM_RETENTION", Some("--retention"), Some("30d"), QUEUE, "how long settled deliveries are kept: 90s, 15m, 12h, 30d; `0` deletes at once (by `collect` with MAILROOM_ACK=sent: at its next healthcheck), `forever` keeps all"),
    var("MAILROOM_FORMAT", Some("--format"), Some("csv"), &["collect", "send", "check"], "what goes through the pipe: `csv`, or `cloudevents`: one CloudEvents 1.0 JSON object a line"),
    var("MAILROOM_TRANSPORT", Some("--transport"), Some("ses"), &["send", "run", "template", "check"], "provider: `ses`, `smtp` or `postmark`; the command template is for SES alone"),
    var("MAILROOM_DEBUG", Some("--debug"), Some("false"), SENDERS, "`true`: print the requests that would be made to stdout, send nothing, and settle what was shown as sent"),
    var("MAILROOM_SES_CONFIG_SET", Some("--ses-config-set"), Some("default"), SENDERS, "SES configuration set, which must exist there; empty: none"),
    var("MAILROOM_SES_SOURCE", Some("--ses-source"), Some("noreply@localhost"), SENDERS, "From address, with every provider: `a@example.com` or `Name <a@example.com>`"),
    var("MAILROOM_SES_OUTPUT_PATH", Some("--ses-output-path"), Some("./output"), SENDERS, "directory for provider responses that were not a plain success, and for undelivered.csv"),
    var("MAILROOM_TEMPLATES", Some("--templates"), Some("1=activationv1,2=passwordrecoveryv1"), &["send", "run", "template", "check"], "template of each action number: its name at SES, its alias at Postmark, or its files' name"),
    var("MAILROOM_SMTP_URL", None, None, SENDERS, "`smtps://user:password@host:465` or `smtp://host:587?tls=required`, `opportunistic` or `none`; `ca=FILE` and `helo=NAME` are taken too; required with `smtp`"),
    var("MAILROOM_SMTP_PASSWORD", None, None, SENDERS, "password of the user in MAILROOM_SMTP_URL, if that has none"),
    var("MAILROOM_TEMPLATE_DIR", Some("--template-dir"), Some("./templates"), SENDERS, "with `smtp`: directory of NAME.subject, NAME.txt and NAME.html for each name in MAILROOM_TEMPLATES"),
    var("MAILROOM_POSTMARK_TOKEN", None, None, SENDERS, "API token of the Postmark server; required with `postmark`"),
    var("MAILROOM_POSTMARK_URL", Some("--postmark-url"), Some("https://api.postmarkapp.com"), SENDERS, "where Postmark's API is"),
    var("MAILROOM_SEND_RATE", Some("--send-rate"), Some("50"), SENDERS, "recipients a second, sustained; burst of one batch; the provider's own quota counts where it is lower"),
    var("MAILROOM_DAILY_LIMIT", Some("--daily-limit"), None, SENDERS, "recipients in any 24 hours. `run`: all processes on this database together; `send`: this process alone, with MAILROOM_ACK=sent also what the database has recorded. The provider's own quota counts where it is lower"),
    var("MAILROOM_STATSD", Some("--statsd"), None, &["collect", "send", "run", "check"], "DogStatsD for metrics: `host:port` or `unix:///path`; DD_ENV, DD_SERVICE, DD_VERSION and DD_ENTITY_ID become tags"),
    var("MAILROOM_METRICS_FILE", Some("--metrics-file"), None, &["collect", "send", "run", "check"], "file for metrics in the text format of Prometheus, one for each process: `/var/lib/node_exporter/mailroom.prom`"),
    var("MAILROOM_HEALTH_MAX_AGE", Some("--max-age"), Some("10m"), &["health", "status"], "how long mail may be due before something is wrong: 90s, 10m, 1h; more than MAILROOM_BATCH_TIMEOUT, less than tokens live"),
    var("MAILROOM_LOG_FORMAT", Some("--log-format"), Some("text"), ALL, "`text` or `json`"),
    var("MAILROOM_LOG_LEVEL", Some("--log-level"), Some("info"), ALL, "`error`, `warn`, `info` or `debug`; debug shows addresses in full"),
];
