//! The engine over the journal in memory: success, failure, people, panics, shutdown, many jobs.
use std::sync::Arc;
use std::time::Duration;

use rl_engine::{
    Clock, Engine, EngineConfig, Envelope, Ids, JobSpec, JobState, Journal, LockDomain, MemoryJournal, OnFailure,
    OperationId, OperationSpec, OperationState, Registry, SimClock, UnixMs, settled,
};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::world::{Faults, World, payload, registry};

struct Bench {
    journal: MemoryJournal,
    clock: SimClock,
    ids: Ids,
    world: Arc<World>,
}

struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
    engine: Arc<Engine>,
}

impl Bench {
    fn new() -> Bench {
        let clock = SimClock::auto(UnixMs(1_700_000_000_000));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let world = World::new(Arc::clone(&shared), 1, Faults::default(), 2);
        Bench { journal: MemoryJournal::new(), ids: Ids::from_seed(shared, 1), clock, world }
    }

    fn start(&self, seed: u64) -> Running {
        self.start_with(registry(), EngineConfig::quick(seed))
    }

    fn start_with(&self, registry: Registry, config: EngineConfig) -> Running {
        let journal = Arc::new(self.journal.clone());
        let engine = Arc::new(Engine::new(
            journal,
            registry,
            Arc::clone(&self.world) as _,
            Arc::new(self.clock.clone()),
            config,
        ));
        let shutdown = CancellationToken::new();
        let task = tokio::spawn({
            let (engine, shutdown) = (Arc::clone(&engine), shutdown.clone());
            async move { engine.run(shutdown).await.unwrap() }
        });
        Running { shutdown, task, engine }
    }

    fn job(&self, thing: &str, steps: &[&str]) -> JobSpec {
        let mut job = JobSpec::new(self.ids.job(), format!("create {thing}"), payload(thing, "n1", steps));
        job.locks = vec![LockDomain::limited("node:n1", 2), LockDomain::exclusive(format!("guest:{thing}"))];
        job
    }

    async fn submit(&self, jobs: Vec<JobSpec>) -> OperationId {
        let spec = OperationSpec {
            id: self.ids.operation(),
            kind: "apply".to_owned(),
            subject: "shop".to_owned(),
            actor: "tester".to_owned(),
            summary: "apply shop".to_owned(),
            payload: Envelope::new("plan", 1, json!({})),
            idempotency_key: None,
            exclusive: false,
            jobs,
        };
        self.journal.submit(spec, self.clock.now()).await.unwrap().id
    }

    async fn settled(&self, id: OperationId) -> OperationState {
        settled(&self.journal, id).await.unwrap().status.state
    }

    async fn reason(&self, id: OperationId) -> String {
        let jobs = self.journal.jobs(id, 0, 1).await.unwrap();
        jobs[0].status.reason.clone().unwrap_or_default()
    }

    async fn state_of(&self, id: OperationId, at: u32) -> JobState {
        self.journal.jobs(id, at, 1).await.unwrap()[0].status.state
    }
}

