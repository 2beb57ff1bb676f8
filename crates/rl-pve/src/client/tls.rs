//! Which certificates are trusted: system roots, a CA file, or fingerprints of the server's own certificate.

use std::path::PathBuf;
use std::sync::Arc;

use rl_model::TlsTrust;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};

/// Bytes of a SHA-256 fingerprint.
const FINGERPRINT_BYTES: usize = 32;
/// Largest CA file that is read: a bundle of all public roots has a quarter of it.
const CA_FILE_BYTES_MAX: u64 = 1 << 20;

/// A `tls` setting that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The CA file cannot be read.
    #[error("cannot read the CA file {path}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The CA file is no list of PEM certificates.
    #[error("the CA file {path} holds no usable certificate: it must be PEM, with BEGIN CERTIFICATE lines")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A fingerprint is malformed.
    #[error(
        "`{0}` is no SHA-256 fingerprint: write 32 bytes in hexadecimal, as `openssl x509 -fingerprint -sha256` prints them"
    )]
    Fingerprint(String),
    /// There is no fingerprint.
    #[error("the list of fingerprints is empty")]
    NoFingerprint,
    /// The TLS library refused the settings.
    #[error("the TLS library refused the settings")]
    Library(#[from] rustls::Error),
}

/// TLS settings of a client that trusts as asked; HTTP/1.1 only, which is all pveproxy speaks.
pub(super) fn client_config(trust: &TlsTrust) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let mut config = match trust {
        TlsTrust::System => builder.with_root_certificates(system_roots()).with_no_client_auth(),
        TlsTrust::CaFile(path) => builder.with_root_certificates(ca_file(path)?).with_no_client_auth(),
        TlsTrust::Fingerprints(list) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(PinnedLeaf::new(list, &provider)?))
            .with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The roots the system trusts; Mozilla's where the system has none, as in an empty container.
fn system_roots() -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if store.is_empty() {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    store
}

fn ca_file(path: &PathBuf) -> Result<RootCertStore, TlsError> {
    let unreadable = |source| TlsError::CaFile { path: path.clone(), source };
    if std::fs::metadata(path).map_err(unreadable)?.len() > CA_FILE_BYTES_MAX {
        return Err(unreadable(std::io::Error::other("it is larger than 1 MiB")));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&bytes).filter_map(Result::ok).collect();
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates);
    if store.is_empty() {
        return Err(TlsError::NoCertificate { path: path.clone() });
    }
    Ok(store)
}

/// Reads `AA:BB:…`, with or without colons, in either case.
fn fingerprint(text: &str) -> Result<[u8; FINGERPRINT_BYTES], TlsError> {
    let wrong = || TlsError::Fingerprint(text.chars().take(3 * FINGERPRINT_BYTES).collect());
    let digits: Vec<u32> =
        text.trim().chars().filter(|c| *c != ':').map(|c| c.to_digit(16)).collect::<Option<_>>().ok_or_else(wrong)?;
    if digits.len() != 2 * FINGERPRINT_BYTES {
        return Err(wrong());
    }
    let mut out = [0u8; FINGERPRINT_BYTES];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (pair[0] * 16 + pair[1]) as u8;
    }
    Ok(out)
}

/// Accepts a server whose own certificate has one of the fingerprints, whatever its name, issuer and dates. The server
/// must still prove that it holds the key, so the handshake's signatures are verified as always.
#[derive(Debug)]
struct PinnedLeaf {
    accepted: Vec<[u8; FINGERPRINT_BYTES]>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl PinnedLeaf {
    fn new(list: &[String], provider: &CryptoProvider) -> Result<Self, TlsError> {
        if list.is_empty() {
            return Err(TlsError::NoFingerprint);
        }
        let accepted = list.iter().map(|text| fingerprint(text)).collect::<Result<_, _>>()?;
        Ok(Self { accepted, algorithms: provider.signature_verification_algorithms })
    }
}

impl ServerCertVerifier for PinnedLeaf {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let seen = Sha256::digest(leaf.as_ref());
        if self.accepted.iter().any(|accepted| accepted[..] == seen[..]) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
