//! Every keyword that libpq knows, and its value, wherever that was given: in the string, or in
//! the keyword's variable. Errors name the place and not the value.
//! <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS>
//! <https://www.postgresql.org/docs/current/libpq-envars.html>

use crate::edges::pg::conninfo::text::{STRING, Word, split};
use std::fmt;

/// Looks a variable of the environment up.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Word {
    /// An error that names the keyword and its place, and not its value.
    pub(crate) fn wrong(&self, what: impl fmt::Display) -> String {
        format!("{}: {} {what}", self.place, self.key)
    }

    /// The parts between commas.
    pub(crate) fn list(&self) -> Vec<&str> {
        self.value.split(',').map(str::trim).collect()
    }

    /// A whole number. Negative ones mean "whatever the system does" and become 0, as in libpq.
    pub(crate) fn number(&self) -> Result<u32, String> {
        let number = self.value.trim().parse::<i32>();
        let number = number.map_err(|_| self.wrong("is not a whole number"))?;
        Ok(u32::try_from(number).unwrap_or(0))
    }

    /// One of a list of words.
    pub(crate) fn choose<T: Copy>(&self, choices: &[(&str, T)], advice: &str) -> Result<T, String> {
        if let Some((_, chosen)) = choices.iter().find(|(name, _)| *name == self.value) {
            return Ok(*chosen);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        Err(self.wrong(format_args!("must be one of {}{advice}", names.join(", "))))
    }
}

/// All that was given.
pub(crate) struct Words<'a> {
    /// What stands in the string, in its order, and then what variables say of other keywords.
    given: Vec<Word>,
    env: Lookup<'a>,
}

impl<'a> Words<'a> {
    /// Reads the string and the variables; refuses by name whatever would ask for more than this
    /// program can do.
    pub(crate) fn read(text: &str, env: Lookup<'a>) -> Result<Words<'a>, String> {
        let mut words = Words { given: split(text)?, env };
        let unread = UNREAD.iter().map(|&(key, variable, ..)| (key, variable));
        let known: Vec<(&str, &'static str)> = READ.iter().copied().chain(unread).collect();
        for Word { key, plain, .. } in &words.given {
            if !known.iter().any(|(known, _)| known == key) {
                let simple = key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                let name = if simple && *plain && key.len() <= 30 { key } else { "that is there" };
                return Err(format!(
                    "{STRING}: a keyword, {name}, is not known to libpq; a value that holds spaces \
                     needs 'quotes', in a URI %20"
                ));
            }
        }
        for (key, place) in known.into_iter().filter(|(_, variable)| !variable.is_empty()) {
            if words.given.iter().all(|word| word.key != key)
                && let Some(value) = words.variable(place)
            {
                words.given.push(Word { key: key.to_owned(), value, place, plain: true });
            }
        }
        for &(key, _, harmless, advice) in UNREAD {
            let Some(word) = words.filled(key) else { continue };
            if !harmless.split(' ').any(|one| one == word.value) {
                let unset = if word.place == STRING { "" } else { "; unset the variable" };
                let what = format_args!("is not supported with this value: {advice}{unset}");
                return Err(word.wrong(what));
            }
        }
        Ok(words)
    }

    /// The last value given for `key`, else that of its variable; nothing if it is empty, which
    /// means the default.
    pub(crate) fn filled(&self, key: &str) -> Option<&Word> {
        let last = self.given.iter().rfind(|word| word.key == key);
        last.filter(|word| !word.value.is_empty())
    }

    /// A variable that is set to something.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|value| !value.is_empty())
    }
}

/// What is read: the keyword, and the variable that stands in for it (or nothing).
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

const OUT: &str = "leave it out";
const UTF8: &str = "UTF8 is always used: leave it out";
const SERVICE: &str = "write host, port, user and dbname out instead of naming a service";
const OBSOLETE: &str = "it is obsolete: write sslmode=require";
const CLIENT_CERT: &str = "client certificates are not supported: use a password";
const PASSWORD: &str = "use a password, over TLS (not Kerberos, OAuth or keys of SCRAM)";
const AUTH: &str = "use channel_binding=require, which excludes weak methods";
const ORDER: &str = "hosts are tried in their order: leave it out";

/// What libpq reads and this program does not: the keyword, the variable that stands in for it (or
/// nothing), the values that ask for nothing else than what happens anyway, and what to do.
const UNREAD: &[(&str, &str, &str, &str)] = &[
    ("service", "PGSERVICE", "", SERVICE),
    ("servicefile", "PGSERVICEFILE", "", SERVICE),
    ("client_encoding", "PGCLIENTENCODING", "auto UTF8 utf8 UTF-8 utf-8", UTF8),
    ("requiressl", "PGREQUIRESSL", "0", OBSOLETE),
    ("sslnegotiation", "PGSSLNEGOTIATION", "postgres", OUT),
    ("sslcompression", "PGSSLCOMPRESSION", "0", OUT),
    ("sslcert", "PGSSLCERT", "", CLIENT_CERT),
    ("sslkey", "PGSSLKEY", "", CLIENT_CERT),
    ("sslpassword", "", "", CLIENT_CERT),
    ("sslcertmode", "PGSSLCERTMODE", "disable allow", CLIENT_CERT),
    ("sslcrl", "PGSSLCRL", "", OUT),
    ("sslcrldir", "PGSSLCRLDIR", "", OUT),
    ("sslsni", "PGSSLSNI", "1", OUT),
    ("sslkeylogfile", "", "", OUT),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION", "TLSv1 TLSv1.1 TLSv1.2", OUT),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION", "TLSv1.3", OUT),
    ("min_protocol_version", "PGMINPROTOCOLVERSION", "3.0", OUT),
    ("max_protocol_version", "PGMAXPROTOCOLVERSION", "3.0 3.2 latest", OUT),
    ("gssencmode", "PGGSSENCMODE", "disable prefer", PASSWORD),
    ("krbsrvname", "PGKRBSRVNAME", "", PASSWORD),
    ("gsslib", "PGGSSLIB", "", PASSWORD),
    ("gssdelegation", "PGGSSDELEGATION", "0", PASSWORD),
    ("requirepeer", "PGREQUIREPEER", "", OUT),
    ("require_auth", "PGREQUIREAUTH", "", AUTH),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS", "disable", ORDER),
    ("replication", "", "false off no 0", OUT),
    ("scram_client_key", "", "", PASSWORD),
    ("scram_server_key", "", "", PASSWORD),
    ("oauth_issuer", "", "", PASSWORD),
    ("oauth_client_id", "", "", PASSWORD),
    ("oauth_client_secret", "", "", PASSWORD),
    ("oauth_scope", "", "", PASSWORD),
];
