//! The writer's memory of rows: what running work reads and writes over and over, written out once per commit.
//!
//! The writer is the only one that changes the database, so what it remembers is what is stored. A write changes the rows
//! here; [`Cache::flush`] turns everything that changed since the last commit into statements, each row once, however often
//! it changed. A write that fails is taken back here ([`Cache::undo_to`]) and never reaches the database. Whatever has no
//! place here (listings, schedules, deletions) runs as statements in the same transaction, after [`Cache::settle`].
mod deeds;
mod flush;
mod rows;
mod undo;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rl_engine::{
    Direction, Event, JobId, JobSlot, JobSpec, JobStatus, OperationId, OperationInfo, OperationStatus, OwnerId,
    OwnerRecord, RowResult, Rows, StepRecord,
};
use rusqlite::Connection;

use super::rows::SqlRows;
use deeds::{Deeds, Waiting};
pub(super) use rows::CachedRows;
use undo::Undo;

/// Most jobs remembered: what runs at once, and as much again that waits for its turn. A job costs about a kilobyte.
const JOBS_MAX: usize = 20_000;
/// Most operations remembered.
const OPERATIONS_MAX: usize = 20_000;

/// See the module.
pub(super) struct Cache {
    jobs: HashMap<JobId, Job>,
    operations: HashMap<OperationId, Operation>,
    /// All engine runs: there are few.
    owners: BTreeMap<OwnerId, OwnerRecord>,
    owners_changed: bool,
    events: Vec<(u64, Event)>,
    next_event: u64,
    changed: Changed,
    /// How to go back to before the writes that may still be taken back.
    undo: Vec<Undo>,
    /// Jobs and operations made later than this (Unix milliseconds) are remembered if they exist at all.
    complete_after_ms: u64,
    /// Statements ran in the middle of the transaction, so that it can be repeated no more.
    direct: bool,
    /// A savepoint is open that holds what the current write sent to the database before its end.
    savepoint: bool,
    /// Length of `undo` when the current write began.
    mark: usize,
    deeds: Deeds,
    /// What waited when the current write began.
    logged_mark: Logged,
}

/// Events and deeds that wait to be written out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Logged {
    events: usize,
    deeds: Waiting,
}

/// What must be written out.
#[derive(Default)]
struct Changed {
    jobs: Vec<JobId>,
    operations: Vec<OperationId>,
    /// Idempotency keys of operations that are not written out yet.
    keys: HashMap<String, OperationId>,
    /// Operations by subject that are not written out yet.
    subjects: HashMap<String, Vec<OperationId>>,
    /// Jobs that come after one that was not inserted yet.
    early: HashMap<JobId, Vec<JobId>>,
    /// An operation that was finished is not any more.
    reopened: bool,
}

struct Job {
    operation: OperationId,
    status: JobStatus,
    /// Handed out by the first claim; read again if a later one needs it.
    spec: Option<Box<(u32, JobSpec)>>,
    slot: Option<JobSlot>,
    steps: Option<Vec<Step>>,
    followers: Option<Vec<JobId>>,
    insert: Option<Box<JobInsert>>,
    changed: bool,
}

/// What the insertion of a job writes beside its status.
struct JobInsert {
    seq: u32,
    priority: i16,
    kind: String,
    version: u32,
    locks: String,
    spec: String,
    site: Option<String>,
    node: Option<String>,
    after: BTreeSet<JobId>,
}

struct Step {
    record: StepRecord,
    changed: bool,
}

struct Operation {
    status: OperationStatus,
    info: Option<OperationInfo>,
    /// The fixed part as it is to be inserted.
    insert: Option<String>,
    changed: bool,
}

impl Job {
    fn stored(operation: OperationId, status: JobStatus) -> Self {
        Self { operation, status, spec: None, slot: None, steps: None, followers: None, insert: None, changed: false }
    }

    /// Exchanges a step with another of the same name and direction; `None` stands for no such step.
    fn exchange(&mut self, name: &str, direction: Direction, other: Option<StepRecord>) -> Option<StepRecord> {
        let steps = self.steps.get_or_insert_with(Vec::new);
        let at = steps.iter().position(|step| step.record.direction == direction && step.record.name == name);
        match (at, other) {
            (Some(at), Some(record)) => Some(std::mem::replace(&mut steps[at], Step { record, changed: true }).record),
            (Some(at), None) => Some(steps.swap_remove(at).record),
            (None, Some(record)) => {
                steps.reserve_exact(1);
                steps.push(Step { record, changed: true });
                None
            }
            (None, None) => None,
        }
    }
}

