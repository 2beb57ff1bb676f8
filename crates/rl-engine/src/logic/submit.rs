//! Accepting an operation.
use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;

use crate::journal::{JournalError, Submitted, UNFINISHED_JOBS_MAX};
use crate::record::{JobSlot, OperationInfo, OperationStatus};
use crate::rows::{Hint, RowResult};
use crate::spec::OperationSpec;
use crate::state::JobCounts;
use crate::time::UnixMs;
use crate::transition;
use crate::tx::Tx;

/// Everything [`submit`] asks the rows for.
pub(super) fn hint(spec: &OperationSpec) -> Hint {
    Hint {
        operations: vec![spec.id],
        jobs: spec.jobs.iter().map(|job| job.id).collect(),
        keys: spec.idempotency_key.iter().cloned().collect(),
    }
}

/// Ready jobs that are no backlog however long they wait: servers that have just started, or a few large operations.
const BACKLOG_LONG: usize = 20_000;
/// Longest wait of a ready job, behind a long backlog, before new work is refused: more would only wait longer.
const QUEUE_WAIT_MAX: Duration = Duration::from_millis(250);
/// Least time after which a refused caller is told to come back.
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
/// Longest time after which a refused caller is told to come back.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// Accepts an operation with all its jobs inside a transaction that may do more, such as reserving what the jobs will use.
pub fn submit(tx: &mut Tx<'_>, spec: &OperationSpec, now: UnixMs) -> RowResult<Submitted> {
    let now = tx.at(now).now();
    if let Some(id) = existing(tx, spec)? {
        return Ok(Submitted { id, existing: true });
    }
    spec.check()?;
    refuse(tx, spec, now)?;
    let mut counts = JobCounts::default();
    let statuses: Vec<_> = spec
        .jobs
        .iter()
        .map(|job| {
            transition::submitted(u32::try_from(job.after.iter().collect::<HashSet<_>>().len()).unwrap_or(u32::MAX))
        })
        .collect();
    for status in &statuses {
        counts.add(status.state);
    }
    let info = OperationInfo::of(spec, now);
    let state = counts.operation_state(false);
    let finished_at = state.is_finished().then_some(now);
    tx.rows.insert_operation(&info, &OperationStatus { state, counts, cancel: None, updated_at: now, finished_at })?;
    for (seq, (job, status)) in (0u32..).zip(spec.jobs.iter().zip(&statuses)) {
        tx.rows.insert_job(spec.id, seq, job, status)?;
        if status.waiting_for == 0 {
            tx.sched.make_ready(JobSlot::of(job, spec.id, seq, &spec.subject), Some(now));
        }
    }
    tx.sched.count(spec.jobs.len(), 0);
    tx.tell_work();
    let body = json!({ "kind": spec.kind, "subject": spec.subject, "actor": spec.actor, "summary": spec.summary, "jobs": spec.jobs.len() });
    tx.event(spec.id, None, "operation.submitted", body, now)?;
    if state.is_finished() {
        tx.event(spec.id, None, "operation.state", json!({ "state": state.as_str() }), now)?;
    }
    Ok(Submitted { id: spec.id, existing: false })
}

fn existing(tx: &mut Tx<'_>, spec: &OperationSpec) -> RowResult<Option<crate::OperationId>> {
    if tx.rows.operation_status(spec.id)?.is_some() {
        return Ok(Some(spec.id));
    }
    match &spec.idempotency_key {
        Some(key) => tx.rows.operation_by_key(key),
        None => Ok(None),
    }
}

/// Back-pressure: why new work is refused at the moment. Work that was accepted is never refused anything.
pub(super) fn full(tx: &Tx<'_>, jobs: usize, now: UnixMs) -> Option<JournalError> {
    if tx.sched.unfinished() + jobs > UNFINISHED_JOBS_MAX {
        let why = format!("{UNFINISHED_JOBS_MAX} jobs are unfinished");
        return Some(JournalError::Full { why, retry_after: Some(RETRY_AFTER_MAX) });
    }
    let backlog = tx.sched.ready_len();
    let wait = tx.sched.queue_wait(now).filter(|wait| *wait > QUEUE_WAIT_MAX && backlog > BACKLOG_LONG)?;
    let why = format!(
        "{backlog} jobs are ready to run, and the last one that was started had waited for {} ms",
        wait.as_millis()
    );
    Some(JournalError::Full { why, retry_after: Some(wait.clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX)) })
}

fn refuse(tx: &mut Tx<'_>, spec: &OperationSpec, now: UnixMs) -> RowResult<()> {
    if let Some(full) = full(tx, spec.jobs.len(), now) {
        return Err(full);
    }
    for job in &spec.jobs {
        if tx.rows.job_status(job.id)?.is_some() {
            return Err(crate::spec::SpecError::Duplicate { what: job.id.to_string() }.into());
        }
    }
    if spec.exclusive {
        refuse_second(tx, &spec.subject)?;
    }
    Ok(())
}

/// At most one unfinished operation of an exclusive subject.
pub(super) fn refuse_second(tx: &mut Tx<'_>, subject: &str) -> RowResult<()> {
    match tx.rows.unfinished(subject)?.first() {
        Some(&operation) => Err(JournalError::Busy { subject: subject.to_owned(), operation }),
        None => Ok(()),
    }
}
