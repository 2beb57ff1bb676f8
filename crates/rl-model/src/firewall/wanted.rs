//! A guest's firewall as it shall be, and what of it is read back.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{Cidr, ControllerId, GuestId, NodeName, StackName, Vmid};

use super::{
    AliasName, AliasText, DatacenterOptions, FirewallAction, GroupName, GuestOptions, IpSetName, ObservedGroup,
    RuleText, WantedObjects,
};

/// What the comment of each of our rules begins with.
const PREFIX: &str = "rl:";
/// Log level of options that are not set (`pve-api`: `log_level_in`).
pub const LOG_OFF: &str = "nolog";

/// The firewall of a guest as it shall be. Rules of others in the same list are no part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedFirewall {
    /// What happens to packets to the guest that no rule names.
    pub policy_in: FirewallAction,
    /// What happens to packets from the guest that no rule names.
    pub policy_out: FirewallAction,
    /// Log level of packets to the guest; [`LOG_OFF`] for none.
    pub log_in: String,
    /// Log level of packets from the guest.
    pub log_out: String,
    /// Whether the guest may send only from addresses of its own NICs.
    pub ipfilter: bool,
    /// The rules in their order. Each bears its [`RuleId`] at the beginning of its comment; the positions do not count.
    pub rules: Vec<RuleText>,
}

impl ResolvedFirewall {
    /// Whether the options of a guest are those that are wanted: the switch, both policies, log levels, `ipfilter`.
    pub fn options_hold(&self, have: &GuestOptions) -> bool {
        have.enable
            && have.inbound() == self.policy_in
            && have.outbound() == self.policy_out
            && have.log_in() == self.log_in
            && have.log_out() == self.log_out
            && have.ipfilter == self.ipfilter
    }
}

/// A guest's firewall as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedFirewall {
    /// Its options; `None` when they were not read.
    pub options: Option<GuestOptions>,
    /// Its rules in order.
    pub rules: Vec<RuleText>,
}

/// Says in a rule's comment that the rule is ours, whose it is and which: `rl:4k2m8w1p0c3d:9f3ac01b22d4 what it is for`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(String);

impl RuleId {
    /// The id of a rule of a site's security group.
    pub fn of_group(group: &GroupName, key: &str) -> Self {
        Self(format!("{}{key}", Self::group_prefix(group.as_str())))
    }

    /// The id of a guest's rule; `key` tells the guest's rules apart.
    pub fn of_guest(guest: &GuestId, key: &str) -> Self {
        Self(format!("{}{key}", Self::prefix(guest)))
    }

    /// Finds the id in a comment, if it is one of this guest's rules.
    pub fn find(guest: &GuestId, comment: Option<&str>) -> Option<Self> {
        Self::with_prefix(&Self::prefix(guest), comment)
    }

    /// Finds an id that begins like this in a comment.
    pub fn with_prefix(prefix: &str, comment: Option<&str>) -> Option<Self> {
        let word = comment?.split_whitespace().next()?;
        (word.len() > prefix.len() && word.starts_with(prefix)).then(|| Self(word.to_owned()))
    }

    /// What the ids of a guest's rules begin with. A copy of the guest carries rules with the id of its source: they are not
    /// its own.
    pub fn prefix(guest: &GuestId) -> String {
        format!("{PREFIX}{}:", guest.short())
    }

    /// What the ids of the rules of a site's security group begin with.
    pub fn group_prefix(group: &str) -> String {
        format!("{PREFIX}group/{group}:")
    }

    /// The id made of a prefix and a key.
    pub fn new(prefix: &str, key: &str) -> Self {
        Self(format!("{prefix}{key}"))
    }

    /// The comment of the rule: the id and what the user says of it.
    pub fn comment(&self, text: Option<&str>) -> String {
        match text.map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) => format!("{} {text}", self.0),
            None => self.0.clone(),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What changes in the firewall of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallChange {
    /// As it was seen.
    pub seen: ObservedFirewall,
    /// As it shall be; `None` when ours goes and the guest is no longer filtered.
    pub wanted: Option<ResolvedFirewall>,
}

/// Firewall objects of one site that a stack needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedSiteFirewall {
    /// Whether the datacenter's firewall shall be on; `None` leaves the switch alone.
    #[serde(default)]
    pub enable: Option<bool>,
    /// Networks that must reach the site's nodes.
    #[serde(default)]
    pub management: Vec<Cidr>,
    /// IP sets of the stack's groups of guests, with their members as Proxmox lists them.
    pub sets: BTreeMap<IpSetName, BTreeSet<String>>,
    /// What the site's file declares for all of its stacks.
    #[serde(default, skip_serializing_if = "WantedObjects::is_empty")]
    pub objects: WantedObjects,
}

/// The firewall of a site as it was seen, as far as it was looked at.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ObservedSiteFirewall {
    /// Options of the datacenter; `None` when they were not read.
    pub options: Option<DatacenterOptions>,
    /// Every IP set of the datacenter; `None` when they were not read.
    pub sets: Option<BTreeMap<IpSetName, ObservedSet>>,
    /// Guests whose firewall was read.
    pub guests: BTreeMap<Vmid, ObservedFirewall>,
    /// Every alias of the datacenter; `None` when they were not read.
    #[serde(default)]
    pub aliases: Option<BTreeMap<AliasName, AliasText>>,
    /// Every security group; `None` when they were not read.
    #[serde(default)]
    pub groups: Option<BTreeMap<GroupName, ObservedGroup>>,
    /// What lets administrators and this installation reach the nodes; `None` when it was not read.
    #[serde(default)]
    pub entrance: Option<Entrance>,
}

/// What decides who reaches the nodes themselves, beside options, IP sets, aliases and security groups.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Entrance {
    /// Rules of the datacenter.
    pub rules: Vec<RuleText>,
    /// Rules of each node whose firewall is on.
    pub nodes: BTreeMap<NodeName, Vec<RuleText>>,
    /// The addresses from which this installation speaks to the site.
    pub own: BTreeSet<IpAddr>,
}

/// An IP set as it was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedSet {
    /// Its comment, which says whose it is.
    pub comment: String,
    /// Its members as Proxmox lists them; `None` when they were not read.
    pub members: Option<BTreeSet<String>>,
}

/// The comment of an IP set of a stack: which installation and which stack look after it.
pub fn set_owner(controller: &ControllerId, stack: &StackName) -> String {
    format!("{PREFIX}stack/{}/{stack}", controller.short())
}
