//! The one trait behind which every provider stands, and the list of those that a stack declares.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use rl_model::{ProviderName, SecretSource, SecretValue};

use super::SecretError;

/// Hands out values by version.
#[async_trait]
pub trait SecretProvider: Send + Sync {
    /// The version that is newest now. It says nothing of the value: it grows, or is drawn from what is random.
    async fn newest(&self, from: &SecretSource) -> Result<u64, SecretError>;

    /// The value of a version.
    async fn fetch(&self, from: &SecretSource, version: u64) -> Result<SecretValue, SecretError>;
}

/// The installation's store, and the providers that are declared.
#[derive(Clone)]
pub struct SecretProviders {
    store: Arc<dyn SecretProvider>,
    named: BTreeMap<ProviderName, Arc<dyn SecretProvider>>,
}

impl SecretProviders {
    /// The store alone.
    pub fn new(store: Arc<dyn SecretProvider>) -> Self {
        Self { store, named: BTreeMap::new() }
    }

    /// Adds a declared provider.
    #[must_use]
    pub fn with(mut self, name: ProviderName, provider: Arc<dyn SecretProvider>) -> Self {
        self.named.insert(name, provider);
        self
    }

    fn of(&self, from: &SecretSource) -> Result<&dyn SecretProvider, SecretError> {
        match from.provider() {
            None => Ok(&*self.store),
            Some(name) => self
                .named
                .get(name)
                .map(|provider| &**provider)
                .ok_or_else(|| SecretError::UnknownProvider(from.clone())),
        }
    }
}

#[async_trait]
impl SecretProvider for SecretProviders {
    async fn newest(&self, from: &SecretSource) -> Result<u64, SecretError> {
        self.of(from)?.newest(from).await
    }

    async fn fetch(&self, from: &SecretSource, version: u64) -> Result<SecretValue, SecretError> {
        self.of(from)?.fetch(from, version).await
    }
}

/// Where in a provider, and which entry there.
pub(super) fn place_of(from: &SecretSource) -> (&str, Option<&str>) {
    match from {
        SecretSource::Store(name) => (name.as_str(), None),
        SecretSource::Provider { place, key, .. } => (place, key.as_deref()),
    }
}
