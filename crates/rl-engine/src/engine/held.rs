//! A claimed job in the hands of this process.
use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;

use super::lease::Lease;
use super::{EngineStats, backoff};
use crate::id::JobId;
use crate::journal::{Holder, Journal, JournalError, Notice};
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
    /// Its payload is lifted to the newest version.
    pub(crate) spec: JobSpec,
    /// As of the claim.
    pub(crate) status: JobStatus,
    pub(crate) cancel: CancellationToken,
    /// What its steps have recorded: a few, in no order.
    pub(crate) records: Mutex<Vec<StepRecord>>,
    pub(crate) broken: OnceLock<JournalError>,
    /// A step was finished since the claim.
    pub(crate) progressed: AtomicBool,
    pub(crate) stats: Arc<EngineStats>,
    /// Longest call a new holder waits for.
    pub(crate) takeover_grace: Duration,
    /// Steady time before which a call of an earlier owner may still be under way.
    pub(crate) calls_from: Option<Duration>,
    pub(crate) heard: Mutex<Heard>,
    pub(crate) jitter_seed: u64,
}

/// What was last heard of the running step.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) step: String,
    pub(crate) last: String,
    /// Steady time.
    pub(crate) at: Duration,
    /// It was told that nothing is heard any more.
    pub(crate) stalled: bool,
}

/// First wait before a write is sent again to a store that could not be reached; doubles up to [`AGAIN_MAX`].
const AGAIN_FIRST: Duration = Duration::from_millis(100);
/// Longest such wait: several fit into what is left of a lease.
const AGAIN_MAX: Duration = Duration::from_secs(2);

impl HeldJob {
    pub(crate) fn id(&self) -> JobId {
        self.spec.id
    }

    /// Writes to the journal. While the store cannot be reached the write is sent again until the lease is over: nothing of it was kept.
    pub(crate) async fn write<T, F>(&self, mut send: impl FnMut() -> F) -> Result<T, JournalError>
    where
        F: Future<Output = Result<T, JournalError>>,
    {
        let mut failures = 0;
        loop {
            match send().await {
                Err(error) if error.is_unavailable() => {
                    if self.lease.is_over(self.clock.steady()) {
                        return Err(JournalError::LeaseLost { job: self.id() });
                    }
                    failures += 1;
                    self.clock.sleep(self.again_after(failures)).await;
                }
                Err(error) if error.is_lease_lost() => {
                    self.stats.late_writes.fetch_add(1, Ordering::Relaxed);
                    return Err(error);
                }
                answer => return answer,
            }
        }
    }

    /// The wait after so many writes that did not get through. Apart from the loop: what is random would lie in every job's memory.
    fn again_after(&self, failures: u32) -> Duration {
        let mut rng = StdRng::seed_from_u64(self.jitter_seed.wrapping_add(u64::from(failures)));
        backoff::wait(AGAIN_FIRST, failures, AGAIN_FIRST, AGAIN_MAX, &mut rng)
    }

    /// Whether a call of at most `timeout` may be made now.
    pub(crate) fn may_call(&self, timeout: Duration, announced: bool) -> Result<(), StepError> {
        let steady = self.clock.steady();
        let earlier = self.calls_from.filter(|_| !self.progressed.load(Ordering::SeqCst));
        if let Some(until) = earlier.filter(|until| steady < *until) {
            let reason =
                "a call of a server that is gone may still be under way; looking again when it must have ended";
            return Err(StepError::retry(until - steady, reason));
        }
        self.lease.may_call(steady, timeout, announced.then_some(self.takeover_grace))
    }

    /// Notes what was heard of a step; answers whether it is nothing new of one that has stalled.
    pub(crate) fn hear(&self, step: &str, text: &str) -> bool {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.step != step || heard.last != text {
            heard.at = self.clock.steady();
            step.clone_into(&mut heard.step);
            text.clone_into(&mut heard.last);
            return false;
        }
        heard.stalled
    }

    /// What is to be told if a step has not been heard of for `limit`, or is heard of again.
    pub(crate) fn watch(&self, limit: Duration) -> Option<Notice> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.step.is_empty() {
            return None;
        }
        let quiet = self.clock.steady().saturating_sub(heard.at);
        match (heard.stalled, quiet >= limit) {
            (false, true) => {
                heard.stalled = true;
                Some(Notice::Stalled { step: heard.step.clone(), quiet, last: heard.last.clone() })
            }
            (true, false) => {
                heard.stalled = false;
                Some(Notice::Moving { step: heard.step.clone() })
            }
            _ => None,
        }
    }

    pub(crate) fn record(&self, name: &str, direction: Direction) -> Option<StepRecord> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.iter().find(|record| record.direction == direction && record.name == name).cloned()
    }

    pub(crate) fn remember(&self, record: StepRecord) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        match records.iter_mut().find(|known| known.direction == record.direction && known.name == record.name) {
            Some(known) => *known = record,
            None => {
                // Thousands of jobs wait in their first step: room for the steps to come would be most of their memory.
                records.reserve_exact(1);
                records.push(record);
            }
        }
    }

    /// Steps that left something while the job was done.
    pub(crate) fn done_names(&self) -> Vec<String> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let mut done: Vec<&StepRecord> = records.iter().filter(|record| record.direction == Direction::Do).collect();
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
        records.iter().any(|record| record.state == state)
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
