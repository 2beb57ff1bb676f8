//! A journal in memory, for tests and simulation: the same rules as a durable one, over plain maps.
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::id::{JobId, OperationId, OwnerId};
use crate::journal::{EventQuery, OperationQuery, Signal};
use crate::record::{
    Direction, Event, JobRecord, JobSlot, JobStatus, OperationInfo, OperationRecord, OperationStatus, OwnerRecord,
    StepRecord,
};
use crate::rows::{Backend, Lane, RowResult, Rows};
use crate::sched::Sched;
use crate::schedule::{ScheduleName, ScheduleRecord};
use crate::spec::JobSpec;
use crate::state::JobState;
use crate::time::{Clock, UnixMs};
use crate::tx::Tx;

/// A journal in memory. Clones share it, so that it outlives the engines of a test.
#[derive(Clone)]
pub struct MemoryJournal {
    inner: Arc<Mutex<Inner>>,
    signal: watch::Sender<Signal>,
    exclusive: bool,
    clock: Option<Arc<dyn Clock>>,
}

#[derive(Default)]
struct Inner {
    rows: MemoryRows,
    sched: Sched,
}

#[derive(Default)]
struct MemoryRows {
    operations: BTreeMap<OperationId, OperationRecord>,
    keys: HashMap<String, OperationId>,
    jobs: HashMap<JobId, JobRecord>,
    order: HashMap<OperationId, Vec<JobId>>,
    followers: HashMap<JobId, Vec<JobId>>,
    steps: HashMap<JobId, BTreeMap<(Direction, u32, String), StepRecord>>,
    events: BTreeMap<u64, Event>,
    last_event: u64,
    owners: BTreeMap<OwnerId, OwnerRecord>,
    schedules: BTreeMap<ScheduleName, ScheduleRecord>,
    meta: BTreeMap<String, String>,
}

impl MemoryJournal {
    /// A journal that one engine at a time holds, as an embedded store: a new engine takes over at once.
    pub fn new() -> Self {
        Self::with(true, None)
    }

    /// A journal that several engines share: one takes over from another only after its lease ran out.
    pub fn shared() -> Self {
        Self::with(false, None)
    }

    /// A shared journal with a clock of its own, as a database server has one: the wall clocks of those who use it decide nothing.
    pub fn shared_with_clock(clock: Arc<dyn Clock>) -> Self {
        Self::with(false, Some(clock))
    }

    fn with(exclusive: bool, clock: Option<Arc<dyn Clock>>) -> Self {
        Self { inner: Arc::default(), signal: watch::Sender::new(Signal::default()), exclusive, clock }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many hold each lock domain now, for tests that watch the limits.
    pub fn held_domains(&self) -> BTreeMap<String, u32> {
        self.lock().sched.domains()
    }

    fn run<T>(&self, work: impl FnOnce(&mut Tx<'_>) -> RowResult<T>) -> RowResult<T> {
        let mut inner = self.lock();
        let Inner { rows, sched } = &mut *inner;
        let mut tx = Tx::new(rows, sched);
        if let Some(clock) = &self.clock {
            tx = tx.with_clock(clock.now());
        }
        let result = work(&mut tx);
        let announce = tx.close()?;
        let value = result?;
        self.signal.send_if_modified(|signal| announce.apply(signal));
        Ok(value)
    }
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::new()
    }
}

impl Backend for MemoryJournal {
    fn exclusive(&self) -> bool {
        self.exclusive
    }

    fn write<T: Send + 'static>(
        &self,
        _lane: Lane,
        work: impl FnOnce(&mut Tx<'_>) -> RowResult<T> + Send + 'static,
    ) -> impl Future<Output = RowResult<T>> + Send {
        std::future::ready(self.run(work))
    }

    fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Rows) -> RowResult<T> + Send + 'static,
    ) -> impl Future<Output = RowResult<T>> + Send {
        std::future::ready(work(&mut self.lock().rows))
    }

    fn signals(&self) -> watch::Receiver<Signal> {
        self.signal.subscribe()
    }
}

impl MemoryRows {
    fn subject(&self, operation: OperationId) -> &str {
        self.operations.get(&operation).map_or("", |operation| &operation.info.subject)
    }
}

impl Rows for MemoryRows {
    fn insert_operation(&mut self, info: &OperationInfo, status: &OperationStatus) -> RowResult<()> {
        if let Some(key) = &info.idempotency_key {
            self.keys.insert(key.clone(), info.id);
        }
        self.operations.insert(info.id, OperationRecord { info: info.clone(), status: status.clone() });
        Ok(())
    }

