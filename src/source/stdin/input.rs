//! Standard input as records: waits for bytes, and stops waiting when it is time.
//!
//! In scope: polling, reading, feeding the decoder. Out of scope: what is done with a record.

use crate::clock::Clock;
use crate::error::Error;
use crate::notify;
use crate::stop::{SLICE, Stop};
use crate::wire::{Decoder, Record};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

const BUFFER: usize = 16 * 1024;

/// What reading gave.
pub enum Read {
    /// A record ended.
    Record(Record),
    /// None did in time.
    Nothing,
    /// There will be no more, or none for now and the process was asked to stop.
    End,
}

/// Records read from a file.
pub struct Input {
    file: File,
    stop: Stop,
    clock: Clock,
    decoder: Decoder,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    ended: bool,
}

impl Input {
    /// Reads from `file`.
    pub fn new(file: File, stop: Stop, clock: Clock) -> Input {
        let buffer = vec![0; BUFFER];
        Input { file, stop, clock, decoder: Decoder::new(), buffer, start: 0, end: 0, ended: false }
    }

    /// Reads up to the end of a record; waits until `until`, or while the stop flag is down.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&mut self, until: Option<Instant>) -> Result<Read, Error> {
        loop {
            if self.start < self.end {
                let (taken, record) = self.decoder.push(&self.buffer[self.start..self.end]);
                self.start += taken;
                if let Some(record) = record {
                    return Ok(Read::Record(record));
                }
                continue;
            }
            if self.ended {
                return Ok(Read::End);
            }
            if !self.readable(until)? {
                return Ok(if self.stop.requested() { Read::End } else { Read::Nothing });
            }
            match self.file.read(&mut self.buffer) {
                Ok(0) => {
                    self.ended = true;
                    if let Some(record) = self.decoder.finish() {
                        return Ok(Read::Record(record));
                    }
                }
                Ok(n) => (self.start, self.end) = (0, n),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("reading standard input failed", error)),
            }
        }
    }

    /// Waits until there is something to read. Once the stop flag is up, looks only once.
    fn readable(&self, until: Option<Instant>) -> Result<bool, Error> {
        loop {
            let stopping = self.stop.requested();
            let now = (self.clock.now)();
            notify::progress(now);
            let left = until.map(|until| until.saturating_duration_since(now));
            let slice = if stopping { Duration::ZERO } else { left.unwrap_or(SLICE).min(SLICE) };
            let slice = PollTimeout::try_from(slice).unwrap_or(PollTimeout::ZERO);
            let mut fds = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, slice) {
                Ok(0) | Err(nix::errno::Errno::EINTR) => {}
                Ok(_) => return Ok(true),
                Err(error) => return Err(Error::io("waiting for standard input failed", error)),
            }
            if stopping || left == Some(Duration::ZERO) {
                return Ok(false);
            }
        }
    }
}
