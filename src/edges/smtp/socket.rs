//! The connection under a conversation: lines and bytes, encrypted or not, with an end to every
//! wait.
//!
//! Out of scope: what the lines mean.

use crate::edges::net::{Watch, is_idle};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest line of a reply; RFC 5321 allows 512 bytes.
const LINE: usize = 4096;

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
pub(crate) struct Socket {
    io: Io,
    watch: Watch,
    /// When what is under way must be done.
    until: Instant,
    /// Bytes that were read and belong to no line yet.
    rest: Vec<u8>,
}

impl Socket {
    /// Looks the name up on this thread and connects, within `limit`; what follows may take the
    /// rest of `time`.
    pub(crate) fn connect(
        host: &str,
        port: u16,
        limit: Duration,
        time: Duration,
        watch: Watch,
    ) -> io::Result<Socket> {
        watch.begin()?;
        let until = watch.now() + time;
        let addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
        let stream = watch.connect(&addresses, until.min(watch.now() + limit))?;
        Ok(Socket { io: Io::Plain(stream), watch, until, rest: Vec::new() })
    }

    /// What follows may take so long.
    ///
    /// # Errors
    /// Nothing may begin any more.
    pub(crate) fn begin(&mut self, time: Duration) -> io::Result<()> {
        self.until = self.watch.now() + time;
        self.watch.begin()
    }

    /// Encrypts the connection and checks the server's certificate for `host`.
    pub(crate) fn encrypt(&mut self, host: &str, config: &Arc<ClientConfig>) -> io::Result<()> {
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
            self.watch.wait(Some(self.until), |slice| {
                stream.sock.set_read_timeout(Some(slice))?;
                stream.sock.set_write_timeout(Some(slice))?;
                stream.conn.complete_io(&mut stream.sock)
            })?;
        }
        self.io = Io::Tls(stream);
        Ok(())
    }

    /// Whether it is encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        matches!(self.io, Io::Tls(_))
    }

    /// Whether it can still be used: between conversations the server has nothing to say.
    pub(crate) fn is_open(&self) -> bool {
        let Some(stream) = self.io.tcp() else { return false };
        is_idle(stream) && self.rest.is_empty()
    }

    /// Writes all of it and sees it off.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        loop {
            let done = self.watch.wait(Some(self.until), |slice| {
                if let Some(stream) = self.io.tcp() {
                    stream.set_write_timeout(Some(slice))?;
                    // TLS may have to read before it can write.
                    stream.set_read_timeout(Some(slice))?;
                }
                let io = self.io.both()?;
                if rest.is_empty() { io.flush().map(|()| 0) } else { io.write(rest) }
            });
            match done? {
                0 if rest.is_empty() => return Ok(()),
                0 => return Err(ErrorKind::WriteZero.into()),
                written => rest = rest.get(written..).unwrap_or_default(),
            }
        }
    }

    /// Reads a line, with its LF.
    pub(crate) fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            if self.rest.len() > LINE {
                return Err(io::Error::other("the answer is too long"));
            }
            let mut piece = [0; 1024];
            let read = self.watch.wait(Some(self.until), |slice| {
                if let Some(stream) = self.io.tcp() {
                    stream.set_read_timeout(Some(slice))?;
                }
                self.io.both()?.read(&mut piece)
            });
            match read? {
                0 => {
                    let text = "the server closed the connection";
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, text));
                }
                read => self.rest.extend_from_slice(piece.get(..read).unwrap_or_default()),
            }
        }
    }
}
