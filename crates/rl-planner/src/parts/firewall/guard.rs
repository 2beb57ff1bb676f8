//! Refuses a plan after which the nodes of a site could no longer be reached: by this installation, or by administrators.
//!
//! A node's chain is walked as a guest's is (`Firewall.pm`, `enable_host_firewall`): the sets `blacklist` and the filters on
//! what enters, the node's rules, the datacenter's, what Proxmox lets the set `management` do, the datacenter's policy. A rule
//! that is bound to an interface counts where it refuses, and does not where it lets in: which interface a packet comes
//! through is not known.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use rl_model::firewall::{
    Alias, DatacenterFirewall, DatacenterOptions, EXCEPT, Entrance, FirewallAction, FirewallNic, FirewallRule,
    FirewallView, Group, GuestFirewall, GuestOptions, IpSet, ObservedSiteFirewall, RuleText, SetEntry,
};
use rl_model::{Cidr, GuestKind, NicSlot, NodeName, SiteFirewall, SiteName, Vmid};

use super::MANAGEMENT;
use crate::firewall::{Packet, Question, Sender, Verdict, explain_network};

/// Where administrators and this installation come in: the API and SSH.
const PORTS: [u16; 2] = [8006, 22];

/// Who can no longer reach what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cut {
    /// The network, or the address of this installation.
    pub(super) who: IpNet,
    /// Whether it is an address of this installation.
    pub(super) own: bool,
    /// The node.
    pub(super) node: NodeName,
    /// The port.
    pub(super) port: u16,
}

/// Who is cut off by the changes and was not before.
pub(super) fn cuts(
    seen: &ObservedSiteFirewall,
    entrance: &Entrance,
    management: &[Cidr],
    changes: &[&SiteFirewall],
) -> Vec<Cut> {
    let now = datacenter(seen);
    let mut then = now.clone();
    changes.iter().for_each(|change| apply(change, &mut then));
    let own: BTreeSet<IpNet> =
        entrance.own.iter().filter(|own| !own.is_loopback()).map(|own| IpNet::from(*own)).collect();
    let named = management.iter().map(|net| (net.net(), false));
    let mut out = Vec::new();
    for (who, own) in named.chain(own.into_iter().map(|net| (net, true))) {
        for (node, rules) in &entrance.nodes {
            // Only this installation needs the API alone; who looks after nodes needs both.
            for port in PORTS.into_iter().take(if own { 1 } else { PORTS.len() }) {
                let reaches = |datacenter: &DatacenterFirewall| reaches(datacenter, entrance, rules, who, port);
                if reaches(&now) && !reaches(&then) {
                    out.push(Cut { who, own, node: node.clone(), port });
                }
            }
        }
    }
    out
}

/// The datacenter's firewall as it was seen.
fn datacenter(seen: &ObservedSiteFirewall) -> DatacenterFirewall {
    let mut out = DatacenterFirewall { options: seen.options.clone().unwrap_or_default(), ..Default::default() };
    for (name, set) in seen.sets.iter().flatten() {
        out.sets.insert(name.clone(), ip_set(set.members.iter().flatten()));
    }
    for (name, group) in seen.groups.iter().flatten() {
        out.groups.insert(name.clone(), Group { rules: read(group.rules.as_deref().unwrap_or_default()) });
    }
    for (name, alias) in seen.aliases.iter().flatten() {
        out.aliases.extend(alias.cidr.parse::<Alias>().ok().map(|alias| (name.key(), alias)));
    }
    out
}

fn ip_set<'m>(members: impl Iterator<Item = &'m String>) -> IpSet {
    let entry = |member: &String| SetEntry::read(member.trim_start_matches(EXCEPT), member.starts_with(EXCEPT), false);
    IpSet { entries: members.map(entry).collect() }
}

fn read(rules: &[RuleText]) -> Vec<FirewallRule> {
    rules.iter().map(FirewallRule::read).collect()
}

fn apply(change: &SiteFirewall, to: &mut DatacenterFirewall) {
    for set in &change.sets {
        match &set.after {
            Some(members) => drop(to.sets.insert(set.name.clone(), ip_set(members.iter()))),
            None => drop(to.sets.remove(&set.name)),
        }
    }
    for group in &change.groups {
        match &group.after {
            Some(after) => drop(to.groups.insert(group.name.clone(), Group { rules: read(&after.rules) })),
            None => drop(to.groups.remove(&group.name)),
        }
    }
    for alias in &change.aliases {
        let after = alias.after.as_ref().and_then(|after| after.cidr.parse::<Alias>().ok());
        match after {
            Some(after) => drop(to.aliases.insert(alias.name.key(), after)),
            None => drop(to.aliases.remove(&alias.name.key())),
        }
    }
    let options: &mut DatacenterOptions = &mut to.options;
    options.enable = change.enable.unwrap_or(options.enable);
    options.policy_in = change.options.policy_in.or(options.policy_in);
}

