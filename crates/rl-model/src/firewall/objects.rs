//! Objects of a datacenter that a site's file declares: aliases, IP sets, security groups and options.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Cidr, ControllerId, SiteName};

use super::{AliasName, FirewallAction, GroupName, IpSetName, RuleText};

/// What stands before a member of an IP set that is taken out of it (`nomatch`), as in Proxmox's own files.
pub const EXCEPT: char = '!';

/// What a site's file wants of the datacenter's firewall. A kind of object that the file does not speak of is left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WantedObjects {
    /// Every alias that shall be ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aliases: Option<BTreeMap<AliasName, AliasText>>,
    /// Every IP set that shall be the site's own; those of groups of guests are none of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sets: Option<BTreeMap<IpSetName, SetText>>,
    /// Every security group that shall be ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<BTreeMap<GroupName, GroupText>>,
    /// Options.
    #[serde(skip_serializing_if = "DatacenterChoice::is_empty")]
    pub options: DatacenterChoice,
}

impl WantedObjects {
    /// Whether the file says nothing of objects and options.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Options of the datacenter beside its switch; what is not given is left as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatacenterChoice {
    /// Policy for packets to nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_in: Option<FirewallAction>,
    /// Policy for packets from nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_out: Option<FirewallAction>,
    /// Whether frames of bridges are filtered too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ebtables: Option<bool>,
    /// How much is logged, as Proxmox writes it: `enable=1,rate=1/second,burst=5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_ratelimit: Option<String>,
}

impl DatacenterChoice {
    /// Whether nothing is chosen.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// An alias: a name for an address or a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasText {
    /// Address or network, as Proxmox lists it.
    pub cidr: String,
    /// Its whole comment, which begins with whose it is.
    pub comment: String,
}

/// An IP set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetText {
    /// Its members as Proxmox lists them; those taken out begin with [`EXCEPT`].
    pub members: BTreeSet<String>,
    /// Its whole comment, which begins with whose it is.
    pub comment: String,
}

/// A security group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupText {
    /// Its rules in their order.
    pub rules: Vec<RuleText>,
    /// Its whole comment, which begins with whose it is.
    pub comment: String,
}

/// A security group as it was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedGroup {
    /// Its comment, which says whose it is.
    pub comment: String,
    /// Its rules; `None` when they were not read.
    pub rules: Option<Vec<RuleText>>,
}

/// What the comment of an object of a site begins with: which installation looks after it, for which site.
pub fn site_owner(controller: &ControllerId, site: &SiteName) -> String {
    format!("rl:site/{}/{site}", controller.short())
}

/// Whether a comment begins with this owner.
pub fn is_owned_by(owner: &str, comment: &str) -> bool {
    comment.split_whitespace().next() == Some(owner)
}

/// The whole comment of an object: whose it is, and what the user says of it.
pub fn owned_comment(owner: &str, text: Option<&str>) -> String {
    match text.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => format!("{owner} {text}"),
        None => owner.to_owned(),
    }
}

/// A network as Proxmox lists it: one address stands without its prefix.
pub fn listed(net: Cidr) -> String {
    let net = net.net();
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

/// Prefix length of a member of an IP set; names have none. Longer ones decide first.
pub fn member_prefix(member: &str) -> u8 {
    let bare = member.trim_start_matches(EXCEPT);
    let full = if bare.contains(':') { 128 } else { 32 };
    bare.split_once('/').map_or(full, |(_, length)| length.parse().unwrap_or(full))
}
