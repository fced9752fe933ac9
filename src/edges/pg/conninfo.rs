//! What people paste as a connection string, made into a [`Target`], as libpq would understand it.
//!
//! In scope: both forms of the string, the PG* variables, the password file and defaults. Out of
//! scope: looking names up, connecting, and reading certificates. No error holds a password, nor
//! any part of the string that could be a piece of one.
//! <https://www.postgresql.org/docs/current/libpq-connect.html>

mod passfile;
mod text;
mod words;

use crate::edges::pg::target::{NAME, Roots, Target, TlsMode, host, port};
use postgres::Config;
use postgres::config::{ChannelBinding, SslMode, TargetSessionAttrs};
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;
use text::Word;
use words::{Lookup, Words};

const CONNECT_TIMEOUT: u32 = 10;
const KEEPALIVE_IDLE: u32 = 30;
const KEEPALIVE_INTERVAL: u32 = 10;
const KEEPALIVE_COUNT: u32 = 3;
const USER_TIMEOUT_MS: u32 = 30_000;

const CHANNEL_BINDING: [(&str, ChannelBinding); 3] = [
    ("disable", ChannelBinding::Disable),
    ("prefer", ChannelBinding::Prefer),
    ("require", ChannelBinding::Require),
];
const SESSION_ATTRS: [(&str, TargetSessionAttrs); 4] = [
    ("any", TargetSessionAttrs::Any),
    ("read-write", TargetSessionAttrs::ReadWrite),
    // Who asks for a primary wants to write, and of one that takes none nothing is gained.
    ("primary", TargetSessionAttrs::ReadWrite),
    ("read-only", TargetSessionAttrs::ReadOnly),
];

/// Reads a connection string. Also reads the password file and, if no user is named, who runs
/// this process. Looks no name up and opens no connection.
///
/// # Errors
/// What is wrong: it begins with `connection string` or with the variable's name, and says in which
/// part it is and what to do.
pub fn parse(text: &str, env: Lookup<'_>) -> Result<Target, String> {
    let words = Words::read(text, env)?;
    let user = words.filled("user").map_or_else(os_user, |word| Ok(word.value.clone()))?;
    let dbname = match words.filled("dbname") {
        Some(word) if word.value.contains("://") => {
            return Err(word.wrong("is no name of a database"));
        }
        Some(word) => word.value.clone(),
        None => user.clone(),
    };
    let mut base = Config::new();
    base.user(&user).dbname(&dbname);
    words.describe(&mut base)?;
    words.keep_alive(&mut base)?;
    let (tls, roots) = words.tls()?;
    base.ssl_mode(match tls {
        TlsMode::Disable => SslMode::Disable,
        TlsMode::Prefer => SslMode::Prefer,
        TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
    });
    let mut places = words.places(&base)?;
    let warning = words.add_passwords(&mut places, &user, &dbname);
    Ok(Target { places, tls, roots, warning })
}

