//! What could not be delivered and has no database to wait in: in `undelivered.csv`, or in memory
//! as long as the file cannot be written.
//!
//! In scope: trying the file again, saying what is kept where, and what could not be. Out of
//! scope: what belongs here, and the file itself (`undelivered.rs`).

use crate::edges::log;
use crate::mail::error::{Error, Kind};
use crate::mail::model::{Message, shown};
use crate::pipe::read::encode;
use crate::pipe::undelivered::Undelivered;
use std::time::{Duration, Instant};

/// What is held in memory, in bytes, before nothing more is read.
const LIMIT: usize = 1024 * 1024;

/// Between two tries of a file that could not be written.
const RETRY: Duration = Duration::from_secs(1);

/// The file, and what it did not take yet.
pub struct Kept {
    file: Undelivered,
    /// Whole records.
    unwritten: Vec<u8>,
    /// How many records those are: single messages, but for those whose fields are too many.
    count: usize,
    /// When the file is tried next.
    retry_at: Option<Instant>,
    /// Something belonged there.
    used: bool,
}

impl Kept {
    /// Nothing is kept yet.
    pub fn new(file: Undelivered) -> Kept {
        Kept { file, unwritten: Vec::new(), count: 0, retry_at: None, used: false }
    }

    /// Keeps `count` records, each ended by its line feed. Gives where, for the log.
    pub fn keep(&mut self, records: &[u8], count: usize, now: Instant) -> String {
        self.unwritten.extend_from_slice(records);
        self.count += count;
        self.used = true;
        let before = self.count - count;
        match self.write(now) {
            Ok(()) => {
                if before > 0 {
                    self.tell_written(before);
                }
                format!("kept in {}", self.path())
            }
            Err(error) => {
                format!("held in memory, for {} cannot be written: {error}", self.path())
            }
        }
    }

    /// Keeps what a person must see to, with the reasons: nobody else has it. One write for all of
    /// it, as each waits for the disk.
    pub fn give_up(&mut self, messages: Vec<(Message, String)>, now: Instant) {
        if messages.is_empty() {
            return;
        }
        let mut raw = Vec::new();
        let mut reasons = Vec::with_capacity(messages.len());
        for (message, why) in messages {
            reasons.push((shown(&message.email, log::is_debug()), why));
            raw.extend(encode(message));
        }
        let kept = self.keep(&raw, reasons.len(), now);
        for (to, why) in reasons {
            log::error("SEND", format_args!("not delivered to {to}: {why}; {kept}"));
        }
    }

    /// Tries the file again, if it is time.
    pub fn retry(&mut self, now: Instant) {
        let count = self.count;
        if self.retry_at.is_some_and(|at| at <= now) && self.write(now).is_ok() {
            self.tell_written(count);
        }
    }

    /// When to try the file again, if something waits for it.
    pub fn due(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Whether no more may be read: there might be no place for it.
    pub fn is_full(&self) -> bool {
        self.unwritten.len() >= LIMIT
    }

    /// Where to look, if there is anything.
    pub fn place(&self) -> Option<String> {
        self.used.then(|| self.path())
    }

    fn path(&self) -> String {
        self.file.path().display().to_string()
    }

    /// Tries the file for the last time.
    ///
    /// # Errors
    /// What is in memory is lost.
    pub fn close(&mut self, now: Instant) -> Result<(), Error> {
        let count = self.count;
        if count == 0 {
            return Ok(());
        }
        let Err(error) = self.write(now) else {
            self.tell_written(count);
            return Ok(());
        };
        // Said here, for the process may end with another error.
        log::error(
            "SEND",
            format_args!("messages lost: {count}; {} cannot be written: {error}", self.path()),
        );
        Err(Error::new(Kind::Io, "messages that could not be delivered could not be kept either"))
    }

    fn write(&mut self, now: Instant) -> std::io::Result<()> {
        if let Err(error) = self.file.append(&self.unwritten) {
            self.retry_at = Some(now + RETRY);
            return Err(error);
        }
        (self.unwritten, self.count, self.retry_at) = (Vec::new(), 0, None);
        Ok(())
    }

    fn tell_written(&self, count: usize) {
        let path = self.path();
        log::info("SEND", format_args!("messages from memory now kept in {path}: {count}"));
    }
}