impl Running {
    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn runs_jobs_in_order_and_ends() {
    let bench = Bench::new();
    let running = bench.start(1);
    let mut jobs: Vec<JobSpec> = (0..6).map(|number| bench.job(&format!("box{number}"), &["make", "start"])).collect();
    jobs[5].after = jobs[..5].iter().map(|job| job.id).collect();
    let id = bench.submit(jobs).await;
    assert_eq!(bench.settled(id).await, OperationState::Done);
    assert_eq!(bench.world.things().len(), 6);
    assert!((0..6).all(|number| bench.world.made(&format!("box{number}")) == 1));
    assert_eq!(bench.world.violations(), Vec::<String>::new());
    assert!(bench.journal.held_domains().is_empty(), "nothing is locked any more");
    assert!(running.engine.progress().all().is_empty(), "progress goes with the job");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn fatal_step_unwinds_its_job_only() {
    let bench = Bench::new();
    let running = bench.start(1);
    let mut jobs = vec![
        bench.job("good", &["make"]),
        bench.job("bad", &["make", "label", "fails"]),
        bench.job("after", &["make"]),
    ];
    jobs[2].after = vec![jobs[1].id];
    let id = bench.submit(jobs).await;
    assert_eq!(bench.settled(id).await, OperationState::Failed);
    assert_eq!(bench.world.things().into_keys().collect::<Vec<_>>(), ["good"], "what the failed job made is gone");
    assert_eq!((bench.state_of(id, 1).await, bench.state_of(id, 2).await), (JobState::Failed, JobState::Skipped));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn keeps_what_was_done_when_asked_to() {
    let bench = Bench::new();
    let running = bench.start(1);
    let mut job = bench.job("box", &["make", "fails"]);
    job.on_failure = OnFailure::Keep;
    let id = bench.submit(vec![job]).await;
    assert_eq!(bench.settled(id).await, OperationState::Failed);
    assert_eq!(bench.world.things().len(), 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn undo_that_fails_is_stuck_and_can_be_sent_on() {
    let bench = Bench::new();
    let running = bench.start(1);
    let id = bench.submit(vec![bench.job("box", &["make", "sticks", "fails"])]).await;
    assert_eq!(bench.settled(id).await, OperationState::Stuck);
    assert!(bench.reason(id).await.contains("undoing sticks"), "{}", bench.reason(id).await);
    assert_eq!(bench.world.things().len(), 1, "earlier steps are not undone past one that could not be");
    bench.journal.retry(id, "tester".to_owned(), bench.clock.now()).await.unwrap();
    assert_eq!(bench.settled(id).await, OperationState::Stuck);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn panic_is_an_attempt_not_the_end() {
    let bench = Bench::new();
    let running = bench.start(1);
    let mut job = bench.job("box", &["make", "panics"]);
    job.max_attempts = 3;
    let id = bench.submit(vec![job, bench.job("other", &["make"])]).await;
    assert_eq!(bench.settled(id).await, OperationState::Failed);
    assert!(bench.reason(id).await.contains("given up after 3 attempts: it panicked: a fault in the step"));
    assert_eq!(running.engine.stats().panics(), 3);
    assert_eq!(bench.world.things().into_keys().collect::<Vec<_>>(), ["other"]);

    let mut back = bench.job("back", &["make", "panics-back", "fails"]);
    back.max_attempts = 2;
    let id = bench.submit(vec![back]).await;
    assert_eq!(bench.settled(id).await, OperationState::Stuck);
    assert!(bench.reason(id).await.contains("undoing panics-back: given up after 2 attempts"));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn deadline_ends_a_hanging_step() {
    let bench = Bench::new();
    let running = bench.start(1);
    let mut job = bench.job("box", &["make", "hangs"]);
    job.deadline = Some(Duration::from_secs(60));
    let id = bench.submit(vec![job]).await;
    let before = bench.clock.steady();
    assert_eq!(bench.settled(id).await, OperationState::Failed);
    let took = bench.clock.steady() - before;
    assert!(took >= Duration::from_secs(60) && took < Duration::from_secs(90), "{took:?}");
    assert!(bench.reason(id).await.contains("deadline passed, 60s"), "{}", bench.reason(id).await);
    assert!(bench.world.things().is_empty());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn blocked_waits_for_a_person() {
    let bench = Bench::new();
    let running = bench.start(1);
    let first = bench.submit(vec![bench.job("box", &["make"])]).await;
    assert_eq!(bench.settled(first).await, OperationState::Done);
    let second = bench.submit(vec![bench.job("box", &["make"])]).await;
    assert_eq!(bench.settled(second).await, OperationState::Blocked);
    assert_eq!(bench.reason(second).await, "make: box belongs to another");
    assert!(bench.journal.held_domains().is_empty(), "a blocked job holds nothing up");
    bench.journal.request_cancel(second, "tester".to_owned(), bench.clock.now()).await.unwrap();
    assert_eq!(bench.settled(second).await, OperationState::Cancelled);
    assert_eq!(bench.world.made("box"), 1, "what belongs to another is left alone");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn opaque_step_of_unknown_fate_waits_for_a_person() {
    let bench = Bench::new();
    let running = bench.start(1);
    let id = bench.submit(vec![bench.job("box", &["make", "script"])]).await;
    assert_eq!(bench.settled(id).await, OperationState::Blocked);
    assert!(bench.reason(id).await.contains("it is not repeated"), "{}", bench.reason(id).await);
    assert_eq!(bench.world.things()["box"].marks, ["script-1"], "it ran once and was not repeated");
    bench.journal.retry(id, "tester".to_owned(), bench.clock.now()).await.unwrap();
    assert_eq!(bench.settled(id).await, OperationState::Done);
    assert_eq!(bench.world.things()["box"].marks, ["script-1", "script-3"], "a person's word repeats it");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn cancel_waits_for_the_task_and_undoes() {
    let bench = Bench::new();
    let running = bench.start(1);
    let id = bench
        .submit(vec![bench.job("box", &["make", "start"]), bench.job("late", &["make"]), bench.job("later", &["make"])])
        .await;
    bench.clock.sleep(Duration::from_millis(1500)).await;
    assert_eq!(bench.world.running_tasks(), 2);
    bench.journal.request_cancel(id, "tester".to_owned(), bench.clock.now()).await.unwrap();
    assert_eq!(bench.settled(id).await, OperationState::Cancelled);
    assert_eq!(bench.world.running_tasks(), 0, "cancelled only after the tasks have ended");
    assert!(bench.world.things().is_empty());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_detaches_and_the_next_run_goes_on() {
    let bench = Bench::new();
    let running = bench.start(1);
    let id = bench.submit(vec![bench.job("box", &["make", "start"])]).await;
    bench.clock.sleep(Duration::from_millis(1500)).await;
    let asked = bench.clock.steady();
    running.stop().await;
    assert!(bench.clock.steady() - asked < Duration::from_secs(1), "a task that is only followed is not waited for");
    assert_eq!(bench.state_of(id, 0).await, JobState::Ready);
    assert_eq!(bench.journal.jobs(id, 0, 1).await.unwrap()[0].status.failures, 0, "a shutdown is no failed attempt");
    let running = bench.start(2);
    assert_eq!(bench.settled(id).await, OperationState::Done);
    assert_eq!(bench.world.made("box"), 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn unknown_kind_waits_for_a_newer_release() {
    let bench = Bench::new();
    let running = bench.start_with(Registry::new(), EngineConfig::quick(1));
    let id = bench.submit(vec![bench.job("box", &["make"])]).await;
    assert_eq!(bench.settled(id).await, OperationState::Blocked);
    assert_eq!(bench.reason(id).await, "needs at least a release that knows `toy`; this one does not");
    running.stop().await;
    let running = bench.start(2);
    running.engine.registered().await;
    assert_eq!(bench.settled(id).await, OperationState::Done);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn wall_clock_jumps_change_nothing() {
    let bench = Bench::new();
    let running = bench.start(1);
    let jobs = (0..10).map(|number| bench.job(&format!("box{number}"), &["make", "start"])).collect();
    let id = bench.submit(jobs).await;
    bench.clock.sleep(Duration::from_secs(2)).await;
    bench.clock.jump(-3_600_000);
    bench.clock.sleep(Duration::from_secs(2)).await;
    assert_eq!(bench.settled(id).await, OperationState::Done);
    assert_eq!(running.engine.stats().leases_lost(), 0);
    assert_eq!(bench.world.violations(), Vec::<String>::new());
    running.stop().await;
}

/// Real time for an operation of so many jobs behind a few limits.
async fn time_of(count: usize) -> Duration {
    let bench = Bench::new();
    let mut jobs: Vec<JobSpec> = (0..count).map(|number| bench.job(&format!("box{number}"), &["mark"])).collect();
    for (number, job) in jobs.iter_mut().enumerate() {
        job.locks[0] = LockDomain::limited(format!("node:{}", number % 10), 3);
    }
    let began = std::time::Instant::now();
    let id = bench.submit(jobs).await;
    let running = bench.start(1);
    assert_eq!(bench.settled(id).await, OperationState::Done);
    let took = began.elapsed();
    running.stop().await;
    took
}

/// The time per job must not grow with their number. The machine may be busy, so a factor is left before it counts as growth.
#[tokio::test(start_paused = true)]
async fn many_jobs_in_one_operation_stay_quick() {
    let few = time_of(1_000).await;
    let many = time_of(10_000).await;
    assert!(many < few * 10 * 5, "1,000 jobs took {few:?}, 10,000 took {many:?}; something looks at all jobs for each");
}
