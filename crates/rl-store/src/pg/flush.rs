//! Telling the database what changed: a few statements of whole columns, sent together.
use std::collections::BTreeSet;
use std::fmt::Write as _;

use futures::future::{FutureExt, LocalBoxFuture, join_all};
use serde::Serialize;
use tokio_postgres::Statement;

use super::cache::Cache;
use super::columns::{JobColumns, OperationColumns, StepColumns};
use super::conn::{Conn, Param};
use super::error::PgError;
use super::table::{ms, step_state_name};

const INSERT_OPERATION: &str = "insert into operation (id, subject, state, counts, cancel_by, cancel_at, updated_at, finished_at)
    select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[])";
const INSERT_INFO: &str = "insert into operation_info (id, idempotency_key, info)
    select * from unnest($1::text[], $2::text[], $3::text[])";
const UPDATE_OPERATION: &str = "update operation as o set state = u.state, counts = u.counts, cancel_by = u.cancel_by,
      cancel_at = u.cancel_at, updated_at = u.updated_at, finished_at = u.finished_at
    from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
      as u(id, state, counts, cancel_by, cancel_at, updated_at, finished_at)
    where o.id = u.id";
const INSERT_JOB: &str = "insert into job (id, state, waiting_for, failures, crashes, fence, owner, not_before, holds_locks, unwind,
      cancel, traces, open_step, reason, hint, started_at, deadline_at, finished_at, operation, seq, priority)
    select * from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::bigint[],
      $9::bigint[], $10::text[], $11::bigint[], $12::bigint[], $13::bigint[], $14::text[], $15::text[], $16::bigint[],
      $17::bigint[], $18::bigint[], $19::text[], $20::bigint[], $21::bigint[])";
const INSERT_SPEC: &str = "insert into job_spec (id, operation, seq, kind, version, locks, spec, site, node)
    select * from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[],
      $9::text[])";
const INSERT_AFTER: &str = "insert into job_after (before, id) select * from unnest($1::text[], $2::text[])";
const UPDATE_JOB: &str = "update job as j set state = u.state, waiting_for = u.waiting_for, failures = u.failures, crashes = u.crashes,
      fence = u.fence, owner = u.owner, not_before = u.not_before, holds_locks = u.holds_locks, unwind = u.unwind,
      cancel = u.cancel, traces = u.traces, open_step = u.open_step, reason = u.reason, hint = u.hint,
      started_at = u.started_at, deadline_at = u.deadline_at, finished_at = u.finished_at
    from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::bigint[],
      $9::bigint[], $10::text[], $11::bigint[], $12::bigint[], $13::bigint[], $14::text[], $15::text[], $16::bigint[],
      $17::bigint[], $18::bigint[])
      as u(id, state, waiting_for, failures, crashes, fence, owner, not_before, holds_locks, unwind, cancel, traces, open_step,
        reason, hint, started_at, deadline_at, finished_at)
    where j.id = u.id";
const INSERT_STEP: &str = "insert into step (job, direction, name, position, state, attempt, intent, ext_ref, receipt, at)
    select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::text[], $8::text[],
      $9::text[], $10::bigint[])
    on conflict (job, direction, name) do update set position = excluded.position, state = excluded.state,
      attempt = excluded.attempt, intent = excluded.intent, ext_ref = excluded.ext_ref, receipt = excluded.receipt,
      at = excluded.at";
const INSERT_EVENT: &str = "insert into event (seq, operation, job, kind, body, at)
    select * from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])";
const PUT_OWNER: &str = "insert into owner (id, lease_until) select * from unnest($1::text[], $2::bigint[])
    on conflict (id) do update set lease_until = excluded.lease_until";
const REMOVE_OWNER: &str = "delete from owner where id = any($1::text[])";

/// Number, operation, job, kind, body and moment of new events.
type EventColumns = (Vec<i64>, Vec<String>, Vec<Option<String>>, Vec<String>, Vec<String>, Vec<i64>);

/// The columns of what changed.
#[derive(Default)]
pub(super) struct Changes {
    new_operations: OperationColumns,
    subjects: Vec<String>,
    infos: (Vec<String>, Vec<Option<String>>, Vec<String>),
    operations: OperationColumns,
    new_jobs: JobColumns,
    places: (Vec<String>, Vec<i64>, Vec<i64>),
    specs: (Vec<String>, Vec<i64>, Vec<String>, Vec<String>),
    targets: (Vec<Option<String>>, Vec<Option<String>>),
    after: (Vec<String>, Vec<String>),
    jobs: JobColumns,
    steps: StepColumns,
    events: EventColumns,
    owners: (Vec<String>, Vec<i64>),
    gone_owners: Vec<String>,
}

