//! `mailroom collect`: the queue, to standard output.

use crate::edges::stop::Stop;
use crate::mail::error::Error;
use crate::mail::model::Message;
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
    let limit = config.batch_limit;
    let (carries, encode): (_, Encode) = match config.format {
        Format::Csv => {
            let encode = move |messages: &[Message], out: &mut Vec<u8>| {
                messages.chunks(limit).for_each(|batch| fields::encode(batch, out));
            };
            ("csv", Box::new(encode))
        }
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
    let pace = Pace::new(limit, f64::INFINITY, None);
    work(&mut source, Box::new(pipe), pace, "PG", metrics, stop)
}
