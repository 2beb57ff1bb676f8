//! The loop: claim when there is room, beat while jobs run, pass cancellations on, drain at the end.
mod drain;

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::held::HeldJob;
use super::lease::Lease;
use super::outage::Outage;
use super::{Engine, EngineError, chores, job};
use crate::failpoints;
use crate::id::{JobId, OperationId, OwnerId};
use crate::journal::{ClaimRequest, Claimed, Finish, Holder, JournalError, Notice, RegisterRequest, Signal};
use crate::record::OperationInfo;
use crate::time::UnixMs;

/// Longest sleep of the loop: a wall clock that jumped is noticed at the latest after this.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// Most notices about stalled steps at one heartbeat: they must not hold the next one up.
const TOLD_MAX: usize = 64;

/// Fewest known operations for which it is looked which have ended.
const OPERATIONS_TIDY: usize = 64;

/// What a job's task ends with: the job, and an error only when the journal failed.
type Ended = (Holder, Result<(), JournalError>);

struct Run<'a> {
    engine: &'a Engine,
    owner: OwnerId,
    lease: Arc<Lease>,
    tasks: JoinSet<Ended>,
    held: HashMap<JobId, Arc<HeldJob>>,
    operations: HashMap<OperationId, Weak<OperationInfo>>,
    /// How many known operations there are when those that ended are forgotten: twice as many as were left the last time, so that
    /// each costs the same however many there are.
    tidy_at: usize,
    next_due: Option<UnixMs>,
    beat_at: Duration,
    outage: Outage,
    /// Jobs that could not be given back because the journal could not be reached.
    unreturned: Vec<Holder>,
    chores: JoinSet<()>,
}

pub(super) async fn run(engine: &Engine, shutdown: CancellationToken) -> Result<(), EngineError> {
    loop {
        let Some(run) = registered(engine, &shutdown).await else { return Ok(()) };
        let mut run = run.map_err(EngineError::Journal)?;
        engine.registered.send_replace(true);
        match run.serve(&shutdown).await {
            Ok(()) => return run.drain().await.map_err(EngineError::Journal),
            Err(JournalError::OwnerLost { owner }) => {
                run.lease.lose();
                let lost = run.held.len() + run.unreturned.len();
                engine.stats.leases_lost.fetch_add(lost as u64, Ordering::Relaxed);
                tracing::warn!(%owner, jobs = lost, "this engine was taken for dead; its jobs were handed on and it starts anew");
            }
            Err(error) => {
                run.lease.lose();
                return Err(EngineError::Journal(error));
            }
        }
    }
}

/// Registers a new owner, as soon as the journal can be reached; `None` when the engine is to end before that.
async fn registered<'a>(engine: &'a Engine, shutdown: &CancellationToken) -> Option<Result<Run<'a>, JournalError>> {
    let mut outage = Outage::default();
    loop {
        match Run::register(engine).await {
            Err(error) if error.is_unavailable() => {
                let wait = outage.again(engine, &error);
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => return None,
                    () = engine.clock.sleep(wait) => {}
                }
            }
            run => return Some(run),
        }
    }
}

impl<'a> Run<'a> {
    async fn register(engine: &'a Engine) -> Result<Run<'a>, JournalError> {
        let owner = engine.ids.owner();
        let (now, steady) = (engine.clock.now(), engine.clock.steady());
        let request = RegisterRequest {
            lease_until: now + engine.config.lease_ttl,
            known: engine.registry.known(),
            takeover_grace: engine.config.takeover_grace,
        };
        let found = engine.journal.register(owner, request, now).await?;
        if found.orphans + found.unparked > 0 {
            tracing::info!(orphans = found.orphans, unparked = found.unparked, "jobs of an earlier run go on");
        }
        Ok(Run {
            engine,
            owner,
            lease: Arc::new(Lease::new(engine.config.lease_ttl, steady)),
            tasks: JoinSet::new(),
            held: HashMap::new(),
            operations: HashMap::new(),
            tidy_at: OPERATIONS_TIDY,
            next_due: None,
            beat_at: steady + engine.config.heartbeat,
            outage: Outage::default(),
            unreturned: Vec::new(),
            chores: chores::start(engine),
        })
    }

    async fn serve(&mut self, shutdown: &CancellationToken) -> Result<(), JournalError> {
        let mut signal = self.engine.journal.subscribe();
        let mut seen = Signal::default();
        let mut claim = true;
        loop {
            claim |= self.end_all().await?;
            if self.engine.clock.steady() >= self.beat_at {
                self.beat().await?;
            }
            if claim && self.room() > 0 && !self.outage.is_on() {
                claim = self.claim().await?;
                if claim && !self.outage.is_on() {
                    continue;
                }
            }
            let pause = self.pause();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                now = changed(&mut signal) => {
                    let now = now?;
                    claim |= now.work != seen.work;
                    if now.cancels != seen.cancels && !self.outage.is_on() {
                        self.beat().await?;
                    }
                    seen = now;
                }
                Some(ended) = self.tasks.join_next() => {
                    claim |= self.room() == 0;
                    self.ended(ended).await?;
                }
                () = self.engine.clock.sleep(pause) => claim = true,
            }
        }
    }

