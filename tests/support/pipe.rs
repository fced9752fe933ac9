//! Pipes that are full: a reader of the program's output that reads only when it is told to.

use super::cluster::Database;
use super::program::{PATIENCE, Program, Running, Text, wait_until};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{ErrorKind, PipeReader, PipeWriter, Write as _, pipe};
use std::os::fd::AsFd as _;
use std::time::Instant;

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

/// Gives bytes to a program through a pipe that does not block: until it has taken so many at least,
/// and then until it had its turn twice and took no more. What is left stays in `bytes`.
pub fn offer(writer: &mut PipeWriter, reader: &Running, bytes: &mut Vec<u8>, least: usize) {
    let (whole, deadline) = (bytes.len(), Instant::now() + PATIENCE);
    let mut had_its_turn = false;
    while !bytes.is_empty() {
        match writer.write(bytes) {
            Ok(n) => {
                bytes.drain(..n);
                had_its_turn = false;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                let taken = whole - bytes.len();
                if had_its_turn && taken >= least {
                    return;
                }
                assert!(Instant::now() < deadline, "only {taken} of {least} bytes were taken");
                reader.wait_turns(2);
                had_its_turn = true;
            }
        }
    }
}

/// Makes writes that find no room fail.
pub fn do_not_block(writer: &PipeWriter) {
    let flags = OFlag::from_bits_retain(fcntl(writer, FcntlArg::F_GETFL).unwrap());
    fcntl(writer, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).unwrap();
}

/// Waits until the pipe takes nothing more.
pub fn wait_full(writer: &PipeWriter) {
    wait_until("the pipe is full", || {
        let mut fds = [PollFd::new(writer.as_fd(), PollFlags::POLLOUT)];
        poll(&mut fds, PollTimeout::ZERO).unwrap() == 0
    });
}
