//! A provider under our control: an HTTP/1.1 server, with or without TLS, that behaves like SES,
//! or like Postmark at its path, until it is told otherwise, and a proxy.
//!
//! It remembers every request, and every mail that it accepted.

use super::meter::Meter;
use super::postmark;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How one request is answered.
#[derive(Clone, Debug)]
pub enum Reply {
    /// As SES would: every entry is accepted.
    Accept,
    /// As SES would, with these entry statuses and error texts; `SUCCESS` accepts the entry.
    /// Entries beyond the list are accepted.
    Statuses(Vec<(&'static str, &'static str)>),
    /// A status, headers and a body as given; accepts nothing.
    Full(u16, Vec<(&'static str, String)>, String),
    /// Every entry is accepted, but the reply leaves out the last results.
    Fewer(usize),
    /// The connection is reset when the request was read; accepts nothing.
    Reset,
    /// Every entry is accepted, then the connection is reset without a reply.
    AcceptThenReset,
    /// Every entry is accepted, and the connection ends in the middle of the reply's body.
    Truncated,
    /// Every entry is accepted, and the reply's body is this.
    AcceptThenBody(&'static str),
    /// As the other reply, after a wait.
    Slow(Duration, Box<Reply>),
}

impl Reply {
    /// An error as SES words it, with its code in the header.
    pub fn error(status: u16, code: &str, message: &str) -> Reply {
        let headers = vec![("x-amzn-errortype", code.to_owned())];
        Reply::Full(status, headers, json!({ "message": message }).to_string())
    }
}

/// A mail that was accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Mail {
    /// The recipients, separated by commas; one, if mailroom works.
    pub to: String,
    /// The template's name.
    pub template: String,
    /// The template data.
    pub data: Value,
    /// The id that it was given.
    pub id: String,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// When it had come.
    pub at: Instant,
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let same = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
        self.headers.iter().find(same).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Default)]
struct State {
    once: VecDeque<Reply>,
    always: Option<Reply>,
    requests: Vec<Request>,
    mails: Vec<Mail>,
    connections: usize,
    account: Option<Reply>,
    quota_asked: usize,
    account_asked: Option<Request>,
    meter: Option<Meter>,
}

/// The server; it ends when this is dropped.
pub struct Endpoint {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    ca: Option<String>,
}

impl Endpoint {
    /// A server without TLS.
    pub fn start() -> Endpoint {
        Endpoint::serve(None, None)
    }

    /// A server for `localhost` with TLS, whose certificate comes from a CA of its own.
    pub fn start_tls() -> Endpoint {
        let (ca, config) = certificate();
        Endpoint::serve(Some(ca), Some(config))
    }

