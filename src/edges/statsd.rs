//! Datagrams to a DogStatsD server, over UDP or a Unix socket.
//!
//! In scope: where it is, and a send that never waits. Out of scope: what a datagram says
//! (`metrics/statsd.rs`). <https://docs.datadoghq.com/developers/dogstatsd/>

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A name that was not found is looked up again after so long, doubling up to an hour: looking up
/// is the one thing here that may take time.
const LOOK_UP: Duration = Duration::from_secs(60);
const LOOK_UP_CAP: Duration = Duration::from_secs(3600);

/// Where the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A host and a UDP port.
    Udp(String, u16),
    /// The path of a Unix datagram socket.
    Unix(PathBuf),
}

impl Place {
    /// Reads `host:port`, `udp://host:port` or `unix:///path`.
    ///
    /// # Errors
    /// What it must be.
    pub fn parse(text: &str) -> Result<Place, String> {
        if let Some(path) = text.strip_prefix("unix://").filter(|path| path.starts_with('/')) {
            return Ok(Place::Unix(PathBuf::from(path)));
        }
        let parse = || {
            let (host, port) = text.strip_prefix("udp://").unwrap_or(text).rsplit_once(':')?;
            let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            let port = port.parse().ok().filter(|port| *port > 0)?;
            let fits = !host.is_empty() && !host.contains(['/', '@', ' ']);
            let fits = fits && (inner.is_some() || !host.contains(':'));
            fits.then(|| Place::Udp(inner.unwrap_or(host).to_owned(), port))
        };
        parse().ok_or_else(|| "must be host:port or unix:///path".to_owned())
    }

    /// The most bytes that fit into one datagram: what passes an Ethernet whole, or what the
    /// server takes from a socket.
    pub fn limit(&self) -> usize {
        match self {
            Place::Udp(..) => 1432,
            Place::Unix(_) => 8192,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Udp(host, port) => write!(f, "{host}:{port}"),
            Place::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A socket that sends there. It is opened when it is first needed.
pub struct Sender {
    place: Place,
    udp: Option<(UdpSocket, SocketAddr)>,
    unix: Option<UnixDatagram>,
    look_up_at: Option<Instant>,
    wait: Duration,
}

impl Sender {
    /// Nothing is opened or looked up yet.
    pub fn new(place: Place) -> Sender {
        Sender { place, udp: None, unix: None, look_up_at: None, wait: LOOK_UP }
    }

    /// Sends one datagram, or does not: a server that is not there, or whose buffer is full, is
    /// not waited for.
    ///
    /// # Errors
    /// As the system says, as far as it knows.
    pub fn send(&mut self, datagram: &[u8], now: Instant) -> io::Result<()> {
        match &self.place {
            Place::Unix(path) => {
                if self.unix.is_none() {
                    let socket = UnixDatagram::unbound()?;
                    socket.set_nonblocking(true)?;
                    self.unix = Some(socket);
                }
                // By its path each time: a server that was restarted has a new socket there.
                self.unix.as_ref().map_or(Ok(0), |socket| socket.send_to(datagram, path))
            }
            Place::Udp(host, port) => {
                if self.udp.is_none() {
                    if self.look_up_at.is_some_and(|at| now < at) {
                        return Err(io::ErrorKind::HostUnreachable.into());
                    }
                    self.look_up_at = Some(now + self.wait);
                    self.wait = (self.wait * 2).min(LOOK_UP_CAP);
                    self.udp = Some(open(host, *port)?);
                }
                self.udp.as_ref().map_or(Ok(0), |(socket, to)| socket.send_to(datagram, to))
            }
        }
        .map(drop)
    }
}

fn open(host: &str, port: u16) -> io::Result<(UdpSocket, SocketAddr)> {
    let mut found: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    // `localhost` is both, and servers listen on the older one.
    found.sort_by_key(SocketAddr::is_ipv6);
    let to = *found.first().ok_or(io::ErrorKind::NotFound)?;
    let socket = match to {
        SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?,
        SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?,
    };
    socket.set_nonblocking(true)?;
    Ok((socket, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_host_with_its_port_or_a_path() {
        let udp = |host: &str, port| Ok(Place::Udp(host.to_owned(), port));
        assert_eq!(Place::parse("127.0.0.1:8125"), udp("127.0.0.1", 8125));
        assert_eq!(Place::parse("udp://agent:8125"), udp("agent", 8125));
        assert_eq!(Place::parse("[::1]:8125"), udp("::1", 8125));
        let socket = Place::Unix(PathBuf::from("/var/run/datadog/dsd.socket"));
        assert_eq!(Place::parse("unix:///var/run/datadog/dsd.socket"), Ok(socket));
        for text in ["", "agent", "agent:", ":8125", "agent:0", "agent:70000", "::1:8125"] {
            assert!(Place::parse(text).is_err(), "{text}");
        }
        for text in ["unix://", "unix://dsd.socket", "http://agent:8125", "a b:1", "tcp://x:1"] {
            assert!(Place::parse(text).is_err(), "{text}");
        }
    }
}
