//! Putting actions in order and giving a plan its fingerprint.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use rl_model::{Action, ActionId, GuestName, PartAction, PlanId, StackName};
use sha2::{Digest, Sha256};

use super::guest::Draft;

/// Bytes of the digest that a plan's id shows: enough to tell any two plans of an installation apart.
const PLAN_ID_BYTES: usize = 8;

/// Numbers the drafts so that each comes behind those it waits for; among free ones the name decides. Waits that form a
/// circle are cut where the circle is entered, so that a plan always ends.
pub(crate) fn ordered(mut drafts: Vec<Draft>) -> Vec<Action> {
    drafts.sort_by(|a, b| a.name.cmp(&b.name));
    let index: BTreeMap<GuestName, usize> =
        drafts.iter().enumerate().map(|(i, draft)| (draft.name.clone(), i)).collect();
    let waits: Vec<BTreeSet<usize>> = drafts
        .iter()
        .enumerate()
        .map(|(i, draft)| draft.after.iter().filter_map(|name| index.get(name).copied()).filter(|j| *j != i).collect())
        .collect();
    let order = topological(&waits);
    let mut place = vec![0u32; drafts.len()];
    for (position, i) in (0u32..).zip(&order) {
        place[*i] = position;
    }
    let mut actions: Vec<Action> = drafts
        .into_iter()
        .enumerate()
        .map(|(i, draft)| {
            let mut after: Vec<ActionId> =
                waits[i].iter().map(|j| place[*j]).filter(|before| *before < place[i]).map(ActionId).collect();
            after.sort_unstable();
            Action { id: ActionId(place[i]), after, ..draft.action }
        })
        .collect();
    actions.sort_by_key(|action| action.id);
    actions
}

/// Indices so that each follows those it waits for, lowest first among free ones.
fn topological(waits: &[BTreeSet<usize>]) -> Vec<usize> {
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); waits.len()];
    let mut open: Vec<usize> = waits.iter().map(BTreeSet::len).collect();
    for (i, before) in waits.iter().enumerate() {
        before.iter().for_each(|j| dependents[*j].push(i));
    }
    let mut ready: BTreeSet<usize> = (0..waits.len()).filter(|i| open[*i] == 0).collect();
    let mut left: BTreeSet<usize> = (0..waits.len()).filter(|i| open[*i] > 0).collect();
    let mut order = Vec::with_capacity(waits.len());
    while let Some(i) = ready.pop_first().or_else(|| left.pop_first()) {
        order.push(i);
        for dependent in &dependents[i] {
            open[*dependent] = open[*dependent].saturating_sub(1);
            if open[*dependent] == 0 && left.remove(dependent) {
                ready.insert(*dependent);
            }
        }
    }
    order
}

/// Moves the numbers of actions behind those of another list.
pub(crate) fn shifted(actions: Vec<Action>, by: usize) -> Vec<Action> {
    let by = u32::try_from(by).unwrap_or(u32::MAX);
    let shift = |id: ActionId| ActionId(id.0.saturating_add(by));
    actions
        .into_iter()
        .map(|action| Action {
            id: shift(action.id),
            after: action.after.iter().copied().map(shift).collect(),
            ..action
        })
        .collect()
}

/// Fingerprint of what a plan does: stack, direction, actions and parts.
pub(crate) fn fingerprint(stack: &StackName, destroy: bool, actions: &[Action], parts: &[PartAction]) -> PlanId {
    let mut hasher = Sha256::new();
    serde_json::to_writer(&mut hasher, &(stack, destroy, actions, parts))
        .expect("a plan serialises: its maps have text as keys, and hashing cannot fail");
    let digest = hasher.finalize();
    PlanId(digest[..PLAN_ID_BYTES].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
