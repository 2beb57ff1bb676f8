//! One job: its steps forward, or backward once it has turned.
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tracing::Instrument;

use super::guard::guarded;
use super::held::HeldJob;
use super::{Engine, EngineConfig, EngineStats, backoff};
use crate::cx::StepCx;
use crate::envelope::Envelope;
use crate::journal::{Finish, JournalError, Notice, StepKey};
use crate::observer::{Observer, StepEnded, StepResult};
use crate::record::{Direction, StepState, Unwind};
use crate::registry::{Registry, Steps};
use crate::spec::OnFailure;
use crate::step::{OpClass, Receipt, Step, StepError};

/// Runs one claimed job to the point where it lets go of it.
pub(super) struct Driver {
    job: Arc<HeldJob>,
    steps: Result<Steps, String>,
    config: Arc<EngineConfig>,
    stats: Arc<EngineStats>,
    observer: Arc<dyn Observer>,
    jitter_seed: u64,
    /// When the job is given up, by the steady clock: the wall clock may jump while the job runs.
    gives_up: Option<Duration>,
}

/// Which way the job goes on after a step.
enum Next {
    /// To the next step.
    On,
    /// Round: undo from here.
    Turn(Unwind, String),
    /// Nowhere: the job was let go of.
    LetGo,
}

impl Driver {
    pub(super) fn new(engine: &Engine, mut job: HeldJob) -> Self {
        let steps = table(&engine.registry, &mut job);
        let left = job.status.deadline_at.map(|deadline| deadline.since(job.clock.now()));
        Self {
            gives_up: left.map(|left| job.clock.steady() + left),
            job: Arc::new(job),
            steps,
            config: Arc::clone(&engine.config),
            stats: Arc::clone(&engine.stats),
            observer: Arc::clone(&engine.observer),
            jitter_seed: engine.ids.random(),
        }
    }

    pub(super) fn job(&self) -> &Arc<HeldJob> {
        &self.job
    }

    pub(super) async fn drive(mut self) -> Result<(), JournalError> {
        let steps = match std::mem::replace(&mut self.steps, Ok(Vec::new())) {
            Ok(steps) => steps,
            Err(reason) => return self.finish(Finish::Parked { reason }).await,
        };
        if self.job.status.unwind.is_none() {
            let turned = match self.given_up() {
                Some((why, reason)) => Some((why, reason)),
                None => self.forward(&steps).await?,
            };
            let Some((why, reason)) = turned else { return Ok(()) };
            Box::pin(self.turn(why, reason)).await?;
        } else if self.job.status.crashes > self.config.crashes_max {
            let reason = format!("undoing it was interrupted {} times in a row", self.job.status.crashes);
            return self.finish(Finish::Stuck { reason }).await;
        }
        Box::pin(self.backward(&steps)).await
    }

    async fn turn(&self, why: Unwind, reason: String) -> Result<(), JournalError> {
        let job = &self.job;
        if reason.contains(&self.deadline_passed()) {
            let allowed = job.spec.deadline.unwrap_or(self.config.deadline_default);
            job.write(|| job.journal.notice(job.holder, Notice::Deadline { allowed }, job.clock.now())).await?;
        }
        job.write(|| job.journal.turn(job.holder, why, reason.clone(), job.clock.now())).await
    }

    /// Reasons to turn round before any step.
    fn given_up(&self) -> Option<(Unwind, String)> {
        let status = &self.job.status;
        if self.job.cancel.is_cancelled() {
            return Some((Unwind::Cancelled, "the operation was cancelled".to_owned()));
        }
        if self.gives_up.is_some_and(|end| end <= self.job.clock.steady()) {
            return Some((Unwind::Failed, self.deadline_passed()));
        }
        (status.crashes > self.config.crashes_max)
            .then(|| (Unwind::Failed, format!("the process ended {} times in a row while it ran", status.crashes)))
    }

