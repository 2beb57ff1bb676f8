//! One server: its process dies and is started again, stands still, loses its network, and its clock jumps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rl_engine::{Clock, Engine, EngineConfig, SimClock};
use rl_ops::Ctx;
use tokio_util::sync::CancellationToken;

use crate::book::View;
use crate::broken::{self, Broken};
use crate::handle::Handle;
use crate::life::{Life, ProcessClock};
use crate::run::World;

/// How long a clock jumps at most when an administrator sets it wrong: ten years.
const TEN_YEARS_MS: i64 = 10 * 365 * 24 * 3600 * 1000;
/// How far a clock may be off.
const OFF_MAX_MS: i64 = TEN_YEARS_MS + HOUR_MS;
const HOUR_MS: i64 = 3600 * 1000;
/// Writes acknowledged too early that a crash may lose, in a store that is broken on purpose.
const LOST_MAX: usize = 6;

/// See the module.
pub(crate) struct Server {
    pub(crate) number: usize,
    pub(crate) world: Arc<World>,
    rng: SmallRng,
    /// How far its clock is off, in milliseconds.
    off_ms: i64,
    runs: u64,
}

impl Server {
    pub(crate) fn new(number: usize, world: &Arc<World>, seed: u64) -> Self {
        let rng = SmallRng::seed_from_u64(seed);
        Self { number, world: Arc::clone(world), rng, off_ms: 0, runs: 0 }
    }

    /// Runs for ever.
    pub(crate) async fn run(mut self) {
        loop {
            self.runs += 1;
            let crash_at = if self.calm() { 0 } else { self.rng.random_range(0..120) };
            self.live(crash_at).await;
            let down = if self.calm() { 1_000 } else { self.rng.random_range(10..60_000) };
            tokio::time::sleep(Duration::from_millis(down)).await;
        }
    }

    fn calm(&self) -> bool {
        self.world.calm.is_cancelled()
    }

    /// One run of its process.
    async fn live(&mut self, crash_at: u64) {
        let world = Arc::clone(&self.world);
        let halt_at = if self.calm() { 0 } else { self.rng.random_range(0..60) };
        let life = Life::new(crash_at, halt_at);
        let seed = self.rng.random();
        let clock = SimClock::auto(world.database.now());
        clock.jump(self.off_ms);
        let journal = Handle::new(&world.database, &world.rules, &life, self.number, seed);
        let sites = world.places.iter().map(|place| (place.site.name.clone(), place.api(&life)));
        let sites: BTreeMap<_, _> = sites.collect();
        let book = View { book: Arc::clone(&world.book), life: Arc::clone(&life) };
        let ctx = Arc::new(Ctx::new(sites, Arc::new(book)));
        // Retention goes by the wall clock of the only server: a jump of years would take the history away, and the books with it.
        let config = EngineConfig { seed: Some(seed), retention: None, ..EngineConfig::standard() };
        let own = ProcessClock { clock: clock.clone(), life: Arc::clone(&life) };
        let engine = Engine::new(journal, broken::registry(world.broken), ctx, Arc::new(own), config);
        let shutdown = CancellationToken::new();
        let run = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { engine.run(shutdown).await }
        });
        let abort = run.abort_handle();
        world.rules.event(format!("server {} starts, its clock off by {} ms", self.number, self.off_ms));
        let ended = tokio::select! {
            biased;
            () = life.died() => "dies".to_owned(),
            ended = run => format!("ends: {:?}", ended.unwrap()),
            () = self.suffer(&life, &clock, &shutdown) => unreachable!("it suffers for ever"),
        };
        world.rules.event(format!("server {} {ended}", self.number));
        if life.is_dead() {
            world.rules.count(|counts| counts.crashes += 1);
            if world.broken == Broken::AnswerBeforeCommit {
                world.database.lose_last(self.rng.random_range(1..LOST_MAX));
                world.rules.nothing_lost();
            }
        }
        life.die();
        abort.abort();
    }

    /// Lets one thing after another happen to a run, until the world is calm.
    async fn suffer(&mut self, life: &Arc<Life>, clock: &SimClock, shutdown: &CancellationToken) {
        let calm = self.world.calm.clone();
        // Longer than a lease, most times: it wakes up in the middle of a write and believes that nothing happened.
        let halt_for = Duration::from_secs(self.rng.random_range(5..300));
        let (number, rules) = (self.number, Arc::clone(&self.world.rules));
        let halt = async {
            life.halted().await;
            rules.event(format!("server {number} stands still in a write for {halt_for:?}"));
            tokio::time::sleep(halt_for).await;
            life.change(|state| state.stopped = false);
            std::future::pending::<()>().await
        };
        tokio::select! {
            biased;
            () = calm.cancelled() => {}
            () = halt => {}
            () = self.trouble(life, clock, shutdown) => {}
        }
        life.mend();
        std::future::pending().await
    }

    async fn trouble(&mut self, life: &Arc<Life>, clock: &SimClock, shutdown: &CancellationToken) {
        loop {
            clock.sleep(Duration::from_millis(self.rng.random_range(100..120_000))).await;
            let long = Duration::from_millis(self.rng.random_range(100..300_000));
            let kind = self.rng.random_range(0..7);
            self.world.rules.event(format!("server {}: trouble {kind} for {long:?}", self.number));
            match kind {
                0 | 1 => life.change(|state| state.stopped = true),
                2 => life.change(|state| state.no_database = true),
                3 => life.change(|state| state.no_sites = true),
                4 | 5 => {
                    let far = if kind == 4 { HOUR_MS } else { TEN_YEARS_MS };
                    let by = if self.rng.random_bool(0.5) { far } else { -far };
                    // Jumps that add up would end before 1970, where no clock of a computer goes.
                    let by = (self.off_ms + by).clamp(-OFF_MAX_MS, OFF_MAX_MS) - self.off_ms;
                    self.off_ms += by;
                    clock.jump(by);
                    continue;
                }
                _ => {
                    shutdown.cancel();
                    continue;
                }
            }
            clock.sleep(long).await;
            life.change(|state| *state = Default::default());
        }
    }
}