    fn serve(ca: Option<String>, tls: Option<Arc<rustls::ServerConfig>>) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let endpoint = Endpoint { address, state: state.clone(), stop: stop.clone(), ca };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                state.lock().unwrap().connections += 1;
                let (state, stop, tls) = (state.clone(), stop.clone(), tls.clone());
                std::thread::spawn(move || talk(stream, tls, &state, &stop));
            }
        });
        endpoint
    }

    /// Where it listens, for AWS_ENDPOINT_URL.
    pub fn url(&self) -> String {
        match self.ca {
            Some(_) => format!("https://localhost:{}", self.address.port()),
            None => format!("http://{}", self.address),
        }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The CA's certificate in PEM, for AWS_CA_BUNDLE.
    pub fn ca_pem(&self) -> &str {
        self.ca.as_deref().expect("a server with TLS")
    }

    /// Answers one request in this way; several are used in turn, before the others.
    pub fn push(&self, reply: Reply) {
        self.state.lock().unwrap().once.push_back(reply);
    }

    /// Answers all further requests in this way.
    pub fn set(&self, reply: Reply) {
        self.state.lock().unwrap().always = Some(reply);
    }

    /// Tells this quota when it is asked for; until then that is denied. Asking for it is not
    /// among the requests and uses up no reply.
    pub fn allow(&self, rate: f64, daily: f64, sent: f64) {
        let quota = json!({ "MaxSendRate": rate, "Max24HourSend": daily, "SentLast24Hours": sent });
        self.account(Reply::Full(200, Vec::new(), json!({ "SendQuota": quota }).to_string()));
    }

    /// Takes no more than so many mails in a second.
    pub fn throttle(&self, most: usize) {
        self.state.lock().unwrap().meter = Some(Meter::new(most));
    }

    /// As [`Meter::used`].
    pub fn used(&self, from: usize, part: f64) -> Option<usize> {
        self.state.lock().unwrap().meter.as_ref()?.used(from, part)
    }

    /// Answers so when the account is asked about.
    pub fn account(&self, reply: Reply) {
        self.state.lock().unwrap().account = Some(reply);
    }

    /// The last request about the account.
    pub fn account_asked(&self) -> Option<Request> {
        self.state.lock().unwrap().account_asked.clone()
    }

    /// How often the quota was asked for.
    pub fn quota_asked(&self) -> usize {
        self.state.lock().unwrap().quota_asked
    }

    /// The mails that were accepted, in order.
    pub fn accepted(&self) -> Vec<Mail> {
        self.state.lock().unwrap().mails.clone()
    }

    /// The requests that came, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }

    /// How many connections were opened.
    pub fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    /// Waits until `count` mails were accepted.
    ///
    /// Fails after `limit`.
    pub fn wait_for(&self, count: usize, limit: Duration) -> Vec<Mail> {
        let deadline = Instant::now() + limit;
        loop {
            let mails = self.accepted();
            if mails.len() >= count {
                return mails;
            }
            assert!(Instant::now() < deadline, "{} of {count} mails after {limit:?}", mails.len());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// A CA's certificate in PEM, and a server configuration for `localhost` that it vouches for.
fn certificate() -> (String, Arc<rustls::ServerConfig>) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca.distinguished_name.push(rcgen::DnType::CommonName, "mailroom test CA");
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let leaf = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    (ca_pem, Arc::new(config))
}

trait Both: Read + Write {}
impl<T: Read + Write> Both for T {}

/// Serves one connection until it ends.
fn talk(
    stream: TcpStream,
    tls: Option<Arc<rustls::ServerConfig>>,
    state: &Mutex<State>,
    stop: &AtomicBool,
) {
    let raw = stream.try_clone().unwrap();
    let both: Box<dyn Both> = match tls {
        Some(config) => {
            let session = rustls::ServerConnection::new(config).unwrap();
            Box::new(rustls::StreamOwned::new(session, stream))
        }
        None => Box::new(stream),
    };
    let mut reader = BufReader::new(both);
    while let Some(request) = read(&mut reader) {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let reply = {
            let mut state = state.lock().unwrap();
            if (request.method.as_str(), request.path.as_str()) == ("GET", "/v2/email/account") {
                state.quota_asked += 1;
                state.account_asked = Some(request.clone());
                let denied = Reply::error(403, "AccessDeniedException", "not allowed: GetAccount");
                state.account.clone().unwrap_or(denied)
            } else {
                state.requests.push(request.clone());
                let always = state.always.clone();
                let slow = Reply::error(429, "TooManyRequestsException", "Maximum sending rate");
                let mails = mails_in(&request);
                let too_fast = state.meter.as_mut().is_some_and(|meter| !meter.takes(mails));
                let next = state.once.pop_front().or(always).unwrap_or(Reply::Accept);
                if too_fast { slow } else { next }
            }
        };
        if !answer(reader.get_mut(), &raw, &request, reply, state) {
            return;
        }
    }
}

/// How many mails a request is for, of SES or of Postmark.
fn mails_in(request: &Request) -> usize {
    let body = serde_json::from_slice::<Value>(&request.body).unwrap_or_default();
    let mails = ["BulkEmailEntries", "Messages"].iter().find_map(|name| body[*name].as_array());
    mails.map_or(0, Vec::len)
}

/// Reads a request; `None` when the connection ended.
pub fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap();
        }
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, path, headers, body, at: Instant::now() })
}

/// Answers a request; `false` if the connection is over.
fn answer(
    out: &mut dyn Both,
    raw: &TcpStream,
    request: &Request,
    reply: Reply,
    state: &Mutex<State>,
) -> bool {
    let json = [("content-type", "application/json".to_owned())];
    match reply {
        Reply::Slow(wait, reply) => {
            std::thread::sleep(wait);
            answer(out, raw, request, *reply, state)
        }
        Reply::Full(status, headers, body) => write(out, status, &headers, &body, body.len()),
        Reply::Reset => reset(raw),
        Reply::AcceptThenReset => {
            accept(request, &[], state);
            reset(raw)
        }
        other => {
            let statuses = if let Reply::Statuses(list) = &other { list.as_slice() } else { &[] };
            let (status, mut body) = accept(request, statuses, state);
            if let Reply::Fewer(missing) = other {
                let results = match body.is_array() {
                    true => body.as_array_mut().unwrap(),
                    false => body["BulkEmailEntryResults"].as_array_mut().unwrap(),
                };
                results.truncate(results.len().saturating_sub(missing));
            }
            let text = match other {
                Reply::AcceptThenBody(text) => text.to_owned(),
                _ => body.to_string(),
            };
            if matches!(other, Reply::Truncated) {
                write(out, status, &json, &text[..text.len() / 2], text.len());
                let _ = raw.shutdown(std::net::Shutdown::Both);
                return false;
            }
            write(out, status, &json, &text, text.len())
        }
    }
}

