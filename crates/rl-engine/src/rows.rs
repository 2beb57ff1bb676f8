//! What a store with rows must offer so that the journal's logic, written once, runs on it.
use std::future::Future;

use tokio::sync::watch;

use crate::id::{JobId, OperationId, OwnerId};
use crate::journal::{EventQuery, JournalError, OperationQuery, Signal};
use crate::record::{
    Direction, Event, JobRecord, JobSlot, JobStatus, OperationInfo, OperationRecord, OperationStatus, OwnerRecord,
    StepRecord,
};
use crate::schedule::{ScheduleName, ScheduleRecord};
use crate::spec::JobSpec;
use crate::time::UnixMs;
use crate::tx::Tx;

/// Result of a row access.
pub type RowResult<T> = Result<T, JournalError>;

/// What a write is about to look at, so that a store that is far away can fetch all of it at once, or learn that it is not there.
#[derive(Debug, Clone, Default)]
pub struct Hint {
    /// Operations.
    pub operations: Vec<OperationId>,
    /// Jobs.
    pub jobs: Vec<JobId>,
    /// Idempotency keys.
    pub keys: Vec<String>,
}

impl Hint {
    /// One job.
    pub fn job(id: JobId) -> Self {
        Self { jobs: vec![id], ..Self::default() }
    }
}

/// Row access inside one transaction. Implementations only read and write rows; every rule is in the engine.
pub trait Rows {
    /// These jobs and their steps are read next: a store that is far away fetches them at once.
    fn prefetch(&mut self, _jobs: &[JobId]) -> RowResult<()> {
        Ok(())
    }

    /// Adds an operation.
    fn insert_operation(&mut self, info: &OperationInfo, status: &OperationStatus) -> RowResult<()>;
    /// What never changes of an operation.
    fn operation_info(&mut self, id: OperationId) -> RowResult<Option<OperationInfo>>;
    /// What never changes of an operation, where it is at hand without reading it.
    fn known_operation_info(&self, _id: OperationId) -> Option<OperationInfo> {
        None
    }
    /// What changes of an operation.
    fn operation_status(&mut self, id: OperationId) -> RowResult<Option<OperationStatus>>;
    /// Replaces what changes of an operation.
    fn put_operation_status(&mut self, id: OperationId, status: &OperationStatus) -> RowResult<()>;
    /// The operation submitted under an idempotency key.
    fn operation_by_key(&mut self, key: &str) -> RowResult<Option<OperationId>>;
    /// Unfinished operations of a subject, oldest first.
    fn unfinished(&mut self, subject: &str) -> RowResult<Vec<OperationId>>;
    /// A page of operations, newest first.
    fn list_operations(&mut self, query: &OperationQuery) -> RowResult<Vec<OperationRecord>>;
    /// Operations finished before a moment, oldest first.
    fn finished_before(&mut self, before: UnixMs, limit: usize) -> RowResult<Vec<OperationId>>;
    /// Removes an operation with its jobs, steps and events.
    fn delete_operation(&mut self, id: OperationId) -> RowResult<()>;

    /// Adds a job and the order it stands in.
    fn insert_job(&mut self, operation: OperationId, seq: u32, spec: &JobSpec, status: &JobStatus) -> RowResult<()>;
    /// A whole job; [`JournalError::Undecodable`] when this release cannot read its payload.
    fn job(&mut self, id: JobId) -> RowResult<Option<JobRecord>>;
    /// What changes of a job, readable even when its payload is not.
    fn job_status(&mut self, id: JobId) -> RowResult<Option<(OperationId, JobStatus)>>;
    /// What the scheduler must know of a job, readable even when its payload is not.
    fn job_slot(&mut self, id: JobId) -> RowResult<Option<JobSlot>>;
    /// Replaces what changes of a job.
    fn put_job_status(&mut self, id: JobId, status: &JobStatus) -> RowResult<()>;
    /// The unfinished and stuck jobs of an operation, in their order.
    fn open_jobs_of(&mut self, operation: OperationId) -> RowResult<Vec<JobId>>;
    /// The jobs that come after a job.
    fn followers(&mut self, id: JobId) -> RowResult<Vec<JobId>>;
    /// A page of an operation's jobs.
    fn list_jobs(&mut self, operation: OperationId, from: u32, limit: usize) -> RowResult<Vec<JobRecord>>;
    /// Every unfinished job of the store, for the scheduler's start; in the order of submission.
    fn unfinished_jobs(&mut self) -> RowResult<Vec<(JobSlot, JobStatus)>>;
    /// Kind and version of every parked job's payload.
    fn parked_jobs(&mut self) -> RowResult<Vec<(JobId, String, u32)>>;

