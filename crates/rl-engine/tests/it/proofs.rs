//! The toy job passes its proofs, and a step with a fault does not.
use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use rl_engine::testing::{ProofScene, ProofWorld, Proofs};
use rl_engine::{
    Clock, EngineConfig, Envelope, JobKind, OnFailure, OpClass, Receipt, SimClock, Step, StepCx, StepError, UnixMs,
};
use serde_json::json;

use crate::world::{Faults, Make, World, kind, payload};

struct Fresh(Arc<dyn Clock>);
struct Scene(Arc<World>);

#[async_trait]
impl ProofWorld for Fresh {
    async fn fresh(&self) -> Box<dyn ProofScene> {
        Box::new(Scene(World::new(Arc::clone(&self.0), 1, Faults::default(), 1)))
    }
}

#[async_trait]
impl ProofScene for Scene {
    fn context(&self) -> Arc<dyn Any + Send + Sync> {
        Arc::clone(&self.0) as _
    }

    async fn snapshot(&self) -> String {
        let things = self.0.things();
        let things: Vec<String> = things.iter().map(|(name, thing)| format!("{name} {:?}", thing.marks)).collect();
        format!("{things:?} made {}, {:?}", self.0.made("box"), self.0.violations())
    }
}

fn proofs(kind: JobKind, clock: &Arc<dyn Clock>) -> Proofs {
    Proofs {
        kind,
        payload: payload("box", "n1", &["make", "label", "start"]),
        operation_payload: Envelope::new("plan", 1, json!({})),
        on_failure: OnFailure::Undo,
        clock: Arc::clone(clock),
        config: EngineConfig::quick(7),
    }
}

#[tokio::test(start_paused = true)]
async fn toy_job_passes() {
    let clock: Arc<dyn Clock> = Arc::new(SimClock::auto(UnixMs(1_700_000_000_000)));
    let report = proofs(kind(), &clock).run(&Fresh(Arc::clone(&clock))).await;
    report.assert_ok();
    assert!(report.cases.len() > 30, "every step and every journal write has its cases:\n{report}");
}

/// Makes the thing without looking first, and takes "already exists" for success of its own.
struct Careless;

#[async_trait]
impl Step for Careless {
    fn name(&self) -> &'static str {
        "make"
    }

    fn class(&self) -> OpClass {
        OpClass::Keyed
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        Make.ensure(cx).await
    }

    async fn undo(&self, _: &StepCx) -> Result<(), StepError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn undo_that_leaves_something_is_found() {
    let clock: Arc<dyn Clock> = Arc::new(SimClock::auto(UnixMs(1_700_000_000_000)));
    let careless = kind().map_steps(|mut steps| {
        steps[0] = Arc::new(Careless);
        steps
    });
    let report = proofs(careless, &clock).run(&Fresh(Arc::clone(&clock))).await;
    let wrong: Vec<&str> =
        report.cases.iter().filter(|case| case.wrong.is_some()).map(|case| case.name.as_str()).collect();
    assert!(wrong.contains(&"fails after step start"), "{report}");
    assert!(!wrong.contains(&"runs") && !wrong.contains(&"step make repeated"), "{report}");
}
