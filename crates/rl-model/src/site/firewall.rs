//! The firewall of a site as its file declares it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Cidr;
use crate::firewall::{AliasName, DatacenterChoice, GroupName, IpSetName};
use crate::manifest::FirewallRule;

/// The firewall of a site as declared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteFirewallSpec {
    /// Whether the datacenter's firewall shall be on; left as it is when not given.
    pub enable: Option<bool>,
    /// Networks from which nodes and guests are looked after: no plan may cut them off.
    pub management: Vec<Cidr>,
    /// Options beside the switch.
    #[serde(default, skip_serializing_if = "DatacenterChoice::is_empty")]
    pub options: DatacenterChoice,
    /// Aliases; left alone when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aliases: Option<BTreeMap<AliasName, AliasSpec>>,
    /// IP sets; left alone when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipsets: Option<BTreeMap<IpSetName, SetSpec>>,
    /// Security groups; left alone when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<BTreeMap<GroupName, GroupSpec>>,
}

/// An alias as declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasSpec {
    /// What it stands for; one address has the full prefix.
    pub net: Cidr,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// An IP set as declared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetSpec {
    /// Addresses and networks in it.
    pub entries: BTreeSet<Cidr>,
    /// Addresses and networks that are taken out of it (Proxmox: `nomatch`).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub except: BTreeSet<Cidr>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// A security group as declared. Its rules are bound to no NIC and name no containers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSpec {
    /// Its rules in their order.
    pub rules: Vec<FirewallRule>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}
