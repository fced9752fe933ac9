//! `mailroom send`: standard input, to the provider.

use crate::edges::clock::Clock;
use crate::edges::stop::Stop;
use crate::edges::systemd as notify;
use crate::mail::ends::Ledger;
use crate::mail::error::{Error, Kind};
use crate::mail::wire::{Decode, cloudevents, csv};
use crate::ops::cmd::{
    become_daemon, link, metrics, pace, stream, transport, unit, warn_of_short_lease,
};
use crate::ops::config::{Ack, Config, Format};
use crate::pipe::read::PipeSource;
use crate::pipe::read::input::Input;
use crate::pipe::retry::MemoryLedger;
use crate::pipe::undelivered::{Undelivered, lock};
use crate::pump::{Pump, system_clock};
use crate::queue::adopt::DatabaseLedger;
use nix::errno::Errno;
use nix::fcntl::{Flock, OFlag};
use std::fs::{File, OpenOptions};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};

/// The most messages in a batch on the wire.
const BATCH: usize = 50;

/// Runs until the input ends or it is asked to stop.
pub fn run(config: &Config, stop: &Stop) -> Result<(), Error> {
    let (input, alone) = input(config.ack)?;
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
    let transport = transport(config, stop)?;
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
        unit: unit(config),
    }
    .run()
}

/// Without a database: a message of an action that has no template will never be sent.
fn in_memory(config: &Config, clock: Clock) -> Box<dyn Ledger> {
    let templates = config.templates.clone();
    let known = Box::new(move |action| templates.name(action).is_some());
    Box::new(MemoryLedger::new(known, config.max_attempts, clock))
}

/// Standard input as a file of our own, and no other of it: when that is closed, the writer is told.
/// With it the lock that keeps other processes from reading it too.
fn input(ack: Ack) -> Result<(File, Option<Flock<File>>), Error> {
    let input = stream(std::io::stdin().as_fd())?;
    if ack == Ack::Written {
        refuse_named_fifo(&input)?;
    }
    let alone = alone(&input)?;
    std::io::pipe()
        .and_then(|(nothing, _)| Ok(nix::unistd::dup2_stdin(nothing)?))
        .map_err(|error| Error::io("standard input cannot be taken over", error))?;
    Ok((input, alone))
}

/// Two processes that read one pipe each get pieces of records: what the one joins may be an address
/// here and a token there. Opened anew, for a process that was started with the same standard input
/// would share the lock.
fn alone(input: &File) -> Result<Option<Flock<File>>, Error> {
    let kind = input.metadata().map(|found| found.file_type());
    if !kind.is_ok_and(|kind| kind.is_fifo()) {
        return Ok(None);
    }
    let anew = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open("/proc/self/fd/0");
    match anew.map(lock) {
        Ok(Ok(locked)) => Ok(Some(locked)),
        Ok(Err(Errno::EWOULDBLOCK)) => Err(Error::config(
            "another process reads this standard input too: each would get pieces of records; give \
             each `send` a pipe of its own",
        )),
        // Without locks, or without /proc, nobody can tell.
        _ => Ok(None),
    }
}

/// The writer of a FIFO with a name may go on while its reader is started again. The new one begins
/// anywhere, and inside a quoted login a line feed looks like the end of a record: what follows
/// could name anybody. Only the database knows then what was meant. A pipe without a name ends
/// with its reader.
fn refuse_named_fifo(input: &File) -> Result<(), Error> {
    let is_fifo = input.metadata().is_ok_and(|found| found.file_type().is_fifo());
    let name = std::fs::read_link("/proc/self/fd/0").unwrap_or_default();
    if is_fifo && name.is_absolute() {
        return Err(Error::config(format!(
            "standard input is the FIFO {}, where a record may begin in its middle: use a plain \
             pipe (collect | send), or set MAILROOM_ACK=sent for both",
            name.display()
        )));
    }
    Ok(())
}
