//! Where values of secrets come from: the store, and the providers that sites declare. A provider is set up when it is first asked,
//! so that one whose credential is missing keeps nobody else waiting.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use rl_model::{
    Provider, ProviderFiles, ProviderKind, ProviderLogin, ProviderName, SecretRef, SecretSource, SecretValue, Site,
    TokenSource,
};
use rl_providers::secrets::{
    FileKey, FileKind, Files, IdentityFile, SecretError, SecretProvider, Vault, VaultLogin, VaultSettings,
};
use rl_store::Store;
use secrecy::zeroize::Zeroizing;
use tokio::sync::Mutex;

use crate::env;
use crate::work::data::Data;

/// Longest file with a credential: a key of age with its comments, or a token of some hundred bytes.
const CREDENTIAL_BYTES_MAX: u64 = 16 << 10;
/// Longest file with certificates.
const CA_BYTES_MAX: u64 = 1 << 20;

/// The secrets of a store. The key is read when a value is asked for: a plan needs none.
#[derive(Clone)]
struct Stored {
    store: Store,
    identity: Option<PathBuf>,
}

impl Stored {
    fn failed(error: &rl_store::StoreError) -> SecretError {
        SecretError::Unreachable { provider: "the store".to_owned(), why: error.to_string() }
    }

    async fn newest(&self, name: &SecretRef) -> Result<u64, SecretError> {
        let record = self.store.secret(name).await.map_err(|error| Self::failed(&error))?;
        let record = record.filter(|record| record.removed.is_none());
        record.map(|record| record.latest).ok_or_else(|| SecretError::Missing(name.clone().into()))
    }

    async fn fetch(&self, name: &SecretRef, version: u64) -> Result<SecretValue, SecretError> {
        let from = || SecretSource::from(name.clone());
        let sealed = self.store.sealed_secret(name, version).await.map_err(|error| Self::failed(&error))?;
        let sealed = sealed.ok_or_else(|| SecretError::VersionGone { from: from(), version })?;
        let key = |why: String| SecretError::Key { from: from(), why };
        let path = self.identity.as_deref().ok_or_else(|| key("no key is named".to_owned()))?;
        let identity = IdentityFile::read(path).map_err(|error| key(error.to_string()))?;
        identity.open(name, version, &sealed).map_err(|error| key(error.to_string()))
    }
}

/// A provider that was set up, with the declaration it was made of.
type Open = (Provider, Arc<dyn SecretProvider>);

/// The store and every declared provider.
pub(crate) struct Providers {
    stored: Stored,
    /// Declarations of files that were just given; they go before those of the store.
    given: BTreeMap<ProviderName, Provider>,
    open: Mutex<BTreeMap<ProviderName, Open>>,
}

