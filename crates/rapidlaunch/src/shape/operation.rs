//! Operations, jobs, steps and events.

use std::collections::BTreeMap;

use rl_engine::{
    Direction, Event, JobRecord, JobState, OperationId, OperationRecord, OperationState, StepRecord, StepState,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::CommandError;

/// Long work was accepted.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Accepted {
    /// The operation that does it.
    pub(crate) operation: String,
}

impl Accepted {
    /// The operation's id.
    pub(crate) fn id(&self) -> Result<OperationId, CommandError> {
        id(&self.operation)
    }
}

fn id(text: &str) -> Result<OperationId, CommandError> {
    text.parse().map_err(|_| CommandError::failed(format!("`{text}` is no id of an operation")))
}

/// An operation.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct OperationShape {
    /// Its id.
    pub(crate) id: String,
    /// What is done: `apply`, `destroy`, `guest`.
    pub(crate) kind: String,
    /// The stack it is about.
    pub(crate) stack: String,
    /// One line for people.
    pub(crate) summary: String,
    /// Who asked for it.
    pub(crate) actor: String,
    /// `running`, `blocked`, `done`, `failed`, `cancelled` or `stuck`.
    pub(crate) state: String,
    /// How many of its jobs are in which state.
    pub(crate) jobs_by_state: BTreeMap<String, usize>,
    /// When it was accepted.
    pub(crate) created_at_ms: u64,
    /// When its last job ended.
    pub(crate) finished_at_ms: Option<u64>,
    /// Who asked to cancel it.
    pub(crate) cancelled_by: Option<String>,
}

impl OperationShape {
    /// Its id.
    pub(crate) fn parsed_id(&self) -> Result<OperationId, CommandError> {
        id(&self.id)
    }

    /// Whether it is still to be settled.
    pub(crate) fn is_open(&self) -> bool {
        [OperationState::Running, OperationState::Blocked].iter().any(|state| state.as_str() == self.state)
    }

    /// The shape of a record.
    pub(crate) fn of(record: &OperationRecord) -> Self {
        let count = |state: &JobState| {
            let count = record.status.counts.of(*state);
            (count > 0).then(|| (state.as_str().to_owned(), count as usize))
        };
        Self {
            id: record.info.id.to_string(),
            kind: record.info.kind.clone(),
            stack: record.info.subject.clone(),
            summary: record.info.summary.clone(),
            actor: record.info.actor.clone(),
            state: record.status.state.as_str().to_owned(),
            jobs_by_state: JobState::ALL.iter().filter_map(count).collect(),
            created_at_ms: record.info.created_at.0,
            finished_at_ms: record.status.finished_at.map(|at| at.0),
            cancelled_by: record.status.cancel.as_ref().map(|cancel| cancel.by.clone()),
        }
    }
}

/// An operation with its jobs.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct OperationWhole {
    /// The operation.
    #[serde(flatten)]
    pub(crate) operation: OperationShape,
    /// Its jobs, in their order.
    pub(crate) jobs: Vec<JobShape>,
}

/// A job: what is done to one guest.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct JobShape {
    /// Its id.
    pub(crate) id: String,
    /// What it does, in a few words.
    pub(crate) name: String,
    /// Where it stands.
    pub(crate) state: String,
    /// Why it stands there: what it waits for, or what failed.
    pub(crate) reason: Option<String>,
    /// What a person can do about it.
    pub(crate) hint: Option<String>,
    /// Failed attempts since the last finished step.
    pub(crate) failures: u32,
    /// Runs that ended with their process.
    pub(crate) interrupted: u32,
    /// Its steps, undone ones after done ones.
    pub(crate) steps: Vec<StepShape>,
    /// When it began.
    pub(crate) started_at_ms: Option<u64>,
    /// When it ended.
    pub(crate) finished_at_ms: Option<u64>,
}

/// A step of a job.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct StepShape {
    /// Its name.
    pub(crate) name: String,
    /// `do` or `undo`.
    #[schema(value_type = String)]
    pub(crate) direction: Direction,
    /// `intent`, `submitted`, `withdrawn`, `unknown` or `done`.
    #[schema(value_type = String)]
    pub(crate) state: StepState,
    /// What the outside answered, such as a Proxmox task's UPID.
    pub(crate) upid: Option<String>,
    /// How often a call was announced.
    pub(crate) attempts: u32,
    /// Last change.
    pub(crate) at_ms: u64,
}

impl JobShape {
    /// The shape of a job and its steps.
    pub(crate) fn of(job: &JobRecord, steps: &[StepRecord]) -> Self {
        let steps = steps.iter().map(|step| StepShape {
            name: step.name.clone(),
            direction: step.direction,
            state: step.state,
            upid: step.ext_ref.clone(),
            attempts: step.attempt,
            at_ms: step.at.0,
        });
        Self {
            id: job.spec.id.to_string(),
            name: job.spec.key.clone(),
            state: job.status.state.as_str().to_owned(),
            reason: job.status.reason.clone(),
            hint: job.status.hint.clone(),
            failures: job.status.failures,
            interrupted: job.status.crashes,
            steps: steps.collect(),
            started_at_ms: job.status.started_at.map(|at| at.0),
            finished_at_ms: job.status.finished_at.map(|at| at.0),
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct EventShape {
    /// Its number; grows with time.
    pub(crate) seq: u64,
    /// When.
    pub(crate) at_ms: u64,
    /// The operation.
    pub(crate) operation: String,
    /// The operation's stack.
    pub(crate) stack: Option<String>,
    /// The job, if it concerns one.
    pub(crate) job: Option<String>,
    /// What happened, such as `job.done`.
    pub(crate) kind: String,
    /// Details.
    #[schema(value_type = Object)]
    pub(crate) body: serde_json::Value,
}

impl EventShape {
    /// The shape of an event.
    pub(crate) fn of(event: Event, stack: Option<String>) -> Self {
        Self {
            seq: event.seq,
            at_ms: event.at.0,
            operation: event.operation.to_string(),
            stack,
            job: event.job.map(|job| job.to_string()),
            kind: event.kind,
            body: event.body,
        }
    }
}
