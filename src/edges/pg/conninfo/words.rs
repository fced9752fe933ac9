//! Every keyword that libpq knows, and its value, wherever that was given: in the string, or in
//! the keyword's variable. Errors name the place and not the value.
//! <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS>
//! <https://www.postgresql.org/docs/current/libpq-envars.html>

use crate::edges::pg::conninfo::Setting;
use crate::mail::error::Error;
use std::fmt;

/// Looks a variable of the environment up.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A value and where it came from.
pub struct Word {
    /// The keyword.
    pub key: &'static str,
    /// What it was set to.
    pub value: String,
    /// Where.
    pub from: Origin,
}

/// Where a value was given.
pub enum Origin {
    /// In the string, at this character, counted from 1.
    String(usize),
    /// In this variable.
    Variable(&'static str),
}

impl Word {
    /// An error that names the keyword and its place, and not its value.
    pub fn wrong(&self, what: impl fmt::Display) -> Error {
        let key = self.key;
        Error::config(match self.from {
            Origin::String(at) => format!("connection string, character {at}: {key} {what}"),
            Origin::Variable(name) => format!("{name}: {key} {what}"),
        })
    }

    /// The parts between commas.
    pub fn list(&self) -> Vec<&str> {
        self.value.split(',').map(str::trim).collect()
    }

    /// A whole number. Negative ones mean "whatever the system does" and become 0, as in libpq.
    pub fn number(&self) -> Result<u64, Error> {
        match self.value.trim().parse::<i32>() {
            Ok(number) => Ok(u64::try_from(number).unwrap_or(0)),
            Err(_) => Err(self.wrong("is not a whole number")),
        }
    }

    /// One of a list of words.
    pub fn choose<T: Copy>(&self, choices: &[(&str, T)], advice: &str) -> Result<T, Error> {
        if let Some((_, chosen)) = choices.iter().find(|(name, _)| *name == self.value) {
            return Ok(*chosen);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        Err(self.wrong(format_args!("must be one of {}{advice}", names.join(", "))))
    }
}

/// All that was given.
pub struct Words<'a> {
    /// In the string, in its order.
    pub given: Vec<Setting>,
    /// In the environment.
    pub env: Lookup<'a>,
}

impl Words<'_> {
    /// The last value given for `key`, else that of its variable.
    pub fn get(&self, key: &'static str) -> Option<Word> {
        if let Some(setting) = self.given.iter().rfind(|setting| setting.key == key) {
            let from = Origin::String(setting.at);
            return Some(Word { key, value: setting.value.clone(), from });
        }
        let (_, name) = READ.iter().find(|(known, _)| *known == key)?;
        let value = self.variable(name)?;
        Some(Word { key, value, from: Origin::Variable(name) })
    }

    /// As `get`, where an empty value means the default.
    pub fn filled(&self, key: &'static str) -> Option<Word> {
        self.get(key).filter(|word| !word.value.is_empty())
    }

    /// A variable that is set to something.
    pub fn variable(&self, name: &str) -> Option<String> {
        if name.is_empty() {
            return None;
        }
        (self.env)(name).filter(|value| !value.is_empty())
    }

    /// Refuses by name whatever would ask for more than this program can do.
    pub fn refuse_unread(&self) -> Result<(), Error> {
        for Setting { key, value, at, plain } in &self.given {
            if READ.iter().any(|(known, _)| known == key) {
                continue;
            }
            let place = format!("connection string, character {at}");
            let Some(unread) = UNREAD.iter().find(|unread| unread.key == key) else {
                let simple = key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                let name = if simple && *plain && key.len() <= 30 { key } else { "before it" };
                return Err(Error::config(format!(
                    "{place}: the keyword {name} is not known to libpq; \
                     a value that holds spaces needs 'quotes', in a URI %20"
                )));
            };
            if !value.is_empty() && !unread.harmless.contains(&value.as_str()) {
                return Err(Error::config(format!(
                    "{place}: {key} is not supported with this value: {}",
                    unread.advice
                )));
            }
        }
        for unread in UNREAD {
            let given = self.given.iter().any(|setting| setting.key == unread.key);
            let Some(value) = self.variable(unread.var).filter(|_| !given) else { continue };
            if !unread.harmless.contains(&value.as_str()) {
                return Err(Error::config(format!(
                    "{}: {} is not supported with this value: {}; unset the variable",
                    unread.var, unread.key, unread.advice
                )));
            }
        }
        Ok(())
    }
}

