//! A site: one Proxmox cluster or standalone node, how to reach it and what it gives to stacks.

mod firewall;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use firewall::{AliasSpec, GroupSpec, SetSpec, SiteFirewallSpec};

use crate::net::string_serde;
use crate::{
    BridgeName, Cidr, DatacenterName, ImageName, NetworkName, NodeName, ParseError, PoolId, SecretRef, SiteName,
    StorageId, VlanId, VmidRange, VolumeId,
};

/// A site as its file declares it, with defaults filled in. Holds no secret: the token is a reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Site {
    /// Its name.
    pub name: SiteName,
    /// Where it stands.
    pub datacenter: Option<DatacenterName>,
    /// API addresses, tried in this order; any node answers for the whole site.
    pub endpoints: Vec<Endpoint>,
    /// Where the API token comes from.
    pub token: TokenSource,
    /// How the server's certificate is verified.
    pub tls: TlsTrust,
    /// VMIDs that are ours.
    pub vmids: VmidRange,
    /// Networks by name.
    pub networks: BTreeMap<NetworkName, Network>,
    /// Templates by name.
    pub images: BTreeMap<ImageName, VolumeId>,
    /// Storage for root disks and volumes where a container names none.
    pub storage: Option<StorageId>,
    /// Storages that containers may use; any when empty.
    #[serde(default)]
    pub storages: Vec<StorageId>,
    /// Nodes that may be used; all when empty.
    pub nodes: Vec<NodeName>,
    /// Resource pool that new guests are put into.
    pub pool: Option<PoolId>,
    /// Limits on work done at once.
    pub limits: SiteLimits,
    /// What the site says of its firewall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firewall: Option<SiteFirewallSpec>,
    /// Zones whose records may be written, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub zones: BTreeMap<crate::Fqdn, crate::dns::Zone>,
    /// Providers of secrets, by name. Stacks on every site may name them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub providers: BTreeMap<crate::ProviderName, crate::Provider>,
}

/// How much may be done on a site at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteLimits {
    /// Creates, clones and other disk-heavy tasks at once on one node.
    pub creates_per_node: u32,
    /// Starts at once on one node.
    pub starts_per_node: u32,
    /// Requests under way at once to one node's API (a node has three workers for them by default).
    pub requests_per_node: u32,
}

impl Default for SiteLimits {
    fn default() -> Self {
        Self { creates_per_node: 2, starts_per_node: 4, requests_per_node: 3 }
    }
}

/// `https://host:port` of one API address; the port is 8006 when left out.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint {
    host: String,
    port: u16,
}

/// Port of pveproxy.
const PVE_PORT: u16 = 8006;

impl Endpoint {
    /// Host name or address, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Endpoint {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = |rule: &str| ParseError::new("endpoint", text, rule);
        let rest = text.strip_prefix("https://").ok_or_else(|| wrong("it must begin with https://"))?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '@']) {
            return Err(wrong("write only https://host:port, without path, query or user"));
        }
        let (host, port) = match rest.strip_prefix('[') {
            Some(v6) => {
                let (host, tail) = v6.split_once(']').ok_or_else(|| wrong("its `[` has no `]`"))?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| wrong("the part in brackets is no IPv6 address"))?;
                (host, tail.strip_prefix(':').or(tail.is_empty().then_some("")))
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, Some("")),
            },
        };
        let port = match port {
            Some("") => PVE_PORT,
            Some(digits) => {
                digits.parse().ok().filter(|p| *p != 0).ok_or_else(|| wrong("its port is no number from 1 to 65535"))?
            }
            None => return Err(wrong("write only https://host:port")),
        };
        let numeric = host.parse::<IpAddr>().is_ok();
        if !numeric && host.to_ascii_lowercase().parse::<crate::Hostname>().is_err() {
            return Err(wrong("its host is neither a name nor an address"));
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "https://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "https://{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Where an API token (`user@realm!id=secret`) is read from when it is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenSource {
    /// A file that only its owner can read.
    File(PathBuf),
    /// An environment variable.
    Env(String),
    /// A secret of the installation.
    Secret(SecretRef),
}

/// How the certificate of an endpoint is verified. There is no way to switch it off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsTrust {
    /// The system's root certificates.
    System,
    /// The certificates of this PEM file.
    CaFile(PathBuf),
    /// SHA-256 fingerprints of the leaf certificates, one of which must match, 32 bytes each in `AA:BB:…` form.
    Fingerprints(Vec<String>),
}

/// One network of a site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Its name.
    pub name: NetworkName,
    /// Bridge or VNet on every node.
    pub bridge: BridgeName,
    /// VLAN tag on the bridge.
    pub vlan: Option<VlanId>,
    /// MTU in bytes, the bridge's own when left out.
    pub mtu: Option<u16>,
    /// The network's address range; without one, NICs get their address by DHCP.
    pub subnet: Option<Cidr>,
    /// Default gateway.
    pub gateway: Option<IpAddr>,
    /// Addresses that may be handed out.
    pub addresses: Vec<AddressRange>,
    /// Name servers for guests on this network.
    pub nameservers: Vec<IpAddr>,
    /// DNS search domain for guests on this network.
    pub search_domain: Option<crate::Fqdn>,
}

/// First and last address of a range, both included; written `10.0.0.50-10.0.0.99` or as one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

impl AddressRange {
    /// A range of one family whose first address is not behind its last.
    pub fn new(first: IpAddr, last: IpAddr) -> Result<Self, ParseError> {
        let given = format!("{first}-{last}");
        if first.is_ipv4() != last.is_ipv4() {
            return Err(ParseError::new("address range", &given, "it mixes IPv4 and IPv6"));
        }
        if first > last {
            return Err(ParseError::new("address range", &given, "its first address lies behind its last"));
        }
        Ok(Self { first, last })
    }

    /// The first address.
    pub fn first(self) -> IpAddr {
        self.first
    }

    /// The last address.
    pub fn last(self) -> IpAddr {
        self.last
    }

    /// Whether the address lies in the range.
    pub fn contains(self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && (self.first..=self.last).contains(&address)
    }

    /// Whether the two share an address.
    pub fn overlaps(self, other: Self) -> bool {
        self.first.is_ipv4() == other.first.is_ipv4() && self.first <= other.last && other.first <= self.last
    }

    /// Every address of the range, lowest first.
    pub fn iter(self) -> Box<dyn Iterator<Item = IpAddr>> {
        match (self.first, self.last) {
            (IpAddr::V4(a), IpAddr::V4(b)) => Box::new((u32::from(a)..=u32::from(b)).map(|n| IpAddr::V4(n.into()))),
            (IpAddr::V6(a), IpAddr::V6(b)) => Box::new((u128::from(a)..=u128::from(b)).map(|n| IpAddr::V6(n.into()))),
            _ => Box::new(std::iter::empty()),
        }
    }
}

impl FromStr for AddressRange {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let address = |part: &str| {
            part.trim().parse::<IpAddr>().map_err(|_| {
                ParseError::new("address range", text, "write it as first-last, as in 10.20.0.50-10.20.0.250")
            })
        };
        match text.split_once('-') {
            Some((first, last)) => Self::new(address(first)?, address(last)?),
            None => Self::new(address(text)?, address(text)?),
        }
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

string_serde!(Endpoint, AddressRange);
