//! Findings about stack files: what is wrong, where, and what to do, as data; shown as text only at the edge.
//!
//! Codes: `RL01xx` the text and its shape, `RL02xx` values and references within stack files, `RL03xx` what resolving
//! against a site finds. Each has a page in `docs/errors/`.

use std::fmt;

use rl_model::manifest::Location;
use serde::{Deserialize, Serialize};

mod redact;
mod render;
mod told;

pub mod codes;

pub use redact::redact;
pub use render::render;

/// The text of one stack file and the name it is shown under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source<'a> {
    /// File name as the user gave it; relative paths in the file start from its folder.
    pub name: &'a str,
    /// Its text.
    pub text: &'a str,
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing is done until it is mended.
    Error,
    /// Work goes on, but the user should look.
    Warning,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Stable code, as in `RL0104`.
    pub code: &'static str,
    /// How grave it is.
    pub severity: Severity,
    /// Where it is; `None` for what no file says, as with a stack read back from the store.
    #[serde(flatten)]
    pub location: Option<Location>,
    /// What is wrong, in one sentence part without a full stop.
    pub message: String,
    /// Words beside the marked place; empty when the message says it all.
    pub label: String,
    /// What to do next.
    pub help: Option<String>,
    /// Other places that belong to it, such as the first of two definitions.
    pub related: Vec<Related>,
}

/// A second place that belongs to a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Related {
    /// The place.
    #[serde(flatten)]
    pub location: Location,
    /// What is there, as in "first defined here".
    pub label: String,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(code: &'static str, location: Option<&Location>, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Error, location, message)
    }

    /// A warning at a place.
    pub fn warning(code: &'static str, location: Option<&Location>, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Warning, location, message)
    }

    fn new(code: &'static str, severity: Severity, location: Option<&Location>, message: impl Into<String>) -> Self {
        let (message, label, help, related) = (clean(message), String::new(), None, Vec::new());
        Self { code, severity, location: location.cloned(), message, label, help, related }
    }

    /// Adds the words beside the marked place.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = clean(label);
        self
    }

    /// Adds what to do next.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(clean(help));
        self
    }

    /// Adds a second place; nothing when it is not known.
    pub fn related(mut self, location: Option<&Location>, label: impl Into<String>) -> Self {
        if let Some(location) = location {
            self.related.push(Related { location: location.clone(), label: clean(label) });
        }
        self
    }
}

/// A text that may go anywhere: messages repeat pieces of the file, which may hold a secret, or control characters that
/// a terminal obeys.
fn clean(text: impl Into<String>) -> String {
    let text = text.into();
    let obeyed =
        |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
    let hidden = redact(&text);
    if hidden.contains(obeyed) { hidden.replace(obeyed, "\u{fffd}") } else { hidden.into_owned() }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        write!(f, "{} [{}]", self.message, self.code)
    }
}

/// Everything found wrong with the stack files given together; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{}", self.summary())]
pub struct ManifestErrors {
    /// The findings by file and place; warnings among them.
    pub diagnostics: Vec<Diagnostic>,
    /// How many more errors were found that are not listed.
    pub unlisted: usize,
}

/// Most findings that are kept; above it the rest is not looked for, so that no file costs more than it is worth.
pub(crate) const FINDINGS_KEPT_MAX: usize = 1_000;

impl ManifestErrors {
    /// How many errors there are, listed or not.
    pub fn count(&self) -> usize {
        self.diagnostics.iter().filter(|found| found.severity == Severity::Error).count() + self.unlisted
    }

    /// Shows every finding with its excerpt, then a line that counts them.
    pub fn render(&self, sources: &[Source<'_>], colour: bool) -> String {
        let mut text = render(&self.diagnostics, sources, colour);
        text.push_str(&self.summary());
        text.push('\n');
        text
    }

    fn summary(&self) -> String {
        let errors = match (self.count(), self.count() >= FINDINGS_KEPT_MAX) {
            (1, _) => "1 error".to_owned(),
            (n, false) => format!("{n} errors"),
            (n, true) => format!("at least {n} errors"),
        };
        match self.unlisted {
            0 => format!("the stack files have {errors}; nothing was contacted or changed"),
            n => format!("the stack files have {errors}, {n} of them not listed; nothing was contacted or changed"),
        }
    }
}

#[cfg(test)]
mod tests;