impl Changes {
    /// Takes everything the database has not been told yet.
    pub(super) fn take(cache: &mut Cache) -> Self {
        let mut changes = Self::default();
        changes.take_operations(cache);
        changes.take_jobs(cache);
        changes.take_events(cache);
        changes.take_owners(cache);
        changes
    }

    fn take_operations(&mut self, cache: &mut Cache) {
        for id in &cache.dirty_operations {
            let Some(entry) = cache.operations.get_mut(id) else { continue };
            match (entry.mark.take(), &entry.info) {
                (Some(true), Some(info)) => {
                    self.new_operations.push(id.to_string(), &entry.status);
                    self.subjects.push(info.subject.clone());
                    self.infos.0.push(id.to_string());
                    self.infos.1.push(info.idempotency_key.clone());
                    self.infos.2.push(text(&**info));
                }
                (Some(_), _) => self.operations.push(id.to_string(), &entry.status),
                (None, _) => {}
            }
        }
    }

    fn take_jobs(&mut self, cache: &mut Cache) {
        for id in &cache.dirty_jobs {
            let Some(entry) = cache.jobs.get_mut(id) else { continue };
            let written = entry.mark.take();
            match (written, &entry.spec) {
                (Some(true), Some(spec)) => {
                    let (id, operation) = (id.to_string(), entry.slot.operation.to_string());
                    for before in spec.after.iter().collect::<BTreeSet<_>>() {
                        self.after.0.push(before.to_string());
                        self.after.1.push(id.clone());
                    }
                    self.new_jobs.push(id, &entry.status);
                    self.places.0.push(operation);
                    self.places.1.push(entry.slot.seq.into());
                    self.places.2.push(entry.slot.priority.into());
                    self.specs.0.push(spec.payload.kind.clone());
                    self.specs.1.push(spec.payload.version.into());
                    self.specs.2.push(text(&spec.locks));
                    self.specs.3.push(text(&**spec));
                    self.targets.0.push(spec.site.clone());
                    self.targets.1.push(spec.node.clone());
                }
                (Some(_), _) => self.jobs.push(id.to_string(), &entry.status),
                (None, _) => {}
            }
            for known in entry.steps.iter_mut().flatten() {
                if known.mark.take().is_some() {
                    self.steps.push(&known.step);
                }
            }
        }
    }

    fn take_events(&mut self, cache: &mut Cache) {
        let from = cache.events_written.min(cache.events.len());
        for event in &cache.events[from..] {
            self.events.0.push(i64::try_from(event.seq).unwrap_or(i64::MAX));
            self.events.1.push(event.operation.to_string());
            self.events.2.push(event.job.map(|job| job.to_string()));
            self.events.3.push(event.kind.clone());
            self.events.4.push(event.body.to_string());
            self.events.5.push(ms(event.at));
        }
        cache.events_written = cache.events.len();
    }

