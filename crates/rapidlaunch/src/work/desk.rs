//! Secrets as plans, steps and proofs ask for them: versions and values out of the store, and the book of deliveries.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use rl_engine::UnixMs;
use rl_model::manifest::Stack;
use rl_model::{
    DeliveredFile, GrantChange, GuestId, GuestPath, KnownSecrets, Leases, NewestVersion, Proof, ProofCheck,
    ResolvedStack, SecretSource, SecretValue,
};
use rl_ops::{DeliveryBook, RegistryError, SecretDesk};
use rl_providers::secrets::{IdentityFile, SecretError, SecretProvider, SecretProviders};
use rl_store::{DeliveryRecord, Store};

use crate::error::CommandError;
use crate::work::data::{Data, store_error};

/// The secrets of a store. The key is read when a value is asked for: a plan needs none.
struct StoredSecrets {
    store: Store,
    identity: Option<PathBuf>,
}

impl StoredSecrets {
    fn failed(error: &rl_store::StoreError) -> SecretError {
        SecretError::Unreachable { provider: "the store".to_owned(), why: error.to_string() }
    }
}

#[async_trait]
impl SecretProvider for StoredSecrets {
    async fn newest(&self, from: &SecretSource) -> Result<u64, SecretError> {
        let SecretSource::Store(name) = from else { return Err(SecretError::UnknownProvider(from.clone())) };
        let record = self.store.secret(name).await.map_err(|error| Self::failed(&error))?;
        let record = record.filter(|record| record.removed.is_none());
        record.map(|record| record.latest).ok_or_else(|| SecretError::Missing(from.clone()))
    }

    async fn fetch(&self, from: &SecretSource, version: u64) -> Result<SecretValue, SecretError> {
        let SecretSource::Store(name) = from else { return Err(SecretError::UnknownProvider(from.clone())) };
        let sealed = self.store.sealed_secret(name, version).await.map_err(|error| Self::failed(&error))?;
        let sealed = sealed.ok_or_else(|| SecretError::VersionGone { from: from.clone(), version })?;
        let key = |why: String| SecretError::Key { from: from.clone(), why };
        let path = self.identity.as_deref().ok_or_else(|| key("no key is named".to_owned()))?;
        let identity = IdentityFile::read(path).map_err(|error| key(error.to_string()))?;
        identity.open(name, version, &sealed).map_err(|error| key(error.to_string()))
    }
}

/// The book of deliveries, kept in the store.
struct StoredBook(Store);

#[async_trait]
impl DeliveryBook for StoredBook {
    async fn delivered(&self, guest: &GuestId, grant: &GrantChange) -> Result<(), RegistryError> {
        let record = DeliveryRecord {
            guest: guest.clone(),
            path: grant.path.clone(),
            source: grant.secret.clone(),
            version: grant.after.unwrap_or_default(),
            mode: grant.mode,
            owner: grant.owner.clone(),
            // The store's clock says when.
            delivered_at: UnixMs(0),
        };
        self.0.record_delivery(record).await.map_err(|error| RegistryError::Store(error.to_string()))
    }

    async fn gone(&self, guest: &GuestId, path: &GuestPath) -> Result<(), RegistryError> {
        self.0.forget_delivery(guest, path).await.map_err(|error| RegistryError::Store(error.to_string()))
    }
}

fn provider(data: &Data) -> SecretProviders {
    SecretProviders::new(Arc::new(StoredSecrets { store: data.store.clone(), identity: data.identity.clone() }))
}

/// What steps need to deliver secrets.
pub(crate) fn desk(data: &Data) -> SecretDesk {
    SecretDesk { provider: Arc::new(provider(data)), book: Arc::new(StoredBook(data.store.clone())) }
}

/// What a plan knows of the secrets of a stack. Where agents can be asked, they tell what is gone after a start of a guest.
pub(crate) async fn known(data: &Data, stack: &Stack, leases: &Leases) -> Result<KnownSecrets, CommandError> {
    let sources: BTreeSet<&SecretSource> =
        stack.containers.values().flat_map(|container| &container.secrets).map(|grant| &grant.from).collect();
    let mut known = KnownSecrets { newest: newest(data, sources).await, ..KnownSecrets::default() };
    for guest in leases.guests.values() {
        let records = data.store.deliveries(&guest.id).await.map_err(store_error)?;
        if !records.is_empty() {
            known.delivered.insert(guest.id.clone(), records.into_iter().map(file).collect());
        }
    }
    if !known.delivered.is_empty()
        && let Some(courier) = data.way().await?.courier()
    {
        let guests = leases.guests.values().filter_map(|guest| guest.last.as_ref());
        let guests: Vec<_> = guests
            .map(|guest| {
                (
                    rl_model::Stamp {
                        guest: guest.id.clone(),
                        stack: stack.name.clone(),
                        name: guest.name.clone(),
                        controller: leases.controller.clone(),
                    },
                    guest,
                )
            })
            .collect();
        rl_ops::mark_lost(&*courier, &guests, &mut known, crate::work::runner::now().0).await;
    }
    Ok(known)
}

async fn newest(
    data: &Data,
    sources: impl IntoIterator<Item = &SecretSource>,
) -> std::collections::BTreeMap<SecretSource, NewestVersion> {
    let provider = provider(data);
    let mut newest = std::collections::BTreeMap::new();
    for from in sources {
        let version = match provider.newest(from).await {
            Ok(version) => NewestVersion::Version(version),
            Err(error) => NewestVersion::Unknown { why: error.to_string(), hint: error.hint() },
        };
        newest.insert(from.clone(), version);
    }
    newest
}

fn file(record: DeliveryRecord) -> DeliveredFile {
    let DeliveryRecord { path, source, version, mode, owner, .. } = record;
    DeliveredFile { path, from: source, version, mode, owner, lost: false }
}

/// Adds the secrets of a stack's guests to its proof.
pub(crate) async fn prove(data: &Data, mut proof: Proof, resolved: &ResolvedStack) -> Result<Proof, CommandError> {
    let grants = resolved.guests.values().flat_map(|guest| &guest.secrets);
    let sources: BTreeSet<&SecretSource> = grants.map(|grant| &grant.from).collect();
    if sources.is_empty() {
        return Ok(proof);
    }
    let Some(courier) = data.way().await?.courier() else {
        for item in &mut proof.items {
            let granted =
                resolved.guests.get(&item.guest).is_some_and(|guest| !guest.secrets.is_empty() && guest.running);
            if granted {
                item.checks.push(ProofCheck {
                    name: "secrets".to_owned(),
                    ok: false,
                    expected: "read back by the agent of the node".to_owned(),
                    found: "agents are not served: give --agents ADDR, or let `serve --agents ADDR` run".to_owned(),
                });
            }
        }
        return Ok(Proof::new(proof.stack, proof.at_ms, proof.items));
    };
    let known = KnownSecrets { newest: newest(data, sources).await, ..KnownSecrets::default() };
    Ok(rl_ops::prove_secrets(proof, resolved, &*courier, &provider(data), &known).await)
}
