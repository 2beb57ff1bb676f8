//! Values of labels, of which only so many are told apart: a series is kept for each, and Prometheus keeps it for weeks.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use metrics::SharedString;

/// What all values beyond the limit are called.
pub(crate) const OTHER: &str = "other";
/// Longest value: names of stacks, nodes and steps are shorter.
const VALUE_BYTES_MAX: usize = 128;

/// The values of one label that are told apart: the first that come.
#[derive(Debug)]
pub(crate) struct Bounded {
    max: usize,
    known: RwLock<HashMap<String, SharedString>>,
}

impl Bounded {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, known: RwLock::default() }
    }

    /// The value as a label, or [`OTHER`] when there are too many already.
    pub(crate) fn label(&self, value: &str) -> SharedString {
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(value) {
            return known.clone();
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if value.len() > VALUE_BYTES_MAX || known.len() >= self.max {
            return SharedString::const_str(OTHER);
        }
        known.entry(value.to_owned()).or_insert_with(|| SharedString::from_owned(value.to_owned())).clone()
    }

    /// The values so far.
    pub(crate) fn known(&self) -> Vec<SharedString> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_values_are_told_apart_and_the_rest_is_one() {
        let labels = Bounded::new(2);
        let all: Vec<String> = ["a", "b", "c", "a", "d"].iter().map(|value| labels.label(value).into_owned()).collect();
        assert_eq!(all, ["a", "b", OTHER, "a", OTHER]);
        assert_eq!(&*Bounded::new(2).label(&"x".repeat(VALUE_BYTES_MAX + 1)), OTHER);
    }
}
