//! The installation's own certificate authority: it vouches for servers to agents and for agents to servers, for nothing else.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm,
};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};

use crate::courier::Post;
use crate::files;
use crate::seal::sha256;

/// The one name of every server: an agent asks whether its installation vouches for the other side, not what it is called.
const SERVER_NAME: &str = "server.rapidlaunch.internal";
/// Protocol within TLS (ALPN), so that the port can be shared.
const ALPN: &[u8] = b"rapidlaunch-agent/1";
/// How long the authority lasts: longer than the machines it vouches for.
const AUTHORITY_LIFE: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
/// How long a server's certificate lasts; it is made anew every day.
const SERVER_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Clocks that are behind by less than this still accept a new certificate.
const CLOCK_GRACE: Duration = Duration::from_secs(3600);
/// Length of an uncompressed point on P-256 (SEC 1, section 2.3.3).
const POINT_LEN: usize = 65;
const KEY_FILE: &str = "authority.key";
const CERTIFICATE_FILE: &str = "authority.pem";

/// Why there is no usable authority or certificate.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The files of the authority.
    #[error("the files of the certificate authority cannot be used")]
    Files(#[from] std::io::Error),
    /// Making a certificate.
    #[error("a certificate cannot be made")]
    Certificate(#[from] rcgen::Error),
    /// What was read is no certificate.
    #[error("a certificate cannot be read")]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// TLS refuses it.
    #[error("TLS does not take the certificate")]
    Tls(#[from] rustls::Error),
    /// TLS refuses the authority.
    #[error("TLS does not take the certificate authority")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// The agent's key is none.
    #[error("the agent's public key is no point on P-256")]
    PublicKey,
}

/// The authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

/// A certificate made for an agent.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub pem: String,
    /// SHA-256 of it.
    pub fingerprint: String,
    /// When it ends, in milliseconds since 1970.
    pub ends_at_ms: u64,
}

fn params(life: Duration) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    let now = SystemTime::now();
    params.not_before = (now - CLOCK_GRACE).into();
    params.not_after = (now + life).into();
    Ok(params)
}

impl Authority {
    /// Opens the authority in a folder, or makes it there. The key is readable for the user alone.
    pub fn open(dir: &Path) -> Result<Self, AuthorityError> {
        files::private_dir(dir)?;
        let (key_file, certificate_file) = (dir.join(KEY_FILE), dir.join(CERTIFICATE_FILE));
        if !certificate_file.exists() {
            let key = KeyPair::generate()?;
            let mut params = params(AUTHORITY_LIFE)?;
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.distinguished_name.push(DnType::CommonName, "RapidLaunch agents");
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
            let certificate = params.self_signed(&key)?;
            // The certificate comes last: where it stands, the key stands too.
            files::write_private(&key_file, key.serialize_pem().as_bytes())?;
            files::write_private(&certificate_file, certificate.pem().as_bytes())?;
        }
        let key = KeyPair::from_pem(&std::fs::read_to_string(&key_file)?)?;
        let pem = std::fs::read_to_string(&certificate_file)?;
        let der = CertificateDer::from_pem_slice(pem.as_bytes())?;
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.distinguished_name.push(DnType::CommonName, "RapidLaunch agents");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        Ok(Self { issuer: Issuer::new(params, key), pem, der })
    }

    /// The authority's certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of the authority's certificate: it stands in join tokens.
    pub fn fingerprint(&self) -> String {
        sha256(&self.der)
    }

    /// Vouches for an agent's key.
    pub fn issue(&self, post: &Post, public_key: &[u8], life: Duration) -> Result<Issued, AuthorityError> {
        if public_key.len() != POINT_LEN || public_key[0] != 4 {
            return Err(AuthorityError::PublicKey);
        }
        let mut params = params(life)?;
        params.distinguished_name.push(DnType::CommonName, post.to_string());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&Point(public_key.to_vec()), &self.issuer)?;
        let ends_at = SystemTime::now() + life;
        let ends_at_ms = ends_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        Ok(Issued {
            pem: certificate.pem(),
            fingerprint: sha256(certificate.der()),
            ends_at_ms: u64::try_from(ends_at_ms).unwrap_or(u64::MAX),
        })
    }

    /// TLS of a server: agents with a certificate of this authority come in as themselves, others to join alone.
    pub(crate) fn server(&self) -> Result<Arc<ServerConfig>, AuthorityError> {
        let mut params = params(SERVER_LIFE)?;
        params.subject_alt_names = vec![rcgen::SanType::DnsName(SERVER_NAME.try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone())?;
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).allow_unauthenticated().build()?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![leaf.der().clone(), self.der.clone()], key)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        // A connection lasts for days: nothing is gained by resuming one, and a revoked certificate would come in again.
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The name to ask for in a handshake.
pub(crate) fn server_name() -> ServerName<'static> {
    ServerName::try_from(SERVER_NAME).expect("the constant is a DNS name")
}

/// TLS of an agent that has joined.
pub(crate) fn client(authority: &str, certificate: &str, key: &str) -> Result<Arc<ClientConfig>, AuthorityError> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes())?];
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes())?)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// TLS of an agent that joins: the other side must be vouched for by the authority with this fingerprint.
pub(crate) fn joining(fingerprint: &str) -> Result<Arc<ClientConfig>, AuthorityError> {
    let verifier = crate::pinned::PinnedAuthority::new(fingerprint, provider());
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// A key pair for an agent: the private key as PEM, the public one as a point.
pub(crate) fn new_key() -> Result<(String, Vec<u8>), AuthorityError> {
    let key = KeyPair::generate()?;
    Ok((key.serialize_pem(), key.der_bytes().to_vec()))
}

/// A public key as it came over the wire.
struct Point(Vec<u8>);

impl PublicKeyData for Point {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}
