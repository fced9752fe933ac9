//! `mailroom send`: standard input, to the provider.

use crate::edges::clock::Clock;
use crate::edges::stop::Stop;
use crate::edges::systemd as notify;
use crate::mail::ends::Ledger;
use crate::mail::error::{Error, Kind};
use crate::mail::wire::{Decode, cloudevents, csv};
use crate::ops::config::{Ack, Config, Format};
use crate::ops::daemon::{become_daemon, pace, warn_of_short_lease};
use crate::ops::database::link;
use crate::ops::metrics::metrics;
use crate::ops::provider::transport;
use crate::ops::settings::Settings;
use crate::ops::streams::input;
use crate::pipe::read::PipeSource;
use crate::pipe::read::input::Input;
use crate::pipe::retry::MemoryLedger;
use crate::pipe::undelivered::Undelivered;
use crate::pump::{Pump, system_clock};
use crate::queue::adopt::DatabaseLedger;
use std::os::fd::AsFd as _;

/// The most messages in a batch on the wire.
const BATCH: usize = 50;

/// Runs until the input ends or it is asked to stop.
pub fn run(given: &Settings, stop: &Stop) -> Result<(), Error> {
    let Some(provider) = given.provider.as_deref() else { return Ok(()) };
    let config = &given.config;
    let (input, alone) = input(config.ack == Ack::Sent)?;
    let metrics = metrics(config, "send");
    let clock = system_clock();
    let (ledger, overdue): (Box<dyn Ledger>, u8) = match config.ack {
        // Nobody else has what it holds.
        Ack::Written => (in_memory(config, clock), Kind::Io.exit_code()),
        Ack::Sent => {
            warn_of_short_lease(config);
            let link = link(config, "send", None, &metrics, stop)?;
            let ledger = DatabaseLedger::new(link, config.lease, config.max_attempts, clock);
            (Box::new(ledger), 0)
        }
    };
    become_daemon(stop, overdue)?;
    let transport = transport(provider, config, stop)?;
    let undelivered =
        Undelivered::new(&config.output, input.as_fd(), (clock.wall)()).map_err(|error| {
            let what = "MAILROOM_SES_OUTPUT_PATH: cannot keep undelivered messages";
            Error::config(format!("{what}: {error}"))
        })?;
    // A collector may bring its first batch in hours.
    notify::ready((clock.now)());
    let decoder: Box<dyn Decode> = match config.format {
        Format::Csv => Box::<csv::Decoder>::default(),
        Format::CloudEvents => Box::<cloudevents::Decoder>::default(),
    };
    let input = Input::new(input, alone, decoder, stop.clone(), clock);
    let source =
        &mut PipeSource::new(input, ledger, undelivered, metrics.clone(), stop.clone(), clock);
    Pump {
        source,
        transport,
        pace: pace(config, BATCH),
        stop: stop.clone(),
        clock,
        metrics,
        unit: provider.unit(),
    }
    .run()
}

/// Without a database: a message of an action that has no template will never be sent.
fn in_memory(config: &Config, clock: Clock) -> Box<dyn Ledger> {
    let templates = config.templates.clone();
    let known = Box::new(move |action| templates.name(action).is_some());
    Box::new(MemoryLedger::new(known, config.max_attempts, clock))
}
