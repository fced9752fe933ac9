//! Sleeps until something arrives on a connection.
//!
//! The client can wait too, but its timer wakes twice for each wait, and no signal ends it. So the
//! kernel is asked about the client's socket here, and the client is asked only when there is
//! something to read.

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

/// What sleeps on one socket.
pub struct Inbox {
    poll: Poll,
    events: Events,
}

impl Inbox {
    /// Sleeps on `socket`, which stays the client's.
    pub fn new(socket: RawFd) -> io::Result<Inbox> {
        let poll = Poll::new()?;
        poll.registry().register(&mut SourceFd(&socket), Token(0), Interest::READABLE)?;
        Ok(Inbox { poll, events: Events::with_capacity(1) })
    }

    /// Whether something has arrived, after at most `limit`. A signal ends the sleep early.
    pub fn sleep(&mut self, limit: Duration) -> io::Result<bool> {
        match self.poll.poll(&mut self.events, Some(limit)) {
            Ok(()) => Ok(!self.events.is_empty()),
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => Ok(false),
            Err(cause) => Err(cause),
        }
    }
}
