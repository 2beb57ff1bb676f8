//! The states of jobs and operations, and how the second follows from the first.
use serde::{Deserialize, Serialize};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// A job it comes after is not done yet.
    Waiting,
    /// May be claimed as soon as its lock domains have room.
    Ready,
    /// Held by an engine under a lease, doing or undoing steps.
    Running,
    /// Will be ready again at a set time.
    Backoff,
    /// A person must act; `retry` or `cancel` goes on.
    Blocked,
    /// Written by a release this one does not understand; waits for a newer binary.
    Parked,
    /// Every step is done.
    Done,
    /// Failed, and what it had done is undone (or kept, if the job said so).
    Failed,
    /// Cancelled; nothing of it is left.
    Cancelled,
    /// Never started, because a job it came after failed.
    Skipped,
    /// Undoing failed; `retry` undoes again.
    Stuck,
}

impl JobState {
    /// All states, in the order of [`JobCounts`].
    pub const ALL: [JobState; 11] = [
        JobState::Waiting,
        JobState::Ready,
        JobState::Running,
        JobState::Backoff,
        JobState::Blocked,
        JobState::Parked,
        JobState::Done,
        JobState::Failed,
        JobState::Cancelled,
        JobState::Skipped,
        JobState::Stuck,
    ];

    /// Nothing more happens by itself, and nothing of the job runs.
    pub fn is_finished(self) -> bool {
        matches!(self, JobState::Done | JobState::Failed | JobState::Cancelled | JobState::Skipped | JobState::Stuck)
    }

    /// The name in stores, JSON and output.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Waiting => "waiting",
            JobState::Ready => "ready",
            JobState::Running => "running",
            JobState::Backoff => "backoff",
            JobState::Blocked => "blocked",
            JobState::Parked => "parked",
            JobState::Done => "done",
            JobState::Failed => "failed",
            JobState::Cancelled => "cancelled",
            JobState::Skipped => "skipped",
            JobState::Stuck => "stuck",
        }
    }

    /// The state of that name, if there is one.
    pub fn parse(name: &str) -> Option<JobState> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// Where an operation stands; derived from its jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// At least one job can go on by itself.
    Running,
    /// No job can go on by itself, and at least one is blocked or parked.
    Blocked,
    /// Every job is done.
    Done,
    /// At least one job failed, the rest is finished.
    Failed,
    /// Cancelled, and no job failed.
    Cancelled,
    /// At least one job could not be undone.
    Stuck,
}

impl OperationState {
    /// All states.
    pub const ALL: [OperationState; 6] = [
        OperationState::Running,
        OperationState::Blocked,
        OperationState::Done,
        OperationState::Failed,
        OperationState::Cancelled,
        OperationState::Stuck,
    ];

    /// Every job of it is finished. A stuck operation counts: only a person's `retry` makes it run again.
    pub fn is_finished(self) -> bool {
        !matches!(self, OperationState::Running | OperationState::Blocked)
    }

    /// The name in stores, JSON and output.
    pub fn as_str(self) -> &'static str {
        match self {
            OperationState::Running => "running",
            OperationState::Blocked => "blocked",
            OperationState::Done => "done",
            OperationState::Failed => "failed",
            OperationState::Cancelled => "cancelled",
            OperationState::Stuck => "stuck",
        }
    }

    /// The state of that name, if there is one.
    pub fn parse(name: &str) -> Option<OperationState> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// How many jobs of an operation are in each state, in the order of [`JobState::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobCounts([u32; 11]);

impl JobCounts {
    /// Jobs in one state.
    pub fn of(&self, state: JobState) -> u32 {
        self.0[state as usize]
    }

    /// All jobs.
    pub fn total(&self) -> u32 {
        self.0.iter().sum()
    }

    /// Jobs in a finished state.
    pub fn finished(&self) -> u32 {
        JobState::ALL.into_iter().filter(|state| state.is_finished()).map(|state| self.of(state)).sum()
    }

    pub(crate) fn add(&mut self, state: JobState) {
        self.0[state as usize] += 1;
    }

    pub(crate) fn remove(&mut self, state: JobState) {
        let count = &mut self.0[state as usize];
        debug_assert!(*count > 0, "a job left the state {state:?} that none was counted in");
        *count = count.saturating_sub(1);
    }

    /// The state of an operation whose jobs are counted here.
    pub fn operation_state(&self, cancel_requested: bool) -> OperationState {
        let any = |states: &[JobState]| states.iter().any(|&state| self.of(state) > 0);
        if any(&[JobState::Ready, JobState::Running, JobState::Backoff]) {
            OperationState::Running
        } else if any(&[JobState::Blocked, JobState::Parked]) {
            OperationState::Blocked
        } else if any(&[JobState::Waiting]) {
            OperationState::Running
        } else if any(&[JobState::Stuck]) {
            OperationState::Stuck
        } else if any(&[JobState::Failed, JobState::Skipped]) {
            OperationState::Failed
        } else if any(&[JobState::Cancelled]) || (cancel_requested && self.total() == 0) {
            OperationState::Cancelled
        } else {
            OperationState::Done
        }
    }
}
