//! What engines do by themselves: start schedules when they are due, once among several servers, and delete what is old.
use std::sync::Arc;
use std::time::Duration;

use rl_engine::{
    Clock, Engine, EngineConfig, Envelope, Ids, JobSpec, Journal, MemoryJournal, MissedPolicy, OperationQuery,
    OperationSpec, OperationState, ScheduleSpec, SimClock, UnixMs,
};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::world::{Faults, World, payload, registry};

struct Place {
    journal: MemoryJournal,
    clock: SimClock,
    ids: Ids,
    world: Arc<World>,
}

impl Place {
    fn new() -> Place {
        // A quarter to an hour.
        let clock = SimClock::auto(UnixMs(1_700_001_900_000));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let world = World::new(Arc::clone(&shared), 1, Faults::default(), 100);
        let journal = MemoryJournal::shared_with_clock(Arc::clone(&shared));
        Place { journal, ids: Ids::from_seed(shared, 1), clock, world }
    }

    /// Starts an engine whose own wall clock is off by so many milliseconds.
    fn start(&self, seed: u64, skew: i64, retention: Option<Duration>) -> (CancellationToken, JoinHandle<()>) {
        let clock = SimClock::auto(UnixMs(self.clock.now().0));
        clock.jump(skew);
        let config = EngineConfig { retention, ..EngineConfig::quick(seed) };
        let journal = Arc::new(self.journal.clone());
        let engine = Engine::new(journal, registry(), Arc::clone(&self.world) as _, Arc::new(clock), config);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { engine.run(shutdown).await.unwrap() }
        });
        (shutdown, task)
    }

    fn operation(&self, subject: &str) -> OperationSpec {
        OperationSpec {
            id: self.ids.operation(),
            kind: "label".to_owned(),
            subject: subject.to_owned(),
            actor: "tester".to_owned(),
            summary: "label".to_owned(),
            payload: Envelope::new("plan", 1, json!({})),
            idempotency_key: None,
            exclusive: false,
            jobs: vec![JobSpec::new(self.ids.job(), "label", payload("box", "n1", &["label"]))],
        }
    }

    async fn of(&self, subject: &str) -> Vec<OperationState> {
        let query = OperationQuery { subject: Some(subject.to_owned()), limit: 1_000, ..Default::default() };
        let found = self.journal.operations(query).await.unwrap();
        found.into_iter().map(|operation| operation.status.state).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn schedules_start_once_among_servers_whose_clocks_differ() {
    let place = Place::new();
    let hour = 3_600_000;
    let servers = [place.start(1, hour, None), place.start(2, -hour, None), place.start(3, 10 * 365 * 24 * hour, None)];
    for (name, at) in [("quarters", "*/15 * * * *"), ("hours", "0 * * * * Europe/Berlin")] {
        let spec = ScheduleSpec {
            name: name.parse().unwrap(),
            at: at.parse().unwrap(),
            missed: MissedPolicy::CatchUp,
            catch_up_max: 10,
            operation: place.operation(name),
        };
        place.journal.put_schedule(spec, place.clock.now()).await.unwrap();
    }
    place.clock.sleep(Duration::from_secs(24 * 3600 + 60)).await;
    assert_eq!(place.of("quarters").await, vec![OperationState::Done; 96]);
    assert_eq!(place.of("hours").await, vec![OperationState::Done; 24]);
    let records = place.journal.schedules().await.unwrap();
    assert!(records.iter().all(|record| record.state.missed == 0 && record.state.problem.is_none()), "{records:?}");
    place.journal.remove_schedule("quarters".parse().unwrap()).await.unwrap();
    place.clock.sleep(Duration::from_secs(2 * 3600)).await;
    assert_eq!((place.of("quarters").await.len(), place.of("hours").await.len()), (96, 26));
    for (shutdown, task) in servers {
        shutdown.cancel();
        task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn old_operations_are_deleted_in_chunks() {
    let place = Place::new();
    let (shutdown, task) = place.start(1, 10 * 365 * 24 * 3_600_000, Some(Duration::from_secs(24 * 3600)));
    for _ in 0..1_200 {
        place.journal.submit(place.operation("old"), place.clock.now()).await.unwrap();
    }
    place.clock.sleep(Duration::from_secs(23 * 3600)).await;
    let kept = place.of("old").await;
    assert_eq!(kept.len(), 1_000, "a page of them; none is old enough, whatever the engine's own clock shows");
    place.journal.submit(place.operation("new"), place.clock.now()).await.unwrap();
    place.clock.sleep(Duration::from_secs(3600 + 700)).await;
    assert_eq!((place.of("old").await.len(), place.of("new").await.len()), (0, 1));
    shutdown.cancel();
    task.await.unwrap();
}
