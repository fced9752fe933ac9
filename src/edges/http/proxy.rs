//! Which proxy a request goes through, by the variables that curl and the AWS SDKs read.
//!
//! In scope: HTTPS_PROXY, http_proxy, ALL_PROXY and NO_PROXY. Out of scope: speaking to a proxy.
//! <https://everything.curl.dev/usingcurl/proxies/env.html>

use ureq::Proxy;

/// The proxies of a process. Their addresses may hold passwords: they are not shown.
#[derive(Clone)]
pub(crate) struct Proxies {
    https: Option<Proxy>,
    http: Option<Proxy>,
    exempt: Vec<String>,
}

impl Proxies {
    /// Reads the variables, the lower-case name first, as curl does. HTTP_PROXY in upper case is
    /// not read: a web server can set it from a request header (<https://httpoxy.org>).
    ///
    /// # Errors
    /// Names a variable whose value is no proxy that is supported; never shows the value.
    pub(crate) fn read(variables: &dyn Fn(&str) -> Option<String>) -> Result<Proxies, String> {
        let value = |name: &str| variables(name).filter(|value| !value.trim().is_empty());
        let first = |names: &[&str]| match names.iter().find_map(|name| Some((name, value(name)?)))
        {
            None => Ok(None),
            Some((name, text)) => match proxy(text.trim()) {
                Ok(proxy) => Ok(Some(proxy)),
                Err(why) => Err(format!("{name} {why}")),
            },
        };
        let exempt = value("no_proxy").or_else(|| value("NO_PROXY")).unwrap_or_default();
        let domain = |entry: &str| {
            bare(entry.strip_prefix('*').filter(|rest| !rest.is_empty()).unwrap_or(entry))
        };
        Ok(Proxies {
            https: first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])?,
            http: first(&["http_proxy", "all_proxy", "ALL_PROXY"])?,
            exempt: exempt
                .split([',', ' '])
                .map(domain)
                .filter(|entry| !entry.is_empty())
                .collect(),
        })
    }

    /// The proxy for requests of this scheme to this host, if they go through one.
    pub(crate) fn of(&self, scheme: &str, host: &str) -> Option<&Proxy> {
        let proxy = if scheme == "https" { &self.https } else { &self.http };
        proxy.as_ref().filter(|_| !self.exempts(host))
    }

    /// Whether NO_PROXY names the host, a domain above it, its address, or everything.
    fn exempts(&self, host: &str) -> bool {
        let host = bare(host);
        self.exempt.iter().any(|entry| {
            entry == "*"
                || *entry == host
                || host.strip_suffix(entry.as_str()).is_some_and(|rest| rest.ends_with('.'))
        })
    }
}

/// A host name or address in one form: lower case, no dots at its ends, no brackets.
fn bare(host: &str) -> String {
    host.trim().trim_matches(['[', ']']).trim_matches('.').to_ascii_lowercase()
}

/// A proxy by its URL; without a scheme it is `http`.
fn proxy(text: &str) -> Result<Proxy, &'static str> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "http" && scheme != "https" {
        return Err("names a kind of proxy that is not supported (http:// and https:// are)");
    }
    let wrong = "is not the URL of a proxy, such as http://proxy.example.com:3128";
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    if host.trim_matches(['/', ':']).is_empty() {
        return Err(wrong);
    }
    Proxy::new(&format!("{scheme}://{rest}")).map_err(|_| wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Proxies, String> {
        Proxies::read(&|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn each_scheme_has_its_proxy_and_the_lower_case_name_wins() {
        let proxies = read(&[
            ("HTTPS_PROXY", "http://upper:1"),
            ("https_proxy", "lower:2"),
            ("HTTP_PROXY", "http://never:3"),
            ("ALL_PROXY", "https://all:4"),
        ])
        .unwrap();
        let place =
            |scheme| proxies.of(scheme, "example.com").map(|proxy| (proxy.host(), proxy.port()));
        assert_eq!(place("https"), Some(("lower", 2)));
        assert_eq!(place("http"), Some(("all", 4)));
        assert!(read(&[("HTTP_PROXY", "http://x:1")]).unwrap().of("http", "a").is_none());
        assert!(read(&[("HTTPS_PROXY", "  ")]).unwrap().of("https", "a").is_none());
    }

    #[test]
    fn no_proxy_names_hosts_domains_addresses_or_everything() {
        let with = |list: &str| read(&[("ALL_PROXY", "http://p:1"), ("NO_PROXY", list)]).unwrap();
        for (list, host, direct) in [
            ("example.com", "example.com", true),
            ("example.com", "EMAIL.example.com", true),
            ("example.com", "notexample.com", false),
            (".example.com", "email.example.com", true),
            ("*.example.com", "email.example.com", true),
            ("a.com, b.com", "b.com", true),
            ("*", "anything", true),
            ("127.0.0.1,::1", "[::1]", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("", "example.com", false),
            (",", "example.com", false),
        ] {
            assert_eq!(with(list).of("https", host).is_none(), direct, "{list:?} for {host}");
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_refused_without_its_password() {
        for value in ["socks5://user:hunter2@p:1", "http://user:hunter2@", "://", "ftp://p"] {
            let error = read(&[("HTTPS_PROXY", value)]).err().unwrap();
            assert!(error.starts_with("HTTPS_PROXY "), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
