//! Jobs.
use std::collections::BTreeSet;
use std::sync::Arc;

use rl_engine::{Envelope, JobId, JobRecord, JobSlot, JobSpec, JobState, JobStatus, OperationId, RowResult, Unwind};
use rusqlite::{Row, Statement, params};

use super::SqlRows;
use super::convert::{from_ms, from_u64, json, ms_opt, named, parsed, parsed_opt, to_json};
use crate::error::Doing;

/// Columns of a status, in the order of [`read_status`].
const STATUS: &str = "j.state, j.waiting_for, j.failures, j.crashes, j.fence, j.owner, j.not_before, j.holds_locks, \
                      j.unwind, j.cancel, j.traces, j.open_step, j.reason, j.hint, j.started_at, j.deadline_at, j.finished_at";
const STATUS_LEN: usize = 17;
/// Columns of a slot, in the order of [`read_slot`], and what they are read from.
const SLOT: &str = "j.id, j.operation, j.seq, j.priority, s.locks, o.subject, s.site, s.node";
const SLOT_FROM: &str = "join job_spec s on s.id = j.id join operation o on o.id = j.operation";

pub(in crate::sqlite) const INSERT_SPEC: &str =
    "insert into job_spec (id, operation, seq, kind, version, locks, spec, site, node)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
pub(in crate::sqlite) const INSERT: &str =
    "insert into job (id, operation, seq, priority, state, waiting_for, failures, crashes, fence, owner, not_before, holds_locks,
       unwind, cancel, traces, open_step, reason, hint, started_at, deadline_at, finished_at)
     values (?1, ?19, ?20, ?21, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";
pub(in crate::sqlite) const INSERT_AFTER: &str = "insert into job_after (before, id) values (?1, ?2)";
pub(in crate::sqlite) const UPDATE: &str =
    "update job set state = ?2, waiting_for = ?3, failures = ?4, crashes = ?5, fence = ?6, owner = ?7, not_before = ?8,
       holds_locks = ?9, unwind = ?10, cancel = ?11, traces = ?12, open_step = ?13, reason = ?14, hint = ?15,
       started_at = ?16, deadline_at = ?17, finished_at = ?18
     where id = ?1";

pub(super) fn insert(
    rows: &SqlRows<'_>,
    operation: OperationId,
    seq: u32,
    spec: &JobSpec,
    status: &JobStatus,
) -> RowResult<()> {
    let doing = "storing a job";
    let (kind, version) = (&spec.payload.kind, spec.payload.version);
    let (locks, json) = (to_json("job", &spec.locks)?, to_json("job", spec)?);
    let id = spec.id.to_string();
    let values = params![id, operation.to_string(), seq, kind, version, locks, json, spec.site, spec.node];
    rows.execute(INSERT_SPEC, values, doing)?;
    let mut statement = rows.connection.prepare_cached(INSERT).doing(doing)?;
    insert_with(&mut statement, spec.id, operation, (seq, spec.priority), status).doing(doing)?;
    for before in spec.after.iter().collect::<BTreeSet<_>>() {
        rows.execute(INSERT_AFTER, params![before.to_string(), id], doing)?;
    }
    Ok(())
}

pub(super) fn put_status(rows: &SqlRows<'_>, id: JobId, status: &JobStatus) -> RowResult<()> {
    let doing = "storing a job's state";
    let mut statement = rows.connection.prepare_cached(UPDATE).doing(doing)?;
    Ok(update_with(&mut statement, id, status).doing(doing)?)
}

/// Runs [`INSERT`]; `place` is the job's place in its operation and its priority.
pub(in crate::sqlite) fn insert_with(
    insert: &mut Statement<'_>,
    id: JobId,
    operation: OperationId,
    place: (u32, i16),
    status: &JobStatus,
) -> rusqlite::Result<()> {
    bind(insert, id, status)?;
    insert.raw_bind_parameter(19, operation.to_string())?;
    insert.raw_bind_parameter(20, place.0)?;
    insert.raw_bind_parameter(21, place.1)?;
    insert.raw_execute()?;
    Ok(())
}

/// Runs [`UPDATE`].
pub(in crate::sqlite) fn update_with(
    update: &mut Statement<'_>,
    id: JobId,
    status: &JobStatus,
) -> rusqlite::Result<()> {
    bind(update, id, status)?;
    update.raw_execute()?;
    Ok(())
}

/// Parameters 1 to 18 of [`INSERT`] and [`UPDATE`].
fn bind(statement: &mut Statement<'_>, id: JobId, status: &JobStatus) -> rusqlite::Result<()> {
    statement.raw_bind_parameter(1, id.to_string())?;
    statement.raw_bind_parameter(2, status.state.as_str())?;
    statement.raw_bind_parameter(3, status.waiting_for)?;
    statement.raw_bind_parameter(4, status.failures)?;
    statement.raw_bind_parameter(5, status.crashes)?;
    statement.raw_bind_parameter(6, from_u64(status.fence))?;
    statement.raw_bind_parameter(7, status.owner.map(|owner| owner.to_string()))?;
    statement.raw_bind_parameter(8, status.not_before.map(from_ms))?;
    statement.raw_bind_parameter(9, status.holds_locks)?;
    statement.raw_bind_parameter(10, status.unwind.map(unwind_name))?;
    statement.raw_bind_parameter(11, status.cancel)?;
    statement.raw_bind_parameter(12, status.traces)?;
    statement.raw_bind_parameter(13, status.open_step)?;
    statement.raw_bind_parameter(14, &status.reason)?;
    statement.raw_bind_parameter(15, &status.hint)?;
    statement.raw_bind_parameter(16, status.started_at.map(from_ms))?;
    statement.raw_bind_parameter(17, status.deadline_at.map(from_ms))?;
    statement.raw_bind_parameter(18, status.finished_at.map(from_ms))
}

fn unwind_name(unwind: Unwind) -> &'static str {
    match unwind {
        Unwind::Failed => "failed",
        Unwind::Cancelled => "cancelled",
    }
}

