//! Durable execution: operations, jobs, steps, journal, leases and limits; knows no domain.
//!
//! - An [`OperationSpec`] with its [`JobSpec`]s goes into a [`Journal`] with [`Journal::submit`]; once that has returned it is on disk.
//! - A [`JobKind`] in the [`Registry`] says which [`Step`]s a job's payload means.
//! - [`Engine::run`] claims jobs and runs their steps. A step announces an outside call ([`StepCx::intent`]), makes it, records the
//!   answer ([`StepCx::submitted`]) and returns a [`Receipt`]. After any interruption the step is called again, and
//!   [`StepCx::prior`] tells what the earlier call left; finished steps are not run again.
//! - A [`StepError`] says how to go on: later, with a person, or back. Going back runs [`Step::undo`] of every step that left something, last first.
//! - [`settled`] waits for an operation; [`Journal::events`] with [`Journal::subscribe`] follow it; [`ProgressBoard`] shows running jobs.
//!
//! Stores with rows implement [`Backend`] and [`Rows`] and get the whole journal for it; every rule is written once, here, as
//! functions over rows ([`submit_in`]) and pure transitions ([`transition`]).
//!
//! **Invariant:** nothing here knows a container, a node or a store's SQL; time and randomness are handed in.
pub mod conformance;
mod cx;
mod engine;
mod envelope;
pub mod failpoints;
mod id;
mod journal;
mod logic;
mod memory;
mod observer;
mod progress;
mod record;
mod registry;
mod rows;
mod sched;
pub mod schedule;
mod simclock;
mod spec;
mod state;
mod step;
pub mod testing;
#[cfg(test)]
mod tests;
mod time;
pub mod transition;
mod tx;

pub use cx::{PriorAttempt, StepCx};
pub use engine::{Engine, EngineConfig, EngineError, EngineStats};
pub use envelope::{Body, Envelope, EnvelopeError};
pub use id::{IdError, Ids, JobId, OperationId, OwnerId};
pub use journal::{
    Beat, ClaimRequest, Claimed, Claims, EventQuery, Finish, Holder, Journal, JournalError, KnownKinds, Notice,
    OperationQuery, PAGE_MAX, Recovered, RegisterRequest, Signal, StepKey, Submitted, UNFINISHED_JOBS_MAX, WAIT_MAX,
    known_or_reason, settled,
};
pub use logic::{roll_back as roll_back_in, submit as submit_in};
pub use memory::MemoryJournal;
pub use observer::{Observer, StepEnded, StepResult, Unwatched};
pub use progress::{Progress, ProgressBoard};
pub use record::{
    CancelRequest, Direction, Event, JobRecord, JobSlot, JobStatus, JobSteps, OperationInfo, OperationRecord,
    OperationStatus, OwnerRecord, StepRecord, StepState, Unwind,
};
pub use registry::{JobKind, PayloadError, Registry, Steps};
pub use rows::{Backend, Hint, Lane, RowResult, Rows};
pub use sched::{Queue, Sched};
pub use schedule::{
    Fired, MissedPolicy, SCHEDULES_MAX, ScheduleName, ScheduleRecord, ScheduleSpec, ScheduleState, Timetable,
};
pub use simclock::SimClock;
pub use spec::{
    ATTEMPTS_DEFAULT, JOBS_PER_OPERATION_MAX, JobSpec, LOCKS_PER_JOB_MAX, LockDomain, OnFailure, OperationSpec,
    PAYLOAD_BYTES_MAX, PRIORITY_MAX, SpecError,
};
pub use state::{JobCounts, JobState, OperationState};
pub use step::{OpClass, Reach, Receipt, Step, StepError};
pub use time::{Clock, SystemClock, UnixMs};
pub use tx::{Announce, Moment, Tx};
#[doc(hidden)]
pub use ulid::Ulid;
