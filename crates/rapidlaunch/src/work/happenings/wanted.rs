//! What a follower or a webhook asked for.

use super::Told;

/// A filter. What is empty wants everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Wanted {
    /// Only what has a kind that begins with one of these.
    pub(crate) kinds: Vec<String>,
    /// Only what is about one of these stacks.
    pub(crate) stacks: Vec<String>,
    /// Only what is about this operation.
    pub(crate) operation: Option<String>,
}

impl Wanted {
    /// Whether something was asked for.
    pub(crate) fn fits(&self, told: &Told) -> bool {
        let kind = || self.kinds.iter().any(|start| told.kind.starts_with(start.as_str()));
        let stack = || told.stack.as_ref().is_some_and(|stack| self.stacks.contains(stack));
        (self.kinds.is_empty() || kind())
            && (self.stacks.is_empty() || stack())
            && (self.operation.is_none() || self.operation == told.operation)
    }
}
