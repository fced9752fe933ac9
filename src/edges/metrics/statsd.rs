//! Numbers as DogStatsD reads them, over UDP or a Unix socket: counts since they were last sent,
//! levels, durations.
//!
//! In scope: the datagrams, where the server is, and a send that never waits.
//! <https://docs.datadoghq.com/developers/dogstatsd/datagram_shell/>

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The longest value of a tag, in characters. <https://docs.datadoghq.com/getting_started/tagging/>
const TAG_LEN: usize = 200;

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
    look_up_at: Option<Instant>,
    wait: Duration,
}

impl Sender {
    /// Nothing is opened or looked up yet.
    pub fn new(place: Place) -> Sender {
        Sender { place, udp: None, look_up_at: None, wait: LOOK_UP }
    }

    /// Sends one datagram, or does not: a server that is not there, or whose buffer is full, is
    /// not waited for.
    ///
    /// # Errors
    /// As the system says, as far as it knows.
    pub fn send(&mut self, datagram: &[u8], now: Instant) -> io::Result<()> {
        match &self.place {
            Place::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.set_nonblocking(true)?;
                socket.send_to(datagram, path).map(drop)
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
                self.udp
                    .as_ref()
                    .map_or(Ok(0), |(socket, to)| socket.send_to(datagram, to))
                    .map(drop)
            }
        }
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

/// Turns numbers into datagrams; remembers the counts that it has written.
pub struct Encoder {
    /// `env:prod,service:mailroom`: what every line carries.
    tags: String,
    /// The most bytes in one datagram.
    limit: usize,
    /// Each count, by its name and the value of its label.
    written: BTreeMap<(String, String), u64>,
    datagrams: Vec<String>,
}

impl Encoder {
    /// Lines with these tags, as many in a datagram as fit into `limit` bytes.
    pub fn new(tags: &[(&str, &str)], limit: usize) -> Encoder {
        let mut all = String::new();
        for (name, value) in tags {
            push_tag(&mut all, name, value);
        }
        Encoder { tags: all, limit, written: BTreeMap::new(), datagrams: Vec::new() }
    }

    /// A count since the start of the process; what it has grown by is written. A label without a
    /// name is none.
    pub fn count(&mut self, name: &str, label: (&str, &str), count: u64) {
        let key = (name.to_owned(), label.1.to_owned());
        let before = self.written.insert(key, count).unwrap_or_default();
        if count > before {
            self.push(format!("{name}:{}|c|#{}", count - before, self.tags(label)));
        }
    }

    /// What goes up and down.
    pub fn level(&mut self, name: &str, label: (&str, &str), value: impl Display) {
        self.push(format!("{name}:{value}|g|#{}", self.tags(label)));
    }

    /// Durations in seconds. Several of them stand in one line, as long as it fits (protocol 1.1).
    pub fn durations(&mut self, name: &str, seconds: &[f32]) {
        let end = format!("|d|#{}", self.tags);
        let mut line = name.to_owned();
        for value in seconds {
            let value = format!(":{value:.4}");
            if line.len() + value.len() + end.len() > self.limit {
                self.push(line + &end);
                line = name.to_owned();
            }
            line += &value;
        }
        if line.len() > name.len() {
            self.push(line + &end);
        }
    }

    /// The datagrams of what came since. What does not get through is not written again.
    pub fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.datagrams)
    }

    fn tags(&self, (name, value): (&str, &str)) -> String {
        let mut tags = self.tags.clone();
        if !name.is_empty() {
            push_tag(&mut tags, name, value);
        }
        tags
    }

    fn push(&mut self, line: String) {
        let limit = self.limit;
        match self.datagrams.last_mut().filter(|last| last.len() + 1 + line.len() <= limit) {
            Some(last) => last.extend(["\n", &line]),
            None if line.len() <= limit => self.datagrams.push(line),
            None => {}
        }
    }
}

/// Letters, digits and `_-:./` may stand in a tag; what else there is becomes `_`.
fn push_tag(out: &mut String, name: &str, value: &str) {
    if !out.is_empty() {
        out.push(',');
    }
    let _ = write!(out, "{name}:");
    let fits = |c: char| c.is_alphanumeric() || "_-:./".contains(c);
    out.extend(value.chars().take(TAG_LEN).map(|c| if fits(c) { c } else { '_' }));
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

    #[test]
    fn counts_are_written_as_what_was_added() {
        let mut encoder = Encoder::new(&[("env", "a|b,c\n#d"), ("service", "mailroom")], 1432);
        let tags = "#env:a_b_c__d,service:mailroom";
        encoder.count("m.failed", ("", ""), 1);
        encoder.count("m.reasons", ("reason", "HTTP 503"), 1);
        let wanted = format!("m.failed:1|c|{tags}\nm.reasons:1|c|{tags},reason:HTTP_503");
        assert_eq!(encoder.take(), [wanted]);
        encoder.count("m.failed", ("", ""), 3);
        encoder.count("m.reasons", ("reason", "HTTP 503"), 1);
        encoder.count("m.reasons", ("reason", "HTTP_503"), 1);
        let wanted = format!("m.failed:2|c|{tags}\nm.reasons:1|c|{tags},reason:HTTP_503");
        assert_eq!(encoder.take(), [wanted]);
        encoder.count("m.failed", ("", ""), 3);
        assert!(encoder.take().is_empty());
    }

    #[test]
    fn no_datagram_is_too_long_and_no_duration_is_left_out() {
        for limit in [200, 1432, 8192] {
            let mut encoder = Encoder::new(&[("service", "mailroom")], limit);
            encoder.level("m.level", ("", ""), 1.5);
            encoder.durations("m.duration", &[1.5; 1000]);
            encoder.level("m.too.long", ("x", &"x".repeat(200)), 1.5);
            let datagrams = encoder.take();
            assert!(datagrams.iter().all(|one| one.len() <= limit && !one.ends_with('\n')));
            assert_eq!(datagrams.concat().matches(":1.5000").count(), 1000, "{limit}");
            assert!(datagrams.len() <= 7200 / (limit / 2), "{limit}: {}", datagrams.len());
        }
    }
}