    /// Takes note of every job that has ended meanwhile; answers whether that made room where there was none.
    async fn end_all(&mut self) -> Result<bool, JournalError> {
        let full = self.room() == 0;
        let mut any = false;
        while let Some(ended) = self.tasks.try_join_next() {
            self.ended(ended).await?;
            any = true;
        }
        Ok(full && any)
    }

    fn room(&self) -> usize {
        self.engine.config.running_max.saturating_sub(self.held.len())
    }

    /// Time until the next beat or the next job that is due.
    fn pause(&self) -> Duration {
        let clock = &self.engine.clock;
        let beat = self.beat_at.saturating_sub(clock.steady());
        let due = match self.next_due {
            Some(due) if self.room() > 0 && !self.outage.is_on() => {
                due.since(clock.now()).max(Duration::from_millis(1))
            }
            _ => SLEEP_MAX,
        };
        beat.min(due).min(SLEEP_MAX)
    }

    /// Claims once; answers whether there may be more.
    async fn claim(&mut self) -> Result<bool, JournalError> {
        let config = &self.engine.config;
        let limit = self.room().min(config.claim_max);
        let request = ClaimRequest {
            owner: self.owner,
            limit,
            known: self.engine.registry.known(),
            deadline_default: config.deadline_default,
            takeover_grace: config.takeover_grace,
            sites: config.sites.clone(),
            foreign_grace: config.foreign_grace,
        };
        let claims = match self.engine.journal.claim(request, self.engine.clock.now()).await {
            Err(error) if error.is_unavailable() => {
                self.is_out(&error);
                return Ok(true);
            }
            claims => claims?,
        };
        self.next_due = claims.next_due;
        let full = claims.jobs.len() == limit;
        for claimed in claims.jobs {
            self.start(claimed).await?;
        }
        Ok(full)
    }

    async fn start(&mut self, mut claimed: Claimed) -> Result<(), JournalError> {
        self.engine.stats.claimed.fetch_add(1, Ordering::Relaxed);
        let operation = match self.operation(claimed.job.operation, claimed.operation.take()).await {
            Err(JournalError::Undecodable { what, .. }) => return self.park(&claimed, &what).await,
            Err(error) if error.is_unavailable() => {
                self.is_out(&error);
                self.unreturned.push(claimed.holder);
                return Ok(());
            }
            operation => operation?,
        };
        let cancel = CancellationToken::new();
        if claimed.job.status.cancel {
            cancel.cancel();
        }
        let Claimed { holder, job, steps, waited, .. } = claimed;
        self.engine.observer.job_claimed(&job.spec, waited);
        let clock = &self.engine.clock;
        let wait = job.status.not_before.map(|until| until.since(clock.now())).filter(|wait| !wait.is_zero());
        let calls_from = wait.map(|wait| clock.steady() + wait);
        let held = HeldJob {
            journal: Arc::clone(&self.engine.journal),
            clock: Arc::clone(&self.engine.clock),
            lease: Arc::clone(&self.lease),
            progress: self.engine.progress.clone(),
            context: Arc::clone(&self.engine.context),
            holder,
            operation,
            spec: job.spec,
            status: job.status,
            cancel,
            records: Default::default(),
            broken: Default::default(),
            progressed: Default::default(),
            stats: Arc::clone(&self.engine.stats),
            takeover_grace: self.engine.config.takeover_grace,
            calls_from,
            heard: Default::default(),
            jitter_seed: self.engine.ids.random(),
        };
        for step in steps {
            held.remember(step);
        }
        let driver = job::Driver::new(self.engine, held);
        let span = self.engine.observer.job_span(&driver.job().operation, &driver.job().spec);
        self.held.insert(holder.job, Arc::clone(driver.job()));
        self.engine.stats.running.store(self.held.len() as u64, Ordering::Relaxed);
        self.tasks.spawn(async move { (holder, driver.drive().await) }.instrument(span));
        Ok(())
    }

    /// The operation's own row cannot be read, so its jobs wait for a release that can.
    async fn park(&mut self, claimed: &Claimed, what: &str) -> Result<(), JournalError> {
        let reason = format!("needs at least a release that can read its {what}; this one cannot");
        self.let_go(claimed.holder, Finish::Parked { reason }).await.map(|_| ())
    }

