//! Operations.
use rl_engine::{
    CancelRequest, OperationId, OperationInfo, OperationQuery, OperationRecord, OperationState, OperationStatus,
    RowResult, UnixMs,
};
use rusqlite::{Row, params};

use super::SqlRows;
use super::convert::{from_ms, from_u64, json, ms, ms_opt, named, parsed, to_json};

const STATUS: &str = "state, counts, cancel_by, cancel_at, updated_at, finished_at";

pub(super) fn insert(rows: &SqlRows<'_>, info: &OperationInfo, status: &OperationStatus) -> RowResult<()> {
    let doing = "storing an operation";
    rows.execute(
        "insert into operation_info (id, idempotency_key, info) values (?1, ?2, ?3)",
        params![info.id.to_string(), info.idempotency_key, to_json("operation", info)?],
        doing,
    )?;
    rows.execute(
        "insert into operation (id, subject, state, counts, cancel_by, cancel_at, updated_at, finished_at)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            info.id.to_string(),
            info.subject,
            status.state.as_str(),
            to_json("operation", &status.counts)?,
            status.cancel.as_ref().map(|cancel| &cancel.by),
            status.cancel.as_ref().map(|cancel| from_ms(cancel.at)),
            from_ms(status.updated_at),
            status.finished_at.map(from_ms),
        ],
        doing,
    )?;
    Ok(())
}

pub(super) fn put_status(rows: &SqlRows<'_>, id: OperationId, status: &OperationStatus) -> RowResult<()> {
    rows.execute(
        "update operation set state = ?2, counts = ?3, cancel_by = ?4, cancel_at = ?5, updated_at = ?6, finished_at = ?7
         where id = ?1",
        params![
            id.to_string(),
            status.state.as_str(),
            to_json("operation", &status.counts)?,
            status.cancel.as_ref().map(|cancel| &cancel.by),
            status.cancel.as_ref().map(|cancel| from_ms(cancel.at)),
            from_ms(status.updated_at),
            status.finished_at.map(from_ms),
        ],
        "storing an operation's state",
    )?;
    Ok(())
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
