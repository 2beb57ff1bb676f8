//! Schedules.

use rl_engine::{MissedPolicy, ScheduleRecord};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A schedule.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct ScheduleShape {
    /// Its name.
    pub(crate) name: String,
    /// When: a cron pattern of five fields.
    pub(crate) at: String,
    /// Time zone of the pattern.
    pub(crate) zone: String,
    /// What becomes of missed times: `skip`, `coalesce` or `catch_up`.
    #[schema(value_type = String)]
    pub(crate) missed: MissedPolicy,
    /// Most missed times that `catch_up` makes up for.
    pub(crate) catch_up_max: u32,
    /// What it starts, in words.
    pub(crate) starts: String,
    /// The stack of the guest.
    pub(crate) stack: String,
    /// The id of the guest.
    pub(crate) guest: Option<String>,
    /// It starts nothing.
    pub(crate) paused: bool,
    /// When it is due; null while it is paused, and where no time comes.
    pub(crate) next_at_ms: Option<u64>,
    /// The time it last started something for.
    pub(crate) last_at_ms: Option<u64>,
    /// What it started then.
    pub(crate) last_operation: Option<String>,
    /// Times it started something.
    pub(crate) fired: u64,
    /// Times that were left out.
    pub(crate) left_out: u64,
    /// Why nothing was started at its last time.
    pub(crate) problem: Option<String>,
}

impl ScheduleShape {
    /// The shape of a record.
    pub(crate) fn of(record: &ScheduleRecord) -> Self {
        let (spec, state) = (&record.spec, &record.state);
        Self {
            name: spec.name.to_string(),
            at: spec.at.cron().to_owned(),
            zone: spec.at.tz().to_owned(),
            missed: spec.missed,
            catch_up_max: spec.catch_up_max,
            starts: spec.operation.summary.clone(),
            stack: spec.operation.subject.clone(),
            guest: spec.operation.jobs.iter().find_map(|job| rl_ops::guest_of(&job.payload)).map(|id| id.to_string()),
            paused: record.paused,
            next_at_ms: record.next_at.filter(|_| !record.paused).map(|at| at.0),
            last_at_ms: state.last_at.map(|at| at.0),
            last_operation: state.last_operation.map(|id| id.to_string()),
            fired: state.fired,
            left_out: state.missed,
            problem: state.problem.clone(),
        }
    }
}
