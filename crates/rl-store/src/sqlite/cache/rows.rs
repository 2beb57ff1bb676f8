//! The rows of the journal as the writer remembers them.
use std::collections::BTreeSet;

use rl_engine::{
    Direction, Event, EventQuery, JobId, JobRecord, JobSlot, JobSpec, JobStatus, OperationId, OperationInfo,
    OperationQuery, OperationRecord, OperationStatus, OwnerId, OwnerRecord, RowResult, Rows, ScheduleName,
    ScheduleRecord, StepRecord, UnixMs,
};
use rusqlite::Connection;

use super::undo::Undo;
use super::{Cache, Job, JobInsert, Operation, Step};
use crate::sqlite::rows::SqlRows;
use crate::sqlite::rows::convert::to_json;

/// Row access of the writer inside its transaction.
pub(in crate::sqlite) struct CachedRows<'a> {
    connection: &'a Connection,
    cache: &'a mut Cache,
}

impl<'a> CachedRows<'a> {
    pub(in crate::sqlite) fn new(connection: &'a Connection, cache: &'a mut Cache) -> Self {
        Self { connection, cache }
    }

    /// Statements that read what writes so far have left.
    fn reading(&mut self) -> RowResult<SqlRows<'a>> {
        self.cache.settle(self.connection, false)?;
        Ok(SqlRows::new(self.connection))
    }

    /// Statements that change what has no place in memory.
    fn changing(&mut self) -> RowResult<SqlRows<'a>> {
        self.cache.settle(self.connection, true)?;
        Ok(SqlRows::new(self.connection))
    }

    fn job_with_steps(&mut self, id: JobId) -> RowResult<Option<&mut Job>> {
        let connection = self.connection;
        let Some(job) = self.cache.job(connection, id)? else { return Ok(None) };
        if job.steps.is_none() {
            let steps = SqlRows::new(connection).steps_of(id)?;
            job.steps = Some(steps.into_iter().map(|record| Step { record, changed: false }).collect());
        }
        Ok(Some(job))
    }

    fn remember_owners(&mut self) {
        let owners = self.cache.owners.clone();
        self.cache.undo.push(Undo::Owners(owners));
        self.cache.owners_changed = true;
    }
}

