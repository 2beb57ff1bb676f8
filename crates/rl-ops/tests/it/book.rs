//! The book of guests, in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use rl_model::{GuestId, NodeName, ResolvedGuest, SiteName, StackName, Vmid, VmidRange};
use rl_ops::{GuestRegistry, RegistryError};

/// What is written down about one guest.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) vmid: Vmid,
    pub(crate) recorded: Option<ResolvedGuest>,
    pub(crate) released: bool,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Book(Mutex<BTreeMap<GuestId, Page>>);

impl Book {
    /// Reserves what a guest needs, as starting an operation does.
    pub(crate) fn reserve(&self, guest: &ResolvedGuest) {
        let page = Page { vmid: guest.vmid, recorded: None, released: false };
        self.0.lock().unwrap().insert(guest.id.clone(), page);
    }

    pub(crate) fn page(&self, guest: &GuestId) -> Option<Page> {
        self.0.lock().unwrap().get(guest).cloned()
    }

    /// Who holds what, as text.
    pub(crate) fn text(&self) -> String {
        let book = self.0.lock().unwrap();
        let line = |(id, page): (&GuestId, &Page)| format!("{id} {} released={}", page.vmid, page.released);
        book.iter().map(line).collect::<Vec<_>>().join("; ")
    }
}

#[async_trait]
impl GuestRegistry for Book {
    async fn vmid_of(&self, _site: &SiteName, guest: &GuestId) -> Result<Option<Vmid>, RegistryError> {
        Ok(self.page(guest).filter(|page| !page.released).map(|page| page.vmid))
    }

    async fn lease_another_vmid(
        &self,
        site: &SiteName,
        guest: &GuestId,
        range: VmidRange,
        taken: &[Vmid],
    ) -> Result<Vmid, RegistryError> {
        let mut book = self.0.lock().unwrap();
        let held: Vec<Vmid> = book.values().map(|page| page.vmid).collect();
        let free = range.iter().find(|vmid| !held.contains(vmid) && !taken.contains(vmid));
        let free = free.ok_or_else(|| RegistryError::NoFreeVmid { site: site.clone(), range })?;
        book.get_mut(guest).unwrap().vmid = free;
        Ok(free)
    }

    async fn record(
        &self,
        _: &StackName,
        guest: &ResolvedGuest,
        _: &NodeName,
        vmid: Vmid,
    ) -> Result<(), RegistryError> {
        let page = Page { vmid, recorded: Some(guest.clone()), released: false };
        self.0.lock().unwrap().insert(guest.id.clone(), page);
        Ok(())
    }

    async fn release(&self, guest: &GuestId) -> Result<(), RegistryError> {
        if let Some(page) = self.0.lock().unwrap().get_mut(guest) {
            page.released = true;
        }
        Ok(())
    }
}
