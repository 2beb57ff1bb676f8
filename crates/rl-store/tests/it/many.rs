//! Many jobs on disk: the time per job must not grow with their number, and a restart with all of them under way is quick.
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rl_engine::{
    ClaimRequest, Clock, Engine, EngineConfig, Envelope, Ids, JobKind, JobSpec, LockDomain, OpClass, OperationSpec,
    OperationState, Receipt, RegisterRequest, Registry, Step, StepCx, StepError, SystemClock, settled,
};
use rl_store::Store;
use serde_json::json;
use tokio_util::sync::CancellationToken;

const JOBS: usize = 4_000;

/// Announces, is answered, is done: what every real step writes.
struct Touch;

#[async_trait]
impl Step for Touch {
    fn name(&self) -> &'static str {
        "touch"
    }

    fn class(&self) -> OpClass {
        OpClass::Keyed
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        cx.intent(Envelope::new("touch", 1, json!({}))).await?;
        cx.submitted("UPID:pve1:0001").await?;
        Ok(Envelope::new("touched", 1, json!({})))
    }

    async fn undo(&self, _: &StepCx) -> Result<(), StepError> {
        Ok(())
    }
}

fn registry() -> Registry {
    Registry::new().with(JobKind::first("touch", |_| Ok(vec![Arc::new(Touch)])))
}

fn operation(ids: &Ids) -> OperationSpec {
    let jobs = (0..JOBS).map(|number| {
        let mut job =
            JobSpec::new(ids.job(), format!("touch {number}"), Envelope::new("touch", 1, json!({ "n": number })));
        job.locks = vec![
            LockDomain::limited(format!("node:{}", number % 10), 200),
            LockDomain::exclusive(format!("guest:{number}")),
        ];
        job
    });
    OperationSpec {
        id: ids.operation(),
        kind: "apply".to_owned(),
        subject: "many".to_owned(),
        actor: "tester".to_owned(),
        summary: "many jobs".to_owned(),
        payload: Envelope::new("plan", 1, json!({})),
        idempotency_key: None,
        exclusive: true,
        jobs: jobs.collect(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_jobs_run_and_share_commits() {
    let dir = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = Store::open(dir.path(), Arc::clone(&clock)).await.unwrap();
    let journal = store.journal();
    let id = store.start_operation(operation(&Ids::from_os(Arc::clone(&clock))), None, None).await.unwrap().operation;
    let began = Instant::now();
    let engine = Engine::new(Arc::clone(&journal), registry(), Arc::new(()), clock, EngineConfig::standard());
    let shutdown = CancellationToken::new();
    let wait = async {
        let state = settled(&*journal, id).await.unwrap().status.state;
        shutdown.cancel();
        state
    };
    let (ran, state) = tokio::join!(engine.run(shutdown.clone()), wait);
    ran.unwrap();
    assert_eq!(state, OperationState::Done);
    let (took, commits) = (began.elapsed(), store.commits());
    assert!(commits < JOBS as u64, "{JOBS} jobs of four durable writes each took {commits} commits");
    assert!(took < Duration::from_secs(90), "{JOBS} jobs took {took:?}; something looks at all jobs for each");
}

#[tokio::test]
async fn restart_with_everything_under_way_is_quick() {
    let dir = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let ids = Ids::from_os(Arc::clone(&clock));
    let store = Store::open(dir.path(), Arc::clone(&clock)).await.unwrap();
    let journal = store.journal();
    let id = store.start_operation(operation(&ids), None, None).await.unwrap().operation;
    let register = || RegisterRequest {
        lease_until: clock.now() + Duration::from_secs(60),
        known: registry().known(),
        takeover_grace: Duration::ZERO,
    };
    let owner = ids.owner();
    journal.register(owner, register(), clock.now()).await.unwrap();
    let mut held = 0;
    loop {
        let request = ClaimRequest::new(owner, 500, registry().known());
        let claims = journal.claim(request, clock.now()).await.unwrap();
        held += claims.jobs.len();
        if claims.jobs.is_empty() {
            break;
        }
    }
    assert_eq!(held, 2_000, "ten nodes with room for 200 each");
    drop((journal, store));

    let began = Instant::now();
    let store = Store::open(dir.path(), Arc::clone(&clock)).await.unwrap();
    let recovered = store.journal().register(ids.owner(), register(), clock.now()).await.unwrap();
    let took = began.elapsed();
    assert_eq!(recovered.orphans, 2_000);
    assert_eq!(store.journal().operation(id).await.unwrap().unwrap().status.state, OperationState::Running);
    assert!(took < Duration::from_secs(10), "taking over 2,000 jobs took {took:?}");
}
