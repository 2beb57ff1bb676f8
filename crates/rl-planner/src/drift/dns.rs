//! How the records of a stack no longer match: in their values, in their time to live, in whose they are.

use std::collections::{BTreeMap, BTreeSet};

use rl_model::dns::{DnsName, Holder, ObservedZone, Owner, RecordSet, WantedSet, wanted_sets};
use rl_model::{Drift, DriftKind, Fqdn, Observed, RecordType, ResolvedStack};

use crate::parts::records_of;

/// Wanted record sets of one zone.
type Wanted = BTreeMap<(DnsName, RecordType), WantedSet>;

/// Compares the records last applied with the zones that were looked at.
pub(super) fn compare(stack: &ResolvedStack, observed: &Observed, out: &mut Vec<Drift>) {
    let owner = Owner { controller: stack.controller.clone(), stack: stack.name.clone() };
    let mut zones: BTreeMap<&Fqdn, Wanted> = observed.zones.keys().map(|zone| (zone, Wanted::new())).collect();
    let mut missing = BTreeSet::new();
    for ((zone, name, kind), want) in wanted_sets(stack, &|_| true) {
        match observed.zones.get_key_value(&zone) {
            Some((zone, _)) => _ = zones.entry(zone).or_default().insert((name, kind), want),
            None => _ = missing.insert(zone),
        }
    }
    for zone in missing {
        unread(&zone, "no site declares it", out);
    }
    for (zone, wanted) in zones {
        Zone { stack, owner: &owner, zone, seen: &observed.zones[zone] }.compare(&wanted, out);
    }
}

struct Zone<'a> {
    stack: &'a ResolvedStack,
    owner: &'a Owner,
    zone: &'a Fqdn,
    seen: &'a ObservedZone,
}

impl Zone<'_> {
    fn compare(&self, wanted: &Wanted, out: &mut Vec<Drift>) {
        if let Some((why, _)) = &self.seen.unread {
            return unread(self.zone, why, out);
        }
        for ((name, kind), want) in wanted {
            let have = self.seen.records.get(&(name.clone(), *kind));
            let holder = Holder::of(&self.seen.records, name, *kind);
            if have == Some(&want.set) && holder == Holder::Owner(self.owner.clone()) {
                continue;
            }
            self.tell(name, *kind, Some(want), &self.found(have, &want.set, &holder), out);
        }
        for (name, kind) in records_of(self.seen, self.owner) {
            if !wanted.contains_key(&(name.clone(), kind)) {
                let have = self.seen.records.get(&(name.clone(), kind));
                let found = have.map_or_else(|| "an owner without a record".to_owned(), values);
                self.tell(&name, kind, None, &found, out);
            }
        }
    }

    /// What is there, with whatever of it differs.
    fn found(&self, have: Option<&RecordSet>, want: &RecordSet, holder: &Holder) -> String {
        let mut text = have.map_or_else(|| "absent".to_owned(), values);
        if let Some(have) = have.filter(|have| have.ttl_s != want.ttl_s) {
            text.push_str(&format!(" with a time to live of {} s, not {} s", have.ttl_s, want.ttl_s));
        }
        match holder {
            Holder::Nobody => {}
            Holder::Owner(owner) if owner == self.owner => {}
            holder => text.push_str(&format!(", {holder}")),
        }
        text
    }

    fn tell(&self, name: &DnsName, kind: RecordType, want: Option<&WantedSet>, found: &str, out: &mut Vec<Drift>) {
        let expected = want.map_or_else(|| "absent".to_owned(), |want| values(&want.set));
        let message = format!("the record {name} {kind} is `{found}` and was applied as `{expected}`");
        let guest = want.and_then(|want| self.stack.guests.get(want.guests.first()?));
        out.push(Drift {
            guest: guest.map(|guest| guest.name.clone()),
            site: guest.map(|guest| guest.site.clone()),
            vmid: guest.map(|guest| guest.vmid),
            kind: DriftKind::Record {
                zone: self.zone.clone(),
                name: name.clone(),
                record: kind,
                expected,
                found: found.to_owned(),
            },
            message,
        });
    }
}

fn unread(zone: &Fqdn, why: &str, out: &mut Vec<Drift>) {
    let message = format!("the zone {zone} was not read: {why}");
    out.push(Drift { guest: None, site: None, vmid: None, kind: DriftKind::Unread, message });
}

fn values(set: &RecordSet) -> String {
    set.values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
