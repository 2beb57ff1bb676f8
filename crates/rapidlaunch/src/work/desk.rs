//! Secrets as plans, steps and proofs ask for them: versions and values out of the store, and the book of deliveries.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use rl_engine::UnixMs;
use rl_model::manifest::Stack;
use rl_model::{
    DeliveredFile, GrantChange, GuestId, GuestPath, KnownSecrets, Leases, NewestVersion, Proof, ProofCheck,
    ResolvedStack, SecretSource, Site, Stamp,
};
use rl_ops::{DeliveryBook, OtherGuest, RegistryError, SecretDesk};
use rl_providers::secrets::SecretProvider;
use rl_store::{DeliveryRecord, Store};

use crate::error::CommandError;
use crate::work::data::{Data, store_error};
use crate::work::providers::Providers;

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

/// What steps need to deliver secrets.
pub(crate) fn desk(data: &Data) -> SecretDesk {
    SecretDesk { provider: Arc::new(Providers::new(data, [])), book: Arc::new(StoredBook(data.store.clone())) }
}

/// What a plan knows of the secrets of a stack. Where agents can be asked, they tell what is gone after a start of a guest.
pub(crate) async fn known<'a>(
    data: &Data,
    sites: impl IntoIterator<Item = &'a Site>,
    stack: &Stack,
    leases: &Leases,
) -> Result<KnownSecrets, CommandError> {
    let sources: BTreeSet<&SecretSource> =
        stack.containers.values().flat_map(|container| &container.secrets).map(|grant| &grant.from).collect();
    let mut known =
        KnownSecrets { newest: newest(&Providers::new(data, sites), sources).await, ..KnownSecrets::default() };
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
    provider: &Providers,
    sources: impl IntoIterator<Item = &SecretSource>,
) -> std::collections::BTreeMap<SecretSource, NewestVersion> {
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
    let provider = Providers::new(data, []);
    let known = KnownSecrets { newest: newest(&provider, sources).await, ..KnownSecrets::default() };
    let proof = rl_ops::prove_secrets(proof, resolved, &*courier, &provider, &known).await;
    Ok(rl_ops::prove_others(proof, resolved, &*courier, others(data, resolved).await?).await)
}

/// The guests of the installation's other stacks, with the files that were delivered into them.
async fn others(data: &Data, resolved: &ResolvedStack) -> Result<Vec<OtherGuest>, CommandError> {
    let mut others = Vec::new();
    let mut changing = std::collections::BTreeMap::new();
    for record in data.store.all_guests().await.map_err(store_error)? {
        if record.stack == resolved.name {
            continue;
        }
        if !changing.contains_key(&record.stack) {
            changing.insert(record.stack.clone(), data.unfinished(&record.stack).await?.is_some());
        }
        let changing = changing.get(&record.stack).copied().unwrap_or_default();
        let delivered = data.store.deliveries(&record.id).await.map_err(store_error)?;
        others.push(OtherGuest {
            stamp: Stamp {
                guest: record.id,
                stack: record.stack,
                name: record.name,
                controller: resolved.controller.clone(),
            },
            site: record.site,
            node: record.node,
            vmid: record.vmid,
            granted: delivered.into_iter().map(|file| file.path).collect(),
            changing,
        });
    }
    Ok(others)
}
