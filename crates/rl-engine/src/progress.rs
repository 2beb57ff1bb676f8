//! How far running jobs are, for whoever looks: in memory only, gone when the job ends.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::id::JobId;

/// Where a running job is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The step it is in.
    pub step: String,
    /// What it says about it.
    pub text: String,
    /// Part done, 0 to 1, where that is known.
    pub fraction: Option<f32>,
    /// Nothing was heard of the step for a while.
    pub stalled: bool,
}

/// The progress of every running job of an engine; at most one entry per running job.
#[derive(Debug, Clone)]
pub struct ProgressBoard {
    entries: Arc<Mutex<BTreeMap<JobId, Progress>>>,
    version: watch::Sender<u64>,
}

impl ProgressBoard {
    pub(crate) fn new() -> Self {
        Self { entries: Arc::default(), version: watch::Sender::new(0) }
    }

    /// The progress of a job, if it runs and has told any.
    pub fn of(&self, job: JobId) -> Option<Progress> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).get(&job).cloned()
    }

    /// All there is.
    pub fn all(&self) -> BTreeMap<JobId, Progress> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes whenever an entry does.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    pub(crate) fn set(&self, job: JobId, progress: Progress) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).insert(job, progress);
        self.version.send_modify(|version| *version += 1);
    }

    /// Marks what is known of a job as stalled or moving.
    pub(crate) fn mark(&self, job: JobId, step: &str, stalled: bool) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let silent =
            || Progress { step: step.to_owned(), text: "nothing was heard of it".to_owned(), fraction: None, stalled };
        entries.entry(job).or_insert_with(silent).stalled = stalled;
        drop(entries);
        self.version.send_modify(|version| *version += 1);
    }

    pub(crate) fn clear(&self, job: JobId) {
        if self.entries.lock().unwrap_or_else(PoisonError::into_inner).remove(&job).is_some() {
            self.version.send_modify(|version| *version += 1);
        }
    }
}
