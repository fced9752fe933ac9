//! The socket under a request, and the watch that every wait keeps.
//!
//! In scope: looking names up on this thread, waits as `net.rs` has them in the words of `ureq`,
//! and noting that a request began to leave. Out of scope: TLS, proxies and HTTP, which `ureq` does
//! above and below these parts.

use crate::edges::net::{Watch, Wire};
use scoped_tls_hkt::scoped_thread_local;
use std::io::{self, ErrorKind, Read, Write};
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

/// Resolving, connecting and the TLS handshake.
pub(crate) const CONNECT: Duration = Duration::from_secs(5);
/// A connection is used for so long: the name may lead elsewhere then, as that of an endpoint of several
/// regions does when one of them fails.
const AGE: Duration = Duration::from_secs(60);
/// Each way; ureq's default is 128 KiB.
pub(crate) const BUFFER: usize = 16 * 1024;

scoped_thread_local! {
    /// What is done while a request that has left waits for its reply.
    pub(crate) static mut MEANWHILE: for<'a> &'a mut (dyn FnMut() + 'a)
}

/// What is known of the call under way.
#[derive(Debug, Default)]
pub(crate) struct Call {
    /// Whether it goes through a proxy.
    pub proxied: AtomicBool,
    /// Whether its request, or a part of it, left.
    pub sent: AtomicBool,
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

/// Opens TCP connections, unless a proxy's tunnel is open already.
#[derive(Debug)]
pub(crate) struct Dial(pub(crate) Watch);

impl<In: Transport> Connector<In> for Dial {
    type Out = Either<In, Socket>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        if let Some(open) = chained {
            return Ok(Some(Either::A(open)));
        }
        // Looking names up does not count against the time to connect. With a limit of its own it would
        // start a thread.
        let never = NextTimeout::default();
        let resolve = || DefaultResolver::default().resolve(details.uri, details.config, never);
        let addresses = self.0.whole(resolve)?;
        let until = end(details.timeout).unwrap_or_else(|| Instant::now() + CONNECT);
        let stream = self.0.connect(&addresses, until);
        let stream = stream.map_err(|error| waited(error, details.timeout))?;
        let wire = Wire::new(stream, self.0.clone());
        let buffers = LazyBuffers::new(BUFFER, BUFFER);
        Ok(Some(Either::B(Socket { wire, buffers, fresh: false, until: Instant::now() + AGE })))
    }
}

/// A TCP connection in the words of `ureq`.
#[derive(Debug)]
pub(crate) struct Socket {
    wire: Wire,
    buffers: LazyBuffers,
    /// Whether something was just read: ureq looks at the connection then, and once more before it
    /// is used again, which is the look that counts.
    fresh: bool,
    /// No call begins on it after this.
    until: Instant,
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.wire.until = end(timeout);
        let output = self.buffers.output();
        let written = self.wire.write_all(output.get(..amount).unwrap_or(output));
        written.map_err(|error| waited(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.wire.until = end(timeout);
        let amount = self.wire.read(self.buffers.input_append_buf());
        let amount = amount.map_err(|error| waited(error, timeout))?;
        self.buffers.input_appended(amount);
        self.fresh = amount > 0;
        Ok(self.fresh)
    }

    fn is_open(&mut self) -> bool {
        std::mem::take(&mut self.fresh) || Instant::now() < self.until && self.wire.is_idle()
    }
}

/// The last of the chain: holds the head of a request until its body can go with it, and notes that
/// bytes of the request itself begin to leave.
#[derive(Debug)]
pub(crate) struct Marker(pub(crate) Arc<Call>);

impl<In: Transport> Connector<In> for Marker {
    type Out = Marked<In>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        // The chain also runs for the way to the proxy, then without a proxy in its settings:
        // what is sent on that way is not the request.
        let counts = details.config.proxy().is_some() == self.0.proxied.load(Ordering::Relaxed);
        let call = counts.then(|| Arc::clone(&self.0));
        Ok(chained.map(|inner| Marked { inner, call, held: Vec::new() }))
    }
}

#[derive(Debug)]
pub(crate) struct Marked<T> {
    inner: T,
    /// `None`: the way to a proxy.
    call: Option<Arc<Call>>,
    /// What did not leave yet of the request.
    held: Vec<u8>,
}

impl<T: Transport> Marked<T> {
    /// Sends what is held.
    fn leave(&mut self, timeout: NextTimeout) -> Result<(), Error> {
        let Some(call) = self.call.as_ref().filter(|_| !self.held.is_empty()) else {
            return Ok(());
        };
        call.sent.store(true, Ordering::Relaxed);
        for piece in self.held.chunks(BUFFER) {
            let mut output = self.inner.buffers().output();
            output.write_all(piece)?;
            self.inner.transmit_output(piece.len(), timeout)?;
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
        if self.call.is_none() {
            return self.inner.transmit_output(amount, timeout);
        }
        let output = self.inner.buffers().output();
        self.held.extend_from_slice(output.get(..amount).unwrap_or(output));
        if self.held.len() < BUFFER { Ok(()) } else { self.leave(timeout) }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.leave(timeout)?;
        if self.call.is_some() && MEANWHILE.is_set() {
            MEANWHILE.with(|work| work());
        }
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edges::stop::Stop;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn no_call_begins_on_a_connection_that_is_too_old() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let wire = Wire::new(stream, Watch::new(Stop::default(), Instant::now));
        let buffers = LazyBuffers::new(BUFFER, BUFFER);
        let mut socket = Socket { wire, buffers, fresh: false, until: Instant::now() + AGE };
        assert!(socket.is_open());
        socket.until = Instant::now();
        assert!(!socket.is_open());
        // It is put back after a reply, and looked at when it is to be used.
        socket.fresh = true;
        assert!(socket.is_open() && !socket.is_open());
    }
}