impl Providers {
    /// All providers, with the sites of files that were just given.
    pub(crate) fn new<'a>(data: &Data, given: impl IntoIterator<Item = &'a Site>) -> Self {
        let declared = given.into_iter().flat_map(|site| site.providers.clone()).collect();
        let stored = Stored { store: data.store.clone(), identity: data.identity.clone() };
        Self { stored, given: declared, open: Mutex::default() }
    }

    async fn declared(&self, from: &SecretSource, name: &ProviderName) -> Result<Provider, SecretError> {
        if let Some(given) = self.given.get(name) {
            return Ok(given.clone());
        }
        let sites = self.stored.store.sites().await.map_err(|error| Stored::failed(&error))?;
        let found = sites.into_iter().find_map(|mut record| record.site.providers.remove(name));
        found.ok_or_else(|| SecretError::UnknownProvider(from.clone()))
    }

    /// A declared provider, set up anew where its declaration has changed.
    async fn of(&self, from: &SecretSource, name: &ProviderName) -> Result<Arc<dyn SecretProvider>, SecretError> {
        let declared = self.declared(from, name).await?;
        let mut open = self.open.lock().await;
        if let Some((_, provider)) = open.get(name).filter(|(known, _)| *known == declared) {
            return Ok(Arc::clone(provider));
        }
        let provider = self.connect(&declared).await?;
        open.insert(name.clone(), (declared, Arc::clone(&provider)));
        Ok(provider)
    }

    /// Forgets a provider that refused: its credential may have been exchanged, and is read again the next time.
    async fn unless_refused<T>(&self, name: &ProviderName, done: Result<T, SecretError>) -> Result<T, SecretError> {
        if matches!(done, Err(SecretError::Refused { .. })) {
            self.open.lock().await.remove(name);
        }
        done
    }

    async fn connect(&self, declared: &Provider) -> Result<Arc<dyn SecretProvider>, SecretError> {
        let files = |kind, files: &ProviderFiles, key| Files::new(kind, files.folder.clone(), key);
        Ok(match &declared.kind {
            ProviderKind::Age(of) => Arc::new(files(FileKind::Age, of, self.key(&declared.name, &of.identity).await?)),
            ProviderKind::Sops(of) => {
                Arc::new(files(FileKind::Sops, of, self.key(&declared.name, &of.identity).await?))
            }
            ProviderKind::Vault { address, mount, namespace, ca_file, login } => {
                let name = &declared.name;
                let ca = ca_file.as_ref().map(|path| read(name, path, CA_BYTES_MAX)).transpose()?;
                let login = match login {
                    ProviderLogin::Token(token) => VaultLogin::Token(self.credential(name, token).await?),
                    ProviderLogin::Approle { mount, role_id, secret_id } => VaultLogin::AppRole {
                        mount: mount.clone(),
                        role_id: role_id.clone(),
                        secret_id: self.credential(name, secret_id).await?,
                    },
                };
                let settings = VaultSettings {
                    address: address.as_str().to_owned(),
                    mount: mount.clone(),
                    namespace: namespace.clone(),
                    ca: ca.map(|text| text.as_bytes().to_vec()),
                    login,
                };
                Arc::new(Vault::new(settings).map_err(|error| credential_error(name, &error))?)
            }
        })
    }

    async fn key(&self, name: &ProviderName, source: &TokenSource) -> Result<FileKey, SecretError> {
        match source {
            TokenSource::File(path) => Ok(FileKey::File(path.clone())),
            other => self.credential(name, other).await.map(FileKey::Text),
        }
    }

    /// Reads a credential from where the site file says.
    async fn credential(&self, name: &ProviderName, source: &TokenSource) -> Result<SecretValue, SecretError> {
        match source {
            TokenSource::File(path) => Ok(SecretValue::new(read(name, path, CREDENTIAL_BYTES_MAX)?.trim())),
            TokenSource::Env(variable) => env::named(variable)
                .map(SecretValue::new)
                .ok_or_else(|| credential_error(name, &format!("the environment variable {variable} is not set"))),
            TokenSource::Secret(secret) => {
                let version = self.stored.newest(secret).await?;
                self.stored.fetch(secret, version).await
            }
        }
    }
}

fn credential_error(name: &ProviderName, why: &dyn std::fmt::Display) -> SecretError {
    SecretError::Credential { provider: name.clone(), why: why.to_string() }
}

fn read(name: &ProviderName, path: &Path, bytes_max: u64) -> Result<Zeroizing<String>, SecretError> {
    let mut text = Zeroizing::new(String::new());
    let done = std::fs::File::open(path).and_then(|file| file.take(bytes_max).read_to_string(&mut text));
    match done {
        Ok(_) => Ok(text),
        Err(error) => Err(credential_error(name, &format!("{} cannot be read: {error}", path.display()))),
    }
}

#[async_trait]
impl SecretProvider for Providers {
    async fn newest(&self, from: &SecretSource) -> Result<u64, SecretError> {
        match from {
            SecretSource::Store(name) => self.stored.newest(name).await,
            SecretSource::Provider { provider: name, .. } => {
                let provider = self.of(from, name).await?;
                self.unless_refused(name, provider.newest(from).await).await
            }
        }
    }

    async fn fetch(&self, from: &SecretSource, version: u64) -> Result<SecretValue, SecretError> {
        match from {
            SecretSource::Store(name) => self.stored.fetch(name, version).await,
            SecretSource::Provider { provider: name, .. } => {
                let provider = self.of(from, name).await?;
                self.unless_refused(name, provider.fetch(from, version).await).await
            }
        }
    }
}