fn unwind_parse(name: &str) -> Option<Unwind> {
    [Unwind::Failed, Unwind::Cancelled].into_iter().find(|unwind| unwind_name(*unwind) == name)
}

fn read_status(row: &Row<'_>, from: usize) -> rusqlite::Result<JobStatus> {
    let unwind = match row.get_ref(from + 8)?.as_str_or_null()? {
        Some(_) => Some(named(row, from + 8, unwind_parse)?),
        None => None,
    };
    Ok(JobStatus {
        state: named(row, from, JobState::parse)?,
        waiting_for: row.get(from + 1)?,
        failures: row.get(from + 2)?,
        crashes: row.get(from + 3)?,
        fence: row.get::<_, i64>(from + 4)?.unsigned_abs(),
        owner: parsed_opt(row, from + 5)?,
        not_before: ms_opt(row, from + 6)?,
        holds_locks: row.get(from + 7)?,
        unwind,
        cancel: row.get(from + 9)?,
        traces: row.get(from + 10)?,
        open_step: row.get(from + 11)?,
        reason: row.get(from + 12)?,
        hint: row.get(from + 13)?,
        started_at: ms_opt(row, from + 14)?,
        deadline_at: ms_opt(row, from + 15)?,
        finished_at: ms_opt(row, from + 16)?,
    })
}

fn read_record(row: &Row<'_>) -> rusqlite::Result<JobRecord> {
    Ok(JobRecord {
        operation: parsed(row, STATUS_LEN)?,
        seq: row.get(STATUS_LEN + 1)?,
        spec: json(row, STATUS_LEN + 2)?,
        status: read_status(row, 0)?,
    })
}

pub(super) fn whole(rows: &SqlRows<'_>, id: JobId) -> RowResult<Option<JobRecord>> {
    let sql = format!(
        "select {STATUS}, j.operation, j.seq, s.spec from job j join job_spec s on s.id = j.id where j.id = ?1"
    );
    rows.first(&sql, [id.to_string()], "reading a job", read_record)
}

