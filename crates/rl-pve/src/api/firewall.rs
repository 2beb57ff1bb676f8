//! `/cluster/firewall`, `/nodes/{node}/firewall` and the firewall of a guest, as far as they are read and written.

mod rows;

use rl_model::firewall::{
    AliasName, AliasText, DatacenterChoice, EXCEPT, GroupName, IpSetName, LOG_OFF, ResolvedFirewall, RuleText,
};
use rl_model::{GuestKind, NodeName, Vmid};

pub use rows::{
    AliasRow, DatacenterOptionsRow, EntryRow, GroupRow, GuestOptionsRow, IpSetRow, MacroRow, NodeOptionsRow, RuleRow,
};

use crate::Request;
use crate::wire::Rows;

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

/// A list of rules that is written.
#[derive(Debug, Clone, Copy)]
pub enum RulesOf<'a> {
    /// Of a container.
    Guest(&'a NodeName, Vmid),
    /// Of a security group of the datacenter.
    Group(&'a GroupName),
}

impl RulesOf<'_> {
    fn list(self, make: fn(&'static str) -> Request<()>) -> Request<()> {
        match self {
            Self::Guest(node, vmid) => make("/nodes/{node}/lxc/{vmid}/firewall/rules").on(node).arg("vmid", vmid),
            Self::Group(group) => make("/cluster/firewall/groups/{group}").arg("group", group),
        }
    }

    fn one(self, make: fn(&'static str) -> Request<()>, pos: usize, digest: &str) -> Request<()> {
        let request = match self {
            Self::Guest(node, vmid) => make("/nodes/{node}/lxc/{vmid}/firewall/rules/{pos}").on(node).arg("vmid", vmid),
            Self::Group(group) => make("/cluster/firewall/groups/{group}/{pos}").arg("group", group),
        };
        request.arg("pos", pos).param("digest", digest)
    }
}

/// `POST /nodes/{node}/lxc/{vmid}/firewall/rules`, or the same of a group: the rule becomes the first, whatever `pos` says, and
/// is off unless `enable` is given (`PVE/API2/Firewall/Rules.pm`). No digest is looked at.
pub fn insert_rule(list: RulesOf<'_>, rule: &RuleText) -> Request<()> {
    let request = list.list(Request::post);
    let mut request = request.param("type", &rule.kind).param("action", &rule.action).flag("enable", rule.enable);
    for (key, value) in fields(rule) {
        request = request.maybe(key, value.filter(|text| !text.is_empty()));
    }
    request
}

/// `PUT /nodes/{node}/lxc/{vmid}/firewall/rules/{pos}`, or the same of a group: the rule becomes this one in its place.
pub fn rewrite_rule(list: RulesOf<'_>, pos: usize, rule: &RuleText, digest: &str) -> Request<()> {
    let mut request = list
        .one(Request::put, pos, digest)
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

/// `PUT /nodes/{node}/lxc/{vmid}/firewall/rules/{pos}` with `moveto`, or the same of a group: an index of the list as it is,
/// before which the rule is put.
pub fn move_rule(list: RulesOf<'_>, pos: usize, moveto: usize, digest: &str) -> Request<()> {
    list.one(Request::put, pos, digest).param("moveto", moveto)
}

/// `DELETE /nodes/{node}/lxc/{vmid}/firewall/rules/{pos}`, or the same of a group.
pub fn delete_rule(list: RulesOf<'_>, pos: usize, digest: &str) -> Request<()> {
    list.one(Request::delete, pos, digest)
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

/// `PUT /cluster/firewall/options`: the first switch and the options that are given.
pub fn set_datacenter(on: Option<bool>, options: &DatacenterChoice, digest: &str) -> Request<()> {
    let number = |on: bool| u8::from(on);
    Request::put("/cluster/firewall/options")
        .maybe("enable", on.map(number))
        .maybe("policy_in", options.policy_in)
        .maybe("policy_out", options.policy_out)
        .maybe("ebtables", options.ebtables.map(number))
        .maybe("log_ratelimit", options.log_ratelimit.as_ref())
        .param("digest", digest)
}

/// `GET /cluster/firewall/rules`: rules about packets to and from every node.
pub fn datacenter_rules() -> Request<Rows<RuleRow>> {
    Request::get("/cluster/firewall/rules")
}

/// `GET /nodes/{node}/firewall/rules`.
pub fn node_rules(node: &NodeName) -> Request<Rows<RuleRow>> {
    Request::get("/nodes/{node}/firewall/rules").on(node)
}

/// `POST /cluster/firewall/groups`: an empty group.
pub fn create_group(name: &GroupName, comment: &str) -> Request<()> {
    Request::post("/cluster/firewall/groups").param("group", name).param("comment", comment)
}

/// `POST /cluster/firewall/groups` with its own name as `rename`: another comment.
pub fn comment_group(name: &GroupName, comment: &str, digest: &str) -> Request<()> {
    create_group(name, comment).param("rename", name).param("digest", digest)
}

/// `DELETE /cluster/firewall/groups/{group}`: refused while it has rules.
pub fn delete_group(name: &GroupName) -> Request<()> {
    Request::delete("/cluster/firewall/groups/{group}").arg("group", name)
}

/// `POST /cluster/firewall/aliases`.
pub fn create_alias(name: &AliasName, alias: &AliasText) -> Request<()> {
    let request = Request::post("/cluster/firewall/aliases").param("name", name);
    request.param("cidr", &alias.cidr).param("comment", &alias.comment)
}

/// `PUT /cluster/firewall/aliases/{name}`: another address or comment.
pub fn change_alias(name: &AliasName, alias: &AliasText, digest: &str) -> Request<()> {
    let request = Request::put("/cluster/firewall/aliases/{name}").arg("name", name);
    request.param("cidr", &alias.cidr).param("comment", &alias.comment).param("digest", digest)
}

/// `DELETE /cluster/firewall/aliases/{name}`: one that is not there is gone, too.
pub fn delete_alias(name: &AliasName, digest: &str) -> Request<()> {
    Request::delete("/cluster/firewall/aliases/{name}").arg("name", name).param("digest", digest)
}

/// `POST /cluster/firewall/ipset`: an empty set.
pub fn create_ip_set(name: &IpSetName, comment: &str) -> Request<()> {
    Request::post("/cluster/firewall/ipset").param("name", name).param("comment", comment)
}

/// `DELETE /cluster/firewall/ipset/{name}`: refused while it has entries.
pub fn delete_ip_set(name: &IpSetName) -> Request<()> {
    Request::delete("/cluster/firewall/ipset/{name}").arg("name", name)
}

/// `POST /cluster/firewall/ipset` with its own name as `rename`: another comment.
pub fn comment_ip_set(name: &IpSetName, comment: &str, digest: &str) -> Request<()> {
    create_ip_set(name, comment).param("rename", name).param("digest", digest)
}

/// `POST /cluster/firewall/ipset/{name}`: one more entry; one that begins with [`EXCEPT`] is taken out of the set.
pub fn add_to_ip_set(name: &IpSetName, member: &str) -> Request<()> {
    let request = Request::post("/cluster/firewall/ipset/{name}").arg("name", name);
    request.param("cidr", bare(member)).maybe("nomatch", member.starts_with(EXCEPT).then_some(1))
}

/// `PUT /cluster/firewall/ipset/{name}/{cidr}`: an entry that is there is in the set from now on, or out of it.
pub fn turn_in_ip_set(name: &IpSetName, member: &str, digest: &str) -> Request<()> {
    let request = Request::put("/cluster/firewall/ipset/{name}/{cidr}").arg("name", name).arg("cidr", bare(member));
    request.flag("nomatch", member.starts_with(EXCEPT)).param("digest", digest)
}

fn bare(member: &str) -> &str {
    member.trim_start_matches(EXCEPT)
}

/// `DELETE /cluster/firewall/ipset/{name}/{cidr}`: an entry that is not there is gone, too.
pub fn remove_from_ip_set(name: &IpSetName, member: &str, digest: &str) -> Request<()> {
    let request = Request::delete("/cluster/firewall/ipset/{name}/{cidr}").arg("name", name);
    request.arg("cidr", bare(member)).param("digest", digest)
}
