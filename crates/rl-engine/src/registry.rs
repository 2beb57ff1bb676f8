//! The kinds of jobs a binary can run, with the versions it understands.
use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::envelope::Envelope;
use crate::journal::KnownKinds;
use crate::step::Step;

/// The steps of a job, in order.
pub type Steps = Vec<Arc<dyn Step>>;

/// A payload that this release cannot use; the job is parked with this text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PayloadError(pub String);

type Lift = dyn Fn(Envelope) -> Result<Envelope, PayloadError> + Send + Sync;
type Table = dyn Fn(&Envelope) -> Result<Steps, PayloadError> + Send + Sync;

/// One kind of job: a table of steps, chosen by its payload.
#[derive(Clone)]
pub struct JobKind {
    kind: &'static str,
    versions: RangeInclusive<u32>,
    lift: Arc<Lift>,
    steps: Arc<Table>,
}

impl JobKind {
    /// A kind whose payloads of `versions` are lifted to the newest by `lift` (pure, oldest first) and then choose the steps.
    pub fn new(
        kind: &'static str,
        versions: RangeInclusive<u32>,
        lift: impl Fn(Envelope) -> Result<Envelope, PayloadError> + Send + Sync + 'static,
        steps: impl Fn(&Envelope) -> Result<Steps, PayloadError> + Send + Sync + 'static,
    ) -> Self {
        Self { kind, versions, lift: Arc::new(lift), steps: Arc::new(steps) }
    }

    /// A kind with one version only.
    pub fn first(
        kind: &'static str,
        steps: impl Fn(&Envelope) -> Result<Steps, PayloadError> + Send + Sync + 'static,
    ) -> Self {
        Self::new(kind, 1..=1, Ok, steps)
    }

    /// Its name.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Lifts a payload to the newest version this release writes.
    pub fn lift(&self, payload: Envelope) -> Result<Envelope, PayloadError> {
        (self.lift)(payload)
    }

    /// The steps for a lifted payload; names are unique.
    pub fn steps(&self, payload: &Envelope) -> Result<Steps, PayloadError> {
        let steps = (self.steps)(payload)?;
        let mut names = HashSet::new();
        match steps.iter().find(|step| !names.insert(step.name().to_owned())) {
            Some(twice) => Err(PayloadError(format!("the steps of `{}` name `{}` twice", self.kind, twice.name()))),
            None => Ok(steps),
        }
    }

    /// The same kind with other steps, for harnesses that wrap them.
    pub fn map_steps(&self, map: impl Fn(Steps) -> Steps + Send + Sync + 'static) -> Self {
        let table = Arc::clone(&self.steps);
        Self { steps: Arc::new(move |payload| table(payload).map(&map)), ..self.clone() }
    }
}

/// All kinds of a binary.
#[derive(Clone, Default)]
pub struct Registry {
    kinds: BTreeMap<&'static str, JobKind>,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kind; a second one of the same name replaces the first.
    #[must_use]
    pub fn with(mut self, kind: JobKind) -> Self {
        self.kinds.insert(kind.kind, kind);
        self
    }

    /// The kind of that name.
    pub fn get(&self, kind: &str) -> Option<&JobKind> {
        self.kinds.get(kind)
    }

    /// Kinds and versions, for claims.
    pub fn known(&self) -> KnownKinds {
        self.kinds.values().map(|kind| (kind.kind.to_owned(), kind.versions.clone())).collect()
    }
}
