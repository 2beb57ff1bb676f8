//! The roster: which guests a stack stands for, what the store knows of each, and whether it is there.

use rl_model::manifest::{Container, Stack};
use rl_model::{GuestId, GuestKind, GuestName, KnownGuest, Leases, Site, Vmid};

use crate::plan::leave::identity_of;
use crate::plan::world::{LOCK_CREATE, Place, World, likeness};

use super::codes;
use super::error::Findings;
use super::mint;

/// One guest that the stack asks for.
pub(crate) struct Wanted<'a> {
    pub(crate) name: GuestName,
    pub(crate) id: GuestId,
    pub(crate) container: &'a Container,
    pub(crate) site: &'a Site,
    /// Its place among the guests of its entry, from 0.
    pub(crate) ordinal: usize,
    /// What the store knows of it on this site.
    pub(crate) known: Option<&'a KnownGuest>,
    pub(crate) presence: Presence<'a>,
}

impl Wanted<'_> {
    /// The VMID the stack file pins it to.
    pub(crate) fn pinned_vmid(&self) -> Option<Vmid> {
        self.container.vmids.get(self.ordinal).copied()
    }

    /// Path of a key of its entry in the stack file.
    pub(crate) fn path(&self, stack: &Stack, key: &str) -> String {
        format!("stacks.{}.containers.{}.{key}", stack.name, self.container.name)
    }

    /// Whether it is, or has to be taken to be, there already, so that slots and VMID are settled.
    pub(crate) fn is_there(&self) -> bool {
        matches!(self.presence, Presence::Here(_) | Presence::Unknown)
    }
}

/// Whether a guest is there, as far as was read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Presence<'a> {
    /// A guest bears its tag or stamp.
    Here(Place<'a>),
    /// Too little was read to tell; what the store knows is kept.
    Unknown,
    /// It is not there.
    Absent,
    /// It is not there, and another guest holds its VMID.
    Usurped,
}

/// Lists the guests of a stack in the order of its entries.
pub(crate) fn roster<'a>(
    stack: &'a Stack,
    sites: &'a std::collections::BTreeMap<rl_model::SiteName, Site>,
    leases: &'a Leases,
    world: &World<'a>,
    findings: &mut Findings<'_>,
) -> Vec<Wanted<'a>> {
    let mut out = Vec::new();
    for container in stack.containers.values() {
        let Some(site) = sites.get(&container.site) else {
            let path = format!("stacks.{}.containers.{}.site", stack.name, container.name);
            let message = format!("site `{}` is not declared", container.site);
            findings.add(codes::SITE_UNREAD, &path, message, "declare it with `kind: site`");
            continue;
        };
        for (ordinal, name) in stack.guest_names(container).into_iter().enumerate() {
            let stored = leases.guests.get(&name);
            let id =
                stored.map_or_else(|| mint::guest_id(leases.entropy, &stack.name, &name), |known| known.id.clone());
            let known = stored.filter(|known| known.site == site.name);
            let presence = known.map_or(Presence::Absent, |known| presence(known, leases, world));
            let wanted = Wanted { name, id, container, site, ordinal, known, presence };
            if let Some(elsewhere) = stored.filter(|known| known.site != site.name) {
                stays_on_its_site(&wanted, elsewhere, stack, world, findings);
            }
            out.push(wanted);
        }
    }
    out
}

/// A guest that was made on one site cannot be declared on another: its disks lie where they are.
fn stays_on_its_site(
    wanted: &Wanted<'_>,
    known: &KnownGuest,
    stack: &Stack,
    world: &World<'_>,
    findings: &mut Findings<'_>,
) {
    if known.last.is_none() && world.bearers(&known.id).is_empty() {
        return;
    }
    let message = format!("`{}` lies on site `{}` and cannot go to `{}`", wanted.name, known.site, wanted.site.name);
    let help = "give the entry on the new site another name, apply, bring its data over, then take the old entry out";
    findings.add(codes::SITE_FIXED, &wanted.path(stack, "site"), message, help);
}

fn presence<'a>(known: &KnownGuest, leases: &Leases, world: &World<'a>) -> Presence<'a> {
    if world.site_unread(&known.site).is_some() {
        return Presence::Unknown;
    }
    let bearers: Vec<Place<'a>> =
        world.bearers(&known.id).into_iter().filter(|place| place.guest.kind == GuestKind::Container).collect();
    let home = |place: &&Place<'a>| *place.site == known.site && place.guest.vmid == known.vmid;
    match (bearers.iter().find(home), &bearers[..]) {
        (Some(place), _) => Presence::Here(*place),
        (None, [place]) if *place.site == known.site => Presence::Here(*place),
        (None, []) => at_home(known, leases, world),
        (None, _) => Presence::Unknown,
    }
}

/// Judges what lies on the VMID of a guest whose tag is nowhere. Another VMID is only given out when the guest there is
/// certainly another's: a guest of ours whose tag was taken away would otherwise be made a second time, with the same
/// addresses.
fn at_home<'a>(known: &KnownGuest, leases: &Leases, world: &World<'a>) -> Presence<'a> {
    let Some(place) = world.at(&known.site, known.vmid) else {
        return if world.is_broken(&known.site, known.vmid) { Presence::Unknown } else { Presence::Absent };
    };
    if place.guest.kind == GuestKind::Vm {
        return Presence::Usurped;
    }
    if place.lock() == Some(LOCK_CREATE) {
        return Presence::Unknown;
    }
    let Some(config) = &place.guest.config else {
        return if known.last.is_none() { Presence::Usurped } else { Presence::Unknown };
    };
    let who = identity_of(known, &leases.controller);
    if likeness(config, &who).is_none() { Presence::Usurped } else { Presence::Unknown }
}
