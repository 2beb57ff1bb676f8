//! The plan: ordered actions from what is observed to what is resolved.
//!
//! Planning cannot fail and leaves no choice open. Identity comes first: a guest is only planned for when its stamp was
//! read and is ours. What was not read is left alone and told; what may not be done is left out and told, and the
//! plan's `resolved` says of it what it is, not what was wished, so that the same wish is recognised again next time.

pub(crate) mod delta;
mod fields;
pub(crate) mod firewall;
mod guest;
pub(crate) mod leave;
mod needed;
mod order;
pub(crate) mod report;
mod say;
pub(crate) mod shallow;
pub(crate) mod world;

use std::collections::{BTreeMap, BTreeSet};

use rl_model::manifest::SectionKind;
use rl_model::{
    Action, ActionKind, GuestName, KnownGuest, Leases, NoteLevel, Observed, PartAction, Plan, PlanReport, Policy,
    ResolvedGuest, ResolvedStack, StackName,
};

pub use needed::{CONFIGS_READ_MAX, configs_needed};

use guest::{Decision, Draft, Scene, left};
use report::Reporter;
use world::World;

use crate::parts::{self, PartScene};

/// Plans a stack: one action at most for each guest, ordered by `after`, removals last and in reverse.
///
/// `leases.guests` are the guests the store knows of this stack; those that `resolved` no longer has leave. The
/// placements of new guests are those of [`crate::resolve()`]; the caller joins them to the report.
pub fn plan(
    resolved: &ResolvedStack,
    observed: &Observed,
    leases: &Leases,
    policy: &Policy,
    base_revision: u64,
) -> (Plan, PlanReport) {
    let allowed = firewall::as_allowed(resolved, leases, policy);
    let resolved = allowed.as_ref().unwrap_or(resolved);
    let world = World::new(observed);
    let left_out = parts::secrets::left_out(resolved, policy);
    let resolved = left_out.as_ref().unwrap_or(resolved);
    let scene = Scene { world: &world, stack: resolved, leases, policy };
    let mut report = Reporter::default();
    sections(resolved, policy, &mut report);
    let mut decisions: BTreeMap<&GuestName, Decision> =
        resolved.guests.values().map(|want| (&want.name, scene.decide(want, &mut report))).collect();
    drop_waiting_for_absent(&mut decisions, resolved, leases, &mut report);
    let leaving: Vec<&KnownGuest> = leases.guests.values().filter(|known| !still_there(known, resolved)).collect();
    let removals = removals(&scene, &leaving, &mut report);
    let mut after = resolved.clone();
    let mut drafts = Vec::new();
    for (name, decision) in decisions {
        after.guests.insert(name.clone(), decision.guest);
        drafts.extend(decision.draft);
    }
    let mut actions = order::ordered(drafts);
    let count = actions.len();
    actions.extend(order::shifted(removals, count));
    let scene = PartScene { resolved: &after, observed, leases, policy };
    let parts = parts::plan(&scene, &mut actions, &mut report);
    (finish(after, actions, parts, false, base_revision), report.finish())
}

/// Plans the removal of every guest the store knows of a stack, dependents before those they waited for.
pub fn plan_destroy(
    stack: &StackName,
    leases: &Leases,
    observed: &Observed,
    policy: &Policy,
    base_revision: u64,
) -> (Plan, PlanReport) {
    let world = World::new(observed);
    let controller = leases.controller.clone();
    let empty = ResolvedStack {
        name: stack.clone(),
        controller,
        guests: BTreeMap::new(),
        sections: Vec::new(),
        firewall: BTreeMap::new(),
        records: Vec::new(),
    };
    let scene = Scene { world: &world, stack: &empty, leases, policy };
    let mut report = Reporter::default();
    let leaving: Vec<&KnownGuest> = leases.guests.values().collect();
    let mut actions = removals(&scene, &leaving, &mut report);
    let parts = {
        let scene = PartScene { resolved: &empty, observed, leases, policy };
        parts::plan(&scene, &mut actions, &mut report)
    };
    (finish(empty, actions, parts, true, base_revision), report.finish())
}

fn finish(
    resolved: ResolvedStack,
    actions: Vec<Action>,
    parts: Vec<PartAction>,
    destroy: bool,
    base_revision: u64,
) -> Plan {
    let stack = resolved.name.clone();
    let id = order::fingerprint(&stack, destroy, &actions, &parts);
    Plan { id, stack, base_revision, destroy, resolved, actions, parts }
}

fn still_there(known: &KnownGuest, resolved: &ResolvedStack) -> bool {
    resolved.guests.get(&known.name).is_some_and(|want| want.id == known.id)
}

fn removals(scene: &Scene<'_>, leaving: &[&KnownGuest], report: &mut Reporter) -> Vec<Action> {
    let mut dependents: BTreeMap<&GuestName, Vec<GuestName>> = BTreeMap::new();
    for known in leaving {
        for before in known.last.iter().flat_map(|last| &last.after) {
            dependents.entry(before).or_default().push(known.name.clone());
        }
    }
    let mut drafts = Vec::new();
    for known in leaving {
        if let Some(mut draft) = scene.decide_leaving(known, report) {
            draft.after = dependents.remove(&known.name).unwrap_or_default();
            drafts.push(draft);
        }
    }
    order::ordered(drafts)
}

/// A guest that is to be made after one that will not be there is not made; nor is one that waits for it.
fn drop_waiting_for_absent(
    decisions: &mut BTreeMap<&GuestName, Decision>,
    resolved: &ResolvedStack,
    leases: &Leases,
    report: &mut Reporter,
) {
    let absent = |decision: &Decision| decision.draft.is_none() && !decision.exists;
    let mut open: BTreeSet<GuestName> =
        decisions.iter().filter(|(_, decision)| absent(decision)).map(|(name, _)| (*name).clone()).collect();
    if open.is_empty() {
        return;
    }
    let mut waiting: BTreeMap<&GuestName, Vec<&ResolvedGuest>> = BTreeMap::new();
    for want in resolved.guests.values() {
        want.after.iter().for_each(|before| waiting.entry(before).or_default().push(want));
    }
    while let Some(missing) = open.pop_first() {
        for want in waiting.remove(&missing).unwrap_or_default() {
            let Some(decision) = decisions.get_mut(&want.name).filter(|decision| makes(decision.draft.as_ref())) else {
                continue;
            };
            say::waits_for_absent(&want.name, &missing, report);
            let known = leases.guests.get(&want.name).filter(|known| known.id == want.id);
            *decision = left(want, known, decision.exists);
            if !decision.exists {
                open.insert(want.name.clone());
            }
        }
    }
}

fn makes(draft: Option<&Draft>) -> bool {
    draft.is_some_and(|draft| matches!(draft.action.kind, ActionKind::Create { .. } | ActionKind::Replace { .. }))
}

/// Tells which declared parts are knowingly left out.
fn sections(resolved: &ResolvedStack, policy: &Policy, report: &mut Reporter) {
    let mut places: BTreeMap<SectionKind, Vec<String>> = BTreeMap::new();
    for section in resolved.sections.iter().filter(|section| policy.without.contains(&section.kind)) {
        let of = section.container.as_ref().map_or_else(String::new, |name| format!("`{name}` at "));
        places.entry(section.kind).or_default().push(format!("{of}{}", section.location));
    }
    for (kind, places) in places {
        let declared = format!("`{kind}` is declared ({}), but is not carried out", places.join(", "));
        report.general(NoteLevel::Info, format!("{declared}: left out as asked"), None);
    }
}

#[cfg(test)]
mod tests;