/// Ends a connection with a TCP reset.
fn reset(raw: &TcpStream) -> bool {
    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    let _ = nix::sys::socket::setsockopt(raw, nix::sys::socket::sockopt::Linger, &linger);
    false
}

fn write(
    out: &mut dyn Both,
    status: u16,
    headers: &[(&'static str, String)],
    body: &str,
    length: usize,
) -> bool {
    let mut text = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {length}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(body);
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}

/// Does what SES does: remembers the mails and gives the status and body of the reply.
fn accept(
    request: &Request,
    statuses: &[(&'static str, &'static str)],
    state: &Mutex<State>,
) -> (u16, Value) {
    if request.path == postmark::PATH {
        let mut state = state.lock().unwrap();
        return postmark::accept(request, statuses, &mut state.mails);
    }
    let signed = request.header("authorization").unwrap_or_default();
    let many = request.header("x-amz-region-set") == Some("*");
    let scheme = if many { "AWS4-ECDSA-P256-SHA256" } else { "AWS4-HMAC-SHA256" };
    if !signed.starts_with(&format!("{scheme} Credential=")) {
        return (403, json!({ "__type": "MissingAuthenticationTokenException" }));
    }
    if (request.method.as_str(), request.path.as_str())
        != ("POST", "/v2/email/outbound-bulk-emails")
    {
        return (404, json!({ "__type": "UnknownOperationException" }));
    }
    let body = request.json();
    let template = body["DefaultContent"]["Template"]["TemplateName"].as_str().unwrap();
    let entries = body["BulkEmailEntries"].as_array().unwrap();
    if entries.len() > 50 {
        return (400, json!({ "__type": "BadRequestException", "message": "Too many entries" }));
    }
    let mut state = state.lock().unwrap();
    let mut results = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let (status, error) = *statuses.get(index).unwrap_or(&("SUCCESS", ""));
        if status != "SUCCESS" {
            results.push(json!({ "Status": status, "Error": error }));
            continue;
        }
        let to = entry["Destination"]["ToAddresses"].as_array().unwrap();
        let to: Vec<&str> = to.iter().map(|one| one.as_str().unwrap()).collect();
        let data =
            &entry["ReplacementEmailContent"]["ReplacementTemplate"]["ReplacementTemplateData"];
        let id = format!("id-{:06}", state.mails.len() + 1);
        state.mails.push(Mail {
            to: to.join(","),
            template: template.to_owned(),
            data: serde_json::from_str(data.as_str().unwrap()).unwrap(),
            id: id.clone(),
        });
        results.push(json!({ "Status": "SUCCESS", "MessageId": id }));
    }
    (200, json!({ "BulkEmailEntryResults": results }))
}

/// A proxy that tunnels CONNECT requests; it ends when this is dropped.
pub struct Proxy {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
}

impl Proxy {
    /// Answers every CONNECT with this status; 200 opens the tunnel.
    pub fn start(status: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let proxy = Proxy { address, seen: seen.clone(), stop: stop.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let seen = seen.clone();
                std::thread::spawn(move || tunnel(stream, status, &seen));
            }
        });
        proxy
    }

    /// Its `host:port`.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// The CONNECT requests that came; `path` is the target.
    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn tunnel(stream: TcpStream, status: u16, seen: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let Some(request) = read(&mut reader) else { return };
    seen.lock().unwrap().push(request.clone());
    let mut near = stream;
    let _ = near.write_all(format!("HTTP/1.1 {status} Scripted\r\n\r\n").as_bytes());
    if status != 200 || request.method != "CONNECT" {
        return;
    }
    let Ok(far) = TcpStream::connect(&request.path) else { return };
    let (mut near_in, mut far_out) = (near.try_clone().unwrap(), far.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut near_in, &mut far_out);
        let _ = far_out.shutdown(std::net::Shutdown::Write);
    });
    let mut far = far;
    let _ = std::io::copy(&mut far, &mut near);
    let _ = near.shutdown(std::net::Shutdown::Both);
}
