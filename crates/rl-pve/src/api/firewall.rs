//! `/cluster/firewall`, `/nodes/{node}/firewall` and the firewall of a guest, as far as they are read and written.

use std::collections::BTreeMap;

use rl_model::firewall::{GroupName, IpSetName, LOG_OFF, ResolvedFirewall, RuleText};
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
}

/// An IP set in the list of them all.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct IpSetRow {
    /// Its name.
    pub name: String,
    /// Its comment.
    pub comment: Option<PveText>,
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

/// `POST /nodes/{node}/lxc/{vmid}/firewall/rules`: the rule becomes the first, whatever `pos` says, and is off unless `enable` is
/// given (`PVE/API2/Firewall/Rules.pm`). No digest is looked at.
pub fn insert_rule(node: &NodeName, vmid: Vmid, rule: &RuleText) -> Request<()> {
    let request = Request::post("/nodes/{node}/lxc/{vmid}/firewall/rules").on(node).arg("vmid", vmid);
    let mut request = request.param("type", &rule.kind).param("action", &rule.action).flag("enable", rule.enable);
    for (key, value) in fields(rule) {
        request = request.maybe(key, value.filter(|text| !text.is_empty()));
    }
    request
}

/// `PUT /nodes/{node}/lxc/{vmid}/firewall/rules/{pos}`: the rule becomes this one in its place.
pub fn rewrite_rule(node: &NodeName, vmid: Vmid, pos: usize, rule: &RuleText, digest: &str) -> Request<()> {
    let mut request = rule_at(Request::put(RULE), node, vmid, pos, digest)
        .param("type", &rule.kind)
        .param("action", &rule.action)
        .flag("enable", rule.enable);
    let mut gone = Vec::new();
    for (key, value) in fields(rule) {
        match value.filter(|text| !text.is_empty()) {
            Some(value) => request = request.param(key, value),
            None => gone.push(key),
        }
    }
    request.maybe("delete", (!gone.is_empty()).then(|| gone.join(",")))
}

/// `PUT /nodes/{node}/lxc/{vmid}/firewall/rules/{pos}` with `moveto`: an index of the list as it is, before which the rule is put.
pub fn move_rule(node: &NodeName, vmid: Vmid, pos: usize, moveto: usize, digest: &str) -> Request<()> {
    rule_at(Request::put(RULE), node, vmid, pos, digest).param("moveto", moveto)
}

/// `DELETE /nodes/{node}/lxc/{vmid}/firewall/rules/{pos}`.
pub fn delete_rule(node: &NodeName, vmid: Vmid, pos: usize, digest: &str) -> Request<()> {
    rule_at(Request::delete(RULE), node, vmid, pos, digest)
}

const RULE: &str = "/nodes/{node}/lxc/{vmid}/firewall/rules/{pos}";

fn rule_at(request: Request<()>, node: &NodeName, vmid: Vmid, pos: usize, digest: &str) -> Request<()> {
    request.on(node).arg("vmid", vmid).arg("pos", pos).param("digest", digest)
}

/// The fields of a rule that may be left out, by their names in the API.
fn fields(rule: &RuleText) -> [(&'static str, Option<&str>); 10] {
    [
        ("macro", rule.macro_name.as_deref()),
        ("iface", rule.iface.as_deref()),
        ("source", rule.source.as_deref()),
        ("dest", rule.dest.as_deref()),
        ("proto", rule.proto.as_deref()),
        ("sport", rule.sport.as_deref()),
        ("dport", rule.dport.as_deref()),
        ("icmp-type", rule.icmp_type.as_deref()),
        ("log", rule.log.as_deref()),
        ("comment", rule.comment.as_deref()),
    ]
}

/// `PUT /nodes/{node}/lxc/{vmid}/firewall/options`: on, with these policies.
pub fn switch_guest_on(node: &NodeName, vmid: Vmid, wanted: &ResolvedFirewall, digest: &str) -> Request<()> {
    let request = Request::put("/nodes/{node}/lxc/{vmid}/firewall/options").on(node).arg("vmid", vmid);
    let level = |level: &str| if level.is_empty() { LOG_OFF.to_owned() } else { level.to_owned() };
    request
        .flag("enable", true)
        .param("policy_in", wanted.policy_in)
        .param("policy_out", wanted.policy_out)
        .param("log_level_in", level(&wanted.log_in))
        .param("log_level_out", level(&wanted.log_out))
        .flag("ipfilter", wanted.ipfilter)
        .param("digest", digest)
}

/// `PUT /nodes/{node}/lxc/{vmid}/firewall/options`: off.
pub fn switch_guest_off(node: &NodeName, vmid: Vmid, digest: &str) -> Request<()> {
    let request = Request::put("/nodes/{node}/lxc/{vmid}/firewall/options").on(node).arg("vmid", vmid);
    request.flag("enable", false).param("digest", digest)
}

/// `PUT /cluster/firewall/options`: the first switch.
pub fn switch_datacenter(on: bool, digest: &str) -> Request<()> {
    Request::put("/cluster/firewall/options").flag("enable", on).param("digest", digest)
}

/// `POST /cluster/firewall/ipset`: an empty set.
pub fn create_ip_set(name: &IpSetName, comment: &str) -> Request<()> {
    Request::post("/cluster/firewall/ipset").param("name", name).param("comment", comment)
}

/// `DELETE /cluster/firewall/ipset/{name}`: refused while it has entries.
pub fn delete_ip_set(name: &IpSetName) -> Request<()> {
    Request::delete("/cluster/firewall/ipset/{name}").arg("name", name)
}

/// `POST /cluster/firewall/ipset/{name}`: one more entry.
pub fn add_to_ip_set(name: &IpSetName, cidr: &str) -> Request<()> {
    Request::post("/cluster/firewall/ipset/{name}").arg("name", name).param("cidr", cidr)
}

/// `DELETE /cluster/firewall/ipset/{name}/{cidr}`: an entry that is not there is gone, too.
pub fn remove_from_ip_set(name: &IpSetName, cidr: &str, digest: &str) -> Request<()> {
    Request::delete("/cluster/firewall/ipset/{name}/{cidr}").arg("name", name).arg("cidr", cidr).param("digest", digest)
}
