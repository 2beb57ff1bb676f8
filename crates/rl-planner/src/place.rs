//! Placement: which node a new guest goes to, why, and why not the others.
//!
//! First every node that cannot take the guest is refused with its reason; among the others the entry's guests are
//! spread evenly where the stack asks for it, then the node with most memory left wins, then the name decides. The
//! ledger remembers what was given away, so that a thousand guests placed together share the room there is.

use std::collections::{BTreeMap, BTreeSet};

use rl_model::manifest::Spread;
use rl_model::{
    BridgeName, ContainerName, Memory, NodeName, ObservedNode, ObservedSite, ObservedStorage, Site, SiteName,
    StorageId, VolumeId,
};

/// Memory that guests may be promised, in percent of what a node has: a container's memory is a cap, of which most use
/// a part.
const MEMORY_OVERCOMMIT_PERCENT: u64 = 150;
/// Memory of a node that is never promised to guests: what Proxmox itself and its file caches live on.
const MEMORY_RESERVE_BYTES: u64 = 1 << 30;
/// Content type a storage must have to take root disks and volumes of containers (`pve-api`: storage `content`).
const CONTENT_ROOTDIR: &str = "rootdir";

/// What a guest needs of its node.
#[derive(Debug, Clone)]
pub(crate) struct Need<'a> {
    /// The manifest's entry it comes from.
    pub(crate) entry: &'a ContainerName,
    /// How the entry's guests are spread.
    pub(crate) spread: Spread,
    /// Memory it may use.
    pub(crate) memory: Memory,
    /// Bytes on each storage.
    pub(crate) disks: BTreeMap<&'a StorageId, u64>,
    /// Its template.
    pub(crate) image: &'a VolumeId,
    /// Bridges its NICs hang on.
    pub(crate) bridges: BTreeSet<&'a BridgeName>,
}

/// Why a node cannot take a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) kind: RefusalKind,
    /// In a sentence part whose subject is the node: "has no bridge `vmbr1`".
    pub(crate) text: String,
}

/// The kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RefusalKind {
    Unknown,
    Excluded,
    Offline,
    /// The node itself could not be read.
    Unread,
    /// The node was not asked for something, or did not tell it.
    Untold,
    Image,
    Storage,
    Bridge,
    Room,
}

/// A node that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) node: NodeName,
    pub(crate) why: String,
    pub(crate) refused: BTreeMap<NodeName, String>,
}

/// What each node of the sites still has to give.
pub(crate) struct Ledger<'a> {
    sites: BTreeMap<&'a SiteName, SiteLedger<'a>>,
}

struct SiteLedger<'a> {
    site: &'a Site,
    seen: &'a ObservedSite,
    /// Memory promised to the guests that run or were placed, in bytes.
    memory: BTreeMap<&'a NodeName, u64>,
    /// Bytes placed on a storage of one node.
    local: BTreeMap<(NodeName, StorageId), u64>,
    /// Bytes placed on a storage that all nodes share.
    shared: BTreeMap<StorageId, u64>,
    /// How many guests of an entry a node has.
    entries: BTreeMap<(ContainerName, NodeName), u32>,
    /// Templates on storages that all nodes share.
    shared_templates: BTreeSet<&'a VolumeId>,
}

impl<'a> Ledger<'a> {
    /// Counts what running guests hold already.
    pub(crate) fn new(sites: impl Iterator<Item = (&'a Site, &'a ObservedSite)>) -> Self {
        Self { sites: sites.map(|(site, seen)| (&site.name, SiteLedger::new(site, seen))).collect() }
    }

    /// Counts a guest of an entry that is there already, so that new ones are spread around it.
    pub(crate) fn present(&mut self, site: &SiteName, entry: &ContainerName, node: &NodeName) {
        if let Some(ledger) = self.sites.get_mut(site) {
            *ledger.entries.entry((entry.clone(), node.clone())).or_default() += 1;
        }
    }

    /// Whether one node can take a guest.
    pub(crate) fn check(&self, site: &SiteName, node: &NodeName, need: &Need<'_>) -> Result<(), Refusal> {
        match self.sites.get(site) {
            Some(ledger) => ledger.check(node, need),
            None => Err(refuse(RefusalKind::Unread, "was not read")),
        }
    }

