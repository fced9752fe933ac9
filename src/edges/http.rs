//! HTTP for everybody: how requests are made, within which time, through which proxy, trusting
//! whom.
//!
//! In scope: one request, one reply or a fault that says whether anything was sent. Out of scope:
//! signing, retries, and what replies mean. It logs nothing.
//!
//! `ureq` starts no thread here: names are looked up on the calling thread, within the limits of
//! the system's resolver. Its `unversioned` parts may change in a minor release, so Cargo.toml
//! names the minor version.

mod proxy;
mod socket;

use crate::edges::net::Watch;
use crate::edges::stop::Stop;
use crate::edges::tls::{advice, certificates};
use proxy::Proxies;
use socket::{BUFFER, CONNECT, Call, Dial, Later, MEANWHILE, Marker};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use ureq::http::{HeaderMap, Request, StatusCode, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, RustlsConnector};
use ureq::{Agent, AsSendBody, Error};

/// Sending the head or the body of a request.
const SEND: Duration = Duration::from_secs(10);
/// Waiting for the head of the reply.
const ANSWER: Duration = Duration::from_secs(20);
/// All of it, the reply's body included.
pub const WHOLE: Duration = Duration::from_secs(30);
/// The longest body that is read.
const BODY_LIMIT: u64 = 1024 * 1024;
/// Connecting to a neighbour, and its answer, such as the metadata service of a machine.
const NEAR: Duration = Duration::from_secs(1);
/// The longest body of a neighbour that is read.
const NEAR_LIMIT: u64 = 64 * 1024;

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

    /// When it was made, by the clock of whoever made it.
    pub fn date(&self) -> Option<OffsetDateTime> {
        OffsetDateTime::parse(self.header("date")?, &Rfc2822).ok()
    }
}

/// A request without a whole reply.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Whether the request, or a part of it, left: then it may have been acted on.
    pub sent: bool,
    /// What happened, for people.
    pub why: String,
    /// What was read of the reply before it broke off.
    pub partial: Option<Box<Reply>>,
}

impl From<ureq::http::Error> for Fault {
    /// A request that could not be made.
    fn from(error: ureq::http::Error) -> Fault {
        Fault { sent: false, why: error.to_string(), partial: None }
    }
}

/// Whether a URL has a host, no user, whose password would be shown, and no port that is none, for
/// which the usual one would be taken.
pub fn is_plain(url: &Uri) -> bool {
    url.authority().is_some_and(|authority| {
        let host = authority.host();
        !host.is_empty()
            && !authority.as_str().contains('@')
            && (authority.as_str() == host || authority.port_u16().is_some())
    })
}

/// The start of URLs, without a slash at its end: http or https, plain as [`is_plain`] has it, and
/// with no query.
pub fn base(text: &str) -> Option<&str> {
    let url: Uri = text.parse().ok()?;
    let fits = matches!(url.scheme_str(), Some("http" | "https")) && url.query().is_none();
    (fits && is_plain(&url)).then(|| text.trim_end_matches('/'))
}

/// Runs `calls`, and `work` whenever one of the calls in it begins to wait for its reply. However long that
/// takes, a reply that came meanwhile is read; but the time of the call, [`WHOLE`], goes on.
pub fn meanwhile<T>(work: &mut dyn FnMut(), calls: impl FnOnce() -> T) -> T {
    MEANWHILE.set(work, calls)
}

/// Makes requests, one at a time; connections are kept and used again. Clones share them.
#[derive(Clone)]
pub struct Http {
    agent: Agent,
    proxies: Proxies,
    watch: Watch,
    call: Arc<Call>,
}

