//! What a server shall answer about one name and type.

use std::collections::BTreeSet;
use std::fmt;

use rl_model::RecordChange;
use rl_model::dns::RecordValue;
use rl_providers::dns::Answer;

/// What is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    /// These values and no others.
    Values(BTreeSet<RecordValue>),
    /// None of these values. Others may be there: the name may be covered by a wildcard, or be somebody else's by now.
    Without(BTreeSet<RecordValue>),
}

impl Expected {
    /// What is answered when a change has reached a server.
    pub(super) fn after(change: &RecordChange) -> Self {
        match (&change.after, &change.before) {
            (Some(after), _) => Self::Values(after.values.clone()),
            (None, before) => Self::Without(before.as_ref().map_or_else(BTreeSet::new, |set| set.values.clone())),
        }
    }

    /// Whether an answer is what is expected.
    pub(super) fn holds(&self, answer: &Answer) -> bool {
        match (self, answer) {
            (Self::Values(wanted), Answer::Values(found)) => wanted == found,
            (Self::Without(gone), Answer::Values(found)) => gone.is_disjoint(found),
            (_, Answer::NoAuthority(_)) => false,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Values(values) => write!(f, "{}", Answer::Values(values.clone())),
            Self::Without(values) if values.is_empty() => f.write_str("no such record"),
            Self::Without(values) => write!(f, "no longer {}", Answer::Values(values.clone())),
        }
    }
}