pub(super) fn status(rows: &SqlRows<'_>, id: JobId) -> RowResult<Option<(OperationId, JobStatus)>> {
    let sql = format!("select {STATUS}, j.operation from job j where j.id = ?1");
    rows.first(&sql, [id.to_string()], "reading a job's state", |row| {
        Ok((parsed(row, STATUS_LEN)?, read_status(row, 0)?))
    })
}

fn read_slot(row: &Row<'_>, from: usize) -> rusqlite::Result<JobSlot> {
    Ok(JobSlot {
        id: parsed(row, from)?,
        operation: parsed(row, from + 1)?,
        seq: row.get(from + 2)?,
        priority: row.get(from + 3)?,
        locks: json(row, from + 4)?,
        subject: row.get::<_, String>(from + 5)?.into(),
        site: row.get::<_, Option<String>>(from + 6)?.map(Arc::from),
        node: row.get::<_, Option<String>>(from + 7)?.map(Arc::from),
    })
}

pub(super) fn slot(rows: &SqlRows<'_>, id: JobId) -> RowResult<Option<JobSlot>> {
    let sql = format!("select {SLOT} from job j {SLOT_FROM} where j.id = ?1");
    rows.first(&sql, [id.to_string()], "reading a job's locks", |row| read_slot(row, 0))
}

pub(super) fn open_of(rows: &SqlRows<'_>, operation: OperationId) -> RowResult<Vec<JobId>> {
    let sql = "select j.id from job_spec s join job j on j.id = s.id
         where s.operation = ?1 and (j.finished_at is null or j.state = 'stuck') order by s.seq";
    rows.all(sql, [operation.to_string()], "reading an operation's open jobs", |row| parsed(row, 0))
}

pub(super) fn followers(rows: &SqlRows<'_>, id: JobId) -> RowResult<Vec<JobId>> {
    let sql = "select id from job_after where before = ?1 order by id";
    rows.all(sql, [id.to_string()], "reading what comes after a job", |row| parsed(row, 0))
}

pub(super) fn list(rows: &SqlRows<'_>, operation: OperationId, from: u32, limit: usize) -> RowResult<Vec<JobRecord>> {
    let sql = format!(
        "select {STATUS}, j.operation, j.seq, s.spec, j.id, s.kind, s.version from job_spec s join job j on j.id = s.id
         where s.operation = ?1 and s.seq >= ?2 order by s.seq limit ?3"
    );
    rows.all(&sql, params![operation.to_string(), from, from_u64(limit as u64)], "listing jobs", |row| {
        read_record(row).or_else(|_| unreadable(row))
    })
}

/// A job whose payload cannot be read is still listed, with what is known of it.
fn unreadable(row: &Row<'_>) -> rusqlite::Result<JobRecord> {
    let payload =
        Envelope::new(row.get::<_, String>(STATUS_LEN + 4)?, row.get(STATUS_LEN + 5)?, serde_json::Value::Null);
    let seq: u32 = row.get(STATUS_LEN + 1)?;
    Ok(JobRecord {
        operation: parsed(row, STATUS_LEN)?,
        seq,
        spec: JobSpec::new(parsed(row, STATUS_LEN + 3)?, format!("unreadable job {seq}"), payload),
        status: read_status(row, 0)?,
    })
}

pub(super) fn unfinished(rows: &SqlRows<'_>) -> RowResult<Vec<(JobSlot, JobStatus)>> {
    let sql = format!(
        "select {STATUS}, {SLOT} from job j {SLOT_FROM}
         where j.finished_at is null order by j.operation, j.seq"
    );
    rows.all(&sql, (), "reading unfinished jobs", |row| Ok((read_slot(row, STATUS_LEN)?, read_status(row, 0)?)))
}

pub(super) fn parked(rows: &SqlRows<'_>) -> RowResult<Vec<(JobId, String, u32)>> {
    let sql = "select j.id, s.kind, s.version from job j join job_spec s on s.id = j.id where j.state = 'parked' order by j.id";
    rows.all(sql, (), "reading parked jobs", |row| Ok((parsed(row, 0)?, row.get(1)?, row.get(2)?)))
}
