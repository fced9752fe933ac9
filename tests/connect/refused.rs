//! Certificates and versions of TLS that servers have: what connects as psql does, and in what words
//! the rest is refused.

use super::{ask, denied, open};
use crate::support::program::{Program, Text};
use crate::support::tls::{NAME, Secured, openssl, self_signed};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::{ServerConfig, ServerConnection, SignatureAlgorithm, SignatureScheme};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

const P256: &str = "ec -pkeyopt ec_paramgen_curve:P-256";
const P521: &str = "ec -pkeyopt ec_paramgen_curve:P-521";
const SERVER: &str = "subjectAltName = DNS:db.mailroom.test, DNS:localhost";
const AUTHORITY: &str = "basicConstraints = CA:TRUE";

/// Whether psql connects.
fn psql(url: &str) -> bool {
    let mut psql = Command::new(crate::support::cluster::bin_dir().join("psql"));
    psql.args([url, "-c", "SELECT 1"]).output().unwrap().status.success()
}

#[test]
fn require_and_prefer_connect_with_whatever_certificate_psql_connects_with() {
    let certificates = [
        openssl("rsa:2048", "", None),
        openssl("rsa:1024", SERVER, None),
        openssl(P521, SERVER, None),
        openssl("ed448", SERVER, None),
    ];
    let server = Secured::start(openssl(P256, AUTHORITY, None));
    for version in ["TLSv1.2", "TLSv1.3"] {
        for certificate in &certificates {
            server.renew(certificate, &[("ssl_max_protocol_version", version)]);
            // TLS 1.2 wants the key's curve among those that the client encrypts with, which ring does
            // not do with P-521, and rustls knows no suite of it for Ed448.
            if version == "TLSv1.2" && certificates[2..].contains(certificate) {
                denied(open(&server.url(NAME, "postgres", "require", None)));
                continue;
            }
            for mode in ["require", "prefer"] {
                let url = server.url(NAME, "postgres", mode, None);
                assert!(psql(&url), "{version} {url}");
                let mut session = open(&url).unwrap();
                let sql = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
                assert_eq!(ask(&mut session, sql), version);
            }
        }
    }
    // A password that is bound to the certificate is for its owner, so that must be known.
    let url = server.url(NAME, "clerk", "require", None);
    open(&format!("{url} password=letmein")).unwrap();
    denied(open(&format!("{url} password=letmein channel_binding=require")));
}

/// Has a certificate and not its key, and signs by a method that mailroom cannot verify.
#[derive(Debug)]
struct Forger;

impl SigningKey for Forger {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.scheme()).then(|| Box::new(Forger) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED448
    }
}

impl Signer for Forger {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok(vec![0; 114])
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED448
    }
}

#[test]
fn whoever_does_not_hold_the_key_cannot_choose_that_nobody_looks() {
    // The last ones are of version 1, and with an extension that nobody knows.
    let [old, odd] = ["", "1.2.3.4 = critical, ASN1:NULL"].map(|with| openssl(P256, with, None).0);
    for pem in [self_signed(&[NAME]).0, old, odd] {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let key = SingleCertAndKey::from(CertifiedKey::new(vec![certificate], Arc::new(Forger)));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(key));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let text = std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut socket, _) = listener.accept().unwrap();
                // The request for TLS.
                socket.read_exact(&mut [0; 8]).unwrap();
                socket.write_all(b"S").unwrap();
                let mut tls = ServerConnection::new(Arc::new(config)).unwrap();
                while tls.is_handshaking() && tls.complete_io(&mut socket).is_ok() {}
            });
            let url = format!("host=127.0.0.1 port={port} user=u dbname=d sslmode=require");
            denied(open(&url))
        });
        assert!(text.contains("does not hold the key of its certificate"), "{text}");
    }
}

