//! Gathers what is found wrong while stack files are read.

use std::collections::HashSet;
use std::sync::Arc;

use rl_model::manifest::{Location, Origins};

use super::tree::Place;
use crate::diagnostic::{Diagnostic, FINDINGS_KEPT_MAX, ManifestErrors, Severity};

/// Most findings that are listed: more than anyone mends before running again.
const FINDINGS_MAX: usize = 200;

/// What tells two findings apart.
type Identity = (&'static str, Option<(Arc<str>, usize)>, String);

/// Every finding of every file. One that comes up twice, as a mistake in `defaults:` does for each container, is kept
/// once.
#[derive(Default)]
pub(crate) struct Findings {
    list: Vec<Diagnostic>,
    seen: HashSet<Identity>,
    errors: usize,
}

impl Findings {
    /// Whether enough was found to stop looking.
    pub(crate) fn full(&self) -> bool {
        self.list.len() >= FINDINGS_KEPT_MAX
    }

    pub(crate) fn push(&mut self, found: Diagnostic) {
        if self.full() {
            return;
        }
        let place = found.location.as_ref().map(|at| (Arc::clone(&at.file), at.span.start));
        if !self.seen.insert((found.code, place, found.message.clone())) {
            return;
        }
        match found.severity {
            Severity::Error => self.errors += 1,
            // Warnings must not crowd errors out.
            Severity::Warning if self.list.len() >= FINDINGS_MAX => return,
            Severity::Warning => {}
        }
        self.list.push(found);
    }

    /// The warnings when there is no error, otherwise everything, by file in the order given, then by place.
    pub(crate) fn finish(mut self, files: &[&str]) -> Result<Vec<Diagnostic>, ManifestErrors> {
        let rank = |found: &Diagnostic| {
            let at = found.location.as_ref();
            let file = at.and_then(|at| files.iter().position(|name| *name == &*at.file));
            (file.unwrap_or(files.len()), at.map_or((0, 0), |at| (at.span.start, at.span.end)))
        };
        self.list.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| (a.code, &a.message).cmp(&(b.code, &b.message))));
        if self.errors == 0 {
            return Ok(self.list);
        }
        let unlisted = self.list.split_off(self.list.len().min(FINDINGS_MAX));
        let unlisted = unlisted.iter().filter(|found| found.severity == Severity::Error).count();
        Err(ManifestErrors { diagnostics: self.list, unlisted })
    }
}

/// A value with the place it was written at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sp<T> {
    pub(crate) value: T,
    pub(crate) at: Location,
}

impl<T> Sp<T> {
    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> Sp<U> {
        Sp { value: f(self.value), at: self.at }
    }
}

/// The reading of one file: where findings and origins go.
pub(crate) struct Report<'f> {
    pub(crate) file: Arc<str>,
    pub(crate) findings: &'f mut Findings,
    pub(crate) origins: &'f mut Origins,
    /// What is being read is completed elsewhere, so that missing keys are no mistake.
    pub(crate) partial: bool,
}

impl Report<'_> {
    /// A place in this file as a location that stands alone.
    pub(crate) fn at(&self, place: Place) -> Location {
        let Place { line, column, start, end } = place;
        Location { file: Arc::clone(&self.file), line, column, span: start..end }
    }

    /// Reports an error; empty `label` and `help` are left out.
    pub(crate) fn error(&mut self, code: &'static str, place: Place, message: &str, label: &str, help: &str) {
        let at = self.at(place);
        let mut found = Diagnostic::error(code, Some(&at), message).label(label);
        if !help.is_empty() {
            found = found.help(help);
        }
        self.findings.push(found);
    }
}

/// Two words are taken for one misspelt when they differ in at most a third of their letters.
const LETTERS_PER_SLIP: usize = 3;

/// The known word that was most likely meant.
pub(crate) fn nearest<'w>(given: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let given = given.to_ascii_lowercase();
    let slips = |word: &str| strsim::osa_distance(&given, &word.to_ascii_lowercase());
    let allowed = |word: &str| (given.len().max(word.len()) / LETTERS_PER_SLIP).max(1);
    known
        .into_iter()
        .map(|word| (slips(word), word))
        .filter(|(slips, word)| *slips <= allowed(word))
        .min()
        .map(|(_, word)| word)
}

/// "did you mean `x`?" where a known word is near, otherwise what there is.
pub(crate) fn suggest<'w>(given: &str, known: impl IntoIterator<Item = &'w str> + Clone, what: &str) -> String {
    match nearest(given, known.clone()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => listed(known, what),
    }
}

/// Most words listed in a hint.
const LISTED_MAX: usize = 30;

/// "networks here: `a`, `b`", or that there are none.
pub(crate) fn listed<'w>(words: impl IntoIterator<Item = &'w str>, what: &str) -> String {
    let all: Vec<&str> = words.into_iter().collect();
    if all.is_empty() {
        return format!("there are no {what}");
    }
    let shown: Vec<String> = all.iter().take(LISTED_MAX).map(|word| format!("`{word}`")).collect();
    let rest = all.len().saturating_sub(LISTED_MAX);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("known {what}: {}{more}", shown.join(", "))
}
