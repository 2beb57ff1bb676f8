//! TLS of the API: given files, read anew when they change, or certificates of an authority that is made at the first start.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rl_agent::files;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// How long the authority lasts: people put it into browsers, and do that once.
const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How long a certificate lasts: browsers refuse one that lasts for more than 398 days.
const CERTIFICATE_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);
/// After this the certificate is made anew.
const CERTIFICATE_DAY: Duration = Duration::from_secs(24 * 3600);
/// Clocks that are behind by less than this still accept a new certificate.
const CLOCK_GRACE: Duration = Duration::from_secs(3600);
/// How often given files are looked at.
pub(super) const LOOK: Duration = Duration::from_secs(10);
/// Name of the authority in certificates.
const AUTHORITY_NAME: &str = "RapidLaunch API";

/// Why there is no usable certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file.
    #[error("{} cannot be read or written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What was read is no certificate or key.
    #[error("{} holds no PEM of a {what}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// Why.
        source: rustls_pki_types::pem::Error,
    },
    /// Making a certificate.
    #[error("a certificate cannot be made")]
    Certificate(#[from] rcgen::Error),
    /// TLS refuses it.
    #[error("TLS does not take the certificate with its key")]
    Tls(#[from] rustls::Error),
}

/// Where the certificate comes from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// Files of the user.
    Given {
        /// The chain, leaf first.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
    },
    /// The installation's own authority.
    Own {
        /// Folder of the authority.
        dir: PathBuf,
        /// The names and addresses that the certificate is for.
        names: Vec<String>,
    },
}

/// The certificate in use.
pub(crate) struct Tls {
    source: Source,
    now: RwLock<Arc<Made>>,
}

/// A certificate as it was made or read.
struct Made {
    config: Arc<ServerConfig>,
    authority: Option<String>,
    at: SystemTime,
    seen: Vec<Option<SystemTime>>,
}

impl Tls {
    /// Makes or reads the certificate.
    pub(crate) fn open(source: Source) -> Result<Self, TlsError> {
        let made = make(&source)?;
        Ok(Self { source, now: RwLock::new(Arc::new(made)) })
    }

    /// What new connections use.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.made().config)
    }

    /// The authority that vouches for the certificate, where it is the installation's own.
    pub(crate) fn authority(&self) -> Option<String> {
        self.made().authority.clone()
    }

    fn made(&self) -> Arc<Made> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the certificate anew when its time has come, or when the given files have changed. On a mistake the old one stays.
    pub(super) fn refresh(&self) {
        let made = self.made();
        let due = match &self.source {
            Source::Given { .. } => made.seen != changed(&self.source),
            Source::Own { .. } => made.at.elapsed().unwrap_or_default() > CERTIFICATE_DAY,
        };
        if !due {
            return;
        }
        match make(&self.source) {
            Ok(made) => {
                tracing::info!("the certificate of the API was read anew");
                *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(made);
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::warn!(%error, cause, "the certificate of the API cannot be read anew; the old one stays");
            }
        }
    }
}

/// When the given files were written.
fn changed(source: &Source) -> Vec<Option<SystemTime>> {
    let Source::Given { certificate, key } = source else { return Vec::new() };
    let at = |path: &PathBuf| std::fs::metadata(path).and_then(|facts| facts.modified()).ok();
    vec![at(certificate), at(key)]
}

fn make(source: &Source) -> Result<Made, TlsError> {
    let seen = changed(source);
    let (chain, key, authority) = match source {
        Source::Given { certificate, key } => {
            let (chain, key) = read(certificate, key)?;
            (chain, key, None)
        }
        Source::Own { dir, names } => {
            let authority = Authority::open(dir)?;
            let (chain, key) = authority.vouch(names)?;
            (chain, key, Some(authority.pem))
        }
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Made { config: Arc::new(config), authority, at: SystemTime::now(), seen })
}

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn read(certificate: &Path, key: &Path) -> Result<Pair, TlsError> {
    let bytes = |path: &Path| std::fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source });
    let pem = |path: &Path, what| {
        let path = path.to_owned();
        move |source| TlsError::Pem { path, what, source }
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes(certificate)?).collect();
    let chain = chain.map_err(pem(certificate, "certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(&bytes(key)?).map_err(pem(key, "private key"))?;
    Ok((chain, key))
}

/// The installation's own authority for its API.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

impl Authority {
    /// Opens the authority in a folder, or makes it there. The key is readable for the user alone.
    fn open(dir: &Path) -> Result<Self, TlsError> {
        let (key_file, certificate_file) = (dir.join("ca.key"), dir.join("ca.pem"));
        let file = |path: &Path| {
            let path = path.to_owned();
            move |source| TlsError::File { path, source }
        };
        files::private_dir(dir).map_err(file(dir))?;
        if !certificate_file.exists() {
            let key = KeyPair::generate()?;
            let certificate = authority_params()?.self_signed(&key)?;
            // The certificate comes last: where it stands, the key stands too.
            files::write_private(&key_file, key.serialize_pem().as_bytes()).map_err(file(&key_file))?;
            files::write_private(&certificate_file, certificate.pem().as_bytes()).map_err(file(&certificate_file))?;
        }
        let key = KeyPair::from_pem(&std::fs::read_to_string(&key_file).map_err(file(&key_file))?)?;
        let pem = std::fs::read_to_string(&certificate_file).map_err(file(&certificate_file))?;
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|source| TlsError::Pem {
            path: certificate_file.clone(),
            what: "certificate",
            source,
        })?;
        Ok(Self { issuer: Issuer::new(authority_params()?, key), pem, der })
    }

    /// A certificate for these names and addresses.
    fn vouch(&self, names: &[String]) -> Result<Pair, TlsError> {
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.not_before = (SystemTime::now() - CLOCK_GRACE).into();
        params.not_after = (SystemTime::now() + CERTIFICATE_LIFE).into();
        params.distinguished_name.push(DnType::CommonName, names.first().map_or("rapidlaunch", String::as_str));
        for name in names {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.as_str().try_into()?),
            });
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok((vec![leaf.der().clone(), self.der.clone()], key))
    }
}

fn authority_params() -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.not_before = (SystemTime::now() - CLOCK_GRACE).into();
    params.not_after = (SystemTime::now() + AUTHORITY_LIFE).into();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.distinguished_name.push(DnType::CommonName, AUTHORITY_NAME);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    Ok(params)
}

/// The names a certificate of the own authority is for: where it listens, what the machine is called, and what was given.
pub(crate) fn names(listen: SocketAddr, given: &[String]) -> Vec<String> {
    let mut names = given.to_vec();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let host_is_name = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    names.extend(host_is_name.then_some(host));
    names.extend(["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()]);
    if !listen.ip().is_unspecified() {
        names.push(listen.ip().to_string());
    }
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}
