//! Ends a wait for an answer that does not come.
//!
//! A server that is frozen (a stopped process, a disk that hangs) keeps its sockets alive: no
//! keepalive and no timeout of the kernel or of the server fires, and the client has no limit of
//! its own for an answer. Without this file "frozen peers are found" would hold for connections
//! alone that nothing is asked on, and one process of a server that hangs would hold up all mail.
//!
//! The client runs a runtime of one thread inside. It calls us there once: when a socket has been
//! connected it asks for TLS, whether TLS will be used or not. There a task is started beside the
//! client's own. While a deadline is set, the task looks at it and at the stop flag; when it is
//! over, the task shuts the socket down, and the client sees the end of the connection. While none
//! is set, it sleeps.

use crate::edges::stop::Stop;
use nix::sys::socket::{Shutdown, SockaddrStorage, getpeername, shutdown};
use postgres::Socket;
use postgres::tls::MakeTlsConnect;
use std::io::{self, ErrorKind};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio_postgres_rustls::MakeRustlsConnect;

/// How often the stop flag is looked at while an answer is awaited.
const LOOK: Duration = Duration::from_millis(250);
/// How much longer an answer is awaited once the process was asked to stop.
const AFTER_STOP: Duration = Duration::from_secs(3);

/// The deadline of one connection, as the session sees it.
pub(crate) struct Watchdog {
    deadline: watch::Sender<Option<Instant>>,
    bitten: Arc<AtomicBool>,
}

impl Watchdog {
    /// A deadline that is `limit` from now, for the connection that is made with what comes beside
    /// it.
    pub(crate) fn new(
        tls: &MakeRustlsConnect,
        limit: Duration,
        stop: &Stop,
    ) -> (Watchdog, Watched) {
        let (deadline, seen) = watch::channel(Instant::now().checked_add(limit));
        let bitten = Arc::new(AtomicBool::new(false));
        let watch = Watch { deadline: seen, bitten: Arc::clone(&bitten), stop: stop.clone() };
        (Watchdog { deadline, bitten }, Watched { tls: tls.clone(), watch })
    }

    /// Lets the connection live until `limit` from now.
    pub(crate) fn arm(&self, limit: Duration) {
        self.deadline.send_replace(Instant::now().checked_add(limit));
    }

    /// Lets it live for ever.
    pub(crate) fn disarm(&self) {
        self.deadline.send_replace(None);
    }

    /// Whether the connection was ended here.
    pub(crate) fn has_bitten(&self) -> bool {
        self.bitten.load(Ordering::Relaxed)
    }
}

/// What the client asks for TLS; it starts the watch.
pub(crate) struct Watched {
    tls: MakeRustlsConnect,
    watch: Watch,
}

impl MakeTlsConnect<Socket> for Watched {
    type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;
    type TlsConnect = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Self::TlsConnect> {
        tokio::spawn(self.watch.clone().run(own_socket()?));
        let tls = MakeTlsConnect::<Socket>::make_tls_connect(&mut self.tls, host);
        tls.map_err(io::Error::other)
    }
}

/// The client's socket, which it shows to nobody: the one of this process that the client's
/// runtime, in which this is called, watches already, so that it refuses to watch it twice. A request
/// to cancel has none yet when it asks for TLS.
#[expect(deprecated, reason = "nothing is read from it, so it need not be known to stay open")]
fn own_socket() -> io::Result<Option<RawFd>> {
    let refused = |cause| io::Error::other(format!("/proc/self/fd cannot be read: {cause}"));
    let open = std::fs::read_dir("/proc/self/fd").map_err(refused)?.flatten();
    let is_ours = |fd: &RawFd| {
        getpeername::<SockaddrStorage>(*fd).is_ok()
            && AsyncFd::with_interest(*fd, Interest::READABLE)
                .is_err_and(|refused| refused.kind() == ErrorKind::AlreadyExists)
    };
    Ok(open.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(is_ours))
}

#[derive(Clone)]
struct Watch {
    deadline: watch::Receiver<Option<Instant>>,
    bitten: Arc<AtomicBool>,
    stop: Stop,
}

impl Watch {
    /// Runs until the session is dropped or its time is over. The socket is open as long: it and
    /// the runtime belong to the same client. `None`: there was none yet.
    async fn run(mut self, socket: Option<RawFd>) {
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
                if let Some(socket) = socket.or_else(|| own_socket().ok()?) {
                    // It fails if the other end was sooner.
                    let _ = shutdown(socket, Shutdown::Both);
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
