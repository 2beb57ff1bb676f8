//! Vault and OpenBao: versions of the KV engine, version 2, with a token or an AppRole, over verified TLS.
//!
//! Four calls: `auth/approle/login`, `MOUNT/metadata/PATH`, `MOUNT/data/PATH`, and `auth/token/renew-self` (Vault HTTP API).

mod answer;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode, header::HeaderValue};
use rl_model::{SecretSource, SecretValue};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::provider::place_of;
use super::{SecretError, SecretProvider};
use crate::web::{chain, client_trusting, public_roots};
use answer::{Data, Envelope, Errors, Login, Metadata};

/// Largest answer: Vault's own limit of a request is 32 MiB, a value of ours has 64 KiB.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Most of a refusal's text that is shown.
const REFUSAL_CHARS_MAX: usize = 300;
/// Characters of a path that stand for themselves.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');
/// A token is renewed when this share of its time is over.
const RENEW_AFTER: f64 = 0.5;

/// How one logs in.
pub enum VaultLogin {
    /// With a token.
    Token(SecretValue),
    /// With an AppRole.
    AppRole {
        /// Path of the auth method, `approle` unless it was mounted elsewhere.
        mount: String,
        /// The role.
        role_id: String,
        /// Its secret.
        secret_id: SecretValue,
    },
}

/// A KV engine of a Vault or OpenBao.
pub struct VaultSettings {
    /// Address, as in `https://vault.example:8200`; plain HTTP only to this machine.
    pub address: String,
    /// Path of the engine, often `secret` or `kv`.
    pub mount: String,
    /// Namespace, where there are several.
    pub namespace: Option<String>,
    /// Certificates that are trusted (PEM); the system's when left out.
    pub ca: Option<Vec<u8>>,
    /// How one logs in.
    pub login: VaultLogin,
}

/// Why a provider cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("Vault at {address} cannot be used: {why}")]
pub struct VaultError {
    address: String,
    why: String,
}

/// A client of one engine.
pub struct Vault {
    client: reqwest::Client,
    settings: VaultSettings,
    session: Mutex<Option<Session>>,
}

/// A token that was given out for a time.
struct Session {
    token: SecretValue,
    renew_at: Option<Instant>,
    ends_at: Option<Instant>,
}

impl Vault {
    /// A client; nothing is contacted yet.
    pub fn new(mut settings: VaultSettings) -> Result<Self, VaultError> {
        settings.address = settings.address.trim_end_matches('/').to_owned();
        let wrong = |why: String| VaultError { address: settings.address.clone(), why };
        let url: reqwest::Url = settings.address.parse().map_err(|_| wrong("it is no URL".to_owned()))?;
        let local = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
        if url.scheme() != "https" && !(url.scheme() == "http" && local) {
            return Err(wrong("secrets go over https alone, or over http to this machine".to_owned()));
        }
        let roots = roots(settings.ca.as_deref()).map_err(wrong)?;
        let client = client_trusting(roots).map_err(|error| wrong(error.to_string()))?;
        Ok(Self { client, settings, session: Mutex::new(None) })
    }

    fn name(&self) -> String {
        format!("Vault at {}", self.settings.address)
    }

    /// A read, with a session; asked again once with a new one when the old one is not taken any more.
    async fn read<T: DeserializeOwned>(&self, from: &SecretSource, path: &str) -> Result<Option<T>, SecretError> {
        for fresh in [false, true] {
            let token = self.token(from, fresh).await?;
            match self.call(from, Method::GET, path, Some(&token), None).await? {
                Ok(body) => return parsed(self, &body).map(Some),
                Err((StatusCode::NOT_FOUND, _)) => return Ok(None),
                Err((StatusCode::FORBIDDEN, _))
                    if !fresh && matches!(self.settings.login, VaultLogin::AppRole { .. }) => {}
                Err((status, why)) => return Err(self.refused(from, status, &why)),
            }
        }
        Err(self.refused(from, StatusCode::FORBIDDEN, "permission denied"))
    }

    /// A token: the one that is given, or that of the session, renewed or made anew when its time runs out.
    async fn token(&self, from: &SecretSource, fresh: bool) -> Result<SecretValue, SecretError> {
        let (mount, role_id, secret_id) = match &self.settings.login {
            VaultLogin::Token(token) => return Ok(token.clone()),
            VaultLogin::AppRole { mount, role_id, secret_id } => (mount, role_id, secret_id),
        };
        let mut session = self.session.lock().await;
        let now = Instant::now();
        let over = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if let Some(open) = session.as_ref().filter(|open| !fresh && !over(open.ends_at)) {
            if !over(open.renew_at) {
                return Ok(open.token.clone());
            }
            let renewed =
                self.call(from, Method::POST, "auth/token/renew-self", Some(&open.token), Some(json!({}))).await;
            if let Ok(Ok(body)) = renewed {
                let renewed: Login = parsed(self, &body)?;
                let open = Session::of(renewed);
                let token = open.token.clone();
                *session = Some(open);
                return Ok(token);
            }
        }
        let body = json!({ "role_id": role_id, "secret_id": secret_id.expose() });
        let path = format!("auth/{}/login", utf8_percent_encode(mount.trim_matches('/'), PATH));
        let answer = self.call(from, Method::POST, &path, None, Some(body)).await?;
        let body = answer.map_err(|(status, why)| self.refused(from, status, &why))?;
        let open = Session::of(parsed(self, &body)?);
        let token = open.token.clone();
        *session = Some(open);
        Ok(token)
    }

