//! What people paste as a connection string, made into a [`Target`], as libpq would understand it.
//!
//! In scope: both forms of the string, the PG* variables, the password file, defaults, and
//! looking names up. Out of scope: connecting, and reading certificates. No error holds a
//! password, nor any part of the string that could be a piece of one.
//! <https://www.postgresql.org/docs/current/libpq-connect.html>

mod passfile;
mod text;
mod words;

use crate::edges::pg::fault::Fault;
use crate::edges::pg::target::{NAME, Place, Roots, Target, TlsMode};
use crate::mail::error::Error;
use postgres::config::{ChannelBinding, SslMode, TargetSessionAttrs};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use words::{Word, Words};
use zeroize::Zeroizing;

pub use words::Lookup;

const CONNECT_TIMEOUT: u64 = 10;
const KEEPALIVE_IDLE: u64 = 30;
const KEEPALIVE_INTERVAL: u64 = 10;
const KEEPALIVE_COUNT: u32 = 3;
const USER_TIMEOUT_MS: u64 = 30_000;

/// One keyword with its value.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    /// The keyword as written.
    pub key: String,
    /// The value, unquoted and decoded.
    pub value: String,
    /// Where the value begins: characters from the start, counted from 1.
    pub at: usize,
    /// Whether the keyword may be repeated in a message: it is surely no piece of a password.
    pub plain: bool,
}

