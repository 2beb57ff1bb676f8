//! `/cluster/firewall`, `/nodes/{node}/firewall` and the firewall of a guest, as far as they are read.

use std::collections::BTreeMap;

use rl_model::firewall::{GroupName, IpSetName};
use rl_model::{GuestKind, NodeName, Vmid};
use serde::Deserialize;

use crate::Request;
use crate::wire::{PveBool, PveInt, PveText, Rows};

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
}

/// An IP set in the list of them all.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct IpSetRow {
    /// Its name.
    pub name: String,
}

/// Entry of an IP set.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct EntryRow {
    /// Address, network or alias.
    pub cidr: String,
    /// Whether it is an exception.
    pub nomatch: Option<PveBool>,
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
}

/// A macro.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct MacroRow {
    /// Its name.
    #[serde(rename = "macro")]
    pub name: String,
}

/// `GET /cluster/firewall/options`.
pub fn datacenter_options() -> Request<DatacenterOptionsRow> {
    Request::get("/cluster/firewall/options")
}

/// `GET /cluster/firewall/groups`: names only.
pub fn groups() -> Request<Rows<GroupRow>> {
    Request::get("/cluster/firewall/groups")
}

/// `GET /cluster/firewall/groups/{group}`: the rules of a group.
pub fn group(name: &GroupName) -> Request<Rows<RuleRow>> {
    Request::get("/cluster/firewall/groups/{group}").arg("group", name)
}

/// `GET /cluster/firewall/ipset`: names only.
pub fn ip_sets() -> Request<Rows<IpSetRow>> {
    Request::get("/cluster/firewall/ipset")
}

/// `GET /cluster/firewall/ipset/{name}`: the entries of a set.
pub fn ip_set(name: &IpSetName) -> Request<Rows<EntryRow>> {
    Request::get("/cluster/firewall/ipset/{name}").arg("name", name)
}

/// `GET /cluster/firewall/aliases`.
pub fn aliases() -> Request<Rows<AliasRow>> {
    Request::get("/cluster/firewall/aliases")
}

/// `GET /cluster/firewall/macros`: names; what they stand for is not published.
pub fn macros() -> Request<Rows<MacroRow>> {
    Request::get("/cluster/firewall/macros")
}

/// `GET /nodes/{node}/firewall/options`.
pub fn node_options(node: &NodeName) -> Request<NodeOptionsRow> {
    Request::get("/nodes/{node}/firewall/options").on(node)
}

/// `GET /nodes/{node}/lxc/{vmid}/firewall/options`, or the same below `qemu`.
pub fn guest_options(kind: GuestKind, node: &NodeName, vmid: Vmid) -> Request<GuestOptionsRow> {
    let template = match kind {
        GuestKind::Container => "/nodes/{node}/lxc/{vmid}/firewall/options",
        GuestKind::Vm => "/nodes/{node}/qemu/{vmid}/firewall/options",
    };
    Request::get(template).on(node).arg("vmid", vmid)
}

/// `GET /nodes/{node}/lxc/{vmid}/firewall/rules`, or the same below `qemu`.
pub fn guest_rules(kind: GuestKind, node: &NodeName, vmid: Vmid) -> Request<Rows<RuleRow>> {
    let template = match kind {
        GuestKind::Container => "/nodes/{node}/lxc/{vmid}/firewall/rules",
        GuestKind::Vm => "/nodes/{node}/qemu/{vmid}/firewall/rules",
    };
    Request::get(template).on(node).arg("vmid", vmid)
}

/// `GET /nodes/{node}/lxc/{vmid}/firewall/ipset`, or the same below `qemu`: names only.
pub fn guest_ip_sets(kind: GuestKind, node: &NodeName, vmid: Vmid) -> Request<Rows<IpSetRow>> {
    let template = match kind {
        GuestKind::Container => "/nodes/{node}/lxc/{vmid}/firewall/ipset",
        GuestKind::Vm => "/nodes/{node}/qemu/{vmid}/firewall/ipset",
    };
    Request::get(template).on(node).arg("vmid", vmid)
}

/// `GET /nodes/{node}/lxc/{vmid}/firewall/ipset/{name}`, or the same below `qemu`: the entries of a set.
pub fn guest_ip_set(kind: GuestKind, node: &NodeName, vmid: Vmid, name: &IpSetName) -> Request<Rows<EntryRow>> {
    let template = match kind {
        GuestKind::Container => "/nodes/{node}/lxc/{vmid}/firewall/ipset/{name}",
        GuestKind::Vm => "/nodes/{node}/qemu/{vmid}/firewall/ipset/{name}",
    };
    Request::get(template).on(node).arg("vmid", vmid).arg("name", name)
}

/// `GET /nodes/{node}/lxc/{vmid}/firewall/aliases`, or the same below `qemu`.
pub fn guest_aliases(kind: GuestKind, node: &NodeName, vmid: Vmid) -> Request<Rows<AliasRow>> {
    let template = match kind {
        GuestKind::Container => "/nodes/{node}/lxc/{vmid}/firewall/aliases",
        GuestKind::Vm => "/nodes/{node}/qemu/{vmid}/firewall/aliases",
    };
    Request::get(template).on(node).arg("vmid", vmid)
}
