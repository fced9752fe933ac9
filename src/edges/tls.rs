//! TLS for clients that check certificates: with rustls and ring, TLS 1.2 and 1.3.
//!
//! In scope: reading authorities from a PEM file, and what a refusal means. Out of scope: `sslmode`
//! of PostgreSQL, which has checks of its own.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{AlertDescription, CertificateError, Error};
#[cfg(feature = "smtp")]
use rustls::{ClientConfig, RootCertStore};
use std::error::Error as StdError;
use std::io;
use std::path::Path;
#[cfg(feature = "smtp")]
use std::sync::Arc;

/// All certificates of a PEM file, at least one.
///
/// # Errors
/// Why it cannot be used, without its path.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match all.map_err(|error| format!("it is not valid PEM: {error}"))? {
        all if all.is_empty() => Err("no certificate in it; PEM is expected".to_owned()),
        all => Ok(all),
    }
}

/// Trusts the authorities of a PEM file, or those of Mozilla, which are built in.
///
/// # Errors
/// Why the file cannot be used, with its path.
#[cfg(feature = "smtp")]
pub fn client(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let problem = |why: String| format!("ca={} cannot be used: {why}", path.display());
            for one in certificates(path).map_err(problem)? {
                roots.add(one).map_err(|error| problem(error.to_string()))?;
            }
        }
    }
    let config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be used: {error}"))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// What is wrong with the server's certificate or its TLS and what to ask for, in brackets, to stand
/// after the error itself; empty if that is no error of TLS, or says enough. `trust`: the setting that
/// names a file of authorities.
pub fn advice(error: &(dyn StdError + 'static), trust: &str) -> String {
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let inner = inner.and_then(|inner| inner.downcast_ref::<Error>());
    let Some(error) = inner.or_else(|| error.downcast_ref()) else { return String::new() };
    let text = match error {
        Error::InvalidCertificate(why) => of_certificate(why),
        Error::AlertReceived(AlertDescription::ProtocolVersion)
        | Error::PeerIncompatible(rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
            "the server has TLS 1.1 or older alone: let it offer 1.2 or 1.3"
        }
        Error::AlertReceived(AlertDescription::HandshakeFailure) | Error::PeerIncompatible(_) => {
            "the server shares no way to encrypt or to sign with mailroom: let it offer ECDHE over \
             X25519, P-256 or P-384 with AES-GCM or ChaCha20-Poly1305, and a certificate with a key \
             of ECDSA P-256 or P-384, Ed25519, or RSA from 2048 bits on"
        }
        Error::InvalidMessage(_) => "the answer is not TLS: is it the right port?",
        _ => "",
    };
    match text {
        "" => String::new(),
        text => format!(" ({})", text.replace("TRUST", trust)),
    }
}

/// `TRUST` stands for the setting that names a file of authorities.
fn of_certificate(why: &CertificateError) -> &'static str {
    use CertificateError as Wrong;
    match why {
        Wrong::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "the certificate has no alternative name, and its common name does not count: ask for \
             one whose subjectAltName lists this host"
        }
        Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => {
            "its subjectAltName must list this host: use a name that it lists, or ask for a \
             certificate that lists this one; a common name does not count"
        }
        Wrong::UnknownIssuer => {
            "no authority that is trusted signed it: TRUST must name the one that did, and the \
             server must send what is between them"
        }
        Wrong::BadSignature => {
            "the authority of that name that is trusted has another key than the one that signed \
             it: let TRUST hold the authority's present certificate; or a key is one of RSA of less \
             than 2048 bits: ask for a longer one"
        }
        Wrong::Expired | Wrong::ExpiredContext { .. } => {
            "let the server have a renewed certificate; if it is not over, the clock here is wrong"
        }
        Wrong::NotValidYet | Wrong::NotValidYetContext { .. } => "is the clock here right?",
        Wrong::InvalidPurpose | Wrong::InvalidPurposeContext { .. } => {
            "the certificate is not meant for servers: ask for one with serverAuth among its \
             extended key usages"
        }
        Wrong::UnsupportedSignatureAlgorithmContext { .. }
        | Wrong::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "the certificate, or that of its authority, has a key or a signature that mailroom \
             cannot verify: ask for ECDSA P-256 or P-384, Ed25519, or RSA from 2048 bits on, signed \
             with SHA-256 or more"
        }
        Wrong::Other(other) => match other.0.downcast_ref() {
            Some(webpki::Error::CaUsedAsEndEntity) => {
                "the certificate is one of an authority (CA:TRUE), which signs others and serves \
                 nobody: ask for one with CA:FALSE (for PostgreSQL, sslrootcert may hold this very one)"
            }
            Some(webpki::Error::UnsupportedCertVersion) => {
                "the certificate is of X.509 version 1, which has no alternative names: ask for one \
                 of version 3 whose subjectAltName lists this host"
            }
            _ => "",
        },
        _ => "",
    }
}