/// Reads a connection string. Also reads the password file and, if no user is named, who runs
/// this process. Looks no name up and opens no connection.
///
/// # Errors
/// Of kind `Config`, with the keyword, where it stands, and what to do.
pub fn parse(text: &str, env: Lookup<'_>) -> Result<Target, Error> {
    let given = text::split(text).map_err(|malformed| {
        Error::config(format!("connection string, character {}: {}", malformed.at, malformed.what))
    })?;
    let words = Words { given, env };
    words.refuse_unread()?;
    let mut base = postgres::Config::new();
    let user = words.filled("user").map_or_else(os_user, |word| Ok(word.value))?;
    let dbname = words.filled("dbname");
    if let Some(word) = dbname.as_ref().filter(|word| word.value.contains("://")) {
        return Err(word.wrong("is no name of a database"));
    }
    let dbname = dbname.map_or_else(|| user.clone(), |word| word.value);
    base.user(&user).dbname(&dbname);
    words.describe(&mut base)?;
    words.keep_alive(&mut base)?;
    let (tls, roots) = words.tls()?;
    let places = words.places()?;
    if places.len() > 1 && words.filled("target_session_attrs").is_none() {
        // One of them may be a standby.
        base.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    let (passwords, warnings) = words.passwords(&places, &user, &dbname);
    Ok(Target { base, places, passwords, tls, roots, warnings })
}

impl Words<'_> {
    /// What the server is told of this client, and what is asked of it.
    fn describe(&self, base: &mut postgres::Config) -> Result<(), Error> {
        let name = self.filled("application_name");
        let name = name.or_else(|| self.filled("fallback_application_name"));
        base.application_name(name.as_ref().map_or(NAME, |word| &word.value));
        if let Some(word) = self.filled("options") {
            base.options(&word.value);
        }
        if let Some(word) = self.filled("channel_binding") {
            base.channel_binding(word.choose(
                &[
                    ("disable", ChannelBinding::Disable),
                    ("prefer", ChannelBinding::Prefer),
                    ("require", ChannelBinding::Require),
                ],
                "",
            )?);
        }
        if let Some(word) = self.filled("target_session_attrs") {
            // The queue is written to, so a primary is of use only if it takes writes.
            base.target_session_attrs(word.choose(
                &[
                    ("any", TargetSessionAttrs::Any),
                    ("read-write", TargetSessionAttrs::ReadWrite),
                    ("primary", TargetSessionAttrs::ReadWrite),
                    ("read-only", TargetSessionAttrs::ReadOnly),
                ],
                " (standby and prefer-standby are not supported: a standby cannot be written to)",
            )?);
        }
        Ok(())
    }

    /// Every way to notice a dead peer; zero leaves it to the system.
    fn keep_alive(&self, base: &mut postgres::Config) -> Result<(), Error> {
        let number = |key, default| self.filled(key).map_or(Ok(default), |word| word.number());
        // To wait for ever, which 0 asks for, is the same as to try again for ever.
        let limit = match number("connect_timeout", CONNECT_TIMEOUT)? {
            0 => CONNECT_TIMEOUT,
            seconds => seconds,
        };
        base.connect_timeout(Duration::from_secs(limit));
        base.keepalives(number("keepalives", 1)? != 0);
        let idle = number("keepalives_idle", KEEPALIVE_IDLE)?;
        if idle > 0 {
            base.keepalives_idle(Duration::from_secs(idle));
        }
        let interval = number("keepalives_interval", KEEPALIVE_INTERVAL)?;
        if interval > 0 {
            base.keepalives_interval(Duration::from_secs(interval));
        }
        let count = number("keepalives_count", u64::from(KEEPALIVE_COUNT))?;
        if count > 0 {
            base.keepalives_retries(u32::try_from(count).unwrap_or(KEEPALIVE_COUNT));
        }
        let unanswered = number("tcp_user_timeout", USER_TIMEOUT_MS)?;
        if unanswered > 0 {
            base.tcp_user_timeout(Duration::from_millis(unanswered));
        }
        Ok(())
    }

    fn tls(&self) -> Result<(TlsMode, Roots), Error> {
        let roots = match self.filled("sslrootcert") {
            Some(word) if word.value == "system" => {
                Roots::System(self.variable("SSL_CERT_FILE").map(PathBuf::from))
            }
            Some(word) => Roots::File(PathBuf::from(word.value)),
            None => match self.home().map(|home| home.join(".postgresql/root.crt")) {
                Some(path) if path.exists() => Roots::File(path),
                _ => Roots::Unset,
            },
        };
        let Some(word) = self.filled("sslmode") else {
            let system = matches!(roots, Roots::System(_));
            return Ok((if system { TlsMode::VerifyFull } else { TlsMode::Prefer }, roots));
        };
        let mode = word.choose(&TlsMode::NAMES, " (allow is not supported: use prefer)")?;
        let strict = matches!(mode, TlsMode::VerifyCa | TlsMode::VerifyFull);
        match roots {
            Roots::System(_) if mode != TlsMode::VerifyFull => {
                Err(word.wrong("must be verify-full with sslrootcert=system"))
            }
            Roots::Unset if strict => Err(word.wrong(
                "needs authorities to trust: set sslrootcert to a file, \
                 or to system together with sslmode=verify-full",
            )),
            Roots::File(_) if mode == TlsMode::Require => Ok((TlsMode::VerifyCa, roots)),
            roots => Ok((mode, roots)),
        }
    }

    fn places(&self) -> Result<Vec<Place>, Error> {
        let hosts = self.filled("host");
        let addrs = self.filled("hostaddr");
        let ports = self.filled("port");
        let host_list = hosts.as_ref().map(Word::list).unwrap_or_default();
        let addr_list = addrs.as_ref().map(Word::list).unwrap_or_default();
        let port_list = ports.as_ref().map(Word::list).unwrap_or_default();
        let count = host_list.len().max(addr_list.len()).max(1);
        if let (Some(word), true) = (&addrs, host_list.len().max(1) != count && hosts.is_some()) {
            return Err(word.wrong("and host must list the same number of hosts"));
        }
        if let (Some(word), true) = (&addrs, addr_list.len() != count) {
            return Err(word.wrong("and host must list the same number of hosts"));
        }
        if let (Some(word), true) = (&ports, port_list.len() > 1 && port_list.len() != count) {
            return Err(word.wrong(format_args!(
                "lists {} ports for {count} host(s): give one for all, or one for each",
                port_list.len()
            )));
        }
        (0..count)
            .map(|i| {
                let port = port_list.get(i).or(port_list.first()).copied().unwrap_or_default();
                let port = match (port, &ports) {
                    ("", _) | (_, None) => 5432,
                    (text, Some(word)) => number_of_port(text).ok_or_else(|| {
                        word.wrong(
                            "must be a number from 1 to 65535; in the password of a URI \
                             write / as %2F, : as %3A, @ as %40",
                        )
                    })?,
                };
                let addr = match (addr_list.get(i).copied().unwrap_or_default(), &addrs) {
                    ("", _) | (_, None) => None,
                    (text, Some(word)) => Some(
                        text.parse::<IpAddr>().map_err(|_| word.wrong("is not an IP address"))?,
                    ),
                };
                let host = host_list.get(i).copied().unwrap_or_default();
                place(host, addr, port).map_err(|what| match &hosts {
                    Some(word) => word.wrong(what),
                    None => Error::config(what),
                })
            })
            .collect()
    }

    /// The password for each place, and what a person should know about the password file.
    fn passwords(
        &self,
        places: &[Place],
        user: &str,
        dbname: &str,
    ) -> (Vec<Option<Zeroizing<String>>>, Vec<String>) {
        if let Some(word) = self.filled("password") {
            let password = Zeroizing::new(word.value);
            return (places.iter().map(|_| Some(password.clone())).collect(), Vec::new());
        }
        let path = self.filled("passfile").map(|word| PathBuf::from(word.value));
        let path = path.or_else(|| self.home().map(|home| home.join(".pgpass")));
        let (file, warnings) = match path.map(|path| passfile::read(&path)) {
            Some(Ok(file)) => (file.unwrap_or_default(), Vec::new()),
            Some(Err(warning)) => (Zeroizing::default(), vec![warning]),
            None => (Zeroizing::default(), Vec::new()),
        };
        let find = |place: &Place| {
            let (host, port) = match place {
                Place::Socket(dir, port) if *dir == socket_dir() => ("localhost".into(), port),
                Place::Socket(dir, port) => (dir.display().to_string(), port),
                Place::Tcp { host, port, .. } => (host.clone(), port),
            };
            passfile::find(&file, [&host, &port.to_string(), dbname, user])
        };
        (places.iter().map(find).collect(), warnings)
    }

    fn home(&self) -> Option<PathBuf> {
        self.variable("HOME").map(PathBuf::from)
    }
}