impl Http {
    /// A client as the variables ask for: proxies, and the authorities of AWS_CA_BUNDLE in place
    /// of those of Mozilla that are built in. A call is given up at most
    /// [`crate::edges::stop::GRACE`] after `stop` was raised.
    ///
    /// # Errors
    /// Names the variable whose value cannot be used, and why.
    pub fn new(variables: &dyn Fn(&str) -> Option<String>, stop: Stop) -> Result<Http, String> {
        let proxies = Proxies::read(variables)?;
        let roots = match variables("AWS_CA_BUNDLE").filter(|path| !path.trim().is_empty()) {
            Some(path) => {
                let bundle = certificates(Path::new(&path));
                let bundle = bundle.map_err(|why| format!("AWS_CA_BUNDLE: {path}: {why}"))?;
                bundle.iter().map(|one| Certificate::from_der(one).to_owned()).into()
            }
            None => RootCerts::WebPki,
        };
        let watch = Watch::new(stop, Instant::now);
        let call = Arc::default();
        let agent = agent(roots, watch.clone(), Arc::clone(&call));
        Ok(Http { agent, proxies, watch, call })
    }

    /// Sends a request with exactly this body and reads the reply. Redirects are not followed and
    /// no status is a fault.
    ///
    /// # Errors
    /// A [`Fault`] if no whole reply came.
    pub fn call(&self, request: Request<Vec<u8>>) -> Result<Reply, Fault> {
        let uri = request.uri();
        let host = uri.host().unwrap_or_default();
        match self.proxies.of(uri.scheme_str().unwrap_or_default(), host) {
            None => self.run(request, false, BODY_LIMIT),
            Some(proxy) => {
                let request = self.agent.configure_request(request);
                self.run(request.proxy(Some(proxy.clone())).build(), true, BODY_LIMIT)
            }
        }
    }

    /// As [`Http::call`], for a neighbour: never through a proxy; a second to connect, one until
    /// the reply begins, two for all of it, and at most 64 KiB are read.
    ///
    /// # Errors
    /// A [`Fault`] if no whole reply came.
    pub fn near(&self, request: Request<Vec<u8>>) -> Result<Reply, Fault> {
        let request = self
            .agent
            .configure_request(request)
            .timeout_global(Some(2 * NEAR))
            .timeout_connect(Some(NEAR))
            .timeout_recv_response(Some(NEAR))
            .build();
        self.run(request, false, NEAR_LIMIT)
    }

    fn run(
        &self,
        request: Request<impl AsSendBody>,
        proxied: bool,
        limit: u64,
    ) -> Result<Reply, Fault> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let fault = |error: &Error, partial| Fault {
            sent: self.call.sent.load(Ordering::Relaxed),
            why: format!("{host}: {}", words(error)),
            partial,
        };
        self.call.sent.store(false, Ordering::Relaxed);
        self.call.proxied.store(proxied, Ordering::Relaxed);
        self.watch.begin().map_err(|error| fault(&Error::Io(error), None))?;
        let (head, mut body) = match self.agent.run(request) {
            Ok(response) => response.into_parts(),
            Err(error) => return Err(fault(&error, None)),
        };
        let mut reply = Reply { status: head.status, headers: head.headers, body: Vec::new() };
        let mut reader = body.with_config().limit(limit).reader();
        match reader.read_to_end(&mut reply.body) {
            Ok(_) => Ok(reply),
            Err(error) => Err(fault(&Error::from(error), Some(Box::new(reply)))),
        }
    }
}

/// An error in words, without the name of its kind in front.
fn words(error: &Error) -> String {
    match error {
        Error::Io(error) => format!("{error}{}", advice(error, "AWS_CA_BUNDLE")),
        Error::Rustls(error) => format!("{error}{}", advice(error, "AWS_CA_BUNDLE")),
        Error::Timeout(phase) => format!("timed out ({phase})"),
        Error::BodyExceedsLimit(limit) => format!("the reply is longer than {limit} bytes"),
        other => other.to_string(),
    }
}

fn agent(roots: RootCerts, watch: Watch, call: Arc<Call>) -> Agent {
    let config = Agent::config_builder()
        // Not as ureq reads the environment.
        .proxy(None)
        .tls_config(TlsConfig::builder().root_certs(roots).build())
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
            .chain(Dial(watch))
            .chain(RustlsConnector::default())
            .chain(Marker(call));
    Agent::with_parts(config, connector, Later)
}
