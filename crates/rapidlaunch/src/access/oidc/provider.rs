//! What a provider is asked for over HTTP: where things are, its keys, tokens for a code, and more about a user.
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::Jwk;
use reqwest::{RequestBuilder, Response, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use url::Url;

use super::token::{Claims, Expected, TokenFault, verify};
use super::{Config, OidcError};

/// How long it is remembered where things are, and which keys there are. A key that is not among them is looked for at once.
const KNOWN_FOR: Duration = Duration::from_secs(3600);
/// Largest answer of a provider: a set of keys has some kilobytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Most keys that are tried.
const KEYS_MAX: usize = 100;
/// Most of an error that is repeated.
const ERROR_CHARS_MAX: usize = 200;

/// See the module.
pub(super) struct Provider {
    issuer: String,
    client: reqwest::Client,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    metadata: Option<(Instant, Arc<Metadata>)>,
    keys: Option<(Instant, Arc<Vec<Jwk>>)>,
}

/// Where something is asked for: over TLS, or on this machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Place(pub(super) Url);

impl TryFrom<String> for Place {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.parse() {
            Ok(url) if is_safe(&url) => Ok(Self(url)),
            Ok(_) => Err(format!("`{text}` is not asked for over TLS")),
            Err(error) => Err(format!("`{text}` is no address: {error}")),
        }
    }
}

/// Where things are (OpenID Connect Discovery 1.0, 3).
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    pub(super) authorization_endpoint: Place,
    token_endpoint: Place,
    jwks_uri: Place,
    userinfo_endpoint: Option<Place>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// What a code is exchanged for.
#[derive(Deserialize)]
pub(super) struct Tokens {
    pub(super) id_token: String,
    access_token: Option<String>,
}

/// Why no tokens were given (RFC 6749, 5.2).
#[derive(Debug, Default, Deserialize)]
struct Refusal {
    error: String,
    error_description: Option<String>,
}

/// Whether something is asked for over TLS, or of this machine alone.
pub(super) fn is_safe(url: &Url) -> bool {
    let is_here = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_here)
}

impl Provider {
    pub(super) fn new(issuer: String, client: reqwest::Client) -> Self {
        Self { issuer, client, known: Mutex::default() }
    }

    /// Where things are.
    pub(super) async fn metadata(&self) -> Result<Arc<Metadata>, OidcError> {
        let mut known = self.known.lock().await;
        if let Some((since, metadata)) = &known.metadata
            && since.elapsed() < KNOWN_FOR
        {
            return Ok(Arc::clone(metadata));
        }
        let metadata = Arc::new(self.discover().await?);
        known.metadata = Some((Instant::now(), Arc::clone(&metadata)));
        Ok(metadata)
    }

    async fn discover(&self) -> Result<Metadata, OidcError> {
        const WHAT: &str = "its description";
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let found: Metadata = self.fetch(WHAT, self.client.get(url)).await?;
        // Letter by letter (Discovery, 4.3), as its tokens are compared too.
        if found.issuer != self.issuer {
            let why = format!("it calls itself `{}`, and the server knows it as `{}`", found.issuer, self.issuer);
            return Err(wrong(WHAT, why));
        }
        Ok(found)
    }

    /// Its keys: those that are remembered, unless they are asked for anew.
    async fn keys(&self, anew: bool) -> Result<Arc<Vec<Jwk>>, OidcError> {
        let metadata = self.metadata().await?;
        let mut known = self.known.lock().await;
        if let Some((since, keys)) = &known.keys
            && since.elapsed() < KNOWN_FOR
            && !anew
        {
            return Ok(Arc::clone(keys));
        }
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = self.fetch("its keys", self.client.get(metadata.jwks_uri.0.clone())).await?;
        // A key of a kind that is not known is none that a token may be signed with.
        let keys = set.keys.into_iter().take(KEYS_MAX).filter_map(|key| serde_json::from_value(key).ok()).collect();
        let keys = Arc::new(keys);
        known.keys = Some((Instant::now(), Arc::clone(&keys)));
        Ok(keys)
    }

