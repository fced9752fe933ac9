//! How the connection is encrypted and whose certificates are trusted: `sslmode`, `sslrootcert`.
//!
//! In scope: a connector for rustls with ring, TLS 1.2 and 1.3. Out of scope: whether TLS is
//! asked for at all, which the configuration of the connection says.
//! <https://www.postgresql.org/docs/current/libpq-ssl.html>

use crate::edges::pg::fault::Fault;
use crate::edges::pg::target::{Roots, Target, TlsMode};
use crate::edges::tls::certificates;
use postgres::Config;
use postgres::config::ChannelBinding;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{
    CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime, alg_id,
};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _};

/// Where systems keep the authorities they trust: Debian, Red Hat, Alpine and the BSDs.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// What encrypts connections to `target`, if they are to be encrypted.
///
/// # Errors
/// `Denied` if the file of authorities is missing, empty or no PEM.
pub(crate) fn connector(target: &Target) -> Result<MakeRustlsConnect, Fault> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let authorities = match target.tls {
        // No protection against an active attacker either way, so encrypting is all it is for.
        TlsMode::Disable | TlsMode::Prefer | TlsMode::Require => None,
        TlsMode::VerifyCa | TlsMode::VerifyFull => {
            let read = Authorities::read(&target.roots, &provider);
            Some(read.map_err(|why| Fault::Denied(format!("sslrootcert {why}")))?)
        }
    };
    let by_name = target.tls == TlsMode::VerifyFull;
    // A password that is bound to the certificate needs a server that holds the certificate's key.
    let bound = |place: &Config| place.get_channel_binding() == ChannelBinding::Require;
    let lenient = authorities.is_none() && !target.places.iter().any(bound);
    let verifier = Verifier { authorities, by_name, lenient, provider: Arc::clone(&provider) };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| Fault::Denied(format!("TLS cannot be used: {cause}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// The certificates that are trusted, and what builds chains to them.
#[derive(Debug)]
struct Authorities {
    trusted: Vec<CertificateDer<'static>>,
    chains: Arc<WebPkiServerVerifier>,
}

impl Authorities {
    fn read(roots: &Roots, provider: &Arc<CryptoProvider>) -> Result<Authorities, String> {
        let bundle = || BUNDLES.iter().map(PathBuf::from).find(|path| path.exists());
        let path = match roots {
            Roots::File(path) => Some(path.clone()),
            Roots::System(named) => named.clone().or_else(bundle),
            Roots::Unset => None,
        };
        let unusable = |why: String| {
            let path = path.as_deref().unwrap_or(Path::new(""));
            format!("{} cannot be used: {why}", path.display())
        };
        let trusted = path.as_deref().map_or(Ok(Vec::new()), certificates).map_err(unusable)?;
        let mut store = RootCertStore::empty();
        // A system's bundle may hold a certificate that is too old to be read; the rest counts.
        let (taken, _) = store.add_parsable_certificates(trusted.iter().cloned());
        if matches!(roots, Roots::File(_)) && taken == 0 {
            return Err(unusable("no certificate in it can be used".to_owned()));
        }
        if store.is_empty() {
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        let chains =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider));
        let chains = chains.build().map_err(|cause| unusable(cause.to_string()))?;
        Ok(Authorities { trusted, chains })
    }
}

/// Methods of signing that ring cannot verify and that servers have: offered where nothing need be
/// verified. <https://docs.rs/ring/0.17/ring/signature/index.html>
const UNVERIFIED: [SignatureScheme; 2] =
    [SignatureScheme::ECDSA_NISTP521_SHA512, SignatureScheme::ED448];
/// How many bytes a public key of RSA has, so that ring can verify with it: 2048 to 8192 bits, and a
/// few for its exponent.
const RSA_BYTES: std::ops::Range<usize> = 256..1056;

/// Checks what `sslmode` asks for, and that the server holds the key of its certificate, as far as
/// that is asked for or can be.
#[derive(Debug)]
struct Verifier {
    /// Who must have signed the certificate, if that is asked for.
    authorities: Option<Authorities>,
    /// Whether it must name the host.
    by_name: bool,
    /// Whether the signature of a certificate whose key cannot be verified with is let pass.
    lenient: bool,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// Where nothing need be verified: a certificate of any version and content will do, and its key
    /// decides whether the signature is looked at, not the method of signing, which somebody in
    /// between could choose.
    fn verify_if_possible(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let fine = Ok(HandshakeSignatureValid::assertion());
        let Ok(cert) = Certificate::from_der(cert) else { return fine };
        let info = &cert.tbs_certificate.subject_public_key_info;
        let (Ok(kind), key) = (info.algorithm.to_der(), info.subject_public_key.raw_bytes()) else {
            return fine;
        };
        let verifies = |one: &&&dyn SignatureVerificationAlgorithm| {
            let wanted = one.public_key_alg_id();
            // Without the two bytes that begin its sequence.
            kind.get(2..) == Some(wanted.as_ref())
                && (wanted != alg_id::RSA_ENCRYPTION || RSA_BYTES.contains(&key.len()))
        };
        let known = self.provider.signature_verification_algorithms;
        if !known.all.iter().any(|one| verifies(&one)) {
            return fine;
        }
        let fitting = known.mapping.iter().filter(|(scheme, _)| *scheme == dss.scheme);
        let algorithm = fitting.flat_map(|(_, all)| all.iter()).find(verifies);
        match algorithm.map(|one| one.verify_signature(key, message, dss.signature())) {
            Some(Ok(())) => fine,
            _ => Err(Error::General(
                "the server does not hold the key of its certificate".to_owned(),
            )),
        }
    }
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
        let Some(Authorities { trusted, chains }) = &self.authorities else {
            return Ok(ServerCertVerified::assertion());
        };
        // A certificate that signed itself and is trusted by name, which is how PostgreSQL's
        // manual sets a server up. Chain builders refuse it, because it is marked as an authority.
        if trusted.iter().any(|trusted| trusted == end_entity) {
            if self.by_name {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        match chains.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        {
            // The name is looked at last, when the chain has been found good.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.by_name => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.lenient {
            return self.verify_if_possible(message, cert, dss);
        }
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.lenient {
            return self.verify_if_possible(message, cert, dss);
        }
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.provider.signature_verification_algorithms.supported_schemes();
        if self.lenient {
            schemes.extend(UNVERIFIED);
        }
        schemes
    }
}
