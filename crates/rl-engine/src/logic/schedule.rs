//! Schedules: setting them up, and starting what is due.
use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::time::Duration;

use crate::id::{Ids, JobId, OperationId};
use crate::journal::JournalError;
use crate::rows::RowResult;
use crate::schedule::{Fired, MissedPolicy, SCHEDULES_MAX, ScheduleName, ScheduleRecord, ScheduleSpec, ScheduleState};
use crate::spec::OperationSpec;
use crate::time::UnixMs;
use crate::tx::{Moment, Tx};

/// A time that is at most this late is not a missed one: the server was busy, or just being restarted.
const LATE_MAX: Duration = Duration::from_secs(60);
/// How long a schedule whose operation could not be started waits before it tries again.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// Most operations started by one look: one transaction. What is left is due again at once.
const STARTS_MAX: usize = 64;
/// Most missed times that are counted; further ones are left out without being counted, so that a clock that jumped by years costs nothing.
const COUNT_MAX: u32 = 10_000;

pub(super) fn put(tx: &mut Tx<'_>, spec: ScheduleSpec, now: UnixMs) -> RowResult<Option<UnixMs>> {
    let name = spec.name.clone();
    spec.check().map_err(|error| {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        refused(&name, format!("{error}{cause}"))
    })?;
    let known = tx.rows.schedule(&name)?;
    if known.is_none() && tx.rows.schedule_count()? >= SCHEDULES_MAX {
        return Err(refused(
            &name,
            format!("there are {SCHEDULES_MAX} schedules, more are not kept; remove one first"),
        ));
    }
    let next_at = spec.at.next_after(now);
    if next_at.is_none() {
        return Err(refused(&name, format!("`{}` names no moment that ever comes", spec.at.cron())));
    }
    let (paused, state) = known.map_or((false, ScheduleState::default()), |known| (known.paused, known.state));
    tx.rows.put_schedule(&ScheduleRecord { spec, next_at, paused, state })?;
    tx.tell_schedules();
    Ok(next_at)
}

pub(super) fn remove(tx: &mut Tx<'_>, name: &ScheduleName) -> RowResult<()> {
    known(tx, name)?;
    tx.rows.remove_schedule(name)?;
    tx.tell_schedules();
    Ok(())
}

pub(super) fn pause(tx: &mut Tx<'_>, name: &ScheduleName, paused: bool, now: UnixMs) -> RowResult<()> {
    let mut record = known(tx, name)?;
    if record.paused && !paused {
        // What passed while it was stopped was not to be.
        record.next_at = record.spec.at.next_after(now);
        record.state.problem = None;
    }
    record.paused = paused;
    tx.rows.put_schedule(&record)?;
    tx.tell_schedules();
    Ok(())
}

fn known(tx: &mut Tx<'_>, name: &ScheduleName) -> RowResult<ScheduleRecord> {
    tx.rows.schedule(name)?.ok_or_else(|| refused(name, "there is no such schedule".to_owned()))
}

fn refused(name: &ScheduleName, why: String) -> JournalError {
    JournalError::Schedule { name: name.to_string(), why }
}

/// Starts what is due. Every schedule's move to its next time and its submit are in this one transaction, so that of several servers
/// that look at once only the first starts anything.
pub(super) fn fire(tx: &mut Tx<'_>, ids: &Ids, at: Moment) -> RowResult<Fired> {
    let now = at.now();
    let mut started = Vec::new();
    let mut again = None;
    let mut records = tx.rows.schedules()?;
    for record in &mut records {
        follow_clock(tx, record, now)?;
    }
    if records.iter().any(|record| record.next_at.is_some_and(|next| next <= now)) {
        for mut record in records {
            while !record.paused && record.next_at.is_some_and(|due| due <= now) && started.len() < STARTS_MAX {
                match fire_one(tx, &mut record, ids, now)? {
                    Some(id) => started.push(id),
                    // Its operation cannot be started now, or its missed times were left out.
                    None if record.next_at.is_some_and(|due| due <= now) => {
                        again = Some(now + AGAIN_AFTER);
                        break;
                    }
                    None => {}
                }
            }
        }
    }
    let next = match started.len() >= STARTS_MAX {
        true => Some(now),
        // Those that could not start are due all the time; they are tried again after a while.
        false => next_after(tx, now)?.into_iter().chain(again).min(),
    };
    Ok(Fired { started, next_at: next.map(|next| at.told(next)) })
}

