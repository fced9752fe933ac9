//! `mailroom collect`: the queue, to standard output.

use crate::edges::stop::Stop;
use crate::mail::error::Error;
use crate::mail::pace::Pace;
use crate::mail::wire::{cloudevents, fields};
use crate::ops::config::{Ack, Config, Format};
use crate::ops::daemon::{queue, queue_settings, work};
use crate::ops::metrics::metrics;
use crate::ops::streams::output;
use crate::pipe::write::{Encode, Pipe};
use crate::pump::system_clock;
use crate::queue::source::settings::Settings;

/// Runs until it is asked to stop.
pub fn run(config: &Config, stop: &Stop) -> Result<(), Error> {
    let Some(key) = config.secret_key.clone() else { return Ok(()) };
    let output = output()?;
    let metrics = metrics(config, "collect");
    let (carries, encode): (_, Encode) = match config.format {
        Format::Csv => ("csv", Box::new(fields::encode)),
        Format::CloudEvents => {
            let queue = config.queue.clone();
            ("events", Box::new(move |messages, out| cloudevents::encode(messages, &queue, out)))
        }
    };
    let settles = config.ack == Ack::Written;
    let settings = Settings { carries, settles, ..queue_settings(config, "collect") };
    let mut source = queue(config, key, settings, &metrics, stop)?;
    let pipe = Pipe::new(output, encode, stop.clone(), system_clock());
    // Its reader sets the pace.
    let pace = Pace::new(config.batch_limit, f64::INFINITY, None);
    work(&mut source, Box::new(pipe), pace, "PG", metrics, stop)
}