impl Rows for CachedRows<'_> {
    fn insert_operation(&mut self, info: &OperationInfo, status: &OperationStatus) -> RowResult<()> {
        let cache = &mut *self.cache;
        let insert = Some(to_json("operation", info)?);
        let operation = Operation { status: status.clone(), info: Some(info.clone()), insert, changed: true };
        let old = cache.operations.insert(info.id, operation);
        cache.undo.push(Undo::Operation(info.id, old.map(Box::new)));
        cache.changed.operations.push(info.id);
        cache.changed.subjects.entry(info.subject.clone()).or_default().push(info.id);
        if let Some(key) = &info.idempotency_key {
            cache.changed.keys.insert(key.clone(), info.id);
        }
        Ok(())
    }

    fn operation_info(&mut self, id: OperationId) -> RowResult<Option<OperationInfo>> {
        let connection = self.connection;
        let Some(operation) = self.cache.operation(connection, id)? else { return Ok(None) };
        if operation.info.is_none() {
            operation.info = SqlRows::new(connection).operation_info(id)?;
        }
        Ok(operation.info.clone())
    }

    fn known_operation_info(&self, id: OperationId) -> Option<OperationInfo> {
        self.cache.operations.get(&id)?.info.clone()
    }

    fn operation_status(&mut self, id: OperationId) -> RowResult<Option<OperationStatus>> {
        Ok(self.cache.operation(self.connection, id)?.map(|operation| operation.status.clone()))
    }

    fn put_operation_status(&mut self, id: OperationId, status: &OperationStatus) -> RowResult<()> {
        let Some(operation) = self.cache.operation(self.connection, id)? else { return Ok(()) };
        if operation.status == *status {
            return Ok(());
        }
        let old = std::mem::replace(&mut operation.status, status.clone());
        self.cache.changed.reopened |= old.finished_at.is_some() && status.finished_at.is_none();
        self.cache.undo.push(Undo::OperationStatus(id, Box::new(old)));
        self.cache.touch_operation(id);
        Ok(())
    }

    fn operation_by_key(&mut self, key: &str) -> RowResult<Option<OperationId>> {
        let cache = &*self.cache;
        let early = cache.changed.keys.get(key).copied().filter(|id| {
            let info = cache.operations.get(id).and_then(|operation| operation.info.as_ref());
            info.is_some_and(|info| info.idempotency_key.as_deref() == Some(key))
        });
        match early {
            Some(id) => Ok(Some(id)),
            None => SqlRows::new(self.connection).operation_by_key(key),
        }
    }

    fn unfinished(&mut self, subject: &str) -> RowResult<Vec<OperationId>> {
        if self.cache.changed.reopened {
            self.reading()?;
        }
        let mut all: BTreeSet<OperationId> = SqlRows::new(self.connection).unfinished(subject)?.into_iter().collect();
        all.extend(self.cache.changed.subjects.get(subject).into_iter().flatten());
        let cache = &*self.cache;
        // One that is not remembered is as stored; one that was to be inserted and is not remembered was taken back.
        let early = cache.changed.subjects.get(subject);
        all.retain(|id| match cache.operations.get(id) {
            Some(operation) => operation.status.finished_at.is_none(),
            None => early.is_none_or(|early| !early.contains(id)),
        });
        Ok(all.into_iter().collect())
    }

    fn list_operations(&mut self, query: &OperationQuery) -> RowResult<Vec<OperationRecord>> {
        self.reading()?.list_operations(query)
    }

    fn finished_before(&mut self, before: UnixMs, limit: usize) -> RowResult<Vec<OperationId>> {
        self.reading()?.finished_before(before, limit)
    }

    fn delete_operation(&mut self, id: OperationId) -> RowResult<()> {
        let mut rows = self.changing()?;
        rows.delete_operation(id)?;
        self.cache.operations.remove(&id);
        self.cache.jobs.retain(|_, job| job.operation != id);
        self.cache.complete_after_ms = u64::MAX;
        Ok(())
    }

    fn insert_job(&mut self, operation: OperationId, seq: u32, spec: &JobSpec, status: &JobStatus) -> RowResult<()> {
        let insert = JobInsert {
            seq,
            priority: spec.priority,
            kind: spec.payload.kind.clone(),
            version: spec.payload.version,
            locks: to_json("job", &spec.locks)?,
            spec: to_json("job", spec)?,
            site: spec.site.clone(),
            node: spec.node.clone(),
            after: spec.after.iter().copied().collect(),
        };
        let info = self.cache.operations.get(&operation).and_then(|operation| operation.info.as_ref());
        let subject = info.map_or_else(String::new, |info| info.subject.clone());
        let cache = &mut *self.cache;
        for before in &insert.after {
            match cache.jobs.get_mut(before) {
                Some(Job { followers: Some(followers), .. }) => followers.push(spec.id),
                _ => cache.changed.early.entry(*before).or_default().push(spec.id),
            }
        }
        let job = Job {
            operation,
            status: status.clone(),
            spec: Some(Box::new((seq, spec.clone()))),
            slot: Some(JobSlot::of(spec, operation, seq, &subject)),
            steps: Some(Vec::new()),
            followers: Some(cache.changed.early.remove(&spec.id).unwrap_or_default()),
            insert: Some(Box::new(insert)),
            changed: true,
        };
        let old = cache.jobs.insert(spec.id, job);
        cache.undo.push(Undo::Job(spec.id, old.map(Box::new)));
        cache.changed.jobs.push(spec.id);
        Ok(())
    }

    fn job(&mut self, id: JobId) -> RowResult<Option<JobRecord>> {
        let connection = self.connection;
        let Some(job) = self.cache.job(connection, id)? else { return Ok(None) };
        let (seq, spec) = match job.spec.take() {
            Some(spec) if job.insert.is_some() => {
                let again = (*spec).clone();
                job.spec = Some(spec);
                again
            }
            Some(spec) => *spec,
            None => match SqlRows::new(connection).job(id)? {
                Some(stored) => (stored.seq, stored.spec),
                None => return Ok(None),
            },
        };
        Ok(Some(JobRecord { operation: job.operation, seq, spec, status: job.status.clone() }))
    }

    fn job_status(&mut self, id: JobId) -> RowResult<Option<(OperationId, JobStatus)>> {
        Ok(self.cache.job(self.connection, id)?.map(|job| (job.operation, job.status.clone())))
    }

    fn job_slot(&mut self, id: JobId) -> RowResult<Option<JobSlot>> {
        let connection = self.connection;
        let Some(job) = self.cache.job(connection, id)? else { return Ok(None) };
        if job.slot.is_none() {
            job.slot = SqlRows::new(connection).job_slot(id)?;
        }
        Ok(job.slot.clone())
    }

    fn put_job_status(&mut self, id: JobId, status: &JobStatus) -> RowResult<()> {
        let Some(job) = self.cache.job(self.connection, id)? else { return Ok(()) };
        let old = std::mem::replace(&mut job.status, status.clone());
        self.cache.undo.push(Undo::Status(id, Box::new(old)));
        self.cache.touch_job(id);
        Ok(())
    }

    fn open_jobs_of(&mut self, operation: OperationId) -> RowResult<Vec<JobId>> {
        self.reading()?.open_jobs_of(operation)
    }

    fn followers(&mut self, id: JobId) -> RowResult<Vec<JobId>> {
        if let Some(Job { followers: Some(followers), .. }) = self.cache.jobs.get(&id) {
            let mut followers = followers.clone();
            followers.sort_unstable();
            return Ok(followers);
        }
        SqlRows::new(self.connection).followers(id)
    }

    fn list_jobs(&mut self, operation: OperationId, from: u32, limit: usize) -> RowResult<Vec<JobRecord>> {
        self.reading()?.list_jobs(operation, from, limit)
    }

    fn unfinished_jobs(&mut self) -> RowResult<Vec<(JobSlot, JobStatus)>> {
        self.reading()?.unfinished_jobs()
    }

    fn parked_jobs(&mut self) -> RowResult<Vec<(JobId, String, u32)>> {
        self.reading()?.parked_jobs()
    }

    fn step(&mut self, job: JobId, name: &str, direction: Direction) -> RowResult<Option<StepRecord>> {
        let Some(job) = self.job_with_steps(job)? else { return Ok(None) };
        let found = job.steps.iter().flatten().map(|step| &step.record);
        Ok(found.into_iter().find(|step| step.direction == direction && step.name == name).cloned())
    }

    fn put_step(&mut self, step: &StepRecord) -> RowResult<()> {
        let Some(job) = self.job_with_steps(step.job)? else { return Ok(()) };
        let old = job.exchange(&step.name, step.direction, Some(step.clone()));
        self.cache.undo.push(Undo::Step(step.job, step.name.clone(), step.direction, old.map(Box::new)));
        self.cache.touch_job(step.job);
        Ok(())
    }

    fn steps_of(&mut self, job: JobId) -> RowResult<Vec<StepRecord>> {
        let Some(job) = self.job_with_steps(job)? else { return Ok(Vec::new()) };
        let mut steps: Vec<StepRecord> = job.steps.iter().flatten().map(|step| step.record.clone()).collect();
        steps.sort_by(|a, b| {
            (a.direction.as_str(), a.position, &a.name).cmp(&(b.direction.as_str(), b.position, &b.name))
        });
        Ok(steps)
    }

    fn append_event(&mut self, event: &Event) -> RowResult<u64> {
        let seq = self.cache.next_event;
        self.cache.next_event += 1;
        self.cache.events.push((seq, event.clone()));
        Ok(seq)
    }

    fn list_events(&mut self, query: &EventQuery) -> RowResult<Vec<Event>> {
        self.reading()?.list_events(query)
    }

    fn last_event_of(&mut self, operation: OperationId) -> RowResult<Option<u64>> {
        self.reading()?.last_event_of(operation)
    }

    fn owner(&mut self, id: OwnerId) -> RowResult<Option<OwnerRecord>> {
        Ok(self.cache.owners.get(&id).cloned())
    }

    fn owners(&mut self) -> RowResult<Vec<OwnerRecord>> {
        Ok(self.cache.owners.values().cloned().collect())
    }

    fn put_owner(&mut self, owner: &OwnerRecord) -> RowResult<()> {
        self.remember_owners();
        self.cache.owners.insert(owner.id, owner.clone());
        Ok(())
    }

    fn remove_owner(&mut self, id: OwnerId) -> RowResult<()> {
        self.remember_owners();
        self.cache.owners.remove(&id);
        Ok(())
    }

    fn schedule(&mut self, name: &ScheduleName) -> RowResult<Option<ScheduleRecord>> {
        SqlRows::new(self.connection).schedule(name)
    }

    fn schedules(&mut self) -> RowResult<Vec<ScheduleRecord>> {
        SqlRows::new(self.connection).schedules()
    }

    fn next_schedule(&mut self) -> RowResult<Option<UnixMs>> {
        SqlRows::new(self.connection).next_schedule()
    }

    fn put_schedule(&mut self, schedule: &ScheduleRecord) -> RowResult<()> {
        self.changing()?.put_schedule(schedule)
    }

    fn remove_schedule(&mut self, name: &ScheduleName) -> RowResult<()> {
        self.changing()?.remove_schedule(name)
    }

    fn meta(&mut self, key: &str) -> RowResult<Option<String>> {
        SqlRows::new(self.connection).meta(key)
    }

    fn put_meta(&mut self, key: &str, value: &str) -> RowResult<()> {
        self.changing()?.put_meta(key, value)
    }
}