impl Cache {
    /// An empty memory of the database.
    pub(super) fn new(connection: &Connection) -> RowResult<Self> {
        let mut rows = SqlRows::new(connection);
        let owners = rows.owners()?.into_iter().map(|owner| (owner.id, owner)).collect();
        let next_event = rows.last_event()? + 1;
        let complete_after_ms = rows.newest_ms()?;
        Ok(Self {
            jobs: HashMap::new(),
            operations: HashMap::new(),
            owners,
            owners_changed: false,
            events: Vec::new(),
            next_event,
            changed: Changed::default(),
            undo: Vec::new(),
            complete_after_ms,
            direct: false,
            savepoint: false,
            mark: 0,
            deeds: Deeds::default(),
            logged_mark: Logged::default(),
        })
    }

    /// A write begins.
    pub(super) fn begin(&mut self) {
        self.mark = self.undo.len();
        self.logged_mark = self.logged();
        self.savepoint = false;
    }

    /// Writes so far cannot be taken back one by one any more.
    pub(super) fn keep(&mut self) {
        self.undo.clear();
        self.mark = 0;
    }

    /// Whether statements ran in the middle of the transaction.
    pub(super) fn is_direct(&self) -> bool {
        self.direct
    }

    fn job(&mut self, connection: &Connection, id: JobId) -> RowResult<Option<&mut Job>> {
        if !self.jobs.contains_key(&id) {
            if id.made_at_ms() > self.complete_after_ms {
                return Ok(None);
            }
            let Some((operation, status)) = SqlRows::new(connection).job_status(id)? else { return Ok(None) };
            self.jobs.insert(id, Job::stored(operation, status));
        }
        Ok(self.jobs.get_mut(&id))
    }

    fn operation(&mut self, connection: &Connection, id: OperationId) -> RowResult<Option<&mut Operation>> {
        if !self.operations.contains_key(&id) {
            if id.made_at_ms() > self.complete_after_ms {
                return Ok(None);
            }
            let Some(status) = SqlRows::new(connection).operation_status(id)? else { return Ok(None) };
            self.operations.insert(id, Operation { status, info: None, insert: None, changed: false });
        }
        Ok(self.operations.get_mut(&id))
    }

    fn touch_job(&mut self, id: JobId) {
        if let Some(job) = self.jobs.get_mut(&id)
            && !std::mem::replace(&mut job.changed, true)
        {
            self.changed.jobs.push(id);
        }
    }

    fn touch_operation(&mut self, id: OperationId) {
        if let Some(operation) = self.operations.get_mut(&id)
            && !std::mem::replace(&mut operation.changed, true)
        {
            self.changed.operations.push(id);
        }
    }

    /// The transaction is on disk: what was finished by it, and what is beyond the limits, is forgotten.
    pub(super) fn committed(&mut self) {
        let (jobs, operations) = self.clean();
        self.keep();
        self.direct = false;
        for id in jobs {
            if self.jobs.get(&id).is_some_and(|job| job.status.state.is_finished()) {
                self.jobs.remove(&id);
                self.complete_after_ms = self.complete_after_ms.max(id.made_at_ms());
            }
        }
        for id in operations {
            if self.operations.get(&id).is_some_and(|operation| operation.status.state.is_finished()) {
                self.operations.remove(&id);
                self.complete_after_ms = self.complete_after_ms.max(id.made_at_ms());
            }
        }
        if self.jobs.len() > JOBS_MAX {
            let limit = newest_forgotten(self.jobs.keys().map(|id| id.made_at_ms()).collect());
            self.jobs.retain(|id, _| id.made_at_ms() > limit);
            self.complete_after_ms = self.complete_after_ms.max(limit);
        }
        if self.operations.len() > OPERATIONS_MAX {
            let limit = newest_forgotten(self.operations.keys().map(|id| id.made_at_ms()).collect());
            self.operations.retain(|id, _| id.made_at_ms() > limit);
            self.complete_after_ms = self.complete_after_ms.max(limit);
        }
    }

    /// Everything changed is stored now; answers what that was.
    fn clean(&mut self) -> (Vec<JobId>, Vec<OperationId>) {
        let changed = std::mem::take(&mut self.changed);
        for id in &changed.jobs {
            if let Some(job) = self.jobs.get_mut(id) {
                job.changed = false;
                job.insert = None;
                for step in job.steps.iter_mut().flatten() {
                    step.changed = false;
                }
            }
        }
        for id in &changed.operations {
            if let Some(operation) = self.operations.get_mut(id) {
                operation.changed = false;
                operation.insert = None;
            }
        }
        self.events.clear();
        self.deeds.clean();
        self.logged_mark = Logged::default();
        self.owners_changed = false;
        (changed.jobs, changed.operations)
    }
}

/// The moment of making up to which rows are forgotten so that half of them stays.
fn newest_forgotten(mut made: Vec<u64>) -> u64 {
    let middle = made.len() / 2;
    *made.select_nth_unstable(middle).1
}
