//! TCP connections whose waits end in time and see the request to stop.
//!
//! In scope: how long a wait may be, trying one address after the other, and whether an idle
//! connection is still there. Out of scope: looking names up, TLS, and what is said.

use crate::edges::stop::{GRACE, SLICE, Stop};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The shortest wait that the system takes for one.
const SHORTEST: Duration = Duration::from_millis(1);

/// What every wait keeps an eye on. Clones share what they know of the stop flag.
#[derive(Clone, Debug)]
pub struct Watch {
    stop: Stop,
    now: fn() -> Instant,
    seen: Arc<Mutex<Seen>>,
}

/// What is known of the stop flag.
#[derive(Debug)]
struct Seen {
    /// When it was last seen lowered, or something began.
    clear: Instant,
    /// The earliest moment at which it can have been raised, if it is.
    raised: Option<Instant>,
}

impl Watch {
    /// A watch on `stop`; `now` is the clock that waits are measured by.
    pub fn new(stop: Stop, now: fn() -> Instant) -> Watch {
        let seen = Seen { clear: now(), raised: None };
        Watch { stop, now, seen: Arc::new(Mutex::new(seen)) }
    }

    /// The time by the clock of the watch.
    pub fn now(&self) -> Instant {
        (self.now)()
    }

    /// Something begins. The time since the last wait was idle and is not part of the grace.
    ///
    /// # Errors
    /// `ConnectionAborted`: the grace is over, nothing may begin any more.
    pub fn begin(&self) -> io::Result<()> {
        self.seen().clear = self.now();
        self.slice(None).map(drop)
    }

    /// How long the next wait may be, until `until` at most; `None`: the wait has no end of its
    /// own.
    ///
    /// # Errors
    /// `TimedOut`: the time is over. `ConnectionAborted`: the grace after a request to stop is.
    pub fn slice(&self, until: Option<Instant>) -> io::Result<Duration> {
        let now = self.now();
        let mut slice = SLICE;
        if let Some(until) = until {
            let left = until.saturating_duration_since(now);
            if left.is_zero() {
                return Err(io::Error::new(ErrorKind::TimedOut, "no answer in time"));
            }
            slice = slice.min(left);
        }
        let mut seen = self.seen();
        if !self.stop.requested() {
            seen.clear = now;
        } else {
            let clear = seen.clear;
            let left = (*seen.raised.get_or_insert(clear) + GRACE).saturating_duration_since(now);
            if left.is_zero() {
                let text = "given up because mailroom was asked to stop";
                // Not `Interrupted`: TLS and the standard library's readers try again at that.
                return Err(io::Error::new(ErrorKind::ConnectionAborted, text));
            }
            slice = slice.min(left);
        }
        Ok(slice.max(SHORTEST))
    }

    /// Does `step` again as long as its slice of time ends before it is done. `step` is given the
    /// slice, to set it as the time limit of its reads and writes.
    ///
    /// # Errors
    /// Those of [`Watch::slice`], and those of `step`, which are neither of the two.
    pub fn wait<T>(
        &self,
        until: Option<Instant>,
        mut step: impl FnMut(Duration) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match step(self.slice(until)?) {
                Err(error) if sliced(&error) => {}
                done => return done,
            }
        }
    }

    /// Connects to the first of the addresses that answers, until `until`.
    ///
    /// # Errors
    /// Those of [`Watch::slice`], or what the last address said.
    pub fn connect(&self, addresses: &[SocketAddr], until: Instant) -> io::Result<TcpStream> {
        let mut failed = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for (index, address) in addresses.iter().enumerate() {
            // Also fails when it is too late.
            self.slice(Some(until))?;
            let left = until.saturating_duration_since(self.now());
            // An address that does not answer leaves time for the next ones.
            let share = if index + 1 < addresses.len() { left / 2 } else { left };
            match TcpStream::connect_timeout(address, share.max(SHORTEST)) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an operation ended because its slice of time did, or by a signal. An error with a text
/// is not the system's: TLS may wrap its own in these kinds.
fn sliced(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
        && error.get_ref().is_none()
}

/// Whether a connection with nothing under way can be used again: there is nothing to read then,
/// so bytes or an end mean that it cannot.
pub fn is_idle(stream: &TcpStream) -> bool {
    let look = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    recv(stream.as_raw_fd(), &mut [0], look) == Err(Errno::EAGAIN)
}
