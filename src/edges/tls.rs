//! TLS for clients that check certificates: with rustls and ring, TLS 1.2 and 1.3.
//!
//! In scope: reading authorities from a PEM file. Out of scope: `sslmode` of PostgreSQL, which has
//! checks of its own.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
#[cfg(feature = "smtp")]
use rustls::{ClientConfig, RootCertStore};
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