    /// One step.
    fn step(&mut self, job: JobId, name: &str, direction: Direction) -> RowResult<Option<StepRecord>>;
    /// Adds or replaces a step.
    fn put_step(&mut self, step: &StepRecord) -> RowResult<()>;
    /// The steps of a job, done ones by position, then undone ones.
    fn steps_of(&mut self, job: JobId) -> RowResult<Vec<StepRecord>>;

    /// Adds an event and gives its number, which `event.seq` does not hold yet.
    fn append_event(&mut self, event: &Event) -> RowResult<u64>;
    /// A page of events.
    fn list_events(&mut self, query: &EventQuery) -> RowResult<Vec<Event>>;

    /// One engine run.
    fn owner(&mut self, id: OwnerId) -> RowResult<Option<OwnerRecord>>;
    /// All engine runs.
    fn owners(&mut self) -> RowResult<Vec<OwnerRecord>>;
    /// Adds or replaces an engine run.
    fn put_owner(&mut self, owner: &OwnerRecord) -> RowResult<()>;
    /// Removes an engine run.
    fn remove_owner(&mut self, id: OwnerId) -> RowResult<()>;

    // Table `schedule`: name text primary key, spec text (JSON of `ScheduleSpec`), next_at bigint null, paused boolean,
    // state text (JSON of `ScheduleState`). At most `SCHEDULES_MAX` rows.
    /// One schedule.
    fn schedule(&mut self, name: &ScheduleName) -> RowResult<Option<ScheduleRecord>>;
    /// All schedules by name.
    fn schedules(&mut self) -> RowResult<Vec<ScheduleRecord>>;
    /// How many schedules there are.
    fn schedule_count(&mut self) -> RowResult<usize> {
        Ok(self.schedules()?.len())
    }
    /// The earliest time at which a schedule that is not paused is due.
    fn next_schedule(&mut self) -> RowResult<Option<UnixMs>>;
    /// Adds or replaces a schedule.
    fn put_schedule(&mut self, schedule: &ScheduleRecord) -> RowResult<()>;
    /// Removes a schedule.
    fn remove_schedule(&mut self, name: &ScheduleName) -> RowResult<()>;

    /// The number of the last event of an operation.
    fn last_event_of(&mut self, operation: OperationId) -> RowResult<Option<u64>>;
    // Table `meta`: key text primary key, value text.
    /// A value the engine keeps about the store as a whole.
    fn meta(&mut self, key: &str) -> RowResult<Option<String>>;
    /// Replaces such a value.
    fn put_meta(&mut self, key: &str, value: &str) -> RowResult<()>;
}

/// Which writes go first when there are more than one transaction takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Running jobs: overload never keeps them from recording.
    Progress,
    /// New work and housekeeping.
    Intake,
}

/// A store that runs closures over rows, each as one durable transaction. It gets the whole [`crate::Journal`] for that.
pub trait Backend: Send + Sync + 'static {
    /// Only one process can hold the store, so that every earlier owner is dead when a new one registers.
    fn exclusive(&self) -> bool;

    /// Runs `work` in a transaction and returns after it is on disk. When `work` fails nothing is kept.
    fn write<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce(&mut Tx<'_>) -> RowResult<T> + Send + 'static,
    ) -> impl Future<Output = RowResult<T>> + Send;

    /// As [`Backend::write`], with a hint about what `work` will look at.
    fn write_hinted<T: Send + 'static>(
        &self,
        lane: Lane,
        _hint: Hint,
        work: impl FnOnce(&mut Tx<'_>) -> RowResult<T> + Send + 'static,
    ) -> impl Future<Output = RowResult<T>> + Send {
        self.write(lane, work)
    }

    /// Runs `work` on a consistent view.
    fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Rows) -> RowResult<T> + Send + 'static,
    ) -> impl Future<Output = RowResult<T>> + Send;

    /// Changes whenever something happened.
    fn signals(&self) -> watch::Receiver<Signal>;
}
