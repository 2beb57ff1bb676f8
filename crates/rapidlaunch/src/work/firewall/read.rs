//! Reads what a question needs of a site: options, rules and names of its guests, and what these refer to.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rl_model::firewall::{
    AddressSpec, DatacenterFirewall, FirewallRule, FirewallView, Group, GroupName, GuestFirewall, IpSet, IpSetName,
    NodeFirewall, RuleKind, Scope,
};
use rl_model::{GuestKind, NicName, NodeName, Stamp, Vmid};
use rl_planner::firewall::knows_macro;
use rl_pve::api::{cluster, firewall as api, lxc};
use rl_pve::{ErrorKind, Pve, PveError, decode};
use rl_store::GuestRecord;

use crate::error::CommandError;

/// What was read.
pub(crate) struct View {
    /// The firewall.
    pub(crate) firewall: FirewallView,
    /// Addresses inside running guests.
    pub(crate) live: BTreeMap<Vmid, Vec<(NicName, Vec<IpAddr>)>>,
}

/// The set that Proxmox itself uses.
const BLACKLIST: &str = "blacklist";

/// Reads the firewall as far as a question about these guests needs it.
pub(crate) async fn view(pve: &Pve, guests: &[&GuestRecord]) -> Result<View, CommandError> {
    let mut view = View { firewall: FirewallView::default(), live: BTreeMap::new() };
    let whole = pve.send(cluster::resources(Some(cluster::ResourceKind::Guests))).await.map_err(unread)?;
    for record in guests.iter().copied() {
        let node = node_of(&whole.0, record)?;
        let guest = guest(pve, record, &node).await?;
        let inside = pve.send(lxc::interfaces(&node, record.vmid)).await.map_err(unread)?;
        let inside = decode::live_interfaces(inside).into_iter();
        let addresses = inside.map(|nic| (nic.name, nic.addresses.iter().map(|own| own.address()).collect()));
        view.live.insert(record.vmid, addresses.collect());
        if let Entry::Vacant(place) = view.firewall.nodes.entry(node) {
            let options = pve.send(api::node_options(place.key())).await.map_err(unread)?;
            place.insert(NodeFirewall { options: decode::firewall::node_options(&options) });
        }
        view.firewall.guests.insert(record.vmid, guest);
    }
    view.firewall.datacenter = datacenter(pve, &view.firewall).await?;
    Ok(view)
}

pub(super) fn unread(error: PveError) -> CommandError {
    let refused = matches!(error.kind(), ErrorKind::Forbidden { .. });
    let failed = CommandError::failed("the firewall cannot be read").because(error);
    if refused {
        failed.hinted("the token needs Sys.Audit on / and on the nodes, and VM.Audit on the guests")
    } else {
        failed
    }
}

fn node_of(rows: &[cluster::Resource], record: &GuestRecord) -> Result<NodeName, CommandError> {
    let row = rows.iter().find(|row| row.vmid.is_some_and(|vmid| vmid.unsigned() == u64::from(u32::from(record.vmid))));
    let node = row.and_then(|row| row.node.as_deref()?.parse().ok());
    node.ok_or_else(|| {
        CommandError::failed(format!("{} (VMID {}) is not on site {}", record.name, record.vmid, record.site))
            .hinted("`rapidlaunch verify` says what became of it")
    })
}

