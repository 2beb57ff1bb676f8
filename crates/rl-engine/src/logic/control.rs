//! What a person asks of an operation: cancel it, send it on, delete old ones.
use serde_json::json;

use crate::id::OperationId;
use crate::journal::{EventQuery, JournalError};
use crate::record::{CancelRequest, Event};
use crate::rows::{RowResult, Rows};
use crate::state::JobState;
use crate::time::UnixMs;
use crate::transition::{self, Cancelled};
use crate::tx::{Tx, not_found};

pub(super) fn request_cancel(tx: &mut Tx<'_>, id: OperationId, by: &str, now: UnixMs) -> RowResult<()> {
    let operation = tx.operation(id)?;
    if operation.cancel.is_some() {
        return Ok(());
    }
    if operation.state.is_finished() {
        return Err(JournalError::WrongState {
            what: format!("operation {id}"),
            state: operation.state.as_str().to_owned(),
            why: "only an operation that is not finished can be cancelled",
        });
    }
    operation.cancel = Some(CancelRequest { by: by.to_owned(), at: now });
    tx.moved(id, now);
    tx.event(id, None, "operation.cancel_requested", json!({ "by": by }), now)?;
    let reason = format!("the operation was cancelled by {by}");
    for job in tx.rows.open_jobs_of(id)? {
        let (_, old) = tx.job_status(job)?;
        match transition::cancelled(&old, now, &reason) {
            Cancelled::Unchanged => {}
            Cancelled::AtOnce(new) => {
                tx.put_job(id, job, old.state, &new, now)?;
                tx.event(id, Some(job), "job.cancelled", json!({ "reason": reason }), now)?;
            }
            Cancelled::ToUnwind(new) => tx.put_job(id, job, old.state, &new, now)?,
            Cancelled::Flagged(new) => {
                tx.put_job(id, job, old.state, &new, now)?;
                if let Some(owner) = old.owner {
                    tx.sched.flag_cancelled(owner, job);
                    tx.tell_cancel();
                }
            }
        }
    }
    Ok(())
}

pub(super) fn retry(tx: &mut Tx<'_>, id: OperationId, by: &str, now: UnixMs) -> RowResult<usize> {
    let info = tx.rows.operation_info(id)?.ok_or_else(|| not_found("operation", id))?;
    let state = tx.operation(id)?.state;
    let mut ready = Vec::new();
    for job in tx.rows.open_jobs_of(id)? {
        let (_, old) = tx.job_status(job)?;
        if let Some(new) = transition::sent_on(&old) {
            ready.push((job, old.state, new));
        }
    }
    if ready.is_empty() {
        return Err(JournalError::WrongState {
            what: format!("operation {id}"),
            state: state.as_str().to_owned(),
            why: "it has no blocked, parked, stuck or waiting-to-retry job to send on",
        });
    }
    if info.exclusive && state.is_finished() {
        super::submit::refuse_second(tx, &info.subject)?;
    }
    let count = ready.len();
    tx.event(id, None, "operation.retried", json!({ "by": by, "jobs": count }), now)?;
    for (job, old, new) in ready {
        debug_assert_eq!(new.state, JobState::Ready);
        tx.put_job(id, job, old, &new, now)?;
    }
    Ok(count)
}

/// Key of the value that says up to which event something was deleted.
const EVENTS_DELETED: &str = "events_deleted_to";

pub(super) fn prune(tx: &mut Tx<'_>, before: UnixMs, limit: usize) -> RowResult<usize> {
    let ids = tx.rows.finished_before(before, limit)?;
    let before = deleted_to(tx.rows)?;
    let mut deleted = before;
    for &id in &ids {
        deleted = deleted.max(tx.rows.last_event_of(id)?.unwrap_or(0));
        tx.rows.delete_operation(id)?;
    }
    if deleted > before {
        tx.rows.put_meta(EVENTS_DELETED, &deleted.to_string())?;
    }
    Ok(ids.len())
}

fn deleted_to(rows: &mut dyn Rows) -> RowResult<u64> {
    Ok(rows.meta(EVENTS_DELETED)?.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// A page of events. Who follows all operations and has not read what was deleted since is told so, once it is behind; who begins at
/// the beginning takes what there is.
pub(super) fn events(rows: &mut dyn Rows, query: &EventQuery) -> RowResult<Vec<Event>> {
    if query.after > 0 && query.operation.is_none() {
        let complete_after = deleted_to(rows)?;
        if query.after < complete_after {
            return Err(JournalError::EventsGone { after: query.after, complete_after });
        }
    }
    rows.list_events(query)
}
