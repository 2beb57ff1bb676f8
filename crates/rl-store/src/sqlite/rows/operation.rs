//! Operations.
use rl_engine::{
    CancelRequest, OperationId, OperationInfo, OperationQuery, OperationRecord, OperationState, OperationStatus,
    RowResult, UnixMs,
};
use rusqlite::{Row, Statement, params};

use super::SqlRows;
use super::convert::{from_ms, from_u64, json, ms, ms_opt, named, parsed, to_json};
use crate::error::Doing;

const STATUS: &str = "state, counts, cancel_by, cancel_at, updated_at, finished_at";

pub(in crate::sqlite) const INSERT_INFO: &str =
    "insert into operation_info (id, idempotency_key, info) values (?1, ?2, ?3)";
pub(in crate::sqlite) const INSERT: &str =
    "insert into operation (id, subject, state, counts, cancel_by, cancel_at, updated_at, finished_at)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
pub(in crate::sqlite) const UPDATE: &str =
    "update operation set state = ?2, counts = ?3, cancel_by = ?4, cancel_at = ?5, updated_at = ?6, finished_at = ?7
         where id = ?1";

pub(super) fn insert(rows: &SqlRows<'_>, info: &OperationInfo, status: &OperationStatus) -> RowResult<()> {
    let doing = "storing an operation";
    let json = to_json("operation", info)?;
    rows.execute(INSERT_INFO, params![info.id.to_string(), info.idempotency_key, json], doing)?;
    let mut statement = rows.connection.prepare_cached(INSERT).doing(doing)?;
    Ok(insert_with(&mut statement, info.id, &info.subject, status).doing(doing)?)
}

pub(super) fn put_status(rows: &SqlRows<'_>, id: OperationId, status: &OperationStatus) -> RowResult<()> {
    let doing = "storing an operation's state";
    let mut statement = rows.connection.prepare_cached(UPDATE).doing(doing)?;
    Ok(update_with(&mut statement, id, status).doing(doing)?)
}

/// Runs [`INSERT`].
pub(in crate::sqlite) fn insert_with(
    insert: &mut Statement<'_>,
    id: OperationId,
    subject: &str,
    status: &OperationStatus,
) -> rusqlite::Result<()> {
    insert.execute(params![
        id.to_string(),
        subject,
        status.state.as_str(),
        counts(status),
        status.cancel.as_ref().map(|cancel| &cancel.by),
        status.cancel.as_ref().map(|cancel| from_ms(cancel.at)),
        from_ms(status.updated_at),
        status.finished_at.map(from_ms),
    ])?;
    Ok(())
}

/// Runs [`UPDATE`].
pub(in crate::sqlite) fn update_with(
    update: &mut Statement<'_>,
    id: OperationId,
    status: &OperationStatus,
) -> rusqlite::Result<()> {
    update.execute(params![
        id.to_string(),
        status.state.as_str(),
        counts(status),
        status.cancel.as_ref().map(|cancel| &cancel.by),
        status.cancel.as_ref().map(|cancel| from_ms(cancel.at)),
        from_ms(status.updated_at),
        status.finished_at.map(from_ms),
    ])?;
    Ok(())
}

/// The counts as JSON: an array of numbers, which cannot fail.
fn counts(status: &OperationStatus) -> String {
    serde_json::to_string(&status.counts).unwrap_or_default()
}

fn read_status(row: &Row<'_>, from: usize) -> rusqlite::Result<OperationStatus> {
    let by: Option<String> = row.get(from + 2)?;
    let at = ms_opt(row, from + 3)?;
    Ok(OperationStatus {
        state: named(row, from, OperationState::parse)?,
        counts: json(row, from + 1)?,
        cancel: by.zip(at).map(|(by, at)| CancelRequest { by, at }),
        updated_at: ms(row, from + 4)?,
        finished_at: ms_opt(row, from + 5)?,
    })
}

pub(super) fn info(rows: &SqlRows<'_>, id: OperationId) -> RowResult<Option<OperationInfo>> {
    rows.first("select info from operation_info where id = ?1", [id.to_string()], "reading an operation", |row| {
        json(row, 0)
    })
}

pub(super) fn status(rows: &SqlRows<'_>, id: OperationId) -> RowResult<Option<OperationStatus>> {
    let sql = format!("select {STATUS} from operation where id = ?1");
    rows.first(&sql, [id.to_string()], "reading an operation", |row| read_status(row, 0))
}

pub(super) fn by_key(rows: &SqlRows<'_>, key: &str) -> RowResult<Option<OperationId>> {
    let sql = "select id from operation_info where idempotency_key = ?1";
    rows.first(sql, [key], "looking for an operation", |row| parsed(row, 0))
}

pub(super) fn unfinished(rows: &SqlRows<'_>, subject: &str) -> RowResult<Vec<OperationId>> {
    let sql = "select id from operation where subject = ?1 and finished_at is null order by id";
    rows.all(sql, [subject], "looking for unfinished operations", |row| parsed(row, 0))
}

pub(super) fn list(rows: &SqlRows<'_>, query: &OperationQuery) -> RowResult<Vec<OperationRecord>> {
    let states: Vec<&str> = query.states.iter().map(|state| state.as_str()).collect();
    let sql = "select i.info, o.state, o.counts, o.cancel_by, o.cancel_at, o.updated_at, o.finished_at
         from operation o join operation_info i on i.id = o.id
         where (?1 is null or o.subject = ?1) and (?2 is null or o.id < ?2)
           and (?3 = '[]' or o.state in (select value from json_each(?3)))
         order by o.id desc limit ?4";
    rows.all(
        sql,
        params![
            query.subject,
            query.before.map(|id| id.to_string()),
            to_json("filter", &states)?,
            from_u64(query.limit as u64)
        ],
        "listing operations",
        |row| Ok(OperationRecord { info: json(row, 0)?, status: read_status(row, 1)? }),
    )
}

pub(super) fn finished_before(rows: &SqlRows<'_>, before: UnixMs, limit: usize) -> RowResult<Vec<OperationId>> {
    let sql =
        "select id from operation where finished_at is not null and finished_at < ?1 order by finished_at, id limit ?2";
    rows.all(sql, params![from_ms(before), from_u64(limit as u64)], "looking for old operations", |row| parsed(row, 0))
}

pub(super) fn delete(rows: &SqlRows<'_>, id: OperationId) -> RowResult<()> {
    let statements = [
        "delete from step where job in (select id from job_spec where operation = ?1)",
        "delete from job_after where before in (select id from job_spec where operation = ?1)",
        "delete from job where id in (select id from job_spec where operation = ?1)",
        "delete from job_spec where operation = ?1",
        "delete from event where operation = ?1",
        "delete from operation_info where id = ?1",
        "delete from operation where id = ?1",
    ];
    for sql in statements {
        rows.execute(sql, [id.to_string()], "deleting an old operation")?;
    }
    Ok(())
}