    /// Does the steps that are not done. Answers why to turn round, or `None` when the job was let go of.
    async fn forward(&self, steps: &Steps) -> Result<Option<(Unwind, String)>, JournalError> {
        let open: Vec<usize> = (0..steps.len()).filter(|&at| !self.is_done(&steps[at], Direction::Do)).collect();
        for &at in &open {
            if self.job.cancel.is_cancelled() {
                return Ok(Some((Unwind::Cancelled, "the operation was cancelled".to_owned())));
            }
            let last = Some(&at) == open.last();
            match self.do_step(&steps[at], at, last).await? {
                Next::On => {}
                Next::Turn(why, reason) => return Ok(Some((why, reason))),
                Next::LetGo => return Ok(None),
            }
        }
        if open.is_empty() {
            self.finish(Finish::Done).await?;
        }
        Ok(None)
    }

    async fn do_step(&self, step: &Arc<dyn Step>, at: usize, last: bool) -> Result<Next, JournalError> {
        let key = key(step, at, Direction::Do);
        let cx = StepCx::new(Arc::clone(&self.job), key.clone());
        if self.fate_is_unknown(step) {
            return self.let_go(unknown_fate(step, key)).await;
        }
        let watched = self.watched(step, Direction::Do, self.within_deadline(step.ensure(&cx)));
        let error = match watched.await {
            Ok(receipt) => {
                let finish = last.then_some(Finish::Done);
                Box::pin(self.outcome(key, receipt, finish)).await?;
                return Ok(Next::On);
            }
            Err(error) => error,
        };
        self.check_journal(&error)?;
        let cancelled = self.job.cancel.is_cancelled();
        match error {
            StepError::LeaseLost => Err(JournalError::LeaseLost { job: self.job.id() }),
            StepError::Fatal { reason } => Ok(Next::Turn(Unwind::Failed, format!("{}: {reason}", step.name()))),
            other if cancelled => Ok(Next::Turn(
                Unwind::Cancelled,
                format!("the operation was cancelled during {} ({other})", step.name()),
            )),
            StepError::Cancelled => {
                Box::pin(self.retry(step, Duration::ZERO, "it took itself for cancelled".to_owned(), None)).await
            }
            StepError::Blocked { reason, hint } => {
                self.let_go(Finish::Blocked { reason: format!("{}: {reason}", step.name()), hint, unknown: None }).await
            }
            StepError::Retry { after, reason } => Box::pin(self.retry(step, after, reason, None)).await,
            StepError::Unreachable { what, after, reason } => {
                Box::pin(self.retry(step, after, reason, what.of(&self.job.spec))).await
            }
        }
    }

    /// Another attempt later, or the end of patience.
    async fn retry(
        &self,
        step: &Arc<dyn Step>,
        after: Duration,
        reason: String,
        unreachable: Option<String>,
    ) -> Result<Next, JournalError> {
        let failures = self.failures() + 1;
        if failures >= self.job.spec.max_attempts {
            let reason = format!("{}: given up after {failures} attempts: {reason}", step.name());
            return Ok(Next::Turn(Unwind::Failed, reason));
        }
        self.let_go(self.later(step, after, failures, &reason, unreachable)).await
    }

    fn later(
        &self,
        step: &Arc<dyn Step>,
        after: Duration,
        failures: u32,
        reason: &str,
        unreachable: Option<String>,
    ) -> Finish {
        let mut rng = StdRng::seed_from_u64(self.jitter_seed);
        let wait = backoff::wait(after, failures, self.config.backoff_base, self.config.backoff_cap, &mut rng);
        Finish::Retry {
            not_before: self.job.clock.now() + wait,
            reason: format!("{}: {reason}", step.name()),
            unreachable,
        }
    }

    /// Failed attempts since the last finished step, as the journal counts them.
    fn failures(&self) -> u32 {
        let since_claim = self.job.progressed.load(Ordering::SeqCst);
        if since_claim { 0 } else { self.job.status.failures }
    }

