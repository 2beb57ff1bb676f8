//! The rows of the journal in SQLite.
pub(super) mod convert;
pub(super) mod job;
pub(super) mod operation;
mod schedule;
pub(super) mod step;

use rl_engine::{
    Direction, Event, EventQuery, JobId, JobRecord, JobSlot, JobSpec, JobStatus, JournalError, OperationId,
    OperationInfo, OperationQuery, OperationRecord, OperationStatus, OwnerId, OwnerRecord, RowResult, Rows,
    ScheduleName, ScheduleRecord, StepRecord, UnixMs,
};
use rusqlite::{Connection, Params, Row};

use crate::error::{Doing, StoreError};

/// Row access over one connection, inside whatever transaction it is in.
pub(crate) struct SqlRows<'a> {
    connection: &'a Connection,
}

impl<'a> SqlRows<'a> {
    pub(crate) fn new(connection: &'a Connection) -> Self {
        Self { connection }
    }

    pub(crate) fn last_event(&mut self) -> RowResult<u64> {
        // The database remembers the highest number given out, even when that event is deleted.
        let sql = "select max(ifnull((select max(seq) from event), 0),
                     ifnull((select seq from sqlite_sequence where name = 'event'), 0))";
        let last: Option<i64> = self.first(sql, (), "reading the last event", |row| row.get(0))?;
        Ok(last.map_or(0, i64::unsigned_abs))
    }

    /// When the newest operation or job was made, in Unix milliseconds; unknown (the end of time) when an id cannot be read.
    pub(crate) fn newest_ms(&self) -> RowResult<u64> {
        let doing = "looking for the newest operation";
        let text = |row: &Row<'_>| row.get::<_, Option<String>>(0);
        let operation = self.first("select max(id) from operation", (), doing, text)?.flatten();
        let job = self.first("select max(id) from job", (), doing, text)?.flatten();
        let operation = operation.map_or(0, |id| id.parse().map_or(u64::MAX, OperationId::made_at_ms));
        Ok(operation.max(job.map_or(0, |id| id.parse().map_or(u64::MAX, JobId::made_at_ms))))
    }

    /// Changes rows; answers how many.
    fn execute(&self, sql: &str, params: impl Params, doing: &'static str) -> RowResult<usize> {
        let mut statement = self.connection.prepare_cached(sql).doing(doing)?;
        Ok(statement.execute(params).doing(doing)?)
    }

    /// The first row, if there is one.
    fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        doing: &'static str,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> RowResult<Option<T>> {
        let mut rows = self.all(sql, params, doing, read)?;
        Ok(if rows.is_empty() { None } else { Some(rows.swap_remove(0)) })
    }

    /// All rows. A row that does not read as it should is reported as such, with its bytes left alone.
    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        doing: &'static str,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> RowResult<Vec<T>> {
        let mut statement = self.connection.prepare_cached(sql).doing(doing)?;
        let rows = statement.query_map(params, read).doing(doing)?;
        rows.collect::<rusqlite::Result<Vec<T>>>().map_err(|error| undecodable_or(error, doing))
    }
}

fn undecodable_or(error: rusqlite::Error, doing: &'static str) -> JournalError {
    match error {
        rusqlite::Error::FromSqlConversionFailure(..) => {
            JournalError::Undecodable { what: format!("row ({doing})"), source: Box::new(error) }
        }
        source => JournalError::from(StoreError::Sqlite { doing, source }),
    }
}

