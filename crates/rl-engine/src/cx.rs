//! What a step may ask and record while it runs.
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::engine::held::HeldJob;
use crate::envelope::Envelope;
use crate::journal::{JournalError, StepKey};
use crate::progress::Progress;
use crate::record::{Direction, OperationInfo, StepRecord, StepState};
use crate::spec::JobSpec;
use crate::step::StepError;
use crate::time::{Clock, UnixMs};

/// What an earlier, interrupted run of the same step in the same direction left.
#[derive(Debug, Clone, PartialEq)]
pub enum PriorAttempt {
    /// Nothing was announced, or what was announced was certainly not carried out.
    None,
    /// A call was announced; whether it was made is not known.
    Intent {
        /// What was announced.
        value: Envelope,
        /// When.
        at: UnixMs,
    },
    /// The call was made and answered.
    Submitted {
        /// What was announced.
        value: Envelope,
        /// What the outside answered: a UPID.
        ext_ref: String,
        /// When.
        at: UnixMs,
    },
}

impl PriorAttempt {
    fn of(record: Option<&StepRecord>) -> Self {
        let Some(StepRecord { state, intent: Some(value), ext_ref, at, .. }) = record else {
            return PriorAttempt::None;
        };
        match (state, ext_ref) {
            (StepState::Withdrawn, _) => PriorAttempt::None,
            (_, Some(ext_ref)) => PriorAttempt::Submitted { value: value.clone(), ext_ref: ext_ref.clone(), at: *at },
            (_, None) => PriorAttempt::Intent { value: value.clone(), at: *at },
        }
    }

    /// The reference the outside answered with, if it came that far.
    pub fn ext_ref(&self) -> Option<&str> {
        match self {
            PriorAttempt::Submitted { ext_ref, .. } => Some(ext_ref),
            _ => None,
        }
    }
}

/// The context of one call of [`Step::ensure`](crate::Step::ensure) or [`Step::undo`](crate::Step::undo).
pub struct StepCx {
    job: Arc<HeldJob>,
    key: StepKey,
    prior: PriorAttempt,
}

impl StepCx {
    pub(crate) fn new(job: Arc<HeldJob>, key: StepKey) -> Self {
        let prior = PriorAttempt::of(
            job.record(&key.name, key.direction).filter(|step| step.state != StepState::Done).as_ref(),
        );
        job.hear(&key.name, "it began");
        Self { job, key, prior }
    }

    /// The operation the job belongs to.
    pub fn operation(&self) -> &OperationInfo {
        &self.job.operation
    }

    /// The job.
    pub fn job(&self) -> &JobSpec {
        &self.job.spec
    }

