//! Reading the journal's tables.
use std::str::FromStr;

use rl_engine::{
    CancelRequest, Direction, Envelope, Event, EventQuery, JobId, JobRecord, JobSlot, JobSpec, JobState, JobStatus,
    OperationId, OperationInfo, OperationQuery, OperationRecord, OperationState, OperationStatus, OwnerRecord,
    ScheduleName, ScheduleRecord, StepRecord, StepState, UnixMs, Unwind,
};
use serde::de::DeserializeOwned;

use super::conn::{Conn, Param};
use super::error::PgError;
use crate::sql::{CellError, SqlRow};

type Cells<T> = Result<T, CellError>;
type Found<T> = Result<T, PgError>;

/// Columns of a job's status, in the order of [`job_status`].
pub(super) const STATUS: &str = "j.state, j.waiting_for, j.failures, j.crashes, j.fence, j.owner, j.not_before, \
     j.holds_locks, j.unwind, j.cancel, j.traces, j.open_step, j.reason, j.hint, j.started_at, j.deadline_at, j.finished_at";
pub(super) const STATUS_LEN: usize = 17;
const OPERATION: &str = "o.state, o.counts, o.cancel_by, o.cancel_at, o.updated_at, o.finished_at";
const STEP: &str = "job, direction, name, position, state, attempt, intent, ext_ref, receipt, at";
const STEP_STATES: [(StepState, &str); 5] = [
    (StepState::Intent, "intent"),
    (StepState::Submitted, "submitted"),
    (StepState::Withdrawn, "withdrawn"),
    (StepState::Unknown, "unknown"),
    (StepState::Done, "done"),
];

/// Reads rows; one that does not read as it should is reported as such, with its bytes left alone.
pub(super) fn all<T>(
    conn: &mut Conn,
    sql: &str,
    params: &[Param<'_>],
    doing: &'static str,
    read: impl FnMut(&SqlRow) -> Cells<T>,
) -> Found<Vec<T>> {
    let rows = conn.query(sql, params, doing)?;
    rows.iter().map(read).collect::<Cells<Vec<T>>>().map_err(|error| undecodable(doing, error))
}

pub(super) fn undecodable(doing: &'static str, error: CellError) -> PgError {
    PgError::Undecodable { what: format!("row ({doing})"), source: Box::new(error) }
}

fn first<T>(
    conn: &mut Conn,
    sql: &str,
    params: &[Param<'_>],
    doing: &'static str,
    read: impl FnMut(&SqlRow) -> Cells<T>,
) -> Found<Option<T>> {
    Ok(all(conn, sql, params, doing, read)?.into_iter().next())
}

fn json<T: DeserializeOwned>(row: &SqlRow, column: usize) -> Cells<T> {
    serde_json::from_str(row.text(column)?).map_err(|error| CellError::new(column, error))
}

fn json_opt<T: DeserializeOwned>(row: &SqlRow, column: usize) -> Cells<Option<T>> {
    let text = row.text_opt(column)?;
    text.map(|text| serde_json::from_str(text).map_err(|error| CellError::new(column, error))).transpose()
}

fn named<T>(row: &SqlRow, column: usize, parse: impl Fn(&str) -> Option<T>) -> Cells<T> {
    let name = row.text(column)?;
    parse(name).ok_or_else(|| CellError::new(column, format!("`{name}` is not known to this release")))
}

fn flag(row: &SqlRow, column: usize) -> Cells<bool> {
    Ok(row.int(column)? != 0)
}

pub(super) fn unwind_name(unwind: Unwind) -> &'static str {
    match unwind {
        Unwind::Failed => "failed",
        Unwind::Cancelled => "cancelled",
    }
}

pub(super) fn step_state_name(state: StepState) -> &'static str {
    STEP_STATES.iter().find(|known| known.0 == state).map_or("intent", |known| known.1)
}

