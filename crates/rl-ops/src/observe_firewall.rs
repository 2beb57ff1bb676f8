//! Looks at firewalls: one request a guest for its rules, another for its options where they are wanted.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use rl_model::firewall::{IpSetName, ObservedFirewall, ObservedSet};
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
    let Some(owner) = &scope.sets_of else { return };
    match api.pve().send(firewall::datacenter_options()).await {
        Ok(row) => site.firewall.options = Some(decode::firewall::datacenter_options(row)),
        Err(error) => site.unread.push(unread("options of the datacenter's firewall", &error)),
    }
    match sets(api, owner).await {
        Ok(sets) => site.firewall.sets = Some(sets),
        Err(error) => site.unread.push(unread("IP sets of the datacenter", &error)),
    }
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

/// Every IP set of the datacenter by name; the members of those with this comment, and of the one from which nodes are looked
/// after.
pub(crate) async fn sets(api: &SiteApi, owner: &str) -> Result<BTreeMap<IpSetName, ObservedSet>, PveError> {
    let mut out = BTreeMap::new();
    let mut read = 0;
    for row in api.pve().send(firewall::ip_sets()).await? {
        let Ok(name) = row.name.parse::<IpSetName>() else { continue };
        let comment = row.comment.map(|text| text.0).unwrap_or_default();
        let ours = (comment == owner || name.as_str() == MANAGEMENT) && read < SETS_MAX;
        let members = if ours { Some(members(api, &name).await?.0) } else { None };
        read += usize::from(ours);
        out.insert(name, ObservedSet { comment, members });
    }
    Ok(out)
}

/// The members of a set as Proxmox lists them, and their digest; an empty set has none.
pub(crate) async fn members(api: &SiteApi, name: &IpSetName) -> Result<(BTreeSet<String>, Option<String>), PveError> {
    let rows = api.pve().send(firewall::ip_set(name)).await?;
    let digest = rows.0.first().and_then(|row| row.digest.clone());
    Ok((rows.into_iter().map(|row| row.cidr).collect(), digest))
}
