//! How the connection is encrypted and whose certificates are trusted: `sslmode`, `sslrootcert`.
//!
//! In scope: a connector for rustls with ring, TLS 1.2 and 1.3. Out of scope: whether TLS is
//! asked for at all, which the configuration of the connection says.
//! <https://www.postgresql.org/docs/current/libpq-ssl.html>

use crate::edges::pg::fault::Fault;
use crate::edges::pg::target::{Roots, Target, TlsMode};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use std::path::Path;
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;

/// Where systems keep the authorities they trust: Debian, Red Hat, Alpine and the BSDs.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// What encrypts connections to `target`, if they are to be encrypted.
///
/// # Errors
/// `Denied` if the file of authorities is missing, empty or no PEM.
pub(crate) fn connector(target: &Target) -> Result<MakeRustlsConnect, Fault> {
    let check = match target.tls {
        // No protection against an active attacker either way, so encrypting is all it is for.
        TlsMode::Disable | TlsMode::Prefer | TlsMode::Require => Check::Nothing,
        TlsMode::VerifyCa => Check::Chain,
        TlsMode::VerifyFull => Check::ChainAndName,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let authorities = match check {
        Check::Nothing => None,
        _ => Some(Authorities::read(&target.roots, &provider)?),
    };
    let verifier = Arc::new(Verifier { check, authorities, provider: Arc::clone(&provider) });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| Fault::Denied(format!("TLS cannot be used: {cause}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    Nothing,
    Chain,
    ChainAndName,
}

/// The certificates that are trusted, and what builds chains to them.
#[derive(Debug)]
struct Authorities {
    trusted: Vec<CertificateDer<'static>>,
    chains: Arc<WebPkiServerVerifier>,
}

impl Authorities {
    fn read(roots: &Roots, provider: &Arc<CryptoProvider>) -> Result<Authorities, Fault> {
        let trusted = match roots {
            Roots::File(path) => certificates(path)?,
            Roots::System(named) => match named.as_deref().or_else(|| system_bundle()) {
                Some(path) => certificates(path)?,
                None => Vec::new(),
            },
            Roots::Unset => Vec::new(),
        };
        let mut store = rustls::RootCertStore::empty();
        // A system's bundle may hold a certificate that is too old to be read; the rest counts.
        let (taken, _) = store.add_parsable_certificates(trusted.iter().cloned());
        if let (Roots::File(path), 0) = (roots, taken) {
            return Err(unusable(path, "no certificate in it can be used"));
        }
        if store.is_empty() {
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        let chains =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider))
                .build()
                .map_err(|cause| Fault::Denied(format!("sslrootcert cannot be used: {cause}")))?;
        Ok(Authorities { trusted, chains })
    }
}

fn unusable(path: &Path, cause: impl std::fmt::Display) -> Fault {
    Fault::Denied(format!("sslrootcert {} cannot be used: {cause}", path.display()))
}

fn system_bundle() -> Option<&'static Path> {
    BUNDLES.iter().map(Path::new).find(|path| path.exists())
}

/// All certificates of a PEM file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let pem = std::fs::read(path).map_err(|cause| unusable(path, cause))?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err(unusable(path, "it holds no PEM certificate")),
        Ok(all) => Ok(all),
        Err(cause) => Err(unusable(path, format_args!("it is not valid PEM: {cause}"))),
    }
}

/// Checks what `sslmode` asks for, and always that the server holds the key of its certificate.
#[derive(Debug)]
struct Verifier {
    check: Check,
    authorities: Option<Authorities>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authorities) = &self.authorities else {
            return Ok(ServerCertVerified::assertion());
        };
        // A certificate that signed itself and is trusted by name, which is how PostgreSQL's
        // manual sets a server up. Chain builders refuse it, because it is marked as an authority.
        if authorities.trusted.iter().any(|trusted| trusted == end_entity) {
            if self.check == Check::ChainAndName {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        let chains = &authorities.chains;
        match chains.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        {
            // The name is looked at last, when the chain has been found good.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.check == Check::Chain => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
