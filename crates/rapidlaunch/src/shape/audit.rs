//! Entries of the audit, and whether its chain is whole, as they are shown.

use rl_store::{AuditRecord, AuditVerdict};
use serde::Serialize;
use utoipa::ToSchema;

/// An entry.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditShape {
    /// Its number, from 1 without gaps.
    pub(crate) seq: u64,
    /// When.
    pub(crate) at_ms: u64,
    /// Who.
    pub(crate) actor: String,
    /// How they came in: `token:ID`, `session`, `local` or `schedule`.
    pub(crate) via: String,
    /// From where.
    pub(crate) remote: Option<String>,
    /// What was done, such as `plan.create`.
    pub(crate) action: String,
    /// To what.
    pub(crate) path: String,
    /// What it was before.
    #[schema(value_type = Option<Object>)]
    pub(crate) before: Option<serde_json::Value>,
    /// What it is now.
    #[schema(value_type = Option<Object>)]
    pub(crate) after: Option<serde_json::Value>,
    /// Hash of the entry before it.
    pub(crate) prev: String,
    /// Hash of this entry, which covers all of the above.
    pub(crate) hash: String,
}

impl AuditShape {
    /// Shows one.
    pub(crate) fn of(record: AuditRecord) -> Self {
        let value = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
        Self {
            seq: record.seq,
            at_ms: record.at.0,
            actor: record.actor,
            via: record.via.to_string(),
            remote: record.remote,
            action: record.action,
            path: record.path,
            before: value(record.before),
            after: value(record.after),
            prev: record.prev.to_string(),
            hash: record.hash.to_string(),
        }
    }

    /// Shows several, one a line.
    pub(crate) fn lines(records: Vec<AuditRecord>) -> Vec<u8> {
        let mut text = Vec::new();
        for record in records {
            text.extend(serde_json::to_vec(&Self::of(record)).unwrap_or_default());
            text.push(b'\n');
        }
        text
    }
}

/// Whether the audit is as it was written.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VerdictShape {
    /// Whether it is.
    pub(crate) ok: bool,
    /// Entries that are as they should be, from the first on.
    pub(crate) count: u64,
    /// Hash of the last of them: keep it elsewhere, and give it the next time.
    pub(crate) head: String,
    /// Number of the first entry that is not as it should be.
    pub(crate) broken_seq: Option<u64>,
    /// What is wrong with it.
    pub(crate) fault: Option<String>,
}

impl VerdictShape {
    /// Shows one.
    pub(crate) fn of(verdict: AuditVerdict) -> Self {
        Self {
            ok: verdict.broken.is_none(),
            count: verdict.count,
            head: verdict.head.to_string(),
            broken_seq: verdict.broken.as_ref().map(|broken| broken.seq),
            fault: verdict.broken.map(|broken| broken.fault.to_string()),
        }
    }
}
