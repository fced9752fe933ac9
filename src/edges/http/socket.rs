//! The socket under a request, and the watch that every wait keeps.
//!
//! In scope: looking names up on this thread, waits as `net.rs` has them in the words of `ureq`,
//! and noting that a request began to leave. Out of scope: TLS, proxies and HTTP, which `ureq` does
//! above and below these parts.

use crate::edges::http::{BUFFER, CONNECT};
use crate::edges::net;
use crate::edges::net::is_idle;
use crate::edges::stop::Stop;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
};

/// What the parts of a client share: the wish to stop, and whether the request began to leave.
pub(crate) struct Watch {
    waits: net::Watch,
    sent: AtomicBool,
}

impl Watch {
    pub(crate) fn new(stop: Stop) -> Watch {
        Watch { waits: net::Watch::new(stop, Instant::now), sent: AtomicBool::new(false) }
    }

    /// A call begins.
    ///
    /// # Errors
    /// Nothing may begin any more.
    pub(crate) fn begin(&self) -> Result<(), Error> {
        self.sent.store(false, Ordering::Relaxed);
        self.waits.begin().map_err(Error::Io)
    }

    /// Whether the request of this call, or a part of it, left.
    pub(crate) fn sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
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

/// An error of a wait: ureq says which of its times is over. The system's own has no text.
fn waited(error: io::Error, timeout: NextTimeout) -> Error {
    match error.kind() {
        ErrorKind::TimedOut if error.get_ref().is_some() => Error::Timeout(timeout.reason),
        _ => Error::Io(error),
    }
}

/// Looks nothing up: ureq asks for the addresses of each request, also when a connection is kept.
/// [`Dial`] looks them up when it needs them.
#[derive(Debug)]
pub(crate) struct Later;

impl Resolver for Later {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(DefaultResolver::default().empty())
    }
}

/// The addresses of the host of a URL, looked up on this thread.
fn addresses(uri: &Uri) -> Result<Vec<SocketAddr>, Error> {
    let port = match uri.port_u16() {
        Some(port) => port,
        None if uri.scheme_str() == Some("https") => 443,
        None => 80,
    };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let found: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    if found.is_empty() { Err(Error::HostNotFound) } else { Ok(found) }
}

/// Opens TCP connections, unless a proxy's tunnel is open already.
#[derive(Debug)]
pub(crate) struct Dial(pub(crate) Arc<Watch>);

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
        // Looking names up does not count against the time to connect.
        let addresses = addresses(details.uri)?;
        let until = end(details.timeout).unwrap_or_else(|| Instant::now() + CONNECT);
        let stream = self.0.waits.connect(&addresses, until);
        let stream = stream.map_err(|error| waited(error, details.timeout))?;
        let buffers = LazyBuffers::new(BUFFER, BUFFER);
        let (watch, limits) = (Arc::clone(&self.0), Limits::default());
        Ok(Some(Either::B(Wire { stream, buffers, watch, limits, fresh: false })))
    }
}

/// A TCP connection whose waits are short enough to see the stop flag.
pub(crate) struct Wire {
    stream: TcpStream,
    buffers: LazyBuffers,
    watch: Arc<Watch>,
    limits: Limits,
    /// Whether something was just read: ureq looks at the connection then, and once more before it
    /// is used again, which is the look that counts.
    fresh: bool,
}

/// The time limits that the socket has, so that none is set again.
#[derive(Default)]
struct Limits {
    read: Option<Duration>,
    write: Option<Duration>,
}

impl Limits {
    fn read(&mut self, stream: &TcpStream, limit: Duration) -> io::Result<()> {
        if self.read.replace(limit) == Some(limit) {
            return Ok(());
        }
        stream.set_read_timeout(Some(limit))
    }

    fn write(&mut self, stream: &TcpStream, limit: Duration) -> io::Result<()> {
        if self.write.replace(limit) == Some(limit) {
            return Ok(());
        }
        stream.set_write_timeout(Some(limit))
    }
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
            let written = self.watch.waits.wait(until, |slice| {
                self.limits.write(&self.stream, slice)?;
                self.stream.write(rest)
            });
            match written.map_err(|error| waited(error, timeout))? {
                0 => return Err(Error::Io(ErrorKind::WriteZero.into())),
                written => rest = rest.get(written..).unwrap_or_default(),
            }
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let amount = self.watch.waits.wait(end(timeout), |slice| {
            self.limits.read(&self.stream, slice)?;
            self.stream.read(self.buffers.input_append_buf())
        });
        let amount = amount.map_err(|error| waited(error, timeout))?;
        self.buffers.input_appended(amount);
        self.fresh = amount > 0;
        Ok(self.fresh)
    }

    fn is_open(&mut self) -> bool {
        std::mem::take(&mut self.fresh) || is_idle(&self.stream)
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wire").field(&self.stream).finish()
    }
}

/// The last of the chain: holds the head of a request until its body can go with it, and notes that
/// bytes of the request itself begin to leave.
#[derive(Debug)]
pub(crate) struct Marker {
    pub(crate) watch: Arc<Watch>,
    /// Whether requests go through a proxy.
    pub(crate) proxied: bool,
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
        Ok(chained.map(|inner| Marked { inner, watch, held: Vec::new() }))
    }
}

#[derive(Debug)]
pub(crate) struct Marked<T> {
    inner: T,
    watch: Option<Arc<Watch>>,
    /// What did not leave yet of the request.
    held: Vec<u8>,
}

impl<T: Transport> Marked<T> {
    /// Sends what is held.
    fn leave(&mut self, timeout: NextTimeout) -> Result<(), Error> {
        let Some(watch) = self.watch.as_ref().filter(|_| !self.held.is_empty()) else {
            return Ok(());
        };
        watch.sent.store(true, Ordering::Relaxed);
        let mut rest = self.held.as_slice();
        while !rest.is_empty() {
            let mut output = self.inner.buffers().output();
            let amount = output.write(rest)?;
            if amount == 0 {
                return Err(Error::Io(ErrorKind::WriteZero.into()));
            }
            rest = rest.get(amount..).unwrap_or_default();
            self.inner.transmit_output(amount, timeout)?;
        }
        self.held.clear();
        Ok(())
    }
}

impl<T: Transport> Transport for Marked<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.watch.is_none() {
            return self.inner.transmit_output(amount, timeout);
        }
        let output = self.inner.buffers().output();
        self.held.extend_from_slice(output.get(..amount).unwrap_or(output));
        if self.held.len() < BUFFER { Ok(()) } else { self.leave(timeout) }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.leave(timeout)?;
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
