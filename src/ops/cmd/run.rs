//! `mailroom run`: the queue, to the provider, settling every outcome.

use crate::edges::stop::Stop;
use crate::mail::error::Error;
use crate::mail::pace::Pace;
use crate::ops::daemon::{queue, queue_settings, warn_of_short_lease, work};
use crate::ops::metrics::metrics;
use crate::ops::provider::transport;
use crate::ops::settings;
use crate::queue::source::settings::Settings;

/// Runs until it is asked to stop.
pub fn run(given: &settings::Settings, stop: &Stop) -> Result<(), Error> {
    let config = &given.config;
    let (Some(key), Some(provider)) = (config.secret_key.clone(), given.provider.as_deref()) else {
        return Ok(());
    };
    let metrics = metrics(config, "run");
    let settings = Settings { daily_limit: config.daily_limit, ..queue_settings(config, "run") };
    let mut source = queue(config, key, settings, &metrics, stop)?;
    warn_of_short_lease(config);
    let transport = transport(provider, config, stop)?;
    let pace = Pace::new(config.batch_limit, config.send_rate, config.daily_limit);
    work(&mut source, transport, pace, "RUN", metrics, stop)
}
