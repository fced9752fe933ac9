//! The socket under a request, and the watch that every wait keeps.
//!
//! In scope: looking names up on this thread, waits as `net.rs` has them in the words of `ureq`,
//! and noting that a request began to leave. Out of scope: TLS, proxies and HTTP, which `ureq` does
//! above and below these parts.

use super::{BUFFER, CONNECT};
use crate::net::{self, is_idle};
use crate::stop::Stop;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
};

/// What the parts of a client share: the wish to stop, and whether the request began to leave.
pub(super) struct Watch {
    waits: net::Watch,
    sent: AtomicBool,
}

impl Watch {
    pub(super) fn new(stop: Stop) -> Watch {
        Watch { waits: net::Watch::new(stop, Instant::now), sent: AtomicBool::new(false) }
    }

    /// A call begins.
    ///
    /// # Errors
    /// Nothing may begin any more.
    pub(super) fn begin(&self) -> Result<(), Error> {
        self.sent.store(false, Ordering::Relaxed);
        self.waits.begin().map_err(Error::Io)
    }

    /// Whether the request of this call, or a part of it, left.
    pub(super) fn sent(&self) -> bool {
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
        let until = end(details.timeout).unwrap_or_else(|| Instant::now() + CONNECT);
        let stream = self.0.waits.connect(&details.addrs, until);
        let stream = stream.map_err(|error| waited(error, details.timeout))?;
        let buffers = LazyBuffers::new(BUFFER, BUFFER);
        Ok(Some(Either::B(Wire { stream, buffers, watch: Arc::clone(&self.0) })))
    }
}

/// A TCP connection whose waits are short enough to see the stop flag.
pub(super) struct Wire {
    stream: TcpStream,
    buffers: LazyBuffers,
    watch: Arc<Watch>,
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
                self.stream.set_write_timeout(Some(slice))?;
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
            self.stream.set_read_timeout(Some(slice))?;
            self.stream.read(self.buffers.input_append_buf())
        });
        let amount = amount.map_err(|error| waited(error, timeout))?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        is_idle(&self.stream)
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
