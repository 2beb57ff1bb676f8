//! Handing out jobs.
use std::time::Duration;

use serde_json::json;

use crate::id::{JobId, OperationId};
use crate::journal::{ClaimRequest, Claimed, Claims, Holder, JournalError, known_or_reason};
use crate::record::{JobRecord, JobStatus, StepState};
use crate::rows::RowResult;
use crate::sched::{Held, Pick};
use crate::state::JobState;
use crate::time::UnixMs;
use crate::transition;
use crate::tx::{Moment, Tx, not_found};

/// Most jobs handed out by one claim: one transaction, and its answer is held in memory.
const CLAIM_MAX: usize = 512;
/// How long a job that one of several servers does not know is left to the others before it is parked: time for a server that knows
/// it to have room.
const PARK_AFTER: Duration = Duration::from_secs(30);
/// Most timers looked at by one claim; the rest is due again at once.
const DUE_MAX: usize = 2_000;

pub(super) fn claim(tx: &mut Tx<'_>, exclusive: bool, request: &ClaimRequest, at: Moment) -> RowResult<Claims> {
    let now = at.now();
    if tx.rows.owner(request.owner)?.is_none() {
        return Err(JournalError::OwnerLost { owner: request.owner });
    }
    if !exclusive {
        super::owner::expire(tx, request.owner, request.takeover_grace, now)?;
    }
    wake_due(tx, now)?;
    if tx.sched.look_at_parked(request.owner) {
        super::owner::unpark(tx, &request.known, true, now)?;
    }
    // Among several servers there may be one of a newer release.
    let others = !exclusive && tx.rows.owners()?.len() > 1;
    let limit = request.limit.min(CLAIM_MAX);
    let mut jobs = Vec::new();
    while jobs.len() < limit {
        let (max, foreign_grace) = (limit - jobs.len(), request.foreign_grace);
        let picked = tx.sched.pick(Pick { max, sites: &request.sites, foreign_grace, now, known: &request.known });
        for held in &picked.held {
            say_why(tx, held)?;
        }
        if picked.jobs.is_empty() {
            break;
        }
        tx.rows.prefetch(&picked.jobs)?;
        for (id, waited) in picked.jobs.into_iter().zip(picked.waits) {
            jobs.extend(claim_one(tx, id, request, others, now)?.map(|claimed| Claimed { waited, ..claimed }));
        }
    }
    for claimed in &mut jobs {
        tell(claimed, at);
    }
    Ok(Claims { jobs, next_due: next_due(tx, exclusive)?.map(|due| at.told(due)) })
}

/// The times that the holder compares with its own clock are told in that clock.
fn tell(claimed: &mut Claimed, at: Moment) {
    let status = &mut claimed.job.status;
    for time in [&mut status.deadline_at, &mut status.not_before].into_iter().flatten() {
        *time = at.told(*time);
    }
    for step in &mut claimed.steps {
        step.at = at.told(step.at);
    }
}

/// A job that waits because its node does not answer says so.
fn say_why(tx: &mut Tx<'_>, held: &Held) -> RowResult<()> {
    let (_, mut status) = tx.job_status(held.job)?;
    let reason = format!("{} does not answer; one job at a time tries it, the others wait", held.target);
    if status.state == JobState::Ready && status.reason.as_ref() != Some(&reason) {
        status.reason = Some(reason);
        tx.rows.put_job_status(held.job, &status)?;
    }
    Ok(())
}

/// Back-off that ends, or, where others share the store, a lease that may end without a heartbeat.
fn next_due(tx: &mut Tx<'_>, exclusive: bool) -> RowResult<Option<UnixMs>> {
    let timer = tx.sched.next_due();
    let lease = match exclusive {
        true => None,
        false => tx.rows.owners()?.iter().map(|owner| owner.lease_until).min(),
    };
    Ok(timer.into_iter().chain(lease).min())
}

fn wake_due(tx: &mut Tx<'_>, now: UnixMs) -> RowResult<()> {
    for id in tx.sched.due(now, DUE_MAX) {
        let (operation, status) = tx.job_status(id)?;
        if status.state == JobState::Backoff {
            tx.put_job(operation, id, status.state, &transition::due(&status), now)?;
        }
    }
    Ok(())
}

fn claim_one(
    tx: &mut Tx<'_>,
    id: JobId,
    request: &ClaimRequest,
    others: bool,
    now: UnixMs,
) -> RowResult<Option<Claimed>> {
    let mut record = match tx.rows.job(id) {
        Ok(record) => record.ok_or_else(|| not_found("job", id))?,
        Err(JournalError::Undecodable { what, .. }) => {
            let (operation, status) = tx.job_status(id)?;
            park(tx, operation, id, &status, &unreadable(&what), now)?;
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    debug_assert_eq!(record.status.state, JobState::Ready, "the scheduler handed out a job that is not ready");
    let payload = &record.spec.payload;
    if let Err(reason) = known_or_reason(&request.known, &payload.kind, payload.version) {
        let (shape, held) = ((payload.kind.as_str(), payload.version), record.status.holds_locks);
        if others && tx.sched.leave_to_others(id, shape, held, PARK_AFTER, now) {
            return Ok(None);
        }
        park(tx, record.operation, id, &record.status, &reason, now)?;
        return Ok(None);
    }
    let steps = match tx.rows.steps_of(id) {
        Err(JournalError::Undecodable { what, .. }) => {
            park(tx, record.operation, id, &record.status, &unreadable(&what), now)?;
            return Ok(None);
        }
        steps => steps?,
    };
    let calling = steps.iter().any(|step| step.state == StepState::Intent);
    let new = start(tx, &record, request, calling, now)?;
    let holder = Holder { job: id, fence: new.fence, owner: request.owner };
    record.status = new;
    let operation = tx.rows.known_operation_info(record.operation);
    Ok(Some(Claimed { holder, job: record, steps, operation, waited: Duration::ZERO }))
}

fn unreadable(what: &str) -> String {
    format!("needs at least a release that can read its {what}; this one cannot")
}

fn start(
    tx: &mut Tx<'_>,
    record: &JobRecord,
    request: &ClaimRequest,
    calling: bool,
    now: UnixMs,
) -> RowResult<JobStatus> {
    let deadline: Duration = record.spec.deadline.unwrap_or(request.deadline_default);
    let mut new = transition::claimed(&record.status, request.owner, now, deadline);
    // Only a call that was announced and not answered can still be under way.
    new.not_before = record.status.not_before.filter(|until| calling && *until > now);
    tx.put_job(record.operation, record.spec.id, record.status.state, &new, now)?;
    let body = json!({ "key": record.spec.key, "run": new.fence, "undo": new.unwind.is_some() });
    tx.event(record.operation, Some(record.spec.id), "job.started", body, now)?;
    Ok(new)
}

pub(super) fn park(
    tx: &mut Tx<'_>,
    operation: OperationId,
    id: JobId,
    status: &JobStatus,
    reason: &str,
    now: UnixMs,
) -> RowResult<()> {
    tx.put_job(operation, id, status.state, &transition::parked(status, reason), now)?;
    tx.event(operation, Some(id), "job.parked", json!({ "reason": reason }), now)
}
