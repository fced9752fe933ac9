//! The connection under a conversation: lines and bytes, encrypted or not.
//!
//! Out of scope: what the lines mean, and how waits end (`net.rs`).

use crate::edges::net::{Watch, Wire};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Stream};
use std::io::{self, ErrorKind, Read, Write};
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::time::Duration;

/// The longest line of a reply; RFC 5321 allows 512 bytes.
const LINE: usize = 4096;

/// A connection.
pub(crate) struct Socket {
    wire: Wire,
    tls: Option<ClientConnection>,
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
        watch: &Watch,
    ) -> io::Result<Socket> {
        watch.begin()?;
        let until = watch.now() + time;
        let addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
        let mut wire = watch.connect(&addresses, until.min(watch.now() + limit))?;
        wire.until = Some(until);
        Ok(Socket { wire, tls: None, rest: Vec::new() })
    }

    /// What follows may take so long.
    ///
    /// # Errors
    /// Nothing may begin any more.
    pub(crate) fn begin(&mut self, time: Duration) -> io::Result<()> {
        self.wire.begin(time)
    }

    /// Encrypts the connection and checks the server's certificate for `host`.
    pub(crate) fn encrypt(&mut self, host: &str, config: &Arc<ClientConfig>) -> io::Result<()> {
        // What came before the handshake may be from anybody (CVE-2011-0411).
        if !self.rest.is_empty() {
            return Err(io::Error::other("the server sent something before the handshake"));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let mut tls = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut self.wire)?;
        }
        self.tls = Some(tls);
        Ok(())
    }

    /// Whether it is encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether it can still be used: between conversations the server has nothing to say.
    pub(crate) fn is_open(&self) -> bool {
        self.wire.is_idle() && self.rest.is_empty()
    }

    /// Writes all of it and sees it off.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            None => self.wire.write_all(bytes),
            Some(tls) => {
                let mut stream = Stream::new(tls, &mut self.wire);
                stream.write_all(bytes)?;
                stream.flush()
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
            let read = match &mut self.tls {
                None => self.wire.read(&mut piece),
                Some(tls) => Stream::new(tls, &mut self.wire).read(&mut piece),
            };
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