/// Whether every address of a network reaches a port of a node for certain.
fn reaches(datacenter: &DatacenterFirewall, entrance: &Entrance, node: &[RuleText], who: IpNet, port: u16) -> bool {
    [true, false].into_iter().all(|with_bound_groups| {
        let view = view(datacenter, entrance, node, with_bound_groups);
        let Some((vmid, slot)) = stand_in() else { return false };
        let packet = Packet::tcp(who.network(), anywhere(who), port);
        let question = Question { from: Sender::Outside, to: (vmid, slot), packet };
        let parts = explain_network(&view, &question, who);
        parts.is_ok_and(|parts| parts.iter().all(|part| part.explanation.verdict == Verdict::Accept))
    })
}

/// The address of the node: its rules hardly ever name it, and where they do it is not known which one is spoken to.
fn anywhere(who: IpNet) -> IpAddr {
    match who {
        IpNet::V4(_) => IpAddr::from([0, 0, 0, 0]),
        IpNet::V6(_) => IpAddr::from([0u16; 8]),
    }
}

/// The guest that stands for the node in the walk.
fn stand_in() -> Option<(Vmid, NicSlot)> {
    Some(("100".parse().ok()?, "net0".parse().ok()?))
}

fn view(datacenter: &DatacenterFirewall, entrance: &Entrance, node: &[RuleText], bound_groups: bool) -> FirewallView {
    let counts = |rule: &&RuleText| match rule.kind.as_str() {
        _ if rule.iface.as_deref().unwrap_or_default().is_empty() => true,
        "group" => bound_groups,
        _ => rule.action != FirewallAction::Accept.as_str(),
    };
    let unbound = |rule: &RuleText| RuleText { iface: None, ..rule.clone() };
    let mut rules: Vec<RuleText> = node.iter().chain(&entrance.rules).filter(counts).map(unbound).collect();
    rules.extend(PORTS.map(|port| RuleText {
        kind: "in".to_owned(),
        action: FirewallAction::Accept.to_string(),
        enable: true,
        source: Some(format!("+dc/{MANAGEMENT}")),
        proto: Some("tcp".to_owned()),
        dport: Some(port.to_string()),
        ..RuleText::default()
    }));
    let options = GuestOptions { enable: true, policy_in: datacenter.options.policy_in, ..GuestOptions::default() };
    let nic = FirewallNic { firewall: true, mac: None, bridge: None, addresses: Vec::new() };
    let mut view = FirewallView { datacenter: datacenter.clone(), ..FirewallView::default() };
    if let (Some((vmid, slot)), Ok(name)) = (stand_in(), "node".parse()) {
        let guest = GuestFirewall {
            kind: GuestKind::Container,
            node: name,
            options,
            rules: read(&rules),
            sets: BTreeMap::new(),
            aliases: BTreeMap::new(),
            nics: BTreeMap::from([(slot, nic)]),
        };
        view.guests.insert(vmid, guest);
    }
    view
}

/// Whether a part may change who reaches the nodes: everything but the sets of stacks, which no rule of a node names.
pub(super) fn matters(part: &SiteFirewall) -> bool {
    let of_site = !part.owner.starts_with("rl:stack/") && (!part.sets.is_empty() || !part.aliases.is_empty());
    of_site || !part.groups.is_empty() || part.enable == Some(true) || part.options.policy_in.is_some()
}

/// One sentence for each network that is cut off.
pub(super) fn told(site: &SiteName, cuts: &[Cut]) -> Vec<String> {
    let whos: BTreeSet<(IpNet, bool)> = cuts.iter().map(|cut| (cut.who, cut.own)).collect();
    let sentence = |(who, own): (IpNet, bool)| {
        let of_who = || cuts.iter().filter(move |cut| (cut.who, cut.own) == (who, own));
        let ports: BTreeSet<u16> = of_who().map(|cut| cut.port).collect();
        let nodes: BTreeSet<&NodeName> = of_who().map(|cut| &cut.node).collect();
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
        let whose = match own {
            true => format!("RapidLaunch itself ({})", who.addr()),
            false => format!("the management network {who}"),
        };
        let (ports, nodes) = (ports.join(", "), nodes.join(", "));
        format!(
            "the firewall of site {site} would cut {whose} off from port {ports} of {nodes}; nothing of it is changed"
        )
    };
    whos.into_iter().map(sentence).collect()
}
