//! The book of guests and their leases, in the memory that all servers share; each server reaches it through its own view.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use rl_model::{GuestId, NodeName, ResolvedGuest, SiteName, StackName, Vmid, VmidRange};
use rl_ops::{GuestRegistry, RegistryError};

use crate::life::Life;

/// What is written down about one guest.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) site: SiteName,
    pub(crate) vmid: Vmid,
    pub(crate) released: bool,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Book(Mutex<BTreeMap<GuestId, Page>>);

impl Book {
    /// Reserves what a guest needs, as starting an operation does; what it holds already it keeps. A VMID that was given
    /// back stays in quarantine for the whole run.
    pub(crate) fn reserve(&self, guest: &ResolvedGuest, range: VmidRange) -> Vmid {
        let mut book = self.0.lock().unwrap();
        if let Some(page) = book.get(&guest.id) {
            return page.vmid;
        }
        let held: Vec<Vmid> = book.values().filter(|page| page.site == guest.site).map(|page| page.vmid).collect();
        let vmid = std::iter::once(guest.vmid).chain(range.iter()).find(|vmid| !held.contains(vmid)).unwrap();
        book.insert(guest.id.clone(), Page { site: guest.site.clone(), vmid, released: false });
        vmid
    }

    pub(crate) fn page(&self, guest: &GuestId) -> Option<Page> {
        self.0.lock().unwrap().get(guest).cloned()
    }

    /// The guest that holds a VMID.
    pub(crate) fn holder(&self, site: &SiteName, vmid: Vmid) -> Option<GuestId> {
        let book = self.0.lock().unwrap();
        let holds = |page: &Page| page.site == *site && page.vmid == vmid && !page.released;
        book.iter().find(|(_, page)| holds(page)).map(|(id, _)| id.clone())
    }

    fn lease_another(&self, guest: &GuestId, range: VmidRange, taken: &[Vmid]) -> Option<Vmid> {
        let mut book = self.0.lock().unwrap();
        let site = book.get(guest)?.site.clone();
        let held: Vec<Vmid> = book.values().filter(|page| page.site == site).map(|page| page.vmid).collect();
        let free = range.iter().find(|vmid| !held.contains(vmid) && !taken.contains(vmid))?;
        book.get_mut(guest)?.vmid = free;
        Some(free)
    }
}

/// The book as one run of a server sees it: nothing is read or written by a process that stands still or is dead.
pub(crate) struct View {
    pub(crate) book: Arc<Book>,
    pub(crate) life: Arc<Life>,
}

impl View {
    async fn reach(&self) {
        self.life.wait(|state| !state.stopped && !state.no_database).await;
    }
}

#[async_trait]
impl GuestRegistry for View {
    async fn vmid_of(&self, _site: &SiteName, guest: &GuestId) -> Result<Option<Vmid>, RegistryError> {
        self.reach().await;
        Ok(self.book.page(guest).filter(|page| !page.released).map(|page| page.vmid))
    }

    async fn lease_another_vmid(
        &self,
        site: &SiteName,
        guest: &GuestId,
        range: VmidRange,
        taken: &[Vmid],
    ) -> Result<Vmid, RegistryError> {
        self.reach().await;
        let next = self.book.lease_another(guest, range, taken);
        next.ok_or_else(|| RegistryError::NoFreeVmid { site: site.clone(), range })
    }

    async fn record(
        &self,
        _: &StackName,
        guest: &ResolvedGuest,
        _: &NodeName,
        vmid: Vmid,
    ) -> Result<(), RegistryError> {
        self.reach().await;
        let page = Page { site: guest.site.clone(), vmid, released: false };
        self.book.0.lock().unwrap().insert(guest.id.clone(), page);
        Ok(())
    }

    async fn release(&self, guest: &GuestId) -> Result<(), RegistryError> {
        self.reach().await;
        if let Some(page) = self.book.0.lock().unwrap().get_mut(guest) {
            page.released = true;
        }
        Ok(())
    }
}