/// A schedule whose next time is later than the next one from now was moved on under a clock that was ahead and has been set back:
/// it would start nothing until the clock is there again. Times that it has started for already have their keys, so none starts twice.
fn follow_clock(tx: &mut Tx<'_>, record: &mut ScheduleRecord, now: UnixMs) -> RowResult<()> {
    let expected = record.spec.at.next_after(now);
    if record.paused || record.next_at.is_none() || record.next_at <= expected {
        return Ok(());
    }
    record.next_at = expected;
    tx.rows.put_schedule(record)
}

fn next_after(tx: &mut Tx<'_>, now: UnixMs) -> RowResult<Option<UnixMs>> {
    let next = tx.rows.schedules()?.into_iter().filter(|record| !record.paused).filter_map(|record| record.next_at);
    Ok(next.filter(|next| *next > now).min())
}

/// One due time of one schedule. Moves it to its next time, unless it has to wait for the one before.
fn fire_one(tx: &mut Tx<'_>, record: &mut ScheduleRecord, ids: &Ids, now: UnixMs) -> RowResult<Option<OperationId>> {
    let Some(due) = choose(record, now) else {
        tx.rows.put_schedule(record)?;
        return Ok(None);
    };
    if let Some(problem) = cannot_start(tx, &record.spec.operation, now)? {
        if record.spec.missed == MissedPolicy::Skip {
            record.state.missed += 1;
            record.next_at = record.spec.at.next_after(due.from);
        }
        if record.state.problem.as_ref() != Some(&problem) || record.spec.missed == MissedPolicy::Skip {
            record.state.problem = Some(problem);
            tx.rows.put_schedule(record)?;
        }
        return Ok(None);
    }
    let operation = operation(record, due.at, ids);
    let submitted = super::submit::submit(tx, &operation, now)?;
    record.state.last_at = Some(due.at);
    record.state.last_operation = Some(submitted.id);
    record.state.fired += u64::from(!submitted.existing);
    record.state.problem = None;
    record.next_at = record.spec.at.next_after(due.from);
    tx.rows.put_schedule(record)?;
    Ok((!submitted.existing).then_some(submitted.id))
}

/// A time to start for, and the time after which the next one is looked for.
struct Due {
    at: UnixMs,
    from: UnixMs,
}

/// Moves past the times that are not made up for. Answers the time to start for, if there is one.
fn choose(record: &mut ScheduleRecord, now: UnixMs) -> Option<Due> {
    let table = record.spec.at.clone();
    let one_by_one = record.spec.missed == MissedPolicy::CatchUp;
    let keep = if one_by_one { record.spec.catch_up_max.max(1) as usize } else { 1 };
    let mut times = VecDeque::from([record.next_at?]);
    let mut left_out = 0;
    for at in table.times_after(times[0]).take_while(|at| *at <= now) {
        times.push_back(at);
        if times.len() > keep {
            times.pop_front();
            left_out += 1;
        }
        if left_out >= COUNT_MAX {
            break;
        }
    }
    record.state.missed += u64::from(left_out);
    let at = times[0];
    record.next_at = Some(at);
    if record.spec.missed == MissedPolicy::Skip && now.since(at) > LATE_MAX {
        record.state.missed += 1;
        record.next_at = table.next_after(now);
        return None;
    }
    let from = if one_by_one && left_out < COUNT_MAX { at } else { now };
    Some(Due { at, from })
}

/// Why the operation of a schedule cannot be started now. Looked at beforehand, because a refused submit would take back the whole look.
fn cannot_start(tx: &mut Tx<'_>, operation: &OperationSpec, now: UnixMs) -> RowResult<Option<String>> {
    if let Err(error) = operation.check() {
        return Ok(Some(error.to_string()));
    }
    if let Some(full) = super::submit::full(tx, operation.jobs.len(), now) {
        return Ok(Some(full.to_string()));
    }
    let unfinished = match operation.exclusive {
        true => tx.rows.unfinished(&operation.subject)?.first().copied(),
        false => None,
    };
    Ok(unfinished.map(|id| format!("`{}` has the unfinished operation {id}", operation.subject)))
}

/// The operation of one time: new ids, and a key that no other time and no other schedule has.
fn operation(record: &ScheduleRecord, due: UnixMs, ids: &Ids) -> OperationSpec {
    let mut operation = record.spec.operation.clone();
    operation.id = ids.operation();
    operation.idempotency_key = Some(format!("schedule:{}:{}", record.spec.name, due.0));
    let new: HashMap<JobId, JobId> = operation.jobs.iter().map(|job| (job.id, ids.job())).collect();
    for job in &mut operation.jobs {
        job.id = new.get(&job.id).copied().unwrap_or(job.id);
        for after in &mut job.after {
            *after = new.get(after).copied().unwrap_or(*after);
        }
    }
    operation
}
