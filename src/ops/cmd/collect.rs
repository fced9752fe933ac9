//! `mailroom collect`: the queue, to standard output.

use crate::edges::stop::Stop;
use crate::mail::error::Error;
use crate::mail::pace::Pace;
use crate::mail::wire::{cloudevents, csv};
use crate::ops::cmd::{become_daemon, link, log_configured, metrics, queue_settings, stream};
use crate::ops::config::{Ack, Config, Format};
use crate::pipe::write::{Encode, Pipe};
use crate::pump::{Pump, system_clock};
use crate::queue::source::{OnAccept, QueueSource};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

/// Runs until it is asked to stop.
pub fn run(config: &Config, stop: &Stop) -> Result<(), Error> {
    let Some(key) = config.secret_key.clone() else { return Ok(()) };
    let output = stream(std::io::stdout().as_fd())?;
    refuse_closed(&output)?;
    refuse_half_record(&output)?;
    let metrics = metrics(config, "collect");
    let link = link(config, "collect", Some(&config.channel), &metrics, stop)?;
    become_daemon(stop, 0)?;
    log_configured(config);
    let clock = system_clock();
    let on_accept = match config.ack {
        Ack::Written => OnAccept::Settle,
        Ack::Sent => OnAccept::Leave,
    };
    let encode: Encode = match config.format {
        Format::Csv => Box::new(csv::encode),
        Format::CloudEvents => {
            let queue = config.queue.clone();
            Box::new(move |messages, out| cloudevents::encode(messages, &queue, out))
        }
    };
    let settings = queue_settings(config, "collect", on_accept);
    Pump {
        source: &mut QueueSource::new(settings, link, key, stop.clone(), clock),
        transport: Box::new(Pipe::new(output, encode, stop.clone(), clock)),
        pace: Pace::unlimited(config.batch_limit),
        stop: stop.clone(),
        clock,
        metrics,
        unit: "PG",
    }
    .run()
}

/// Device number of /dev/null. <https://www.kernel.org/doc/html/latest/admin-guide/devices.html>
const NULL_DEVICE: u64 = nix::sys::stat::makedev(1, 3);

/// A standard output that was closed is /dev/null by now, opened for reading and writing by Rust's
/// start; a batch written there would count as handed over. Who redirects to /dev/null opens it
/// for writing only, and means it.
fn refuse_closed(output: &File) -> Result<(), Error> {
    let failed = |error: &dyn std::fmt::Display| Error::io("standard output is unusable", error);
    let device = output.metadata().map_err(|error| failed(&error))?.rdev();
    let flags = fcntl(output, FcntlArg::F_GETFL).map_err(|error| failed(&error))?;
    let both_ways = OFlag::from_bits_truncate(flags) & OFlag::O_ACCMODE == OFlag::O_RDWR;
    if device == NULL_DEVICE && both_ways {
        return Err(failed(&"it is closed, and batches would be lost; give it a reader"));
    }
    Ok(())
}

/// A process that was killed, or met the end of its disk, may have left half a record in a file: the
/// first one of ours would be joined to it.
fn refuse_half_record(output: &File) -> Result<(), Error> {
    let Ok(found) = output.metadata() else { return Ok(()) };
    let Some(last) = found.len().checked_sub(1).filter(|_| found.is_file()) else { return Ok(()) };
    // Ours is open for writing only.
    let mut byte = [b'\n'];
    let read = File::open("/proc/self/fd/1").and_then(|file| file.read_exact_at(&mut byte, last));
    if read.is_ok() && byte != [b'\n'] {
        let what =
            "standard output is a file that ends in the middle of a record: give another one";
        return Err(Error::config(what));
    }
    Ok(())
}
