//! Changed rows as columns: each is one parameter of a statement.
use rl_engine::{JobState, JobStatus, OperationStatus};

use super::conn::Param;
use super::flush::text;
use super::table::{ms, step_state_name, unwind_name};

#[derive(Default)]
pub(super) struct OperationColumns {
    pub(super) id: Vec<String>,
    pub(super) state: Vec<&'static str>,
    pub(super) counts: Vec<String>,
    pub(super) cancel_by: Vec<Option<String>>,
    pub(super) cancel_at: Vec<Option<i64>>,
    pub(super) updated_at: Vec<i64>,
    pub(super) finished_at: Vec<Option<i64>>,
}

#[derive(Default)]
pub(super) struct JobColumns {
    pub(super) id: Vec<String>,
    pub(super) state: Vec<&'static str>,
    pub(super) numbers: [Vec<i64>; 4],
    pub(super) owner: Vec<Option<String>>,
    pub(super) not_before: Vec<Option<i64>>,
    pub(super) flags: [Vec<i64>; 4],
    pub(super) unwind: Vec<Option<&'static str>>,
    pub(super) reason: Vec<Option<String>>,
    pub(super) hint: Vec<Option<String>>,
    pub(super) times: [Vec<Option<i64>>; 3],
}

#[derive(Default)]
pub(super) struct StepColumns {
    pub(super) job: Vec<String>,
    pub(super) direction: Vec<&'static str>,
    pub(super) name: Vec<String>,
    pub(super) position: Vec<i64>,
    pub(super) state: Vec<&'static str>,
    pub(super) attempt: Vec<i64>,
    pub(super) intent: Vec<Option<String>>,
    pub(super) ext_ref: Vec<Option<String>>,
    pub(super) receipt: Vec<Option<String>>,
    pub(super) at: Vec<i64>,
}

impl OperationColumns {
    pub(super) fn push(&mut self, id: String, status: &OperationStatus) {
        self.id.push(id);
        self.state.push(status.state.as_str());
        self.counts.push(text(&status.counts));
        self.cancel_by.push(status.cancel.as_ref().map(|cancel| cancel.by.clone()));
        self.cancel_at.push(status.cancel.as_ref().map(|cancel| ms(cancel.at)));
        self.updated_at.push(ms(status.updated_at));
        self.finished_at.push(status.finished_at.map(ms));
    }
}

impl JobColumns {
    pub(super) fn push(&mut self, id: String, status: &JobStatus) {
        self.id.push(id);
        self.state.push(JobState::as_str(status.state));
        let fence = i64::try_from(status.fence).unwrap_or(i64::MAX);
        let numbers = [status.waiting_for.into(), status.failures.into(), status.crashes.into(), fence];
        self.numbers.iter_mut().zip(numbers).for_each(|(column, number)| column.push(number));
        self.owner.push(status.owner.map(|owner| owner.to_string()));
        self.not_before.push(status.not_before.map(ms));
        let flags = [status.holds_locks, status.cancel, status.traces, status.open_step];
        self.flags.iter_mut().zip(flags).for_each(|(column, flag)| column.push(flag.into()));
        self.unwind.push(status.unwind.map(unwind_name));
        self.reason.push(status.reason.clone());
        self.hint.push(status.hint.clone());
        let times = [status.started_at, status.deadline_at, status.finished_at];
        self.times.iter_mut().zip(times).for_each(|(column, time)| column.push(time.map(ms)));
    }

    /// In the order of [`UPDATE_JOB`].
    pub(super) fn params(&self) -> Vec<Param<'_>> {
        let [waiting_for, failures, crashes, fence] = &self.numbers;
        let [holds_locks, cancel, traces, open_step] = &self.flags;
        let [started_at, deadline_at, finished_at] = &self.times;
        vec![
            &self.id,
            &self.state,
            waiting_for,
            failures,
            crashes,
            fence,
            &self.owner,
            &self.not_before,
            holds_locks,
            &self.unwind,
            cancel,
            traces,
            open_step,
            &self.reason,
            &self.hint,
            started_at,
            deadline_at,
            finished_at,
        ]
    }
}

impl StepColumns {
    pub(super) fn push(&mut self, step: &rl_engine::StepRecord) {
        self.job.push(step.job.to_string());
        self.direction.push(step.direction.as_str());
        self.name.push(step.name.clone());
        self.position.push(step.position.into());
        self.state.push(step_state_name(step.state));
        self.attempt.push(step.attempt.into());
        self.intent.push(step.intent.as_ref().map(text));
        self.ext_ref.push(step.ext_ref.clone());
        self.receipt.push(step.receipt.as_ref().map(text));
        self.at.push(ms(step.at));
    }

    /// In the order of [`INSERT_STEP`].
    pub(super) fn params(&self) -> Vec<Param<'_>> {
        vec![
            &self.job,
            &self.direction,
            &self.name,
            &self.position,
            &self.state,
            &self.attempt,
            &self.intent,
            &self.ext_ref,
            &self.receipt,
            &self.at,
        ]
    }
}
