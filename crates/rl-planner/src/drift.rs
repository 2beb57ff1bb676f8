//! Drift: how the world no longer matches the stack last applied.
//!
//! Compares meaning: order, defaults, spelling, tags and features that others added, and rounding of disk sizes are no
//! drift. What could not be read is told as unread, never taken for gone.

mod dns;
mod firewall;

use std::collections::BTreeSet;
use std::fmt::Display;

use rl_model::{
    ContainerConfig, Drift, DriftKind, GuestId, GuestStatus, MacAddr, Observed, ObservedGuest, ResolvedGuest,
    ResolvedStack, Stamp,
};

use crate::plan::delta::Delta;
use crate::plan::world::{Found, Identity, Place, World};

/// Compares the stack as it was last applied with what is observed. One entry for each difference, in the order of the
/// guests' names; guests that bear our stamp but are unknown come after them, and records of the zones that were looked at last.
pub fn drift(resolved: &ResolvedStack, observed: &Observed) -> Vec<Drift> {
    let world = World::new(observed);
    let mut out = Vec::new();
    for guest in resolved.guests.values() {
        of_guest(resolved, guest, &world, &mut out);
    }
    added(resolved, &world, &mut out);
    dns::compare(resolved, observed, &mut out);
    out
}

fn of_guest(stack: &ResolvedStack, guest: &ResolvedGuest, world: &World<'_>, out: &mut Vec<Drift>) {
    let net0 = net0(guest);
    let (id, controller, site, node, vmid) = (&guest.id, &stack.controller, &guest.site, &guest.node, guest.vmid);
    let hostname = Some(&guest.hostname);
    match world.find(Identity { id, controller, site, node, vmid, net0, hostname }) {
        Found::Ours(place, config) => {
            compare(stack, guest, place, config, out);
            firewall::compare(stack, guest, place, world, out);
        }
        Found::Shallow(place) => compare_row(guest, place.guest, out),
        Found::Absent => tell(guest, DriftKind::Gone, format!("`{}` is gone from {site}", guest.name), out),
        Found::Foreign(place, foreign) => {
            let message =
                format!("`{}` is gone, and {} holds its VMID: {}", guest.name, shown(place.guest), foreign.why);
            tell(guest, DriftKind::Usurped, message, out);
        }
        Found::Creating(place) => {
            let message = format!("{} is just being created in place of `{}`", place.show(), guest.name);
            tell(guest, DriftKind::Unread, message, out);
        }
        Found::Unreadable(place, why) => {
            tell(guest, DriftKind::Unread, format!("{} was not read: {why}", place.show()), out);
        }
        Found::Unread(why) => tell(guest, DriftKind::Unread, format!("`{}` was not read: {why}", guest.name), out),
        Found::Twins(places) => twins(stack, guest, &places, out),
    }
}

fn net0(guest: &ResolvedGuest) -> Option<MacAddr> {
    guest.nics.iter().find(|nic| nic.slot.number() == 0).map(|nic| nic.mac)
}

fn shown(guest: &ObservedGuest) -> String {
    if guest.name.is_empty() { "another guest".to_owned() } else { format!("`{}`", guest.name) }
}

