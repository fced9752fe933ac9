//! Where to connect to, as a person said it.

use crate::edges::pg::fault::Fault;
use postgres::config::{SslMode, TargetSessionAttrs};
use std::fmt;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

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

/// One place where a server may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A directory that holds the Unix socket, and the port that is part of its name.
    Socket(PathBuf, u16),
    /// A host name or address, the address to use instead of looking it up, and the port.
    Tcp {
        /// The name that the certificate must carry.
        host: String,
        /// `hostaddr`, if given.
        addr: Option<IpAddr>,
        /// The port.
        port: u16,
    },
}

impl Place {
    /// The host or the directory.
    pub(crate) fn host(&self) -> String {
        match self {
            Place::Socket(dir, _) => dir.display().to_string(),
            Place::Tcp { host, .. } => host.clone(),
        }
    }

    /// The port.
    pub(crate) fn port(&self) -> u16 {
        match self {
            Place::Socket(_, port) | Place::Tcp { port, .. } => *port,
        }
    }
}

/// Where to connect to: parsed, defaults filled in, not looked up yet.
#[derive(Clone)]
pub struct Target {
    /// User, database, options, timeouts: all but hosts, passwords and TLS.
    pub base: postgres::Config,
    /// Tried in order.
    pub places: Vec<Place>,
    /// The password for each place: the password file may have one for each.
    pub passwords: Vec<Option<Zeroizing<String>>>,
    /// `sslmode`.
    pub tls: TlsMode,
    /// `sslrootcert`.
    pub roots: Roots,
    /// What a person should know, though it is no error: a password file that is ignored.
    pub warnings: Vec<String>,
}

impl Target {
    /// Tells the server that this is `mailroom COMMAND`, unless somebody chose another name.
    pub fn name(&mut self, command: &str) {
        if self.base.get_application_name() == Some(NAME) {
            self.base.application_name(&format!("{NAME} {command}"));
        }
    }

    /// Passes over servers that cannot be written to, unless `read-only` was asked for.
    /// <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-TARGET-SESSION-ATTRS>
    pub fn write(&mut self) {
        if self.base.get_target_session_attrs() == TargetSessionAttrs::Any {
            self.base.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
    }

    /// What to connect to, in order: one configuration an address. Names are looked up here, on
    /// the caller's thread, because the client would start a thread for it.
    ///
    /// # Errors
    /// `Lost` if no address is found for any place.
    pub fn resolve(&self) -> Result<Vec<postgres::Config>, Fault> {
        let mut found = Vec::new();
        let mut failures = Vec::new();
        for (place, password) in self.places.iter().zip(&self.passwords) {
            let mut config = self.base.clone();
            config.port(place.port());
            if let Some(password) = password {
                config.password(password.as_bytes());
            }
            let (host, addr) = match place {
                // TLS is not spoken on a Unix socket, whatever sslmode says; so has it libpq.
                Place::Socket(dir, _) => {
                    config.host_path(dir).ssl_mode(SslMode::Disable);
                    found.push(config);
                    continue;
                }
                Place::Tcp { host, addr, .. } => (host, addr),
            };
            config.host(host).ssl_mode(match self.tls {
                TlsMode::Disable => SslMode::Disable,
                TlsMode::Prefer => SslMode::Prefer,
                _ => SslMode::Require,
            });
            let addrs = match addr {
                Some(addr) => Ok(vec![*addr]),
                None => (host.as_str(), place.port())
                    .to_socket_addrs()
                    .map(|all| all.map(|one| one.ip()).collect()),
            };
            match addrs {
                Ok(addrs) => found.extend(addrs.into_iter().map(|addr| {
                    let mut config = config.clone();
                    config.hostaddr(addr);
                    config
                })),
                Err(cause) => failures.push(format!("cannot look up host {host}: {cause}")),
            }
        }
        if found.is_empty() { Err(Fault::Lost(failures.join("; "))) } else { Ok(found) }
    }

    /// Gives each address at most this long to take the connection.
    pub fn hurry(&mut self, limit: Duration) {
        let limit = self.base.get_connect_timeout().map_or(limit, |own| limit.min(*own));
        self.base.connect_timeout(limit);
    }
}

impl fmt::Display for Target {
    /// `host=… port=… dbname=… user=… sslmode=…`, the line of the seed documents. No password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |part: fn(&Place) -> String| self.places.iter().map(part).collect::<Vec<_>>().join(",");
        let mode = TlsMode::NAMES.iter().find(|(_, mode)| *mode == self.tls);
        write!(
            f,
            "host={} port={} dbname={} user={} sslmode={}",
            list(Place::host),
            list(|place| place.port().to_string()),
            self.base.get_dbname().unwrap_or_default(),
            self.base.get_user().unwrap_or_default(),
            mode.map_or("", |(name, _)| name)
        )
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
