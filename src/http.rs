//! HTTP for everybody: how requests are made, within which time, through which proxy, trusting
//! whom.
//!
//! In scope: one request, one reply or a fault that says whether anything was sent. Out of scope:
//! signing, retries, and what replies mean. It logs nothing.
//!
//! `ureq` starts no thread here: names are looked up on the calling thread, within the limits of
//! the system's resolver. Its `unversioned` parts may change in a minor release, so Cargo.toml
//! names the minor version.

use crate::proxy::Proxies;
use crate::stop::{GRACE, SLICE, Stop};
use crate::verdict::Fault as Class;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::config::Config;
use ureq::http::{HeaderMap, Request, StatusCode, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout,
    RustlsConnector, Transport,
};
use ureq::{Agent, Error, Proxy};

/// Resolving, connecting and the TLS handshake.
const CONNECT: Duration = Duration::from_secs(5);
/// Sending the head or the body of a request.
const SEND: Duration = Duration::from_secs(10);
/// Waiting for the head of the reply.
const ANSWER: Duration = Duration::from_secs(20);
/// All of it, the reply's body included.
const WHOLE: Duration = Duration::from_secs(30);
/// Each way; ureq's default is 128 KiB.
const BUFFER: usize = 16 * 1024;
/// The longest body that is read.
const BODY_LIMIT: u64 = 1024 * 1024;

/// A reply, whatever its status.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: StatusCode,
    /// The headers as they came.
    pub headers: HeaderMap,
    /// The body, at most 1 MiB.
    pub body: Vec<u8>,
}

impl Reply {
    /// A header's text, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A request without a whole reply.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Whether anything was sent.
    pub class: Class,
    /// What happened, for people.
    pub why: String,
    /// What was read of the reply before it broke off.
    pub partial: Option<Reply>,
}

/// Makes requests, one at a time; connections are kept and used again.
pub struct Http {
    direct: Agent,
    https: Option<Agent>,
    http: Option<Agent>,
    proxies: Proxies,
    watch: Arc<Watch>,
}

impl Http {
    /// A client as the variables ask for: proxies, and the authorities of AWS_CA_BUNDLE in place
    /// of those of Mozilla that are built in. A call is given up at most [`GRACE`] after `stop`
    /// was raised.
    ///
    /// # Errors
    /// Names the variable whose value cannot be used, and why.
    pub fn new(variables: &dyn Fn(&str) -> Option<String>, stop: Stop) -> Result<Http, String> {
        let proxies = Proxies::read(variables)?;
        let roots = match variables("AWS_CA_BUNDLE").filter(|path| !path.trim().is_empty()) {
            Some(path) => bundle(&path).map_err(|e| format!("AWS_CA_BUNDLE: {path}: {e}"))?,
            None => RootCerts::WebPki,
        };
        let watch = Arc::new(Watch::new(stop));
        let through = |scheme| match proxies.any(scheme) {
            // The text may hold a password: it is not shown.
            Some(url) => Proxy::new(url)
                .map(|proxy| Some(agent(Some(proxy), &roots, &watch)))
                .map_err(|_| format!("the proxy for {scheme} is not a URL that can be used")),
            None => Ok(None),
        };
        let (https, http) = (through("https")?, through("http")?);
        Ok(Http { direct: agent(None, &roots, &watch), https, http, proxies, watch })
    }

