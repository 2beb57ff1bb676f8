//! The engine: claims jobs, runs their steps, records what came of them.
mod backoff;
mod chores;
mod guard;
pub(crate) mod held;
mod job;
mod lease;
mod outage;
mod run;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::id::Ids;
use crate::journal::{Journal, JournalError};
use crate::observer::{Observer, Unwatched};
use crate::progress::ProgressBoard;
use crate::registry::Registry;
use crate::time::Clock;

/// The limits and times of an engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Most jobs running at once: each costs a few kilobytes while it waits for the outside.
    pub running_max: usize,
    /// Most jobs asked for in one claim: one transaction, and its answer is held in memory.
    pub claim_max: usize,
    /// How long a lease lasts without a heartbeat: after this a server that is gone is noticed, and its jobs are taken over. Calls
    /// may start in the first two thirds of it.
    pub lease_ttl: Duration,
    /// Time between heartbeats; two fit into the part of a lease in which calls may start, so that one late beat costs nothing.
    pub heartbeat: Duration,
    /// How long after the end of a lease an announced call of its owner may be under way: at least the longest outside call. A job
    /// that was taken over looks at once, and calls nothing before this has passed.
    pub takeover_grace: Duration,
    /// How long running calls may go on after a shutdown was asked for.
    pub drain: Duration,
    /// Wait after the first failed attempt; doubles with each.
    pub backoff_base: Duration,
    /// Longest wait between attempts.
    pub backoff_cap: Duration,
    /// Deadline of jobs that name none.
    pub deadline_default: Duration,
    /// Runs in a row that may end with their process before a job is taken for the cause and given up.
    pub crashes_max: u32,
    /// The sites this engine works for; every site when empty. Jobs of other sites are taken after [`EngineConfig::foreign_grace`].
    pub sites: Vec<String>,
    /// How long a job of another site must have been ready before this engine takes it: the servers of that site are gone, or full.
    pub foreign_grace: Duration,
    /// Silence of a running step after which it counts as stalled.
    pub stall_after: Duration,
    /// How long finished operations are kept; for ever when `None`.
    pub retention: Option<Duration>,
    /// Seed of ids and jitter; from the operating system when `None`.
    pub seed: Option<u64>,
}

impl EngineConfig {
    /// The settings of the program.
    pub fn standard() -> Self {
        Self {
            running_max: 10_000,
            claim_max: 256,
            lease_ttl: Duration::from_secs(15),
            heartbeat: Duration::from_secs(5),
            takeover_grace: Duration::from_secs(180),
            drain: Duration::from_secs(10),
            backoff_base: Duration::from_millis(500),
            backoff_cap: Duration::from_secs(60),
            deadline_default: Duration::from_secs(6 * 3600),
            crashes_max: 25,
            sites: Vec::new(),
            foreign_grace: Duration::from_secs(30),
            stall_after: Duration::from_secs(600),
            retention: Some(Duration::from_secs(90 * 24 * 3600)),
            seed: None,
        }
    }

    /// Short times, for tests that run on a real clock.
    pub fn quick(seed: u64) -> Self {
        Self {
            running_max: 64,
            drain: Duration::from_millis(500),
            backoff_base: Duration::from_millis(1),
            backoff_cap: Duration::from_millis(20),
            seed: Some(seed),
            ..Self::standard()
        }
    }
}