/// Several guests bear one stamp: the one at the leased place with the leased MAC is compared, the others were added.
fn twins(stack: &ResolvedStack, guest: &ResolvedGuest, places: &[Place<'_>], out: &mut Vec<Drift>) {
    let mut original = false;
    for place in places {
        let config = place.guest.config.as_ref();
        let at_home = *place.site == guest.site && place.guest.vmid == guest.vmid;
        match config {
            Some(config) if at_home && config.net0_mac == net0(guest) => {
                original = true;
                compare(stack, guest, *place, config, out);
            }
            _ => {
                let message = format!("{} bears the stamp of `{}`: it is a copy of it", place.show(), guest.name);
                let (site, vmid) = (Some(place.site.clone()), Some(place.guest.vmid));
                out.push(Drift { guest: Some(guest.name.clone()), site, vmid, kind: DriftKind::Added, message });
            }
        }
    }
    if !original {
        let message = format!("none of the guests that bear the stamp of `{}` is where it was put", guest.name);
        tell(guest, DriftKind::Gone, message, out);
    }
}

fn compare(
    stack: &ResolvedStack,
    guest: &ResolvedGuest,
    place: Place<'_>,
    config: &ContainerConfig,
    out: &mut Vec<Drift>,
) {
    if *place.site != guest.site {
        changed(guest, "site", &guest.site, place.site, out);
    }
    if place.guest.vmid != guest.vmid {
        changed(guest, "vmid", &guest.vmid, &place.guest.vmid, out);
    }
    placed(guest, place.guest, out);
    let delta = Delta::new(guest.clone(), &config.fields, Some(guest));
    for change in delta.changes(&stack.stamp(guest)) {
        changed(guest, &change.key.to_string(), &change.to, &change.from, out);
    }
    for (slot, value) in delta.foreign_mounts() {
        changed(guest, &slot.to_string(), &"", &value, out);
    }
}

/// What the resource list alone shows; disk sizes there are those of file systems.
fn compare_row(guest: &ResolvedGuest, row: &ObservedGuest, out: &mut Vec<Drift>) {
    placed(guest, row, out);
    let memory = row.max_memory_bytes >> 20;
    let tag = Stamp::tag_of(&guest.id);
    let lacks: Vec<String> = guest
        .tags
        .iter()
        .chain([&tag])
        .filter(|tag| !row.tags.iter().any(|have| have == tag.as_str()))
        .map(ToString::to_string)
        .collect();
    if row.name != guest.hostname.as_str() {
        changed(guest, "hostname", &guest.hostname, &row.name, out);
    }
    if row.max_memory_bytes != guest.memory.bytes() {
        changed(guest, "memory", &guest.memory.mib(), &memory, out);
    }
    if row.max_cores != guest.cores {
        changed(guest, "cores", &guest.cores, &row.max_cores, out);
    }
    if !lacks.is_empty() {
        changed(guest, "tags", &lacks.join(";"), &"", out);
    }
}

/// Where the guest lies and whether it runs.
fn placed(guest: &ResolvedGuest, row: &ObservedGuest, out: &mut Vec<Drift>) {
    if row.template {
        changed(guest, "template", &0, &1, out);
    }
    if row.node != guest.node {
        let (from, to) = (guest.node.clone(), row.node.clone());
        let message = format!("`{}` lies on {to} and was put on {from}", guest.name);
        tell(guest, DriftKind::Moved { from, to }, message, out);
    }
    match (row.status, guest.running) {
        (GuestStatus::Stopped, true) => tell(guest, DriftKind::Stopped, format!("`{}` does not run", guest.name), out),
        (GuestStatus::Running, false) => tell(guest, DriftKind::Started, format!("`{}` runs", guest.name), out),
        _ => {}
    }
}

/// Guests that bear a stamp of this stack and installation whose id is not among the stack's.
fn added(stack: &ResolvedStack, world: &World<'_>, out: &mut Vec<Drift>) {
    let known: BTreeSet<&GuestId> = stack.guests.values().map(|guest| &guest.id).collect();
    for place in world.stamped() {
        let Some(stamp) = place.guest.config.as_ref().and_then(|config| config.stamp.as_ref()) else { continue };
        if stamp.controller == stack.controller && stamp.stack == stack.name && !known.contains(&stamp.guest) {
            let message =
                format!("{} bears our stamp as `{}`, which the stack does not know", place.show(), stamp.name);
            let (guest, site, vmid) = (Some(stamp.name.clone()), Some(place.site.clone()), Some(place.guest.vmid));
            out.push(Drift { guest, site, vmid, kind: DriftKind::Added, message });
        }
    }
}

fn changed(guest: &ResolvedGuest, field: &str, expected: &dyn Display, found: &dyn Display, out: &mut Vec<Drift>) {
    let (expected, found) = (expected.to_string(), found.to_string());
    let message = format!("{field} of `{}` is `{found}` and was applied as `{expected}`", guest.name);
    tell(guest, DriftKind::Changed { field: field.to_owned(), expected, found }, message, out);
}

fn tell(guest: &ResolvedGuest, kind: DriftKind, message: String, out: &mut Vec<Drift>) {
    let (name, site, vmid) = (Some(guest.name.clone()), Some(guest.site.clone()), Some(guest.vmid));
    out.push(Drift { guest: name, site, vmid, kind, message });
}
