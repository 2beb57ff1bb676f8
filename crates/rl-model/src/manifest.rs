//! The manifest: what the user declared, checked in itself, references resolved by name, defaults filled in.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

mod origins;
mod sections;

pub use origins::{Location, Origins};
pub use sections::{
    DnsContent, DnsRecord, DnsTarget, FirewallPeer, FirewallRule, FirewallSpec, FirewallTraffic, GroupCall, GuestRule,
    PortRange, RuleDirection, SecretGrant, Section, SectionKind, Verdict,
};

use crate::{
    ContainerName, DiskSize, Features, Fqdn, GuestName, GuestPath, Hostname, MacAddr, Memory, NetworkName, NicName,
    NodeName, PoolId, Site, SiteName, StackName, StartupOrder, StorageId, Tag, Vmid, VolumeId, VolumeName,
};

/// Every site and stack that was declared together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Manifest {
    /// Sites by name.
    pub sites: BTreeMap<SiteName, Site>,
    /// Stacks by name.
    pub stacks: BTreeMap<StackName, Stack>,
    /// Where each part was written, so that later findings can point into the file.
    pub origins: Origins,
}

/// One stack as declared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stack {
    /// Its name.
    pub name: StackName,
    /// Its containers, defaults filled in.
    pub containers: BTreeMap<ContainerName, Container>,
    /// DNS records as declared.
    #[serde(default)]
    pub dns: Vec<DnsRecord>,
    /// Parts that were declared besides the containers themselves: a plan has to carry out each of them or say that it
    /// does not.
    #[serde(default)]
    pub sections: Vec<Section>,
}

impl Stack {
    /// The names of the guests an entry stands for: its own name, or with `-1` … where `count` is given.
    pub fn guest_names(&self, container: &Container) -> Vec<GuestName> {
        let name =
            |ordinal| GuestName::of(&container.name, ordinal).expect("a container name leaves room for an ordinal");
        match container.count {
            None => vec![name(None)],
            Some(count) => (1..=count).map(|n| name(Some(n))).collect(),
        }
    }

    /// The sites its containers lie on.
    pub fn sites(&self) -> std::collections::BTreeSet<SiteName> {
        self.containers.values().map(|container| container.site.clone()).collect()
    }
}

/// One entry under `containers:`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// Its key.
    pub name: ContainerName,
    /// How many guests it stands for; `None` for one that bears the entry's own name.
    pub count: Option<u32>,
    /// Its site.
    pub site: SiteName,
    /// The template, resolved through the site's images.
    pub image: VolumeId,
    /// Storage of the root disk.
    pub storage: StorageId,
    /// CPU cores.
    pub cores: u32,
    /// Memory.
    pub memory: Memory,
    /// Swap.
    pub swap: Memory,
    /// Root disk.
    pub disk: DiskSize,
    /// Data volumes in the order of the file.
    pub volumes: Vec<Volume>,
    /// NICs in the order of the file: the first is `net0`.
    pub nics: Vec<Nic>,
    /// Node it is pinned to.
    pub node: Option<NodeName>,
    /// VMIDs its guests are pinned to, first guest first; empty when any will do.
    pub vmids: Vec<Vmid>,
    /// How several guests are spread.
    pub spread: Spread,
    /// Host name; the guest's name when left out. Only without `count`.
    pub hostname: Option<Hostname>,
    /// Name servers; those of the first NIC's network when left out.
    pub nameservers: Vec<IpAddr>,
    /// DNS search domain.
    pub search_domain: Option<Fqdn>,
    /// Tags.
    pub tags: Vec<Tag>,
    /// Notes shown in Proxmox.
    pub notes: String,
    /// Start with the node.
    pub onboot: bool,
    /// Place in the node's start order.
    pub startup: Option<StartupOrder>,
    /// Unprivileged container.
    pub unprivileged: bool,
    /// Features.
    pub features: Features,
    /// Refuse removal.
    pub protection: bool,
    /// Whether it shall run.
    pub running: bool,
    /// Pool.
    pub pool: Option<PoolId>,
    /// Public SSH keys for root.
    pub ssh_keys: Vec<String>,
    /// Time zone, or `host`.
    pub timezone: Option<String>,
    /// Entries whose guests must be proven first.
    pub after: Vec<ContainerName>,
    /// Firewall of its guests.
    #[serde(default)]
    pub firewall: Option<FirewallSpec>,
    /// Secrets delivered into its guests.
    #[serde(default)]
    pub secrets: Vec<SecretGrant>,
}

/// How the guests of one entry are spread over nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// Wherever there is most room.
    #[default]
    None,
    /// Evenly over the nodes.
    Node,
}

/// A data volume as declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name.
    pub name: VolumeName,
    /// Where it is mounted.
    pub path: GuestPath,
    /// Size.
    pub size: DiskSize,
    /// Storage; that of the root disk when left out.
    pub storage: StorageId,
    /// In backups.
    pub backup: bool,
    /// Mounted read-only.
    pub read_only: bool,
}

/// A NIC as declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// Name inside the guest.
    pub name: NicName,
    /// Network of the site.
    pub network: NetworkName,
    /// How it gets its IPv4 address.
    pub ipv4: NicAddress,
    /// How it gets its IPv6 address.
    pub ipv6: NicAddress,
    /// MAC it is pinned to. Only without `count`.
    pub mac: Option<MacAddr>,
    /// Rate limit in MB/s.
    pub rate_mbps: Option<u32>,
    /// Whether Proxmox's firewall filters it.
    pub firewall: bool,
}

/// How a NIC gets an address of one family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NicAddress {
    /// It has none.
    None,
    /// Leased from the network's ranges.
    Lease,
    /// Pinned, first guest first.
    Pinned(Vec<IpAddr>),
    /// By DHCP.
    Dhcp,
    /// By stateless autoconfiguration.
    Auto,
}
