//! Standard output as a transport: a batch is accepted once it was written and flushed.
//!
//! Writes go in pieces that a pipe takes without blocking, after a wait that sees the stop flag:
//! a reader that does not read must not keep the process from ending. What is longer than a piece
//! waits until the pipe is empty and goes at once: whoever kills the process leaves no half record,
//! which would spoil the first one of the next process on the same pipe. A reader that is gone and
//! a full disk are failures of the hand-over.

use crate::edges::clock::Clock;
use crate::edges::stop::{GRACE, SLICE, Stop};
use crate::edges::systemd as notify;
use crate::mail::ends::Transport;
use crate::mail::error::Error;
use crate::mail::model::{Batch, Cause, Message, Outcome};
use crate::pipe::poll::poll;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::PollFlags;
use rustix::io::ioctl_fionread;
use std::fs::File;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

/// Bytes that POLLOUT promises a pipe has room for: PIPE_BUF of pipe(7).
const PIECE: usize = 4096;

/// The first wait for a pipe to be empty; doubles to half a [`SLICE`].
const GLANCE: Duration = Duration::from_millis(1);

/// Writes messages as text at the end of a buffer.
pub type Encode = Box<dyn Fn(&[Message], &mut Vec<u8>)>;

/// Batches go to a file, normally standard output.
pub struct Pipe {
    output: File,
    encode: Encode,
    stop: Stop,
    clock: Clock,
    is_file: bool,
    /// Bytes that it holds, if it is a pipe; else none.
    capacity: usize,
    buffer: Vec<u8>,
    stopped_at: Option<Instant>,
    broken: Option<Error>,
}

impl Pipe {
    /// Writes to `output`.
    pub fn new(output: File, encode: Encode, stop: Stop, clock: Clock) -> Pipe {
        let is_file = output.metadata().is_ok_and(|found| found.is_file());
        let capacity = fcntl(&output, FcntlArg::F_GETPIPE_SZ).unwrap_or(0);
        Pipe {
            output,
            encode,
            stop,
            clock,
            is_file,
            capacity: usize::try_from(capacity).unwrap_or(0),
            buffer: Vec::with_capacity(PIECE),
            stopped_at: None,
            broken: None,
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let mut done = 0;
        if !self.is_file {
            return self.write_on(&mut done);
        }
        let before = self.output.metadata()?.len();
        let result = self.write_on(&mut done);
        // A file that takes no more keeps no half record either, unless somebody else wrote there.
        if result.is_err() && self.output.metadata()?.len() == before + done as u64 {
            self.output.set_len(before)?;
        }
        result
    }

    /// Writes the buffer; counts in `done` what was written.
    fn write_on(&mut self, done: &mut usize) -> io::Result<()> {
        let length = self.buffer.len();
        let at_once = length > PIECE && length <= self.capacity;
        if at_once {
            self.wait_empty()?;
        }
        while *done < length {
            if poll(&self.output, PollFlags::POLLOUT, SLICE)?.is_empty() {
                self.waited()?;
                continue;
            }
            let end = if at_once { length } else { length.min(*done + PIECE) };
            match self.output.write(&self.buffer[*done..end]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => *done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.output.flush()
    }

    /// Waits until the reader has read all, or is gone.
    fn wait_empty(&mut self) -> io::Result<()> {
        let mut glance = GLANCE;
        while ioctl_fionread(&self.output)? > 0 {
            if poll(&self.output, PollFlags::empty(), glance)?.contains(PollFlags::POLLERR) {
                break;
            }
            self.waited()?;
            glance = (2 * glance).min(SLICE / 2);
        }
        Ok(())
    }

    /// A reader that does not read is no fault of ours, and a new process would not help.
    fn waited(&mut self) -> io::Result<()> {
        let now = (self.clock.now)();
        notify::progress(now);
        if self.stop.requested() && now >= *self.stopped_at.get_or_insert(now) + GRACE {
            let text = "asked to stop while the reader did not read";
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        Ok(())
    }
}

impl Transport for Pipe {
    fn send(&mut self, batch: &Batch) -> Vec<Outcome> {
        self.buffer.clear();
        (self.encode)(&batch.messages, &mut self.buffer);
        let outcome = match self.write() {
            Ok(()) => Outcome::Accepted { provider_id: String::new() },
            Err(error) => {
                let stopped = self.stop.requested() && error.kind() == io::ErrorKind::TimedOut;
                let error = Error::io("writing the batch to standard output failed", error);
                let why = error.message.clone();
                self.broken = (!stopped).then_some(error);
                Outcome::refused(Cause::Output, why)
            }
        };
        vec![outcome; batch.messages.len()]
    }

    fn broken(&mut self) -> Option<Error> {
        self.broken.take()
    }
}
