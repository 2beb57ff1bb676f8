//! What every client of an HTTP API needs: the roots that public servers are verified by, TLS, and errors with their causes.

use std::sync::Arc;

use std::time::Duration;

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
}

/// A client for public servers: names are looked up without the C library, no proxy, no redirect, nothing repeated.
pub fn client() -> Result<reqwest::Client, WebError> {
    client_trusting(public_roots())
}

/// The same for servers that these roots vouch for.
pub(crate) fn client_trusting(roots: RootCertStore) -> Result<reqwest::Client, WebError> {
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls(roots)?)
        .dns_resolver(Arc::new(Resolver))
        .user_agent(concat!("rapidlaunch/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .referer(false)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_LIMIT)
        .timeout(CALL_LIMIT);
    Ok(client.build()?)
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