    /// Which attempt since the last finished step this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.job.status.failures + self.job.status.crashes + 1
    }

    /// The fence of the claim this call runs under: raised with every claim of the job.
    pub fn fence(&self) -> u64 {
        self.job.holder.fence
    }

    /// The step's name.
    pub fn step(&self) -> &str {
        &self.key.name
    }

    /// Whether the step is being done or undone.
    pub fn direction(&self) -> Direction {
        self.key.direction
    }

    /// The job's payload, lifted to the newest version.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, StepError> {
        Ok(self.job.spec.payload.read()?)
    }

    /// The payload of the operation.
    pub fn operation_payload<T: DeserializeOwned>(&self) -> Result<T, StepError> {
        Ok(self.job.operation.payload.read()?)
    }

    /// What a finished step of this job left, `None` when it is not finished. While undoing, a step finds its own receipt here too.
    pub fn receipt<T: DeserializeOwned>(&self, step: &str) -> Result<Option<T>, StepError> {
        let receipt = self.job.record(step, Direction::Do).and_then(|record| record.receipt);
        Ok(receipt.map(|receipt| receipt.read()).transpose()?)
    }

    /// What an earlier, interrupted run of this step in this direction left.
    pub fn prior(&self) -> &PriorAttempt {
        &self.prior
    }

    /// While undoing: how far doing this step came, including one that was never finished.
    pub fn done_so_far(&self) -> PriorAttempt {
        PriorAttempt::of(self.job.record(&self.key.name, Direction::Do).as_ref())
    }

    // The writes below are on the heap while they last, so that a step that waits for hours does not keep room for them.

    /// Announces an outside call. On disk when it returns; call only after that.
    pub async fn intent(&self, value: Envelope) -> Result<(), StepError> {
        let job = &self.job;
        let write = || job.journal.intent(job.holder, self.key.clone(), value.clone(), self.now());
        self.recorded(Box::pin(job.write(write)).await)
    }

    /// Records what the outside answered. On disk when it returns.
    pub async fn submitted(&self, ext_ref: impl Into<String> + Send) -> Result<(), StepError> {
        let (job, ext_ref) = (&self.job, ext_ref.into());
        let write = || job.journal.submitted(job.holder, self.key.clone(), ext_ref.clone(), self.now());
        self.recorded(Box::pin(job.write(write)).await)
    }

    /// Records that the announced call was certainly not carried out (refused, never sent), so that no later run has to look
    /// for it and the job's lock domains are free while it backs off.
    ///
    /// Where an earlier run announced the same call and never saw its answer, the announcement stands: that this call was
    /// refused says nothing about that one, which may even be the reason.
    pub async fn withdraw(&self) -> Result<(), StepError> {
        if matches!(self.prior, PriorAttempt::Intent { .. }) {
            return Ok(());
        }
        let job = &self.job;
        let write = || job.journal.withdraw(job.holder, self.key.clone(), self.now());
        self.recorded(Box::pin(job.write(write)).await)
    }

    fn recorded(&self, result: Result<StepRecord, JournalError>) -> Result<(), StepError> {
        match result {
            Ok(record) => {
                self.job.hear(&self.key.name, &format!("{:?} {}", record.state, record.attempt));
                self.job.remember(record);
                Ok(())
            }
            Err(error) => Err(self.job.step_error(error)),
        }
    }

    /// Tells how far the step is. In memory only; says nothing to the journal.
    pub fn progress(&self, text: impl Into<String>, fraction: Option<f32>) {
        let text = text.into();
        let stalled = self.job.hear(&self.key.name, &format!("{text} {}", fraction.unwrap_or_default()));
        let progress = Progress { step: self.key.name.clone(), text, fraction, stalled };
        self.job.progress.set(self.job.spec.id, progress);
    }

    /// Writes an event that a person reads. On disk when it returns.
    pub async fn note(&self, text: impl Into<String> + Send) -> Result<(), StepError> {
        let (job, text) = (&self.job, text.into());
        let write = || job.journal.note(job.holder, Some(self.key.name.clone()), text.clone(), self.now());
        job.write(write).await.map_err(|error| self.job.step_error(error))
    }

    /// Asks leave for an outside call that takes at most `timeout`: it must end before the lease does, or be announced with
    /// [`StepCx::intent`]; and the operation must not be cancelled. On a job taken over from a server that is gone, no call is allowed
    /// before the last one of that server must have ended; the step may look meanwhile.
    pub fn may_call(&self, timeout: Duration) -> Result<(), StepError> {
        let record = self.job.record(&self.key.name, self.key.direction);
        self.allowed(timeout, record.is_some_and(|record| record.state == StepState::Intent))
    }

    /// As [`StepCx::may_call`], for a call that is announced next.
    pub fn may_announce(&self, timeout: Duration) -> Result<(), StepError> {
        self.allowed(timeout, true)
    }

    fn allowed(&self, timeout: Duration, announced: bool) -> Result<(), StepError> {
        if self.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        self.job.may_call(timeout, announced)
    }

    /// Whether the operation was cancelled. Never while undoing, which is what a cancellation asks for.
    pub fn is_cancelled(&self) -> bool {
        self.key.direction == Direction::Do && self.job.cancel.is_cancelled()
    }

    /// Ends when the operation is cancelled; never while undoing.
    pub async fn cancelled(&self) {
        match self.key.direction {
            Direction::Do => self.job.cancel.cancelled().await,
            Direction::Undo => std::future::pending().await,
        }
    }

    /// The wall clock of the engine.
    pub fn now(&self) -> UnixMs {
        self.job.clock.now()
    }

    /// The engine's clock, for waits.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.job.clock
    }

    /// The domain's own context, as handed to the engine.
    ///
    /// # Panics
    /// When the engine was given a context of another type: a fault in the wiring of the program, not in its data.
    pub fn context<T: Any + Send + Sync>(&self) -> &T {
        let context: &(dyn Any + Send + Sync) = &*self.job.context;
        context.downcast_ref::<T>().unwrap_or_else(|| {
            panic!(
                "step `{}` asks for a context of type {}, which the engine was not given",
                self.key.name,
                std::any::type_name::<T>()
            )
        })
    }
}
