//! Where to connect to, as a person said it.

use crate::edges::pg::fault::Fault;
use postgres::Config;
use postgres::config::{Host, TargetSessionAttrs};
use std::fmt;
use std::net::ToSocketAddrs as _;
use std::path::PathBuf;
use std::time::Duration;

/// The `application_name` of those who give none.
pub(crate) const NAME: &str = "mailroom";

/// How a connection is encrypted: the `sslmode` of libpq.
/// <https://www.postgresql.org/docs/current/libpq-ssl.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    Disable,
    /// If the server offers it; the certificate is not checked.
    Prefer,
    /// Always; the certificate is checked only if a root certificate was named.
    Require,
    /// Always; the certificate must come from a trusted authority.
    VerifyCa,
    /// As `VerifyCa`, and the certificate must name the host.
    VerifyFull,
}

impl TlsMode {
    /// The modes that are supported, by their names.
    pub(crate) const NAMES: [(&str, TlsMode); 5] = [
        ("disable", TlsMode::Disable),
        ("prefer", TlsMode::Prefer),
        ("require", TlsMode::Require),
        ("verify-ca", TlsMode::VerifyCa),
        ("verify-full", TlsMode::VerifyFull),
    ];
}

/// The authorities that are trusted: the `sslrootcert` of libpq.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// None was named.
    Unset,
    /// `system`: the bundle that SSL_CERT_FILE names, else the machine's own, else the one built
    /// in.
    System(Option<PathBuf>),
    /// A PEM file.
    File(PathBuf),
}

/// The host of a configuration with one, or the directory of its socket.
pub(crate) fn host(place: &Config) -> String {
    match place.get_hosts() {
        [Host::Tcp(name), ..] => name.clone(),
        [Host::Unix(directory), ..] => directory.display().to_string(),
        [] => String::new(),
    }
}

/// The port of a configuration with one.
pub(crate) fn port(place: &Config) -> u16 {
    place.get_ports().first().copied().unwrap_or(5432)
}

/// Where to connect to: parsed, defaults filled in, not looked up yet.
#[derive(Clone)]
pub struct Target {
    /// Tried in order. Each has one host, which is a name, an address or the directory of a socket, one
    /// port, and perhaps an address to use instead of looking the name up.
    pub places: Vec<Config>,
    /// `sslmode`.
    pub tls: TlsMode,
    /// `sslrootcert`.
    pub roots: Roots,
    /// What a person should know, though it is no error: a password file that is ignored.
    pub warning: Option<String>,
}

impl Target {
    /// Tells the server that this is `mailroom COMMAND`, unless somebody chose another name.
    pub fn name(&mut self, command: &str) {
        for place in &mut self.places {
            if place.get_application_name() == Some(NAME) {
                place.application_name(&format!("{NAME} {command}"));
            }
        }
    }

    /// Passes over servers that cannot be written to, unless `read-only` was asked for.
    /// <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-TARGET-SESSION-ATTRS>
    pub fn write(&mut self) {
        for place in &mut self.places {
            if place.get_target_session_attrs() == TargetSessionAttrs::Any {
                place.target_session_attrs(TargetSessionAttrs::ReadWrite);
            }
        }
    }

    /// What to connect to, in order: one configuration an address. Names are looked up here, on
    /// the caller's thread, because the client would start a thread for it.
    ///
    /// # Errors
    /// `Lost` if no address is found for any place.
    pub fn resolve(&self) -> Result<Vec<Config>, Fault> {
        let mut found = Vec::new();
        let mut failures = Vec::new();
        for place in &self.places {
            let ([Host::Tcp(name)], []) = (place.get_hosts(), place.get_hostaddrs()) else {
                found.push(place.clone());
                continue;
            };
            match (name.as_str(), 0).to_socket_addrs() {
                Ok(addrs) => found.extend(addrs.map(|addr| {
                    let mut place = place.clone();
                    place.hostaddr(addr.ip());
                    place
                })),
                Err(cause) => failures.push(format!("cannot look up host {name}: {cause}")),
            }
        }
        if found.is_empty() { Err(Fault::Lost(failures.join("; "))) } else { Ok(found) }
    }

    /// Whether every place is on this machine.
    pub fn is_near(&self) -> bool {
        self.places.iter().all(|place| match place.get_hosts() {
            [Host::Tcp(name)] => {
                let addr = place.get_hostaddrs().first().copied().or_else(|| name.parse().ok());
                addr.map_or(name == "localhost", |addr| addr.is_loopback())
            }
            _ => true,
        })
    }

    /// Gives each address at most this long to take the connection.
    pub fn hurry(&mut self, limit: Duration) {
        for place in &mut self.places {
            let limit = place.get_connect_timeout().map_or(limit, |own| limit.min(*own));
            place.connect_timeout(limit);
        }
    }
}

impl fmt::Display for Target {
    /// `host=… port=… dbname=… user=… sslmode=…`, the line of the seed documents. No password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |part: fn(&Config) -> String| {
            self.places.iter().map(part).collect::<Vec<_>>().join(",")
        };
        let first = self.places.first();
        let mode = TlsMode::NAMES.iter().find(|(_, mode)| *mode == self.tls);
        write!(
            f,
            "host={} port={} dbname={} user={} sslmode={}",
            list(host),
            list(|place| port(place).to_string()),
            first.and_then(Config::get_dbname).unwrap_or_default(),
            first.and_then(Config::get_user).unwrap_or_default(),
            mode.map_or("", |(name, _)| name)
        )
    }
}
