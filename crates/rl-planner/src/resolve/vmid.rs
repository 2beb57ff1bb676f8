//! VMIDs: the one a guest has, the one it is pinned to, or the lowest that is free.

use std::collections::{BTreeMap, BTreeSet};

use rl_model::manifest::Stack;
use rl_model::{LeaseState, Leases, Site, SiteName, Vmid};

use crate::plan::world::{LOCK_CREATE, World};

use super::codes;
use super::error::Findings;
use super::roster::{Presence, Wanted};

/// VMIDs still to be handed out.
pub(crate) struct Vmids<'a> {
    stack: &'a Stack,
    leases: &'a Leases,
    world: &'a World<'a>,
    taken: BTreeMap<&'a SiteName, BTreeSet<Vmid>>,
    /// Where the search for a free VMID goes on: what lies below is taken.
    cursors: BTreeMap<&'a SiteName, Box<dyn Iterator<Item = Vmid>>>,
}

impl<'a> Vmids<'a> {
    /// Marks everything as taken that a lease, a guest or a pin of this stack holds.
    pub(crate) fn new(stack: &'a Stack, roster: &[Wanted<'a>], leases: &'a Leases, world: &'a World<'a>) -> Self {
        let mut taken: BTreeMap<&'a SiteName, BTreeSet<Vmid>> = BTreeMap::new();
        let mut cursors: BTreeMap<&'a SiteName, Box<dyn Iterator<Item = Vmid>>> = BTreeMap::new();
        for wanted in roster {
            let site: &'a Site = wanted.site;
            let of_site = taken.entry(&site.name).or_insert_with(|| Self::taken_on(&site.name, leases, world));
            of_site.extend(wanted.pinned_vmid());
            of_site.extend(wanted.known.map(|known| known.vmid));
            cursors.entry(&site.name).or_insert_with(|| Box::new(site.vmids.iter()));
        }
        Self { stack, leases, world, taken, cursors }
    }

    fn taken_on(site: &'a SiteName, leases: &Leases, world: &'a World<'a>) -> BTreeSet<Vmid> {
        let leased = leases.sites.get(site).into_iter().flat_map(|held| held.vmids.keys().copied());
        leased.chain(world.held(site)).collect()
    }

    /// The VMID of a guest; `None` after a finding.
    pub(crate) fn choose(&mut self, wanted: &Wanted<'a>, findings: &mut Findings<'_>) -> Option<Vmid> {
        let pin = wanted.pinned_vmid();
        match (wanted.known, wanted.presence) {
            (Some(known), Presence::Here(_) | Presence::Unknown) => {
                let found = match wanted.presence {
                    Presence::Here(place) => place.guest.vmid,
                    _ => known.vmid,
                };
                if pin.is_some_and(|pin| pin != found) {
                    self.fixed(wanted, found, findings);
                }
                Some(pin.filter(|pin| *pin == found).unwrap_or(known.vmid))
            }
            (_, _) if pin.is_some() => {
                let pin = pin?;
                self.pin_free(wanted, pin, findings).then_some(pin)
            }
            (Some(known), Presence::Absent) if wanted.site.vmids.contains(known.vmid) => Some(known.vmid),
            _ => self.lowest(wanted, findings),
        }
    }

    fn lowest(&mut self, wanted: &Wanted<'a>, findings: &mut Findings<'_>) -> Option<Vmid> {
        let (cursor, taken) = (self.cursors.get_mut(&wanted.site.name)?, self.taken.get_mut(&wanted.site.name)?);
        let free = cursor.find(|vmid| taken.insert(*vmid));
        if free.is_none() {
            let range = wanted.site.vmids;
            let message =
                format!("site `{}` has no VMID left for `{}`: all of {range} are taken", wanted.site.name, wanted.name);
            let help = "widen `vmids` of the site, remove guests, or wait until released VMIDs may be given out again";
            findings.add_once(codes::NO_VMID, &format!("sites.{}.vmids", wanted.site.name), message, help);
        }
        free
    }

    /// Whether nobody else holds a pinned VMID. One that waits out its quarantine may be named explicitly.
    fn pin_free(&self, wanted: &Wanted<'a>, pin: Vmid, findings: &mut Findings<'_>) -> bool {
        let site = &wanted.site.name;
        let lease = self.leases.sites.get(site).and_then(|held| held.vmids.get(&pin));
        let held = lease.is_some_and(|lease| lease.guest != wanted.id && lease.state == LeaseState::Held);
        let bearers = self.world.bearers(&wanted.id);
        let stranger = self.world.at(site, pin).filter(|place| {
            let being_made = place.lock() == Some(LOCK_CREATE) && wanted.known.is_some_and(|known| known.vmid == pin);
            !being_made && !bearers.iter().any(|ours| ours.site == place.site && ours.guest.vmid == pin)
        });
        let by = match stranger {
            Some(place) if place.guest.name.is_empty() => format!("a guest on {}", place.guest.node),
            Some(place) => format!("`{}` on {}", place.guest.name, place.guest.node),
            None if held => "another guest of RapidLaunch".to_owned(),
            None => return true,
        };
        let message = format!("VMID {pin}, which `{}` is pinned to, is held by {by}", wanted.name);
        let help = "pin another VMID, or leave `vmid` out to have a free one chosen; if it is held by a guest that this \
                    stack releases, apply that first";
        findings.add(codes::VMID_HELD, &wanted.path(self.stack, "vmid"), message, help);
        false
    }

    fn fixed(&self, wanted: &Wanted<'a>, has: Vmid, findings: &mut Findings<'_>) {
        let message = format!("`{}` has VMID {has}, which cannot change while the guest exists", wanted.name);
        let help = format!(
            "write `vmid: {has}` or leave it out; to have another VMID, take the guest out of the stack, apply, \
             and put it back"
        );
        findings.add(codes::VMID_FIXED, &wanted.path(self.stack, "vmid"), message, help);
    }
}