    /// Undoes the steps that left something, last first.
    async fn backward(&self, steps: &Steps) -> Result<(), JournalError> {
        let left = self.job.done_names();
        if let Some(unknown) = left.iter().find(|name| !steps.iter().any(|step| step.name() == name.as_str())) {
            let reason = format!("needs a release that knows how to undo step `{unknown}`; this one does not");
            return self.finish(Finish::Parked { reason }).await;
        }
        let keep = self.job.spec.on_failure == OnFailure::Keep;
        let to_undo: Vec<usize> = (0..steps.len())
            .rev()
            .filter(|&at| left.iter().any(|name| name == steps[at].name()))
            // What is done stays as it is, but a call that may be under way must have ended before the job does.
            .filter(|&at| !keep || !self.is_done(&steps[at], Direction::Do))
            .filter(|&at| !self.is_done(&steps[at], Direction::Undo))
            .collect();
        for &at in &to_undo {
            let last = Some(&at) == to_undo.last();
            if !self.undo_step(&steps[at], at, last).await? {
                return Ok(());
            }
        }
        match to_undo.is_empty() {
            true => self.finish(Finish::Unwound).await,
            false => Ok(()),
        }
    }

    /// Undoes one step; answers whether to go on.
    async fn undo_step(&self, step: &Arc<dyn Step>, at: usize, last: bool) -> Result<bool, JournalError> {
        let key = key(step, at, Direction::Undo);
        let cx = StepCx::new(Arc::clone(&self.job), key.clone());
        let back = match self.job.spec.on_failure {
            OnFailure::Keep => step.leave(&cx),
            OnFailure::Undo => step.undo(&cx),
        };
        let error = match self.watched(step, Direction::Undo, guarded(back, &self.stats)).await {
            Ok(()) => {
                let finish = last.then_some(Finish::Unwound);
                self.outcome(key, undone(), finish).await?;
                return Ok(true);
            }
            Err(error) => error,
        };
        self.check_journal(&error)?;
        let name = step.name();
        let finish = match error {
            StepError::LeaseLost => return Err(JournalError::LeaseLost { job: self.job.id() }),
            StepError::Fatal { reason } => Finish::Stuck { reason: format!("undoing {name}: {reason}") },
            StepError::Blocked { reason, hint } => {
                Finish::Blocked { reason: format!("undoing {name}: {reason}"), hint, unknown: None }
            }
            StepError::Cancelled => self.undo_later(step, Duration::ZERO, "it took itself for cancelled", None),
            StepError::Retry { after, reason } => self.undo_later(step, after, &reason, None),
            StepError::Unreachable { what, after, reason } => {
                self.undo_later(step, after, &reason, what.of(&self.job.spec))
            }
        };
        self.finish(finish).await?;
        Ok(false)
    }

    fn undo_later(&self, step: &Arc<dyn Step>, after: Duration, reason: &str, unreachable: Option<String>) -> Finish {
        // Failures before the turn do not count against the way back.
        let failures = if self.job.status.unwind.is_some() { self.failures() + 1 } else { 1 };
        if failures >= self.job.spec.max_attempts {
            let reason = format!("undoing {}: given up after {failures} attempts: {reason}", step.name());
            return Finish::Stuck { reason };
        }
        self.later(step, after, failures, reason, unreachable)
    }

    /// Runs a step, but not beyond the job's deadline.
    async fn within_deadline(
        &self,
        run: impl Future<Output = Result<Receipt, StepError>>,
    ) -> Result<Receipt, StepError> {
        let Some(end) = self.gives_up else { return guarded(run, &self.stats).await };
        let left = end.saturating_sub(self.job.clock.steady());
        tokio::select! {
            biased;
            result = guarded(run, &self.stats) => result,
            () = self.job.clock.sleep(left) => {
                Err(StepError::Fatal { reason: self.deadline_passed() })
            }
        }
    }

