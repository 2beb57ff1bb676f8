//! The proofs every kind of job must pass: it runs; each step repeated; killed at each write; failed at each step and
//! unwound; unwinding repeated; cancelled at each step; and after every unwinding a clean slate.
use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::crash::{Crash, Ended, run_until_settled};
use super::wrap::Disturb;
use crate::engine::EngineConfig;
use crate::envelope::Envelope;
use crate::id::{Ids, OperationId};
use crate::journal::Journal;
use crate::memory::MemoryJournal;
use crate::registry::{JobKind, Registry};
use crate::spec::{JobSpec, OnFailure, OperationSpec};
use crate::state::OperationState;
use crate::time::Clock;

/// Most real time of one case; a job that takes longer hangs.
const CASE_MAX: Duration = Duration::from_secs(60);
/// Most kills tried: a job with more journal writes than half of this is no longer one job.
const KILLS_MAX: u64 = 400;

/// Makes worlds to act on.
#[async_trait]
pub trait ProofWorld: Send + Sync {
    /// A new world, always in the same first state.
    async fn fresh(&self) -> Box<dyn ProofScene>;
}

/// One world, for one case.
#[async_trait]
pub trait ProofScene: Send + Sync {
    /// What the steps get as their context.
    fn context(&self) -> Arc<dyn Any + Send + Sync>;

    /// Everything in the world that the job may change, as text that can be compared. Leave out what may differ from run to run.
    async fn snapshot(&self) -> String;
}

/// What is proven, and with what settings.
#[derive(Clone)]
pub struct Proofs {
    /// The kind of job.
    pub kind: JobKind,
    /// A payload of it.
    pub payload: Envelope,
    /// The payload of its operation.
    pub operation_payload: Envelope,
    /// Steps undone on failure, or left as they are; in the second case the clean slate is not asked for.
    pub on_failure: OnFailure,
    /// Clock of the engine and the steps.
    pub clock: Arc<dyn Clock>,
    /// Settings of the engine.
    pub config: EngineConfig,
}

/// One case and what was wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofCase {
    /// What was done, such as `fails after step create`.
    pub name: String,
    /// What was wrong; `None` when it passed.
    pub wrong: Option<String>,
}

/// All cases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProofReport {
    /// In the order they were run.
    pub cases: Vec<ProofCase>,
}

impl ProofReport {
    /// Whether every case passed.
    pub fn is_ok(&self) -> bool {
        !self.cases.is_empty() && self.cases.iter().all(|case| case.wrong.is_none())
    }

    /// # Panics
    /// When a case did not pass, with all that did not.
    pub fn assert_ok(&self) {
        assert!(self.is_ok(), "the job does not pass its proofs:\n{self}");
    }
}

impl fmt::Display for ProofReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.cases {
            match &case.wrong {
                None => writeln!(f, "ok    {}", case.name)?,
                Some(wrong) => writeln!(f, "WRONG {}: {wrong}", case.name)?,
            }
        }
        Ok(())
    }
}

/// What one run came to.
struct Came {
    died: bool,
    state: Option<OperationState>,
    reasons: String,
    before: String,
    after: String,
}

impl Proofs {
    /// Runs every case, each in a world of its own.
    pub async fn run(&self, world: &dyn ProofWorld) -> ProofReport {
        let mut report = ProofReport::default();
        let first = match self.case(world, &Disturb::Nothing, 0).await {
            Ok(came) => came,
            Err(wrong) => {
                report.cases.push(ProofCase { name: "runs".to_owned(), wrong: Some(wrong) });
                return report;
            }
        };
        let (clean, done) = (first.before.clone(), first.after.clone());
        report.cases.push(ProofCase { name: "runs".to_owned(), wrong: judge(&first, OperationState::Done, &done) });
        let Ok(names) = self.step_names() else {
            report.cases.push(ProofCase {
                name: "names its steps".to_owned(),
                wrong: Some("the payload gives no steps".to_owned()),
            });
            return report;
        };
        for (name, disturb, state) in cases(&names) {
            let expected = if state == OperationState::Done { &done } else { &clean };
            let wrong = match self.case(world, &disturb, 0).await {
                // A cancellation that reaches the last step when nothing is left to be done comes too late.
                Ok(came) if state == OperationState::Cancelled && came.state == Some(OperationState::Done) => {
                    judge(&came, OperationState::Done, &done)
                }
                Ok(came) => self.judge(&came, state, expected),
                Err(wrong) => Some(wrong),
            };
            report.cases.push(ProofCase { name, wrong });
        }
        self.kill_everywhere(world, &done, &mut report).await;
        report
    }

    fn judge(&self, came: &Came, state: OperationState, expected: &str) -> Option<String> {
        let keeps = self.on_failure == OnFailure::Keep && state != OperationState::Done;
        judge(came, state, if keeps { &came.after } else { expected })
    }

    /// Kills the engine before and after every write of the undisturbed run, and lets another one go on.
    async fn kill_everywhere(&self, world: &dyn ProofWorld, done: &str, report: &mut ProofReport) {
        for at in 1..=KILLS_MAX {
            let name = format!("killed at point {at} of its journal");
            match self.case(world, &Disturb::Nothing, at).await {
                Ok(came) if !came.died => return,
                Ok(came) => report.cases.push(ProofCase { name, wrong: judge(&came, OperationState::Done, done) }),
                Err(wrong) => report.cases.push(ProofCase { name, wrong: Some(wrong) }),
            }
        }
    }

    fn step_names(&self) -> Result<Vec<String>, crate::registry::PayloadError> {
        let lifted = self.kind.lift(self.payload.clone())?;
        Ok(self.kind.steps(&lifted)?.iter().map(|step| step.name().to_owned()).collect())
    }

