//! Which SMTP server, and how it is spoken to: what MAILROOM_SMTP_URL says.

use http::uri::Authority;
use lettre::transport::smtp::extension::ClientId;
use percent_encoding::percent_decode_str;
use std::fmt;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// When the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// From its first byte (`smtps://`).
    Immediate,
    /// By STARTTLS, or not at all (`tls=required`).
    Required,
    /// By STARTTLS if the server offers it (`tls=opportunistic`).
    Opportunistic,
    /// Never (`tls=none`).
    Never,
}

/// Who we are to the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: String,
    /// What shows that it is us.
    pub secret: Secret,
}

/// What logs in.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// A password.
    Password(Zeroizing<String>),
    /// An OAuth 2.0 access token, for XOAUTH2.
    Token(Zeroizing<String>),
}

impl Secret {
    /// The password or the token.
    pub fn text(&self) -> &Zeroizing<String> {
        let (Secret::Password(text) | Secret::Token(text)) = self;
        text
    }
}

/// A server, and who we are to it. `Display` shows no password.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// Name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// When the connection is encrypted.
    pub encryption: Encryption,
    /// A PEM file of the authorities to trust in place of Mozilla's, which are built in.
    pub ca: Option<PathBuf>,
    /// The name to give in EHLO; `None`: this machine's.
    pub helo: Option<String>,
    /// User, and password or token; both or neither.
    pub login: Option<Login>,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = match self.encryption {
            Encryption::Immediate => "immediate",
            Encryption::Required => "required",
            Encryption::Opportunistic => "opportunistic",
            Encryption::Never => "none",
        };
        let login = if self.login.is_some() { "yes" } else { "no" };
        write!(f, "server={} port={} tls={tls} login={login}", self.host, self.port)
    }
}

impl Server {
    /// Reads `smtps://user:password@host:465` or
    /// `smtp://host:587?tls=required|opportunistic|none`; also `ca=FILE` and `helo=NAME`. What
    /// stands in it may be percent-encoded. `secret` is the one that came by itself.
    ///
    /// # Errors
    /// What is wrong with it, without showing it.
    pub fn parse(url: &str, secret: Option<Secret>) -> Result<Server, &'static str> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or("must be a URL, such as smtps://user@mail.example.com or smtp://localhost:25")?;
        let (encryption, usual) = match scheme.to_ascii_lowercase().as_str() {
            "smtps" => (Encryption::Immediate, 465),
            "smtp" => (Encryption::Required, 587),
            _ => return Err("must begin with smtps:// or smtp://"),
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let place = place.strip_suffix('/').unwrap_or(place);
        let (who, place) = match place.rsplit_once('@') {
            Some((who, place)) => (Some(who), place),
            None => (None, place),
        };
        let (host, port) = host_and_port(place, usual)?;
        let login = login(who, secret)?;
        let mut server = Server { host, port, encryption, ca: None, helo: None, login };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value)?;
            match name {
                "tls" => server.encryption = tls(encryption, &value)?,
                "ca" if value.is_empty() => return Err("its parameter ca has no usable value"),
                "ca" => server.ca = Some(PathBuf::from(value.as_str())),
                "helo" if is_name(&value) => server.helo = Some(value.to_string()),
                "helo" => return Err("its parameter helo has no usable value"),
                _ => return Err("has a parameter other than tls, ca and helo"),
            }
        }
        if server.login.is_some() && server.encryption == Encryption::Never && !server.is_here() {
            return Err("has a password that tls=none would send in the clear");
        }
        Ok(server)
    }

    /// Who we are to it: the name that was set, or this machine's.
    ///
    /// # Errors
    /// That name, if it has no dot and is no `[address]`: then it says nothing to others.
    pub fn name(&self) -> Result<String, String> {
        let name = self.helo.clone().unwrap_or_else(|| ClientId::default().to_string());
        if name.contains('.') || name.starts_with('[') { Ok(name) } else { Err(name) }
    }

    /// Whether it runs on this machine.
    pub fn is_here(&self) -> bool {
        matches!(self.host.as_str(), "localhost" | "127.0.0.1" | "::1")
    }
}

fn host_and_port(place: &str, usual: u16) -> Result<(String, u16), &'static str> {
    let place: Authority = place.parse().map_err(|_| "names no host")?;
    let host = place.host().trim_matches(['[', ']']);
    if host.is_empty() || !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b)) {
        return Err("names no host");
    }
    match place.port_u16() {
        Some(port) if port != 0 => Ok((host.to_owned(), port)),
        None if place.host() == place.as_str() => Ok((host.to_owned(), usual)),
        _ => Err("has a port that is none"),
    }
}

fn tls(usual: Encryption, value: &str) -> Result<Encryption, &'static str> {
    match (usual, value) {
        (Encryption::Immediate, "required") => Ok(Encryption::Immediate),
        (Encryption::Immediate, _) => Err("is smtps://, which is always encrypted"),
        (_, "required") => Ok(Encryption::Required),
        (_, "opportunistic") => Ok(Encryption::Opportunistic),
        (_, "none") => Ok(Encryption::Never),
        _ => Err("has a parameter tls that is not required, opportunistic or none"),
    }
}