    /// Lets go of a job here; answers whether it was still ours. One that cannot be let go of now is given back when the journal can
    /// be reached again.
    async fn let_go(&mut self, holder: Holder, finish: Finish) -> Result<bool, JournalError> {
        match self.engine.journal.finish(holder, finish, self.engine.clock.now()).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_lease_lost() => Ok(false),
            Err(error) if error.is_unavailable() => {
                self.is_out(&error);
                self.unreturned.push(holder);
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// The journal cannot be reached: nothing is claimed until a heartbeat gets through, which is tried again and again.
    fn is_out(&mut self, error: &JournalError) {
        let wait = self.outage.again(self.engine, error);
        self.beat_at = self.engine.clock.steady() + wait;
    }

    /// The operation's fixed part, shared by all of its running jobs; read where the claim did not bring it.
    async fn operation(
        &mut self,
        id: OperationId,
        brought: Option<OperationInfo>,
    ) -> Result<Arc<OperationInfo>, JournalError> {
        if let Some(info) = self.operations.get(&id).and_then(Weak::upgrade) {
            return Ok(info);
        }
        let info = match brought {
            Some(info) => info,
            None => {
                let record = self.engine.journal.operation(id).await?;
                record.ok_or(JournalError::NotFound { what: "operation", id: id.to_string() })?.info
            }
        };
        let info = Arc::new(info);
        if self.operations.len() >= self.tidy_at {
            self.operations.retain(|_, known| known.strong_count() > 0);
            self.tidy_at = (2 * self.operations.len()).max(OPERATIONS_TIDY);
        }
        self.operations.insert(id, Arc::downgrade(&info));
        Ok(info)
    }

    async fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) -> Result<(), JournalError> {
        match ended {
            Ok((holder, result)) => {
                // A job that was lost may have been claimed here again meanwhile: the later holder stays.
                if self.held.get(&holder.job).is_some_and(|job| job.holder == holder) {
                    self.engine.progress.clear(holder.job);
                    self.held.remove(&holder.job);
                    self.engine.stats.running.store(self.held.len() as u64, Ordering::Relaxed);
                }
                match result {
                    Err(error) if error.is_lease_lost() => self.give_back(holder).await,
                    result => result,
                }
            }
            // Steps are guarded one by one, so this is a fault of the engine itself: stop rather than lose track of a job.
            Err(error) => Err(JournalError::Store { doing: "running a job", source: Box::new(error) }),
        }
    }

    /// A holder stopped because it saw its lease at an end. If the journal agrees, the job is somebody else's by now; if not, only the
    /// heartbeat was late (the process was stopped for a while), and the job is given back so that it is claimed anew.
    async fn give_back(&mut self, holder: Holder) -> Result<(), JournalError> {
        if !self.let_go(holder, Finish::Release).await? {
            self.engine.stats.leases_lost.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(job = %holder.job, "the lease of a running job was lost; its holder stopped");
        }
        Ok(())
    }

    /// Extends the lease and passes cancellations on.
    async fn beat(&mut self) -> Result<(), JournalError> {
        let (now, steady) = (self.engine.clock.now(), self.engine.clock.steady());
        self.beat_at = steady + self.engine.config.heartbeat;
        let until = now + self.engine.config.lease_ttl;
        failpoints::stall("engine.beat").await;
        let beat = match self.engine.journal.heartbeat(self.owner, until, now).await {
            Err(error) if error.is_unavailable() => {
                self.is_out(&error);
                return Ok(());
            }
            beat => beat?,
        };
        self.engine.stats.beats.fetch_add(1, Ordering::Relaxed);
        self.lease.acknowledge(steady);
        self.outage.end();
        for id in beat.cancelled {
            if let Some(job) = self.held.get(&id) {
                job.cancel.cancel();
            }
        }
        for holder in std::mem::take(&mut self.unreturned) {
            self.give_back(holder).await?;
        }
        self.watch().await;
        Ok(())
    }

    /// Tells of steps that have not been heard of for long, and of those that are heard of again.
    async fn watch(&self) {
        let limit = self.engine.config.stall_after;
        let told = self.held.values().filter_map(|job| Some((job, job.watch(limit)?))).take(TOLD_MAX);
        let told = told.map(|(job, notice)| async move {
            match &notice {
                Notice::Stalled { step, .. } => self.engine.progress.mark(job.id(), step, true),
                Notice::Moving { step } => self.engine.progress.mark(job.id(), step, false),
                Notice::Deadline { .. } => {}
            }
            if let Err(error) = self.engine.journal.notice(job.holder, notice, self.engine.clock.now()).await {
                tracing::debug!(job = %job.id(), error = &error as &dyn std::error::Error, "a notice could not be written");
            }
        });
        futures::future::join_all(told).await;
    }
}

async fn changed(signal: &mut watch::Receiver<Signal>) -> Result<Signal, JournalError> {
    signal.changed().await.map_err(|_| JournalError::Poisoned)?;
    Ok(*signal.borrow_and_update())
}
