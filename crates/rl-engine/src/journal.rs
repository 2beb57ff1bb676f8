//! The journal: what every store of operations can do, by intention.
mod error;
mod known;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::envelope::Envelope;
use crate::id::{Ids, JobId, OperationId, OwnerId};
use crate::record::{Direction, Event, JobRecord, JobSteps, OperationInfo, OperationRecord, StepRecord, Unwind};
use crate::sched::Queue;
use crate::schedule::{Fired, ScheduleName, ScheduleRecord, ScheduleSpec};
use crate::spec::OperationSpec;
use crate::state::{JobState, OperationState};
use crate::time::UnixMs;
pub use error::JournalError;
pub(crate) use known::NEEDS_TO_KNOW;
pub use known::known_or_reason;

/// Most rows of one page of any listing: a page is held in memory.
pub const PAGE_MAX: usize = 1_000;
/// Most unfinished jobs a store accepts; beyond it new work is refused rather than memory filled.
pub const UNFINISHED_JOBS_MAX: usize = 500_000;
/// Longest back-off in store: a timer further ahead can only come from a clock that jumped.
pub const WAIT_MAX: Duration = Duration::from_secs(3600);

/// The right to write about a job: valid for one claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The job.
    pub job: JobId,
    /// The claim's fence.
    pub fence: u64,
    /// Who claimed it.
    pub owner: OwnerId,
}

/// Names one step of the held job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepKey {
    /// Stable name.
    pub name: String,
    /// Doing or undoing.
    pub direction: Direction,
    /// Place in the job, for display.
    pub position: u32,
}

/// What a submit led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    /// The operation.
    pub id: OperationId,
    /// It had been submitted before, under the same id or idempotency key; nothing new was stored.
    pub existing: bool,
}

/// The payload kinds and versions a binary can run.
pub type KnownKinds = BTreeMap<String, RangeInclusive<u32>>;

/// A request for jobs.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// Who asks.
    pub owner: OwnerId,
    /// At most this many.
    pub limit: usize,
    /// What it can run; anything else is parked.
    pub known: KnownKinds,
    /// Deadline of jobs that name none.
    pub deadline_default: Duration,
    /// How long after the end of an owner's lease a call it had announced may still be under way: the longest outside call. Its job
    /// is handed on at once, but calls nothing before that time has passed.
    pub takeover_grace: Duration,
    /// The sites it works for; every site when empty. Jobs of other sites are handed out only after `foreign_grace`.
    pub sites: Vec<String>,
    /// How long a job of another site must have been ready.
    pub foreign_grace: Duration,
}

impl ClaimRequest {
    /// A request of an engine that works for every site.
    pub fn new(owner: OwnerId, limit: usize, known: KnownKinds) -> Self {
        Self {
            owner,
            limit,
            known,
            deadline_default: Duration::from_secs(3600),
            takeover_grace: Duration::ZERO,
            sites: Vec::new(),
            foreign_grace: Duration::ZERO,
        }
    }
}

/// A claimed job with everything needed to go on.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The right to write.
    pub holder: Holder,
    /// The job, its status as of the claim.
    pub job: JobRecord,
    /// What its steps left so far.
    pub steps: Vec<StepRecord>,
    /// The fixed part of its operation, where the journal has it at hand.
    pub operation: Option<OperationInfo>,
    /// How long it had been ready.
    pub waited: Duration,
}

/// The answer to a claim.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    /// The jobs.
    pub jobs: Vec<Claimed>,
    /// When to ask again even if nothing changes.
    pub next_due: Option<UnixMs>,
}

/// What a new owner found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Jobs taken from owners that are gone.
    pub orphans: usize,
    /// Parked jobs this release can run.
    pub unparked: usize,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beat {
    /// Held jobs whose operation was cancelled.
    pub cancelled: Vec<JobId>,
}

/// How a holder lets go of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// Every step is done.
    Done,
    /// Everything is undone: failed or cancelled, as the job had turned.
    Unwound,
    /// Undoing failed for good.
    Stuck {
        /// Why.
        reason: String,
    },
    /// Try again later; counts as a failed attempt.
    Retry {
        /// When.
        not_before: UnixMs,
        /// Why.
        reason: String,
        /// What did not answer, as named by [`JobSpec::node`](crate::JobSpec::node) or [`JobSpec::site`](crate::JobSpec::site). After
        /// several such failures in a row every job of it waits for a probe.
        unreachable: Option<String>,
    },
    /// A person must act.
    Blocked {
        /// Why.
        reason: String,
        /// What to do.
        hint: Option<String>,
        /// The step of which nobody knows whether it was carried out. It is marked so, and the lock domains stay taken.
        unknown: Option<StepKey>,
    },
    /// This release cannot read the job.
    Parked {
        /// Why, and what could.
        reason: String,
    },
    /// Shutdown: the job is ready again, no attempt is counted.
    Release,
}

