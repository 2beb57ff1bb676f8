//! What an observer is shown: every claim, every attempt at a step with what came of it, and a pulse while the loop goes round.
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rl_engine::{
    Clock, Direction, Engine, EngineConfig, Envelope, Ids, JobSpec, Journal, MemoryJournal, Observer, OperationSpec,
    OperationState, SimClock, StepEnded, UnixMs, settled,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::world::{Faults, World, payload, registry};

#[derive(Default)]
struct Notes {
    claims: Mutex<Vec<(String, Duration)>>,
    steps: Mutex<Vec<String>>,
}

impl Observer for Notes {
    fn job_claimed(&self, job: &JobSpec, waited: Duration) {
        self.claims.lock().unwrap().push((job.key.clone(), waited));
    }

    fn step_ended(&self, ended: &StepEnded<'_>) {
        let direction = if ended.direction == Direction::Do { "do" } else { "undo" };
        let note = format!("{} {direction} {} {}", ended.job.payload.kind, ended.step, ended.result.as_str());
        self.steps.lock().unwrap().push(note);
    }
}

#[tokio::test(start_paused = true)]
async fn claims_steps_and_a_pulse_are_shown() {
    let clock = SimClock::auto(UnixMs(1_700_000_000_000));
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let world = World::new(Arc::clone(&shared), 1, Faults::default(), 2);
    let journal = MemoryJournal::new();
    let ids = Ids::from_seed(Arc::clone(&shared), 1);
    let notes = Arc::new(Notes::default());
    let config = EngineConfig::quick(1);
    let beat = config.heartbeat;
    let engine = Engine::new(Arc::new(journal.clone()), registry(), world as _, Arc::clone(&shared), config)
        .watched_by(Arc::clone(&notes) as _);
    let (stats, shutdown) = (engine.stats(), CancellationToken::new());
    let task = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { engine.run(shutdown).await.unwrap() }
    });
    let job = JobSpec::new(ids.job(), "create bad", payload("bad", "n1", &["make", "label", "fails"]));
    let spec = OperationSpec {
        id: ids.operation(),
        kind: "apply".to_owned(),
        subject: "shop".to_owned(),
        actor: "tester".to_owned(),
        summary: "apply shop".to_owned(),
        payload: Envelope::new("plan", 1, json!({})),
        idempotency_key: None,
        exclusive: false,
        jobs: vec![job],
    };
    let id = journal.submit(spec, clock.now()).await.unwrap().id;
    assert_eq!(settled(&journal, id).await.unwrap().status.state, OperationState::Failed);
    let claims = notes.claims.lock().unwrap().clone();
    assert_eq!(claims[0].0, "create bad");
    let steps = notes.steps.lock().unwrap().clone();
    let done = |note: &str| steps.iter().any(|step| step.ends_with(note));
    assert!(done("do make done") && done("do fails failed") && done("undo make done"), "{steps:?}");
    let pulse = stats.pulse();
    shared.sleep(3 * beat).await;
    assert!(stats.pulse() > pulse && stats.beats() > 0, "a loop that goes round has a pulse");
    assert_eq!(stats.running(), 0);
    shutdown.cancel();
    task.await.unwrap();
}
