//! Guests that leave: what the store knows, the stack no longer declares, or a destroy takes away.

use rl_model::{
    ActionKind, ContainerConfig, ControllerId, FieldKey, GuestStatus, KnownGuest, MacAddr, NoteLevel, Stamp,
};

use super::delta::data_volumes;
use super::guest::{Draft, Scene};
use super::report::Reporter;
use super::say;
use super::world::{Found, Identity, Place};

impl Scene<'_> {
    /// Decides about a guest that leaves the stack.
    pub(crate) fn decide_leaving(&self, known: &KnownGuest, report: &mut Reporter) -> Option<Draft> {
        if self.no_quorum(&known.site, report) {
            return None;
        }
        let stamp = self.stamp_of(known);
        let who = self.identity_of(known);
        match self.world.find(who) {
            Found::Absent => Some(forget(known, stamp, "it is gone already")),
            Found::Ours(place, config) => self.remove(known, stamp, place, config, report),
            Found::Shallow(place) => {
                say::remove_not_read(known, place, report);
                None
            }
            Found::Foreign(place, foreign) if foreign.likeness.is_none() => {
                say::vmid_taken_over(known, place, report);
                Some(forget(known, stamp, "it is gone and another guest holds its VMID"))
            }
            Found::Unread(why) => {
                report.left_alone(&known.site, NoteLevel::Warning, why);
                None
            }
            other => {
                say::left_alone(&other, &say::Subject { who, stamp: &stamp }, report);
                None
            }
        }
    }

    /// Whom to look for, from what the store knows.
    pub(crate) fn identity_of<'b>(&'b self, known: &'b KnownGuest) -> Identity<'b> {
        let controller = &self.leases.controller;
        identity_of(known, controller)
    }

    fn stamp_of(&self, known: &KnownGuest) -> Stamp {
        Stamp {
            guest: known.id.clone(),
            stack: known.stack.clone(),
            name: known.name.clone(),
            controller: self.leases.controller.clone(),
        }
    }

    fn remove(
        &self,
        known: &KnownGuest,
        stamp: Stamp,
        place: Place<'_>,
        config: &ContainerConfig,
        report: &mut Reporter,
    ) -> Option<Draft> {
        let volumes = data_volumes(&config.fields);
        if place.guest.template {
            say::remove_template(known, place, report);
            return None;
        }
        if config.fields.get(FieldKey::Protection) == "1" {
            say::remove_protected(known, place, report);
            return None;
        }
        if !volumes.is_empty() && !self.policy.allow_data_loss.contains(&known.name) {
            say::remove_loses_data(known, place, &volumes, report);
            return None;
        }
        let was_running = place.guest.status == GuestStatus::Running;
        let (seen_net0, seen_hostname) = (config.net0_mac, config.hostname.clone());
        let kind = ActionKind::Remove { was_running, seen_net0, seen_hostname };
        let draft = Draft::new(stamp, (place.site, &place.guest.node, place.guest.vmid), kind);
        Some(draft.because(vec!["it is no longer in the stack".to_owned()]))
    }
}

/// Whom to look for, from what the store knows.
pub(crate) fn identity_of<'b>(known: &'b KnownGuest, controller: &'b ControllerId) -> Identity<'b> {
    let (id, site, node, vmid, net0) = (&known.id, &known.site, &known.node, known.vmid, net0_of(known));
    let hostname = known.last.as_ref().map(|last| &last.hostname);
    Identity { id, controller, site, node, vmid, net0, hostname }
}

/// The leased MAC of `net0`, as far as the store tells which NIC that is.
fn net0_of(known: &KnownGuest) -> Option<MacAddr> {
    match &known.last {
        Some(last) => last.nics.iter().find(|nic| nic.slot.number() == 0).map(|nic| nic.mac),
        None if known.macs.len() == 1 => known.macs.values().next().copied(),
        None => None,
    }
}

fn forget(known: &KnownGuest, stamp: Stamp, why: &str) -> Draft {
    let draft = Draft::new(stamp, (&known.site, &known.node, known.vmid), ActionKind::Forget);
    draft.because(vec![why.to_owned()])
}