pub(super) fn job_status(row: &SqlRow, from: usize) -> Cells<JobStatus> {
    let unwind = |name: &str| [Unwind::Failed, Unwind::Cancelled].into_iter().find(|known| unwind_name(*known) == name);
    Ok(JobStatus {
        state: named(row, from, JobState::parse)?,
        waiting_for: row.number(from + 1)?,
        failures: row.number(from + 2)?,
        crashes: row.number(from + 3)?,
        fence: row.count(from + 4)?,
        owner: row.parsed_opt(from + 5)?,
        not_before: row.ms_opt(from + 6)?,
        holds_locks: flag(row, from + 7)?,
        unwind: row.text_opt(from + 8)?.map(|_| named(row, from + 8, unwind)).transpose()?,
        cancel: flag(row, from + 9)?,
        traces: flag(row, from + 10)?,
        open_step: flag(row, from + 11)?,
        reason: row.text_opt(from + 12)?.map(str::to_owned),
        hint: row.text_opt(from + 13)?.map(str::to_owned),
        started_at: row.ms_opt(from + 14)?,
        deadline_at: row.ms_opt(from + 15)?,
        finished_at: row.ms_opt(from + 16)?,
    })
}

fn operation_status(row: &SqlRow, from: usize) -> Cells<OperationStatus> {
    let by = row.text_opt(from + 2)?.map(str::to_owned);
    Ok(OperationStatus {
        state: named(row, from, OperationState::parse)?,
        counts: json(row, from + 1)?,
        cancel: by.zip(row.ms_opt(from + 3)?).map(|(by, at)| CancelRequest { by, at }),
        updated_at: row.ms(from + 4)?,
        finished_at: row.ms_opt(from + 5)?,
    })
}

/// Columns of a slot, in the order of [`slot`], and the tables they are in.
const SLOT: &str = "j.id, j.operation, j.seq, j.priority, s.locks, o.subject, s.site, s.node";
const SLOT_FROM: &str = "from job j join job_spec s on s.id = j.id join operation o on o.id = j.operation";

pub(super) fn slot(row: &SqlRow, from: usize) -> Cells<JobSlot> {
    Ok(JobSlot {
        id: row.parsed(from)?,
        operation: row.parsed(from + 1)?,
        seq: row.number(from + 2)?,
        priority: row.number(from + 3)?,
        locks: json(row, from + 4)?,
        subject: row.text(from + 5)?.into(),
        site: row.text_opt(from + 6)?.map(Into::into),
        node: row.text_opt(from + 7)?.map(Into::into),
    })
}

pub(super) fn step(row: &SqlRow) -> Cells<StepRecord> {
    let direction = |name: &str| [Direction::Do, Direction::Undo].into_iter().find(|known| known.as_str() == name);
    let state = |name: &str| STEP_STATES.iter().find(|known| known.1 == name).map(|known| known.0);
    Ok(StepRecord {
        job: row.parsed(0)?,
        direction: named(row, 1, direction)?,
        name: row.text(2)?.to_owned(),
        position: row.number(3)?,
        state: named(row, 4, state)?,
        attempt: row.number(5)?,
        intent: json_opt(row, 6)?,
        ext_ref: row.text_opt(7)?.map(str::to_owned),
        receipt: json_opt(row, 8)?,
        at: row.ms(9)?,
    })
}

pub(super) fn operation_info(conn: &mut Conn, id: OperationId) -> Found<Option<OperationInfo>> {
    let sql = "select info from operation_info where id = $1";
    first(conn, sql, &[&id.to_string()], "reading an operation", |row| json(row, 0))
}

pub(super) fn operation(conn: &mut Conn, id: OperationId) -> Found<Option<(String, OperationStatus)>> {
    let sql = format!("select {OPERATION}, o.subject from operation o where o.id = $1");
    first(conn, &sql, &[&id.to_string()], "reading an operation", |row| {
        Ok((row.text(6)?.to_owned(), operation_status(row, 0)?))
    })
}

/// The statuses of some operations, those that are stored.
pub(super) fn operations_of(conn: &mut Conn, ids: &[String]) -> Found<Vec<(OperationId, OperationStatus)>> {
    let sql = format!("select {OPERATION}, o.id from operation o where o.id = any($1)");
    all(conn, &sql, &[&ids], "reading operations", |row| Ok((row.parsed(6)?, operation_status(row, 0)?)))
}

pub(super) fn by_key(conn: &mut Conn, key: &str) -> Found<Option<OperationId>> {
    let sql = "select id from operation_info where idempotency_key = $1";
    first(conn, sql, &[&key], "looking for an operation", |row| row.parsed(0))
}

