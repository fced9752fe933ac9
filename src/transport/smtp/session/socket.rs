//! The connection under a conversation: lines and bytes, encrypted or not, with an end to every
//! wait.
//!
//! Out of scope: what the lines mean.

use crate::clock::Clock;
use crate::stop::{GRACE, SLICE, Stop};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest line of a reply; RFC 5321 allows 512 bytes.
const LINE: usize = 4096;

/// When waits end. Clones share what they know of the stop flag.
#[derive(Clone, Debug)]
pub struct Watch {
    stop: Stop,
    clock: Clock,
    until: Instant,
    seen: Rc<Cell<Seen>>,
}

/// What is known of the stop flag.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// When it was last seen lowered, or something began.
    clear: Instant,
    /// The earliest moment at which it can have been raised, if it is.
    raised: Option<Instant>,
}

impl Watch {
    /// A watch whose time is over.
    pub fn new(stop: Stop, clock: Clock) -> Watch {
        let now = (clock.now)();
        Watch {
            stop,
            clock,
            until: now,
            seen: Rc::new(Cell::new(Seen { clear: now, raised: None })),
        }
    }

    /// Something begins that may take so long. The time since the last wait was idle and is not
    /// part of the grace.
    pub(super) fn begin(&mut self, time: Duration) {
        let now = (self.clock.now)();
        self.until = now + time;
        self.seen.set(Seen { clear: now, ..self.seen.get() });
    }

    /// How long the next wait may be.
    ///
    /// # Errors
    /// The time for it, or the grace after a request to stop, is over.
    fn slice(&self) -> io::Result<Duration> {
        let now = (self.clock.now)();
        let mut left = self.until.saturating_duration_since(now);
        if left.is_zero() {
            return Err(io::Error::new(ErrorKind::TimedOut, "no answer in time"));
        }
        let mut seen = self.seen.get();
        if !self.stop.requested() {
            seen.clear = now;
            self.seen.set(seen);
        } else {
            let raised = *seen.raised.get_or_insert(seen.clear);
            self.seen.set(seen);
            let grace = (raised + GRACE).saturating_duration_since(now);
            if grace.is_zero() {
                let text = "given up because mailroom was asked to stop";
                return Err(io::Error::new(ErrorKind::Interrupted, text));
            }
            left = left.min(grace);
        }
        Ok(left.min(SLICE).max(Duration::from_millis(1)))
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since((self.clock.now)())
    }
}

enum Io {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// Between the two.
    Gone,
}

impl Io {
    fn both(&mut self) -> io::Result<&mut dyn Both> {
        match self {
            Io::Plain(stream) => Ok(stream),
            Io::Tls(stream) => Ok(stream.as_mut()),
            Io::Gone => Err(ErrorKind::NotConnected.into()),
        }
    }

    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Io::Plain(stream) => Some(stream),
            Io::Tls(stream) => Some(&stream.sock),
            Io::Gone => None,
        }
    }
}

trait Both: Read + Write {}
impl<T: Read + Write> Both for T {}

/// A connection.
pub(super) struct Socket {
    io: Io,
    watch: Watch,
    /// Bytes that were read and belong to no line yet.
    rest: Vec<u8>,
}

/// Whether an operation ended because its slice of time did, or by a signal.
fn sliced(error: &io::Error) -> bool {
    let text = error.get_ref().is_some();
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
        && !text
}

impl Socket {
    /// Looks the name up on this thread and connects, within `limit` and the time of `watch`.
    pub(super) fn connect(
        host: &str,
        port: u16,
        limit: Duration,
        watch: Watch,
    ) -> io::Result<Socket> {
        watch.slice()?;
        let addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
        let end = (watch.clock.now)() + limit.min(watch.left());
        let mut failed = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for (index, address) in addresses.iter().enumerate() {
            // Also fails when it is too late.
            watch.slice()?;
            let left = end.saturating_duration_since((watch.clock.now)());
            // An address that does not answer leaves time for the next ones.
            let share = if index + 1 < addresses.len() { left / 2 } else { left };
            match TcpStream::connect_timeout(address, share.max(Duration::from_millis(1))) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(Socket { io: Io::Plain(stream), watch, rest: Vec::new() });
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// What follows may take so long.
    ///
    /// # Errors
    /// Nothing may begin any more.
    pub(super) fn begin(&mut self, time: Duration) -> io::Result<()> {
        self.watch.begin(time);
        self.watch.slice().map(drop)
    }

    /// Encrypts the connection and checks the server's certificate for `host`.
    pub(super) fn encrypt(&mut self, host: &str, config: &Arc<ClientConfig>) -> io::Result<()> {
        // What came before the handshake may be from anybody (CVE-2011-0411).
        if !self.rest.is_empty() {
            return Err(io::Error::other("the server sent something before the handshake"));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        let Io::Plain(stream) = std::mem::replace(&mut self.io, Io::Gone) else {
            return Err(ErrorKind::NotConnected.into());
        };
        let mut stream = Box::new(StreamOwned::new(session, stream));
        while stream.conn.is_handshaking() {
            let slice = self.watch.slice()?;
            stream.sock.set_read_timeout(Some(slice))?;
            stream.sock.set_write_timeout(Some(slice))?;
            match stream.conn.complete_io(&mut stream.sock) {
                Ok(_) => {}
                Err(error) if sliced(&error) => {}
                Err(error) => return Err(error),
            }
        }
        self.io = Io::Tls(stream);
        Ok(())
    }

    /// Whether it is encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.io, Io::Tls(_))
    }

    /// Whether it can still be used: between conversations there is nothing to read, so bytes or
    /// an end mean that the server has gone.
    pub(super) fn is_open(&self) -> bool {
        let Some(stream) = self.io.tcp() else { return false };
        let idle = stream.set_nonblocking(true).is_ok()
            && matches!(stream.peek(&mut [0]), Err(e) if e.kind() == ErrorKind::WouldBlock);
        stream.set_nonblocking(false).is_ok() && idle && self.rest.is_empty()
    }

    /// Writes all of it and sees it off.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        loop {
            let slice = self.watch.slice()?;
            if let Some(stream) = self.io.tcp() {
                stream.set_write_timeout(Some(slice))?;
                // TLS may have to read before it can write.
                stream.set_read_timeout(Some(slice))?;
            }
            let io = self.io.both()?;
            let done = if rest.is_empty() { io.flush().map(|()| 0) } else { io.write(rest) };
            match done {
                Ok(0) if rest.is_empty() => return Ok(()),
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if sliced(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads a line, with its LF.
    pub(super) fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            if self.rest.len() > LINE {
                return Err(io::Error::other("the answer is too long"));
            }
            let slice = self.watch.slice()?;
            if let Some(stream) = self.io.tcp() {
                stream.set_read_timeout(Some(slice))?;
            }
            let mut piece = [0; 1024];
            match self.io.both()?.read(&mut piece) {
                Ok(0) => {
                    let text = "the server closed the connection";
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, text));
                }
                Ok(read) => self.rest.extend_from_slice(piece.get(..read).unwrap_or_default()),
                Err(error) if sliced(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
