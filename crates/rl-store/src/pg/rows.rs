//! The rows of the journal as the writer sees them, which has most of them at hand.
use std::cell::RefCell;

use rl_engine::{
    Direction, Event, EventQuery, JobId, JobRecord, JobSlot, JobSpec, JobStatus, OperationId, OperationInfo,
    OperationQuery, OperationRecord, OperationStatus, OwnerId, OwnerRecord, RowResult, Rows, ScheduleName,
    ScheduleRecord, StepRecord, UnixMs,
};

use super::cache::JobEntry;
use super::table;
use super::txn::{Core, params};
use crate::error::StoreError;
use crate::sql::{Sql, SqlRow, Value, dollars, values};

/// What a job's rows are deleted by, when its operation is old.
const DELETE_OPERATION: [&str; 7] = [
    "delete from step where job in (select id from job_spec where operation = $1)",
    "delete from job_after where before in (select id from job_spec where operation = $1)",
    "delete from job where id in (select id from job_spec where operation = $1)",
    "delete from job_spec where operation = $1",
    "delete from event where operation = $1",
    "delete from operation_info where id = $1",
    "delete from operation where id = $1",
];

/// The writer's rows, inside its transaction.
pub(super) struct WriterRows<'a>(pub(super) &'a RefCell<Core>);

/// The common SQL, inside the writer's transaction.
pub(super) struct WriterSql<'a>(pub(super) &'a RefCell<Core>);

impl WriterRows<'_> {
    fn core(&mut self) -> std::cell::RefMut<'_, Core> {
        self.0.borrow_mut()
    }

    fn entry<T>(&mut self, id: JobId, read: impl FnOnce(&JobEntry) -> T) -> RowResult<Option<T>> {
        let mut core = self.core();
        core.load_jobs(&[id])?;
        Ok(core.cache.jobs.get(&id).map(read))
    }
}

