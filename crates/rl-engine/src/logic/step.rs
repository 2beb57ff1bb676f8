//! Recording steps: intent before the call, reference after it, outcome at the end.
use serde_json::{Value, json};

use crate::envelope::Envelope;
use crate::id::OperationId;
use crate::journal::{Finish, Holder, JournalError, Notice, StepKey};
use crate::record::{Direction, JobStatus, StepRecord, StepState};
use crate::rows::RowResult;
use crate::time::{UnixMs, millis};
use crate::transition;
use crate::tx::Tx;

pub(super) fn intent(
    tx: &mut Tx<'_>,
    holder: &Holder,
    key: &StepKey,
    value: Envelope,
    now: UnixMs,
) -> RowResult<StepRecord> {
    let (operation, status) = super::held(tx, holder)?;
    let mut step = step_or_new(tx, holder, key, now)?;
    step.state = StepState::Intent;
    step.attempt += 1;
    step.intent = Some(value);
    step.ext_ref = None;
    put(tx, operation, holder, &status, &transition::opened(&status), &step, now)?;
    Ok(step)
}

pub(super) fn submitted(
    tx: &mut Tx<'_>,
    holder: &Holder,
    key: &StepKey,
    ext_ref: String,
    now: UnixMs,
) -> RowResult<StepRecord> {
    let (operation, status) = super::held(tx, holder)?;
    let mut step = step_or_new(tx, holder, key, now)?;
    if step.intent.is_none() {
        return Err(JournalError::WrongState {
            what: format!("step `{}`", key.name),
            state: "without an intent".to_owned(),
            why: "a call must be announced before its answer is recorded",
        });
    }
    step.state = StepState::Submitted;
    step.ext_ref = Some(ext_ref);
    put(tx, operation, holder, &status, &transition::opened(&status), &step, now)?;
    let body = json!({ "step": key.name, "direction": key.direction.as_str(), "ref": step.ext_ref });
    tx.event(operation, Some(holder.job), "step.submitted", body, now)?;
    Ok(step)
}

pub(super) fn withdraw(tx: &mut Tx<'_>, holder: &Holder, key: &StepKey, now: UnixMs) -> RowResult<StepRecord> {
    let (operation, status) = super::held(tx, holder)?;
    let mut step = step_or_new(tx, holder, key, now)?;
    step.state = StepState::Withdrawn;
    step.ext_ref = None;
    put(tx, operation, holder, &status, &transition::withdrawn(&status), &step, now)?;
    Ok(step)
}

pub(super) fn outcome(
    tx: &mut Tx<'_>,
    holder: &Holder,
    key: &StepKey,
    receipt: Envelope,
    finish: Option<Finish>,
    now: UnixMs,
) -> RowResult<StepRecord> {
    let (operation, status) = super::held(tx, holder)?;
    let mut step = step_or_new(tx, holder, key, now)?;
    step.state = StepState::Done;
    step.receipt = Some(receipt);
    put(tx, operation, holder, &status, &transition::progressed(&status), &step, now)?;
    let kind = match key.direction {
        Direction::Do => "step.done",
        Direction::Undo => "step.undone",
    };
    tx.event(operation, Some(holder.job), kind, json!({ "step": key.name }), now)?;
    for target in tx.sched.answered(holder.job) {
        tx.tell_work();
        tx.event(operation, Some(holder.job), "target.answers", json!({ "target": &*target }), now)?;
    }
    if let Some(finish) = finish {
        super::finish::finish(tx, holder, &finish, now)?;
    }
    Ok(step)
}

/// Nobody knows whether the announced call of a step was carried out.
pub(super) fn mark_unknown(tx: &mut Tx<'_>, holder: &Holder, key: &StepKey, now: UnixMs) -> RowResult<()> {
    let mut step = step_or_new(tx, holder, key, now)?;
    step.state = StepState::Unknown;
    tx.rows.put_step(&step)
}

pub(super) fn note(tx: &mut Tx<'_>, holder: &Holder, step: Option<&str>, text: &str, now: UnixMs) -> RowResult<()> {
    let (operation, _) = super::held(tx, holder)?;
    let body: Value = json!({ "step": step, "text": text });
    tx.event(operation, Some(holder.job), "note", body, now)
}

pub(super) fn notice(tx: &mut Tx<'_>, holder: &Holder, notice: &Notice, now: UnixMs) -> RowResult<()> {
    let (operation, _) = super::held(tx, holder)?;
    let (kind, body) = match notice {
        Notice::Stalled { step, quiet, last } => {
            ("step.stalled", json!({ "step": step, "quiet_ms": millis(*quiet), "last": last }))
        }
        Notice::Moving { step } => ("step.moving", json!({ "step": step })),
        Notice::Deadline { allowed } => ("job.deadline", json!({ "allowed_ms": millis(*allowed) })),
    };
    tx.event(operation, Some(holder.job), kind, body, now)
}

fn step_or_new(tx: &mut Tx<'_>, holder: &Holder, key: &StepKey, now: UnixMs) -> RowResult<StepRecord> {
    let found = tx.rows.step(holder.job, &key.name, key.direction)?;
    let mut step = found.unwrap_or_else(|| StepRecord {
        job: holder.job,
        name: key.name.clone(),
        direction: key.direction,
        position: key.position,
        state: StepState::Withdrawn,
        attempt: 0,
        intent: None,
        ext_ref: None,
        receipt: None,
        at: now,
    });
    step.position = key.position;
    step.at = now;
    Ok(step)
}

fn put(
    tx: &mut Tx<'_>,
    operation: OperationId,
    holder: &Holder,
    old: &JobStatus,
    new: &JobStatus,
    step: &StepRecord,
    now: UnixMs,
) -> RowResult<()> {
    tx.rows.put_step(step)?;
    if old != new {
        tx.put_job(operation, holder.job, old.state, new, now)?;
    }
    Ok(())
}
