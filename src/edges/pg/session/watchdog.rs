//! Ends a wait for an answer that does not come.
//!
//! The client blocks until the server answers, and a frozen server keeps its sockets alive, so no
//! keepalive and no timeout of the kernel ever fires. The client runs a single-threaded runtime
//! inside, and gives us one moment in it: when a socket has been connected it asks for a TLS
//! connector, whether TLS will be used or not. There the new socket is found, as the one that was
//! not open before, and a task is started beside the client's own. While a deadline is set, the
//! task looks at it and at the stop flag; when it is over, the task shuts the socket down, and the
//! client sees the end of the connection. While none is set, it sleeps.

use crate::edges::stop::Stop;
use nix::errno::Errno;
use nix::sys::socket::{Shutdown, SockaddrStorage, getpeername, shutdown};
use postgres::Socket;
use postgres::tls::{MakeTlsConnect, TlsConnect};
use std::error::Error;
use std::io;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_postgres_rustls::MakeRustlsConnect;

/// How often the stop flag is looked at while an answer is awaited.
const LOOK: Duration = Duration::from_millis(250);
/// How much longer an answer is awaited once the process was asked to stop.
const AFTER_STOP: Duration = Duration::from_secs(3);
/// File descriptors above this one are not looked at.
const HIGHEST_FD: RawFd = 4096;
/// So many numbers in a row that are not in use end the search for sockets: the kernel gives the
/// lowest free number, so a new socket is not behind them.
const UNUSED: usize = 64;

/// The deadline of one connection, as the session sees it.
pub struct Watchdog {
    deadline: watch::Sender<Option<Instant>>,
    bitten: Arc<AtomicBool>,
    socket: Arc<OnceLock<RawFd>>,
}

impl Watchdog {
    /// A deadline for the connection that `tls` will be used for, already running.
    pub fn new(
        tls: Option<MakeRustlsConnect>,
        limit: Duration,
        port: u16,
        stop: &Stop,
    ) -> (Watchdog, Watched) {
        let (deadline, seen) = watch::channel(Instant::now().checked_add(limit));
        let bitten = Arc::new(AtomicBool::new(false));
        let watch = Watch { deadline: seen, bitten: Arc::clone(&bitten), stop: stop.clone() };
        let socket = Arc::new(OnceLock::new());
        let found = Arc::clone(&socket);
        let watched = Watched { tls, before: open_sockets(UNUSED), port, watch, found };
        (Watchdog { deadline, bitten, socket }, watched)
    }

    /// The socket of the connection, once there is one.
    pub fn socket(&self) -> Option<RawFd> {
        self.socket.get().copied()
    }

    /// Lets the connection live until `limit` from now.
    pub fn arm(&self, limit: Duration) {
        self.deadline.send_replace(Instant::now().checked_add(limit));
    }

    /// Lets it live for ever.
    pub fn disarm(&self) {
        self.deadline.send_replace(None);
    }

    /// Whether the connection was ended here.
    pub fn has_bitten(&self) -> bool {
        self.bitten.load(Ordering::Relaxed)
    }
}

type Tls = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// A maker of TLS connectors that starts the watch when the client asks it for one. With and
/// without TLS it is of one type, because the client is compiled anew for each.
pub struct Watched {
    tls: Option<MakeRustlsConnect>,
    before: Vec<(RawFd, SockaddrStorage)>,
    port: u16,
    watch: Watch,
    found: Arc<OnceLock<RawFd>>,
}

impl MakeTlsConnect<Socket> for Watched {
    type Stream = Stream;
    type TlsConnect = Connector;
    type Error = Box<dyn Error + Send + Sync>;

    fn make_tls_connect(&mut self, host: &str) -> Result<Connector, Self::Error> {
        // Sooner than the first time, so that nothing is met that was not met then.
        let socket = open_sockets(UNUSED / 2)
            .into_iter()
            .find(|open| is_for(&open.1, self.port) && !self.before.contains(open))
            .ok_or("the socket of the connection was not found; are too many files open?")?;
        let _ = self.found.set(socket.0);
        let runtime = tokio::runtime::Handle::try_current()?;
        runtime.spawn(self.watch.clone().run(socket));
        let make =
            |tls: &mut MakeRustlsConnect| MakeTlsConnect::<Socket>::make_tls_connect(tls, host);
        Ok(Connector(self.tls.as_mut().map(make).transpose()?))
    }
}

/// What encrypts one connection, if anything does.
pub struct Connector(Option<Tls>);

impl TlsConnect<Socket> for Connector {
    type Stream = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        match self.0 {
            Some(tls) => Box::pin(tls.connect(socket)),
            // Not reached: without a connector the configuration asks for no TLS.
            None => Box::pin(std::future::ready(Err(io::ErrorKind::Unsupported.into()))),
        }
    }
}

/// The connected sockets of this process with their peers, up to `unused` numbers in a row that
/// are not in use.
fn open_sockets(unused: usize) -> Vec<(RawFd, SockaddrStorage)> {
    let mut found = Vec::new();
    let mut gap = 0;
    for fd in 0..HIGHEST_FD {
        match getpeername(fd) {
            Ok(peer) => found.push((fd, peer)),
            Err(Errno::EBADF) if gap == unused => break,
            Err(Errno::EBADF) => {
                gap += 1;
                continue;
            }
            Err(_) => {}
        }
        gap = 0;
    }
    found
}

/// Whether a socket's peer may be a PostgreSQL server with this port. The name of a Unix socket
/// ends with it; the folder before may be spelled in another way.
fn is_for(peer: &SockaddrStorage, port: u16) -> bool {
    if let Some(unix) = peer.as_unix_addr() {
        let name = unix.path().and_then(|path| path.file_name());
        return name.is_some_and(|name| name.to_string_lossy() == format!(".s.PGSQL.{port}"));
    }
    let v4 = peer.as_sockaddr_in().map(nix::sys::socket::SockaddrIn::port);
    let v6 = peer.as_sockaddr_in6().map(nix::sys::socket::SockaddrIn6::port);
    v4.or(v6) == Some(port)
}

#[derive(Clone)]
struct Watch {
    deadline: watch::Receiver<Option<Instant>>,
    bitten: Arc<AtomicBool>,
    stop: Stop,
}

impl Watch {
    /// Runs until the session is dropped or its time is over.
    async fn run(mut self, (fd, peer): (RawFd, SockaddrStorage)) {
        let mut stopping: Option<Instant> = None;
        loop {
            let Some(mut end) = *self.deadline.borrow_and_update() else {
                stopping = None;
                if self.deadline.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let now = Instant::now();
            if self.stop.requested() {
                end = end.min(*stopping.get_or_insert(now + AFTER_STOP));
            }
            if now >= end {
                self.bitten.store(true, Ordering::Relaxed);
                // The number is compared with the peer once more: it must be the same socket.
                if getpeername::<SockaddrStorage>(fd).is_ok_and(|now| now == peer) {
                    let _: Result<(), Errno> = shutdown(fd, Shutdown::Both);
                }
                return;
            }
            match tokio::time::timeout(LOOK.min(end - now), self.deadline.changed()).await {
                Ok(Ok(())) => stopping = None,
                Ok(Err(_)) => return,
                Err(_) => {}
            }
        }
    }
}