    /// Runs one attempt at a step in a span of its own, and tells the observer what came of it.
    async fn watched<T>(
        &self,
        step: &Arc<dyn Step>,
        direction: Direction,
        run: impl Future<Output = Result<T, StepError>>,
    ) -> Result<T, StepError> {
        let (job, step) = (&self.job.spec, step.name());
        let began = self.job.clock.steady();
        let span = self.observer.step_span(job, step, direction);
        let result = run.instrument(span.clone()).await;
        let took = self.job.clock.steady().saturating_sub(began);
        self.observer.step_ended(&StepEnded {
            job,
            step,
            direction,
            result: StepResult::of(&result),
            took,
            span: &span,
        });
        result
    }

    fn deadline_passed(&self) -> String {
        let deadline = self.job.spec.deadline.unwrap_or(self.config.deadline_default);
        format!("the job's deadline passed, {deadline:?} after its first start")
    }

    /// An opaque step that was interrupted between intent and answer must not be repeated, unless a person has said so.
    fn fate_is_unknown(&self, step: &Arc<dyn Step>) -> bool {
        let open = |record: crate::record::StepRecord| record.state == StepState::Intent;
        step.class() == OpClass::Opaque && self.job.record(step.name(), Direction::Do).is_some_and(open)
    }

    fn is_done(&self, step: &Arc<dyn Step>, direction: Direction) -> bool {
        self.job.record(step.name(), direction).is_some_and(|record| record.state == StepState::Done)
    }

    async fn outcome(&self, key: StepKey, receipt: Receipt, finish: Option<Finish>) -> Result<(), JournalError> {
        let job = &self.job;
        let write = || job.journal.outcome(job.holder, key.clone(), receipt.clone(), finish.clone(), job.clock.now());
        let record = job.write(write).await?;
        self.job.remember(record);
        self.job.progressed.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// On the heap, as every write at the end of a step: a job's memory while its step runs is what counts.
    async fn finish(&self, finish: Finish) -> Result<(), JournalError> {
        let job = &self.job;
        Box::pin(job.write(|| job.journal.finish(job.holder, finish.clone(), job.clock.now()))).await
    }

    async fn let_go(&self, finish: Finish) -> Result<Next, JournalError> {
        self.finish(finish).await?;
        Ok(Next::LetGo)
    }

    /// A journal that failed under a step ends the engine, whatever the step made of it.
    fn check_journal(&self, error: &StepError) -> Result<(), JournalError> {
        if *error == StepError::LeaseLost && self.job.broken.get().is_some() {
            return Err(JournalError::Poisoned);
        }
        Ok(())
    }
}

/// Lifts the payload and reads the table of steps; the text is why this release cannot.
fn table(registry: &Registry, job: &mut HeldJob) -> Result<Steps, String> {
    let payload = &job.spec.payload;
    let needs = |why: String| {
        format!("needs at least a release that can read `{}` version {}: {why}", payload.kind, payload.version)
    };
    let kind = registry.get(&payload.kind).ok_or_else(|| needs("this one does not know it".to_owned()))?;
    let lifted = kind.lift(payload.clone()).map_err(|error| needs(error.to_string()))?;
    let steps = kind.steps(&lifted).map_err(|error| needs(error.to_string()))?;
    job.spec.payload = lifted;
    Ok(steps)
}

fn key(step: &Arc<dyn Step>, at: usize, direction: Direction) -> StepKey {
    StepKey { name: step.name().to_owned(), direction, position: u32::try_from(at).unwrap_or(u32::MAX) }
}

fn undone() -> Receipt {
    Envelope::new("undone", 1, serde_json::Value::Null)
}

fn unknown_fate(step: &Arc<dyn Step>, key: StepKey) -> Finish {
    let name = step.name();
    Finish::Blocked {
        reason: format!("{name}: it was interrupted and nothing tells whether it was carried out; it is not repeated"),
        hint: Some(
            "look whether it was carried out; `op retry` does it again, `op cancel` takes the job back".to_owned(),
        ),
        unknown: Some(key),
    }
}