/// Why an engine ended other than by being asked to.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The journal failed; nothing was acknowledged after that.
    #[error("the engine stopped because the journal failed")]
    Journal(#[source] JournalError),
    /// The settings contradict each other.
    #[error("the engine's settings are wrong: {0}")]
    Config(&'static str),
}

/// Counters of an engine since it was made.
#[derive(Debug, Default)]
pub struct EngineStats {
    claimed: AtomicU64,
    leases_lost: AtomicU64,
    late_writes: AtomicU64,
    outages: AtomicU64,
    panics: AtomicU64,
    running: AtomicU64,
    beats: AtomicU64,
    failed_tries: AtomicU64,
}

impl EngineStats {
    /// Jobs claimed, again counted when claimed again.
    pub fn claimed(&self) -> u64 {
        self.claimed.load(Ordering::Relaxed)
    }

    /// Jobs that went to another holder while they ran here.
    pub fn leases_lost(&self) -> u64 {
        self.leases_lost.load(Ordering::Relaxed)
    }

    /// Writes that were refused because the job was somebody else's by then.
    pub fn late_writes(&self) -> u64 {
        self.late_writes.load(Ordering::Relaxed)
    }

    /// Times the journal could not be reached any more.
    pub fn outages(&self) -> u64 {
        self.outages.load(Ordering::Relaxed)
    }

    /// Jobs that run here now.
    pub fn running(&self) -> u64 {
        self.running.load(Ordering::Relaxed)
    }

    /// Heartbeats that the journal has taken.
    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    /// A number that grows as long as the engine's loop goes round: with every heartbeat that the journal took, and with every try
    /// to reach it that failed. It stands still when the loop is stuck, or the journal neither takes nor refuses anything.
    pub fn pulse(&self) -> u64 {
        self.beats() + self.failed_tries.load(Ordering::Relaxed)
    }

    /// Steps that panicked.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }
}

/// See the module. One engine is one claimant; it may run again after it ended.
pub struct Engine {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) context: Arc<dyn Any + Send + Sync>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: Arc<EngineConfig>,
    pub(crate) ids: Ids,
    pub(crate) progress: ProgressBoard,
    pub(crate) stats: Arc<EngineStats>,
    pub(crate) registered: watch::Sender<bool>,
    pub(crate) observer: Arc<dyn Observer>,
}

impl Engine {
    /// An engine over a journal. `context` is what [`StepCx::context`](crate::StepCx::context) gives to steps.
    pub fn new(
        journal: Arc<dyn Journal>,
        registry: Registry,
        context: Arc<dyn Any + Send + Sync>,
        clock: Arc<dyn Clock>,
        config: EngineConfig,
    ) -> Self {
        let ids = match config.seed {
            Some(seed) => Ids::from_seed(Arc::clone(&clock), seed),
            None => Ids::from_os(Arc::clone(&clock)),
        };
        Self {
            journal,
            registry: Arc::new(registry),
            context,
            clock,
            config: Arc::new(config),
            ids,
            progress: ProgressBoard::new(),
            stats: Arc::default(),
            registered: watch::Sender::new(false),
            observer: Arc::new(Unwatched),
        }
    }

    /// The same engine, watched.
    #[must_use]
    pub fn watched_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Whether the engine has taken up what earlier runs left.
    pub fn is_registered(&self) -> bool {
        *self.registered.borrow()
    }

    /// Where running jobs are.
    pub fn progress(&self) -> ProgressBoard {
        self.progress.clone()
    }

    /// Ends once the engine has taken up what earlier runs left, so that an operation that is still blocked then is blocked for
    /// this release too. Never ends while the engine does not run.
    pub async fn registered(&self) {
        let mut registered = self.registered.subscribe();
        // The sender lives in this engine, so the wait can only end by the engine's registration.
        let _ = registered.wait_for(|registered| *registered).await;
    }

    /// Counters.
    pub fn stats(&self) -> Arc<EngineStats> {
        Arc::clone(&self.stats)
    }

    /// Runs until `shutdown` or until the journal fails. On shutdown calls under way may end within the drain time; whatever
    /// still runs then is given back and goes on with the next run. Dropping the future is as good as a crash: nothing is lost.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<(), EngineError> {
        if self.config.heartbeat * 3 > self.config.lease_ttl {
            return Err(EngineError::Config("two heartbeats must fit into two thirds of a lease"));
        }
        if self.config.running_max == 0 || self.config.claim_max == 0 {
            return Err(EngineError::Config("at least one job must be allowed to run"));
        }
        run::run(self, shutdown).await
    }
}
