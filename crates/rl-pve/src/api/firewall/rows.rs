//! Rows that the firewall's calls answer.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::wire::{PveBool, PveInt, PveText};

/// Options of the datacenter.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DatacenterOptionsRow {
    /// The first switch: 0, 1, or the second since 1970 at which it was switched on for a trial of a minute.
    pub enable: Option<PveInt>,
    /// Policy towards nodes.
    pub policy_in: Option<String>,
    /// Policy from nodes.
    pub policy_out: Option<String>,
    /// Whether frames of bridges are filtered too.
    pub ebtables: Option<PveBool>,
    /// How much is logged.
    pub log_ratelimit: Option<PveText>,
    /// Sent back with the next write.
    pub digest: Option<String>,
}

/// Options of a node.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct NodeOptionsRow {
    /// Whether the node's own rules are used.
    pub enable: Option<PveBool>,
    /// Whether the implementation on nftables is used.
    pub nftables: Option<PveBool>,
    /// Filter of broadcast senders.
    pub nosmurfs: Option<PveBool>,
    /// Filter of impossible TCP flags.
    pub tcpflags: Option<PveBool>,
    /// Whether invalid packets reach the rules.
    pub nf_conntrack_allow_invalid: Option<PveBool>,
}

/// Options of a guest.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GuestOptionsRow {
    /// The second switch.
    pub enable: Option<PveBool>,
    /// DHCP.
    pub dhcp: Option<PveBool>,
    /// Neighbour discovery.
    pub ndp: Option<PveBool>,
    /// Router advertisements.
    pub radv: Option<PveBool>,
    /// Filter of MACs.
    pub macfilter: Option<PveBool>,
    /// Filter of addresses.
    pub ipfilter: Option<PveBool>,
    /// Policy towards the guest.
    pub policy_in: Option<String>,
    /// Policy from the guest.
    pub policy_out: Option<String>,
    /// Log level of packets to the guest.
    pub log_level_in: Option<String>,
    /// Log level of packets from the guest.
    pub log_level_out: Option<String>,
    /// Sent back with the next write.
    pub digest: Option<String>,
}

/// A rule.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct RuleRow {
    /// Position, from 0.
    pub pos: PveInt,
    /// `in`, `out`, `forward` or `group`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Action, or the name of a group.
    pub action: String,
    /// Whether the rule is on.
    pub enable: Option<PveInt>,
    /// Macro.
    #[serde(rename = "macro")]
    pub macro_name: Option<PveText>,
    /// Interface.
    pub iface: Option<PveText>,
    /// Source.
    pub source: Option<PveText>,
    /// Destination.
    pub dest: Option<PveText>,
    /// Protocol.
    pub proto: Option<PveText>,
    /// Source ports.
    pub sport: Option<PveText>,
    /// Destination ports.
    pub dport: Option<PveText>,
    /// ICMP type.
    #[serde(rename = "icmp-type")]
    pub icmp_type: Option<PveText>,
    /// Log level.
    pub log: Option<PveText>,
    /// Comment.
    pub comment: Option<PveText>,
    /// Of the whole list, the same in each of its rules; sent back with the next write.
    pub digest: Option<String>,
    /// What Proxmox finds wrong with it, by field; it leaves such a rule out.
    pub errors: BTreeMap<String, PveText>,
}

/// A security group in the list of them all.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GroupRow {
    /// Its name.
    pub group: String,
    /// Its comment.
    pub comment: Option<PveText>,
    /// Of the list of groups; sent back with the next write of a comment.
    pub digest: Option<String>,
}

/// An IP set in the list of them all.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct IpSetRow {
    /// Its name.
    pub name: String,
    /// Its comment.
    pub comment: Option<PveText>,
    /// Of the list of sets; sent back with the next write of a comment.
    pub digest: Option<String>,
}

/// Entry of an IP set.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct EntryRow {
    /// Address, network or alias.
    pub cidr: String,
    /// Whether it is an exception.
    pub nomatch: Option<PveBool>,
    /// Of all entries of the set; sent back with the next removal.
    pub digest: Option<String>,
    /// What Proxmox finds wrong with it; it leaves such an entry out.
    pub errors: BTreeMap<String, PveText>,
}

/// An alias.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct AliasRow {
    /// Its name.
    pub name: String,
    /// Its address or network.
    pub cidr: String,
    /// Its comment.
    pub comment: Option<PveText>,
    /// Of all aliases; sent back with the next write.
    pub digest: Option<String>,
}

/// A macro.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct MacroRow {
    /// Its name.
    #[serde(rename = "macro")]
    pub name: String,
}
