//! What is stuck is told: steps that are not heard of, and jobs that run too long.
use std::sync::Arc;
use std::time::Duration;

use rl_engine::{Clock, Engine, Envelope, JobSpec, Journal, OperationSpec, OperationState, settled};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::outage::{CALL, GRACE, Lab, registry};

#[tokio::test(start_paused = true)]
async fn silence_is_told_and_so_is_its_end() {
    let lab = Lab::new(CALL);
    let server = lab.start(1, GRACE);
    let mut board = server.engine.progress();
    let id = lab.submit("quiet", 1).await;
    let job = lab.journal.jobs(id, 0, 1).await.unwrap()[0].spec.id;
    lab.sleep(100).await;
    assert!(lab.events("step.stalled").await.is_empty());
    assert_eq!(board.of(job).map(|progress| progress.stalled), Some(false));
    lab.done(id).await;
    assert!(lab.events("step.stalled").await.is_empty(), "300 s of silence are less than the limit of 600 s");
    server.stop().await;

    let mut config = lab.config(2, GRACE);
    config.stall_after = Duration::from_secs(120);
    let (context, clock) = (Arc::clone(&lab.outside) as _, Arc::new(lab.clock.clone()));
    let engine = Arc::new(Engine::new(Arc::new(lab.journal.clone()), registry(), context, clock, config));
    board = engine.progress();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn({
        let (engine, shutdown) = (Arc::clone(&engine), shutdown.clone());
        async move { engine.run(shutdown).await.unwrap() }
    });
    let id = lab.submit("quiet", 1).await;
    let job = lab.journal.jobs(id, 0, 1).await.unwrap()[0].spec.id;
    lab.sleep(140).await;
    let stalled = lab.events("step.stalled").await;
    assert_eq!(stalled.len(), 1, "told once");
    assert_eq!(stalled[0].body["step"], "quiet");
    assert!(stalled[0].body["last"].as_str().unwrap().contains("copying 10 GiB"));
    let progress = board.of(job).unwrap();
    assert!(progress.stalled && progress.text.contains("10 GiB"), "{progress:?}");
    lab.sleep(180).await;
    assert_eq!(lab.events("step.moving").await.len(), 1);
    assert!(!board.of(job).unwrap().stalled);
    lab.done(id).await;
    shutdown.cancel();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_passed_deadline_is_told() {
    let lab = Lab::new(CALL);
    let server = lab.start(1, GRACE);
    let mut spec = JobSpec::new(lab.ids.job(), "slow", Envelope::new("quiet", 1, json!({})));
    spec.deadline = Some(Duration::from_secs(60));
    let operation = OperationSpec {
        id: lab.ids.operation(),
        kind: "test".to_owned(),
        subject: "shop".to_owned(),
        actor: "tester".to_owned(),
        summary: "test".to_owned(),
        payload: Envelope::new("plan", 1, json!({})),
        idempotency_key: None,
        exclusive: false,
        jobs: vec![spec],
    };
    let id = lab.journal.submit(operation, lab.clock.now()).await.unwrap().id;
    assert_eq!(settled(&lab.journal, id).await.unwrap().status.state, OperationState::Failed);
    let told = lab.events("job.deadline").await;
    assert_eq!((told.len(), told[0].body["allowed_ms"].as_u64()), (1, Some(60_000)));
    server.stop().await;
}
