//! The log: one line an event on standard error, in UTC, as text or JSON.
//!
//! In scope: levels, a reader that is slow or gone. What a line looks like is in
//! `log/line.rs`. Out of scope: deciding what is worth a line. A line never holds a secret, token,
//! code, key, password or the body of a mail; callers see to that, and the tests search for them.

pub mod line;

use line::{Field, Format, Level, Line, escape};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fmt::Display;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use time::OffsetDateTime;

static SETTINGS: OnceLock<(Level, Format)> = OnceLock::new();

/// Sets level and shape, once a process; before that, and by default, `info` and text.
pub fn configure(level: Level, format: Format) {
    let _ = SETTINGS.set((level, format));
}

fn settings() -> (Level, Format) {
    SETTINGS.get().copied().unwrap_or((Level::Info, Format::Text))
}

/// This moment, as the lines have it.
fn now() -> String {
    settings().1.stamp(OffsetDateTime::now_utc())
}

fn enabled(level: Level) -> bool {
    level <= settings().0
}

/// Writes an error line. `unit` names the part of the program: `PG`, `SES`, `RUN`.
pub fn error(unit: &str, text: impl Display) {
    write(Level::Error, unit, &text);
}

/// Writes a warning line.
pub fn warn(unit: &str, text: impl Display) {
    write(Level::Warn, unit, &text);
}

/// Writes an ordinary line.
pub fn info(unit: &str, text: impl Display) {
    write(Level::Info, unit, &text);
}

/// Writes a debug line.
pub fn debug(unit: &str, text: impl Display) {
    write(Level::Debug, unit, &text);
}

/// Lines that are written together: several events of one moment.
///
/// A reader of the pipe gets whole lines, whoever else writes to it, because no write is longer than
/// what the system takes in one piece.
pub struct Lines<'a> {
    unit: &'a str,
    stamp: String,
    text: String,
}

impl<'a> Lines<'a> {
    /// None yet; their moment is this one. `unit` names the part of the program.
    pub fn new(unit: &'a str) -> Lines<'a> {
        Lines { unit, stamp: now(), text: String::new() }
    }

    /// Adds a line: the parts of a text, then fields, ` name=value` each, or members of the JSON
    /// object. A field must not have the name of a member that every line has.
    pub fn event(&mut self, level: Level, text: &[&str], fields: &[(&str, Field)]) {
        let (threshold, format) = settings();
        if level > threshold {
            return;
        }
        let before = self.text.len();
        let line = Line { level, unit: self.unit, text, fields, stamp: &self.stamp };
        line.add_to(&mut self.text, format);
        if self.text.len() - before > WHOLE {
            // Waiting for a reader to make room for more than one piece could stop the mail.
            self.text.truncate(before);
            line.add_short_to(&mut self.text, format);
        }
        if self.text.len() > WHOLE && before > 0 {
            let rest = self.text.split_off(before);
            self.write();
            self.text = rest;
        }
    }

    /// Writes what was added.
    pub fn write(&mut self) {
        put(self.unit, &self.text);
        self.text.clear();
    }
}

/// Writes why a command ends that a person started: `mailroom: text`, as Unix tools do, or in JSON.
pub fn end(text: impl Display) {
    if settings().1 == Format::Text {
        let _ = std::io::stderr().write_all(plain(&text.to_string()).as_bytes());
    } else {
        error("RUN", text);
    }
}

fn plain(text: &str) -> String {
    let mut line = "mailroom: ".to_owned();
    escape(text, &mut line);
    line.push('\n');
    line
}

/// Whether debug lines are written, and with them what is masked otherwise.
pub fn is_debug() -> bool {
    enabled(Level::Debug)
}

fn write(level: Level, unit: &str, text: &dyn Display) {
    if !enabled(level) {
        return;
    }
    let mut lines = Lines::new(unit);
    lines.event(level, &[&text.to_string()], &[]);
    lines.write();
}

/// Writes lines, if there are any.
fn put(unit: &str, text: &str) {
    if text.is_empty() {
        return;
    }
    // A log that cannot be written must not stop the mail.
    let lost = LOST.load(Relaxed);
    if !is_taken(if lost > 0 { PollTimeout::ZERO } else { PATIENCE.into() }) {
        LOST.fetch_add(text.lines().count(), Relaxed);
        return;
    }
    if lost > 0 {
        LOST.store(0, Relaxed);
        let text = format!("lines lost because nobody read them: {lost}");
        let mut first = String::new();
        let line = Line { level: Level::Warn, unit, text: &[&text], fields: &[], stamp: &now() };
        line.add_to(&mut first, settings().1);
        let _ = std::io::stderr().write_all(first.as_bytes());
    }
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// The longest write that a pipe takes in one piece (PIPE_BUF), without the line about lost ones.
const WHOLE: usize = 4096 - 256;
/// How long, in milliseconds, a reader of the log may keep it up; once it did, not at all.
const PATIENCE: u16 = 1000;
static LOST: AtomicUsize = AtomicUsize::new(0);

/// Whether standard error takes a line now. A pipe that does holds at least PIPE_BUF bytes.
/// <https://man7.org/linux/man-pages/man7/pipe.7.html>
fn is_taken(wait: PollTimeout) -> bool {
    let stderr = std::io::stderr();
    let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    // An interrupted wait, or a descriptor that cannot be waited for, is no reader that is stuck.
    poll(&mut fds, wait) != Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_command_has_neither_time_nor_unit_and_stays_one_line() {
        assert_eq!(plain("which\ncommand?"), "mailroom: which\\ncommand?\n");
    }
}
