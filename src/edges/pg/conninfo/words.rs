//! Every keyword that libpq knows, and its value, wherever that was given: in the string, or in
//! the keyword's variable. Errors name the place and not the value.
//! <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS>
//! <https://www.postgresql.org/docs/current/libpq-envars.html>

use crate::edges::pg::conninfo::text::Setting;
use std::fmt;

/// Looks a variable of the environment up.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Where a value is from that no variable gave.
const STRING: &str = "connection string";

/// A value and where it came from.
pub(crate) struct Word {
    key: &'static str,
    /// What it was set to.
    pub(crate) value: String,
    /// The string, or the variable.
    place: &'static str,
}

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
    /// In the string, in its order.
    pub(crate) given: Vec<Setting>,
    /// In the environment.
    pub(crate) env: Lookup<'a>,
}

impl Words<'_> {
    /// The last value given for `key`, else that of its variable; nothing if it is empty, which
    /// means the default.
    pub(crate) fn filled(&self, key: &'static str) -> Option<Word> {
        let (_, variable) = READ.iter().find(|(known, _)| *known == key)?;
        self.find(key, variable)
    }

    /// As `filled`, where no value is an empty one.
    pub(crate) fn filled_or_empty(&self, key: &'static str) -> Word {
        self.filled(key).unwrap_or(Word { key, value: String::new(), place: STRING })
    }

    fn find(&self, key: &'static str, variable: &'static str) -> Option<Word> {
        let word = match self.given.iter().rfind(|setting| setting.key == key) {
            Some(Setting { value, .. }) => Word { key, value: value.clone(), place: STRING },
            None => Word { key, value: self.variable(variable)?, place: variable },
        };
        Some(word).filter(|word| !word.value.is_empty())
    }

    /// A variable that is set to something.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let named = Some(name).filter(|name| !name.is_empty())?;
        (self.env)(named).filter(|value| !value.is_empty())
    }

    /// Refuses by name whatever would ask for more than this program can do.
    pub(crate) fn refuse_unread(&self) -> Result<(), String> {
        for Setting { key, plain, .. } in &self.given {
            let known = READ.iter().map(|row| row.0).chain(UNREAD.iter().map(|row| row.0));
            if !known.into_iter().any(|known| known == key) {
                let simple = key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                let name = if simple && *plain && key.len() <= 30 { key } else { "that is there" };
                return Err(format!(
                    "{STRING}: a keyword, {name}, is not known to libpq; a value that holds spaces \
                     needs 'quotes', in a URI %20"
                ));
            }
        }
        for &(key, variable, harmless, advice) in UNREAD {
            let word = self.find(key, variable);
            let Some(word) = word.filter(|word| !harmless.split(' ').any(|one| one == word.value))
            else {
                continue;
            };
            let unset = if word.place == variable { "; unset the variable" } else { "" };
            let what = format_args!("is not supported with this value: {advice}{unset}");
            return Err(word.wrong(what));
        }
        Ok(())
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