    /// Exchanges a code for tokens (RFC 6749, 4.1.3).
    pub(super) async fn exchange(&self, config: &Config, code: &str, verifier: &str) -> Result<Tokens, OidcError> {
        const WHAT: &str = "tokens for the code";
        let metadata = self.metadata().await?;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", config.callback.as_str()),
            ("code_verifier", verifier),
        ];
        let mut request =
            self.client.post(metadata.token_endpoint.0.clone()).header(header::ACCEPT, "application/json");
        // Where nothing is said, it is the first way (Discovery, 3).
        let ways = metadata.token_endpoint_auth_methods_supported.as_deref();
        let by_header = ways.is_none_or(|ways| ways.iter().any(|way| way == "client_secret_basic"));
        match &config.client_secret {
            Some(secret) if by_header => {
                request = request.header(header::AUTHORIZATION, basic(config, secret.expose()))
            }
            Some(secret) => form.extend([("client_id", &*config.client_id), ("client_secret", secret.expose())]),
            None => form.push(("client_id", &*config.client_id)),
        }
        let response = request.form(&form).send().await.map_err(|error| unreachable(WHAT, &error))?;
        let status = response.status();
        let body = body(WHAT, response).await?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| wrong(WHAT, error.to_string()));
        }
        let refusal: Refusal = serde_json::from_slice(&body).unwrap_or_default();
        match &*refusal.error {
            "" => Err(wrong(WHAT, format!("it answers {status}"))),
            "invalid_grant" => {
                Err(OidcError::Refused("the code is not valid, was used before, or is too old".to_owned()))
            }
            _ => Err(wrong(WHAT, shortened(&refusal.error, refusal.error_description.as_deref()))),
        }
    }

    /// What an ID token says, if it is to be believed. Where no key is known for it, the keys are asked for anew: the provider may
    /// have changed them.
    pub(super) async fn verified(&self, config: &Config, token: &str, nonce: &str) -> Result<Claims, OidcError> {
        let expected = Expected { issuer: &config.issuer, client_id: &config.client_id, nonce };
        match verify(token, &self.keys(false).await?, &expected) {
            Err(TokenFault::UnknownKey) => verify(token, &self.keys(true).await?, &expected),
            other => other,
        }
        .map_err(OidcError::Token)
    }

    /// What else it tells of a user, where it tells more (OpenID Connect Core, 5.3).
    pub(super) async fn more(&self, tokens: &Tokens, subject: &str) -> Result<Map<String, Value>, OidcError> {
        const WHAT: &str = "what it knows of the user";
        let metadata = self.metadata().await?;
        let (Some(url), Some(token)) = (&metadata.userinfo_endpoint, &tokens.access_token) else {
            return Ok(Map::new());
        };
        let told: Map<String, Value> = self.fetch(WHAT, self.client.get(url.0.clone()).bearer_auth(token)).await?;
        // It could be about somebody else (5.3.2).
        match told.get("sub").and_then(Value::as_str) == Some(subject) {
            true => Ok(told),
            false => Err(OidcError::Token(TokenFault::Subject)),
        }
    }

    async fn fetch<T: DeserializeOwned>(&self, what: &'static str, request: RequestBuilder) -> Result<T, OidcError> {
        let request = request.header(header::ACCEPT, "application/json");
        let response = request.send().await.map_err(|error| unreachable(what, &error))?;
        if response.status() != StatusCode::OK {
            return Err(wrong(what, format!("it answers {}", response.status())));
        }
        serde_json::from_slice(&body(what, response).await?).map_err(|error| wrong(what, error.to_string()))
    }
}

async fn body(what: &'static str, mut response: Response) -> Result<Vec<u8>, OidcError> {
    let mut bytes = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| unreachable(what, &error))? {
        if bytes.len() + part.len() > ANSWER_BYTES_MAX {
            return Err(wrong(what, format!("the answer has more than {ANSWER_BYTES_MAX} bytes")));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

/// How a client with a secret says who it is (RFC 6749, 2.3.1): both parts are encoded as in a form first.
fn basic(config: &Config, secret: &str) -> String {
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(&config.client_id), encoded(secret))))
}

fn wrong(what: &'static str, why: String) -> OidcError {
    OidcError::Provider { what, why }
}

fn unreachable(what: &'static str, error: &reqwest::Error) -> OidcError {
    OidcError::Provider { what, why: rl_providers::web::chain(error) }
}

/// An error of the provider, short enough to be shown.
pub(super) fn shortened(error: &str, description: Option<&str>) -> String {
    let text = description.map_or_else(|| error.to_owned(), |description| format!("{error}: {description}"));
    text.chars().filter(|c| !c.is_control()).take(ERROR_CHARS_MAX).collect()
}
