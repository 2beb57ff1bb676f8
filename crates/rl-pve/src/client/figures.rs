//! How often each call was sent.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::request::Method;

/// How often one call was sent, repetitions included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallCount {
    /// Its method.
    pub method: Method,
    /// Its path as the API description spells it.
    pub template: &'static str,
    /// How often.
    pub count: u64,
}

#[derive(Default)]
pub(super) struct Figures(Mutex<BTreeMap<(&'static str, Method), u64>>);

impl Figures {
    pub(super) fn count(&self, method: Method, template: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((template, method)).or_default() += 1;
    }

    pub(super) fn all(&self) -> Vec<CallCount> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts
            .iter()
            .map(|((template, method), count)| CallCount { method: *method, template, count: *count })
            .collect()
    }
}
