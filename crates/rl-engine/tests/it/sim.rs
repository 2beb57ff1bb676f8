//! Whole systems under a simulated clock, from a seed: crashes after journal writes, lost answers, failed tasks, cancellations,
//! engines that lose touch and come back. After each run the books of the outside are compared with the journal's.
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rl_engine::testing::{Crash, CrashJournal, Ended, run_until_settled};
use rl_engine::{
    Clock, Engine, EngineConfig, Envelope, Ids, JobSpec, JobState, Journal, LockDomain, MemoryJournal, OperationId,
    OperationSpec, OperationState, SimClock, UnixMs, settled,
};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::world::{CALL, Faults, World, payload, registry};

/// Seeds of each run of the test suite; `SIM_SEEDS` asks for others.
const SEEDS: u64 = 150;
/// Most crashes in one run.
const CRASHES_MAX: u32 = 12;
/// Jobs that may make a thing on one node at once.
const NODE_LIMIT: u32 = 2;

fn seeds() -> std::ops::Range<u64> {
    match std::env::var("SIM_SEED").ok().and_then(|seed| seed.parse::<u64>().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..std::env::var("SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS),
    }
}

struct Sim {
    seed: u64,
    rng: StdRng,
    clock: SimClock,
    ids: Ids,
    world: Arc<World>,
    journal: MemoryJournal,
    runs: u64,
}

impl Sim {
    fn new(seed: u64, journal: MemoryJournal) -> Sim {
        let clock = SimClock::auto(UnixMs(1_700_000_000_000));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let mut rng = StdRng::seed_from_u64(seed);
        let faults = Faults {
            refuse: rng.random_range(0..20),
            lose_answer: rng.random_range(0..30),
            task_fails: rng.random_range(0..15),
        };
        let world = World::new(Arc::clone(&shared), seed, faults, NODE_LIMIT as usize);
        Sim { seed, rng, ids: Ids::from_seed(shared, seed), clock, world, journal, runs: 0 }
    }

    fn config(&mut self) -> EngineConfig {
        self.runs += 1;
        EngineConfig {
            lease_ttl: Duration::from_secs(30),
            heartbeat: Duration::from_secs(5),
            takeover_grace: CALL,
            ..EngineConfig::quick(self.seed * 1000 + self.runs)
        }
    }

    /// Between one and twelve jobs on two nodes, some after others, some that fail.
    fn operation(&mut self) -> OperationSpec {
        let id = self.ids.operation();
        let count = self.rng.random_range(1..12);
        let mut jobs: Vec<JobSpec> = Vec::new();
        for number in 0..count {
            let thing = format!("thing-{}-{number}", id.made_at_ms());
            let node = format!("n{}", self.rng.random_range(0..2));
            let steps: &[&str] = if self.rng.random_range(0..8) == 0 {
                &["make", "label", "fails"]
            } else {
                &["make", "label", "start"]
            };
            let mut job = JobSpec::new(self.ids.job(), format!("create {thing}"), payload(&thing, &node, steps));
            job.locks = vec![
                LockDomain::limited(format!("node:{node}"), NODE_LIMIT),
                LockDomain::exclusive(format!("guest:{thing}")),
            ];
            job.max_attempts = 50;
            if number > 0 && self.rng.random_range(0..4) == 0 {
                job.after = vec![jobs[self.rng.random_range(0..jobs.len())].id];
            }
            jobs.push(job);
        }
        OperationSpec {
            id,
            kind: "apply".to_owned(),
            subject: "shop".to_owned(),
            actor: "sim".to_owned(),
            summary: "apply shop".to_owned(),
            payload: Envelope::new("plan", 1, json!({})),
            idempotency_key: None,
            exclusive: false,
            jobs,
        }
    }

    /// An engine over this journal, running in a task of its own.
    fn engine(&mut self, crash: Arc<Crash>) -> JoinHandle<()> {
        let journal = Arc::new(CrashJournal::new(Arc::new(self.journal.clone()), crash));
        let config = self.config();
        let (world, clock) = (Arc::clone(&self.world) as _, Arc::new(self.clock.clone()));
        let engine = Engine::new(journal, registry(), world, clock, config);
        tokio::spawn(async move { engine.run(CancellationToken::new()).await.unwrap() })
    }

    async fn submit(&mut self) -> OperationId {
        let spec = self.operation();
        self.journal.submit(spec, self.clock.now()).await.unwrap().id
    }

    /// What must hold once an operation is settled.
    async fn check(&self, id: OperationId) {
        let seed = self.seed;
        let repeat = format!("repeat with SIM_SEED={seed} cargo nextest run -p rl-engine sim");
        assert_eq!(self.world.violations(), Vec::<String>::new(), "{repeat}");
        assert_eq!(self.world.running_tasks(), 0, "an operation ended while a task of it ran; {repeat}");
        assert!(self.journal.held_domains().is_empty(), "{:?} is still held; {repeat}", self.journal.held_domains());
        let operation = self.journal.operation(id).await.unwrap().expect("an accepted operation is never lost");
        assert!(operation.status.state.is_finished(), "{:?}; {repeat}", operation.status);
        let jobs = self.journal.jobs(id, 0, 1000).await.unwrap();
        assert_eq!(jobs.len() as u32, operation.status.counts.total(), "{repeat}");
        let things = self.world.things();
        for job in jobs {
            let key = &job.spec.key;
            let thing = key.strip_prefix("create ").unwrap();
            let state = job.status.state;
            match state {
                JobState::Done => {
                    assert_eq!(self.world.made(thing), 1, "{key} was made more than once; {repeat}");
                    assert_eq!(things[thing].marks, ["label", "start"], "{key}; {repeat}");
                }
                JobState::Failed | JobState::Cancelled | JobState::Skipped => {
                    assert!(!things.contains_key(thing), "{key} is {state:?} and left something; {repeat}");
                }
                _ => panic!("{key} is {state:?}: {:?}; {repeat}", job.status.reason),
            }
        }
    }
}

/// One engine at a time, killed again and again at random journal writes.
#[tokio::test(start_paused = true)]
async fn killed_engines_lose_and_repeat_nothing() {
    let mut deaths = 0;
    for seed in seeds() {
        let mut sim = Sim::new(seed, MemoryJournal::new());
        let id = sim.submit().await;
        let cancel_in = (seed % 3 == 0).then(|| Duration::from_millis(sim.rng.random_range(0..15_000)));
        let (journal, clock) = (sim.journal.clone(), sim.clock.clone());
        let run = async {
            let mut crashes = 0;
            loop {
                let at = if crashes < CRASHES_MAX { sim.rng.random_range(1..40) } else { 0 };
                let config = sim.config();
                let journal: Arc<dyn Journal> = Arc::new(sim.journal.clone());
                let (world, clock) = (Arc::clone(&sim.world) as _, Arc::new(sim.clock.clone()));
                match run_until_settled(&journal, registry(), world, clock, config, id, &Crash::at(at)).await {
                    Ended::Died => crashes += 1,
                    Ended::Settled(_) => break crashes,
                    Ended::Failed(error) => panic!("seed {seed}: {error}"),
                }
            }
        };
        let cancel = async {
            let Some(wait) = cancel_in else { return };
            clock.sleep(wait).await;
            // Too late is fine.
            let _ = journal.request_cancel(id, "sim".to_owned(), clock.now()).await;
        };
        let (crashes, ()) = tokio::join!(run, cancel);
        deaths += crashes;
        sim.check(id).await;
    }
    assert!(deaths > 0, "no engine was ever killed; the test tests nothing");
}

/// Three engines share a journal; each loses touch with it again and again, for longer than a lease, and comes back believing nothing
/// happened. Its calls must have stopped in time and its late writes must be refused.
#[tokio::test(start_paused = true)]
async fn zombies_cannot_act_or_write() {
    let mut refused = 0;
    for seed in seeds() {
        let mut sim = Sim::new(seed, MemoryJournal::shared());
        let id = sim.submit().await;
        let mut tasks = Vec::new();
        let mut stats = Vec::new();
        for _ in 0..3 {
            let crash = Crash::at(0);
            let journal = Arc::new(CrashJournal::new(Arc::new(sim.journal.clone()), Arc::clone(&crash)));
            let config = sim.config();
            let (world, clock) = (Arc::clone(&sim.world) as _, Arc::new(sim.clock.clone()));
            let engine = Engine::new(journal, registry(), world, clock, config);
            stats.push(engine.stats());
            tasks.push(tokio::spawn(async move {
                engine.run(CancellationToken::new()).await.unwrap();
            }));
            let (clock, mut rng) = (sim.clock.clone(), StdRng::seed_from_u64(sim.rng.random()));
            tasks.push(tokio::spawn(async move {
                for _ in 0..CRASHES_MAX {
                    clock.sleep(Duration::from_millis(rng.random_range(200..20_000))).await;
                    crash.cut();
                    clock.sleep(Duration::from_millis(rng.random_range(1_000..90_000))).await;
                    crash.mend();
                }
            }));
        }
        let state = settled(&sim.journal, id).await.unwrap().status.state;
        assert!(matches!(state, OperationState::Done | OperationState::Failed), "seed {seed}: {state:?}");
        sim.check(id).await;
        refused += stats.iter().map(|stats| stats.leases_lost()).sum::<u64>();
        for task in tasks {
            task.abort();
        }
    }
    assert!(refused > 0, "no late write was ever refused; the test tests nothing");
}

/// An operation is cancelled at every single point of its journal, with and without the engine dying at the same moment.
#[tokio::test(start_paused = true)]
async fn cancelled_at_every_point() {
    let mut cancelled = 0;
    for dies in [false, true] {
        for at in 1.. {
            let mut sim = Sim::new(3, MemoryJournal::new());
            let id = sim.submit().await;
            let crash = if dies { Crash::at(at) } else { Crash::cut_at(at) };
            let first = sim.engine(Arc::clone(&crash));
            let (shared, inner) = (sim.journal.clone(), sim.journal.clone());
            let ended = tokio::select! {
                biased;
                () = crash.reached() => false,
                state = settled(&shared, id) => state.is_ok(),
            };
            if ended {
                assert!(at > 20, "the operation has fewer writes than its jobs have");
                break;
            }
            // Too late is fine.
            let _ = inner.request_cancel(id, "sim".to_owned(), sim.clock.now()).await;
            let second = if dies {
                first.abort();
                Some(sim.engine(Crash::at(0)))
            } else {
                crash.mend();
                None
            };
            let state = settled(&sim.journal, id).await.unwrap().status.state;
            cancelled += u32::from(state == OperationState::Cancelled);
            sim.check(id).await;
            first.abort();
            second.inspect(|task| task.abort());
        }
    }
    assert!(cancelled > 20, "only {cancelled} cancellations came in time");
}

/// One engine alone is cut off from its journal for longer than a lease, and nobody takes over: its jobs must not be left behind.
#[tokio::test(start_paused = true)]
async fn lone_engine_goes_on_after_an_outage() {
    for seed in seeds() {
        for journal in [MemoryJournal::new(), MemoryJournal::shared()] {
            let mut sim = Sim::new(seed, journal);
            let id = sim.submit().await;
            let crash = Crash::at(0);
            let task = sim.engine(Arc::clone(&crash));
            for _ in 0..3 {
                sim.clock.sleep(Duration::from_millis(sim.rng.random_range(200..8_000))).await;
                crash.cut();
                sim.clock.sleep(Duration::from_secs(300)).await;
                crash.mend();
            }
            let settled = tokio::time::timeout(Duration::from_secs(3600), settled(&sim.journal, id)).await;
            assert!(settled.is_ok(), "seed {seed}: an hour after the outage it has not ended");
            sim.check(id).await;
            task.abort();
        }
    }
}

/// The same seed gives the same events, byte for byte.
#[tokio::test(start_paused = true)]
async fn seed_gives_the_same_run() {
    let mut logs = Vec::new();
    for _ in 0..2 {
        let mut sim = Sim::new(11, MemoryJournal::new());
        let id = sim.submit().await;
        let config = sim.config();
        let journal: Arc<dyn Journal> = Arc::new(sim.journal.clone());
        let (world, clock) = (Arc::clone(&sim.world) as _, Arc::new(sim.clock.clone()));
        let ended = run_until_settled(&journal, registry(), world, clock, config, id, &Crash::at(0)).await;
        assert!(matches!(ended, Ended::Settled(_)), "{ended:?}");
        let query = rl_engine::EventQuery { limit: 1000, ..Default::default() };
        logs.push(serde_json::to_string(&sim.journal.events(query).await.unwrap()).unwrap());
    }
    assert_eq!(logs[0], logs[1]);
}
