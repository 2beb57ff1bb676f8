//! The stored rows: what never changes of an operation and a job beside what does.
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::envelope::Envelope;
use crate::id::{JobId, OperationId, OwnerId};
use crate::spec::{JobSpec, LockDomain, OperationSpec};
use crate::state::{JobCounts, JobState, OperationState};
use crate::time::UnixMs;

/// What never changes of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperationInfo {
    /// Its id.
    pub id: OperationId,
    /// What is done.
    pub kind: String,
    /// What it is done to.
    pub subject: String,
    /// Who asked.
    pub actor: String,
    /// One line for people.
    pub summary: String,
    /// What every job's steps may read.
    pub payload: Envelope,
    /// Key under which it was submitted.
    pub idempotency_key: Option<String>,
    /// At most one unfinished operation of the subject.
    pub exclusive: bool,
    /// When it was accepted.
    pub created_at: UnixMs,
}

impl OperationInfo {
    pub(crate) fn of(spec: &OperationSpec, now: UnixMs) -> Self {
        Self {
            id: spec.id,
            kind: spec.kind.clone(),
            subject: spec.subject.clone(),
            actor: spec.actor.clone(),
            summary: spec.summary.clone(),
            payload: spec.payload.clone(),
            idempotency_key: spec.idempotency_key.clone(),
            exclusive: spec.exclusive,
            created_at: now,
        }
    }
}

/// Who asked for a cancellation, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequest {
    /// Who asked.
    pub by: String,
    /// When.
    pub at: UnixMs,
}

/// What changes of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationStatus {
    /// Derived from `counts`.
    pub state: OperationState,
    /// Jobs by state.
    pub counts: JobCounts,
    /// Set once somebody asked to cancel.
    pub cancel: Option<CancelRequest>,
    /// Last change of a job.
    pub updated_at: UnixMs,
    /// When the last job was finished.
    pub finished_at: Option<UnixMs>,
}

/// An operation as read back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperationRecord {
    /// What never changes.
    pub info: OperationInfo,
    /// Where it stands.
    pub status: OperationStatus,
}

/// Why a job is being undone, and so which state it ends in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unwind {
    /// A step failed for good.
    Failed,
    /// Somebody cancelled the operation.
    Cancelled,
}

/// What changes of a job. The functions of [`crate::transition`] are the only place that makes a new one from an old one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStatus {
    /// Where it stands.
    pub state: JobState,
    /// Jobs it comes after that are not done yet.
    pub waiting_for: u32,
    /// Failed attempts since the last finished step.
    pub failures: u32,
    /// Runs that ended with their owner since the last finished step.
    pub crashes: u32,
    /// Raised by every claim, never lowered: what tells a late write from a current one.
    pub fence: u64,
    /// Who runs it.
    pub owner: Option<OwnerId>,
    /// When a job in back-off is ready again. On a job taken from an owner that is gone: before this moment a call of that owner may
    /// still be under way, so nothing is called.
    pub not_before: Option<UnixMs>,
    /// Its lock domains are taken, even if nobody runs it at the moment.
    pub holds_locks: bool,
    /// Set when the job is being undone.
    pub unwind: Option<Unwind>,
    /// The operation was cancelled while the job ran; its holder has yet to see it.
    pub cancel: bool,
    /// At least one step wrote something, so that there may be something to undo.
    pub traces: bool,
    /// A step announced a call and has not recorded what came of it.
    pub open_step: bool,
    /// Why it stands where it stands, for people.
    pub reason: Option<String>,
    /// What a person can do about it.
    pub hint: Option<String>,
    /// First claim.
    pub started_at: Option<UnixMs>,
    /// When it is given up, unless its owner is gone before.
    pub deadline_at: Option<UnixMs>,
    /// When it reached a finished state.
    pub finished_at: Option<UnixMs>,
}

/// A job as read back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// The operation it belongs to.
    pub operation: OperationId,
    /// Its place in the operation, from 0.
    pub seq: u32,
    /// What was submitted.
    pub spec: JobSpec,
    /// Where it stands.
    pub status: JobStatus,
}

impl JobRecord {
    /// What the scheduler must know of it; `subject` is its operation's.
    pub fn slot(&self, subject: &str) -> JobSlot {
        JobSlot::of(&self.spec, self.operation, self.seq, subject)
    }
}

/// What the scheduler must know of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSlot {
    /// The job.
    pub id: JobId,
    /// Its operation, among which turns are shared fairly.
    pub operation: OperationId,
    /// Its place in the operation.
    pub seq: u32,
    /// Higher first.
    pub priority: i16,
    /// What it needs to run.
    pub locks: Vec<LockDomain>,
    /// Its operation's subject: subjects share turns fairly, then operations within each.
    pub subject: Arc<str>,
    /// The site it acts on.
    pub site: Option<Arc<str>>,
    /// The node it acts on.
    pub node: Option<Arc<str>>,
}

impl JobSlot {
    /// The slot of a job as it was submitted.
    pub fn of(spec: &JobSpec, operation: OperationId, seq: u32, subject: &str) -> Self {
        Self {
            id: spec.id,
            operation,
            seq,
            priority: spec.priority,
            locks: spec.locks.clone(),
            subject: subject.into(),
            site: spec.site.as_deref().map(Arc::from),
            node: spec.node.as_deref().map(Arc::from),
        }
    }
}

/// Whether a step is done or undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// `ensure`.
    Do,
    /// `undo`.
    Undo,
}

impl Direction {
    /// The name in stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::Do => "do",
            Direction::Undo => "undo",
        }
    }
}

/// How far a step came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// A call was announced; whether it was made is not known.
    Intent,
    /// The call was made and answered with a reference to follow.
    Submitted,
    /// The announced call was certainly not carried out.
    Withdrawn,
    /// Nobody knows whether the announced call was carried out, and it must not be repeated unless a person says so.
    Unknown,
    /// Finished, with a receipt.
    Done,
}

/// A job with its steps, in their order.
pub type JobSteps = (JobRecord, Vec<StepRecord>);

/// One step of one job in one direction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The job.
    pub job: JobId,
    /// The step's stable name.
    pub name: String,
    /// Doing or undoing.
    pub direction: Direction,
    /// Its place in the job when it was written.
    pub position: u32,
    /// How far it came.
    pub state: StepState,
    /// Intents written so far.
    pub attempt: u32,
    /// What was announced last.
    pub intent: Option<Envelope>,
    /// What the outside answered: a UPID.
    pub ext_ref: Option<String>,
    /// What it left behind.
    pub receipt: Option<Envelope>,
    /// Last change.
    pub at: UnixMs,
}

/// An engine that may hold jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerRecord {
    /// The engine's run.
    pub id: OwnerId,
    /// When its lease ends unless it beats.
    pub lease_until: UnixMs,
}

/// Something that happened, numbered without a gap that matters, for followers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Grows with time.
    pub seq: u64,
    /// Whose it is.
    pub operation: OperationId,
    /// The job, if it concerns one.
    pub job: Option<JobId>,
    /// What happened, such as `job.done`.
    pub kind: String,
    /// Details.
    pub body: Value,
    /// When.
    pub at: UnixMs,
}
