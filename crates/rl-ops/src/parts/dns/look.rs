//! Looks at zones for a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rl_model::dns::{DnsName, ObservedZone, Owner, RecordSource, owner_kind, owner_name, wanted_sets};
use rl_model::{Fqdn, RecordType, ResolvedStack};
use rl_providers::dns::{DnsProvider, ZoneList};

/// The zones that a plan must look at: those of the records that shall be, and of those that may have been written before.
pub fn zones_of<'a>(stacks: impl IntoIterator<Item = &'a ResolvedStack>) -> BTreeSet<Fqdn> {
    let mut out = BTreeSet::new();
    for record in stacks.into_iter().flat_map(|stack| &stack.records) {
        out.insert(record.zone.clone());
        if matches!(record.source, RecordSource::Nic { .. }) {
            out.extend(record.reverse.iter().cloned());
        }
    }
    out
}

/// Reads zones: what is the stack's in them, and what is under the names it wants. Zones that could not be read say why.
pub async fn observe_zones(
    zones: &BTreeMap<Fqdn, Arc<dyn DnsProvider>>,
    resolved: &ResolvedStack,
) -> BTreeMap<Fqdn, ObservedZone> {
    let owner = Owner { controller: resolved.controller.clone(), stack: resolved.name.clone() };
    let wanted = wanted_sets(resolved, &|_| true);
    let mut out = BTreeMap::new();
    for (zone, provider) in zones {
        let names: BTreeSet<&DnsName> =
            wanted.keys().filter(|(other, ..)| other == zone).map(|(_, name, _)| name).collect();
        let seen = match provider.list().await {
            Ok(list) => seen(&owner, &names, list),
            Err(error) => ObservedZone { unread: Some((error.full(), error.hint())), ..ObservedZone::default() },
        };
        out.insert(zone.clone(), seen);
    }
    out
}

/// What of a zone matters to a plan.
fn seen(owner: &Owner, names: &BTreeSet<&DnsName>, list: ZoneList) -> ObservedZone {
    let mut kept: BTreeSet<DnsName> = names.iter().map(|name| (*name).clone()).collect();
    let mut owners = 0;
    for ((name, kind), set) in &list.records {
        let Some((owned, _)) = owner_kind(name).filter(|_| *kind == RecordType::Txt) else { continue };
        owners += 1;
        if set.values.iter().any(|value| Owner::of_value(value).as_ref() == Some(owner)) {
            kept.insert(owned);
        }
    }
    let beside: Vec<DnsName> =
        kept.iter().flat_map(|name| RecordType::ALL.into_iter().filter_map(|kind| owner_name(name, kind))).collect();
    kept.extend(beside);
    let total = list.records.len() - owners + list.others;
    let records = list.records.into_iter().filter(|((name, _), _)| kept.contains(name)).collect();
    ObservedZone { total, records, unread: None }
}