fn number_of_port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

/// The place that one entry of the lists names.
fn place(host: &str, addr: Option<IpAddr>, port: u16) -> Result<Place, &'static str> {
    match (host, addr) {
        ("", None) => Ok(Place::Socket(socket_dir(), port)),
        ("", Some(addr)) => Ok(Place::Tcp { host: addr.to_string(), addr: Some(addr), port }),
        (host, None) if host.starts_with('/') => Ok(Place::Socket(PathBuf::from(host), port)),
        (host, None) if host.starts_with('@') => {
            Err("names an abstract socket, which is not supported: use a directory or a host name")
        }
        (host, _) if host.contains(|c: char| c.is_control() || " @/\\".contains(c)) => {
            Err("is no host name, IP address or directory that begins with /")
        }
        (host, addr) => Ok(Place::Tcp { host: host.to_owned(), addr, port }),
    }
}

/// Where PostgreSQL's packages put the socket; where its own build does, if that is not there.
fn socket_dir() -> PathBuf {
    let packaged = Path::new("/var/run/postgresql");
    if packaged.is_dir() { packaged.to_owned() } else { PathBuf::from("/tmp") }
}

fn os_user() -> Result<String, Error> {
    match nix::unistd::User::from_uid(nix::unistd::geteuid()) {
        Ok(Some(user)) => Ok(user.name),
        _ => Err(Error::config(
            "connection string: no user is given, and the user of this process has no name: \
             add user=NAME or set PGUSER",
        )),
    }
}

/// What to connect to, in order: one configuration an address. Names are looked up here, on the
/// caller's thread, because the client would start a thread for it.
///
/// # Errors
/// `Lost` if no address is found for any place.
pub fn resolve(target: &Target) -> Result<Vec<postgres::Config>, Fault> {
    let mut found = Vec::new();
    let mut failures = Vec::new();
    for (i, place) in target.places.iter().enumerate() {
        let mut base = target.base.clone();
        if let Some(Some(password)) = target.passwords.get(i) {
            base.password(password.as_bytes());
        }
        base.ssl_mode(match (place, target.tls) {
            // TLS is not spoken on a Unix socket, whatever sslmode says; libpq ignores it too.
            (Place::Socket(..), _) | (_, TlsMode::Disable) => SslMode::Disable,
            (_, TlsMode::Prefer) => SslMode::Prefer,
            _ => SslMode::Require,
        });
        match place {
            Place::Socket(dir, port) => {
                base.host_path(dir).port(*port);
                found.push(base);
            }
            Place::Tcp { host, addr, port } => {
                base.host(host).port(*port);
                let addrs = match addr {
                    Some(addr) => Ok(vec![*addr]),
                    None => (host.as_str(), *port)
                        .to_socket_addrs()
                        .map(|all| all.map(|one| one.ip()).collect()),
                };
                match addrs {
                    Ok(addrs) => found.extend(addrs.into_iter().map(|addr| {
                        let mut config = base.clone();
                        config.hostaddr(addr);
                        config
                    })),
                    Err(cause) => failures.push(format!("cannot look up host {host}: {cause}")),
                }
            }
        }
    }
    match found.is_empty() {
        true => Err(Fault::Lost(failures.join("; "))),
        false => Ok(found),
    }
}
