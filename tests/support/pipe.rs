//! Pipes that are full: a reader of the program's output that reads only when it is told to.

use super::cluster::Database;
use super::program::{Program, Running, Text, wait_until};
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::AsFd as _;

/// A reader that does not read. Dropping it closes the pipe.
pub struct Stalled {
    reader: PipeReader,
    /// To ask whether there is room.
    writer: PipeWriter,
}

/// A pipe that holds no more than 4096 bytes: its reader, and the end to give to the program. A
/// batch of fifty messages does not fit in.
pub fn stalled() -> (Stalled, PipeWriter) {
    let (reader, writer) = pipe().unwrap();
    fcntl(&reader, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    (Stalled { reader, writer: writer.try_clone().unwrap() }, writer)
}

/// Starts a collector and waits until it has claimed one batch of fifty, and has written half of it:
/// its reader does not read.
pub fn stuck(collect: Program, database: &Database) -> (Running, Stalled) {
    let (reader, output) = stalled();
    let running = collect.limit(50).stdout(output).start();
    wait_until("a batch is claimed", || database.in_state("leased") == 50);
    reader.wait_full();
    (running, reader)
}

impl Stalled {
    /// Waits until the program has filled the pipe, so that its next write must wait.
    pub fn wait_full(&self) {
        wait_full(&self.writer);
    }

    /// Begins to read.
    pub fn read(self) -> Text {
        Text::follow(self.reader)
    }
}

/// Waits until the pipe takes nothing more.
pub fn wait_full(writer: &PipeWriter) {
    wait_until("the pipe is full", || {
        let mut fds = [PollFd::new(writer.as_fd(), PollFlags::POLLOUT)];
        poll(&mut fds, PollTimeout::ZERO).unwrap() == 0
    });
}
