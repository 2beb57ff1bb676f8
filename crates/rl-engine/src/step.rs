//! The step: the smallest journaled, repeatable act.
use std::time::Duration;

use async_trait::async_trait;

use crate::cx::StepCx;
use crate::envelope::{Envelope, EnvelopeError};

/// What a step left behind, with kind and version like every stored payload.
pub type Receipt = Envelope;

/// How a step may be repeated after an interruption that left its fate unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpClass {
    /// Sets absolute values, guarded by the state itself or a digest: repeat freely.
    StateGuarded,
    /// Carries a key that the outside refuses to see twice (a VMID): a repeat is refused there.
    Keyed,
    /// Cannot be refused, but what it did can be found: look first, then repeat.
    Discoverable,
    /// Neither: at most once. Interrupted between intent and answer, it is blocked for a person and repeated only on their word.
    /// With an answer recorded it is called again and follows that.
    Opaque,
}

/// What a step could not reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// [`JobSpec::node`](crate::JobSpec::node).
    Node,
    /// [`JobSpec::site`](crate::JobSpec::site).
    Site,
}

impl Reach {
    /// Its name, if the job names it.
    pub(crate) fn of(self, job: &crate::JobSpec) -> Option<String> {
        match self {
            Reach::Node => job.node.clone(),
            Reach::Site => job.site.clone(),
        }
    }
}

/// Why a step did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// The world is busy; the engine tries again after at least `after`, with growing random back-off.
    #[error("{reason}; trying again")]
    Retry {
        /// The least time to wait.
        after: Duration,
        /// Why.
        reason: String,
    },
    /// The job's node or site does not answer; as [`StepError::Retry`]. After several such failures in a row every job of that node
    /// or site waits until a probe gets through.
    #[error("{reason}; trying again")]
    Unreachable {
        /// Which of the two.
        what: Reach,
        /// The least time to wait.
        after: Duration,
        /// Why.
        reason: String,
    },
    /// A person must act. The step has looked: nothing of it is under way outside.
    #[error("{reason}")]
    Blocked {
        /// What stands in the way.
        reason: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// It will never succeed; the job is undone.
    #[error("{reason}")]
    Fatal {
        /// Why.
        reason: String,
    },
    /// The right to act is lost; stop at once and touch nothing more.
    #[error("the lease of the job is lost")]
    LeaseLost,
    /// The operation was cancelled, and the step has brought what it had under way to an end.
    #[error("the operation was cancelled")]
    Cancelled,
}

impl StepError {
    /// See [`StepError::Retry`].
    pub fn retry(after: Duration, reason: impl Into<String>) -> Self {
        StepError::Retry { after, reason: reason.into() }
    }

    /// See [`StepError::Unreachable`].
    pub fn unreachable(what: Reach, after: Duration, reason: impl Into<String>) -> Self {
        StepError::Unreachable { what, after, reason: reason.into() }
    }

    /// See [`StepError::Blocked`].
    pub fn blocked(reason: impl Into<String>, hint: impl Into<String>) -> Self {
        StepError::Blocked { reason: reason.into(), hint: Some(hint.into()) }
    }

    /// See [`StepError::Fatal`].
    pub fn fatal(reason: impl Into<String>) -> Self {
        StepError::Fatal { reason: reason.into() }
    }
}

impl From<EnvelopeError> for StepError {
    fn from(error: EnvelopeError) -> Self {
        use std::error::Error;
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        StepError::Fatal { reason: format!("{error}: {cause}") }
    }
}

/// One step of a job. `ensure` and `undo` may be called again after any interruption, so both look before they act:
/// [`StepCx::prior`] tells what an interrupted call left.
#[async_trait]
pub trait Step: Send + Sync {
    /// Stable name, unique in the job; the journal finds the step by it across releases.
    fn name(&self) -> &str;

    /// How it may be repeated.
    fn class(&self) -> OpClass;

    /// Looks, acts if needed, looks again.
    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError>;

    /// Takes back what `ensure` did, as far as it came; nothing to take back is success.
    async fn undo(&self, cx: &StepCx) -> Result<(), StepError>;

    /// Takes nothing back, but waits until nothing that an interrupted `ensure` has started is under way any more. Called, in place
    /// of `undo`, where a job that keeps what it did ([`OnFailure::Keep`](crate::OnFailure::Keep)) is given up in the middle of this
    /// step, so that it does not end while its call still runs. [`StepCx::done_so_far`] tells how far the step came.
    async fn leave(&self, _cx: &StepCx) -> Result<(), StepError> {
        Ok(())
    }
}
