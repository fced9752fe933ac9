//! TCP connections whose waits end in time and see the request to stop.
//!
//! In scope: how long a wait may be, trying one address after the other, and whether an idle
//! connection is still there. Out of scope: looking names up, TLS, and what is said.

use crate::edges::stop::{GRACE, SLICE, Stop};
use nix::errno::Errno;
use nix::poll::{PollFd, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd as _;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The shortest wait that the system takes for one.
const SHORTEST: Duration = Duration::from_millis(1);

/// What every wait keeps an eye on. Clones share what they know of the stop flag.
#[derive(Clone, Debug)]
pub struct Watch {
    stop: Stop,
    now: fn() -> Instant,
    /// When it was first seen raised: at most a slice of time after it was, or the beginning of what
    /// could not be cut into slices.
    raised: Arc<OnceLock<Instant>>,
}

impl Watch {
    /// A watch on `stop`; `now` is the clock that waits are measured by.
    pub fn new(stop: Stop, now: fn() -> Instant) -> Watch {
        Watch { stop, now, raised: Arc::default() }
    }

    /// The time by the clock of the watch.
    pub fn now(&self) -> Instant {
        (self.now)()
    }

    /// Something begins.
    ///
    /// # Errors
    /// `ConnectionAborted`: the grace is over, nothing may begin any more.
    pub fn begin(&self) -> io::Result<()> {
        self.slice(None).map(drop)
    }

    /// Does what cannot be cut into slices. A request to stop that comes meanwhile counts from its
    /// beginning.
    pub fn whole<T>(&self, step: impl FnOnce() -> T) -> T {
        let begun = self.now();
        let done = step();
        if self.stop.requested() {
            self.raised.get_or_init(|| begun);
        }
        done
    }

    /// How long the next wait may be, until `until` at most; `None`: the wait has no end of its
    /// own.
    ///
    /// # Errors
    /// `TimedOut`: the time is over. `ConnectionAborted`: the grace after a request to stop is.
    /// Both have a text, which the system's own errors of these kinds do not have.
    fn slice(&self, until: Option<Instant>) -> io::Result<Duration> {
        let now = self.now();
        let mut slice = SLICE;
        if let Some(until) = until {
            let left = until.saturating_duration_since(now);
            if left.is_zero() {
                return Err(io::Error::new(ErrorKind::TimedOut, "no answer in time"));
            }
            slice = slice.min(left);
        }
        if self.stop.requested() {
            let raised = *self.raised.get_or_init(|| now);
            let left = (raised + GRACE).saturating_duration_since(now);
            if left.is_zero() {
                let text = "given up because mailroom was asked to stop";
                // Not `Interrupted`: TLS and the standard library's readers try again at that.
                return Err(io::Error::new(ErrorKind::ConnectionAborted, text));
            }
            slice = slice.min(left);
        }
        Ok(slice.max(SHORTEST))
    }

    /// Waits until something can be done with one of the connections, `until` or a slice of time
    /// is over, or a signal came.
    ///
    /// # Errors
    /// `ConnectionAborted`: the grace after a request to stop is over.
    pub fn poll(&self, waits: &mut [PollFd<'_>], until: Instant) -> io::Result<()> {
        let left = until.saturating_duration_since(self.now()).max(SHORTEST);
        let slice = self.slice(None)?.min(left);
        ready(waits, slice).map(drop)
    }

    /// Connects to the first of the addresses that answers, until `until`.
    ///
    /// # Errors
    /// `TimedOut` or `ConnectionAborted`, as for every wait, or what the last address said.
    pub fn connect(&self, addresses: &[SocketAddr], until: Instant) -> io::Result<TcpStream> {
        let mut failed = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for (index, address) in addresses.iter().enumerate() {
            // Also fails when it is too late.
            self.slice(Some(until))?;
            let left = until.saturating_duration_since(self.now());
            // An address that does not answer leaves time for the next ones.
            let share = if index + 1 < addresses.len() { left / 2 } else { left };
            match self.whole(|| TcpStream::connect_timeout(address, share.max(SHORTEST))) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

/// Waits so long, or until a signal came; gives whether something can be done with one of the files.
///
/// # Errors
/// As the system says.
pub fn ready(waits: &mut [PollFd<'_>], time: Duration) -> io::Result<bool> {
    match poll(waits, PollTimeout::try_from(time).unwrap_or(PollTimeout::ZERO)) {
        Err(Errno::EINTR) => Ok(false),
        found => Ok(found? > 0),
    }
}

/// A TCP connection. Its reads and writes fail with `TimedOut` when their time is over, and with
/// `ConnectionAborted` when the grace after a request to stop is.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    watch: Watch,
    /// When what is under way must be done; `None`: it has no end of its own.
    pub until: Option<Instant>,
    /// The time limit that the socket has, so that it is not set again.
    limit: Option<Duration>,
}

impl Wire {
    /// A connection whose waits `watch` keeps an eye on.
    pub fn new(stream: TcpStream, watch: Watch) -> Wire {
        Wire { stream, watch, until: None, limit: None }
    }

    /// Whether a connection with nothing under way can be used again: there is nothing to read
    /// then, so bytes or an end mean that it cannot.
    pub fn is_idle(&self) -> bool {
        let look = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        recv(self.stream.as_raw_fd(), &mut [0], look) == Err(Errno::EAGAIN)
    }

    /// Does `step` again as long as its slice of time ends before it is done.
    fn wait<T>(&mut self, mut step: impl FnMut(&TcpStream) -> io::Result<T>) -> io::Result<T> {
        loop {
            let slice = Some(self.watch.slice(self.until)?);
            if self.limit != slice {
                self.stream.set_read_timeout(slice)?;
                self.stream.set_write_timeout(slice)?;
                self.limit = slice;
            }
            match step(&self.stream) {
                Err(error) if is_slice(&error) => {}
                done => return done,
            }
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wait(|mut stream| stream.read(buffer))
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wait(|mut stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether an operation ended because its slice of time did, or by a signal.
fn is_slice(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
