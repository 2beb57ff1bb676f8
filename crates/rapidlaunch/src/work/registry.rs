//! The book of guests, as steps use it, kept in the store.

use async_trait::async_trait;
use rl_model::{GuestId, NodeName, ResolvedGuest, SiteName, StackName, Vmid, VmidRange};
use rl_ops::{GuestRegistry, RegistryError};
use rl_store::{Store, StoreError};

/// See the module.
pub(crate) struct StoreRegistry(pub(crate) Store);

#[async_trait]
impl GuestRegistry for StoreRegistry {
    async fn vmid_of(&self, site: &SiteName, guest: &GuestId) -> Result<Option<Vmid>, RegistryError> {
        self.0.vmid_of(site, guest).await.map_err(failed)
    }

    async fn lease_another_vmid(
        &self,
        site: &SiteName,
        guest: &GuestId,
        range: VmidRange,
        taken: &[Vmid],
    ) -> Result<Vmid, RegistryError> {
        self.0.lease_another_vmid(site, guest, range, taken).await.map_err(failed)
    }

    async fn record(
        &self,
        stack: &StackName,
        guest: &ResolvedGuest,
        node: &NodeName,
        vmid: Vmid,
    ) -> Result<(), RegistryError> {
        self.0.record_guest(stack, guest, node, vmid).await.map_err(failed)
    }

    async fn release(&self, guest: &GuestId) -> Result<(), RegistryError> {
        self.0.release_guest(guest).await.map_err(failed)
    }
}

fn failed(error: StoreError) -> RegistryError {
    match error {
        StoreError::NoFreeVmid { site, range } => RegistryError::NoFreeVmid { site, range },
        other => RegistryError::Store(chain(&other)),
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
