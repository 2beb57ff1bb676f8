//! Writing out what changed: one statement for each kind of row, run for every row of that kind.
use rl_engine::{JobId, RowResult};
use rusqlite::{CachedStatement, Connection, params};

use super::{Cache, Job};
use crate::error::{Doing, StoreError};
use crate::sqlite::rows::convert::{from_ms, from_u64, to_json};
use crate::sqlite::rows::{job, operation, step};

const DOING: &str = "writing changed rows out";

fn prepared<'a>(connection: &'a Connection, sql: &str) -> Result<CachedStatement<'a>, StoreError> {
    connection.prepare_cached(sql).doing(DOING)
}

impl Cache {
    /// Sends every changed row to the database. Changes nothing here: what was sent is still marked as changed until the
    /// transaction is known to be kept.
    pub(in crate::sqlite) fn flush(&mut self, connection: &Connection) -> Result<(), StoreError> {
        // In the order of their keys, so that neighbours share pages; and each but once.
        self.changed.jobs.sort_unstable();
        self.changed.jobs.dedup();
        self.changed.operations.sort_unstable();
        self.changed.operations.dedup();
        self.flush_operations(connection)?;
        self.flush_jobs(connection)?;
        self.flush_steps(connection)?;
        self.flush_events(connection)?;
        self.deeds.flush(connection)?;
        if self.owners_changed {
            connection.execute("delete from owner", ()).doing(DOING)?;
            let mut insert = prepared(connection, "insert into owner (id, lease_until) values (?1, ?2)")?;
            for owner in self.owners.values() {
                insert.execute(params![owner.id.to_string(), from_ms(owner.lease_until)]).doing(DOING)?;
            }
        }
        Ok(())
    }

    fn flush_operations(&self, connection: &Connection) -> Result<(), StoreError> {
        if self.changed.operations.is_empty() {
            return Ok(());
        }
        let mut info = prepared(connection, operation::INSERT_INFO)?;
        let mut insert = prepared(connection, operation::INSERT)?;
        let mut update = prepared(connection, operation::UPDATE)?;
        for id in &self.changed.operations {
            let Some(row) = self.operations.get(id) else { continue };
            match (&row.insert, &row.info) {
                (Some(json), Some(fixed)) => {
                    let key = &fixed.idempotency_key;
                    info.execute(params![id.to_string(), key, json]).doing(DOING)?;
                    operation::insert_with(&mut insert, *id, &fixed.subject, &row.status).doing(DOING)?;
                }
                _ => operation::update_with(&mut update, *id, &row.status).doing(DOING)?,
            }
        }
        Ok(())
    }

    fn changed_jobs(&self) -> impl Iterator<Item = (JobId, &Job)> {
        self.changed.jobs.iter().filter_map(|id| self.jobs.get(id).map(|job| (*id, job)))
    }

    fn flush_jobs(&self, connection: &Connection) -> Result<(), StoreError> {
        if self.changed.jobs.is_empty() {
            return Ok(());
        }
        let mut spec = prepared(connection, job::INSERT_SPEC)?;
        let mut insert = prepared(connection, job::INSERT)?;
        let mut after = prepared(connection, job::INSERT_AFTER)?;
        let mut update = prepared(connection, job::UPDATE)?;
        for (id, row) in self.changed_jobs() {
            let Some(new) = &row.insert else {
                job::update_with(&mut update, id, &row.status).doing(DOING)?;
                continue;
            };
            let (id_text, operation) = (id.to_string(), row.operation.to_string());
            let (kind, place) = ((&new.kind, new.version), (&new.site, &new.node));
            spec.execute(params![id_text, operation, new.seq, kind.0, kind.1, new.locks, new.spec, place.0, place.1])
                .doing(DOING)?;
            job::insert_with(&mut insert, id, row.operation, (new.seq, new.priority), &row.status).doing(DOING)?;
            for before in &new.after {
                after.execute(params![before.to_string(), id_text]).doing(DOING)?;
            }
        }
        Ok(())
    }

    fn flush_steps(&self, connection: &Connection) -> RowResult<()> {
        let mut put = prepared(connection, step::PUT)?;
        for (_, row) in self.changed_jobs() {
            for step in row.steps.iter().flatten().filter(|step| step.changed) {
                step::put_with(&mut put, &step.record)?;
            }
        }
        Ok(())
    }

    fn flush_events(&self, connection: &Connection) -> Result<(), StoreError> {
        let mut insert = prepared(connection, step::INSERT_EVENT)?;
        for (seq, event) in &self.events {
            insert
                .execute(params![
                    from_u64(*seq),
                    event.operation.to_string(),
                    event.job.map(|job| job.to_string()),
                    event.kind,
                    to_json("event", &event.body)?,
                    from_ms(event.at)
                ])
                .doing(DOING)?;
        }
        Ok(())
    }
}
