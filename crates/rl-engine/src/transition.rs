//! The pure transitions of a job: from the old status and the moment to the new status. Every store applies these and no others.
use std::time::Duration;

use crate::id::OwnerId;
use crate::journal::Holder;
use crate::record::{JobStatus, Unwind};
use crate::state::JobState;
use crate::time::UnixMs;

/// A freshly submitted job that comes after `waiting_for` others.
pub fn submitted(waiting_for: u32) -> JobStatus {
    JobStatus {
        state: if waiting_for == 0 { JobState::Ready } else { JobState::Waiting },
        waiting_for,
        failures: 0,
        crashes: 0,
        fence: 0,
        owner: None,
        not_before: None,
        holds_locks: false,
        unwind: None,
        cancel: false,
        traces: false,
        open_step: false,
        reason: None,
        hint: None,
        started_at: None,
        deadline_at: None,
        finished_at: None,
    }
}

/// A claim raises the fence and, if none runs yet, starts the deadline.
pub fn claimed(old: &JobStatus, owner: OwnerId, now: UnixMs, deadline: Duration) -> JobStatus {
    debug_assert_eq!(old.state, JobState::Ready);
    let started_at = old.started_at.unwrap_or(now);
    JobStatus {
        state: JobState::Running,
        fence: old.fence + 1,
        owner: Some(owner),
        holds_locks: true,
        reason: None,
        hint: None,
        started_at: Some(started_at),
        deadline_at: Some(old.deadline_at.unwrap_or(now + deadline)),
        ..old.clone()
    }
}

/// Whether `holder` still holds the job.
pub fn is_held_by(status: &JobStatus, holder: &Holder) -> bool {
    status.state == JobState::Running && status.fence == holder.fence && status.owner == Some(holder.owner)
}

/// A call is announced or answered: from here on there is something that may have to be undone or looked up.
pub fn opened(old: &JobStatus) -> JobStatus {
    JobStatus { traces: true, open_step: true, ..old.clone() }
}

/// The announced call was certainly not carried out.
pub fn withdrawn(old: &JobStatus) -> JobStatus {
    JobStatus { open_step: false, ..old.clone() }
}

/// A step is finished, which is progress: attempts are counted anew.
pub fn progressed(old: &JobStatus) -> JobStatus {
    JobStatus { traces: true, open_step: false, failures: 0, crashes: 0, not_before: None, ..old.clone() }
}

/// The last of the jobs it comes after may be done now.
pub fn predecessor_done(old: &JobStatus) -> JobStatus {
    let waiting_for = old.waiting_for.saturating_sub(1);
    let state = if waiting_for == 0 && old.state == JobState::Waiting { JobState::Ready } else { old.state };
    JobStatus { waiting_for, state, ..old.clone() }
}

/// The job turns round and is undone from here on. One that has turned stays as it is: the first reason counts.
pub fn turned(old: &JobStatus, why: Unwind, reason: &str) -> JobStatus {
    if old.unwind.is_some() {
        return old.clone();
    }
    JobStatus { unwind: Some(why), failures: 0, crashes: 0, reason: Some(reason.to_owned()), hint: None, ..old.clone() }
}

/// The holder gives the job back unharmed, as on shutdown. Time in which nobody looks after a job does not count against its deadline.
pub fn released(old: &JobStatus) -> JobStatus {
    JobStatus { state: JobState::Ready, owner: None, deadline_at: None, holds_locks: old.open_step, ..old.clone() }
}

/// The world was busy: try again at `not_before`. Lock domains stay taken while a call is open.
pub fn backed_off(old: &JobStatus, not_before: UnixMs, reason: &str) -> JobStatus {
    JobStatus {
        state: JobState::Backoff,
        owner: None,
        // A call of an earlier owner that may still be under way is waited for in any case.
        not_before: Some(old.not_before.map_or(not_before, |until| until.max(not_before))),
        holds_locks: old.open_step,
        failures: old.failures + 1,
        reason: Some(reason.to_owned()),
        ..old.clone()
    }
}