    fn operation_info(&mut self, id: OperationId) -> RowResult<Option<OperationInfo>> {
        Ok(self.operations.get(&id).map(|operation| operation.info.clone()))
    }

    fn operation_status(&mut self, id: OperationId) -> RowResult<Option<OperationStatus>> {
        Ok(self.operations.get(&id).map(|operation| operation.status.clone()))
    }

    fn put_operation_status(&mut self, id: OperationId, status: &OperationStatus) -> RowResult<()> {
        if let Some(operation) = self.operations.get_mut(&id) {
            operation.status = status.clone();
        }
        Ok(())
    }

    fn operation_by_key(&mut self, key: &str) -> RowResult<Option<OperationId>> {
        Ok(self.keys.get(key).copied())
    }

    fn unfinished(&mut self, subject: &str) -> RowResult<Vec<OperationId>> {
        let open = self.operations.values().filter(|operation| !operation.status.state.is_finished());
        Ok(open.filter(|operation| operation.info.subject == subject).map(|operation| operation.info.id).collect())
    }

    fn list_operations(&mut self, query: &OperationQuery) -> RowResult<Vec<OperationRecord>> {
        let matching = self.operations.values().rev().filter(|operation| {
            query.before.is_none_or(|before| operation.info.id < before)
                && query.subject.as_ref().is_none_or(|subject| operation.info.subject == *subject)
                && (query.states.is_empty() || query.states.contains(&operation.status.state))
        });
        Ok(matching.take(query.limit).cloned().collect())
    }

    fn finished_before(&mut self, before: UnixMs, limit: usize) -> RowResult<Vec<OperationId>> {
        let mut finished: Vec<(UnixMs, OperationId)> = self
            .operations
            .values()
            .filter_map(|operation| Some((operation.status.finished_at?, operation.info.id)))
            .filter(|(at, _)| *at < before)
            .collect();
        finished.sort();
        Ok(finished.into_iter().take(limit).map(|(_, id)| id).collect())
    }

    fn delete_operation(&mut self, id: OperationId) -> RowResult<()> {
        if let Some(key) = self.operations.remove(&id).and_then(|operation| operation.info.idempotency_key) {
            self.keys.remove(&key);
        }
        for job in self.order.remove(&id).unwrap_or_default() {
            self.jobs.remove(&job);
            self.steps.remove(&job);
            self.followers.remove(&job);
        }
        self.events.retain(|_, event| event.operation != id);
        Ok(())
    }

    fn insert_job(&mut self, operation: OperationId, seq: u32, spec: &JobSpec, status: &JobStatus) -> RowResult<()> {
        for before in spec.after.iter().collect::<BTreeSet<_>>() {
            self.followers.entry(*before).or_default().push(spec.id);
        }
        self.order.entry(operation).or_default().push(spec.id);
        let record = JobRecord { operation, seq, spec: spec.clone(), status: status.clone() };
        self.jobs.insert(spec.id, record);
        Ok(())
    }

    fn job(&mut self, id: JobId) -> RowResult<Option<JobRecord>> {
        Ok(self.jobs.get(&id).cloned())
    }

    fn job_status(&mut self, id: JobId) -> RowResult<Option<(OperationId, JobStatus)>> {
        Ok(self.jobs.get(&id).map(|job| (job.operation, job.status.clone())))
    }

    fn job_slot(&mut self, id: JobId) -> RowResult<Option<JobSlot>> {
        Ok(self.jobs.get(&id).map(|job| job.slot(self.subject(job.operation))))
    }

