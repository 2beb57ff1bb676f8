//! A claimed job in the hands of this process.
use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio_util::sync::CancellationToken;

use super::lease::Lease;
use crate::envelope::Envelope;
use crate::id::JobId;
use crate::journal::{Holder, Journal, JournalError};
use crate::progress::ProgressBoard;
use crate::record::{Direction, JobStatus, OperationInfo, StepRecord, StepState};
use crate::spec::JobSpec;
use crate::step::StepError;
use crate::time::Clock;

/// Everything a job's steps need, shared by them.
pub(crate) struct HeldJob {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) lease: Arc<Lease>,
    pub(crate) progress: ProgressBoard,
    pub(crate) context: Arc<dyn Any + Send + Sync>,
    pub(crate) holder: Holder,
    pub(crate) operation: Arc<OperationInfo>,
    pub(crate) spec: JobSpec,
    /// As of the claim.
    pub(crate) status: JobStatus,
    /// Lifted to the newest version.
    pub(crate) payload: Envelope,
    pub(crate) cancel: CancellationToken,
    pub(crate) records: Mutex<HashMap<(Direction, String), StepRecord>>,
    pub(crate) broken: OnceLock<JournalError>,
    /// A step was finished since the claim.
    pub(crate) progressed: AtomicBool,
}

impl HeldJob {
    pub(crate) fn id(&self) -> JobId {
        self.spec.id
    }

    pub(crate) fn record(&self, name: &str, direction: Direction) -> Option<StepRecord> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.get(&(direction, name.to_owned())).cloned()
    }

    pub(crate) fn remember(&self, record: StepRecord) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.insert((record.direction, record.name.clone()), record);
    }

    /// Steps that left something while the job was done.
    pub(crate) fn done_names(&self) -> Vec<String> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let mut done: Vec<&StepRecord> = records.values().filter(|record| record.direction == Direction::Do).collect();
        done.sort_by_key(|record| record.position);
        done.into_iter().map(|record| record.name.clone()).collect()
    }

    /// A call is announced and not answered yet.
    pub(crate) fn is_calling(&self) -> bool {
        self.any(StepState::Intent)
    }

    /// A task outside is being followed, which any later run can take up again.
    pub(crate) fn is_following(&self) -> bool {
        self.any(StepState::Submitted)
    }

    fn any(&self, state: StepState) -> bool {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.values().any(|record| record.state == state)
    }

    /// What a journal error means to a step. One that is no lost lease is kept for the engine, which stops on it.
    pub(crate) fn step_error(&self, error: JournalError) -> StepError {
        match error {
            JournalError::WrongState { .. } => StepError::Fatal { reason: error.to_string() },
            error => {
                if !error.is_lease_lost() {
                    let _ = self.broken.set(error);
                }
                StepError::LeaseLost
            }
        }
    }
}
