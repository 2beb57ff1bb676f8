//! What an engine shows to whoever watches it. Nothing an observer does changes what the engine does.
use std::time::Duration;

use tracing::Span;

use crate::record::{Direction, OperationInfo};
use crate::spec::JobSpec;
use crate::step::StepError;

/// Watches an engine. Every method is called in the engine's own tasks, thousands of times a second under load: it may count and
/// make spans, and must not wait.
pub trait Observer: Send + Sync + 'static {
    /// The span in which a claimed job runs here.
    fn job_span(&self, _operation: &OperationInfo, _job: &JobSpec) -> Span {
        Span::none()
    }

    /// A job was claimed that had been ready for this long.
    fn job_claimed(&self, _job: &JobSpec, _waited: Duration) {}

    /// The span in which one attempt at a step runs, within its job's.
    fn step_span(&self, _job: &JobSpec, _step: &str, _direction: Direction) -> Span {
        Span::none()
    }

    /// One attempt at a step has ended.
    fn step_ended(&self, _ended: &StepEnded<'_>) {}
}

/// Watches nothing.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl Observer for Unwatched {}

/// What came of one attempt at a step.
#[derive(Debug)]
pub struct StepEnded<'a> {
    /// Its job.
    pub job: &'a JobSpec,
    /// Its name.
    pub step: &'a str,
    /// Doing or undoing.
    pub direction: Direction,
    /// What came of it.
    pub result: StepResult,
    /// How long it took, by the engine's steady clock.
    pub took: Duration,
    /// Its span, which ends after this.
    pub span: &'a Span,
}

/// How an attempt at a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepResult {
    /// It is done.
    Done,
    /// Another attempt follows.
    Retry,
    /// Its site or node did not answer; another attempt follows.
    Unreachable,
    /// A person must act.
    Blocked,
    /// It failed for good.
    Failed,
    /// The right to act was lost.
    LeaseLost,
    /// The operation was cancelled.
    Cancelled,
}

impl StepResult {
    /// One word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retry => "retry",
            Self::Unreachable => "unreachable",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
            Self::LeaseLost => "lease_lost",
            Self::Cancelled => "cancelled",
        }
    }

    pub(crate) fn of<T>(ended: &Result<T, StepError>) -> Self {
        match ended {
            Ok(_) => Self::Done,
            Err(StepError::Retry { .. }) => Self::Retry,
            Err(StepError::Unreachable { .. }) => Self::Unreachable,
            Err(StepError::Blocked { .. }) => Self::Blocked,
            Err(StepError::Fatal { .. }) => Self::Failed,
            Err(StepError::LeaseLost) => Self::LeaseLost,
            Err(StepError::Cancelled) => Self::Cancelled,
        }
    }
}
