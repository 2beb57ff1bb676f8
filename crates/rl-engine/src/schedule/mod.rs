//! Schedules: operations that start by themselves at the times of a cron pattern in a time zone.
#[cfg(test)]
mod tests;
mod timetable;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::OperationId;
use crate::spec::{OperationSpec, SpecError};
use crate::time::UnixMs;
pub use timetable::{Timetable, TimetableError};

/// Most schedules of one store: they are read as a whole.
pub const SCHEDULES_MAX: usize = 1_000;
/// Most missed times a schedule makes up for one by one, when it does not say.
pub const CATCH_UP_DEFAULT: u32 = 10;
/// Most missed times a schedule may ask to make up for: each is an operation.
pub const CATCH_UP_MAX: u32 = 1_000;

/// A schedule's name: 1 to 63 lower-case letters, digits and dashes, beginning with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScheduleName(String);

/// A text that is no schedule name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name for a schedule: use 1 to 63 lower-case letters, digits and dashes, such as nightly-drift")]
pub struct ScheduleNameError(String);

impl ScheduleName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ScheduleName {
    type Error = ScheduleNameError;
    fn try_from(text: String) -> Result<Self, ScheduleNameError> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let good = (1..=63).contains(&text.len()) && text.bytes().all(fits) && !text.starts_with('-');
        if good { Ok(Self(text)) } else { Err(ScheduleNameError(text.chars().take(80).collect())) }
    }
}

impl std::str::FromStr for ScheduleName {
    type Err = ScheduleNameError;
    fn from_str(text: &str) -> Result<Self, ScheduleNameError> {
        text.to_owned().try_into()
    }
}

impl From<ScheduleName> for String {
    fn from(name: ScheduleName) -> String {
        name.0
    }
}

impl fmt::Display for ScheduleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What becomes of times at which nothing could be started: no server ran, or the subject's last operation was not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissedPolicy {
    /// They are left out; the next time counts.
    Skip,
    /// All of them together are made up for by one operation as soon as it can start.
    Coalesce,
    /// Each is made up for, oldest first, up to `catch_up_max` of them.
    CatchUp,
}

/// A schedule as a person sets it up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// Its name.
    pub name: ScheduleName,
    /// When.
    pub at: Timetable,
    /// What becomes of missed times.
    pub missed: MissedPolicy,
    /// Most missed times that [`MissedPolicy::CatchUp`] makes up for; older ones are left out.
    pub catch_up_max: u32,
    /// What is started. Ids and key are replaced at each time.
    pub operation: OperationSpec,
}

impl ScheduleSpec {
    /// Checks the limits and that its operation could be submitted.
    pub fn check(&self) -> Result<(), ScheduleSpecError> {
        if self.catch_up_max > CATCH_UP_MAX {
            return Err(ScheduleSpecError::CatchUp { asked: self.catch_up_max });
        }
        Ok(self.operation.check()?)
    }
}

/// A schedule that would not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleSpecError {
    /// Too many missed times.
    #[error("it would make up for {asked} missed times; at most {CATCH_UP_MAX} are accepted")]
    CatchUp {
        /// What was asked for.
        asked: u32,
    },
    /// Its operation cannot be submitted.
    #[error("its operation cannot be accepted")]
    Operation(#[from] SpecError),
}

/// What changes of a schedule beside its next time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ScheduleState {
    /// The time it last started something for.
    pub last_at: Option<UnixMs>,
    /// What it started then.
    pub last_operation: Option<OperationId>,
    /// Times it started something.
    pub fired: u64,
    /// Times that were left out.
    pub missed: u64,
    /// Why nothing was started at its last time.
    pub problem: Option<String>,
}

/// A schedule as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleRecord {
    /// As set up.
    pub spec: ScheduleSpec,
    /// When it is due; `None` when its pattern has no further time.
    pub next_at: Option<UnixMs>,
    /// It starts nothing.
    pub paused: bool,
    /// What became of it so far.
    pub state: ScheduleState,
}

/// What a look at the schedules led to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fired {
    /// Operations started.
    pub started: Vec<OperationId>,
    /// When to look again even if nothing changes.
    pub next_at: Option<UnixMs>,
}
