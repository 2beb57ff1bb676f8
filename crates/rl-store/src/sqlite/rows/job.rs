//! Jobs.
use std::collections::BTreeSet;
use std::sync::Arc;

use rl_engine::{Envelope, JobId, JobRecord, JobSlot, JobSpec, JobState, JobStatus, OperationId, RowResult, Unwind};
use rusqlite::{Row, params};

use super::SqlRows;
use super::convert::{from_ms, from_u64, json, ms_opt, named, parsed, parsed_opt, to_json};

/// Columns of a status, in the order of [`read_status`].
const STATUS: &str = "j.state, j.waiting_for, j.failures, j.crashes, j.fence, j.owner, j.not_before, j.holds_locks, \
                      j.unwind, j.cancel, j.traces, j.open_step, j.reason, j.hint, j.started_at, j.deadline_at, j.finished_at";
const STATUS_LEN: usize = 17;
/// Columns of a slot, in the order of [`read_slot`], and what they are read from.
const SLOT: &str = "j.id, j.operation, j.seq, j.priority, s.locks, o.subject, s.site, s.node";
const SLOT_FROM: &str = "join job_spec s on s.id = j.id join operation o on o.id = j.operation";

pub(super) fn insert(
    rows: &SqlRows<'_>,
    operation: OperationId,
    seq: u32,
    spec: &JobSpec,
    status: &JobStatus,
) -> RowResult<()> {
    let doing = "storing a job";
    let id = spec.id.to_string();
    rows.execute(
        "insert into job_spec (id, operation, seq, kind, version, locks, spec, site, node)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            id,
            operation.to_string(),
            seq,
            spec.payload.kind,
            spec.payload.version,
            to_json("job", &spec.locks)?,
            to_json("job", spec)?,
            spec.site,
            spec.node
        ],
        doing,
    )?;
    rows.execute(
        "insert into job (id, operation, seq, priority, state, waiting_for, failures, crashes, fence, holds_locks, cancel, traces, open_step)
         values (?1, ?2, ?3, ?4, 'waiting', 0, 0, 0, 0, 0, 0, 0, 0)",
        params![id, operation.to_string(), seq, spec.priority],
        doing,
    )?;
    for before in spec.after.iter().collect::<BTreeSet<_>>() {
        rows.execute("insert into job_after (before, id) values (?1, ?2)", params![before.to_string(), id], doing)?;
    }
    put_status(rows, spec.id, status)
}

pub(super) fn put_status(rows: &SqlRows<'_>, id: JobId, status: &JobStatus) -> RowResult<()> {
    rows.execute(
        "update job set state = ?2, waiting_for = ?3, failures = ?4, crashes = ?5, fence = ?6, owner = ?7, not_before = ?8,
           holds_locks = ?9, unwind = ?10, cancel = ?11, traces = ?12, open_step = ?13, reason = ?14, hint = ?15,
           started_at = ?16, deadline_at = ?17, finished_at = ?18
         where id = ?1",
        params![
            id.to_string(),
            status.state.as_str(),
            status.waiting_for,
            status.failures,
            status.crashes,
            from_u64(status.fence),
            status.owner.map(|owner| owner.to_string()),
            status.not_before.map(from_ms),
            status.holds_locks,
            status.unwind.map(unwind_name),
            status.cancel,
            status.traces,
            status.open_step,
            status.reason,
            status.hint,
            status.started_at.map(from_ms),
            status.deadline_at.map(from_ms),
            status.finished_at.map(from_ms),
        ],
        "storing a job's state",
    )?;
    Ok(())
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