    async fn case(&self, world: &dyn ProofWorld, disturb: &Disturb, kill_at: u64) -> Result<Came, String> {
        let run = self.case_unlimited(world, disturb, kill_at);
        match tokio::time::timeout(CASE_MAX, run).await {
            Ok(came) => came,
            Err(_) => Err(format!("it had not ended after {CASE_MAX:?}")),
        }
    }

    async fn case_unlimited(&self, world: &dyn ProofWorld, disturb: &Disturb, kill_at: u64) -> Result<Came, String> {
        let scene = world.fresh().await;
        let before = scene.snapshot().await;
        let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
        let operation = self.submit(&*journal).await?;
        let registry = Registry::new().with(self.disturbed(disturb));
        let cancel = self.cancel_when_reached(&*journal, operation, disturb);
        let run = self.run_to_end(&journal, &registry, &*scene, operation, kill_at);
        let (died, state) = tokio::select! {
            biased;
            Err(wrong) = cancel => return Err(wrong),
            ended = run => ended?,
        };
        let after = scene.snapshot().await;
        let reasons = reasons(&*journal, operation).await;
        Ok(Came { died, state, reasons, before, after })
    }

    /// The steps are wrapped once for the whole case, so that a step that was let fail once is not let fail again.
    fn disturbed(&self, disturb: &Disturb) -> JobKind {
        let wrapped = self.kind.lift(self.payload.clone()).and_then(|payload| self.kind.steps(&payload));
        let wrapped = wrapped.map(|steps| disturb.wrap(steps));
        self.kind.map_steps(move |steps| wrapped.clone().unwrap_or(steps))
    }

    async fn submit(&self, journal: &dyn Journal) -> Result<OperationId, String> {
        let ids = Ids::from_seed(Arc::clone(&self.clock), 1);
        let mut job = JobSpec::new(ids.job(), "proof", self.payload.clone());
        job.on_failure = self.on_failure;
        let spec = OperationSpec {
            id: ids.operation(),
            kind: "proof".to_owned(),
            subject: "proof".to_owned(),
            actor: "proof".to_owned(),
            summary: "proof of one job".to_owned(),
            payload: self.operation_payload.clone(),
            idempotency_key: None,
            exclusive: false,
            jobs: vec![job],
        };
        let submitted = journal.submit(spec, self.clock.now()).await;
        submitted.map(|submitted| submitted.id).map_err(|error| format!("it was not accepted: {error}"))
    }

    /// Cancels once the disturbed step is reached; never ends unless that fails.
    async fn cancel_when_reached(
        &self,
        journal: &dyn Journal,
        id: OperationId,
        disturb: &Disturb,
    ) -> Result<(), String> {
        if let Disturb::CancelAt(_, reached) = disturb {
            reached.notified().await;
            let asked = journal.request_cancel(id, "proof".to_owned(), self.clock.now()).await;
            asked.map_err(|error| format!("it could not be cancelled: {error}"))?;
        }
        std::future::pending().await
    }

    async fn run_to_end(
        &self,
        journal: &Arc<dyn Journal>,
        registry: &Registry,
        scene: &dyn ProofScene,
        operation: OperationId,
        kill_at: u64,
    ) -> Result<(bool, Option<OperationState>), String> {
        let mut died = false;
        for (run, crash) in (0u64..).zip([Crash::at(kill_at), Crash::at(0)]) {
            // Each run of an engine is an owner of its own.
            let config = EngineConfig { seed: self.config.seed.map(|seed| seed + run), ..self.config.clone() };
            let registry = registry.clone();
            let clock = Arc::clone(&self.clock);
            match run_until_settled(journal, registry, scene.context(), clock, config, operation, &crash).await {
                Ended::Died => died = true,
                Ended::Settled(record) => return Ok((died, Some(record.status.state))),
                Ended::Failed(error) => return Err(format!("the engine failed: {error}")),
            }
        }
        Ok((died, None))
    }
}

/// The disturbed cases of a job with these steps, and what each must end as.
fn cases(names: &[String]) -> Vec<(String, Disturb, OperationState)> {
    let mut cases = Vec::new();
    for name in names {
        let own = || name.clone();
        cases.push((format!("step {name} repeated"), Disturb::Repeat(own()), OperationState::Done));
        cases.push((format!("fails before step {name}"), Disturb::FailBefore(own()), OperationState::Failed));
        cases.push((format!("fails after step {name}"), Disturb::FailAfter(own()), OperationState::Failed));
        let twice = Disturb::FailAfterUndoTwice(own());
        cases.push((format!("fails after step {name}, undone twice"), twice, OperationState::Failed));
        let cancel = Disturb::CancelAt(own(), Arc::new(Notify::new()));
        cases.push((format!("cancelled at step {name}"), cancel, OperationState::Cancelled));
    }
    cases
}

fn judge(came: &Came, state: OperationState, expected: &str) -> Option<String> {
    if came.state == Some(state) && came.after == expected {
        return None;
    }
    let found = came.state.map_or("unsettled", OperationState::as_str);
    if came.state != Some(state) {
        return Some(format!("it is {found}, not {}; {}", state.as_str(), came.reasons));
    }
    Some(format!("the world is not as it should be\n  should: {expected}\n  is:     {}", came.after))
}

async fn reasons(journal: &dyn Journal, operation: OperationId) -> String {
    let jobs = journal.jobs(operation, 0, 100).await.unwrap_or_default();
    let reasons = jobs.into_iter().map(|job| {
        format!(
            "job is {} ({})",
            job.status.state.as_str(),
            job.status.reason.unwrap_or_else(|| "no reason given".to_owned())
        )
    });
    reasons.collect::<Vec<_>>().join("; ")
}
