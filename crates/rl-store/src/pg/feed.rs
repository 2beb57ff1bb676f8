//! What other servers did: followed change by change, or read anew as a whole.
use std::collections::HashSet;

use rl_engine::{JobId, JournalError, OperationId, RowResult, Sched, StepRecord, StepState, Tx, UnixMs};

use super::error::PgError;
use super::head::Head;
use super::table::{self, all, split_ids, texts};
use super::txn::Core;

/// Most jobs read by one statement.
const CHUNK: usize = 5_000;
/// Most changed jobs that are followed one by one; beyond it everything is read.
const FOLLOW_MAX: usize = 50_000;

/// Follows every change since a version. `false` when the changes are not all there, or too many: then everything is to be read.
/// `now` is the time of claims, if it is known.
pub(super) fn follow(core: &mut Core, sched: &mut Sched, since: u64, now: Option<UnixMs>) -> Result<bool, PgError> {
    let (from, to) = (number(since), number(core.head.version));
    let Some(conn) = &mut core.conn else { return Ok(false) };
    if to - from > number(super::session::CHANGES_KEPT) {
        return Ok(false);
    }
    let sql = "select jobs, operations from change where version > $1 and version <= $2 order by version";
    let changes = all(conn, sql, &[&from, &to], "following other servers", |row| {
        Ok((split_ids::<JobId>(row.text(0)?), split_ids::<OperationId>(row.text(1)?)))
    })?;
    if number(changes.len() as u64) != to - from {
        return Ok(false);
    }
    let mut jobs = HashSet::new();
    for (changed, operations) in changes {
        jobs.extend(changed);
        for id in operations {
            core.cache.operations.remove(&id);
        }
    }
    core.cache.owners = None;
    if jobs.len() > FOLLOW_MAX {
        return Ok(false);
    }
    let jobs: Vec<JobId> = jobs.into_iter().collect();
    for chunk in jobs.chunks(CHUNK) {
        mirror(core, sched, chunk, now)?;
    }
    Ok(true)
}

fn mirror(core: &mut Core, sched: &mut Sched, ids: &[JobId], now: Option<UnixMs>) -> Result<(), PgError> {
    for id in ids {
        core.cache.jobs.remove(id);
    }
    let Some(conn) = &mut core.conn else { return Ok(()) };
    let mut gone: HashSet<JobId> = ids.iter().copied().collect();
    for (slot, status) in table::slots(conn, &texts(ids))? {
        gone.remove(&slot.id);
        sched.mirror(slot, &status, now);
    }
    gone.into_iter().for_each(|id| sched.forget(id));
    Ok(())
}

/// Reads every unfinished job anew; nothing at hand is believed any more except what this transaction changed. What is not in
/// the rows (which nodes did not answer) is kept. `now` is the time of claims, if it is known.
pub(super) fn rebuild(core: &mut Core, old: Sched, now: Option<UnixMs>) -> Result<Sched, PgError> {
    core.tell(false).map_err(|error| PgError::Ended { why: error.to_string() })?;
    core.cache.forget_clean();
    let Some(conn) = &mut core.conn else { return Ok(old) };
    let mut sched = old.emptied();
    // Events may have come from elsewhere, as with a store that was copied.
    let last = all(conn, "select coalesce(max(seq), 0) from event", &[], "reading the last event", |row| row.count(0))?;
    let last = last.first().copied().unwrap_or(0);
    core.head.last_event = core.head.last_event.max(last);
    core.cache.last_event = core.cache.last_event.max(last);
    let mut last = None;
    let mut unfinished = 0;
    loop {
        let chunk = table::unfinished_jobs(conn, last.as_ref(), CHUNK)?;
        unfinished += chunk.len();
        let ended = chunk.len() < CHUNK;
        for (slot, status) in chunk {
            last = Some(slot.clone());
            sched.mirror(slot, &status, now);
        }
        if ended {
            sched.set_unfinished(unfinished);
            core.head.unfinished = unfinished as u64;
            return Ok(sched);
        }
    }
}

/// Whether what was seen last is gone: then how many versions, as far as can be told.
pub(super) fn lost_versions(core: &mut Core, seen: &Head) -> Result<Option<u64>, PgError> {
    let head = &core.head;
    if head.version < seen.version {
        return Ok(Some(seen.version - head.version));
    }
    if (head.version, &head.writer, head.batch) == (seen.version, &seen.writer, seen.batch) || seen.batch == 0 {
        return Ok(None);
    }
    match author(core, seen.version)? {
        Some(author) if author == (seen.writer.clone(), seen.batch) => Ok(None),
        Some(_) => Ok(Some(1)),
        // Its change was removed because it is old, or it is one that a roll-back of another server skipped over.
        None if core.head.version - seen.version > super::session::CHANGES_KEPT => Ok(None),
        None => Ok(Some(1)),
    }
}

/// Whether a commit is in the database.
pub(super) fn is_written(core: &mut Core, next: &Head) -> Result<bool, PgError> {
    Ok(author(core, next.version)?.is_some_and(|author| author == (next.writer.clone(), next.batch)))
}

fn author(core: &mut Core, version: u64) -> Result<Option<(String, u64)>, PgError> {
    let Some(conn) = &mut core.conn else { return Ok(None) };
    let sql = "select writer, batch from change where version = $1";
    let read = |row: &crate::sql::SqlRow| Ok((row.text(0)?.to_owned(), row.count(1)?));
    Ok(all(conn, sql, &[&number(version)], "looking for a commit", read)?.into_iter().next())
}

/// The steps of unfinished jobs that this server knows, when the database may have lost some.
pub(super) fn salvage(core: &Core, may_be_lost: bool) -> Vec<StepRecord> {
    if !may_be_lost {
        return Vec::new();
    }
    let entries = core.cache.jobs.values();
    entries.flat_map(|entry| entry.steps.iter().flatten()).map(|known| StepRecord::clone(&known.step)).collect()
}

/// Records steps again that the database has lost, of jobs that it still has and that are not finished; answers how many.
pub(super) fn put_back(tx: &mut Tx<'_>, known: &[StepRecord]) -> RowResult<usize> {
    let mut count = 0;
    for step in known {
        let Some((_, mut status)) = tx.rows.job_status(step.job)? else { continue };
        if status.state.is_finished() {
            continue;
        }
        let stored = match tx.rows.step(step.job, &step.name, step.direction) {
            Err(JournalError::Undecodable { .. }) => continue,
            stored => stored?,
        };
        let is_further = |stored: &StepRecord| (stored.attempt, rank(stored.state)) >= (step.attempt, rank(step.state));
        if stored.as_ref().is_some_and(is_further) {
            continue;
        }
        tx.rows.put_step(step)?;
        status.traces = true;
        status.open_step |= matches!(step.state, StepState::Intent | StepState::Submitted);
        tx.rows.put_job_status(step.job, &status)?;
        count += 1;
    }
    Ok(count)
}

/// How far a step is.
fn rank(state: StepState) -> u8 {
    match state {
        StepState::Intent => 0,
        StepState::Submitted => 1,
        StepState::Withdrawn | StepState::Unknown => 2,
        StepState::Done => 3,
    }
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
