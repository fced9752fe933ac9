//! `mailroom send`: standard input, to the provider.

use super::{become_daemon, link, metrics, pace, stream, transport, unit, warn_of_short_lease};
use crate::config::{Ack, Config, Format};
use crate::error::{Error, Kind};
use crate::notify;
use crate::pump::{Pump, system_clock};
use crate::source::stdin::{Acknowledge, Settings, StdinSource};
use crate::stop::Stop;
use crate::undelivered::Undelivered;
use crate::wire::{Reader, events};
use std::os::fd::AsFd as _;

/// The most messages in a batch on the wire.
const BATCH: usize = 50;

/// Runs until the input ends or it is asked to stop.
pub fn run(config: &Config, stop: &Stop) -> Result<(), Error> {
    let input = stream(std::io::stdin().as_fd())?;
    let metrics = metrics(config, "send");
    let acknowledge = match config.ack {
        Ack::Written => Acknowledge::Here,
        Ack::Sent => {
            warn_of_short_lease(config);
            let link = link(config, "send", None, &metrics, stop)?;
            Acknowledge::Database(Box::new(link), config.lease)
        }
    };
    let transport = transport(config, stop)?;
    let overdue = match config.ack {
        // Nobody else has what it holds.
        Ack::Written => Kind::Io.exit_code(),
        Ack::Sent => 0,
    };
    become_daemon(stop, overdue)?;
    let clock = system_clock();
    let undelivered =
        Undelivered::new(&config.output, input.as_fd(), (clock.wall)()).map_err(|error| {
            let what = "MAILROOM_SES_OUTPUT_PATH: cannot keep undelivered messages";
            Error::config(format!("{what}: {error}"))
        })?;
    // A collector may bring its first batch in hours.
    notify::ready((clock.now)());
    let templates = config.templates.clone();
    let settings = Settings {
        reader: match config.format {
            Format::Csv => Reader::Records(Box::default()),
            Format::CloudEvents => Reader::Events(events::Decoder::new()),
        },
        max_attempts: config.max_attempts,
        acknowledge,
        metrics: metrics.clone(),
        known: Box::new(move |action| templates.name(action).is_some()),
    };
    Pump {
        source: StdinSource::new(settings, input, undelivered, stop.clone(), clock),
        transport,
        pace: pace(config, BATCH),
        stop: stop.clone(),
        clock,
        metrics,
        unit: unit(config),
    }
    .run()
}
