//! The connection under a conversation: lines and bytes, encrypted or not, without waiting.
//!
//! Out of scope: what the lines mean, and how waits end (`net.rs`).

use crate::edges::net::Watch;
use nix::poll::{PollFd, PollFlags};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

/// The longest line of a reply; RFC 5321 allows 512 bytes.
const LINE: usize = 4096;
/// No more is read at once than this.
const PIECE: usize = 4 * LINE;

/// A connection.
pub(crate) struct Socket {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// Bytes that were read and belong to no line yet.
    rest: Vec<u8>,
    /// Bytes to be written, and how many before them were.
    out: Vec<u8>,
    left: u64,
    /// Why nothing more can be read or written.
    failed: Option<io::Error>,
}

impl Socket {
    /// Looks the name up on this thread and connects, within `limit`.
    pub(crate) fn connect(
        host: &str,
        port: u16,
        limit: Duration,
        watch: &Watch,
    ) -> io::Result<Socket> {
        watch.begin()?;
        let until = watch.now() + limit;
        let addresses: Vec<_> = watch.whole(|| (host, port).to_socket_addrs())?.collect();
        let stream = watch.connect(&addresses, until)?;
        stream.set_nonblocking(true)?;
        Ok(Socket { stream, tls: None, rest: vec![], out: vec![], left: 0, failed: None })
    }

    /// Encrypts what follows and checks the server's certificate for `host`.
    pub(crate) fn encrypt(&mut self, host: &str, config: &Arc<ClientConfig>) -> io::Result<()> {
        // What came before the handshake may be from anybody (CVE-2011-0411).
        if !self.rest.is_empty() {
            return Err(io::Error::other("the server sent something before the handshake"));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let tls = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        self.tls = Some(Box::new(tls));
        Ok(())
    }

    /// Our end of it.
    pub(crate) fn own_address(&self) -> Option<IpAddr> {
        self.stream.local_addr().ok().map(|address| address.ip().to_canonical())
    }

    /// Whether it is encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether the handshake is not done yet.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Adds to what is to be written. Gives the mark that [`Socket::has_left`] knows its end by.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> u64 {
        self.out.extend_from_slice(bytes);
        self.left + self.out.len() as u64
    }

    /// Whether all before this mark may have left.
    pub(crate) fn has_left(&self, mark: u64) -> bool {
        self.left >= mark
    }

    /// What to wait for.
    pub(crate) fn interest(&self) -> PollFd<'_> {
        let more = match &self.tls {
            None => !self.out.is_empty(),
            Some(tls) => tls.wants_write() || !self.out.is_empty() && !tls.is_handshaking(),
        };
        let out = if more { PollFlags::POLLOUT } else { PollFlags::empty() };
        PollFd::new(self.stream.as_fd(), PollFlags::POLLIN | out)
    }

    /// Writes what can be written without waiting.
    pub(crate) fn write(&mut self) {
        if let Err(error) = self.write_some() {
            self.failed.get_or_insert(error);
        }
    }

    fn write_some(&mut self) -> io::Result<()> {
        let Socket { stream, tls, out, left, .. } = self;
        loop {
            if let Some(tls) = tls {
                while tls.wants_write() {
                    let Some(_) = now(tls.write_tls(stream))? else { return Ok(()) };
                }
                if tls.is_handshaking() {
                    return Ok(());
                }
            }
            if out.is_empty() {
                return Ok(());
            }
            let written = match tls {
                None => now(stream.write(out))?,
                // Into its buffer, which is written first of all.
                Some(tls) => Some(tls.writer().write(out)?),
            };
            let Some(written) = written else { return Ok(()) };
            out.drain(..written);
            *left += written as u64;
        }
    }

    /// Reads what is there.
    pub(crate) fn read(&mut self) {
        if let Err(error) = self.read_some() {
            self.failed.get_or_insert(error);
        }
    }

    fn read_some(&mut self) -> io::Result<()> {
        let ended = || io::Error::new(ErrorKind::UnexpectedEof, "the server closed the connection");
        let Socket { stream, tls, rest, .. } = self;
        let mut piece = [0; 1024];
        while rest.len() < PIECE {
            if let Some(tls) = tls {
                match now(tls.read_tls(stream))? {
                    None => return Ok(()),
                    Some(0) => return Err(ended()),
                    Some(_) => {}
                }
                if let Err(error) = tls.process_new_packets() {
                    // It may say why to the server.
                    let _ = tls.write_tls(stream);
                    return Err(io::Error::new(ErrorKind::InvalidData, error));
                }
                while let Some(read) = now(tls.reader().read(&mut piece))? {
                    if read == 0 {
                        return Err(ended());
                    }
                    rest.extend_from_slice(piece.get(..read).unwrap_or_default());
                }
            } else {
                match now(stream.read(&mut piece))? {
                    None => return Ok(()),
                    Some(0) => return Err(ended()),
                    Some(read) => rest.extend_from_slice(piece.get(..read).unwrap_or_default()),
                }
            }
        }
        Ok(())
    }

    /// Whether it can still be used: while nothing is asked the server has nothing to say.
    pub(crate) fn is_open(&mut self) -> bool {
        self.read();
        self.failed.is_none() && self.rest.is_empty()
    }

    /// A line that was read, with its LF; `None`: none is complete.
    ///
    /// # Errors
    /// What there is to read has been, and no more comes.
    pub(crate) fn line(&mut self) -> io::Result<Option<String>> {
        if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
        }
        if self.rest.len() > LINE {
            return Err(io::Error::other("the answer is too long"));
        }
        self.failed.take().map_or(Ok(None), Err)
    }
}

/// `None`: it would have to wait.
fn now<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
