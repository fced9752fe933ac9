//! `mailroom run`: the queue, to the provider, settling every outcome.

use crate::edges::stop::Stop;
use crate::mail::error::Error;
use crate::mail::pace::Pace;
use crate::ops::daemon::{become_daemon, log_configured, queue_settings, warn_of_short_lease};
use crate::ops::database::link;
use crate::ops::metrics::metrics;
use crate::ops::provider::transport;
use crate::ops::settings;
use crate::pump::{Progress, Pump, system_clock};
use crate::queue::source::QueueSource;
use crate::queue::source::settings::Settings;

/// Runs until it is asked to stop.
pub fn run(given: &settings::Settings, stop: &Stop) -> Result<(), Error> {
    let config = &given.config;
    let (Some(key), Some(provider)) = (config.secret_key.clone(), given.provider.as_deref()) else {
        return Ok(());
    };
    let metrics = metrics(config, "run");
    let link = link(config, "run", Some(&config.channel), &metrics, stop)?;
    become_daemon(stop, 0)?;
    log_configured(config);
    warn_of_short_lease(config);
    let transport = transport(provider, config, stop)?;
    let clock = system_clock();
    let settings = Settings { daily_limit: config.daily_limit, ..queue_settings(config, "run") };
    Pump {
        source: &mut QueueSource::new(settings, link, key, stop.clone(), clock),
        transport,
        pace: Pace::new(config.batch_limit, config.send_rate, config.daily_limit),
        stop: stop.clone(),
        clock,
        metrics,
        unit: "RUN",
        progress: Progress::default(),
    }
    .run()
}
