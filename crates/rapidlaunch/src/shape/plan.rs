//! Plans.

use rl_model::{Plan, PlanReport};
use serde::Serialize;

/// A plan, as the command line prints it.
#[derive(Debug, Serialize)]
pub(crate) struct PlanDocument<'a> {
    stack: &'a rl_model::StackName,
    id: &'a rl_model::PlanId,
    empty: bool,
    blocked: bool,
    destroy: bool,
    actions: &'a [rl_model::Action],
    parts: &'a [rl_model::PartAction],
    report: &'a PlanReport,
}

impl<'a> PlanDocument<'a> {
    /// The document of a plan and its report.
    pub(crate) fn of(plan: &'a Plan, report: &'a PlanReport) -> Self {
        Self {
            stack: &plan.stack,
            id: &plan.id,
            empty: plan.is_empty(),
            blocked: report.is_blocked(),
            destroy: plan.destroy,
            actions: &plan.actions,
            parts: &plan.parts,
            report,
        }
    }
}

/// The same as a value.
pub(crate) fn document(plan: &Plan, report: &PlanReport) -> serde_json::Value {
    serde_json::to_value(PlanDocument::of(plan, report)).unwrap_or_default()
}
