//! Waiting until a file can be read or written, for both ends of the pipe.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

/// Which of `flags`, or of the errors, is so within `time`; none if a signal came first.
///
/// # Errors
/// As poll(2).
pub fn poll(file: &File, flags: PollFlags, time: Duration) -> io::Result<PollFlags> {
    let mut fds = [PollFd::new(file.as_fd(), flags)];
    let time = PollTimeout::try_from(time).unwrap_or(PollTimeout::ZERO);
    match nix::poll::poll(&mut fds, time) {
        Ok(_) => Ok(fds[0].revents().unwrap_or(PollFlags::empty())),
        Err(Errno::EINTR) => Ok(PollFlags::empty()),
        Err(error) => Err(error.into()),
    }
}
