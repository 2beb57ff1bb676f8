//! What a stack declares besides its containers themselves: firewall, secrets and DNS records.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Location;
use crate::dns::DnsName;
use crate::firewall::{AliasName, GroupName, IpSetName, MacroName};
use crate::{Cidr, ContainerName, Fqdn, GuestName, GuestPath, NetworkName, NicName, RecordType, SecretRef};

/// That such a part was declared, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// What it is.
    pub kind: SectionKind,
    /// The container it belongs to; `None` for parts of the whole stack.
    pub container: Option<ContainerName>,
    /// Where it begins.
    pub location: Location,
}

/// Kind of a [`Section`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SectionKind {
    /// `firewall:` of a container.
    Firewall,
    /// `secrets:` of a container.
    Secrets,
    /// `dns:` of a stack.
    Dns,
}

impl fmt::Display for SectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Firewall => "firewall",
            Self::Secrets => "secrets",
            Self::Dns => "dns",
        })
    }
}

/// Firewall of the guests of one container entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallSpec {
    /// What happens to traffic towards the guest that no rule names.
    pub inbound: Verdict,
    /// What happens to traffic from the guest that no rule names.
    pub outbound: Verdict,
    /// The rules in their order; the first that fits decides.
    pub rules: Vec<GuestRule>,
    /// Log level of what the policies refuse, a word of Proxmox; nothing is logged when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Whether the guests may send only from addresses of their own NICs (Proxmox: `ipfilter`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_own_addresses: bool,
}

/// What happens to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It passes.
    Allow,
    /// It is refused with an answer.
    Reject,
    /// It is dropped without an answer.
    Drop,
}

/// One rule of a container, or a call of a security group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum GuestRule {
    /// The rules of a group stand here.
    Group(GroupCall),
    /// A rule of its own.
    Own(FirewallRule),
}

/// All rules of a security group of the site, in the place of the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupCall {
    /// The group.
    pub group: GroupName,
    /// The NIC they are bound to; every NIC when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<NicName>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallRule {
    /// What happens to what fits.
    pub verdict: Verdict,
    /// What kinds of traffic fit, at least one.
    pub traffic: Vec<FirewallTraffic>,
    /// The NIC it is bound to; every NIC when left out.
    pub on: Option<NicName>,
    /// Towards the guest or from it.
    pub direction: RuleDirection,
    /// The other ends that fit; anywhere when empty.
    pub peers: Vec<FirewallPeer>,
    /// Log level of what fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// Direction of the traffic a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleDirection {
    /// Towards the guest.
    In,
    /// From the guest.
    Out,
}

/// Kind of traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirewallTraffic {
    /// All of it.
    Any,
    /// ICMP and ICMPv6.
    Icmp,
    /// TCP to these ports, to all when empty.
    Tcp(Vec<PortRange>),
    /// UDP to these ports, to all when empty.
    Udp(Vec<PortRange>),
    /// What a macro of Proxmox stands for.
    Macro(MacroName),
}

/// Ports from the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortRange {
    /// The lowest port, not zero.
    pub first: u16,
    /// The highest port, not below the first.
    pub last: u16,
}

/// The other end of a firewall rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirewallPeer {
    /// One address.
    Address(IpAddr),
    /// Every address of a network.
    Cidr(Cidr),
    /// Every address of a network of the site.
    Network(NetworkName),
    /// The guests of a container entry of the same stack.
    Container(ContainerName),
    /// One guest of the same stack.
    Guest(GuestName),
    /// The network of an alias of the site.
    Alias(AliasName),
    /// The addresses of an IP set of the site.
    Set(IpSetName),
}

/// A secret delivered into every guest of a container entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretGrant {
    /// Where its value comes from.
    pub from: crate::SecretSource,
    /// The file it becomes inside the guest.
    pub to: GuestPath,
    /// Permission bits of the file, as in 0o400.
    pub mode: u32,
    /// Owner inside the guest, `user` or `user:group`.
    pub owner: String,
    /// Command run in the guest after the value was exchanged for another, word by word; none when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reload: Vec<String>,
}

impl SecretGrant {
    /// The secret of the installation's own store, where its value comes from there.
    pub fn stored(&self) -> Option<&SecretRef> {
        match &self.from {
            crate::SecretSource::Store(name) => Some(name),
            crate::SecretSource::Provider { .. } => None,
        }
    }
}

/// A DNS record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsRecord {
    /// The zone.
    pub zone: Fqdn,
    /// Name within the zone, `@` for the zone itself.
    pub name: String,
    /// Its type, and what it says.
    #[serde(flatten)]
    pub content: DnsContent,
    /// Time to live in seconds.
    pub ttl_s: u32,
}

/// Type of a record with what it says. Addresses are never typed: they are those of a NIC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "UPPERCASE")]
pub enum DnsContent {
    /// IPv4 addresses of a NIC.
    A {
        /// The NIC.
        to: DnsTarget,
    },
    /// IPv6 addresses of a NIC.
    Aaaa {
        /// The NIC.
        to: DnsTarget,
    },
    /// Another name for a name.
    Cname {
        /// That name, whole.
        target: DnsName,
    },
    /// Where a service is.
    Srv {
        /// Lower is asked first.
        priority: u16,
        /// Share among those of one priority.
        weight: u16,
        /// Port.
        port: u16,
        /// Name of the node, whole.
        target: DnsName,
    },
    /// Texts, each a record.
    Txt {
        /// The texts.
        texts: Vec<String>,
    },
}

impl DnsContent {
    /// The type.
    pub fn kind(&self) -> RecordType {
        match self {
            Self::A { .. } => RecordType::A,
            Self::Aaaa { .. } => RecordType::Aaaa,
            Self::Cname { .. } => RecordType::Cname,
            Self::Srv { .. } => RecordType::Srv,
            Self::Txt { .. } => RecordType::Txt,
        }
    }

    /// The NIC, of a record of addresses.
    pub fn nic(&self) -> Option<&DnsTarget> {
        match self {
            Self::A { to } | Self::Aaaa { to } => Some(to),
            _ => None,
        }
    }
}

/// A NIC of the guests of a container entry, written `web.eth0`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsTarget {
    /// The entry.
    pub container: ContainerName,
    /// Its NIC.
    pub nic: NicName,
}