impl Words<'_> {
    /// What the server is told of this client, and what is asked of it.
    fn describe(&self, base: &mut postgres::Config) -> Result<(), String> {
        let name = self.filled("application_name");
        let name = name.or_else(|| self.filled("fallback_application_name"));
        base.application_name(name.map_or(NAME, |word| &word.value));
        if let Some(word) = self.filled("options") {
            base.options(&word.value);
        }
        if let Some(word) = self.filled("channel_binding") {
            base.channel_binding(word.choose(&CHANNEL_BINDING, "")?);
        }
        if let Some(word) = self.filled("target_session_attrs") {
            let advice = " (standby and prefer-standby are not supported: a standby cannot be \
                          written to)";
            base.target_session_attrs(word.choose(&SESSION_ATTRS, advice)?);
        }
        Ok(())
    }

    /// Every way to notice a dead peer; zero leaves it to the system.
    fn keep_alive(&self, base: &mut postgres::Config) -> Result<(), String> {
        let number = |key, default| self.filled(key).map_or(Ok(default), |word| word.number());
        let positive =
            |key, default| number(key, default).map(|number| (number > 0).then_some(number));
        let seconds = |number: u32| Duration::from_secs(number.into());
        // To wait for ever, which 0 asks for, is the same as to try again for ever.
        let limit = positive("connect_timeout", CONNECT_TIMEOUT)?.unwrap_or(CONNECT_TIMEOUT);
        base.connect_timeout(seconds(limit));
        base.keepalives(number("keepalives", 1)? != 0);
        if let Some(idle) = positive("keepalives_idle", KEEPALIVE_IDLE)? {
            base.keepalives_idle(seconds(idle));
        }
        if let Some(interval) = positive("keepalives_interval", KEEPALIVE_INTERVAL)? {
            base.keepalives_interval(seconds(interval));
        }
        if let Some(count) = positive("keepalives_count", KEEPALIVE_COUNT)? {
            base.keepalives_retries(count);
        }
        if let Some(limit) = positive("tcp_user_timeout", USER_TIMEOUT_MS)? {
            base.tcp_user_timeout(Duration::from_millis(limit.into()));
        }
        Ok(())
    }

    fn tls(&self) -> Result<(TlsMode, Roots), String> {
        let own = self.home().map(|home| home.join(".postgresql/root.crt"));
        let roots = match (self.filled("sslrootcert"), own) {
            (Some(word), _) if word.value == "system" => {
                Roots::System(self.variable("SSL_CERT_FILE").map(PathBuf::from))
            }
            (Some(word), _) => Roots::File(PathBuf::from(&word.value)),
            (None, Some(path)) if path.exists() => Roots::File(path),
            (None, _) => Roots::Unset,
        };
        let Some(word) = self.filled("sslmode") else {
            let system = matches!(roots, Roots::System(_));
            return Ok((if system { TlsMode::VerifyFull } else { TlsMode::Prefer }, roots));
        };
        let mode = word.choose(&TlsMode::NAMES, " (allow is not supported: use prefer)")?;
        match (roots, mode) {
            (Roots::System(_), mode) if mode != TlsMode::VerifyFull => {
                Err(word.wrong("must be verify-full with sslrootcert=system"))
            }
            (Roots::Unset, TlsMode::VerifyCa | TlsMode::VerifyFull) => Err(word.wrong(
                "needs authorities to trust: set sslrootcert to a file, \
                 or to system together with sslmode=verify-full",
            )),
            (roots @ Roots::File(_), TlsMode::Require) => Ok((TlsMode::VerifyCa, roots)),
            (roots, mode) => Ok((mode, roots)),
        }
    }

    /// `base` with the host, address and port of each place.
    fn places(&self, base: &Config) -> Result<Vec<Config>, String> {
        let nothing = Word::default();
        let [hosts, addrs, ports] =
            ["host", "hostaddr", "port"].map(|key| self.filled(key).unwrap_or(&nothing));
        let (host_list, addr_list, mut port_list) = (hosts.list(), addrs.list(), ports.list());
        let count = host_list.len().max(addr_list.len());
        if [hosts, addrs].iter().any(|one| !one.value.is_empty() && one.list().len() != count) {
            return Err(addrs.wrong("and host must list the same number of hosts"));
        }
        if let [one] = *port_list {
            port_list = vec![one; count];
        }
        if port_list.len() != count {
            return Err(ports.wrong(format_args!(
                "lists {} ports for {count} host(s): give one for all, or one for each",
                port_list.len()
            )));
        }
        let one = |index| {
            let port = match part(&port_list, index) {
                "" => 5432,
                text => text.parse().map(NonZeroU16::get).map_err(|_| {
                    ports.wrong(
                        "must be a number from 1 to 65535; in the password of a URI \
                         write / as %2F, : as %3A, @ as %40",
                    )
                })?,
            };
            let addr = match part(&addr_list, index) {
                "" => None,
                text => Some(text.parse().map_err(|_| addrs.wrong("is not an IP address"))?),
            };
            let place = at(base, part(&host_list, index), addr);
            let mut place = place.map_err(|what| hosts.wrong(what))?;
            place.port(port);
            if count > 1 && self.filled("target_session_attrs").is_none() {
                // One of them may be a standby.
                place.target_session_attrs(TargetSessionAttrs::ReadWrite);
            }
            Ok(place)
        };
        (0..count).map(one).collect()
    }

    /// Gives each place its password. Returns what a person should know about the password file.
    fn add_passwords(&self, places: &mut [Config], user: &str, dbname: &str) -> Option<String> {
        if let Some(word) = self.filled("password") {
            for place in places {
                place.password(&word.value);
            }
            return None;
        }
        let path = self.filled("passfile").map(|word| PathBuf::from(&word.value));
        let path = path.or_else(|| self.home().map(|home| home.join(".pgpass")))?;
        let file = match passfile::read(&path) {
            Ok(file) => file?,
            Err(warning) => return Some(warning),
        };
        let usual = socket_dir().display().to_string();
        for place in places {
            let host = Some(host(place)).filter(|host| *host != usual);
            let host = host.unwrap_or_else(|| "localhost".to_owned());
            let port = port(place).to_string();
            if let Some(password) = passfile::find(&file, [&host, &port, dbname, user]) {
                place.password(password.as_bytes());
            }
        }
        None
    }

    fn home(&self) -> Option<PathBuf> {
        self.variable("HOME").map(PathBuf::from)
    }
}

fn part<'a>(list: &[&'a str], index: usize) -> &'a str {
    list.get(index).copied().unwrap_or_default()
}

/// `base` at the host that one entry of the lists names. TLS is not spoken on a Unix socket, whatever
/// sslmode says; so has it libpq.
fn at(base: &Config, host: &str, addr: Option<IpAddr>) -> Result<Config, &'static str> {
    let mut place = base.clone();
    match (host, addr) {
        ("", None) => place.host_path(socket_dir()).ssl_mode(SslMode::Disable),
        ("", Some(addr)) => place.host(&addr.to_string()),
        (directory, None) if directory.starts_with('/') => {
            place.host_path(directory).ssl_mode(SslMode::Disable)
        }
        (name, _) if !name.contains(|c: char| c.is_control() || " @/\\".contains(c)) => {
            place.host(name)
        }
        _ => {
            return Err(
                "is no host name, IP address or directory that begins with / (an abstract \
                        socket is not supported)",
            );
        }
    };
    if let Some(addr) = addr {
        place.hostaddr(addr);
    }
    Ok(place)
}

/// Where PostgreSQL's packages put the socket; where its own build does, if that is not there.
fn socket_dir() -> PathBuf {
    let packaged = Path::new("/var/run/postgresql");
    if packaged.is_dir() { packaged.to_owned() } else { PathBuf::from("/tmp") }
}

fn os_user() -> Result<String, String> {
    match nix::unistd::User::from_uid(nix::unistd::geteuid()) {
        Ok(Some(user)) => Ok(user.name),
        _ => Err("connection string: no user is given, and the user of this process has no name: \
                  add user=NAME or set PGUSER"
            .to_owned()),
    }
}
