//! Changes that people made, as followers are told.

use rl_store::AuditRecord;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A change that somebody made: an entry of the audit without what was before and after.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct ChangeShape {
    /// Its number in the audit, from 1 without gaps.
    pub(crate) seq: u64,
    /// When.
    pub(crate) at_ms: u64,
    /// Who.
    pub(crate) actor: String,
    /// What was done, such as `plan.create`.
    pub(crate) action: String,
    /// To what, such as `/stacks/shop`.
    pub(crate) path: String,
}

impl ChangeShape {
    /// The shape of an entry.
    pub(crate) fn of(record: &AuditRecord) -> Self {
        Self {
            seq: record.seq,
            at_ms: record.at.0,
            actor: record.actor.clone(),
            action: record.action.clone(),
            path: record.path.clone(),
        }
    }
}