impl Rows for WriterRows<'_> {
    fn prefetch(&mut self, jobs: &[JobId]) -> RowResult<()> {
        self.core().load_jobs(jobs)
    }

    fn insert_operation(&mut self, info: &OperationInfo, status: &OperationStatus) -> RowResult<()> {
        self.core().cache.insert_operation(info, status);
        Ok(())
    }

    fn operation_info(&mut self, id: OperationId) -> RowResult<Option<OperationInfo>> {
        let mut core = self.core();
        if let Some(info) = core.cache.operations.get(&id).and_then(|entry| entry.info.clone()) {
            return Ok(Some(OperationInfo::clone(&info)));
        }
        core.call(|conn| table::operation_info(conn, id))
    }

    fn operation_status(&mut self, id: OperationId) -> RowResult<Option<OperationStatus>> {
        let mut core = self.core();
        core.load_operations(&[id])?;
        Ok(core.cache.operations.get(&id).map(|entry| entry.status.clone()))
    }

    fn put_operation_status(&mut self, id: OperationId, status: &OperationStatus) -> RowResult<()> {
        let mut core = self.core();
        core.load_operations(&[id])?;
        core.cache.put_operation(id, status);
        Ok(())
    }

    fn operation_by_key(&mut self, key: &str) -> RowResult<Option<OperationId>> {
        let mut core = self.core();
        core.load_keys(&[key.to_owned()])?;
        Ok(core.cache.keys.get(key).copied().flatten())
    }

    fn unfinished(&mut self, subject: &str) -> RowResult<Vec<OperationId>> {
        self.core().look(|conn| table::unfinished(conn, subject))
    }

    fn list_operations(&mut self, query: &OperationQuery) -> RowResult<Vec<OperationRecord>> {
        self.core().look(|conn| table::list_operations(conn, query))
    }

    fn finished_before(&mut self, before: UnixMs, limit: usize) -> RowResult<Vec<OperationId>> {
        self.core().look(|conn| table::finished_before(conn, before, limit))
    }

    fn delete_operation(&mut self, id: OperationId) -> RowResult<()> {
        let mut core = self.core();
        for sql in DELETE_OPERATION {
            core.change(sql, &[id.to_string().into()], "deleting an old operation")?;
        }
        core.cache.drop_operation(id);
        Ok(())
    }

    fn insert_job(&mut self, operation: OperationId, seq: u32, spec: &JobSpec, status: &JobStatus) -> RowResult<()> {
        let mut core = self.core();
        let info = core.cache.operations.get(&operation).and_then(|entry| entry.info.clone());
        let subject = match info {
            Some(info) => info.subject.clone(),
            None => core.look(|conn| table::operation(conn, operation))?.map(|found| found.0).unwrap_or_default(),
        };
        core.cache.insert_job(JobSlot::of(spec, operation, seq, &subject), spec, status);
        Ok(())
    }

    fn job(&mut self, id: JobId) -> RowResult<Option<JobRecord>> {
        let found = self.entry(id, |entry| {
            let spec = entry.spec.as_ref()?;
            Some(JobRecord {
                operation: entry.slot.operation,
                seq: entry.slot.seq,
                spec: JobSpec::clone(spec),
                status: entry.status.clone(),
            })
        })?;
        match found {
            None => Ok(None),
            Some(Some(record)) => Ok(Some(record)),
            // Its payload cannot be read: the database is asked, so that the answer says why.
            Some(None) => self.core().look(|conn| table::job(conn, id)),
        }
    }

    fn job_status(&mut self, id: JobId) -> RowResult<Option<(OperationId, JobStatus)>> {
        self.entry(id, |entry| (entry.slot.operation, entry.status.clone()))
    }

    fn job_slot(&mut self, id: JobId) -> RowResult<Option<JobSlot>> {
        self.entry(id, |entry| JobSlot::clone(&entry.slot))
    }

    fn put_job_status(&mut self, id: JobId, status: &JobStatus) -> RowResult<()> {
        let mut core = self.core();
        core.load_jobs(&[id])?;
        core.cache.put_status(id, status);
        Ok(())
    }

    fn open_jobs_of(&mut self, operation: OperationId) -> RowResult<Vec<JobId>> {
        let mut core = self.core();
        let open = core.look(|conn| table::open_of(conn, operation))?;
        core.load_jobs(&open)?;
        Ok(open)
    }

    fn followers(&mut self, id: JobId) -> RowResult<Vec<JobId>> {
        let followers = self.entry(id, |entry| entry.followers.clone())?.unwrap_or_default();
        self.core().load_jobs(&followers)?;
        Ok(followers)
    }

    fn list_jobs(&mut self, operation: OperationId, from: u32, limit: usize) -> RowResult<Vec<JobRecord>> {
        self.core().look(|conn| table::list_jobs(conn, operation, from, limit))
    }

    fn unfinished_jobs(&mut self) -> RowResult<Vec<(JobSlot, JobStatus)>> {
        self.core().look(|conn| table::unfinished_jobs(conn, None, usize::MAX))
    }

    fn parked_jobs(&mut self) -> RowResult<Vec<(JobId, String, u32)>> {
        self.core().look(table::parked)
    }

    fn step(&mut self, job: JobId, name: &str, direction: Direction) -> RowResult<Option<StepRecord>> {
        let mut core = self.core();
        core.load_jobs(&[job])?;
        match core.cache.one_step(job, name, direction) {
            Some(step) => Ok(step),
            None => core.look(|conn| table::one_step(conn, job, name, direction)),
        }
    }

    fn put_step(&mut self, step: &StepRecord) -> RowResult<()> {
        let mut core = self.core();
        core.load_jobs(&[step.job])?;
        if core.cache.put_step(step) {
            return Ok(());
        }
        // One of the job's other steps cannot be read, so that its steps are not at hand.
        super::flush::put_step(&mut core, step)
    }

    fn steps_of(&mut self, job: JobId) -> RowResult<Vec<StepRecord>> {
        let steps = self.entry(job, |entry| {
            let steps = entry.steps.as_ref()?;
            let mut steps: Vec<StepRecord> = steps.iter().map(|known| StepRecord::clone(&known.step)).collect();
            steps.sort_by(|a, b| (a.direction, a.position, &a.name).cmp(&(b.direction, b.position, &b.name)));
            Some(steps)
        })?;
        match steps {
            None => Ok(Vec::new()),
            Some(Some(steps)) => Ok(steps),
            Some(None) => self.core().look(|conn| table::steps_of(conn, job)),
        }
    }

    fn append_event(&mut self, event: &Event) -> RowResult<u64> {
        Ok(self.core().cache.append_event(event))
    }

    fn list_events(&mut self, query: &EventQuery) -> RowResult<Vec<Event>> {
        self.core().look(|conn| table::list_events(conn, query))
    }

    fn owner(&mut self, id: OwnerId) -> RowResult<Option<OwnerRecord>> {
        let mut core = self.core();
        core.load_owners()?;
        Ok(core.cache.owners.as_ref().and_then(|owners| owners.get(&id)).cloned())
    }

    fn owners(&mut self) -> RowResult<Vec<OwnerRecord>> {
        let mut core = self.core();
        core.load_owners()?;
        Ok(core.cache.owners.iter().flat_map(|owners| owners.values()).cloned().collect())
    }

    fn put_owner(&mut self, owner: &OwnerRecord) -> RowResult<()> {
        let mut core = self.core();
        core.load_owners()?;
        if let Some(owners) = core.cache.owners_to_change(owner.id) {
            owners.insert(owner.id, owner.clone());
        }
        Ok(())
    }

    fn remove_owner(&mut self, id: OwnerId) -> RowResult<()> {
        let mut core = self.core();
        core.load_owners()?;
        if let Some(owners) = core.cache.owners_to_change(id) {
            owners.remove(&id);
        }
        Ok(())
    }

    fn schedule(&mut self, name: &ScheduleName) -> RowResult<Option<ScheduleRecord>> {
        self.core().look(|conn| table::schedule(conn, name))
    }

    fn schedules(&mut self) -> RowResult<Vec<ScheduleRecord>> {
        self.core().look(table::schedules)
    }

    fn next_schedule(&mut self) -> RowResult<Option<UnixMs>> {
        self.core().look(table::next_schedule)
    }

    fn put_schedule(&mut self, schedule: &ScheduleRecord) -> RowResult<()> {
        let sql = "insert into schedule (name, spec, next_at, paused, state) values ($1, $2, $3, $4, $5)
            on conflict (name) do update set spec = excluded.spec, next_at = excluded.next_at, paused = excluded.paused,
              state = excluded.state";
        let (spec, state) = (super::flush::text(&schedule.spec), super::flush::text(&schedule.state));
        let values = values![schedule.spec.name.as_str(), spec, schedule.next_at, schedule.paused, state];
        self.core().change(sql, values, "storing a schedule").map(drop)
    }

    fn remove_schedule(&mut self, name: &ScheduleName) -> RowResult<()> {
        let sql = "delete from schedule where name = $1";
        self.core().change(sql, values![name.as_str()], "removing a schedule").map(drop)
    }

    fn last_event_of(&mut self, operation: OperationId) -> RowResult<Option<u64>> {
        self.core().look(|conn| table::last_event_of(conn, operation))
    }

    fn meta(&mut self, key: &str) -> RowResult<Option<String>> {
        self.core().look(|conn| table::meta(conn, key))
    }

    fn put_meta(&mut self, key: &str, value: &str) -> RowResult<()> {
        let sql =
            "insert into meta (key, value) values ($1, $2) on conflict (key) do update set value = excluded.value";
        self.core().change(sql, values![key, value], "storing a setting of the store").map(drop)
    }
}

impl Sql for WriterSql<'_> {
    fn execute(&self, sql: &str, values: &[Value<'_>], doing: &'static str) -> Result<u64, StoreError> {
        Ok(self.0.borrow_mut().change(&dollars(sql), values, doing)?)
    }

    fn query(&self, sql: &str, values: &[Value<'_>], doing: &'static str) -> Result<Vec<SqlRow>, StoreError> {
        let sql = dollars(sql);
        Ok(self.0.borrow_mut().look(|conn| conn.query(&sql, &params(values), doing))?)
    }
}
