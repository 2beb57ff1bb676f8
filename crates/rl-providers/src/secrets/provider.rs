//! The one trait behind which every provider stands.

use async_trait::async_trait;
use rl_model::{SecretSource, SecretValue};

use super::SecretError;

/// Hands out values by version.
#[async_trait]
pub trait SecretProvider: Send + Sync {
    /// The version that is newest now. It says nothing of the value: it grows, or is drawn from what is random.
    async fn newest(&self, from: &SecretSource) -> Result<u64, SecretError>;

    /// The value of a version.
    async fn fetch(&self, from: &SecretSource, version: u64) -> Result<SecretValue, SecretError>;
}

/// Where in a provider, and which entry there.
pub(super) fn place_of(from: &SecretSource) -> (&str, Option<&str>) {
    match from {
        SecretSource::Store(name) => (name.as_str(), None),
        SecretSource::Provider { place, key, .. } => (place, key.as_deref()),
    }
}
