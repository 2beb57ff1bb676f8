//! Stacks.

use rl_model::manifest::Stack;
use rl_store::{StackPolicy, StackRecord};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::work::planning::StoredManifest;

/// A stack.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct StackShape {
    /// Its name.
    pub(crate) name: String,
    /// Counts its operations.
    pub(crate) revision: u64,
    /// `changing`, `applied` or `destroyed`.
    pub(crate) state: String,
    /// The revision that was applied last.
    pub(crate) applied_revision: Option<u64>,
    /// How many guests it had then.
    pub(crate) guests: usize,
    /// When it was applied last.
    pub(crate) applied_at_ms: Option<u64>,
}

impl StackShape {
    /// The shape of a record.
    pub(crate) fn of(record: &StackRecord) -> Self {
        Self {
            name: record.name.to_string(),
            revision: record.revision,
            state: record.state.as_str().to_owned(),
            applied_revision: record.applied_revision,
            guests: record.applied.as_ref().map_or(0, |applied| applied.guests.len()),
            applied_at_ms: record.applied_at.map(|at| at.0),
        }
    }
}

/// The rules of a stack.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct StackRules {
    /// Its plans need the approval of another person than their author.
    pub(crate) protected: bool,
    /// Whose quota counts it.
    pub(crate) owner: Option<String>,
}

impl StackRules {
    /// The shape of what is stored.
    pub(crate) fn of(policy: &StackPolicy) -> Self {
        Self { protected: policy.protected, owner: policy.owner.as_ref().map(ToString::to_string) }
    }
}

/// A stack in a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct StackListed {
    /// The stack.
    #[serde(flatten)]
    pub(crate) stack: StackShape,
    /// Its rules.
    #[serde(flatten)]
    pub(crate) rules: StackRules,
}

/// What was declared.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct StackDeclaration {
    /// Name of the file.
    pub(crate) file: String,
    /// Its text.
    pub(crate) text: String,
    /// The stack, checked, with defaults filled in.
    #[schema(value_type = Object)]
    pub(crate) stack: Stack,
}

impl StackDeclaration {
    /// The shape of what is stored.
    pub(crate) fn of(stored: StoredManifest) -> Self {
        let StoredManifest { file, text, stack } = stored;
        Self { file, text, stack }
    }
}

/// What no longer matches the last apply.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct DriftShape {
    /// One entry a difference.
    #[schema(value_type = Vec<Object>)]
    pub(crate) items: Vec<rl_model::Drift>,
}