/// The time of a job in back-off has come.
pub fn due(old: &JobStatus) -> JobStatus {
    JobStatus { state: JobState::Ready, not_before: None, ..old.clone() }
}

/// A person must act. A step that says so has looked: nothing of the job runs outside, so its lock domains are free. Where the
/// fate of a call is unknown they stay taken.
pub fn blocked(old: &JobStatus, reason: &str, hint: Option<&str>, fate_unknown: bool) -> JobStatus {
    JobStatus {
        state: JobState::Blocked,
        owner: None,
        holds_locks: fate_unknown,
        reason: Some(reason.to_owned()),
        hint: hint.map(str::to_owned),
        ..old.clone()
    }
}

/// This release cannot read the job. If a call is open, its lock domains stay taken: a newer release will look.
pub fn parked(old: &JobStatus, reason: &str) -> JobStatus {
    JobStatus {
        state: JobState::Parked,
        owner: None,
        holds_locks: old.open_step,
        reason: Some(reason.to_owned()),
        ..old.clone()
    }
}

/// The job is finished.
pub fn finished(old: &JobStatus, state: JobState, now: UnixMs, reason: Option<&str>) -> JobStatus {
    debug_assert!(state.is_finished());
    JobStatus {
        state,
        owner: None,
        not_before: None,
        holds_locks: false,
        open_step: false,
        cancel: false,
        reason: reason.map(str::to_owned).or_else(|| old.reason.clone().filter(|_| state != JobState::Done)),
        finished_at: Some(now),
        ..old.clone()
    }
}

/// The owner is gone. What the job had announced may still be under way, so its lock domains stay taken; where other processes
/// share the store a call may even be made until `calls_until`, and nothing is called before. Its deadline starts anew: a machine
/// that was off for a night must not fail what it goes on with.
pub fn orphaned(old: &JobStatus, calls_until: Option<UnixMs>) -> JobStatus {
    JobStatus {
        state: JobState::Ready,
        owner: None,
        not_before: calls_until.filter(|_| old.open_step).max(old.not_before),
        deadline_at: None,
        crashes: old.crashes + 1,
        ..old.clone()
    }
}

/// What a cancellation makes of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancelled {
    /// Nothing was done, so it is cancelled at once.
    AtOnce(JobStatus),
    /// Something was done and is undone by the next claim.
    ToUnwind(JobStatus),
    /// Its holder, or a newer release, must see the request first.
    Flagged(JobStatus),
    /// Finished, or already being undone.
    Unchanged,
}

/// Cancels a job.
pub fn cancelled(old: &JobStatus, now: UnixMs, reason: &str) -> Cancelled {
    match old.state {
        state if state.is_finished() => Cancelled::Unchanged,
        _ if old.unwind.is_some() => Cancelled::Unchanged,
        JobState::Running => Cancelled::Flagged(JobStatus { cancel: true, ..old.clone() }),
        JobState::Parked if old.traces => Cancelled::Flagged(JobStatus { cancel: true, ..old.clone() }),
        _ if old.traces => {
            let turned = turned(old, Unwind::Cancelled, reason);
            // A call of an owner that is gone may still be under way; a back-off need not be waited for.
            let not_before = old.not_before.filter(|_| old.open_step && old.crashes > 0);
            Cancelled::ToUnwind(JobStatus { state: JobState::Ready, not_before, ..turned })
        }
        _ => Cancelled::AtOnce(finished(old, JobState::Cancelled, now, Some(reason))),
    }
}

/// A person sends a blocked, parked, stuck or waiting-to-retry job on its way again; `None` for any other.
pub fn sent_on(old: &JobStatus) -> Option<JobStatus> {
    let may = matches!(old.state, JobState::Blocked | JobState::Parked | JobState::Stuck | JobState::Backoff);
    may.then(|| JobStatus {
        state: JobState::Ready,
        failures: 0,
        crashes: 0,
        not_before: None,
        hint: None,
        deadline_at: None,
        finished_at: None,
        ..old.clone()
    })
}
