//! What resolving finds wrong, as findings that point into the stack file.

use std::collections::BTreeSet;

use rl_model::manifest::Origins;
use serde::Serialize;

use crate::diagnostic::{Diagnostic, Source, render};

/// Findings listed at once; a person mends the first ones first, and the rest is counted.
const FINDINGS_MAX: usize = 50;

/// Everything that keeps a stack from being resolved; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{}", self.summary())]
pub struct ResolveErrors {
    /// The findings, in the order of the stack's entries.
    pub diagnostics: Vec<Diagnostic>,
    /// How many more there are that are not listed.
    pub unlisted: usize,
}

impl ResolveErrors {
    /// How many errors there are, listed or not.
    pub fn count(&self) -> usize {
        self.diagnostics.len() + self.unlisted
    }

    /// Shows every finding with its excerpt, then a line that counts them. `sources` are the stack files; findings in
    /// files that are not among them are shown without excerpt.
    pub fn render(&self, sources: &[Source<'_>], colour: bool) -> String {
        let mut text = render(&self.diagnostics, sources, colour);
        text.push_str(&self.summary());
        text.push('\n');
        text
    }

    fn summary(&self) -> String {
        let errors = match self.count() {
            1 => "1 error".to_owned(),
            n => format!("{n} errors"),
        };
        match self.unlisted {
            0 => format!("the stack cannot be resolved: {errors}; nothing was changed"),
            n => format!("the stack cannot be resolved: {errors}, {n} of them not listed; nothing was changed"),
        }
    }
}

/// Findings while they are gathered.
pub(crate) struct Findings<'a> {
    origins: &'a Origins,
    found: Vec<Diagnostic>,
    told: BTreeSet<(&'static str, String)>,
    unlisted: usize,
}

impl<'a> Findings<'a> {
    pub(crate) fn new(origins: &'a Origins) -> Self {
        Self { origins, found: Vec::new(), told: BTreeSet::new(), unlisted: 0 }
    }

    /// Adds an error about the part of the manifest with this path.
    pub(crate) fn add(&mut self, code: &'static str, path: &str, message: String, help: impl Into<String>) {
        if self.found.len() >= FINDINGS_MAX {
            self.unlisted += 1;
            return;
        }
        self.found.push(Diagnostic::error(code, self.origins.find(path), message).help(help));
    }

    /// Adds an error unless one with its code about the same part is there already.
    pub(crate) fn add_once(&mut self, code: &'static str, path: &str, message: String, help: impl Into<String>) {
        if self.told.insert((code, path.to_owned())) {
            self.add(code, path, message, help);
        }
    }

    pub(crate) fn into_result(self) -> Result<(), ResolveErrors> {
        match self.found.is_empty() {
            true => Ok(()),
            false => Err(ResolveErrors { diagnostics: self.found, unlisted: self.unlisted }),
        }
    }
}
