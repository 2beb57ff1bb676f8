//! Entries of the audit, and whether its chain is whole, as they are shown.

use rl_engine::UnixMs;
use rl_store::{AuditRecord, AuditVerdict};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An entry.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
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

    /// The entry that is shown, so that its hash can be computed anew; none where a field is not what it should be. Values come
    /// back as the text they had, because the order of their fields is kept.
    pub(crate) fn record(&self) -> Option<AuditRecord> {
        let text = |value: &Option<serde_json::Value>| value.as_ref().map(ToString::to_string);
        Some(AuditRecord {
            seq: self.seq,
            at: UnixMs(self.at_ms),
            actor: self.actor.clone(),
            via: self.via.parse().ok()?,
            remote: self.remote.clone(),
            action: self.action.clone(),
            path: self.path.clone(),
            before: text(&self.before),
            after: text(&self.after),
            prev: self.prev.parse().ok()?,
            hash: self.hash.parse().ok()?,
        })
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
#[derive(Debug, Serialize, Deserialize, ToSchema)]
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use rl_store::AuditHash;
    use serde_json::{Value, json};

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        let nested = leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        });
        nested.prop_map(|value| json!({ "z": 1, "is": value, "a": 2 }))
    }

    proptest! {
        /// Whatever an entry tells, its hash can be computed from the line that is exported.
        #[test]
        fn an_exported_entry_has_the_hash_of_the_stored_one(
            texts in prop::array::uniform3(any::<String>()),
            remote in prop::option::of(any::<String>()),
            values in prop::array::uniform2(prop::option::of(value())),
            at in any::<u64>(),
        ) {
            let [actor, action, path] = texts;
            let [before, after] = values.map(|value| value.map(|value| value.to_string()));
            let (via, at, start) = ("token:t1".parse().unwrap(), UnixMs(at), AuditHash::START);
            let mut record = AuditRecord { seq: 7, at, actor, via, remote, action, path, before, after, prev: start, hash: start };
            record.hash = record.computed();
            let line = AuditShape::lines(vec![record.clone()]);
            let again = serde_json::from_slice::<AuditShape>(&line).unwrap().record().unwrap();
            prop_assert_eq!(again.computed(), record.hash);
            prop_assert_eq!(again, record);
        }
    }
}