/// A guest's part, after a look at whose it is.
async fn guest(pve: &Pve, record: &GuestRecord, node: &NodeName) -> Result<GuestFirewall, CommandError> {
    let (kind, vmid) = (GuestKind::Container, record.vmid);
    let config = pve.send(lxc::config(node, vmid, lxc::ConfigView::Current)).await.map_err(unread)?;
    if config.get("description").and_then(Stamp::find).is_none_or(|stamp| stamp.guest != record.id) {
        return Err(CommandError::blocked(format!("VMID {vmid} does not bear the stamp of {}", record.name))
            .hinted("`rapidlaunch verify` says what became of it"));
    }
    let options = pve.send(api::guest_options(kind, node, vmid)).await.map_err(unread)?;
    let rules = pve.send(api::guest_rules(kind, node, vmid)).await.map_err(unread)?;
    let aliases = pve.send(api::guest_aliases(kind, node, vmid)).await.map_err(unread)?;
    let names = pve.send(api::guest_ip_sets(kind, node, vmid)).await.map_err(unread)?;
    let mut sets: BTreeMap<IpSetName, IpSet> = BTreeMap::new();
    let rules = decode::firewall::rules(rules);
    let wanted = set_names(&rules, &[Scope::Guest, Scope::Either]);
    for name in names.into_iter().filter_map(|row| row.name.parse::<IpSetName>().ok()) {
        if wanted.contains(&name) || name.as_str().starts_with("ipfilter-") {
            let entries = pve.send(api::guest_ip_set(kind, node, vmid, &name)).await.map_err(unread)?;
            sets.insert(name, decode::firewall::ip_set(entries));
        }
    }
    Ok(GuestFirewall {
        kind,
        node: node.clone(),
        options: decode::firewall::guest_options(options),
        rules,
        sets,
        aliases: decode::firewall::aliases(aliases),
        nics: decode::firewall::nics(kind, &config),
    })
}

/// What the guests' rules refer to.
async fn datacenter(pve: &Pve, view: &FirewallView) -> Result<DatacenterFirewall, CommandError> {
    let mut site = DatacenterFirewall {
        options: decode::firewall::datacenter_options(pve.send(api::datacenter_options()).await.map_err(unread)?),
        aliases: decode::firewall::aliases(pve.send(api::aliases()).await.map_err(unread)?),
        ..DatacenterFirewall::default()
    };
    let guests = || view.guests.values().flat_map(|guest| &guest.rules);
    let called: BTreeSet<&GroupName> = guests()
        .filter_map(|rule| match &rule.kind {
            RuleKind::Group(name) if rule.enabled => Some(name),
            _ => None,
        })
        .collect();
    if !called.is_empty() {
        let known = pve.send(api::groups()).await.map_err(unread)?;
        let known: BTreeSet<String> = known.into_iter().map(|row| row.group).collect();
        for name in called.into_iter().filter(|name| known.contains(name.as_str())) {
            let rules = decode::firewall::rules(pve.send(api::group(name)).await.map_err(unread)?);
            site.groups.insert(name.clone(), Group { rules });
        }
    }
    let inner: Vec<FirewallRule> = site.groups.values().flat_map(|group| group.rules.clone()).collect();
    let every: Vec<FirewallRule> = guests().cloned().chain(inner).collect();
    let mut wanted = set_names(&every, &[Scope::Datacenter, Scope::Either]);
    wanted.extend(BLACKLIST.parse::<IpSetName>());
    let names = pve.send(api::ip_sets()).await.map_err(unread)?;
    for name in names.into_iter().filter_map(|row| row.name.parse::<IpSetName>().ok()) {
        if wanted.contains(&name) {
            let entries = pve.send(api::ip_set(&name)).await.map_err(unread)?;
            site.sets.insert(name, decode::firewall::ip_set(entries));
        }
    }
    if every.iter().any(|rule| rule.macro_name.as_ref().is_some_and(|name| !knows_macro(name.as_str()))) {
        let macros = pve.send(api::macros()).await.map_err(unread)?;
        site.macros = macros.into_iter().filter_map(|row| row.name.parse().ok()).collect();
    }
    Ok(site)
}

/// The IP sets that rules name within these scopes.
fn set_names(rules: &[FirewallRule], scopes: &[Scope]) -> BTreeSet<IpSetName> {
    let specs = rules.iter().flat_map(|rule| [&rule.source, &rule.dest]).flatten();
    specs
        .filter_map(|spec| match spec {
            AddressSpec::Set(name) if scopes.contains(&name.scope) => Some(name.name.clone()),
            _ => None,
        })
        .collect()
}