    /// Sends a request with exactly this body and reads the reply. Redirects are not followed and
    /// no status is a fault.
    ///
    /// # Errors
    /// A [`Fault`] if no whole reply came.
    pub fn call(&self, request: Request<Vec<u8>>) -> Result<Reply, Fault> {
        let uri = request.uri().clone();
        let host = uri.host().unwrap_or_default();
        let agent = match (self.proxies.of(uri.scheme_str().unwrap_or_default(), host), &uri) {
            (None, _) => &self.direct,
            (Some(_), uri) if uri.scheme_str() == Some("https") => {
                self.https.as_ref().unwrap_or(&self.direct)
            }
            (Some(_), _) => self.http.as_ref().unwrap_or(&self.direct),
        };
        self.watch.sent.store(false, Ordering::Relaxed);
        let fault = |error: &Error, partial| Fault {
            class: if self.watch.sent.load(Ordering::Relaxed) {
                Class::Unknown
            } else {
                Class::NothingSent
            },
            why: format!("{host}: {}", told(error)),
            partial,
        };
        let (head, mut body) = match agent.run(request) {
            Ok(response) => response.into_parts(),
            Err(error) => return Err(fault(&error, None)),
        };
        let mut reply = Reply { status: head.status, headers: head.headers, body: Vec::new() };
        let mut reader = body.with_config().limit(BODY_LIMIT).reader();
        match reader.read_to_end(&mut reply.body) {
            Ok(_) => Ok(reply),
            Err(error) => Err(fault(&Error::from(error), Some(reply))),
        }
    }
}

/// An error in words, without the name of its kind in front.
fn told(error: &Error) -> String {
    match error {
        Error::Io(error) => error.to_string(),
        Error::Timeout(phase) => format!("timed out ({phase})"),
        Error::BodyExceedsLimit(limit) => format!("the reply is longer than {limit} bytes"),
        other => other.to_string(),
    }
}

/// The authorities in a PEM file.
fn bundle(path: &str) -> Result<RootCerts, String> {
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    let mut certificates = Vec::new();
    for item in parse_pem(&text) {
        if let PemItem::Certificate(one) = item.map_err(|error| error.to_string())? {
            certificates.push(one);
        }
    }
    if certificates.is_empty() {
        return Err("no certificate in it; PEM is expected".to_owned());
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

fn agent(proxy: Option<Proxy>, roots: &RootCerts, watch: &Arc<Watch>) -> Agent {
    let marker = Marker { watch: Arc::clone(watch), proxied: proxy.is_some() };
    let config = Agent::config_builder()
        .proxy(proxy)
        .tls_config(TlsConfig::builder().root_certs(roots.clone()).build())
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("mailroom/", env!("CARGO_PKG_VERSION")))
        .input_buffer_size(BUFFER)
        .output_buffer_size(BUFFER)
        .max_idle_connections(2)
        .max_idle_connections_per_host(1)
        .timeout_global(Some(WHOLE))
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .timeout_send_request(Some(SEND))
        .timeout_send_body(Some(SEND))
        .timeout_recv_response(Some(ANSWER))
        .timeout_recv_body(Some(ANSWER))
        .build();
    let connector =
        ().chain(ConnectProxyConnector::default())
            .chain(Dial(Arc::clone(watch)))
            .chain(RustlsConnector::default())
            .chain(marker);
    Agent::with_parts(config, connector, Lookup)
}

/// What the parts of a client share: the wish to stop, and whether the request began to leave.
struct Watch {
    stop: Stop,
    /// When the stop flag was last seen lowered: it was raised after that.
    clear: Mutex<Instant>,
    sent: AtomicBool,
}

impl Watch {
    fn new(stop: Stop) -> Watch {
        Watch { stop, clear: Mutex::new(Instant::now()), sent: AtomicBool::new(false) }
    }

    /// How long the next wait may be.
    ///
    /// # Errors
    /// The grace is over.
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
        let mut clear = self.clear.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.stop.requested() {
            *clear = now;
        } else if now.saturating_duration_since(*clear) >= GRACE {
            let why = "given up because mailroom was asked to stop";
            return Err(Error::Io(std::io::Error::new(ErrorKind::Interrupted, why)));
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
struct Lookup;

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
struct Dial(Arc<Watch>);

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
struct Wire {
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
struct Marker {
    watch: Arc<Watch>,
    proxied: bool,
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
struct Marked<T> {
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
