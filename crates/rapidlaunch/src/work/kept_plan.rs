//! Plans that wait in the store for a person: all that showing and carrying them out needs.

use std::collections::BTreeMap;

use rl_engine::Envelope;
use rl_model::{Plan, PlanReport, ResolvedStack, Site, SiteName};
use serde::{Deserialize, Serialize};

use crate::error::CommandError;
use crate::out::Out;
use crate::work::connect;
use crate::work::data::Data;
use crate::work::planning::Planned;

/// Kind and version in the store.
const KIND: (&str, u32) = ("plan", 1);

/// A plan as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KeptPlan {
    /// The plan.
    pub(crate) plan: Plan,
    /// What it tells beside its actions.
    pub(crate) report: PlanReport,
    /// The declarations of its sites.
    pub(crate) declared: BTreeMap<SiteName, Site>,
    /// Sites that declare the zones of its records.
    pub(crate) keepers: Vec<Site>,
    /// What the store will keep of the stack's declaration.
    pub(crate) manifest: String,
    /// All that the stack may have been made into before.
    #[serde(default)]
    pub(crate) before: Vec<ResolvedStack>,
}

impl KeptPlan {
    /// What is kept of a plan.
    pub(crate) fn of(planned: Planned) -> Self {
        let Planned { plan, report, declared, keepers, manifest, before, .. } = planned;
        Self { plan, report, declared, keepers, manifest, before }
    }

    /// The plan with clients of its sites.
    pub(crate) async fn connected(self, data: &Data) -> Result<Planned, CommandError> {
        let Self { plan, report, declared, keepers, manifest, before } = self;
        let sites = connect::connect(data, declared.values(), connect::pace(), &Out::silent()).await?;
        Ok(Planned { plan, report, sites, declared, keepers, before, manifest })
    }

    /// The same for the store.
    pub(crate) fn envelope(&self) -> Result<Envelope, CommandError> {
        Envelope::of(KIND.0, KIND.1, self)
            .map_err(|error| CommandError::failed("the plan cannot be written down").because(error))
    }

    /// Read back from the store.
    pub(crate) fn read(envelope: &Envelope) -> Result<Self, CommandError> {
        envelope.read().map_err(|error| {
            CommandError::failed("the plan was written by a release that this one does not understand").because(error)
        })
    }
}
