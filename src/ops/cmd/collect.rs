//! `mailroom collect`: the queue, to standard output.

use crate::edges::stop::Stop;
use crate::mail::error::Error;
use crate::mail::pace::Pace;
use crate::mail::wire::{cloudevents, fields};
use crate::ops::config::{Ack, Config, Format};
use crate::ops::daemon::{become_daemon, log_configured, queue_settings};
use crate::ops::database::link;
use crate::ops::metrics::metrics;
use crate::ops::streams::output;
use crate::pipe::write::{Encode, Pipe};
use crate::pump::{Progress, Pump, system_clock};
use crate::queue::source::QueueSource;
use crate::queue::source::settings::Settings;

/// Runs until it is asked to stop.
pub fn run(config: &Config, stop: &Stop) -> Result<(), Error> {
    let Some(key) = config.secret_key.clone() else { return Ok(()) };
    let output = output()?;
    let metrics = metrics(config, "collect");
    let link = link(config, "collect", Some(&config.channel), &metrics, stop)?;
    become_daemon(stop, 0)?;
    log_configured(config);
    let clock = system_clock();
    let (carries, encode): (_, Encode) = match config.format {
        Format::Csv => ("csv", Box::new(fields::encode)),
        Format::CloudEvents => {
            let queue = config.queue.clone();
            ("events", Box::new(move |messages, out| cloudevents::encode(messages, &queue, out)))
        }
    };
    let settles = config.ack == Ack::Written;
    let settings = Settings { carries, settles, ..queue_settings(config, "collect") };
    Pump {
        source: &mut QueueSource::new(settings, link, key, stop.clone(), clock),
        transport: Box::new(Pipe::new(output, encode, stop.clone(), clock)),
        pace: Pace::unlimited(config.batch_limit),
        stop: stop.clone(),
        clock,
        metrics,
        unit: "PG",
        progress: Progress::default(),
    }
    .run()
}
