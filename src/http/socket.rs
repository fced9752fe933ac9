//! The socket under a request, and the watch that every wait keeps.
//!
//! In scope: looking names up on this thread, waits short enough to see the stop flag, and noting
//! that a request began to leave. Out of scope: TLS, proxies and HTTP, which `ureq` does above and
//! below these parts.

use super::{BUFFER, CONNECT};
use crate::stop::{GRACE, SLICE, Stop};
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
};

/// What is said when the grace is over.
const STOPPED: &str = "given up because mailroom was asked to stop";

/// What the parts of a client share: the wish to stop, and whether the request began to leave.
pub(super) struct Watch {
    stop: Stop,
    seen: Mutex<Seen>,
    sent: AtomicBool,
}

/// What is known of the stop flag.
struct Seen {
    /// When it was last seen lowered, or this call began.
    clear: Instant,
    /// The earliest moment at which it can have been raised, if it is.
    raised: Option<Instant>,
}

impl Watch {
    pub(super) fn new(stop: Stop) -> Watch {
        let seen = Seen { clear: Instant::now(), raised: None };
        Watch { stop, seen: Mutex::new(seen), sent: AtomicBool::new(false) }
    }

    /// A call begins. The time since the last one was idle and is not part of the grace.
    ///
    /// # Errors
    /// The grace is over: nothing may begin any more.
    pub(super) fn begin(&self) -> Result<(), Error> {
        self.sent.store(false, Ordering::Relaxed);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clear = Instant::now();
        self.slice(None, NextTimeout::default()).map(drop)
    }

    /// Whether the request of this call, or a part of it, left.
    pub(super) fn sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
    }

    /// How long the next wait may be.
    ///
    /// # Errors
    /// The time for it, or the grace, is over.
    fn slice(&self, until: Option<Instant>, timeout: NextTimeout) -> Result<Duration, Error> {
        let now = Instant::now();
        let mut slice = SLICE;
        if let Some(until) = until {
            let left = until.saturating_duration_since(now);
            if left.is_zero() {
                return Err(Error::Timeout(timeout.reason));
            }
            slice = slice.min(left);
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.stop.requested() {
            seen.clear = now;
        } else {
            let clear = seen.clear;
            let left = (*seen.raised.get_or_insert(clear) + GRACE).saturating_duration_since(now);
            if left.is_zero() {
                return Err(Error::Io(std::io::Error::new(ErrorKind::Interrupted, STOPPED)));
            }
            slice = slice.min(left);
        }
        Ok(slice.max(Duration::from_millis(1)))
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

/// The moment a timeout ends; `None`: never.
fn end(timeout: NextTimeout) -> Option<Instant> {
    if timeout.after.is_not_happening() { None } else { Instant::now().checked_add(*timeout.after) }
}

/// Looks names up on this thread.
#[derive(Debug)]
pub(super) struct Lookup;

impl Resolver for Lookup {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let port = match uri.port_u16() {
            Some(port) => port,
            None if uri.scheme_str() == Some("https") => 443,
            None => 80,
        };
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let mut found = DefaultResolver::default().empty();
        // More than sixteen do not fit.
        for address in (host, port).to_socket_addrs()?.take(16) {
            found.push(address);
        }
        if found.is_empty() { Err(Error::HostNotFound) } else { Ok(found) }
    }
}

/// Opens TCP connections, unless a proxy's tunnel is open already.
#[derive(Debug)]
pub(super) struct Dial(pub(super) Arc<Watch>);

impl<In: Transport> Connector<In> for Dial {
    type Out = Either<In, Wire>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        if let Some(open) = chained {
            return Ok(Some(Either::A(open)));
        }
        let until = end(details.timeout);
        let mut failed = Error::ConnectionFailed;
        for (index, address) in details.addrs.iter().enumerate() {
            // Also fails when it is too late.
            self.0.slice(until, details.timeout)?;
            let left = until.map_or(CONNECT, |at| at.saturating_duration_since(Instant::now()));
            // An address that does not answer leaves time for the next ones.
            let share = if index + 1 < details.addrs.len() { left / 2 } else { left };
            match TcpStream::connect_timeout(address, share.max(Duration::from_millis(1))) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    let buffers = LazyBuffers::new(BUFFER, BUFFER);
                    let wire = Wire { stream, buffers, watch: Arc::clone(&self.0) };
                    return Ok(Some(Either::B(wire)));
                }
                Err(error) => failed = Error::Io(error),
            }
        }
        Err(failed)
    }
}

/// A TCP connection whose waits are short enough to see the stop flag.
pub(super) struct Wire {
    stream: TcpStream,
    buffers: LazyBuffers,
    watch: Arc<Watch>,
}

/// Whether a read or write ended because its slice of time did, or by a signal.
fn sliced(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

impl Transport for Wire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let until = end(timeout);
        let output = self.buffers.output();
        let mut rest = output.get(..amount).unwrap_or(output);
        while !rest.is_empty() {
            self.stream.set_write_timeout(Some(self.watch.slice(until, timeout)?))?;
            match self.stream.write(rest) {
                Ok(0) => return Err(Error::Io(ErrorKind::WriteZero.into())),
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if sliced(&error) => {}
                Err(error) => return Err(Error::Io(error)),
            }
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let until = end(timeout);
        loop {
            self.stream.set_read_timeout(Some(self.watch.slice(until, timeout)?))?;
            match self.stream.read(self.buffers.input_append_buf()) {
                Ok(amount) => {
                    self.buffers.input_appended(amount);
                    return Ok(amount > 0);
                }
                Err(error) if sliced(&error) => {}
                Err(error) => return Err(Error::Io(error)),
            }
        }
    }

    fn is_open(&mut self) -> bool {
        // Between requests there is nothing to read: bytes or an end mean it cannot be used again.
        let idle = self.stream.set_nonblocking(true).is_ok()
            && matches!(self.stream.peek(&mut [0]), Err(e) if e.kind() == ErrorKind::WouldBlock);
        self.stream.set_nonblocking(false).is_ok() && idle
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wire").field(&self.stream).finish()
    }
}

/// The last of the chain: notes that bytes of the request itself begin to leave.
#[derive(Debug)]
pub(super) struct Marker {
    pub(super) watch: Arc<Watch>,
    /// Whether requests go through a proxy.
    pub(super) proxied: bool,
}

impl<In: Transport> Connector<In> for Marker {
    type Out = Marked<In>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        // The chain also runs for the way to the proxy, then without a proxy in its settings:
        // what is sent on that way is not the request.
        let counts = details.config.proxy().is_some() == self.proxied;
        let watch = counts.then(|| Arc::clone(&self.watch));
        Ok(chained.map(|inner| Marked { inner, watch }))
    }
}

#[derive(Debug)]
pub(super) struct Marked<T> {
    inner: T,
    watch: Option<Arc<Watch>>,
}

impl<T: Transport> Transport for Marked<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if let Some(watch) = &self.watch {
            watch.sent.store(true, Ordering::Relaxed);
        }
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
