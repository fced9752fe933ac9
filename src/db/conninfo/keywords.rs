//! Every keyword that libpq knows, with its variable: those that are read, and those that are not.
//! <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS>
//! <https://www.postgresql.org/docs/current/libpq-envars.html>

/// A keyword that is read, and the variable that stands in for it (or nothing).
pub const READ: &[(&str, &str)] = &[
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
pub struct Unread {
    /// The keyword.
    pub key: &'static str,
    /// The variable that stands in for it, or nothing.
    pub var: &'static str,
    /// The values that ask for nothing else than what happens anyway. Empty is always one.
    pub harmless: &'static [&'static str],
    /// What to do.
    pub advice: &'static str,
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
pub const UNREAD: &[Unread] = &[
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
