//! Why a journal refused, or could not answer.
use std::time::Duration;

use crate::id::{JobId, OperationId, OwnerId};
use crate::spec::SpecError;

/// Why a journal did not do what was asked. Nothing was changed in any of the cases but [`JournalError::Poisoned`], where it is unknown.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Somebody else holds the job by now, or nobody; the writer must stop at once.
    #[error("the lease of job {job} is lost; what its former holder wanted to record was refused")]
    LeaseLost {
        /// The job.
        job: JobId,
    },
    /// The engine was taken for dead.
    #[error("engine run {owner} is no longer registered; its jobs were handed on")]
    OwnerLost {
        /// The engine's run.
        owner: OwnerId,
    },
    /// No such operation or job.
    #[error("there is no {what} {id}")]
    NotFound {
        /// `operation` or `job`.
        what: &'static str,
        /// The id.
        id: String,
    },
    /// The operation cannot be accepted as it is.
    #[error("the operation cannot be accepted")]
    Invalid(#[from] SpecError),
    /// The subject has an unfinished operation.
    #[error("`{subject}` has the unfinished operation {operation}; resume or cancel it first")]
    Busy {
        /// The subject.
        subject: String,
        /// Its unfinished operation.
        operation: OperationId,
    },
    /// Asked of an operation or job that is in no state for it.
    #[error("{what} is {state}: {why}")]
    WrongState {
        /// What was asked for.
        what: String,
        /// Its state.
        state: String,
        /// Why that does not fit.
        why: &'static str,
    },
    /// A named limit is reached.
    #[error("the store takes no new work: {why}. Wait until running work has ended, or make room")]
    Full {
        /// Which limit.
        why: String,
        /// When to ask again, where that can be said.
        retry_after: Option<Duration>,
    },
    /// The store cannot be reached. Nothing was kept; the same write may be sent again.
    #[error("the store cannot be reached while {doing}; nothing was kept")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// What failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Events after the follower's position were deleted together with their operations.
    #[error(
        "events after number {after} were deleted with their operations; every event after number {complete_after} is there: \
         list the operations and follow from that number"
    )]
    EventsGone {
        /// Where the follower stands.
        after: u64,
        /// From here on nothing was deleted.
        complete_after: u64,
    },
    /// No such schedule, or one that cannot be.
    #[error("schedule `{name}`: {why}")]
    Schedule {
        /// Its name.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// A stored row cannot be read by this release; its bytes are left as they are.
    #[error("a stored {what} cannot be read by this release")]
    Undecodable {
        /// Which row.
        what: String,
        /// What the decoder said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The same transaction also had to do something else, and that was refused.
    #[error("{reason}")]
    Refused {
        /// What was refused and why.
        reason: String,
        /// The refusal as its own type.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The store failed; this one write did not happen.
    #[error("the store failed while {doing}")]
    Store {
        /// What was being done.
        doing: &'static str,
        /// What failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A commit failed: nothing more is acknowledged, the process should end and start again.
    #[error("the store stopped after a failed commit; end the process and start it again")]
    Poisoned,
}

impl JournalError {
    /// The writer lost its right to write; everything else is a fault of the store or the caller.
    pub fn is_lease_lost(&self) -> bool {
        matches!(self, JournalError::LeaseLost { .. } | JournalError::OwnerLost { .. })
    }

    /// The store cannot be reached at the moment; trying again is safe.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, JournalError::Unavailable { .. })
    }
}
