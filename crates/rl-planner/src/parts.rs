//! Parts of a plan: each family adds its own, behind or before the guests they belong to.

mod dns;
pub(crate) mod firewall;

pub(crate) use dns::records_of;

use rl_model::{Action, ActionId, GuestName, Leases, Observed, PartAction, PartKind, Policy, ResolvedStack};

use crate::plan::report::Reporter;

pub(crate) mod secrets;

/// What a family plans from.
pub struct PartScene<'a> {
    /// What shall be; of guests that the plan leaves alone, what they are.
    pub resolved: &'a ResolvedStack,
    /// What is there.
    pub observed: &'a Observed,
    /// What the store knows of the stack's guests.
    pub leases: &'a Leases,
    /// What a person allows.
    pub policy: &'a Policy,
}

/// The parts of a plan while it is made.
pub struct Parts<'a> {
    /// The guests' actions; a family may let one wait for a part.
    pub actions: &'a mut [Action],
    parts: Vec<PartAction>,
}

impl<'a> Parts<'a> {
    pub(crate) fn new(actions: &'a mut [Action]) -> Self {
        Self { actions, parts: Vec::new() }
    }

    /// Adds a part that waits for those named, and answers its number.
    pub fn add(&mut self, kind: PartKind, reasons: Vec<String>, mut after: Vec<ActionId>) -> ActionId {
        after.sort_unstable();
        after.dedup();
        let id = ActionId(u32::try_from(self.actions.len() + self.parts.len()).unwrap_or(u32::MAX));
        self.parts.push(PartAction { id, kind, reasons, after });
        id
    }

    /// The action on a guest, where there is one.
    pub fn action_of(&self, guest: &GuestName) -> Option<ActionId> {
        self.actions.iter().find(|action| action.stamp.name == *guest).map(|action| action.id)
    }

    /// Lets the action on a guest wait for a part.
    pub fn guest_waits_for(&mut self, guest: &GuestName, part: ActionId) {
        if let Some(action) = self.actions.iter_mut().find(|action| action.stamp.name == *guest)
            && !action.after.contains(&part)
        {
            action.after.push(part);
        }
    }
}

/// A family of parts: adds what it finds to do.
type Family = fn(&PartScene<'_>, &mut Parts<'_>, &mut Reporter);

/// Every family, in the order in which their parts are shown.
const FAMILIES: [Family; 2] = [firewall::plan, dns::plan];

/// Plans every family's parts.
pub(crate) fn plan(scene: &PartScene<'_>, actions: &mut [Action], report: &mut Reporter) -> Vec<PartAction> {
    let mut parts = Parts::new(actions);
    for family in FAMILIES {
        family(scene, &mut parts, report);
    }
    // Last: a guest's secrets follow the guest.
    secrets::plan(scene, &mut parts, report);
    parts.parts
}
