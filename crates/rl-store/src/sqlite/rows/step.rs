//! Steps, events and engine runs.
use rl_engine::{
    Direction, Event, EventQuery, JobId, OperationId, OwnerId, OwnerRecord, RowResult, StepRecord, StepState,
};
use rusqlite::{Row, Statement, params};

use super::SqlRows;
use super::convert::{from_ms, from_u64, json, json_opt, ms, named, parsed, parsed_opt, to_json};
use crate::error::{Doing, StoreError};

const COLUMNS: &str = "job, direction, name, position, state, attempt, intent, ext_ref, receipt, at";
const STATES: [(StepState, &str); 5] = [
    (StepState::Intent, "intent"),
    (StepState::Submitted, "submitted"),
    (StepState::Withdrawn, "withdrawn"),
    (StepState::Unknown, "unknown"),
    (StepState::Done, "done"),
];

fn state_name(state: StepState) -> &'static str {
    STATES.iter().find(|known| known.0 == state).map_or("intent", |known| known.1)
}

fn state_parse(name: &str) -> Option<StepState> {
    STATES.iter().find(|known| known.1 == name).map(|known| known.0)
}

fn direction_parse(name: &str) -> Option<Direction> {
    [Direction::Do, Direction::Undo].into_iter().find(|direction| direction.as_str() == name)
}

fn read(row: &Row<'_>) -> rusqlite::Result<StepRecord> {
    Ok(StepRecord {
        job: parsed(row, 0)?,
        direction: named(row, 1, direction_parse)?,
        name: row.get(2)?,
        position: row.get(3)?,
        state: named(row, 4, state_parse)?,
        attempt: row.get(5)?,
        intent: json_opt(row, 6)?,
        ext_ref: row.get(7)?,
        receipt: json_opt(row, 8)?,
        at: ms(row, 9)?,
    })
}

pub(super) fn one(rows: &SqlRows<'_>, job: JobId, name: &str, direction: Direction) -> RowResult<Option<StepRecord>> {
    let sql = format!("select {COLUMNS} from step where job = ?1 and direction = ?2 and name = ?3");
    rows.first(&sql, params![job.to_string(), direction.as_str(), name], "reading a step", read)
}

pub(in crate::sqlite) const PUT: &str =
    "insert or replace into step (job, direction, name, position, state, attempt, intent, ext_ref, receipt, at)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
pub(in crate::sqlite) const INSERT_EVENT: &str =
    "insert into event (seq, operation, job, kind, body, at) values (?1, ?2, ?3, ?4, ?5, ?6)";

pub(super) fn put(rows: &SqlRows<'_>, step: &StepRecord) -> RowResult<()> {
    let mut statement = rows.connection.prepare_cached(PUT).doing("storing a step")?;
    Ok(put_with(&mut statement, step)?)
}

/// Runs [`PUT`].
pub(in crate::sqlite) fn put_with(put: &mut Statement<'_>, step: &StepRecord) -> Result<(), StoreError> {
    let intent = step.intent.as_ref().map(|intent| to_json("intent", intent)).transpose()?;
    let receipt = step.receipt.as_ref().map(|receipt| to_json("receipt", receipt)).transpose()?;
    put.execute(params![
        step.job.to_string(),
        step.direction.as_str(),
        step.name,
        step.position,
        state_name(step.state),
        step.attempt,
        intent,
        step.ext_ref,
        receipt,
        from_ms(step.at),
    ])
    .doing("storing a step")?;
    Ok(())
}

pub(super) fn of_job(rows: &SqlRows<'_>, job: JobId) -> RowResult<Vec<StepRecord>> {
    let sql = format!("select {COLUMNS} from step where job = ?1 order by direction, position, name");
    rows.all(&sql, [job.to_string()], "reading a job's steps", read)
}

pub(super) fn append_event(rows: &SqlRows<'_>, event: &Event) -> RowResult<u64> {
    let job = event.job.map(|job| job.to_string());
    let (body, at) = (to_json("event", &event.body)?, from_ms(event.at));
    let values = params![None::<i64>, event.operation.to_string(), job, event.kind, body, at];
    rows.execute(INSERT_EVENT, values, "storing an event")?;
    Ok(rows.connection.last_insert_rowid().unsigned_abs())
}

pub(super) fn list_events(rows: &SqlRows<'_>, query: &EventQuery) -> RowResult<Vec<Event>> {
    let read = |row: &Row<'_>| {
        Ok(Event {
            seq: row.get::<_, i64>(0)?.unsigned_abs(),
            operation: parsed(row, 1)?,
            job: parsed_opt(row, 2)?,
            kind: row.get(3)?,
            body: json(row, 4)?,
            at: ms(row, 5)?,
        })
    };
    let (after, limit) = (from_u64(query.after), from_u64(query.limit as u64));
    let doing = "reading events";
    match query.operation {
        Some(id) => {
            let sql = "select seq, operation, job, kind, body, at from event where operation = ?1 and seq > ?2 order by seq limit ?3";
            rows.all(sql, params![id.to_string(), after, limit], doing, read)
        }
        None => {
            let sql = "select seq, operation, job, kind, body, at from event where seq > ?1 order by seq limit ?2";
            rows.all(sql, params![after, limit], doing, read)
        }
    }
}

pub(super) fn last_event_of(rows: &SqlRows<'_>, operation: OperationId) -> RowResult<Option<u64>> {
    let sql = "select max(seq) from event where operation = ?1";
    let last = rows
        .first(sql, [operation.to_string()], "reading an operation's last event", |row| row.get::<_, Option<i64>>(0))?;
    Ok(last.flatten().map(i64::unsigned_abs))
}

fn read_owner(row: &Row<'_>) -> rusqlite::Result<OwnerRecord> {
    Ok(OwnerRecord { id: parsed(row, 0)?, lease_until: ms(row, 1)? })
}

pub(super) fn owner(rows: &SqlRows<'_>, id: OwnerId) -> RowResult<Option<OwnerRecord>> {
    let sql = "select id, lease_until from owner where id = ?1";
    rows.first(sql, [id.to_string()], "reading an engine run", read_owner)
}

pub(super) fn owners(rows: &SqlRows<'_>) -> RowResult<Vec<OwnerRecord>> {
    rows.all("select id, lease_until from owner order by id", (), "reading engine runs", read_owner)
}

pub(super) fn put_owner(rows: &SqlRows<'_>, owner: &OwnerRecord) -> RowResult<()> {
    let sql = "insert or replace into owner (id, lease_until) values (?1, ?2)";
    rows.execute(sql, params![owner.id.to_string(), from_ms(owner.lease_until)], "storing an engine run")?;
    Ok(())
}

pub(super) fn remove_owner(rows: &SqlRows<'_>, id: OwnerId) -> RowResult<()> {
    rows.execute("delete from owner where id = ?1", [id.to_string()], "removing an engine run")?;
    Ok(())
}
