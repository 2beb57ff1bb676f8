//! Typical stacks, planned and shown as lines.

use std::fmt::Write as _;

use rl_model::manifest::{Container, Spread};
use rl_model::{ActionKind, Observed, Plan, PlanReport, Policy};
use rl_planner::{plan, resolve};

use super::{Reality, container, manifest, stack_name, volume};

pub(crate) fn db() -> Container {
    Container { volumes: vec![volume("data", 10)], ..container("db") }
}

pub(crate) fn web() -> Container {
    let (count, spread, after) = (Some(2), Spread::Node, vec!["db".parse().unwrap()]);
    Container { count, spread, after, ..container("web") }
}

/// A world in which these containers were applied.
pub(crate) fn applied(containers: Vec<Container>) -> Reality {
    let mut reality = Reality::new(&manifest(Vec::new()).sites);
    let (plan, report) = planned(&reality, containers, &Policy::default());
    assert!(!report.is_blocked(), "{:?}", report.notes);
    reality.apply(&plan);
    reality
}

pub(crate) fn planned(reality: &Reality, containers: Vec<Container>, policy: &Policy) -> (Plan, PlanReport) {
    planned_from(reality, &reality.observe(), containers, policy)
}

pub(crate) fn planned_from(
    reality: &Reality,
    seen: &Observed,
    containers: Vec<Container>,
    policy: &Policy,
) -> (Plan, PlanReport) {
    let manifest = manifest(containers);
    let resolved = resolve(&manifest, &stack_name(), seen, &reality.leases);
    let (resolved, placements) = resolved.unwrap_or_else(|errors| panic!("{}", errors.render(&[], false)));
    let (plan, mut report) = plan(&resolved, seen, &reality.leases, policy, 1);
    report.placements = placements;
    (plan, report)
}

pub(crate) fn allow(replace: &[&str], data_loss: &[&str]) -> Policy {
    let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
    Policy { allow_replace: names(replace), allow_data_loss: names(data_loss), ..Policy::default() }
}

pub(crate) fn show((plan, report): &(Plan, PlanReport)) -> String {
    let mut out = String::new();
    for action in &plan.actions {
        let after: Vec<String> = action.after.iter().map(|id| id.0.to_string()).collect();
        let (verb, name) = (action.kind.verb(), &action.stamp.name);
        let wait = if after.is_empty() { String::new() } else { format!(" after {}", after.join(", ")) };
        let place = format!("{}/{} on {}", action.site, action.vmid, action.node);
        writeln!(out, "{} {verb} {name} {place}{wait}: {}", action.id.0, action.reasons.join("; ")).unwrap();
        let changes = match &action.kind {
            ActionKind::Update { changes, move_to, power, .. } => {
                let moves = move_to.as_ref().map_or_else(String::new, |node| format!(", move to {node}"));
                writeln!(out, "    power {power:?}{moves}").unwrap();
                &changes[..]
            }
            ActionKind::Replace { changes, .. } => &changes[..],
            _ => &[],
        };
        for change in changes {
            writeln!(out, "    {}: `{}` -> `{}`", change.key, change.from, change.to).unwrap();
        }
    }
    for placement in &report.placements {
        writeln!(out, "placed {}: {} {:?}", placement.guest, placement.why, placement.refused).unwrap();
    }
    for note in &report.notes {
        writeln!(out, "{:?}: {}", note.level, note.message).unwrap();
        if let Some(hint) = &note.hint {
            writeln!(out, "    hint: {hint}").unwrap();
        }
    }
    if !report.unchanged.is_empty() {
        let names: Vec<String> = report.unchanged.iter().map(ToString::to_string).collect();
        writeln!(out, "unchanged: {} (shallow {})", names.join(", "), report.shallow).unwrap();
    }
    out
}
