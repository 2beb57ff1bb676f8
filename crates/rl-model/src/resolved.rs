//! The resolved stack: the manifest with every default, reference, VMID, node and address filled in.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::firewall::{ResolvedFirewall, WantedSiteFirewall};
use crate::manifest::Section;
use crate::{
    BridgeName, ContainerName, ControllerId, DiskSize, GuestId, GuestName, GuestPath, Hostname, IfaceAddr, MacAddr,
    Memory, MountSlot, NetworkName, NicName, NicSlot, NodeName, PoolId, SiteName, StackName, Stamp, StorageId, Tag,
    VlanId, Vmid, VolumeId, VolumeName,
};

/// A stack with nothing left open: what shall be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResolvedStack {
    /// The stack's name.
    pub name: StackName,
    /// The installation that stamps its guests.
    pub controller: ControllerId,
    /// Its guests, by name.
    pub guests: BTreeMap<GuestName, ResolvedGuest>,
    /// What the stack declares besides its containers; carried out by its own part or told by the plan.
    #[serde(default)]
    pub sections: Vec<Section>,
    /// Firewall objects it needs on its sites.
    #[serde(default)]
    pub firewall: BTreeMap<SiteName, WantedSiteFirewall>,
    /// Its DNS records; values that are addresses are those leased to its guests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<crate::dns::ResolvedRecord>,
}

impl ResolvedStack {
    /// The stamp of one of its guests.
    pub fn stamp(&self, guest: &ResolvedGuest) -> Stamp {
        Stamp {
            guest: guest.id.clone(),
            stack: self.name.clone(),
            name: guest.name.clone(),
            controller: self.controller.clone(),
        }
    }
}

/// One container as it shall be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResolvedGuest {
    /// Identity for life.
    pub id: GuestId,
    /// Name in the stack.
    pub name: GuestName,
    /// The manifest's entry it comes from.
    pub container: ContainerName,
    /// The site it lies on.
    pub site: SiteName,
    /// The node it is created on; an observation afterwards, unless pinned.
    pub node: NodeName,
    /// Whether the manifest names the node, so that a guest found elsewhere is moved back.
    pub node_pinned: bool,
    /// The leased VMID.
    pub vmid: Vmid,
    /// Host name inside the guest.
    pub hostname: Hostname,
    /// Template it is made from.
    pub image: VolumeId,
    /// Storage of its root disk.
    pub storage: StorageId,
    /// CPU cores.
    pub cores: u32,
    /// Memory.
    pub memory: Memory,
    /// Swap.
    pub swap: Memory,
    /// Size of its root disk; only ever grows.
    pub disk: DiskSize,
    /// Data volumes.
    pub volumes: Vec<ResolvedVolume>,
    /// NICs in slot order.
    pub nics: Vec<ResolvedNic>,
    /// Name servers; the node's own when empty.
    pub nameservers: Vec<IpAddr>,
    /// DNS search domain.
    pub search_domain: Option<String>,
    /// Tags the user asked for, without the stamp's.
    pub tags: Vec<Tag>,
    /// The user's notes, without the stamp's line.
    pub notes: String,
    /// Whether the node starts it when it boots.
    pub onboot: bool,
    /// Start and stop order on the node.
    pub startup: Option<StartupOrder>,
    /// Whether root in the guest is an ordinary user on the node.
    pub unprivileged: bool,
    /// Features switched on.
    pub features: Features,
    /// Whether Proxmox shall refuse to remove it.
    pub protection: bool,
    /// Whether it shall run.
    pub running: bool,
    /// Pool it is put into when it is created.
    pub pool: Option<PoolId>,
    /// Public keys for root, one a line; written when the guest is created.
    pub ssh_keys: Vec<String>,
    /// Time zone inside the guest, or `host`.
    pub timezone: Option<String>,
    /// Secrets delivered into it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<crate::manifest::SecretGrant>,
    /// Guests that must be proven running before this one is created.
    pub after: Vec<GuestName>,
    /// Its firewall; `None` where the stack says nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firewall: Option<ResolvedFirewall>,
}

/// A data volume as it shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedVolume {
    /// Name in the manifest.
    pub name: VolumeName,
    /// Proxmox's number for it.
    pub slot: MountSlot,
    /// Storage it lies on.
    pub storage: StorageId,
    /// Size; only ever grows.
    pub size: DiskSize,
    /// Where it is mounted.
    pub path: GuestPath,
    /// Whether backups include it.
    pub backup: bool,
    /// Whether it is mounted read-only.
    pub read_only: bool,
}