fn login(who: Option<&str>, secret: Option<Secret>) -> Result<Option<Login>, &'static str> {
    let Some(who) = who else {
        return match secret {
            None => Ok(None),
            Some(_) => Err("has no user for MAILROOM_SMTP_PASSWORD or MAILROOM_SMTP_TOKEN"),
        };
    };
    let (user, inside) = match who.split_once(':') {
        Some((user, inside)) => (user, Some(inside)),
        None => (who, None),
    };
    let user = decode(user)?.to_string();
    let secret = match (inside, secret) {
        (Some(_), Some(_)) => {
            Err("has a password, and there is another, or a token, beside it: set one")
        }
        (None, None) => Err("has a user and no password: set MAILROOM_SMTP_PASSWORD"),
        (Some(inside), None) => Ok(Secret::Password(decode(inside)?)),
        (None, Some(secret)) => Ok(secret),
    }?;
    let is_token = matches!(secret, Secret::Token(_));
    let odd = |text: &str| text.contains('\0') || is_token && text.contains(char::is_control);
    if user.is_empty() || odd(&user) || odd(secret.text()) {
        return Err("has a user or password that cannot be used");
    }
    Ok(Some(Login { user, secret }))
}

fn decode(text: &str) -> Result<Zeroizing<String>, &'static str> {
    let text = percent_decode_str(text).decode_utf8();
    let text = text.map_err(|_| "has a percent-encoded part that is not UTF-8")?;
    Ok(Zeroizing::new(text.into_owned()))
}

/// Whether it may stand in EHLO: a host name or `[address]`. Underscores, which some hosts have, are
/// let through.
fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(fits)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(bare) => bare.trim_start_matches("IPv6:").parse::<std::net::IpAddr>().is_ok(),
        None => text.len() <= 252 && text.split('.').all(is_label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_how_and_who() {
        let server = Server::parse("smtps://user:p%40ss@mail.example.com", None).unwrap();
        assert_eq!((server.host.as_str(), server.port), ("mail.example.com", 465));
        assert_eq!(server.encryption, Encryption::Immediate);
        let login = server.login.clone().unwrap();
        assert_eq!((login.user.as_str(), login.secret.text().as_str()), ("user", "p@ss"));
        assert!(!server.to_string().contains("p@ss"));

        let server = Server::parse(
            "smtp://me%40x.org@[::1]:25?tls=none",
            Some(Secret::Password(Zeroizing::new("pw".to_owned()))),
        )
        .unwrap();
        assert_eq!((server.host.as_str(), server.port), ("::1", 25));
        assert_eq!(server.login.unwrap().user, "me@x.org");
        for (query, encryption) in [
            ("", Encryption::Required),
            ("?tls=required", Encryption::Required),
            ("?tls=opportunistic", Encryption::Opportunistic),
            ("/?tls=none&helo=mx.example.com&ca=/etc/a%20b.pem", Encryption::Never),
        ] {
            let server = Server::parse(&format!("smtp://relay{query}"), None).unwrap();
            assert_eq!((server.port, server.encryption), (587, encryption));
            let more = encryption == Encryption::Never;
            assert_eq!(server.helo.as_deref(), more.then_some("mx.example.com"));
            assert_eq!(server.ca, more.then(|| PathBuf::from("/etc/a b.pem")));
        }
    }

    #[test]
    fn what_is_wrong_is_told_without_the_password() {
        for (url, password, fault) in [
            ("mail.example.com", None, "must be a URL"),
            ("https://u:hunter2@x", None, "must begin with"),
            ("smtp://u:hunter2@", None, "names no host"),
            ("smtp://a b", None, "names no host"),
            ("smtp://h:0", None, "port"),
            ("smtp://h:x", None, "port"),
            ("smtp://[::1]25", None, "port"),
            ("smtp://h?tls=maybe", None, "parameter tls"),
            ("smtps://h?tls=none", None, "always encrypted"),
            ("smtp://h?color=red", None, "other than tls"),
            ("smtp://h?helo=a%0d%0aMAIL", None, "parameter helo"),
            ("smtp://h", Some("hunter2"), "no user"),
            ("smtp://u@h", None, "no password"),
            ("smtp://u:hunter2@h", Some("hunter2"), "set one"),
            ("smtp://u:hunter2@h?tls=none", None, "in the clear"),
            ("smtp://u:hunter2%ff@h", None, "UTF-8"),
            ("smtp://u:hunter2%00@h", None, "cannot be used"),
        ] {
            for kind in [Secret::Password, Secret::Token] {
                let secret = password.map(|text| kind(Zeroizing::new(text.to_owned())));
                let error = Server::parse(url, secret).err().unwrap();
                assert!(error.contains(fault), "{url}: {error}");
                assert!(!error.contains("hunter2"), "{error}");
            }
        }
        assert!(Server::parse("smtp://u:p@localhost?tls=none", None).is_ok());
    }
}
