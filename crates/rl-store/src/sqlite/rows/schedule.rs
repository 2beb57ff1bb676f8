//! Schedules, and values about the store as a whole.
use rl_engine::{RowResult, ScheduleName, ScheduleRecord, UnixMs};
use rusqlite::{Row, params};

use super::SqlRows;
use super::convert::{from_ms, json, ms_opt, to_json};

fn read(row: &Row<'_>) -> rusqlite::Result<ScheduleRecord> {
    Ok(ScheduleRecord { spec: json(row, 0)?, next_at: ms_opt(row, 1)?, paused: row.get(2)?, state: json(row, 3)? })
}

pub(super) fn one(rows: &SqlRows<'_>, name: &ScheduleName) -> RowResult<Option<ScheduleRecord>> {
    let sql = "select spec, next_at, paused, state from schedule where name = ?1";
    rows.first(sql, [name.as_str()], "reading a schedule", read)
}

/// All schedules. One that this release cannot read is left alone and passed over: the others must go on.
pub(super) fn all(rows: &SqlRows<'_>) -> RowResult<Vec<ScheduleRecord>> {
    let sql = "select spec, next_at, paused, state, name from schedule order by name";
    let found = rows.all(sql, (), "reading the schedules", |row| match read(row) {
        Ok(record) => Ok(Some(record)),
        Err(error) => {
            let name: String = row.get(4)?;
            tracing::warn!(schedule = name, %error, "a schedule cannot be read by this release; it starts nothing here");
            Ok(None)
        }
    })?;
    Ok(found.into_iter().flatten().collect())
}

pub(super) fn next(rows: &SqlRows<'_>) -> RowResult<Option<UnixMs>> {
    let sql = "select min(next_at) from schedule where paused = 0 and next_at is not null";
    Ok(rows.first(sql, (), "reading when a schedule is due", |row| ms_opt(row, 0))?.flatten())
}

pub(super) fn put(rows: &SqlRows<'_>, schedule: &ScheduleRecord) -> RowResult<()> {
    rows.execute(
        "insert or replace into schedule (name, spec, next_at, paused, state) values (?1, ?2, ?3, ?4, ?5)",
        params![
            schedule.spec.name.as_str(),
            to_json("schedule", &schedule.spec)?,
            schedule.next_at.map(from_ms),
            schedule.paused,
            to_json("schedule", &schedule.state)?
        ],
        "storing a schedule",
    )?;
    Ok(())
}

pub(super) fn remove(rows: &SqlRows<'_>, name: &ScheduleName) -> RowResult<()> {
    rows.execute("delete from schedule where name = ?1", [name.as_str()], "removing a schedule")?;
    Ok(())
}

pub(super) fn meta(rows: &SqlRows<'_>, key: &str) -> RowResult<Option<String>> {
    rows.first("select value from meta where key = ?1", [key], "reading about the store", |row| row.get(0))
}

pub(super) fn put_meta(rows: &SqlRows<'_>, key: &str, value: &str) -> RowResult<()> {
    let sql = "insert or replace into meta (key, value) values (?1, ?2)";
    rows.execute(sql, [key, value], "storing about the store")?;
    Ok(())
}
