//! What a person allows a plan.

use std::collections::BTreeSet;

use rl_model::manifest::SectionKind;
use rl_model::{GuestName, Policy};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::api::extract::parsed;
use crate::api::problem::Problem;

/// What a person allows.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyBody {
    /// Guests that may be destroyed and made anew where a change needs it.
    #[serde(default)]
    allow_replace: Vec<String>,
    /// Guests whose data volumes may be lost.
    #[serde(default)]
    allow_data_loss: Vec<String>,
    /// Let changes that need a restart wait for the guest's next start.
    #[serde(default)]
    no_restart: bool,
    /// Go on without these declared sections: what was applied of them before stays.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    without: BTreeSet<SectionKind>,
    /// Let more than 30 % of a zone's DNS records change or go at once.
    #[serde(default)]
    allow_dns_mass_change: bool,
}

impl PolicyBody {
    /// The policy, with every name checked.
    pub(super) fn policy(&self) -> Result<Policy, Problem> {
        let names = |field: &str, names: &[String]| -> Result<BTreeSet<GuestName>, Problem> {
            names.iter().map(|name| parsed(field, name)).collect()
        };
        Ok(Policy {
            allow_replace: names("policy.allow_replace", &self.allow_replace)?,
            allow_data_loss: names("policy.allow_data_loss", &self.allow_data_loss)?,
            no_restart: self.no_restart,
            without: self.without.clone(),
            allow_dns_mass_change: self.allow_dns_mass_change,
        })
    }
}
