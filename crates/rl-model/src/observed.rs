//! What the sites really contain, when it was seen, and what could not be read.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::config::ConfigFields;
use crate::firewall::ObservedSiteFirewall;
use crate::{
    BridgeName, Hostname, IfaceAddr, MacAddr, NicName, NodeName, PoolId, SiteName, Stamp, StorageId, Tag, Vmid,
    VolumeId,
};

/// The sites a plan needs, as they were seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// By name.
    pub sites: BTreeMap<SiteName, ObservedSite>,
    /// Zones of DNS records, as far as they were looked at.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub zones: BTreeMap<crate::Fqdn, crate::dns::ObservedZone>,
}

/// One site as it was seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ObservedSite {
    /// When the reading began, in milliseconds of Unix time.
    pub seen_at_ms: i64,
    /// Version text of the API, such as `9.1.6`; empty when it could not be read.
    pub version: String,
    /// Whether the cluster has a quorum; a standalone node always has.
    pub quorate: bool,
    /// Nodes by name.
    pub nodes: BTreeMap<NodeName, ObservedNode>,
    /// Every guest of the site, ours or not.
    pub guests: BTreeMap<Vmid, ObservedGuest>,
    /// What could not be read: never guessed, always told.
    pub unread: Vec<Unread>,
    /// Its firewall, as far as it was looked at.
    #[serde(default)]
    pub firewall: ObservedSiteFirewall,
}

/// One node as it was seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ObservedNode {
    /// Whether it answers.
    pub online: bool,
    /// CPU threads.
    pub cores: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Memory in use, in bytes.
    pub memory_used_bytes: u64,
    /// Its storages.
    pub storages: BTreeMap<StorageId, ObservedStorage>,
    /// Its bridges and VNets; `None` when they were not read.
    pub bridges: Option<BTreeMap<BridgeName, Bridge>>,
    /// Templates on it, by volume; `None` when they were not read.
    pub templates: Option<Vec<VolumeId>>,
}

/// A bridge of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bridge {
    /// Whether it takes VLAN tags.
    pub vlan_aware: bool,
    /// Whether it is up.
    pub active: bool,
}

/// A storage of a node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ObservedStorage {
    /// Proxmox's type, such as `zfspool`.
    pub kind: String,
    /// What may lie on it: `rootdir`, `vztmpl`, …
    pub content: Vec<String>,
    /// Whether every node sees the same.
    pub shared: bool,
    /// Whether it can be used now.
    pub available: bool,
    /// Size in bytes, 0 when unknown.
    pub total_bytes: u64,
    /// In use, in bytes.
    pub used_bytes: u64,
}

/// Container or virtual machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuestKind {
    /// LXC.
    Container,
    /// QEMU.
    Vm,
}

/// Whether a guest runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuestStatus {
    /// It runs.
    Running,
    /// It is stopped.
    Stopped,
    /// Proxmox does not know, or not yet (its statistics run every ten seconds).
    Unknown,
}

/// One guest as it was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservedGuest {
    /// Its number.
    pub vmid: Vmid,
    /// Its kind.
    pub kind: GuestKind,
    /// The node it lies on.
    pub node: NodeName,
    /// Its name, empty when not known yet.
    pub name: String,
    /// Whether it runs.
    pub status: GuestStatus,
    /// Whether it is a template.
    pub template: bool,
    /// Its tags, lower case.
    pub tags: Vec<String>,
    /// Its config lock, such as `create` or `backup`.
    pub lock: Option<String>,
    /// Its pool.
    pub pool: Option<PoolId>,
    /// CPU cores by the resource list.
    pub max_cores: u32,
    /// Memory by the resource list, in bytes.
    pub max_memory_bytes: u64,
    /// Root disk by the resource list, in bytes.
    pub max_disk_bytes: u64,
    /// Its configuration, where it was read.
    pub config: Option<ContainerConfig>,
    /// Interfaces inside the running guest, where they were read.
    pub live: Option<Vec<LiveInterface>>,
}

impl ObservedGuest {
    /// Whether one of its tags has the form of a stamp's tag.
    pub fn has_stamp_tag(&self, tag: &Tag) -> bool {
        self.tags.iter().any(|have| have == tag.as_str())
    }
}

/// A container's configuration, in the form that plans compare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerConfig {
    /// SHA-1 of the file, sent back with every write.
    pub digest: String,
    /// The stamp in its description, if a valid one is there.
    pub stamp: Option<Stamp>,
    /// Its host name, where it is a valid one.
    pub hostname: Option<Hostname>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its config lock.
    pub lock: Option<String>,
    /// MAC of `net0`, part of the identity that is checked.
    pub net0_mac: Option<MacAddr>,
    /// The comparable fields, in Proxmox's own words, normalised.
    pub fields: ConfigFields,
    /// Keys with a change that waits for a restart.
    pub pending: Vec<String>,
}

/// One interface inside a running guest (`GET …/interfaces`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveInterface {
    /// Its name inside the guest.
    pub name: NicName,
    /// Its MAC.
    pub mac: Option<MacAddr>,
    /// Its addresses, link-local ones left out.
    pub addresses: Vec<IfaceAddr>,
}

impl LiveInterface {
    /// Whether it bears the address.
    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|have| have.address() == address)
    }
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// What: "node pve2", "configuration of 2003", "resource lxc/2003".
    pub what: String,
    /// Why, in a sentence.
    pub why: String,
}

/// What an [`Unread`] of a site's whole guest list is called.
const GUESTS: &str = "guests";
/// What an [`Unread`] of one row of the resource list begins with.
const ROW: &str = "resource ";

impl Unread {
    /// The site's list of guests: none of them is known to be there or not.
    pub fn guests(why: impl Into<String>) -> Self {
        Self { what: GUESTS.to_owned(), why: why.into() }
    }

    /// A node, with everything that lies on it.
    pub fn node(node: &NodeName, why: impl Into<String>) -> Self {
        Self { what: format!("node {node}"), why: why.into() }
    }

    /// The configuration of one guest.
    pub fn config(vmid: Vmid, why: impl Into<String>) -> Self {
        Self { what: config_of(vmid), why: why.into() }
    }

    /// One row of the resource list, by its id there: `lxc/2003`.
    pub fn row(id: &str, why: impl Into<String>) -> Self {
        Self { what: format!("{ROW}{id}"), why: why.into() }
    }

    /// The VMID of the guest whose row this is, where it is a guest's.
    pub fn row_vmid(&self) -> Option<Vmid> {
        let id = self.what.strip_prefix(ROW)?;
        id.strip_prefix("lxc/").or_else(|| id.strip_prefix("qemu/"))?.parse().ok()
    }

    /// Whether this is the configuration of one guest.
    pub fn is_config_of(&self, vmid: Vmid) -> bool {
        self.what == config_of(vmid)
    }
}

fn config_of(vmid: Vmid) -> String {
    format!("configuration of {vmid}")
}

impl ObservedSite {
    /// Why the list of guests could not be read, when it could not.
    pub fn guests_unread(&self) -> Option<&str> {
        self.why_unread(GUESTS)
    }

    /// Why a node could not be read, when it could not.
    pub fn node_unread(&self, node: &NodeName) -> Option<&str> {
        self.why_unread(&format!("node {node}"))
    }

    /// Why the configuration of a guest could not be read, when it was tried and could not.
    pub fn config_unread(&self, vmid: Vmid) -> Option<&str> {
        self.why_unread(&config_of(vmid))
    }

    fn why_unread(&self, what: &str) -> Option<&str> {
        self.unread.iter().find(|unread| unread.what == what).map(|unread| unread.why.as_str())
    }
}