/// A NIC as it shall be: slot, name, MAC and addresses belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedNic {
    /// Proxmox's number for it.
    pub slot: NicSlot,
    /// Its name inside the guest.
    pub name: NicName,
    /// The network it hangs on.
    pub network: NetworkName,
    /// Bridge or VNet.
    pub bridge: BridgeName,
    /// VLAN tag on the bridge.
    pub vlan: Option<VlanId>,
    /// MTU in bytes.
    pub mtu: Option<u16>,
    /// Rate limit in MB/s (10^6 bytes).
    pub rate_mbps: Option<u32>,
    /// The leased MAC.
    pub mac: MacAddr,
    /// IPv4 address.
    pub ipv4: AddressMode,
    /// IPv6 address.
    pub ipv6: AddressMode,
    /// Whether Proxmox's firewall filters this NIC.
    pub firewall: bool,
}

/// How a NIC gets an address of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressMode {
    /// It has none.
    None,
    /// From a DHCP server.
    Dhcp,
    /// By stateless autoconfiguration (IPv6 only).
    Auto,
    /// A leased address.
    Static {
        /// The address with its prefix length.
        address: IfaceAddr,
        /// Default gateway.
        gateway: Option<IpAddr>,
    },
}

impl AddressMode {
    /// The leased address, where there is one.
    pub fn leased(&self) -> Option<IpAddr> {
        match self {
            Self::Static { address, .. } => Some(address.address()),
            _ => None,
        }
    }
}

/// Features of a container. All but `nesting` can only be set by `root@pam` with a password (PROXMOX: `LXC.pm`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// Containers within the container; what systemd of recent distributions needs.
    pub nesting: bool,
    /// The `keyctl()` system call in an unprivileged container.
    pub keyctl: bool,
    /// FUSE file systems.
    pub fuse: bool,
}

impl Features {
    /// Whether setting them needs the user `root@pam` itself.
    pub fn needs_root(self) -> bool {
        self.keyctl || self.fuse
    }
}

/// Place in the node's start order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartupOrder {
    /// Lower starts earlier.
    pub order: Option<u32>,
    /// Seconds to wait after starting it.
    pub up_delay_s: Option<u32>,
    /// Seconds to wait for its shutdown.
    pub down_delay_s: Option<u32>,
}

/// What the store knows about ids already handed out; `resolve` takes from what is free.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leases {
    /// This installation.
    pub controller: ControllerId,
    /// Guests of the stack being resolved that exist or are reserved, by name.
    pub guests: BTreeMap<GuestName, KnownGuest>,
    /// What is held on each site, by whomever.
    pub sites: BTreeMap<SiteName, SiteLeases>,
    /// Seed of the ids made while resolving; random, handed in so that resolving is pure.
    pub entropy: u64,
    /// What is known of secrets.
    #[serde(default)]
    pub secrets: crate::KnownSecrets,
}

/// A guest the store knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownGuest {
    /// Its identity.
    pub id: GuestId,
    /// Its stack.
    pub stack: StackName,
    /// Its name there.
    pub name: GuestName,
    /// Its site.
    pub site: SiteName,
    /// The node it was last put on.
    pub node: NodeName,
    /// Its VMID.
    pub vmid: Vmid,
    /// MAC of each of its NICs.
    pub macs: BTreeMap<NicName, MacAddr>,
    /// Leased addresses of each of its NICs.
    pub addresses: BTreeMap<NicName, Vec<IpAddr>>,
    /// The guest as it was last resolved, to tell what changed since.
    pub last: Option<ResolvedGuest>,
}

/// Everything held on one site.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SiteLeases {
    /// VMIDs.
    pub vmids: BTreeMap<Vmid, HeldLease>,
    /// MACs.
    pub macs: BTreeMap<MacAddr, HeldLease>,
    /// Addresses.
    pub addresses: BTreeMap<IpAddr, HeldLease>,
}

/// Who holds a reserved value, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLease {
    /// The guest.
    pub guest: GuestId,
    /// Held, or waiting out its quarantine.
    pub state: LeaseState,
}

/// State of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseState {
    /// In use.
    Held,
    /// Released, but not to be handed out before a time has passed.
    Quarantined,
}
