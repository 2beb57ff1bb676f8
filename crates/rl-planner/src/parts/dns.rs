//! Records of a stack: what changes in each zone, before guests go and after guests came.
//!
//! What the stack has in a zone is told by the owners that stand beside its records, so nothing that was written is forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rl_model::dns::{DnsName, Holder, ObservedZone, Owner, RecordSet, RecordValue, WantedSet, owner_kind, wanted_sets};
use rl_model::manifest::SectionKind;
use rl_model::{Action, ActionId, ActionKind, Fqdn, GuestName, NoteLevel, PartKind, RecordChange, RecordType, Records};

use super::{PartScene, Parts};
use crate::plan::report::Reporter;

/// Share of a zone's records that one plan may change or delete without being told so, in per cent.
const MASS_PERCENT: usize = 30;
/// Zones with fewer records are small enough to be looked over: a third of them is soon reached.
const MASS_RECORDS_MIN: usize = 10;

/// Wanted record sets of one zone.
type Wanted = BTreeMap<(DnsName, RecordType), WantedSet>;

/// Plans the records.
pub(crate) fn plan(scene: &PartScene<'_>, parts: &mut Parts<'_>, report: &mut Reporter) {
    if scene.policy.without.contains(&SectionKind::Dns) {
        return;
    }
    let owner = Owner { controller: scene.resolved.controller.clone(), stack: scene.resolved.name.clone() };
    let mut zones: BTreeMap<Fqdn, Wanted> =
        scene.observed.zones.keys().map(|zone| (zone.clone(), Wanted::new())).collect();
    for ((zone, name, kind), set) in wanted(scene, parts.actions) {
        zones.entry(zone).or_default().insert((name, kind), set);
    }
    for (zone, wanted) in zones {
        let Some(seen) = scene.observed.zones.get(&zone) else {
            let hint =
                format!("declare it under `dns:` of a site file, or leave records out with `--without dns`: {zone}");
            report.general(NoteLevel::Blocked, format!("no site declares the zone {zone}"), Some(hint));
            continue;
        };
        if let Some((why, hint)) = &seen.unread {
            let message = format!("the zone {zone} could not be read: {why}");
            report.general(NoteLevel::Blocked, message, Some(hint.clone()));
            continue;
        }
        let work = Zone { scene, owner: &owner, zone: &zone, seen };
        work.plan(&wanted, parts, report);
    }
}

/// What shall be, of guests that are there or are made.
fn wanted(scene: &PartScene<'_>, actions: &[Action]) -> BTreeMap<(Fqdn, DnsName, RecordType), WantedSet> {
    let acted: BTreeMap<&GuestName, &ActionKind> =
        actions.iter().map(|action| (&action.stamp.name, &action.kind)).collect();
    let there = |name: &GuestName| match acted.get(name) {
        Some(kind) => kind.guest().is_some(),
        None => scene.leases.guests.contains_key(name),
    };
    wanted_sets(scene.resolved, &there)
}

/// Records of which the owner beside them says that they are this owner's.
pub(crate) fn records_of(seen: &ObservedZone, owner: &Owner) -> Vec<(DnsName, RecordType)> {
    let owned = seen.records.iter().filter(|((_, kind), set)| {
        *kind == RecordType::Txt && set.values.iter().any(|value| Owner::of_value(value).as_ref() == Some(owner))
    });
    owned.filter_map(|((beside, _), _)| owner_kind(beside)).collect()
}

struct Zone<'a> {
    scene: &'a PartScene<'a>,
    owner: &'a Owner,
    zone: &'a Fqdn,
    seen: &'a ObservedZone,
}

