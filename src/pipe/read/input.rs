//! Standard input as records: waits for bytes, and stops waiting when it is time.
//!
//! In scope: polling, reading, feeding the decoder. Out of scope: what is done with a record.

use crate::edges::clock::Clock;
use crate::edges::net::ready;
use crate::edges::stop::{SLICE, Stop};
use crate::edges::systemd as notify;
use crate::mail::error::Error;
use crate::mail::wire::{Decode, Record};
use nix::fcntl::Flock;
use nix::poll::{PollFd, PollFlags};
use rustix::io::ioctl_fionread;
use std::fs::File;
use std::io::ErrorKind::{Interrupted, WouldBlock};
use std::io::{BufRead as _, BufReader, Seek as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

const BUFFER: usize = 16 * 1024;

/// Records read from a file.
pub struct Input {
    file: BufReader<File>,
    /// Keeps others from reading it; a reader too, as far as the writer is concerned.
    alone: Option<Flock<File>>,
    decoder: Box<dyn Decode>,
    /// The request to stop.
    pub stop: Stop,
    /// Time.
    pub clock: Clock,
    ended: bool,
    /// The number of the last record that was given out.
    last: u64,
    /// Whether it is a file on a disk, where what is not read stays.
    stays: bool,
}

impl Input {
    /// Reads from `file` what `decoder` understands. `alone` keeps others from reading it.
    pub fn new(
        file: File,
        alone: Option<Flock<File>>,
        decoder: Box<dyn Decode>,
        stop: Stop,
        clock: Clock,
    ) -> Input {
        let stays = file.metadata().is_ok_and(|found| found.is_file());
        let file = BufReader::with_capacity(BUFFER, file);
        Input { file, alone, decoder, stop, clock, ended: false, last: 0, stays }
    }

    /// What the numbers of the records count.
    pub fn counts(&self) -> &'static str {
        if self.decoder.is_batch() { "record" } else { "line" }
    }

    /// After which record reading stopped because it was asked to, if there is more in the file.
    pub fn left(&self) -> Option<u64> {
        let at_end = || {
            let mut file = self.file.get_ref();
            let read = file.stream_position().unwrap_or_default();
            self.file.buffer().is_empty() && file.metadata().is_ok_and(|found| read >= found.len())
        };
        (self.stays && !self.ended && self.stop.requested() && !at_end()).then_some(self.last)
    }

    /// Whether a pipe holds something that was not read, and that nobody else has.
    pub fn holds_more(&self) -> bool {
        let more = || ioctl_fionread(self.file.get_ref()).is_ok_and(|bytes| bytes > 0);
        !self.stays && (!self.file.buffer().is_empty() || !self.ended && more())
    }

    /// Whether there will be no more records.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Closes the file: whoever writes into the pipe from now on is told, and keeps what it has, if
    /// no other process, such as a shell around this one, reads from the pipe.
    pub fn close(&mut self) {
        self.alone = None;
        if let Ok((nothing, _)) = std::io::pipe() {
            self.file = BufReader::with_capacity(0, OwnedFd::from(nothing).into());
        }
        self.ended = true;
    }

    /// Waits for a record until `until`, or while the stop flag is down; gives none if none ended by
    /// then. Of records that are no batches, all that are there already are taken, up to `limit`.
    ///
    /// # Errors
    /// The file cannot be read; what was read before was given out.
    pub fn read(&mut self, until: Option<Instant>, limit: usize) -> Result<Vec<Record>, Error> {
        // Nothing is lost in a file, and to read it on would never end.
        if self.stays && self.stop.requested() {
            return Ok(Vec::new());
        }
        let mut records = Vec::from_iter(self.record(until)?);
        while (1..limit).contains(&records.len()) && !self.decoder.is_batch() {
            // What cannot be read now cannot be read next time, after these, either.
            let Ok(Some(record)) = self.record(Some((self.clock.now)())) else { break };
            records.push(record);
        }
        Ok(records)
    }

    /// Reads up to the end of a record; `None`: none ended in time, or ever will.
    fn record(&mut self, until: Option<Instant>) -> Result<Option<Record>, Error> {
        loop {
            if !self.file.buffer().is_empty() {
                let (taken, record) = self.decoder.push(self.file.buffer());
                self.file.consume(taken);
                if self.decoder.is_lost() {
                    self.file.consume(self.file.buffer().len());
                    self.ended = true;
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
            match self.file.fill_buf() {
                Ok([]) => {
                    self.ended = true;
                    return Ok(self.decoder.finish());
                }
                Ok(_) => {}
                // Somebody else who has the pipe may have made it one that does not wait.
                Err(error) if matches!(error.kind(), Interrupted | WouldBlock) => {}
                Err(error) => return Err(Error::io("reading standard input failed", error)),
            }
        }
    }

    /// Waits until there is something to read. Once the stop flag is up, looks only once.
    fn readable(&self, until: Option<Instant>) -> Result<bool, Error> {
        loop {
            let now = (self.clock.now)();
            notify::progress(now);
            let left = until.map_or(SLICE, |until| until.saturating_duration_since(now));
            let slice = if self.stop.requested() { Duration::ZERO } else { left.min(SLICE) };
            let found =
                ready(&mut [PollFd::new(self.file.get_ref().as_fd(), PollFlags::POLLIN)], slice)
                    .map_err(|error| Error::io("waiting for standard input failed", error))?;
            if found || slice.is_zero() {
                return Ok(found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::wire::{cloudevents, csv};
    use std::io::{PipeWriter, Write as _};
    use std::time::SystemTime;

    fn clock() -> Clock {
        Clock { now: Instant::now, wall: SystemTime::now, chance: || 0.0 }
    }

    /// An input that reads a pipe, and the other end of that.
    fn piped(decoder: Box<dyn Decode>) -> (Input, PipeWriter, Stop) {
        let (reader, writer) = std::io::pipe().unwrap();
        let (file, stop) = (File::from(OwnedFd::from(reader)), Stop::new());
        (Input::new(file, None, decoder, stop.clone(), clock()), writer, stop)
    }

    fn numbers(records: Vec<Record>) -> Vec<u64> {
        records.into_iter().map(|record| record.number).collect()
    }

    #[test]
    fn a_record_is_read_when_it_has_ended_and_no_wait_is_longer_than_asked() {
        let (mut input, mut writer, _) = piped(Box::<csv::Decoder>::default());
        writer.write_all(b"one\ntwo\nthr").unwrap();
        let soon = || Some(Instant::now() + Duration::from_millis(20));
        assert_eq!(numbers(input.read(soon(), 50).unwrap()), [1], "a record is a batch");
        assert_eq!(numbers(input.read(soon(), 50).unwrap()), [2]);
        assert_eq!(numbers(input.read(soon(), 50).unwrap()), [0; 0]);
        assert!(!input.has_ended());
        drop(writer);
        assert_eq!(numbers(input.read(None, 50).unwrap()), [3], "it was cut short");
        assert_eq!(numbers(input.read(None, 50).unwrap()), [0; 0]);
        assert!(input.has_ended() && !input.holds_more());
    }

    #[test]
    fn events_that_are_there_are_read_together_up_to_the_limit() {
        let (mut input, mut writer, _) = piped(Box::<cloudevents::Decoder>::default());
        writer.write_all(b"1\n\n3\n4\n5\n6").unwrap();
        assert_eq!(numbers(input.read(None, 2).unwrap()), [1, 3]);
        assert_eq!(numbers(input.read(None, 50).unwrap()), [4, 5]);
    }

    #[test]
    fn asked_to_stop_it_reads_what_is_there_and_knows_of_what_is_left() {
        let (mut input, mut writer, stop) = piped(Box::<csv::Decoder>::default());
        writer.write_all(b"one\ntwo\n").unwrap();
        stop.request();
        assert_eq!(numbers(input.read(None, 50).unwrap()), [1]);
        assert!(input.holds_more());
        assert_eq!(numbers(input.read(None, 50).unwrap()), [2]);
        assert_eq!(numbers(input.read(None, 50).unwrap()), [0; 0]);
        assert!(!input.has_ended() && !input.holds_more());
        assert_eq!(input.left(), None, "a pipe keeps nothing");
        input.close();
        assert!(writer.write_all(b"three\n").is_err(), "its writer is told");
    }

    #[test]
    fn a_file_is_not_read_on_after_the_request_to_stop() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"one\ntwo\n").unwrap();
        file.rewind().unwrap();
        let stop = Stop::new();
        let mut input =
            Input::new(file, None, Box::<csv::Decoder>::default(), stop.clone(), clock());
        assert_eq!(numbers(input.read(None, 50).unwrap()), [1]);
        stop.request();
        assert_eq!(numbers(input.read(None, 50).unwrap()), [0; 0]);
        assert_eq!((input.left(), input.holds_more()), (Some(1), false));
    }

    #[test]
    fn after_a_record_that_is_too_long_nothing_is_read() {
        let mut file = tempfile::tempfile().unwrap();
        let long = "x".repeat(2 * crate::mail::wire::RECORD_LIMIT);
        file.write_all(format!("one\n{long}\nthree\n").as_bytes()).unwrap();
        file.rewind().unwrap();
        let decoder = Box::<csv::Decoder>::default();
        let mut input = Input::new(file, None, decoder, Stop::new(), clock());
        assert_eq!(numbers(input.read(None, 50).unwrap()), [1]);
        assert_eq!(numbers(input.read(None, 50).unwrap()), [2]);
        assert_eq!(numbers(input.read(None, 50).unwrap()), [0; 0]);
        assert!(input.has_ended());
    }
}
