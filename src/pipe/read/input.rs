//! Standard input as records: waits for bytes, and stops waiting when it is time.
//!
//! In scope: polling, reading, feeding the reader. Out of scope: what is done with a record.

use crate::edges::clock::Clock;
use crate::edges::stop::{SLICE, Stop};
use crate::edges::systemd as notify;
use crate::mail::error::Error;
use crate::mail::wire::{Reader, Record};
use nix::fcntl::Flock;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::ErrorKind::{Interrupted, WouldBlock};
use std::io::{Read as _, Seek as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

const BUFFER: usize = 16 * 1024;

/// What reading gave.
pub enum Read {
    /// Records ended: one, or several events.
    Records(Vec<Record>),
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
    reader: Reader,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    ended: bool,
    /// The number of the last record that was given out.
    last: u64,
    /// Whether it is a file on a disk, where what is not read stays.
    stays: bool,
    /// What went wrong behind records that were given out.
    failed: Option<Error>,
    /// Keeps others from reading it; a reader too, as far as the writer is concerned.
    alone: Option<Flock<File>>,
}

impl Input {
    /// Reads from `file` what `reader` understands.
    pub fn new(
        file: File,
        alone: Option<Flock<File>>,
        reader: Reader,
        stop: Stop,
        clock: Clock,
    ) -> Input {
        let stays = file.metadata().is_ok_and(|found| found.is_file());
        Input {
            file,
            stop,
            clock,
            reader,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            ended: false,
            last: 0,
            stays,
            failed: None,
            alone,
        }
    }

    /// What the numbers of the records count.
    pub fn counts(&self) -> &'static str {
        self.reader.counts()
    }

    /// After which record reading stopped because it was asked to, if there is more in the file.
    pub fn left(&self) -> Option<u64> {
        let ended = || {
            let read = (&self.file).stream_position().unwrap_or_default();
            self.start == self.end && self.file.metadata().is_ok_and(|found| read >= found.len())
        };
        (self.stays && !self.ended && self.stop.requested() && !ended()).then_some(self.last)
    }

    /// Whether a pipe holds something that was not read, and that nobody else has.
    pub fn holds_more(&self) -> bool {
        let mut fds = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
        let mut readable = || {
            poll(&mut fds, PollTimeout::ZERO).is_ok()
                && fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN))
        };
        !self.stays && (self.start < self.end || !self.ended && readable())
    }

    /// Closes the file: whoever writes into the pipe from now on is told, and keeps what it has, if
    /// no other process, such as a shell around this one, reads from the pipe.
    pub fn close(&mut self) {
        self.alone = None;
        if let Ok((nothing, _)) = std::io::pipe() {
            self.file = OwnedFd::from(nothing).into();
        }
        self.ended = true;
    }

    /// Waits for a record until `until`, or while the stop flag is down. Of events, which are
    /// records of one message, all that are there already are taken, up to `limit`: a batch is
    /// for many.
    ///
    /// # Errors
    /// The file cannot be read; what was read before was given out.
    pub fn read(&mut self, until: Option<Instant>, limit: usize) -> Result<Read, Error> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        // Nothing is lost in a file, and to read it on would never end.
        if self.stays && self.stop.requested() {
            return Ok(Read::End);
        }
        let Some(first) = self.record(until)? else {
            let ended = self.ended || self.stop.requested();
            return Ok(if ended { Read::End } else { Read::Nothing });
        };
        let mut records = vec![first];
        while matches!(self.reader, Reader::Events(_)) && records.len() < limit {
            match self.record(Some((self.clock.now)())) {
                Ok(Some(record)) => records.push(record),
                Ok(None) => break,
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        Ok(Read::Records(records))
    }

    /// Reads up to the end of a record; `None`: none ended in time, or ever will.
    fn record(&mut self, until: Option<Instant>) -> Result<Option<Record>, Error> {
        loop {
            if self.start < self.end {
                let (taken, record) = self.reader.push(&self.buffer[self.start..self.end]);
                self.start += taken;
                if self.reader.is_lost() {
                    (self.start, self.ended) = (self.end, true);
                }
                if let Some(record) = record {
                    self.last = record.number;
                    return Ok(Some(record));
                }
                continue;
            }
            if self.ended || !self.readable(until)? {
                return Ok(None);
            }
            match self.file.read(&mut self.buffer) {
                Ok(0) => {
                    self.ended = true;
                    return Ok(self.reader.finish());
                }
                Ok(n) => (self.start, self.end) = (0, n),
                // Somebody else who has the pipe may have made it one that does not wait.
                Err(error) if matches!(error.kind(), Interrupted | WouldBlock) => {}
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
