//! Standard output as a transport: a batch is accepted once it was written and flushed.
//!
//! Writes go in pieces that a pipe takes without blocking, after a wait that sees the stop flag:
//! a reader that does not read must not keep the process from ending. A reader that is gone and
//! a full disk are failures of the hand-over.

use super::Transport;
use crate::clock::Clock;
use crate::error::Error;
use crate::model::{Batch, Outcome, Scope};
use crate::notify;
use crate::stop::{GRACE, SLICE, Stop};
use crate::wire;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::time::Instant;

/// Bytes that POLLOUT promises a pipe has room for: PIPE_BUF of pipe(7).
const PIECE: usize = 4096;

/// The text that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// One CSV record a batch.
    Csv,
    /// One CloudEvents object a message; the name of the queue goes into their source.
    CloudEvents(String),
}

/// Batches go to a file, normally standard output.
pub struct Pipe {
    output: File,
    format: Format,
    stop: Stop,
    clock: Clock,
    buffer: Vec<u8>,
    stopped_at: Option<Instant>,
    broken: Option<Error>,
}

impl Pipe {
    /// Writes to `output`.
    pub fn new(output: File, format: Format, stop: Stop, clock: Clock) -> Pipe {
        let buffer = Vec::with_capacity(PIECE);
        Pipe { output, format, stop, clock, buffer, stopped_at: None, broken: None }
    }

    fn write(&mut self) -> io::Result<()> {
        let mut rest: &[u8] = &self.buffer;
        while !rest.is_empty() {
            let mut fds = [PollFd::new(self.output.as_fd(), PollFlags::POLLOUT)];
            let slice = PollTimeout::try_from(SLICE).unwrap_or(PollTimeout::ZERO);
            let ready = poll(&mut fds, slice).or_else(ignore_interrupt)?;
            if ready > 0 {
                let piece = &rest[..rest.len().min(PIECE)];
                match self.output.write(piece) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(n) => rest = &rest[n..],
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
                continue;
            }
            // A reader that does not read is no fault of ours, and a new process would not help.
            let now = (self.clock.now)();
            notify::progress(now);
            if self.stop.requested() && now >= *self.stopped_at.get_or_insert(now) + GRACE {
                let text = "asked to stop while the reader did not read";
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
        }
        self.output.flush()
    }
}

fn ignore_interrupt(error: nix::errno::Errno) -> io::Result<i32> {
    if error == nix::errno::Errno::EINTR { Ok(0) } else { Err(error.into()) }
}

impl Transport for Pipe {
    fn send(&mut self, batch: &Batch) -> Vec<Outcome> {
        self.buffer.clear();
        match &self.format {
            Format::Csv => wire::encode(batch, &mut self.buffer),
            Format::CloudEvents(queue) => {
                wire::events::encode(batch, queue, &mut self.buffer);
            }
        }
        let outcome = match self.write() {
            Ok(()) => Outcome::Accepted { provider_id: String::new() },
            Err(error) => {
                let why = format!("writing the batch to standard output failed: {error}");
                if !self.stop.requested() || error.kind() != io::ErrorKind::TimedOut {
                    self.broken =
                        Some(Error::io("writing the batch to standard output failed", error));
                }
                Outcome::Hold { scope: Scope::All, why }
            }
        };
        vec![outcome; batch.messages.len()]
    }

    fn broken(&mut self) -> Option<Error> {
        self.broken.take()
    }
}
