//! Which configurations an observer has to read before a plan can be made.

use std::collections::BTreeSet;

use rl_model::{GuestKind, Leases, Observed, ResolvedStack, SiteName, Stamp, Vmid};

use super::shallow;
use super::world::{Place, World};

/// Configurations read for one plan while a stack is no larger than this; above it, only those of guests that differ
/// in what the resource list shows. Each one is a request.
pub const CONFIGS_READ_MAX: usize = 200;

/// The guests whose configuration a plan has to compare: every existing guest of the stack, those that leave it,
/// whatever lies on one of their VMIDs or bears one of their tags, and guests with a stamp's tag that no lease knows.
///
/// Where the existing guests of the stack are more than `limit`, those are left out whose row in the resource list and
/// whose form last applied both agree with the stack; the plan counts them as compared by the resource list only. In
/// order of site and VMID; virtual machines are never among them.
pub fn configs_needed(
    resolved: &ResolvedStack,
    observed: &Observed,
    leases: &Leases,
    limit: usize,
) -> Vec<(SiteName, Vmid)> {
    let world = World::new(observed);
    let mut certain: BTreeSet<(SiteName, Vmid)> = BTreeSet::new();
    let mut agreeing: BTreeSet<(SiteName, Vmid)> = BTreeSet::new();
    for want in resolved.guests.values() {
        let bearers = world.bearers(&want.id);
        let home = world.at(&want.site, want.vmid);
        let last =
            leases.guests.get(&want.name).filter(|known| known.id == want.id).and_then(|known| known.last.as_ref());
        match (&bearers[..], home) {
            ([place], Some(at))
                if shallow::difference(want, last, at.guest).is_none() && place.guest.vmid == want.vmid =>
            {
                add(&mut agreeing, *place);
            }
            _ => bearers.into_iter().chain(home).for_each(|place| add(&mut certain, place)),
        }
    }
    for known in leases.guests.values().filter(|known| !resolved.guests.contains_key(&known.name)) {
        let places = world.bearers(&known.id).into_iter().chain(world.at(&known.site, known.vmid));
        places.for_each(|place| add(&mut certain, place));
    }
    strays(&world, resolved, leases).into_iter().take(limit).for_each(|place| add(&mut certain, place));
    if certain.len() + agreeing.len() <= limit {
        certain.append(&mut agreeing);
    }
    certain.into_iter().collect()
}

fn add(to: &mut BTreeSet<(SiteName, Vmid)>, place: Place<'_>) {
    if place.guest.kind == GuestKind::Container {
        to.insert((place.site.clone(), place.guest.vmid));
    }
}

/// Guests with a stamp's tag of a guest that no lease knows: copies from elsewhere, or guests the store has lost.
fn strays<'a>(world: &World<'a>, resolved: &ResolvedStack, leases: &Leases) -> Vec<Place<'a>> {
    let held = leases.sites.values().flat_map(|site| site.vmids.values()).map(|held| &held.guest);
    let ids = held
        .chain(resolved.guests.values().map(|guest| &guest.id))
        .chain(leases.guests.values().map(|known| &known.id));
    let known: BTreeSet<String> = ids.map(|id| Stamp::tag_of(id).to_string()).collect();
    let stray = |place: &Place<'_>| place.guest.tags.iter().any(|tag| Stamp::is_stamp_tag(tag) && !known.contains(tag));
    world.stamped().into_iter().filter(stray).collect()
}
