//! What every client of an HTTP API needs: the roots that public servers are verified by, TLS, and errors with their causes.

use std::sync::Arc;

use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::dns::resolve::Resolver;

/// Longest time a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Longest time one call may take: PowerDNS writes a zone of a hundred thousand records within seconds.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The client cannot be made.
    #[error("the HTTP client cannot be made")]
    Client(#[from] reqwest::Error),
    /// What shall vouch for a server is not readable.
    #[error("the text holds no certificate in PEM form")]
    Authority,
}

/// A client for public servers: names are looked up without the C library, no proxy, no redirect, nothing repeated.
pub fn client() -> Result<reqwest::Client, WebError> {
    client_trusting(public_roots())
}

/// The same for servers that these roots vouch for.
pub(crate) fn client_trusting(roots: RootCertStore) -> Result<reqwest::Client, WebError> {
    Ok(builder(roots)?.timeout(CALL_LIMIT).build()?)
}

/// A client for one server, which these certificates (PEM) alone vouch for, or the system's roots where none are given. Each
/// call says itself how long it may take.
pub fn client_of(authority: Option<&[u8]>) -> Result<reqwest::Client, WebError> {
    let Some(pem) = authority else { return Ok(builder(public_roots())?.build()?) };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|_| WebError::Authority)?)?;
    }
    if roots.is_empty() {
        return Err(WebError::Authority);
    }
    Ok(builder(roots)?.build()?)
}

fn builder(roots: RootCertStore) -> Result<reqwest::ClientBuilder, WebError> {
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls(roots)?)
        .dns_resolver(Arc::new(Resolver))
        .user_agent(concat!("rapidlaunch/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .referer(false)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_LIMIT))
}

/// Whether a call failed because the server's certificate is not trusted.
pub fn is_untrusted(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if matches!(of_tls(error), Some(rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The error of TLS that an error is or was made from: an I/O error does not name the one within it as its source.
fn of_tls<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    of_tls(error.downcast_ref::<std::io::Error>()?.get_ref()?)
}

/// The system's roots; those of Mozilla where a system has none.
pub(crate) fn public_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// TLS that trusts these roots and shows no certificate.
pub(crate) fn tls(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// An error with its causes; the address, which has no secret, stands in front already.
pub fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