impl Zone<'_> {
    fn plan(&self, wanted: &Wanted, parts: &mut Parts<'_>, report: &mut Reporter) {
        let mut changes = Vec::new();
        for ((name, kind), want) in wanted {
            changes.extend(self.wanted_change(name, *kind, &want.set, report));
        }
        for (name, kind) in records_of(self.seen, self.owner) {
            if !wanted.contains_key(&(name.clone(), kind)) {
                let before = self.seen.records.get(&(name.clone(), kind)).cloned();
                changes.push(RecordChange { name, kind, before, after: None });
            }
        }
        if changes.is_empty() || !self.within_limit(&changes, report) {
            return;
        }
        changes.sort_by(|a, b| (&a.name, a.kind).cmp(&(&b.name, b.kind)));
        self.add(&changes, wanted, parts);
    }

    fn wanted_change(
        &self,
        name: &DnsName,
        kind: RecordType,
        want: &RecordSet,
        report: &mut Reporter,
    ) -> Option<RecordChange> {
        let before = self.seen.records.get(&(name.clone(), kind));
        let holder = Holder::of(&self.seen.records, name, kind);
        if !holder.lets(self.owner) {
            let message = format!("the record {name} {kind} is {holder}");
            report.general(NoteLevel::Blocked, message, Some(holder.hint(name, kind)));
            return None;
        }
        if before == Some(want) && holder != Holder::Nobody {
            return None;
        }
        Some(RecordChange { name: name.clone(), kind, before: before.cloned(), after: Some(want.clone()) })
    }

    /// Whether the plan may change as much of the zone as this.
    fn within_limit(&self, changes: &[RecordChange], report: &mut Reporter) -> bool {
        let changed = changes.iter().filter(|change| change.before.is_some()).count();
        let total = self.seen.total;
        let much = total >= MASS_RECORDS_MIN && changed * 100 > total * MASS_PERCENT;
        if much && !self.scene.policy.allow_dns_mass_change {
            let message = format!(
                "{changed} of the {total} records of the zone {} would change or go, more than {MASS_PERCENT} %",
                self.zone
            );
            let hint = "look at the plan of each zone; if it is meant: `--allow-dns-mass-change`".to_owned();
            report.general(NoteLevel::Blocked, message, Some(hint));
            return false;
        }
        true
    }

    /// One part that takes away what must not outlive its guests, and one that brings the rest.
    fn add(&self, changes: &[RecordChange], wanted: &Wanted, parts: &mut Parts<'_>) {
        let leaving = self.leaving(parts.actions);
        let mut first = Vec::new();
        let mut waiting: BTreeSet<GuestName> = BTreeSet::new();
        let mut rest = Vec::new();
        for change in changes {
            let goes: BTreeSet<&GuestName> =
                dropped(change).filter_map(|value| self.guest_of(change, value, &leaving)).collect();
            if goes.is_empty() {
                rest.push(change.clone());
                continue;
            }
            waiting.extend(goes.into_iter().cloned());
            let kept = kept(change);
            first.push(RecordChange { after: kept.clone(), ..change.clone() });
            if kept != change.after {
                rest.push(RecordChange { before: kept, ..change.clone() });
            }
        }
        let before = (!first.is_empty()).then(|| {
            let reason = "their guests are about to go".to_owned();
            parts.add(self.part(first), vec![reason], Vec::new())
        });
        for guest in before.iter().flat_map(|_| &waiting) {
            if let Some(id) = before {
                parts.guest_waits_for(guest, id);
            }
        }
        if !rest.is_empty() {
            let after = self.after(&rest, wanted, before, parts);
            let reason = "the records follow the addresses leased to the guests".to_owned();
            parts.add(self.part(rest), vec![reason], after);
        }
    }

    fn part(&self, changes: Vec<RecordChange>) -> PartKind {
        PartKind::Records(Box::new(Records { zone: self.zone.clone(), owner: self.owner.clone(), changes }))
    }

    /// What must be done before the records appear: their guests' actions, and the part that takes records away.
    fn after(
        &self,
        rest: &[RecordChange],
        wanted: &Wanted,
        before: Option<ActionId>,
        parts: &Parts<'_>,
    ) -> Vec<ActionId> {
        let sets = rest.iter().filter_map(|change| wanted.get(&(change.name.clone(), change.kind)));
        let guests = sets.flat_map(|want| &want.guests);
        guests.filter_map(|guest| parts.action_of(guest)).chain(before).collect()
    }

    /// Addresses of guests that go, with the guest.
    fn leaving(&self, actions: &[Action]) -> BTreeMap<IpAddr, GuestName> {
        let goes =
            actions.iter().filter(|action| matches!(action.kind, ActionKind::Remove { .. } | ActionKind::Forget));
        let known = goes.filter_map(|action| self.scene.leases.guests.get(&action.stamp.name));
        let addresses =
            known.flat_map(|known| known.addresses.values().flatten().map(|address| (*address, known.name.clone())));
        addresses.collect()
    }

    /// The guest that goes and that a value leads to.
    fn guest_of<'l>(
        &self,
        change: &RecordChange,
        value: &RecordValue,
        leaving: &'l BTreeMap<IpAddr, GuestName>,
    ) -> Option<&'l GuestName> {
        match value {
            RecordValue::A(address) => leaving.get(&IpAddr::V4(*address)),
            RecordValue::Aaaa(address) => leaving.get(&IpAddr::V6(*address)),
            RecordValue::Ptr(_) => {
                leaving.iter().find(|(address, _)| DnsName::reverse(**address) == change.name).map(|(_, guest)| guest)
            }
            // What is said of the stack as a whole goes with the first of its guests when all of them go.
            _ if self.scene.resolved.guests.is_empty() => leaving.values().next(),
            _ => None,
        }
    }
}

/// Values that a change takes away.
fn dropped(change: &RecordChange) -> impl Iterator<Item = &RecordValue> {
    let before = change.before.iter().flat_map(|set| &set.values);
    before.filter(|value| !change.after.as_ref().is_some_and(|after| after.values.contains(value)))
}

/// What stays of a record set; nothing when no value does.
fn kept(change: &RecordChange) -> Option<RecordSet> {
    let (before, after) = (change.before.as_ref()?, change.after.as_ref()?);
    let values: BTreeSet<RecordValue> = before.values.intersection(&after.values).cloned().collect();
    (!values.is_empty()).then_some(RecordSet { ttl_s: before.ttl_s, values })
}

#[cfg(test)]
mod tests;
