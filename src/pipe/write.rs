//! Standard output as a transport: a batch is accepted once it was written and flushed.
//!
//! Writes go in pieces that a pipe takes without blocking, after a wait that sees the stop flag:
//! a reader that does not read must not keep the process from ending. What is longer than a piece
//! waits until the pipe is empty and goes at once: whoever kills the process leaves no half record,
//! which would spoil the first one of the next process on the same pipe. A reader that is gone and
//! a full disk are failures of the hand-over.

use crate::edges::clock::Clock;
use crate::edges::net::Watch;
use crate::edges::stop::{SLICE, Stop};
use crate::edges::systemd as notify;
use crate::mail::ends::Transport;
use crate::mail::error::Error;
use crate::mail::model::{Batch, Cause, Message, Outcome};
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags};
use rustix::io::ioctl_fionread;
use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::AsFd as _;
use std::time::Duration;

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
    watch: Watch,
    broken: Option<Error>,
}

impl Pipe {
    /// Writes to `output`.
    pub fn new(output: File, encode: Encode, stop: Stop, clock: Clock) -> Pipe {
        let watch = Watch::new(stop.clone(), clock.now);
        Pipe { output, encode, stop, watch, broken: None }
    }

    fn write(&mut self, records: &[u8]) -> io::Result<()> {
        self.watch.begin()?;
        let (before, mut done) = (self.output.metadata()?, 0);
        let result = self.write_on(records, &mut done);
        // A file that takes no more keeps no half record either, unless somebody else wrote there.
        if result.is_err()
            && before.is_file()
            && self.output.metadata()?.len() == before.len() + done as u64
        {
            self.output.set_len(before.len())?;
        }
        result
    }

    /// Writes records; counts in `done` the bytes that were written.
    fn write_on(&mut self, records: &[u8], done: &mut usize) -> io::Result<()> {
        let length = records.len();
        // Bytes that it holds, if it is a pipe.
        let capacity = fcntl(&self.output, FcntlArg::F_GETPIPE_SZ).unwrap_or(0);
        let at_once = length > PIECE && usize::try_from(capacity).is_ok_and(|most| length <= most);
        if at_once {
            self.wait_empty()?;
        }
        while *done < length {
            if self.wait(PollFlags::POLLOUT, SLICE)?.is_empty() {
                continue;
            }
            let end = if at_once { length } else { length.min(*done + PIECE) };
            match self.output.write(&records[*done..end]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => *done += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.output.flush()
    }

    /// Waits until the reader has read all, or is gone.
    fn wait_empty(&self) -> io::Result<()> {
        let mut glance = GLANCE;
        while ioctl_fionread(&self.output)? > 0
            && !self.wait(PollFlags::empty(), glance)?.contains(PollFlags::POLLERR)
        {
            glance = (2 * glance).min(SLICE / 2);
        }
        Ok(())
    }

    /// Waits for one of `flags` or an error, and gives which it is; none if it took too long. A reader
    /// that does not read is no fault of ours, and a new process would not help.
    fn wait(&self, flags: PollFlags, time: Duration) -> io::Result<PollFlags> {
        let now = self.watch.now();
        notify::progress(now);
        let mut waits = [PollFd::new(self.output.as_fd(), flags)];
        self.watch.poll(&mut waits, now + time)?;
        Ok(waits[0].revents().unwrap_or(PollFlags::empty()))
    }
}

impl Transport for Pipe {
    fn send(&mut self, batch: &Batch) -> Vec<Outcome> {
        let mut records = Vec::with_capacity(PIECE);
        (self.encode)(&batch.messages, &mut records);
        let outcome = match self.write(&records) {
            Ok(()) => Outcome::Accepted { provider_id: String::new() },
            Err(error) => {
                let stopped = self.stop.requested() && error.kind() == ErrorKind::ConnectionAborted;
                let what = match stopped {
                    true => "the reader did not read the batch",
                    false => "writing the batch to standard output failed",
                };
                let error = Error::io(what, error);
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
