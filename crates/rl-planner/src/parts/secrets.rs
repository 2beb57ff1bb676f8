//! Secrets granted to guests: one part a guest, after the guest's own action. Names and versions only.

use std::collections::BTreeMap;

use rl_model::manifest::{SecretGrant, SectionKind};
use rl_model::{
    ActionKind, Consequence, DeliveredFile, GrantChange, GuestPath, GuestSecrets, NewestVersion, PartKind, Policy,
    ResolvedGuest, ResolvedStack,
};

use super::{PartScene, Parts};
use crate::plan::report::Reporter;

/// Where files lie in memory, and are gone after a start of the guest (file-hierarchy(7)).
const IN_MEMORY: &str = "/run/";

/// The stack as it shall be where its secrets are knowingly left out; `None` where they are not.
pub(crate) fn left_out(resolved: &ResolvedStack, policy: &Policy) -> Option<ResolvedStack> {
    if !policy.without.contains(&SectionKind::Secrets) {
        return None;
    }
    let mut resolved = resolved.clone();
    resolved.guests.values_mut().for_each(|guest| guest.secrets.clear());
    Some(resolved)
}

/// Adds what is to be delivered into each guest, and taken from it.
pub(super) fn plan(scene: &PartScene<'_>, parts: &mut Parts<'_>, report: &mut Reporter) {
    if scene.policy.without.contains(&SectionKind::Secrets) {
        return;
    }
    for guest in scene.resolved.guests.values() {
        let delivered = scene.leases.secrets.delivered.get(&guest.id).map(Vec::as_slice).unwrap_or_default();
        if guest.secrets.is_empty() && delivered.is_empty() {
            continue;
        }
        let fate = fate(parts, guest);
        if fate == Fate::Gone {
            continue;
        }
        if !guest.running {
            tell_stopped(guest, report);
            continue;
        }
        let known = known(delivered, fate);
        let grants = changes(scene, guest, &known, report);
        if grants.is_empty() {
            continue;
        }
        let after = parts.action_of(&guest.name).into_iter().collect();
        let reasons = reasons(&grants, delivered, fate);
        parts.add(PartKind::Secrets(Box::new(part(scene, guest, grants))), reasons, after);
    }
}

/// What the guest's own action does to files in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// They stay.
    Stays,
    /// It is started: those in memory go.
    Starts,
    /// It is made anew: all of them go.
    Anew,
    /// It goes itself.
    Gone,
}

fn fate(parts: &Parts<'_>, guest: &ResolvedGuest) -> Fate {
    let action = parts.actions.iter().find(|action| action.stamp.name == guest.name);
    match action.map(|action| &action.kind) {
        None => Fate::Stays,
        Some(ActionKind::Create { .. } | ActionKind::Replace { .. }) => Fate::Anew,
        Some(ActionKind::Remove { .. } | ActionKind::Forget) => Fate::Gone,
        // Proxmox moves a running container by stopping and starting it.
        Some(ActionKind::Update { move_to: Some(_), .. }) => Fate::Starts,
        Some(ActionKind::Update { power, .. }) => match power {
            Consequence::Restart | Consequence::Start => Fate::Starts,
            Consequence::Keep | Consequence::NextStart | Consequence::Stop => Fate::Stays,
        },
    }
}

/// The files that are there when the guest's own action is done.
fn known(delivered: &[DeliveredFile], fate: Fate) -> BTreeMap<&GuestPath, &DeliveredFile> {
    let there = |file: &&DeliveredFile| match fate {
        Fate::Stays => !file.lost,
        Fate::Starts => !file.path.as_str().starts_with(IN_MEMORY),
        Fate::Anew | Fate::Gone => false,
    };
    delivered.iter().filter(there).map(|file| (&file.path, file)).collect()
}

fn changes(
    scene: &PartScene<'_>,
    guest: &ResolvedGuest,
    known: &BTreeMap<&GuestPath, &DeliveredFile>,
    report: &mut Reporter,
) -> Vec<GrantChange> {
    let mut changes = Vec::new();
    for grant in &guest.secrets {
        let newest = match scene.leases.secrets.newest.get(&grant.from) {
            Some(NewestVersion::Version(version)) => *version,
            Some(NewestVersion::Unknown { why, hint }) => {
                report.block(&guest.name, format!("{}: {why}", grant.to), hint.clone());
                continue;
            }
            None => {
                let message = format!("{}: secret {} was not asked for", grant.to, grant.from);
                report.block(&guest.name, message, "plan again".to_owned());
                continue;
            }
        };
        let before = known.get(&grant.to);
        if before.is_some_and(|file| is_as_granted(file, grant, newest)) {
            continue;
        }
        changes.push(GrantChange {
            secret: grant.from.clone(),
            path: grant.to.clone(),
            before: before.map(|file| file.version),
            after: Some(newest),
            mode: grant.mode,
            owner: grant.owner.clone(),
            reload: grant.reload.clone(),
        });
    }
    let granted = |path: &GuestPath| guest.secrets.iter().any(|grant| grant.to == *path);
    let lost = known.values().filter(|file| !granted(&file.path)).map(|file| GrantChange {
        secret: file.from.clone(),
        path: file.path.clone(),
        before: Some(file.version),
        after: None,
        mode: file.mode,
        owner: file.owner.clone(),
        reload: Vec::new(),
    });
    changes.extend(lost);
    changes
}

fn is_as_granted(file: &DeliveredFile, grant: &SecretGrant, newest: u64) -> bool {
    (&file.from, file.version, file.mode, &file.owner) == (&grant.from, newest, grant.mode, &grant.owner)
}

fn reasons(grants: &[GrantChange], delivered: &[DeliveredFile], fate: Fate) -> Vec<String> {
    let mut reasons = Vec::new();
    let again = |grant: &&GrantChange| grant.before.is_none() && delivered.iter().any(|file| file.path == grant.path);
    if fate != Fate::Anew && grants.iter().any(|grant| again(&grant)) {
        reasons.push("what lies in memory is gone after a start of the guest".to_owned());
    }
    if grants.iter().any(|grant| grant.after.is_none()) {
        reasons.push("a grant was taken out of the stack".to_owned());
    }
    reasons
}

fn part(scene: &PartScene<'_>, guest: &ResolvedGuest, grants: Vec<GrantChange>) -> GuestSecrets {
    GuestSecrets {
        stamp: scene.resolved.stamp(guest),
        site: guest.site.clone(),
        node: guest.node.clone(),
        vmid: guest.vmid,
        hostnames: vec![guest.hostname.to_string()],
        net0: guest.nics.iter().find(|nic| nic.slot.number() == 0).map(|nic| nic.mac).into_iter().collect(),
        grants,
    }
}

fn tell_stopped(guest: &ResolvedGuest, report: &mut Reporter) {
    if !guest.secrets.is_empty() {
        let hint = "they are delivered by the first apply after its start".to_owned();
        report.info(&guest.name, "it shall not run, so that no secret can be delivered into it".to_owned(), Some(hint));
    }
}