    fn take_owners(&mut self, cache: &mut Cache) {
        for id in &cache.dirty_owners {
            match cache.owners.as_ref().and_then(|owners| owners.get(id)) {
                Some(owner) => {
                    self.owners.0.push(id.to_string());
                    self.owners.1.push(ms(owner.lease_until));
                }
                None => self.gone_owners.push(id.to_string()),
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.statements().is_empty()
    }

    /// The statements with their parameters, those that change anything.
    fn statements(&self) -> Vec<(&'static str, Vec<Param<'_>>)> {
        let mut all: Vec<(&'static str, bool, Vec<Param<'_>>)> = Vec::new();
        let new = &self.new_operations;
        let params: Vec<Param<'_>> = vec![
            &new.id,
            &self.subjects,
            &new.state,
            &new.counts,
            &new.cancel_by,
            &new.cancel_at,
            &new.updated_at,
            &new.finished_at,
        ];
        all.push((INSERT_OPERATION, new.id.is_empty(), params));
        all.push((INSERT_INFO, self.infos.0.is_empty(), vec![&self.infos.0, &self.infos.1, &self.infos.2]));
        let old = &self.operations;
        let params: Vec<Param<'_>> =
            vec![&old.id, &old.state, &old.counts, &old.cancel_by, &old.cancel_at, &old.updated_at, &old.finished_at];
        all.push((UPDATE_OPERATION, old.id.is_empty(), params));
        let mut params = self.new_jobs.params();
        params.extend([&self.places.0 as Param<'_>, &self.places.1, &self.places.2]);
        all.push((INSERT_JOB, self.new_jobs.id.is_empty(), params));
        let (kind, version, locks, spec) = &self.specs;
        let params: Vec<Param<'_>> = vec![
            &self.new_jobs.id,
            &self.places.0,
            &self.places.1,
            kind,
            version,
            locks,
            spec,
            &self.targets.0,
            &self.targets.1,
        ];
        all.push((INSERT_SPEC, kind.is_empty(), params));
        all.push((INSERT_AFTER, self.after.0.is_empty(), vec![&self.after.0, &self.after.1]));
        all.push((UPDATE_JOB, self.jobs.id.is_empty(), self.jobs.params()));
        all.push((INSERT_STEP, self.steps.job.is_empty(), self.steps.params()));
        let (seq, operation, job, kind, body, at) = &self.events;
        all.push((INSERT_EVENT, seq.is_empty(), vec![seq, operation, job, kind, body, at]));
        all.push((PUT_OWNER, self.owners.0.is_empty(), vec![&self.owners.0, &self.owners.1]));
        all.push((REMOVE_OWNER, self.gone_owners.is_empty(), vec![&self.gone_owners]));
        all.into_iter().filter(|(_, is_empty, _)| !is_empty).map(|(sql, _, params)| (sql, params)).collect()
    }

    /// Sends the statements together, and after them `last`, each with its parameters. The answers come in the same order; the
    /// first that failed counts.
    pub(super) fn send(
        &self,
        conn: &mut Conn,
        last: &[(&str, Vec<Param<'_>>)],
        doing: &'static str,
    ) -> Result<(), PgError> {
        if self.is_empty() && last.is_empty() {
            return Ok(());
        }
        let mut prepared: Vec<(Statement, Vec<Param<'_>>)> = Vec::new();
        for (sql, params) in self.statements() {
            prepared.push((conn.prepared(sql, doing)?, params));
        }
        for (sql, params) in last {
            prepared.push((conn.prepared(sql, doing)?, params.clone()));
        }
        let client = conn.client();
        let sent =
            prepared.iter().map(|(statement, params)| -> LocalBoxFuture<'_, Result<u64, tokio_postgres::Error>> {
                // Not `async move`: the request is queued when the future is first asked, and that must happen in this order.
                client.execute(statement, params).boxed_local()
            });
        let sent: Vec<_> = sent.collect();
        let answers = conn.wait(doing, async { Ok(join_all(sent).await) })?;
        answers.into_iter().try_for_each(|answer| answer.map(drop)).map_err(|error| PgError::of(doing, error))
    }
}

/// The ids of everything that changed, for the other servers: jobs and operations.
pub(super) fn changed_ids(cache: &Cache) -> (String, String) {
    let (mut jobs, mut operations) = (String::new(), String::new());
    for id in cache.dirty_jobs.iter().collect::<BTreeSet<_>>() {
        // Writing to a text cannot fail.
        let _ = write!(jobs, "{id}");
    }
    for id in cache.dirty_operations.iter().collect::<BTreeSet<_>>() {
        let _ = write!(operations, "{id}");
    }
    (jobs, operations)
}

/// A value of ours as JSON: none of them has a form that JSON lacks.
pub(super) fn text<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("the engine's records have string keys alone, so that each has a JSON form")
}

/// Writes one step at once, for a job whose steps are not at hand.
pub(super) fn put_step(core: &mut super::txn::Core, step: &rl_engine::StepRecord) -> rl_engine::RowResult<()> {
    let sql = "insert into step (job, direction, name, position, state, attempt, intent, ext_ref, receipt, at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        on conflict (job, direction, name) do update set position = excluded.position, state = excluded.state,
          attempt = excluded.attempt, intent = excluded.intent, ext_ref = excluded.ext_ref, receipt = excluded.receipt,
          at = excluded.at";
    let values = crate::sql::values![
        step.job.to_string(),
        step.direction.as_str(),
        &step.name,
        step.position,
        step_state_name(step.state),
        step.attempt,
        step.intent.as_ref().map(text),
        step.ext_ref.as_ref(),
        step.receipt.as_ref().map(text),
        step.at,
    ];
    core.change(sql, values, "storing a step").map(drop)
}