impl Rows for SqlRows<'_> {
    fn insert_operation(&mut self, info: &OperationInfo, status: &OperationStatus) -> RowResult<()> {
        operation::insert(self, info, status)
    }
    fn operation_info(&mut self, id: OperationId) -> RowResult<Option<OperationInfo>> {
        operation::info(self, id)
    }
    fn operation_status(&mut self, id: OperationId) -> RowResult<Option<OperationStatus>> {
        operation::status(self, id)
    }
    fn put_operation_status(&mut self, id: OperationId, status: &OperationStatus) -> RowResult<()> {
        operation::put_status(self, id, status)
    }
    fn operation_by_key(&mut self, key: &str) -> RowResult<Option<OperationId>> {
        operation::by_key(self, key)
    }
    fn unfinished(&mut self, subject: &str) -> RowResult<Vec<OperationId>> {
        operation::unfinished(self, subject)
    }
    fn list_operations(&mut self, query: &OperationQuery) -> RowResult<Vec<OperationRecord>> {
        operation::list(self, query)
    }
    fn finished_before(&mut self, before: UnixMs, limit: usize) -> RowResult<Vec<OperationId>> {
        operation::finished_before(self, before, limit)
    }
    fn delete_operation(&mut self, id: OperationId) -> RowResult<()> {
        operation::delete(self, id)
    }
    fn insert_job(&mut self, operation: OperationId, seq: u32, spec: &JobSpec, status: &JobStatus) -> RowResult<()> {
        job::insert(self, operation, seq, spec, status)
    }
    fn job(&mut self, id: JobId) -> RowResult<Option<JobRecord>> {
        job::whole(self, id)
    }
    fn job_status(&mut self, id: JobId) -> RowResult<Option<(OperationId, JobStatus)>> {
        job::status(self, id)
    }
    fn job_slot(&mut self, id: JobId) -> RowResult<Option<JobSlot>> {
        job::slot(self, id)
    }
    fn put_job_status(&mut self, id: JobId, status: &JobStatus) -> RowResult<()> {
        job::put_status(self, id, status)
    }
    fn open_jobs_of(&mut self, operation: OperationId) -> RowResult<Vec<JobId>> {
        job::open_of(self, operation)
    }
    fn followers(&mut self, id: JobId) -> RowResult<Vec<JobId>> {
        job::followers(self, id)
    }
    fn list_jobs(&mut self, operation: OperationId, from: u32, limit: usize) -> RowResult<Vec<JobRecord>> {
        job::list(self, operation, from, limit)
    }
    fn unfinished_jobs(&mut self) -> RowResult<Vec<(JobSlot, JobStatus)>> {
        job::unfinished(self)
    }
    fn parked_jobs(&mut self) -> RowResult<Vec<(JobId, String, u32)>> {
        job::parked(self)
    }
    fn step(&mut self, job: JobId, name: &str, direction: Direction) -> RowResult<Option<StepRecord>> {
        step::one(self, job, name, direction)
    }
    fn put_step(&mut self, step: &StepRecord) -> RowResult<()> {
        step::put(self, step)
    }
    fn steps_of(&mut self, job: JobId) -> RowResult<Vec<StepRecord>> {
        step::of_job(self, job)
    }
    fn append_event(&mut self, event: &Event) -> RowResult<u64> {
        step::append_event(self, event)
    }
    fn list_events(&mut self, query: &EventQuery) -> RowResult<Vec<Event>> {
        step::list_events(self, query)
    }
    fn owner(&mut self, id: OwnerId) -> RowResult<Option<OwnerRecord>> {
        step::owner(self, id)
    }
    fn owners(&mut self) -> RowResult<Vec<OwnerRecord>> {
        step::owners(self)
    }
    fn put_owner(&mut self, owner: &OwnerRecord) -> RowResult<()> {
        step::put_owner(self, owner)
    }
    fn remove_owner(&mut self, id: OwnerId) -> RowResult<()> {
        step::remove_owner(self, id)
    }
    fn schedule(&mut self, name: &ScheduleName) -> RowResult<Option<ScheduleRecord>> {
        schedule::one(self, name)
    }
    fn schedules(&mut self) -> RowResult<Vec<ScheduleRecord>> {
        schedule::all(self)
    }
    fn next_schedule(&mut self) -> RowResult<Option<UnixMs>> {
        schedule::next(self)
    }
    fn put_schedule(&mut self, record: &ScheduleRecord) -> RowResult<()> {
        schedule::put(self, record)
    }
    fn remove_schedule(&mut self, name: &ScheduleName) -> RowResult<()> {
        schedule::remove(self, name)
    }
    fn last_event_of(&mut self, operation: OperationId) -> RowResult<Option<u64>> {
        step::last_event_of(self, operation)
    }
    fn meta(&mut self, key: &str) -> RowResult<Option<String>> {
        schedule::meta(self, key)
    }
    fn put_meta(&mut self, key: &str, value: &str) -> RowResult<()> {
        schedule::put_meta(self, key, value)
    }
}