/// A keyword that is read, and the variable that stands in for it (or nothing).
const READ: &[(&str, &str)] = &[
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("dbname", "PGDATABASE"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("passfile", "PGPASSFILE"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("options", "PGOPTIONS"),
    ("application_name", "PGAPPNAME"),
    ("fallback_application_name", ""),
    ("keepalives", ""),
    ("keepalives_idle", ""),
    ("keepalives_interval", ""),
    ("keepalives_count", ""),
    ("tcp_user_timeout", ""),
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
];

/// A keyword that libpq reads and this program does not.
struct Unread {
    /// The keyword.
    key: &'static str,
    /// The variable that stands in for it, or nothing.
    var: &'static str,
    /// The values that ask for nothing else than what happens anyway. Empty is always one.
    harmless: &'static [&'static str],
    /// What to do.
    advice: &'static str,
}

const fn unread(
    key: &'static str,
    var: &'static str,
    harmless: &'static [&'static str],
    advice: &'static str,
) -> Unread {
    Unread { key, var, harmless, advice }
}

const NO_SERVICE: &str = "write host, port, user and dbname out instead of naming a service";
const NO_CLIENT_CERT: &str = "client certificates are not supported: use a password";
const NO_CRL: &str = "revocation lists are not supported: leave it out";
const NO_GSS: &str = "Kerberos (GSSAPI) is not supported: use a password, over TLS";
const NO_OAUTH: &str = "OAuth is not supported: use a password";
const TLS_VERSIONS: &str = "TLS 1.2 and 1.3 are always used: leave it out";
const NO_PROTOCOL: &str = "protocol 3.0 is always used: leave it out";

/// See [`Unread`].
const UNREAD: &[Unread] = &[
    unread("service", "PGSERVICE", &[], NO_SERVICE),
    unread("servicefile", "PGSERVICEFILE", &[], NO_SERVICE),
    unread(
        "client_encoding",
        "PGCLIENTENCODING",
        &["auto", "UTF8", "utf8", "UTF-8", "utf-8"],
        "UTF8 is always used: leave it out",
    ),
    unread("requiressl", "PGREQUIRESSL", &["0"], "it is obsolete: write sslmode=require"),
    unread(
        "sslnegotiation",
        "PGSSLNEGOTIATION",
        &["postgres"],
        "only sslnegotiation=postgres is supported: leave it out",
    ),
    unread(
        "sslcompression",
        "PGSSLCOMPRESSION",
        &["0"],
        "TLS compression is not supported: leave it out",
    ),
    unread("sslcert", "PGSSLCERT", &[], NO_CLIENT_CERT),
    unread("sslkey", "PGSSLKEY", &[], NO_CLIENT_CERT),
    unread("sslpassword", "", &[], NO_CLIENT_CERT),
    unread("sslcertmode", "PGSSLCERTMODE", &["disable", "allow"], NO_CLIENT_CERT),
    unread("sslcrl", "PGSSLCRL", &[], NO_CRL),
    unread("sslcrldir", "PGSSLCRLDIR", &[], NO_CRL),
    unread("sslsni", "PGSSLSNI", &["1"], "the host name is always sent (SNI): leave it out"),
    unread("sslkeylogfile", "", &[], "the keys of a session are never written out: leave it out"),
    unread(
        "ssl_min_protocol_version",
        "PGSSLMINPROTOCOLVERSION",
        &["TLSv1", "TLSv1.1", "TLSv1.2"],
        TLS_VERSIONS,
    ),
    unread("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION", &["TLSv1.3"], TLS_VERSIONS),
    unread("min_protocol_version", "PGMINPROTOCOLVERSION", &["3.0"], NO_PROTOCOL),
    unread("max_protocol_version", "PGMAXPROTOCOLVERSION", &["3.0", "3.2", "latest"], NO_PROTOCOL),
    unread("gssencmode", "PGGSSENCMODE", &["disable", "prefer"], NO_GSS),
    unread("krbsrvname", "PGKRBSRVNAME", &[], NO_GSS),
    unread("gsslib", "PGGSSLIB", &[], NO_GSS),
    unread("gssdelegation", "PGGSSDELEGATION", &["0"], NO_GSS),
    unread(
        "requirepeer",
        "PGREQUIREPEER",
        &[],
        "it is not supported: leave it out, and keep the socket's directory closed to others",
    ),
    unread(
        "require_auth",
        "PGREQUIREAUTH",
        &[],
        "it is not supported: use channel_binding=require, which excludes weak methods",
    ),
    unread(
        "load_balance_hosts",
        "PGLOADBALANCEHOSTS",
        &["disable"],
        "hosts are tried in their order: leave it out",
    ),
    unread(
        "replication",
        "",
        &["false", "off", "no", "0"],
        "this is no replication client: leave it out",
    ),
    unread("scram_client_key", "", &[], "give the password instead"),
    unread("scram_server_key", "", &[], "give the password instead"),
    unread("oauth_issuer", "", &[], NO_OAUTH),
    unread("oauth_client_id", "", &[], NO_OAUTH),
    unread("oauth_client_secret", "", &[], NO_OAUTH),
    unread("oauth_scope", "", &[], NO_OAUTH),
];
