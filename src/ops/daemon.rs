//! What the commands that run until they are stopped have in common.

use crate::edges::log;
use crate::edges::stop::Stop;
use crate::edges::{signal, systemd};
use crate::mail::counts::Metrics;
use crate::mail::ends::{Source, Transport};
use crate::mail::error::{Error, Kind};
use crate::mail::pace::Pace;
use crate::mail::token::SigningKey;
use crate::ops::config::Config;
use crate::ops::database::link;
use crate::ops::environment::env;
use crate::pump::{Progress, Pump, system_clock};
use crate::queue::source::QueueSource;
use crate::queue::source::settings::Settings;
use crate::send::calls::WORST;
use std::time::Duration;

/// The longest that a batch waits in hand: what it holds may expire, or be no longer wanted.
const IN_HAND: Duration = Duration::from_secs(10);

/// Installs the signal handlers of a daemon, and opens the way to the service manager, if there is
/// one. `overdue` is the exit status if something holds it up for too long after the request to
/// stop: 0 where a database leases the deliveries.
pub fn become_daemon(stop: &Stop, overdue: u8) -> Result<(), Error> {
    // Leases are told apart by random numbers. Where there are some now, there always are:
    // <https://man7.org/linux/man-pages/man2/getrandom.2.html>
    getrandom::u64()
        .map_err(|error| Error::new(Kind::Bug, format!("there are no random numbers: {error}")))?;
    if let Err(why) = systemd::configure(&env) {
        log::warn("RUN", format_args!("{why}; the service manager is not told how we are"));
    }
    signal::install(stop, overdue).map_err(|why| Error::new(Kind::Bug, why))
}

/// Becomes a daemon that takes mails from the queue.
pub fn queue(
    config: &Config,
    key: SigningKey,
    settings: Settings,
    metrics: &Metrics,
    stop: &Stop,
) -> Result<QueueSource, Error> {
    let link = link(config, settings.holder, Some(&config.channel), metrics, stop)?;
    become_daemon(stop, 0)?;
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
    Ok(QueueSource::new(settings, link, key))
}

/// Hands over what there is at `source` until it ends, or the process is asked to stop.
pub fn work(
    source: &mut dyn Source,
    transport: Box<dyn Transport>,
    pace: Pace,
    unit: &'static str,
    metrics: Metrics,
    stop: &Stop,
) -> Result<(), Error> {
    let (stop, clock, progress) = (stop.clone(), system_clock(), Progress::default());
    Pump { source, transport, pace, stop, clock, metrics, unit, progress }.run()
}

/// How the queue is worked.
pub fn queue_settings(config: &Config, holder: &'static str) -> Settings {
    Settings {
        timeout: config.batch_timeout,
        healthcheck: config.healthcheck,
        lease: config.lease,
        spare: config.lease.saturating_sub(WORST).min(IN_HAND),
        retention: config.retention,
        max_age: config.max_age,
        max_attempts: config.max_attempts,
        settles: true,
        daily_limit: None,
        bulk_share: config.bulk_share,
        carries: "mail",
        holder,
    }
}

/// What is wrong with the lease, if a batch can outlast it.
pub fn short_lease(config: &Config) -> Option<String> {
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
pub fn warn_of_short_lease(config: &Config) {
    if let Some(why) = short_lease(config) {
        log::warn("PG", why);
    }
}
