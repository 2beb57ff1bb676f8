//! Letting go of a job, and what follows for the jobs after it.
use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::id::{JobId, OperationId};
use crate::journal::{Finish, Holder, JournalError, follows};
use crate::record::{JobStatus, Unwind};
use crate::rows::RowResult;
use crate::state::JobState;
use crate::time::{UnixMs, millis};
use crate::transition;
use crate::tx::{Moment, Tx};

pub(super) fn turn(tx: &mut Tx<'_>, holder: &Holder, why: Unwind, reason: &str, now: UnixMs) -> RowResult<()> {
    let (operation, status) = super::held(tx, holder)?;
    tx.put_job(operation, holder.job, status.state, &transition::turned(&status, why, reason), now)?;
    tx.event(operation, Some(holder.job), "job.unwinding", json!({ "why": why, "reason": reason }), now)
}

pub(super) fn finish(tx: &mut Tx<'_>, holder: &Holder, finish: &Finish, now: UnixMs) -> RowResult<()> {
    let (operation, old) = super::held(tx, holder)?;
    let (new, kind, body) = decide(holder, &old, finish, now)?;
    if let Finish::Retry { unreachable: Some(target), .. } = finish {
        count_failure(tx, operation, holder, target, now)?;
    }
    if let Finish::Blocked { unknown: Some(key), .. } = finish {
        super::step::mark_unknown(tx, holder, key, now)?;
    }
    tx.put_job(operation, holder.job, old.state, &new, now)?;
    tx.event(operation, Some(holder.job), kind, body, now)?;
    follow(tx, operation, holder.job, new.state, now)
}

/// The time of a retry, told in the store's clock.
pub(super) fn stored(finish: Finish, at: Moment) -> Finish {
    match finish {
        Finish::Retry { not_before, reason, unreachable } => {
            Finish::Retry { not_before: at.stored(not_before), reason, unreachable }
        }
        finish => finish,
    }
}

/// After several failures in a row the jobs of what did not answer wait; the event says for how long.
fn count_failure(tx: &mut Tx<'_>, operation: OperationId, holder: &Holder, target: &str, now: UnixMs) -> RowResult<()> {
    let Some(pause) = tx.sched.failed(target, holder.job, now) else { return Ok(()) };
    let body = json!({ "target": target, "probe_after_ms": millis(pause) });
    tx.event(operation, Some(holder.job), "target.unreachable", body, now)
}

type Decision = (JobStatus, &'static str, Value);

fn decide(holder: &Holder, old: &JobStatus, finish: &Finish, now: UnixMs) -> RowResult<Decision> {
    // A cancellation that arrived while the holder was about to let go is carried out by the next claim.
    let cancelled = old.cancel && old.unwind.is_none();
    Ok(match finish {
        Finish::Done => (transition::finished(old, JobState::Done, now, None), "job.done", json!({})),
        Finish::Unwound => {
            let (state, kind) = match old.unwind {
                Some(Unwind::Failed) => (JobState::Failed, "job.failed"),
                Some(Unwind::Cancelled) => (JobState::Cancelled, "job.cancelled"),
                None => return Err(not_turned(holder)),
            };
            (transition::finished(old, state, now, None), kind, json!({ "reason": old.reason }))
        }
        Finish::Stuck { reason } => {
            let new = transition::finished(old, JobState::Stuck, now, Some(reason));
            (new, "job.stuck", json!({ "reason": reason, "while": old.reason }))
        }
        Finish::Retry { .. } | Finish::Blocked { .. } | Finish::Release if cancelled => {
            let turned = transition::turned(old, Unwind::Cancelled, "the operation was cancelled");
            (transition::released(&turned), "job.unwinding", json!({ "why": Unwind::Cancelled }))
        }
        Finish::Retry { not_before, reason, .. } => {
            let new = transition::backed_off(old, *not_before, reason);
            let body = json!({ "reason": reason, "after_ms": not_before.since(now).as_millis() as u64, "failures": new.failures });
            (new, "job.retrying", body)
        }
        Finish::Blocked { reason, hint, unknown } => {
            let new = transition::blocked(old, reason, hint.as_deref(), unknown.is_some());
            (new, "job.blocked", json!({ "reason": reason, "hint": hint }))
        }
        Finish::Parked { reason } => (transition::parked(old, reason), "job.parked", json!({ "reason": reason })),
        Finish::Release => (transition::released(old), "job.released", json!({})),
    })
}

fn not_turned(holder: &Holder) -> JournalError {
    JournalError::WrongState {
        what: format!("job {}", holder.job),
        state: "not being undone".to_owned(),
        why: "only a job that was turned can end as undone",
    }
}

/// Starts the jobs that waited for this one, or ends them when it did not succeed.
pub(super) fn follow(
    tx: &mut Tx<'_>,
    operation: OperationId,
    job: JobId,
    state: JobState,
    now: UnixMs,
) -> RowResult<()> {
    if state == JobState::Done {
        for id in tx.rows.followers(job)? {
            let (_, old) = tx.job_status(id)?;
            tx.put_job(operation, id, old.state, &transition::predecessor_done(&old), now)?;
        }
        return Ok(());
    }
    let mut ended = VecDeque::from([(job, state)]);
    while let Some((before, state)) = ended.pop_front() {
        let Some(next) = follows(state) else { continue };
        for id in tx.rows.followers(before)? {
            let (_, old) = tx.job_status(id)?;
            if old.state == JobState::Waiting {
                let reason = "a job it comes after did not succeed";
                tx.put_job(operation, id, old.state, &transition::finished(&old, next, now, Some(reason)), now)?;
                tx.event(operation, Some(id), &format!("job.{}", next.as_str()), json!({ "reason": reason }), now)?;
                ended.push_back((id, next));
            }
        }
    }
    Ok(())
}
