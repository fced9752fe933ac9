//! `mailroom collect`: the queue, to standard output.

use super::{become_daemon, link, log_configured, queue_settings, stream};
use crate::config::{Ack, Config, Format};
use crate::error::Error;
use crate::pace::Pace;
use crate::pump::{Pump, system_clock};
use crate::source::queue::{OnAccept, QueueSource};
use crate::stop::Stop;
use crate::transport::pipe::{self, Pipe};
use std::os::fd::AsFd as _;

/// Runs until it is asked to stop.
pub fn run(config: &Config, stop: &Stop) -> Result<(), Error> {
    let Some(key) = config.secret_key.clone() else { return Ok(()) };
    let output = stream(std::io::stdout().as_fd())?;
    let link = link(config, "collect", Some(&config.channel), stop)?;
    become_daemon(stop)?;
    log_configured(config);
    let clock = system_clock();
    let on_accept = match config.ack {
        Ack::Written => OnAccept::Settle,
        Ack::Sent => OnAccept::Leave,
    };
    let format = match config.format {
        Format::Csv => pipe::Format::Csv,
        Format::CloudEvents => pipe::Format::CloudEvents(config.queue.clone()),
    };
    let settings = queue_settings(config, "collect", on_accept);
    Pump {
        source: QueueSource::new(settings, link, key, stop.clone(), clock),
        transport: Box::new(Pipe::new(output, format, stop.clone(), clock)),
        pace: Pace::unlimited(config.batch_limit),
        stop: stop.clone(),
        clock,
        unit: "PG",
    }
    .run()
}