    /// One call. The body of a success is wiped when it is dropped; of a refusal only its own text is kept.
    async fn call(
        &self,
        from: &SecretSource,
        method: Method,
        path: &str,
        token: Option<&SecretValue>,
        body: Option<serde_json::Value>,
    ) -> Result<Result<Zeroizing<Vec<u8>>, (StatusCode, String)>, SecretError> {
        let lost = |error: reqwest::Error| SecretError::Unreachable { provider: self.name(), why: chain(&error) };
        let mut request = self.client.request(method, format!("{}/v1/{path}", self.settings.address));
        request = request.header("x-vault-request", "true");
        if let Some(namespace) = &self.settings.namespace {
            request = request.header("x-vault-namespace", namespace);
        }
        if let Some(token) = token {
            let header = HeaderValue::from_str(token.expose().trim());
            let mut header = header.map_err(|_| self.refused(from, StatusCode::FORBIDDEN, "the token is no token"))?;
            header.set_sensitive(true);
            request = request.header("x-vault-token", header);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let mut response = request.send().await.map_err(lost)?;
        let status = response.status();
        let mut bytes = Zeroizing::new(Vec::with_capacity(ANSWER_BYTES_MAX));
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(SecretError::Unreachable {
                    provider: self.name(),
                    why: "its answer is too long".to_owned(),
                });
            }
            bytes.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(Ok(bytes));
        }
        let said = serde_json::from_slice::<Errors>(&bytes).map(|errors| errors.errors.join("; ")).unwrap_or_default();
        let why: String = said.chars().filter(|c| !c.is_control()).take(REFUSAL_CHARS_MAX).collect();
        // Sealed, standing by, overloaded: it passes.
        if status.is_server_error() || matches!(status.as_u16(), 412 | 429 | 472 | 473) {
            return Err(SecretError::Unreachable { provider: self.name(), why: format!("{status}: {why}") });
        }
        Ok(Err((status, why)))
    }

    fn refused(&self, from: &SecretSource, status: StatusCode, why: &str) -> SecretError {
        SecretError::Refused { provider: self.name(), from: from.clone(), why: format!("{status}: {why}") }
    }

    fn path(&self, what: &str, place: &str) -> String {
        let [mount, place] =
            [&self.settings.mount, place].map(|part| utf8_percent_encode(part.trim_matches('/'), PATH));
        format!("{mount}/{what}/{place}")
    }
}

impl Session {
    fn of(login: Login) -> Self {
        let now = Instant::now();
        let time = Duration::from_secs(login.auth.lease_duration);
        // Without an end it is good for ever.
        let limited = login.auth.lease_duration > 0;
        Self {
            token: SecretValue::new(login.auth.client_token.as_str()),
            renew_at: limited.then(|| now + time.mul_f64(RENEW_AFTER)),
            ends_at: limited.then(|| now + time),
        }
    }
}

#[async_trait]
impl SecretProvider for Vault {
    async fn newest(&self, from: &SecretSource) -> Result<u64, SecretError> {
        let (place, _) = place_of(from);
        let found: Option<Envelope<Metadata>> = self.read(from, &self.path("metadata", place)).await?;
        let metadata = found.ok_or_else(|| SecretError::Missing(from.clone()))?.data;
        match metadata.newest() {
            Some(version) => Ok(version),
            None => Err(SecretError::Missing(from.clone())),
        }
    }

    async fn fetch(&self, from: &SecretSource, version: u64) -> Result<SecretValue, SecretError> {
        let (place, key) = place_of(from);
        let unusable = |why: &str| SecretError::Unusable { from: from.clone(), why: why.to_owned() };
        let key = key.ok_or_else(|| unusable("name the entry, as in provider:path#entry"))?;
        let path = format!("{}?version={version}", self.path("data", place));
        let gone = || SecretError::VersionGone { from: from.clone(), version };
        // A deleted version is answered with 404, and with a body that has no data.
        let found: Option<Envelope<Data>> = self.read(from, &path).await?;
        let mut data = found.and_then(|found| found.data.data).ok_or_else(gone)?;
        let value = data.remove(key).ok_or_else(|| SecretError::Missing(from.clone()))?;
        let text = value.text().ok_or_else(|| unusable("the entry is no single value"))?;
        super::files::as_value(from, text.as_bytes())
    }
}

fn parsed<T: DeserializeOwned>(vault: &Vault, body: &[u8]) -> Result<T, SecretError> {
    // The parser's message may show what it read.
    serde_json::from_slice(body).map_err(|error| SecretError::Unreachable {
        provider: vault.name(),
        why: format!("its answer is not what the API describes (line {}, column {})", error.line(), error.column()),
    })
}

/// The roots a Vault is verified by: those of its own CA, where one is given.
fn roots(ca: Option<&[u8]>) -> Result<RootCertStore, String> {
    let Some(pem) = ca else { return Ok(public_roots()) };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("its CA file is no PEM: {error}"))?;
        roots.add(certificate).map_err(|error| format!("its CA file has no usable certificate: {error}"))?;
    }
    if roots.is_empty() {
        return Err("its CA file holds no certificate".to_owned());
    }
    Ok(roots)
}
