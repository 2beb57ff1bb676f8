//! Looks at firewalls: one request a guest for its rules, another for its options where they are wanted.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use rl_model::firewall::{Entrance, GroupName, IpSetName, ObservedFirewall, ObservedGroup, ObservedSet, is_owned_by};
use rl_model::{GuestKind, NodeName, ObservedSite, Vmid};
use rl_pve::api::firewall;
use rl_pve::{PveError, decode};

use crate::observe::{FirewallScope, READS_AT_ONCE, unread};
use crate::site::SiteApi;

/// Most IP sets whose members are read: one for each group of guests that rules name.
const SETS_MAX: usize = 1_000;

/// The IP set from which nodes are looked after; a plan that switches the firewall on looks at it.
const MANAGEMENT: &str = "management";

/// Reads what the scope asks for into an observation. What cannot be read is told.
pub(crate) async fn read(api: &SiteApi, scope: &FirewallScope, site: &mut ObservedSite) {
    guests(api, &scope.guests, site).await;
    if scope.sets_of.is_some() {
        match api.pve().send(firewall::datacenter_options()).await {
            Ok(row) => site.firewall.options = Some(decode::firewall::datacenter_options(row)),
            Err(error) => site.unread.push(unread("options of the datacenter's firewall", &error)),
        }
    }
    let owners = scope.sets_of.iter().chain(&scope.objects_of).map(String::as_str).collect();
    let whose = if scope.entrance { Whose::Everybody } else { Whose::Of(owners) };
    if scope.sets_of.is_some() || scope.entrance {
        match sets(api, &whose).await {
            Ok(sets) => site.firewall.sets = Some(sets),
            Err(error) => site.unread.push(unread("IP sets of the datacenter", &error)),
        }
    }
    if scope.objects_of.is_some() || scope.entrance {
        match api.pve().send(firewall::aliases()).await {
            Ok(rows) => site.firewall.aliases = Some(decode::firewall::alias_texts(rows).0),
            Err(error) => site.unread.push(unread("aliases of the datacenter", &error)),
        }
        match groups(api, &whose).await {
            Ok(groups) => site.firewall.groups = Some(groups),
            Err(error) => site.unread.push(unread("security groups of the datacenter", &error)),
        }
    }
    if scope.entrance {
        match entrance(api, site).await {
            Ok(entrance) => site.firewall.entrance = Some(entrance),
            Err(error) => site.unread.push(unread("rules of nodes and of the datacenter", &error)),
        }
    }
}

/// Whose objects are read with what they hold.
pub(crate) enum Whose<'a> {
    /// Those whose comment begins with one of these.
    Of(Vec<&'a str>),
    /// All of them.
    Everybody,
}

impl Whose<'_> {
    fn covers(&self, comment: &str) -> bool {
        match self {
            Self::Of(owners) => owners.iter().any(|owner| is_owned_by(owner, comment)),
            Self::Everybody => true,
        }
    }
}

/// Every security group of the datacenter by name; the rules of those that are asked for.
pub(crate) async fn groups(api: &SiteApi, whose: &Whose<'_>) -> Result<BTreeMap<GroupName, ObservedGroup>, PveError> {
    let mut out = BTreeMap::new();
    let mut read = 0;
    for row in api.pve().send(firewall::groups()).await? {
        let Ok(name) = row.group.parse::<GroupName>() else { continue };
        let comment = row.comment.map(|text| text.0).unwrap_or_default();
        let wanted = whose.covers(&comment) && read < SETS_MAX;
        let rules = match wanted {
            true => Some(decode::firewall::rule_texts(api.pve().send(firewall::group(&name)).await?).0),
            false => None,
        };
        read += usize::from(wanted);
        out.insert(name, ObservedGroup { comment, rules });
    }
    Ok(out)
}

/// The rules of the datacenter and of each node that answers and whose own switch is on, and where this installation comes from.
async fn entrance(api: &SiteApi, site: &ObservedSite) -> Result<Entrance, PveError> {
    let (rules, _) = decode::firewall::rule_texts(api.pve().send(firewall::datacenter_rules()).await?);
    let mut out = Entrance { rules, own: api.pve().local_addresses().await, ..Entrance::default() };
    for (name, _) in site.nodes.iter().filter(|(_, node)| node.online) {
        let options = decode::firewall::node_options(&api.pve().send(firewall::node_options(name)).await?);
        if options.enable {
            let (rules, _) = decode::firewall::rule_texts(api.pve().send(firewall::node_rules(name)).await?);
            out.nodes.insert(name.clone(), rules);
        }
    }
    Ok(out)
}

async fn guests(api: &SiteApi, wanted: &BTreeMap<Vmid, bool>, site: &mut ObservedSite) {
    let containers = |vmid: &Vmid| site.guests.get(vmid).filter(|guest| guest.kind == GuestKind::Container);
    let known: Vec<(Vmid, NodeName, bool)> = wanted
        .iter()
        .filter_map(|(vmid, options)| containers(vmid).map(|guest| (*vmid, guest.node.clone(), *options)))
        .collect();
    let read: Vec<_> = futures::stream::iter(known)
        .map(|(vmid, node, options)| async move { (vmid, guest(api, &node, vmid, options).await) })
        .buffer_unordered(READS_AT_ONCE)
        .collect()
        .await;
    for (vmid, firewall) in read {
        match firewall {
            Ok(firewall) => drop(site.firewall.guests.insert(vmid, firewall)),
            Err(error) => site.unread.push(unread(&format!("firewall of {vmid}"), &error)),
        }
    }
}

/// The rules of a guest, and its options where they are wanted.
pub(crate) async fn guest(
    api: &SiteApi,
    node: &NodeName,
    vmid: Vmid,
    options: bool,
) -> Result<ObservedFirewall, PveError> {
    let kind = GuestKind::Container;
    let (rules, _) = decode::firewall::rule_texts(api.pve().send(firewall::guest_rules(kind, node, vmid)).await?);
    let options = match options {
        true => Some(decode::firewall::guest_options(api.pve().send(firewall::guest_options(kind, node, vmid)).await?)),
        false => None,
    };
    Ok(ObservedFirewall { options, rules })
}

/// Every IP set of the datacenter by name; the members of those that are asked for, and of the one from which nodes are
/// looked after.
pub(crate) async fn sets(api: &SiteApi, whose: &Whose<'_>) -> Result<BTreeMap<IpSetName, ObservedSet>, PveError> {
    let mut out = BTreeMap::new();
    let mut read = 0;
    for row in api.pve().send(firewall::ip_sets()).await? {
        let Ok(name) = row.name.parse::<IpSetName>() else { continue };
        let comment = row.comment.map(|text| text.0).unwrap_or_default();
        let ours = (whose.covers(&comment) || name.as_str() == MANAGEMENT) && read < SETS_MAX;
        let members = if ours { Some(members(api, &name).await?.0) } else { None };
        read += usize::from(ours);
        out.insert(name, ObservedSet { comment, members });
    }
    Ok(out)
}

/// The members of a set as Proxmox lists them, and their digest; an empty set has none.
pub(crate) async fn members(api: &SiteApi, name: &IpSetName) -> Result<(BTreeSet<String>, Option<String>), PveError> {
    Ok(decode::firewall::member_texts(api.pve().send(firewall::ip_set(name)).await?))
}
