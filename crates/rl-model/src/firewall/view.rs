//! The firewall of a site as it was read.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::{BridgeName, GuestKind, MacAddr, NicSlot, NodeName, ParseError, Vmid};

use super::{
    AliasName, DatacenterOptions, FirewallRule, GroupName, GuestOptions, IpSetName, MacroName, NodeOptions, SetEntry,
};

/// Most rules of one list that are looked at. A rule file of Proxmox holds at most 512 KiB, some 10,000 lines.
pub const RULES_MAX: usize = 20_000;

/// An alias: a name for a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The network; a single address has the full prefix.
    pub net: IpNet,
}

impl FromStr for Alias {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        let net = address.or_else(|_| text.parse::<IpNet>());
        let net = net.map_err(|_| ParseError::new("alias", text, "write an address or address/prefix"))?;
        Ok(Self { net: net.trunc() })
    }
}

/// An IP set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IpSet {
    /// Its entries, in the order they are listed.
    pub entries: Vec<SetEntry>,
}

/// A security group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Its rules, in order.
    pub rules: Vec<FirewallRule>,
}

/// What holds for the whole site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatacenterFirewall {
    /// Options.
    pub options: DatacenterOptions,
    /// Security groups that could be read.
    pub groups: BTreeMap<GroupName, Group>,
    /// IP sets.
    pub sets: BTreeMap<IpSetName, IpSet>,
    /// Aliases, by name in lower case.
    pub aliases: BTreeMap<AliasName, Alias>,
    /// Names of the macros the site knows; empty when they were not asked for.
    pub macros: BTreeSet<MacroName>,
}

/// What holds for a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeFirewall {
    /// Options.
    pub options: NodeOptions,
}

/// A NIC as the firewall sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirewallNic {
    /// The third switch, `firewall=1` in the configuration.
    pub firewall: bool,
    /// MAC of the configuration.
    pub mac: Option<MacAddr>,
    /// Bridge or VNet it hangs on.
    pub bridge: Option<BridgeName>,
    /// Static addresses of the configuration; `ipfilter` lets these pass for containers.
    pub addresses: Vec<IpAddr>,
}

/// What holds for a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestFirewall {
    /// Container or virtual machine.
    pub kind: GuestKind,
    /// The node it runs on.
    pub node: NodeName,
    /// Options.
    pub options: GuestOptions,
    /// Rules, in order.
    pub rules: Vec<FirewallRule>,
    /// IP sets of its own.
    pub sets: BTreeMap<IpSetName, IpSet>,
    /// Aliases of its own, by name in lower case.
    pub aliases: BTreeMap<AliasName, Alias>,
    /// Its NICs.
    pub nics: BTreeMap<NicSlot, FirewallNic>,
}

/// The firewall of a site, as far as a question needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FirewallView {
    /// The datacenter's.
    pub datacenter: DatacenterFirewall,
    /// The nodes', those the guests run on.
    pub nodes: BTreeMap<NodeName, NodeFirewall>,
    /// The guests', those of the question.
    pub guests: BTreeMap<Vmid, GuestFirewall>,
}