/// What the holder of a job saw that people should know of; becomes an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Nothing was heard of a step for a while: `step.stalled`.
    Stalled {
        /// The step.
        step: String,
        /// Silence so far.
        quiet: Duration,
        /// What was heard last.
        last: String,
    },
    /// A step that had stalled goes on: `step.moving`.
    Moving {
        /// The step.
        step: String,
    },
    /// The job ran longer than it may: `job.deadline`.
    Deadline {
        /// How long it was allowed to run.
        allowed: Duration,
    },
}

/// Grows when something happened; followers compare and read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Signal {
    /// Number of the last event.
    pub events: u64,
    /// Times a job became ready or a lock domain free.
    pub work: u64,
    /// Times a running job was cancelled.
    pub cancels: u64,
    /// Times a schedule was changed.
    pub schedules: u64,
}

/// A filter and page of operations, newest first.
#[derive(Debug, Clone, Default)]
pub struct OperationQuery {
    /// Only of this subject.
    pub subject: Option<String>,
    /// Only in these states; all when empty.
    pub states: Vec<OperationState>,
    /// Only older than this one: the last of the page before.
    pub before: Option<OperationId>,
    /// At most this many; never more than [`PAGE_MAX`].
    pub limit: usize,
}

/// A filter and page of events, oldest first.
#[derive(Debug, Clone, Copy, Default)]
pub struct EventQuery {
    /// Only later than this number.
    pub after: u64,
    /// Only of this operation.
    pub operation: Option<OperationId>,
    /// At most this many; never more than [`PAGE_MAX`].
    pub limit: usize,
}

