//! Calls to the HTTP APIs of providers.

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::error::DnsError;
use crate::web::{chain, client};

/// Largest answer: a PowerDNS zone at the limit of sets that are read.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most of a refusal's text that is shown.
const REFUSAL_CHARS_MAX: usize = 300;

/// A client of one API.
pub(crate) struct Api {
    client: reqwest::Client,
    base: String,
}

/// An answer that is no success.
pub(crate) struct HttpRefusal {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Api {
    /// A client; nothing is contacted yet.
    pub(crate) fn new(base: &str) -> Result<Self, DnsError> {
        let client = client().map_err(|error| DnsError::odd(base, error))?;
        Ok(Self { client, base: base.trim_end_matches('/').to_owned() })
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// Sends a call and reads its JSON; a success without a body is null.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Result<Value, HttpRefusal>, DnsError> {
        let lost = |error: reqwest::Error| DnsError::unreachable(&self.base, chain(&error));
        let mut response = request.send().await.map_err(lost)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(DnsError::odd(&self.base, "the answer is too long"));
            }
        }
        if status.is_server_error() || status.as_u16() == 429 {
            return Err(DnsError::unreachable(&self.base, format!("{status}: {}", short(&body))));
        }
        if !status.is_success() {
            return Ok(Err(HttpRefusal { status: status.as_u16(), text: short(&body) }));
        }
        if body.is_empty() {
            return Ok(Ok(Value::Null));
        }
        serde_json::from_slice(&body).map(Ok).map_err(|error| DnsError::odd(&self.base, error))
    }
}

fn short(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.chars().filter(|c| !c.is_control()).take(REFUSAL_CHARS_MAX).collect()
}
