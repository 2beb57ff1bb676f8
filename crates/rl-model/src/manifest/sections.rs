//! What a stack declares besides its containers themselves: firewall, secrets and DNS records.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Location;
use crate::{Cidr, ContainerName, Fqdn, GuestPath, NetworkName, NicName, SecretRef};

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
    pub rules: Vec<FirewallRule>,
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
}

/// A secret delivered into every guest of a container entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretGrant {
    /// The secret.
    pub from: SecretRef,
    /// The file it becomes inside the guest.
    pub to: GuestPath,
    /// Permission bits of the file, as in 0o400.
    pub mode: u32,
    /// Owner inside the guest, `user` or `user:group`.
    pub owner: String,
}

/// A DNS record that points at a NIC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsRecord {
    /// The zone.
    pub zone: Fqdn,
    /// Name within the zone, `@` for the zone itself.
    pub name: String,
    /// Record type.
    pub kind: DnsType,
    /// The NIC whose addresses it takes.
    pub to: DnsTarget,
    /// Time to live in seconds.
    pub ttl_s: u32,
}

/// Record type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DnsType {
    /// IPv4 address.
    A,
    /// IPv6 address.
    #[serde(rename = "AAAA")]
    Aaaa,
}

/// A NIC of the guests of a container entry, written `web.eth0`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsTarget {
    /// The entry.
    pub container: ContainerName,
    /// Its NIC.
    pub nic: NicName,
}