    fn put_job_status(&mut self, id: JobId, status: &JobStatus) -> RowResult<()> {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.status = status.clone();
        }
        Ok(())
    }

    fn open_jobs_of(&mut self, operation: OperationId) -> RowResult<Vec<JobId>> {
        let jobs = self.order.get(&operation).into_iter().flatten();
        let open = |state: JobState| !state.is_finished() || state == JobState::Stuck;
        Ok(jobs.filter(|id| self.jobs.get(id).is_some_and(|job| open(job.status.state))).copied().collect())
    }

    fn followers(&mut self, id: JobId) -> RowResult<Vec<JobId>> {
        Ok(self.followers.get(&id).cloned().unwrap_or_default())
    }

    fn list_jobs(&mut self, operation: OperationId, from: u32, limit: usize) -> RowResult<Vec<JobRecord>> {
        let jobs = self.order.get(&operation).into_iter().flatten();
        Ok(jobs.skip(from as usize).take(limit).filter_map(|id| self.jobs.get(id).cloned()).collect())
    }

    fn unfinished_jobs(&mut self) -> RowResult<Vec<(JobSlot, JobStatus)>> {
        let mut jobs: Vec<&JobRecord> = self.jobs.values().filter(|job| !job.status.state.is_finished()).collect();
        jobs.sort_by_key(|job| (job.operation, job.seq));
        Ok(jobs.into_iter().map(|job| (job.slot(self.subject(job.operation)), job.status.clone())).collect())
    }

    fn parked_jobs(&mut self) -> RowResult<Vec<(JobId, String, u32)>> {
        let parked = self.jobs.values().filter(|job| job.status.state == JobState::Parked);
        let mut parked: Vec<_> =
            parked.map(|job| (job.spec.id, job.spec.payload.kind.clone(), job.spec.payload.version)).collect();
        parked.sort();
        Ok(parked)
    }

    fn step(&mut self, job: JobId, name: &str, direction: Direction) -> RowResult<Option<StepRecord>> {
        let steps = self.steps.get(&job);
        let found =
            steps.and_then(|steps| steps.values().find(|step| step.name == name && step.direction == direction));
        Ok(found.cloned())
    }

    fn put_step(&mut self, step: &StepRecord) -> RowResult<()> {
        let steps = self.steps.entry(step.job).or_default();
        steps.retain(|_, old| old.name != step.name || old.direction != step.direction);
        steps.insert((step.direction, step.position, step.name.clone()), step.clone());
        Ok(())
    }

    fn steps_of(&mut self, job: JobId) -> RowResult<Vec<StepRecord>> {
        Ok(self.steps.get(&job).map(|steps| steps.values().cloned().collect()).unwrap_or_default())
    }

    fn append_event(&mut self, event: &Event) -> RowResult<u64> {
        self.last_event += 1;
        let seq = self.last_event;
        self.events.insert(seq, Event { seq, ..event.clone() });
        Ok(seq)
    }

    fn list_events(&mut self, query: &EventQuery) -> RowResult<Vec<Event>> {
        let later = self.events.range(query.after.saturating_add(1)..).map(|(_, event)| event);
        let matching = later.filter(|event| query.operation.is_none_or(|id| event.operation == id));
        Ok(matching.take(query.limit).cloned().collect())
    }

    fn owner(&mut self, id: OwnerId) -> RowResult<Option<OwnerRecord>> {
        Ok(self.owners.get(&id).cloned())
    }

    fn owners(&mut self) -> RowResult<Vec<OwnerRecord>> {
        Ok(self.owners.values().cloned().collect())
    }

    fn put_owner(&mut self, owner: &OwnerRecord) -> RowResult<()> {
        self.owners.insert(owner.id, owner.clone());
        Ok(())
    }

    fn remove_owner(&mut self, id: OwnerId) -> RowResult<()> {
        self.owners.remove(&id);
        Ok(())
    }

    fn schedule(&mut self, name: &ScheduleName) -> RowResult<Option<ScheduleRecord>> {
        Ok(self.schedules.get(name).cloned())
    }

    fn schedules(&mut self) -> RowResult<Vec<ScheduleRecord>> {
        Ok(self.schedules.values().cloned().collect())
    }

    fn schedule_count(&mut self) -> RowResult<usize> {
        Ok(self.schedules.len())
    }

    fn next_schedule(&mut self) -> RowResult<Option<UnixMs>> {
        Ok(self.schedules.values().filter(|schedule| !schedule.paused).filter_map(|schedule| schedule.next_at).min())
    }

    fn put_schedule(&mut self, schedule: &ScheduleRecord) -> RowResult<()> {
        self.schedules.insert(schedule.spec.name.clone(), schedule.clone());
        Ok(())
    }

    fn remove_schedule(&mut self, name: &ScheduleName) -> RowResult<()> {
        self.schedules.remove(name);
        Ok(())
    }

    fn last_event_of(&mut self, operation: OperationId) -> RowResult<Option<u64>> {
        Ok(self.events.values().rev().find(|event| event.operation == operation).map(|event| event.seq))
    }

    fn meta(&mut self, key: &str) -> RowResult<Option<String>> {
        Ok(self.meta.get(key).cloned())
    }

    fn put_meta(&mut self, key: &str, value: &str) -> RowResult<()> {
        self.meta.insert(key.to_owned(), value.to_owned());
        Ok(())
    }
}
