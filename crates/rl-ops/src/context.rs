//! What steps work with: the sites' APIs, and the book of guests and leases.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use rl_agent::Courier;
use rl_engine::StepError;
use rl_model::{Fqdn, GuestId, NodeName, ResolvedGuest, SiteName, StackName, Vmid, VmidRange};
use rl_providers::dns::DnsProvider;

use crate::parts::secrets::SecretDesk;
use crate::site::SiteApi;

/// The context of every step.
pub struct Ctx {
    sites: Arc<dyn SiteSource>,
    guests: Arc<dyn GuestRegistry>,
    courier: Option<Arc<dyn Courier>>,
    zones: Arc<ZoneShelf>,
    secrets: Option<SecretDesk>,
}

/// The zones that are known at the moment: a server learns of new ones while it runs.
#[derive(Default)]
pub struct ZoneShelf(std::sync::RwLock<Zones>);

impl ZoneShelf {
    /// Holds these zones.
    pub fn of(zones: Zones) -> Arc<Self> {
        Arc::new(Self(std::sync::RwLock::new(zones)))
    }

    /// Replaces all zones.
    pub fn replace(&self, zones: Zones) {
        *self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = zones;
    }

    fn get(&self, name: &Fqdn) -> Option<Arc<dyn DnsProvider>> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(name).cloned()
    }
}

/// Zones of DNS records by name.
pub type Zones = BTreeMap<Fqdn, Arc<dyn DnsProvider>>;

/// Where steps get the API of a site from. Asked at the beginning of every step, so that a server can learn of a site, or of its
/// new token, while it runs.
pub trait SiteSource: Send + Sync {
    /// The API of a site, or why there is none and how to go on.
    fn site(&self, name: &SiteName) -> Result<Arc<SiteApi>, StepError>;
}

/// The sites of one command: fixed from its start.
impl SiteSource for BTreeMap<SiteName, Arc<SiteApi>> {
    fn site(&self, name: &SiteName) -> Result<Arc<SiteApi>, StepError> {
        self.get(name).cloned().ok_or_else(|| {
            StepError::blocked(
                format!("site {name} is not connected"),
                format!("give its file with -f, or apply it once, so that site {name} is known"),
            )
        })
    }
}

impl Ctx {
    /// Joins the sites that the jobs at hand need and the book of guests.
    pub fn new(sites: BTreeMap<SiteName, Arc<SiteApi>>, guests: Arc<dyn GuestRegistry>) -> Self {
        Self::with_source(Arc::new(sites), guests)
    }

    /// Joins a source of sites and the book of guests.
    pub fn with_source(sites: Arc<dyn SiteSource>, guests: Arc<dyn GuestRegistry>) -> Self {
        Self { sites, guests, courier: None, zones: Arc::default(), secrets: None }
    }

    /// The same with zones whose records may be written.
    #[must_use]
    pub fn with_zones(mut self, zones: Arc<ZoneShelf>) -> Self {
        self.zones = zones;
        self
    }

    /// A zone; blocked where this process does not know it.
    pub fn zone(&self, name: &Fqdn) -> Result<Arc<dyn DnsProvider>, StepError> {
        self.zones.get(name).ok_or_else(|| {
            StepError::blocked(
                format!("the zone {name} is not known"),
                format!("declare it under `dns:` of a site file, and apply a stack of that site once: {name}"),
            )
        })
    }

    /// The same with a way to the agents of nodes.
    #[must_use]
    pub fn with_courier(mut self, courier: Option<Arc<dyn Courier>>) -> Self {
        self.courier = courier;
        self
    }

    /// The way to the agents of nodes; blocked where this process has none.
    pub fn courier(&self) -> Result<&dyn Courier, StepError> {
        self.courier.as_deref().ok_or_else(|| {
            StepError::blocked(
                "agents are not served here, so that nothing can be done inside guests",
                "give --agents ADDR, where the agents of the nodes can connect, or let `rapidlaunch serve --agents ADDR` carry it out",
            )
        })
    }

    /// The same with a source of secrets.
    #[must_use]
    pub fn with_secrets(mut self, secrets: Option<SecretDesk>) -> Self {
        self.secrets = secrets;
        self
    }

    /// The source of secrets; blocked where this process has none.
    pub fn secrets(&self) -> Result<&SecretDesk, StepError> {
        self.secrets.as_ref().ok_or_else(|| {
            StepError::blocked(
                "this server has no key for the secrets of the store",
                "start it with --identity FILE, the key of the installation, then retry the operation",
            )
        })
    }

    /// The API of a site.
    pub fn site(&self, name: &SiteName) -> Result<Arc<SiteApi>, StepError> {
        self.sites.site(name)
    }

    /// The book of guests.
    pub fn guests(&self) -> &dyn GuestRegistry {
        &*self.guests
    }
}

/// The book of guests and their leases, kept in the store. Every call is one transaction.
#[async_trait]
pub trait GuestRegistry: Send + Sync {
    /// The VMID leased to a guest.
    async fn vmid_of(&self, site: &SiteName, guest: &GuestId) -> Result<Option<Vmid>, RegistryError>;

    /// Gives the guest another VMID: the lowest of the range that nobody holds and that is not `taken`. The old one is
    /// given back at once, since a stranger holds it.
    async fn lease_another_vmid(
        &self,
        site: &SiteName,
        guest: &GuestId,
        range: VmidRange,
        taken: &[Vmid],
    ) -> Result<Vmid, RegistryError>;

    /// Writes down that a guest is as resolved, on this node under this VMID.
    async fn record(
        &self,
        stack: &StackName,
        guest: &ResolvedGuest,
        node: &NodeName,
        vmid: Vmid,
    ) -> Result<(), RegistryError>;

    /// Gives back all that a guest holds, after a quarantine, and forgets it. Doing it again changes nothing.
    async fn release(&self, guest: &GuestId) -> Result<(), RegistryError>;
}

/// Why the book could not be read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegistryError {
    /// No VMID of the range is free.
    #[error("no VMID of {range} is free on site {site}")]
    NoFreeVmid {
        /// The site.
        site: SiteName,
        /// The range.
        range: VmidRange,
    },
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(String),
}

impl From<RegistryError> for StepError {
    fn from(error: RegistryError) -> Self {
        match &error {
            RegistryError::NoFreeVmid { .. } => Self::blocked(
                error.to_string(),
                "widen `vmids` in the site file, or remove guests that are no longer needed",
            ),
            RegistryError::Store(_) => Self::retry(std::time::Duration::from_secs(1), error.to_string()),
        }
    }
}
