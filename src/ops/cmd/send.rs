//! `mailroom send`: standard input, to the provider.

use crate::edges::stop::Stop;
use crate::edges::systemd;
use crate::mail::ends::Ledger;
use crate::mail::error::{Error, Kind};
use crate::mail::pace::Pace;
use crate::mail::wire::{Decode, cloudevents, csv};
use crate::ops::config::{Ack, Format};
use crate::ops::daemon::{become_daemon, warn_of_short_lease, work};
use crate::ops::database::link;
use crate::ops::metrics::metrics;
use crate::ops::provider::transport;
use crate::ops::settings::Settings;
use crate::ops::streams::input;
use crate::pipe::read::PipeSource;
use crate::pipe::read::input::Input;
use crate::pipe::retry::MemoryLedger;
use crate::pipe::undelivered::Undelivered;
use crate::pump::system_clock;
use crate::queue::adopt::DatabaseLedger;

/// The most messages in a batch on the wire.
const BATCH: usize = 50;

/// Runs until the input ends or it is asked to stop.
pub fn run(given: &Settings, stop: &Stop) -> Result<(), Error> {
    let Some(provider) = given.provider.as_deref() else { return Ok(()) };
    let config = &given.config;
    let (input, alone) = input(config.ack == Ack::Sent)?;
    let metrics = metrics(config, "send");
    let clock = system_clock();
    let ledger: Box<dyn Ledger> = match config.ack {
        Ack::Written => {
            let templates = config.templates.clone();
            Box::new(MemoryLedger::new(templates, config.max_attempts, clock))
        }
        Ack::Sent => {
            warn_of_short_lease(config);
            let link = link(config, "send", None, &metrics, stop)?;
            Box::new(DatabaseLedger::new(link, config.lease, config.max_attempts))
        }
    };
    let overdue = if ledger.is_sole() { Kind::Io as u8 } else { 0 };
    become_daemon(stop, overdue)?;
    let transport = transport(provider, config, stop)?;
    let undelivered =
        Undelivered::new(&config.output, &input, (clock.wall)()).map_err(|error| {
            let what = "MAILROOM_SES_OUTPUT_PATH: cannot keep undelivered messages";
            Error::config(format!("{what}: {error}"))
        })?;
    // A collector may bring its first batch in hours.
    systemd::ready((clock.now)());
    let decoder: Box<dyn Decode> = match config.format {
        Format::Csv => Box::<csv::Decoder>::default(),
        Format::CloudEvents => Box::<cloudevents::Decoder>::default(),
    };
    let input = Input::new(input, alone, decoder, stop.clone(), clock);
    let (patience, numbers) = (config.end_timeout, metrics.clone());
    let mut source = PipeSource::new(input, ledger, undelivered, patience, numbers);
    let pace = Pace::new(BATCH, config.send_rate, config.daily_limit);
    work(&mut source, transport, pace, provider.unit(), metrics, stop)
}