pub(super) fn by_keys(conn: &mut Conn, keys: &[String]) -> Found<Vec<(String, OperationId)>> {
    let sql = "select idempotency_key, id from operation_info where idempotency_key = any($1)";
    all(conn, sql, &[&keys], "looking for operations", |row| Ok((row.text(0)?.to_owned(), row.parsed(1)?)))
}

pub(super) fn unfinished(conn: &mut Conn, subject: &str) -> Found<Vec<OperationId>> {
    let sql = "select id from operation where subject = $1 and finished_at is null order by id";
    all(conn, sql, &[&subject], "looking for unfinished operations", |row| row.parsed(0))
}

pub(super) fn list_operations(conn: &mut Conn, query: &OperationQuery) -> Found<Vec<OperationRecord>> {
    let states: Vec<&str> = query.states.iter().map(|state| state.as_str()).collect();
    let before = query.before.map(|id| id.to_string());
    let sql = format!(
        "select i.info, {OPERATION} from operation o join operation_info i on i.id = o.id
         where ($1::text is null or o.subject = $1) and ($2::text is null or o.id < $2)
           and (cardinality($3::text[]) = 0 or o.state = any($3))
         order by o.id desc limit $4"
    );
    let params: [Param<'_>; 4] = [&query.subject, &before, &states, &count(query.limit)];
    all(conn, &sql, &params, "listing operations", |row| {
        Ok(OperationRecord { info: json(row, 0)?, status: operation_status(row, 1)? })
    })
}

pub(super) fn finished_before(conn: &mut Conn, before: UnixMs, limit: usize) -> Found<Vec<OperationId>> {
    let sql =
        "select id from operation where finished_at is not null and finished_at < $1 order by finished_at, id limit $2";
    all(conn, sql, &[&ms(before), &count(limit)], "looking for old operations", |row| row.parsed(0))
}

fn record(row: &SqlRow) -> Cells<JobRecord> {
    Ok(JobRecord {
        operation: row.parsed(STATUS_LEN)?,
        seq: row.number(STATUS_LEN + 1)?,
        spec: json(row, STATUS_LEN + 2)?,
        status: job_status(row, 0)?,
    })
}

pub(super) fn job(conn: &mut Conn, id: JobId) -> Found<Option<JobRecord>> {
    let sql = format!(
        "select {STATUS}, j.operation, j.seq, s.spec from job j join job_spec s on s.id = j.id where j.id = $1"
    );
    first(conn, &sql, &[&id.to_string()], "reading a job", record)
}

pub(super) fn status_of(conn: &mut Conn, id: JobId) -> Found<Option<(OperationId, JobStatus)>> {
    let sql = format!("select {STATUS}, j.operation from job j where j.id = $1");
    first(conn, &sql, &[&id.to_string()], "reading a job's state", |row| {
        Ok((row.parsed(STATUS_LEN)?, job_status(row, 0)?))
    })
}

/// A job as the writer keeps it: its slot and status, and its payload unless this release cannot read it.
pub(super) type Loaded = (JobSlot, JobStatus, Result<JobSpec, CellError>);

/// Jobs of a list of ids, those that are stored.
pub(super) fn load(conn: &mut Conn, ids: &[String]) -> Found<Vec<Loaded>> {
    let sql = format!("select {STATUS}, {SLOT}, s.spec {SLOT_FROM} where j.id = any($1)");
    all(conn, &sql, &[&ids], "reading jobs", |row| {
        Ok((slot(row, STATUS_LEN)?, job_status(row, 0)?, json(row, STATUS_LEN + 8)))
    })
}

/// Slots and statuses of a list of jobs, those that are stored.
pub(super) fn slots(conn: &mut Conn, ids: &[String]) -> Found<Vec<(JobSlot, JobStatus)>> {
    let sql = format!("select {STATUS}, {SLOT} {SLOT_FROM} where j.id = any($1)");
    all(conn, &sql, &[&ids], "reading changed jobs", |row| Ok((slot(row, STATUS_LEN)?, job_status(row, 0)?)))
}

/// Followers of a list of jobs.
pub(super) fn followers_of(conn: &mut Conn, ids: &[String]) -> Found<Vec<(JobId, JobId)>> {
    let sql = "select before, id from job_after where before = any($1) order by before, id";
    all(conn, sql, &[&ids], "reading what comes after jobs", |row| Ok((row.parsed(0)?, row.parsed(1)?)))
}

/// Steps of a list of jobs, as rows that may be unreadable.
pub(super) fn steps_of_jobs(conn: &mut Conn, ids: &[String]) -> Found<Vec<(JobId, Cells<StepRecord>)>> {
    let sql = format!("select {STEP} from step where job = any($1)");
    all(conn, &sql, &[&ids], "reading steps", |row| Ok((row.parsed(0)?, step(row))))
}

pub(super) fn slot_of(conn: &mut Conn, id: JobId) -> Found<Option<JobSlot>> {
    let sql = format!("select {SLOT} {SLOT_FROM} where j.id = $1");
    first(conn, &sql, &[&id.to_string()], "reading a job's locks", |row| slot(row, 0))
}

pub(super) fn open_of(conn: &mut Conn, operation: OperationId) -> Found<Vec<JobId>> {
    let sql = "select j.id from job_spec s join job j on j.id = s.id
         where s.operation = $1 and (j.finished_at is null or j.state = 'stuck') order by s.seq";
    all(conn, sql, &[&operation.to_string()], "reading an operation's open jobs", |row| row.parsed(0))
}

pub(super) fn followers(conn: &mut Conn, id: JobId) -> Found<Vec<JobId>> {
    let sql = "select id from job_after where before = $1 order by id";
    all(conn, sql, &[&id.to_string()], "reading what comes after a job", |row| row.parsed(0))
}

pub(super) fn list_jobs(conn: &mut Conn, operation: OperationId, from: u32, limit: usize) -> Found<Vec<JobRecord>> {
    let sql = format!(
        "select {STATUS}, j.operation, j.seq, s.spec, j.id, s.kind, s.version from job_spec s join job j on j.id = s.id
         where s.operation = $1 and s.seq >= $2 order by s.seq limit $3"
    );
    let params: [Param<'_>; 3] = [&operation.to_string(), &i64::from(from), &count(limit)];
    all(conn, &sql, &params, "listing jobs", |row| record(row).or_else(|_| unreadable(row)))
}

/// A job whose payload cannot be read is still listed, with what is known of it.
fn unreadable(row: &SqlRow) -> Cells<JobRecord> {
    let payload = Envelope::new(row.text(STATUS_LEN + 4)?, row.number(STATUS_LEN + 5)?, serde_json::Value::Null);
    let seq: u32 = row.number(STATUS_LEN + 1)?;
    Ok(JobRecord {
        operation: row.parsed(STATUS_LEN)?,
        seq,
        spec: JobSpec::new(row.parsed(STATUS_LEN + 3)?, format!("unreadable job {seq}"), payload),
        status: job_status(row, 0)?,
    })
}

/// Unfinished jobs after a place in the order of submission, at most `limit`.
pub(super) fn unfinished_jobs(
    conn: &mut Conn,
    after: Option<&JobSlot>,
    limit: usize,
) -> Found<Vec<(JobSlot, JobStatus)>> {
    let sql = format!(
        "select {STATUS}, {SLOT} {SLOT_FROM}
         where j.finished_at is null and (j.operation, j.seq) > ($1, $2) order by j.operation, j.seq limit $3"
    );
    let (operation, seq) = after.map_or((String::new(), -1), |slot| (slot.operation.to_string(), i64::from(slot.seq)));
    all(conn, &sql, &[&operation, &seq, &count(limit)], "reading unfinished jobs", |row| {
        Ok((slot(row, STATUS_LEN)?, job_status(row, 0)?))
    })
}

pub(super) fn parked(conn: &mut Conn) -> Found<Vec<(JobId, String, u32)>> {
    let sql = "select j.id, s.kind, s.version from job j join job_spec s on s.id = j.id
         where j.finished_at is null and j.state = 'parked' order by j.id";
    all(conn, sql, &[], "reading parked jobs", |row| Ok((row.parsed(0)?, row.text(1)?.to_owned(), row.number(2)?)))
}

pub(super) fn one_step(conn: &mut Conn, job: JobId, name: &str, direction: Direction) -> Found<Option<StepRecord>> {
    let sql = format!("select {STEP} from step where job = $1 and direction = $2 and name = $3");
    first(conn, &sql, &[&job.to_string(), &direction.as_str(), &name], "reading a step", step)
}

pub(super) fn steps_of(conn: &mut Conn, job: JobId) -> Found<Vec<StepRecord>> {
    let sql = format!("select {STEP} from step where job = $1 order by direction, position, name");
    all(conn, &sql, &[&job.to_string()], "reading a job's steps", step)
}

pub(super) fn list_events(conn: &mut Conn, query: &EventQuery) -> Found<Vec<Event>> {
    let sql = "select seq, operation, job, kind, body, at from event
         where ($1::text is null or operation = $1) and seq > $2 order by seq limit $3";
    let operation = query.operation.map(|id| id.to_string());
    let after = i64::try_from(query.after).unwrap_or(i64::MAX);
    // Two texts, so that each has a plan of its own.
    let sql = match operation {
        Some(_) => sql.replace("($1::text is null or operation = $1)", "operation = $1"),
        None => sql.replace("or operation = $1", ""),
    };
    all(conn, &sql, &[&operation, &after, &count(query.limit)], "reading events", |row| {
        Ok(Event {
            seq: row.count(0)?,
            operation: row.parsed(1)?,
            job: row.parsed_opt(2)?,
            kind: row.text(3)?.to_owned(),
            body: json(row, 4)?,
            at: row.ms(5)?,
        })
    })
}

pub(super) fn owners(conn: &mut Conn) -> Found<Vec<OwnerRecord>> {
    let sql = "select id, lease_until from owner order by id";
    all(conn, sql, &[], "reading engine runs", |row| Ok(OwnerRecord { id: row.parsed(0)?, lease_until: row.ms(1)? }))
}

fn schedule_row(row: &SqlRow) -> Cells<ScheduleRecord> {
    Ok(ScheduleRecord { spec: json(row, 0)?, next_at: row.ms_opt(1)?, paused: flag(row, 2)?, state: json(row, 3)? })
}

pub(super) fn schedule(conn: &mut Conn, name: &ScheduleName) -> Found<Option<ScheduleRecord>> {
    let sql = "select spec, next_at, paused, state from schedule where name = $1";
    first(conn, sql, &[&name.as_str()], "reading a schedule", schedule_row)
}

pub(super) fn schedules(conn: &mut Conn) -> Found<Vec<ScheduleRecord>> {
    let sql = "select spec, next_at, paused, state from schedule order by name";
    all(conn, sql, &[], "reading schedules", schedule_row)
}

pub(super) fn next_schedule(conn: &mut Conn) -> Found<Option<UnixMs>> {
    let sql = "select min(next_at) from schedule where paused = 0";
    Ok(first(conn, sql, &[], "reading the next schedule", |row| row.ms_opt(0))?.flatten())
}

pub(super) fn last_event_of(conn: &mut Conn, operation: OperationId) -> Found<Option<u64>> {
    let sql = "select max(seq) from event where operation = $1";
    let found = first(conn, sql, &[&operation.to_string()], "reading an operation's last event", |row| row.int_opt(0))?;
    Ok(found.flatten().map(i64::unsigned_abs))
}

pub(super) fn meta(conn: &mut Conn, key: &str) -> Found<Option<String>> {
    let sql = "select value from meta where key = $1";
    first(conn, sql, &[&key], "reading a setting of the store", |row| Ok(row.text(0)?.to_owned()))
}

pub(super) fn ms(at: UnixMs) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

pub(super) fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Ids as the array parameter of a statement.
pub(super) fn texts<T: ToString>(ids: impl IntoIterator<Item = T>) -> Vec<String> {
    ids.into_iter().map(|id| id.to_string()).collect()
}

/// Many ids written one after the other, each of the same length.
pub(super) fn split_ids<T: FromStr>(text: &str) -> Vec<T> {
    const LEN: usize = 26;
    text.as_bytes().chunks(LEN).filter_map(|chunk| std::str::from_utf8(chunk).ok()?.parse().ok()).collect()
}
