//! Rows that this release cannot read wait for one that can: nothing is dropped, and everything else goes on.
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use rl_engine::{
    Clock, Engine, EngineConfig, Envelope, Ids, JobKind, JobSpec, JobState, OpClass, OperationId, OperationSpec,
    OperationState, Receipt, Registry, Step, StepCx, StepError, SystemClock, settled,
};
use rl_store::Store;
use serde_json::json;
use tokio_util::sync::CancellationToken;

struct Nothing;

#[async_trait]
impl Step for Nothing {
    fn name(&self) -> &'static str {
        "nothing"
    }

    fn class(&self) -> OpClass {
        OpClass::StateGuarded
    }

    async fn ensure(&self, _: &StepCx) -> Result<Receipt, StepError> {
        Ok(Envelope::new("nothing", 1, json!({})))
    }

    async fn undo(&self, _: &StepCx) -> Result<(), StepError> {
        Ok(())
    }
}

fn operation(ids: &Ids, subject: &str) -> OperationSpec {
    let job = |key: &str| JobSpec::new(ids.job(), key, Envelope::new("nothing", 1, json!({})));
    OperationSpec {
        id: ids.operation(),
        kind: "apply".to_owned(),
        subject: subject.to_owned(),
        actor: "tester".to_owned(),
        summary: subject.to_owned(),
        payload: Envelope::new("plan", 1, json!({})),
        idempotency_key: None,
        exclusive: true,
        jobs: vec![job("first"), job("second")],
    }
}

fn change(dir: &Path, sql: &str, id: &str) {
    let database = rusqlite::Connection::open(dir.join("rapidlaunch.db")).unwrap();
    assert_eq!(database.execute(sql, [id]).unwrap(), 1);
}

async fn run(store: &Store, clock: &Arc<dyn Clock>, id: OperationId) -> OperationState {
    let journal = store.journal();
    let registry = Registry::new().with(JobKind::first("nothing", |_| Ok(vec![Arc::new(Nothing)])));
    let engine = Engine::new(Arc::clone(&journal), registry, Arc::new(()), Arc::clone(clock), EngineConfig::quick(1));
    let shutdown = CancellationToken::new();
    let wait = async {
        engine.registered().await;
        let state = settled(&*journal, id).await.unwrap().status.state;
        shutdown.cancel();
        state
    };
    let (ran, state) = tokio::join!(engine.run(shutdown.clone()), wait);
    ran.unwrap();
    state
}

#[tokio::test]
async fn unreadable_rows_are_parked_with_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let ids = Ids::from_os(Arc::clone(&clock));
    let store = Store::open(dir.path(), Arc::clone(&clock)).await.unwrap();
    let (payload, steps) = (operation(&ids, "payload"), operation(&ids, "steps"));
    let (torn, stepped) = (payload.jobs[0].id.to_string(), steps.jobs[0].id.to_string());
    let (payload_id, steps_id) = (payload.id, steps.id);
    store.start_operation(payload, None, None).await.unwrap();
    store.start_operation(steps, None, None).await.unwrap();
    drop(store);
    change(dir.path(), "update job_spec set spec = '{\"torn' where id = ?1", &torn);
    let step = "insert into step (job, direction, name, position, state, attempt, receipt, at)
                values (?1, 'do', 'nothing', 0, 'done', 1, 'torn', 0)";
    change(dir.path(), step, &stepped);

    let store = Store::open(dir.path(), Arc::clone(&clock)).await.unwrap();
    for (id, key) in [(payload_id, "unreadable job 0"), (steps_id, "first")] {
        assert_eq!(run(&store, &clock, id).await, OperationState::Blocked);
        let jobs = store.journal().jobs(id, 0, 10).await.unwrap();
        assert_eq!((jobs[0].spec.key.as_str(), jobs[0].status.state), (key, JobState::Parked));
        assert!(jobs[0].status.reason.as_ref().unwrap().starts_with("needs at least a release that can read"));
        assert_eq!(jobs[1].status.state, JobState::Done, "the other job is not held up");
    }
    drop(store);
    let database = rusqlite::Connection::open(dir.path().join("rapidlaunch.db")).unwrap();
    let kept: String =
        database.query_row("select spec from job_spec where id = ?1", [&torn], |row| row.get(0)).unwrap();
    assert_eq!(kept, "{\"torn", "the bytes are left alone");
}

#[tokio::test]
async fn unreadable_operation_parks_its_jobs_and_stops_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let ids = Ids::from_os(Arc::clone(&clock));
    let store = Store::open(dir.path(), Arc::clone(&clock)).await.unwrap();
    let (torn, whole) = (operation(&ids, "torn"), operation(&ids, "whole"));
    let (torn_id, whole_id, job) = (torn.id, whole.id, torn.jobs[0].id);
    store.start_operation(torn, None, None).await.unwrap();
    store.start_operation(whole, None, None).await.unwrap();
    drop(store);
    change(dir.path(), "update operation_info set info = 'torn' where id = ?1", &torn_id.to_string());
    let store = Store::open(dir.path(), Arc::clone(&clock)).await.unwrap();
    assert_eq!(run(&store, &clock, whole_id).await, OperationState::Done);
    assert_eq!(store.journal().job(job).await.unwrap().unwrap().status.state, JobState::Parked);
}

#[tokio::test]
async fn listings_leave_out_what_cannot_be_read_and_decisions_do_not() {
    use crate::samples::{guest, name, start};
    let home = crate::home::Home::directory();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let ids = Ids::from_os(Arc::clone(&clock));
    let store = home.open(Arc::clone(&clock)).await.unwrap();
    for (stack, number) in [("mail", 1), ("shop", 2)] {
        let start = start(&store, stack, 0, vec![guest("web", number)]);
        store.start_operation(crate::samples::operation(&ids, stack, 1), Some(start), None).await.unwrap();
    }
    home.change("update stack set resolved = 'torn' where name = ?1", "mail");
    home.change("update guest set resolved = 'torn' where stack = ?1", "mail");
    assert_eq!(
        store.stacks().await.unwrap().iter().map(|stack| stack.name.clone()).collect::<Vec<_>>(),
        [name("shop")]
    );
    assert_eq!(store.all_guests().await.unwrap().len(), 1);
    // A plan made without the guest would make it a second time.
    assert!(store.guests(&name("mail")).await.is_err() && store.leases(&name("mail"), &[], 0).await.is_err());
    assert!(store.stack(&name("mail")).await.is_err());
    assert_eq!(store.guests(&name("shop")).await.unwrap().len(), 1);
}