/// A durable store of operations. Every method is one transaction, and has returned only when it is on disk.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Accepts an operation with all its jobs, or refuses it whole.
    async fn submit(&self, spec: OperationSpec, now: UnixMs) -> Result<Submitted, JournalError>;

    /// Announces an engine run. A store that only one process can hold takes every job from earlier runs at once; a shared
    /// store takes those whose lease ran out.
    async fn register(&self, owner: OwnerId, request: RegisterRequest, now: UnixMs) -> Result<Recovered, JournalError>;

    /// Ends an engine run that holds no job any more.
    async fn unregister(&self, owner: OwnerId, now: UnixMs) -> Result<(), JournalError>;

    /// Hands out ready jobs whose lock domains have room: highest priority first, operations in turn, in order within each.
    async fn claim(&self, request: ClaimRequest, now: UnixMs) -> Result<Claims, JournalError>;

    /// Extends the lease of a run and everything it holds.
    async fn heartbeat(&self, owner: OwnerId, lease_until: UnixMs, now: UnixMs) -> Result<Beat, JournalError>;

    /// Announces an outside call of a step, before it is made.
    async fn intent(
        &self,
        holder: Holder,
        step: StepKey,
        value: Envelope,
        now: UnixMs,
    ) -> Result<StepRecord, JournalError>;

    /// Records what the outside answered, so that it can be followed after a restart.
    async fn submitted(
        &self,
        holder: Holder,
        step: StepKey,
        ext_ref: String,
        now: UnixMs,
    ) -> Result<StepRecord, JournalError>;

    /// Records that the announced call was certainly not carried out.
    async fn withdraw(&self, holder: Holder, step: StepKey, now: UnixMs) -> Result<StepRecord, JournalError>;

    /// Records a finished step and, with its last step, the end of the job.
    async fn outcome(
        &self,
        holder: Holder,
        step: StepKey,
        receipt: Envelope,
        finish: Option<Finish>,
        now: UnixMs,
    ) -> Result<StepRecord, JournalError>;

    /// Turns a job round: from here on it is undone.
    async fn turn(&self, holder: Holder, why: Unwind, reason: String, now: UnixMs) -> Result<(), JournalError>;

    /// Lets go of a job.
    async fn finish(&self, holder: Holder, finish: Finish, now: UnixMs) -> Result<(), JournalError>;

    /// Writes an event for people.
    async fn note(&self, holder: Holder, step: Option<String>, text: String, now: UnixMs) -> Result<(), JournalError>;

    /// Writes down what the holder of a job saw.
    async fn notice(&self, holder: Holder, notice: Notice, now: UnixMs) -> Result<(), JournalError>;

    /// Asks for an operation to be cancelled. Asking twice is as good as once.
    async fn request_cancel(&self, operation: OperationId, by: String, now: UnixMs) -> Result<(), JournalError>;

    /// Sends every blocked, parked, stuck or backing-off job of an operation on its way; answers how many.
    async fn retry(&self, operation: OperationId, by: String, now: UnixMs) -> Result<usize, JournalError>;

    /// Reads an operation.
    async fn operation(&self, id: OperationId) -> Result<Option<OperationRecord>, JournalError>;

    /// Reads a page of operations, newest first.
    async fn operations(&self, query: OperationQuery) -> Result<Vec<OperationRecord>, JournalError>;

    /// Reads a job.
    async fn job(&self, id: JobId) -> Result<Option<JobRecord>, JournalError>;

    /// Reads a page of an operation's jobs in their order, from place `from` on.
    async fn jobs(&self, operation: OperationId, from: u32, limit: usize) -> Result<Vec<JobRecord>, JournalError>;

    /// Reads the steps of a job in their order, undone ones after done ones.
    async fn steps(&self, job: JobId) -> Result<Vec<StepRecord>, JournalError>;

    /// Reads a page of an operation's jobs as [`Journal::jobs`] does, each with its steps.
    async fn jobs_with_steps(&self, id: OperationId, from: u32, limit: usize) -> Result<Vec<JobSteps>, JournalError>;

    /// Reads a page of events, oldest first. A follower of all operations (`after` above 0) is told with
    /// [`JournalError::EventsGone`] when events it has not read were deleted.
    async fn events(&self, query: EventQuery) -> Result<Vec<Event>, JournalError>;

    /// What the jobs of this store wait for, as this process knows it; nothing where a journal has no scheduler of its own.
    async fn queue(&self, _now: UnixMs) -> Result<Queue, JournalError> {
        Ok(Queue::default())
    }

    /// The unfinished operations of a subject, oldest first.
    async fn unfinished(&self, subject: String) -> Result<Vec<OperationId>, JournalError>;

    /// Deletes up to `limit` operations that were finished before `before`, with all that belongs to them; answers how many.
    async fn prune(&self, before: UnixMs, limit: usize, now: UnixMs) -> Result<usize, JournalError>;

    /// Adds a schedule or replaces the one of its name; its next time is counted from `now`. Answers that time.
    async fn put_schedule(&self, spec: ScheduleSpec, now: UnixMs) -> Result<Option<UnixMs>, JournalError>;

    /// Removes a schedule; what it has started goes on.
    async fn remove_schedule(&self, name: ScheduleName) -> Result<(), JournalError>;

    /// Stops a schedule, or lets it go on. Times that pass while it is stopped are not made up for.
    async fn pause_schedule(&self, name: ScheduleName, paused: bool, now: UnixMs) -> Result<(), JournalError>;

    /// All schedules by name; never more than [`SCHEDULES_MAX`](crate::SCHEDULES_MAX).
    async fn schedules(&self) -> Result<Vec<ScheduleRecord>, JournalError>;

    /// Starts what is due: for each schedule the move to its next time and the submit are one transaction, so that several servers
    /// start it once.
    async fn fire_schedules(&self, ids: Ids, now: UnixMs) -> Result<Fired, JournalError>;

    /// Changes whenever something happened.
    fn subscribe(&self) -> watch::Receiver<Signal>;
}

/// What an engine run tells about itself when it registers.
#[derive(Debug, Clone)]
pub struct RegisterRequest {
    /// When its lease ends unless it beats.
    pub lease_until: UnixMs,
    /// What it can run: parked jobs of these kinds and versions become ready.
    pub known: KnownKinds,
    /// See [`ClaimRequest::takeover_grace`].
    pub takeover_grace: Duration,
}

/// Waits until an operation is finished or blocked.
pub async fn settled(journal: &dyn Journal, id: OperationId) -> Result<OperationRecord, JournalError> {
    let mut signal = journal.subscribe();
    loop {
        signal.borrow_and_update();
        let Some(operation) = journal.operation(id).await? else {
            return Err(JournalError::NotFound { what: "operation", id: id.to_string() });
        };
        if operation.status.state != OperationState::Running {
            return Ok(operation);
        }
        if signal.changed().await.is_err() {
            return Err(JournalError::Poisoned);
        }
    }
}

/// The state a finished job leaves its followers in.
pub(crate) fn follows(state: JobState) -> Option<JobState> {
    match state {
        JobState::Failed | JobState::Stuck | JobState::Skipped => Some(JobState::Skipped),
        JobState::Cancelled => Some(JobState::Cancelled),
        _ => None,
    }
}
