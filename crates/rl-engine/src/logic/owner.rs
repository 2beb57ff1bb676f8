//! Engine runs: announcing one, keeping it alive, and taking over from one that is gone.
use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::id::OwnerId;
use crate::journal::{Beat, JournalError, KnownKinds, NEEDS_TO_KNOW, Recovered, RegisterRequest, known_or_reason};
use crate::record::OwnerRecord;
use crate::rows::RowResult;
use crate::state::JobState;
use crate::time::UnixMs;
use crate::transition;
use crate::tx::{Moment, Tx};

pub(super) fn register(
    tx: &mut Tx<'_>,
    exclusive: bool,
    owner: OwnerId,
    request: &RegisterRequest,
    at: Moment,
) -> RowResult<Recovered> {
    let now = at.now();
    let orphans = if exclusive {
        let mut orphans = 0;
        for gone in tx.rows.owners()? {
            orphans += bury(tx, gone.id, None, now)?;
        }
        orphans
    } else {
        expire(tx, owner, request.takeover_grace, now)?
    };
    tx.rows.put_owner(&OwnerRecord { id: owner, lease_until: at.stored(request.lease_until) })?;
    let unparked = unpark(tx, &request.known, false, now)?;
    tx.tell_work();
    Ok(Recovered { orphans, unparked })
}

pub(super) fn unregister(tx: &mut Tx<'_>, owner: OwnerId, now: UnixMs) -> RowResult<()> {
    if tx.rows.owner(owner)?.is_some() {
        bury(tx, owner, None, now)?;
    }
    Ok(())
}

pub(super) fn heartbeat(tx: &mut Tx<'_>, owner: OwnerId, lease_until: UnixMs, at: Moment) -> RowResult<Beat> {
    if tx.rows.owner(owner)?.is_none() {
        return Err(JournalError::OwnerLost { owner });
    }
    tx.rows.put_owner(&OwnerRecord { id: owner, lease_until: at.stored(lease_until) })?;
    Ok(Beat { cancelled: tx.sched.cancelled_of(owner) })
}

/// Takes the jobs of every other owner whose lease ran out. Whoever holds one next looks at once, and calls nothing before the
/// longest call of the old owner must have ended.
pub(super) fn expire(tx: &mut Tx<'_>, me: OwnerId, grace: Duration, now: UnixMs) -> RowResult<usize> {
    let mut orphans = 0;
    for other in tx.rows.owners()? {
        if other.id != me && other.lease_until <= now {
            orphans += bury(tx, other.id, Some(now + grace), now)?;
        }
    }
    Ok(orphans)
}

/// The store lost commits that were acknowledged: nobody can know what the engines did meanwhile. Every engine run is ended, its
/// jobs are handed on with their open steps, and each of their operations says so. Answers how many jobs that were.
pub fn roll_back(tx: &mut Tx<'_>, lost_versions: u64, now: UnixMs) -> RowResult<usize> {
    let mut jobs = 0;
    let mut operations = BTreeSet::new();
    for owner in tx.rows.owners()? {
        for id in tx.sched.running_of(owner.id) {
            operations.insert(tx.job_status(id)?.0);
        }
        // Its engine starts no call that its lease does not outlast.
        jobs += bury(tx, owner.id, Some(owner.lease_until.max(now)), now)?;
    }
    for operation in operations {
        tx.event(operation, None, "store.rolled_back", json!({ "lost_versions": lost_versions }), now)?;
    }
    tx.tell_work();
    Ok(jobs)
}

fn bury(tx: &mut Tx<'_>, gone: OwnerId, calls_until: Option<UnixMs>, now: UnixMs) -> RowResult<usize> {
    let jobs = tx.sched.running_of(gone);
    for &id in &jobs {
        let (operation, status) = tx.job_status(id)?;
        if status.state != JobState::Running || status.owner != Some(gone) {
            continue;
        }
        let orphaned = transition::orphaned(&status, calls_until);
        tx.put_job(operation, id, status.state, &orphaned, now)?;
        tx.event(operation, Some(id), "job.recovered", json!({ "interrupted": orphaned.crashes }), now)?;
    }
    tx.sched.forget_owner(gone);
    tx.rows.remove_owner(gone)?;
    Ok(jobs.len())
}

/// Makes parked jobs ready that a release knows. `unknown_only` leaves out those that are parked for another reason than that their
/// kind or version was not known: they would be parked again at once.
pub(super) fn unpark(tx: &mut Tx<'_>, known: &KnownKinds, unknown_only: bool, now: UnixMs) -> RowResult<usize> {
    let mut unparked = 0;
    for (id, kind, version) in tx.rows.parked_jobs()? {
        if known_or_reason(known, &kind, version).is_err() {
            continue;
        }
        let (operation, status) = tx.job_status(id)?;
        let unknown = status.reason.as_deref().is_some_and(|reason| reason.starts_with(NEEDS_TO_KNOW));
        if unknown_only && !unknown {
            continue;
        }
        if let Some(ready) = transition::sent_on(&status) {
            tx.put_job(operation, id, status.state, &ready, now)?;
            tx.event(operation, Some(id), "job.unparked", json!({}), now)?;
            unparked += 1;
        }
    }
    Ok(unparked)
}
