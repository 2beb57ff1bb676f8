//! The rows of the journal as a reader sees them.
use std::cell::RefCell;

use rl_engine::{
    Direction, Event, EventQuery, JobId, JobRecord, JobSlot, JobSpec, JobStatus, JournalError, OperationId,
    OperationInfo, OperationQuery, OperationRecord, OperationStatus, OwnerId, OwnerRecord, RowResult, Rows,
    ScheduleName, ScheduleRecord, StepRecord, UnixMs,
};

use super::conn::{Conn, read};
use super::error::PgError;
use super::table;
use super::txn::params;
use crate::error::StoreError;
use crate::sql::{Sql, SqlRow, Value, dollars};

/// A reader's connection, inside a transaction that only reads.
pub(super) struct ReaderRows<'a>(pub(super) &'a RefCell<Conn>);

impl ReaderRows<'_> {
    fn ask<T>(&mut self, read: impl FnOnce(&mut Conn) -> Result<T, PgError>) -> RowResult<T> {
        Ok(read(&mut self.0.borrow_mut())?)
    }
}

fn only_read<T>() -> RowResult<T> {
    Err(JournalError::Refused { reason: "this is a transaction that only reads".to_owned(), source: None })
}

impl Rows for ReaderRows<'_> {
    fn insert_operation(&mut self, _: &OperationInfo, _: &OperationStatus) -> RowResult<()> {
        only_read()
    }
    fn operation_info(&mut self, id: OperationId) -> RowResult<Option<OperationInfo>> {
        self.ask(|conn| table::operation_info(conn, id))
    }
    fn operation_status(&mut self, id: OperationId) -> RowResult<Option<OperationStatus>> {
        let found = self.ask(|conn| table::operations_of(conn, &[id.to_string()]))?;
        Ok(found.into_iter().next().map(|(_, status)| status))
    }
    fn put_operation_status(&mut self, _: OperationId, _: &OperationStatus) -> RowResult<()> {
        only_read()
    }
    fn operation_by_key(&mut self, key: &str) -> RowResult<Option<OperationId>> {
        self.ask(|conn| table::by_key(conn, key))
    }
    fn unfinished(&mut self, subject: &str) -> RowResult<Vec<OperationId>> {
        self.ask(|conn| table::unfinished(conn, subject))
    }
    fn list_operations(&mut self, query: &OperationQuery) -> RowResult<Vec<OperationRecord>> {
        self.ask(|conn| table::list_operations(conn, query))
    }
    fn finished_before(&mut self, before: UnixMs, limit: usize) -> RowResult<Vec<OperationId>> {
        self.ask(|conn| table::finished_before(conn, before, limit))
    }
    fn delete_operation(&mut self, _: OperationId) -> RowResult<()> {
        only_read()
    }
    fn insert_job(&mut self, _: OperationId, _: u32, _: &JobSpec, _: &JobStatus) -> RowResult<()> {
        only_read()
    }
    fn job(&mut self, id: JobId) -> RowResult<Option<JobRecord>> {
        self.ask(|conn| table::job(conn, id))
    }
    fn job_status(&mut self, id: JobId) -> RowResult<Option<(OperationId, JobStatus)>> {
        self.ask(|conn| table::status_of(conn, id))
    }
    fn job_slot(&mut self, id: JobId) -> RowResult<Option<JobSlot>> {
        self.ask(|conn| table::slot_of(conn, id))
    }
    fn put_job_status(&mut self, _: JobId, _: &JobStatus) -> RowResult<()> {
        only_read()
    }
    fn open_jobs_of(&mut self, operation: OperationId) -> RowResult<Vec<JobId>> {
        self.ask(|conn| table::open_of(conn, operation))
    }
    fn followers(&mut self, id: JobId) -> RowResult<Vec<JobId>> {
        self.ask(|conn| table::followers(conn, id))
    }
    fn list_jobs(&mut self, operation: OperationId, from: u32, limit: usize) -> RowResult<Vec<JobRecord>> {
        self.ask(|conn| table::list_jobs(conn, operation, from, limit))
    }
    fn unfinished_jobs(&mut self) -> RowResult<Vec<(JobSlot, JobStatus)>> {
        self.ask(|conn| table::unfinished_jobs(conn, None, usize::MAX))
    }
    fn parked_jobs(&mut self) -> RowResult<Vec<(JobId, String, u32)>> {
        self.ask(table::parked)
    }
    fn step(&mut self, job: JobId, name: &str, direction: Direction) -> RowResult<Option<StepRecord>> {
        self.ask(|conn| table::one_step(conn, job, name, direction))
    }
    fn put_step(&mut self, _: &StepRecord) -> RowResult<()> {
        only_read()
    }
    fn steps_of(&mut self, job: JobId) -> RowResult<Vec<StepRecord>> {
        self.ask(|conn| table::steps_of(conn, job))
    }
    fn append_event(&mut self, _: &Event) -> RowResult<u64> {
        only_read()
    }
    fn list_events(&mut self, query: &EventQuery) -> RowResult<Vec<Event>> {
        self.ask(|conn| table::list_events(conn, query))
    }
    fn owner(&mut self, id: OwnerId) -> RowResult<Option<OwnerRecord>> {
        Ok(self.owners()?.into_iter().find(|owner| owner.id == id))
    }
    fn owners(&mut self) -> RowResult<Vec<OwnerRecord>> {
        self.ask(table::owners)
    }
    fn put_owner(&mut self, _: &OwnerRecord) -> RowResult<()> {
        only_read()
    }
    fn remove_owner(&mut self, _: OwnerId) -> RowResult<()> {
        only_read()
    }

    fn schedule(&mut self, name: &ScheduleName) -> RowResult<Option<ScheduleRecord>> {
        self.ask(|conn| table::schedule(conn, name))
    }
    fn schedules(&mut self) -> RowResult<Vec<ScheduleRecord>> {
        self.ask(table::schedules)
    }
    fn next_schedule(&mut self) -> RowResult<Option<UnixMs>> {
        self.ask(table::next_schedule)
    }
    fn put_schedule(&mut self, _: &ScheduleRecord) -> RowResult<()> {
        only_read()
    }
    fn remove_schedule(&mut self, _: &ScheduleName) -> RowResult<()> {
        only_read()
    }
    fn last_event_of(&mut self, operation: OperationId) -> RowResult<Option<u64>> {
        self.ask(|conn| table::last_event_of(conn, operation))
    }
    fn meta(&mut self, key: &str) -> RowResult<Option<String>> {
        self.ask(|conn| table::meta(conn, key))
    }
    fn put_meta(&mut self, _: &str, _: &str) -> RowResult<()> {
        only_read()
    }
}

/// The common SQL of a reader.
pub(super) struct ReaderSql<'a>(pub(super) &'a RefCell<Conn>);

impl Sql for ReaderSql<'_> {
    fn execute(&self, _: &str, _: &[Value<'_>], _: &'static str) -> Result<u64, StoreError> {
        Ok(only_read()?)
    }

    fn query(&self, sql: &str, values: &[Value<'_>], doing: &'static str) -> Result<Vec<SqlRow>, StoreError> {
        let mut conn = self.0.borrow_mut();
        let statement = conn.prepared(&dollars(sql), doing)?;
        let rows = conn.wait(doing, conn.client().query(&statement, &params(values)))?;
        rows.iter().map(|row| read(row).map_err(|error| PgError::of(doing, error).into())).collect()
    }
}
