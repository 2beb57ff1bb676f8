//! Stacks.

use rl_store::StackRecord;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