#[test]
fn what_is_wrong_with_a_certificate_or_with_tls_is_said_in_words() {
    let authority = openssl(P256, AUTHORITY, None);
    let server = Secured::start(openssl(P256, SERVER, Some(&authority)));
    let [ours, renewed] =
        [("ours.crt", &authority), ("renewed.crt", &openssl(P256, AUTHORITY, None))]
            .map(|(name, (cert, _))| server.file(name, cert));
    let said = |roots: Option<&Path>| {
        let mode = if roots.is_some() { "verify-full" } else { "require" };
        denied(open(&server.url(NAME, "postgres", mode, roots)))
    };
    open(&server.url(NAME, "postgres", "verify-full", Some(&ours))).unwrap();
    assert!(
        said(Some(&renewed)).contains("let sslrootcert hold the authority's present certificate")
    );
    for (key, extensions, words) in [
        (P256, "basicConstraints = CA:FALSE", "the certificate has no alternative name"),
        (P256, "subjectAltName = DNS:x.test", "its subjectAltName must list this host"),
        (P256, "", "of X.509 version 1"),
        (P256, &format!("{AUTHORITY}\n{SERVER}"), "ask for one with CA:FALSE"),
        (P256, &format!("extendedKeyUsage = clientAuth\n{SERVER}"), "ask for one with serverAuth"),
        (P521, SERVER, "a key of ECDSA P-256 or P-384, Ed25519, or RSA from 2048 bits on"),
    ] {
        server.renew(&openssl(key, extensions, Some(&authority)), &[]);
        let text = said(Some(&ours));
        assert!(text.contains(words), "{text}");
    }
    let short = openssl("rsa:1024", SERVER, Some(&authority));
    server.renew(&short, &[]);
    assert!(said(Some(&ours)).contains("RSA of less than 2048 bits"));
    // What `require` cannot do either.
    server.renew(&short, &[("ssl_ecdh_curve", "secp521r1")]);
    assert!(said(None).contains("X25519, P-256 or P-384"));
    let old = [("ssl_min_protocol_version", "TLSv1"), ("ssl_max_protocol_version", "TLSv1.1")];
    server.renew(&short, &old);
    assert!(said(None).contains("TLS 1.1 or older alone"), "{}", said(None));
}

/// `openssl s_server` with a certificate; stopped when this is dropped.
struct Speaker(Child, String);

impl Speaker {
    fn start(dir: &Path, (cert, key): &(String, String), more: &[&str]) -> Speaker {
        std::fs::write(dir.join("cert"), cert).unwrap();
        std::fs::write(dir.join("key"), key).unwrap();
        let mut speaker = Command::new("openssl");
        speaker.args(["s_server", "-accept", "127.0.0.1:0", "-cert", "cert", "-key", "key"]);
        speaker.args(["-cipher", "ALL:@SECLEVEL=0"]).args(more).current_dir(dir);
        speaker.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = speaker.spawn().unwrap();
        let out = Text::follow(child.stdout.take().unwrap());
        let lines = out.wait_lines(2);
        let line = lines.iter().find_map(|line| line.strip_prefix("ACCEPT 127.0.0.1:")).unwrap();
        Speaker(child, line.trim().to_owned())
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn providers_are_refused_in_the_same_words() {
    let authority = openssl(P256, AUTHORITY, None);
    let dir = tempfile::tempdir().unwrap();
    let roots = dir.path().join("ca.pem");
    std::fs::write(&roots, &authority.0).unwrap();
    let certificate = openssl(P256, &format!("{AUTHORITY}\n{SERVER}"), Some(&authority));
    let good = openssl(P256, SERVER, Some(&authority));
    for (certificate, more, words) in [
        (&certificate, &[][..], "ask for one with CA:FALSE"),
        (&good, &["-tls1_1"][..], "TLS 1.1 or older alone"),
    ] {
        let speaker = Speaker::start(dir.path(), certificate, more);
        let url = format!("https://localhost:{}", speaker.1);
        let smtp = format!("smtps://localhost:{}?ca={}", speaker.1, roots.display());
        for (transport, name, value) in [
            ("ses", "AWS_ENDPOINT_URL", &url),
            #[cfg(feature = "postmark")]
            ("postmark", "MAILROOM_POSTMARK_URL", &url),
            #[cfg(feature = "smtp")]
            ("smtp", "MAILROOM_SMTP_URL", &smtp),
        ] {
            let check = Program::new(&["check"])
                .env("MAILROOM_TRANSPORT", transport)
                .env(name, value)
                .env("AWS_CA_BUNDLE", &roots)
                .env("AWS_REGION", "eu-central-1")
                .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
                .env("AWS_SECRET_ACCESS_KEY", "example")
                .env("MAILROOM_POSTMARK_TOKEN", "token")
                .env("MAILROOM_TEMPLATE_DIR", concat!(env!("CARGO_MANIFEST_DIR"), "/templates"))
                .env("MAILROOM_SENDER", "noreply@example.com")
                .output();
            let out: Vec<&str> = check.out.split_whitespace().collect();
            assert!(out.join(" ").contains(words), "{transport}: {}\n{}", check.out, check.log);
        }
    }
}
