//! Plans.

use std::borrow::Cow;

use rl_model::{Action, PartAction, Plan, PlanId, PlanReport, StackName};
use serde::{Deserialize, Serialize};

/// A plan, as the command line prints it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PlanDocument<'a> {
    /// The stack.
    pub(crate) stack: Cow<'a, StackName>,
    /// Fingerprint of its content.
    pub(crate) id: Cow<'a, PlanId>,
    /// Whether it changes nothing.
    pub(crate) empty: bool,
    /// Whether a person must act before it can reach its goal.
    pub(crate) blocked: bool,
    /// Whether it takes the stack away.
    pub(crate) destroy: bool,
    /// What is done, one entry a guest.
    pub(crate) actions: Cow<'a, [Action]>,
    /// What is done beside the guests.
    pub(crate) parts: Cow<'a, [PartAction]>,
    /// What it tells beside its actions.
    pub(crate) report: Cow<'a, PlanReport>,
}

impl<'a> PlanDocument<'a> {
    /// The document of a plan and its report.
    pub(crate) fn of(plan: &'a Plan, report: &'a PlanReport) -> Self {
        Self {
            stack: Cow::Borrowed(&plan.stack),
            id: Cow::Borrowed(&plan.id),
            empty: plan.is_empty(),
            blocked: report.is_blocked(),
            destroy: plan.destroy,
            actions: Cow::Borrowed(&plan.actions),
            parts: Cow::Borrowed(&plan.parts),
            report: Cow::Borrowed(report),
        }
    }

    /// The same document, lent.
    pub(crate) fn lent(&self) -> PlanDocument<'_> {
        PlanDocument {
            stack: Cow::Borrowed(&*self.stack),
            id: Cow::Borrowed(&*self.id),
            actions: Cow::Borrowed(&*self.actions),
            parts: Cow::Borrowed(&*self.parts),
            report: Cow::Borrowed(&*self.report),
            empty: self.empty,
            blocked: self.blocked,
            destroy: self.destroy,
        }
    }
}

/// The same as a value.
pub(crate) fn document(plan: &Plan, report: &PlanReport) -> serde_json::Value {
    serde_json::to_value(PlanDocument::of(plan, report)).unwrap_or_default()
}