    /// Chooses the node of a new guest, or tells why each cannot take it.
    pub(crate) fn choose(&self, site: &SiteName, need: &Need<'_>) -> Result<Choice, BTreeMap<NodeName, Refusal>> {
        self.sites.get(site).map_or_else(|| Err(BTreeMap::new()), |ledger| ledger.choose(need))
    }

    /// Gives a node's room to a guest.
    pub(crate) fn take(&mut self, site: &SiteName, node: &NodeName, need: &Need<'_>) {
        if let Some(ledger) = self.sites.get_mut(site) {
            ledger.take(node, need);
        }
    }
}

impl<'a> SiteLedger<'a> {
    fn new(site: &'a Site, seen: &'a ObservedSite) -> Self {
        let mut memory: BTreeMap<&'a NodeName, u64> = seen.nodes.keys().map(|node| (node, 0)).collect();
        for guest in seen.guests.values().filter(|guest| guest.status == rl_model::GuestStatus::Running) {
            if let Some(sum) = memory.get_mut(&guest.node) {
                *sum = sum.saturating_add(guest.max_memory_bytes);
            }
        }
        let shared = |node: &'a ObservedNode, template: &VolumeId| {
            node.storages.get(&template.storage()).is_some_and(|storage| storage.shared)
        };
        let shared_templates = seen
            .nodes
            .values()
            .flat_map(|node| node.templates.iter().flatten().filter(move |template| shared(node, template)))
            .collect();
        let (local, entries) = (BTreeMap::new(), BTreeMap::new());
        Self { site, seen, memory, local, shared: BTreeMap::new(), entries, shared_templates }
    }

    fn check(&self, name: &NodeName, need: &Need<'_>) -> Result<(), Refusal> {
        let node = self.seen.nodes.get(name).ok_or_else(|| refuse(RefusalKind::Unknown, "is not on the site"))?;
        if !self.site.nodes.is_empty() && !self.site.nodes.contains(name) {
            return Err(refuse(RefusalKind::Excluded, "is not among the nodes that the site file allows"));
        }
        if !node.online {
            return Err(refuse(RefusalKind::Offline, "is offline"));
        }
        if let Some(why) = self.seen.node_unread(name) {
            return Err(refuse(RefusalKind::Unread, format!("could not be read: {why}")));
        }
        self.check_image(node, need)?;
        need.disks.iter().try_for_each(|(storage, bytes)| self.check_storage(name, node, storage, *bytes))?;
        need.bridges.iter().try_for_each(|bridge| check_bridge(node, bridge))?;
        self.check_memory(name, node, need)
    }

    fn check_image(&self, node: &ObservedNode, need: &Need<'_>) -> Result<(), Refusal> {
        let storage = need.image.storage();
        let reaches_shared = node.storages.get(&storage).is_some_and(|storage| storage.shared && storage.available);
        if reaches_shared && self.shared_templates.contains(need.image) {
            return Ok(());
        }
        match &node.templates {
            None => Err(refuse(RefusalKind::Untold, "could not be asked for its templates")),
            Some(templates) if templates.contains(need.image) => Ok(()),
            Some(_) => Err(refuse(RefusalKind::Image, format!("has no template `{}`", need.image))),
        }
    }

    fn check_storage(
        &self,
        name: &NodeName,
        node: &ObservedNode,
        storage: &StorageId,
        bytes: u64,
    ) -> Result<(), Refusal> {
        let no = |text: String| Err(refuse(RefusalKind::Storage, text));
        let Some(seen) = node.storages.get(storage) else {
            return no(format!("has no storage `{storage}`"));
        };
        if !seen.content.iter().any(|content| content == CONTENT_ROOTDIR) {
            return no(format!("has storage `{storage}`, which takes no containers (`{CONTENT_ROOTDIR}`)"));
        }
        if !seen.available {
            return no(format!("cannot use storage `{storage}` now"));
        }
        if seen.total_bytes == 0 {
            return Err(refuse(RefusalKind::Untold, format!("does not tell the size of storage `{storage}`")));
        }
        let free = self.storage_free(name, storage, seen);
        if bytes > free {
            let text = format!("has {} left on storage `{storage}`, {} are needed", gib(free), gib(bytes));
            return Err(refuse(RefusalKind::Room, text));
        }
        Ok(())
    }

    fn storage_free(&self, name: &NodeName, storage: &StorageId, seen: &ObservedStorage) -> u64 {
        let placed = if seen.shared {
            self.shared.get(storage).copied()
        } else {
            self.local.get(&(name.clone(), storage.clone())).copied()
        };
        seen.total_bytes.saturating_sub(seen.used_bytes).saturating_sub(placed.unwrap_or(0))
    }

    fn check_memory(&self, name: &NodeName, node: &ObservedNode, need: &Need<'_>) -> Result<(), Refusal> {
        if node.memory_bytes == 0 {
            return Err(refuse(RefusalKind::Untold, "does not tell its memory"));
        }
        let free = self.memory_free(name);
        if need.memory.bytes() > free {
            let text = format!("has {} of memory left for guests, {} are needed", gib(free), gib(need.memory.bytes()));
            return Err(refuse(RefusalKind::Room, text));
        }
        Ok(())
    }

    /// Memory a node may still promise, in bytes.
    fn memory_free(&self, name: &NodeName) -> u64 {
        let total = self.seen.nodes.get(name).map_or(0, |node| node.memory_bytes);
        let allowed = (total / 100).saturating_mul(MEMORY_OVERCOMMIT_PERCENT).saturating_sub(MEMORY_RESERVE_BYTES);
        allowed.saturating_sub(self.memory.get(name).copied().unwrap_or(0))
    }

    fn choose(&self, need: &Need<'_>) -> Result<Choice, BTreeMap<NodeName, Refusal>> {
        let mut refused = BTreeMap::new();
        let mut fit: Vec<&NodeName> = Vec::new();
        for name in self.seen.nodes.keys() {
            match self.check(name, need) {
                Ok(()) => fit.push(name),
                Err(refusal) => drop(refused.insert(name.clone(), refusal)),
            }
        }
        let spread = need.spread == Spread::Node;
        let count = |name: &NodeName| self.entries.get(&(need.entry.clone(), name.clone())).copied().unwrap_or(0);
        let rank = |name: &&NodeName| {
            let of_entry = if spread { count(name) } else { 0 };
            (of_entry, std::cmp::Reverse(self.memory_free(name)), (*name).clone())
        };
        let Some(best) = fit.iter().copied().min_by_key(rank) else { return Err(refused) };
        let left = gib(self.memory_free(best));
        let of = if fit.len() == 1 {
            "the only node that can take it".to_owned()
        } else {
            format!("{} nodes that can take it", fit.len())
        };
        let why = match (spread, fit.len()) {
            (_, 1) => format!("{best} is {of}"),
            (true, _) => format!(
                "{best} has the fewest guests of `{}` ({}) among {of}, and of these the most memory left ({left})",
                need.entry,
                count(best)
            ),
            (false, _) => format!("{best} has the most memory left ({left}) among {of}"),
        };
        let refused = refused.into_iter().map(|(name, refusal)| (name, refusal.text)).collect();
        Ok(Choice { node: best.clone(), why, refused })
    }

    fn take(&mut self, node: &NodeName, need: &Need<'_>) {
        if let Some(sum) = self.memory.get_mut(node) {
            *sum = sum.saturating_add(need.memory.bytes());
        }
        *self.entries.entry((need.entry.clone(), node.clone())).or_default() += 1;
        for (storage, bytes) in &need.disks {
            let seen = self.seen.nodes.get(node).and_then(|node| node.storages.get(*storage));
            let placed = if seen.is_some_and(|storage| storage.shared) {
                self.shared.entry((*storage).clone()).or_default()
            } else {
                self.local.entry((node.clone(), (*storage).clone())).or_default()
            };
            *placed = placed.saturating_add(*bytes);
        }
    }
}

fn check_bridge(node: &ObservedNode, bridge: &BridgeName) -> Result<(), Refusal> {
    let Some(bridges) = &node.bridges else {
        return Err(refuse(RefusalKind::Untold, "could not be asked for its bridges"));
    };
    match bridges.get(bridge) {
        None => Err(refuse(RefusalKind::Bridge, format!("has no bridge `{bridge}`"))),
        Some(seen) if !seen.active => {
            Err(refuse(RefusalKind::Bridge, format!("has bridge `{bridge}`, but it is down")))
        }
        Some(_) => Ok(()),
    }
}

fn refuse(kind: RefusalKind, text: impl Into<String>) -> Refusal {
    Refusal { kind, text: text.into() }
}

/// Bytes as GiB with one decimal.
fn gib(bytes: u64) -> String {
    let tenths = (u128::from(bytes) * 10) >> 30;
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests;
