//! The loop: claim when there is room, beat while jobs run, pass cancellations on, drain at the end.
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::held::HeldJob;
use super::lease::Lease;
use super::{Engine, EngineError, job};
use crate::id::{JobId, OperationId, OwnerId};
use crate::journal::{ClaimRequest, Claimed, Finish, JournalError, RegisterRequest, Signal};
use crate::record::OperationInfo;
use crate::time::UnixMs;

/// Longest sleep of the loop: a wall clock that jumped is noticed at the latest after this.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// How long the drain waits for jobs that have no call under way: they look at things, or wait for their turn.
const DRAIN_QUIET: Duration = Duration::from_secs(1);
/// How often the drain looks whether the rest only follows tasks.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// What a job's task ends with: the job, and an error only when the journal failed.
type Ended = (JobId, Result<(), JournalError>);

struct Run<'a> {
    engine: &'a Engine,
    owner: OwnerId,
    lease: Arc<Lease>,
    tasks: JoinSet<Ended>,
    held: HashMap<JobId, Arc<HeldJob>>,
    operations: HashMap<OperationId, Weak<OperationInfo>>,
    next_due: Option<UnixMs>,
    beat_at: Duration,
}

pub(super) async fn run(engine: &Engine, shutdown: CancellationToken) -> Result<(), EngineError> {
    loop {
        let mut run = Run::register(engine).await.map_err(EngineError::Journal)?;
        engine.registered.send_replace(true);
        match run.serve(&shutdown).await {
            Ok(()) => return run.drain().await.map_err(EngineError::Journal),
            Err(JournalError::OwnerLost { owner }) => {
                run.lease.lose();
                engine.stats.leases_lost.fetch_add(run.held.len() as u64, Ordering::Relaxed);
                tracing::warn!(%owner, jobs = run.held.len(), "this engine was taken for dead; its jobs were handed on and it starts anew");
            }
            Err(error) => {
                run.lease.lose();
                return Err(EngineError::Journal(error));
            }
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
            next_due: None,
            beat_at: steady + engine.config.heartbeat,
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
            if claim && self.room() > 0 {
                claim = self.claim().await?;
                if claim {
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
                    if now.cancels != seen.cancels {
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
            Some(due) if self.room() > 0 => due.since(clock.now()).max(Duration::from_millis(1)),
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
        let claims = self.engine.journal.claim(request, self.engine.clock.now()).await?;
        self.next_due = claims.next_due;
        let full = claims.jobs.len() == limit;
        for claimed in claims.jobs {
            self.start(claimed).await?;
        }
        Ok(full)
    }

    async fn start(&mut self, claimed: Claimed) -> Result<(), JournalError> {
        self.engine.stats.claimed.fetch_add(1, Ordering::Relaxed);
        let operation = match self.operation(claimed.job.operation).await {
            Err(JournalError::Undecodable { what, .. }) => return self.park(&claimed, &what).await,
            operation => operation?,
        };
        let cancel = CancellationToken::new();
        if claimed.job.status.cancel {
            cancel.cancel();
        }
        let Claimed { holder, job, steps } = claimed;
        let held = HeldJob {
            journal: Arc::clone(&self.engine.journal),
            clock: Arc::clone(&self.engine.clock),
            lease: Arc::clone(&self.lease),
            progress: self.engine.progress.clone(),
            context: Arc::clone(&self.engine.context),
            holder,
            operation,
            payload: job.spec.payload.clone(),
            spec: job.spec,
            status: job.status,
            cancel,
            records: Default::default(),
            broken: Default::default(),
            progressed: Default::default(),
        };
        for step in steps {
            held.remember(step);
        }
        let driver = job::Driver::new(self.engine, held);
        self.held.insert(holder.job, Arc::clone(driver.job()));
        self.tasks.spawn(async move { (holder.job, driver.drive().await) });
        Ok(())
    }

    /// The operation's own row cannot be read, so its jobs wait for a release that can.
    async fn park(&self, claimed: &Claimed, what: &str) -> Result<(), JournalError> {
        let reason = format!("needs at least a release that can read its {what}; this one cannot");
        let parked = self.engine.journal.finish(claimed.holder, Finish::Parked { reason }, self.engine.clock.now());
        match parked.await {
            Err(error) if !error.is_lease_lost() => Err(error),
            _ => Ok(()),
        }
    }

    /// The operation's fixed part, shared by all of its running jobs.
    async fn operation(&mut self, id: OperationId) -> Result<Arc<OperationInfo>, JournalError> {
        if let Some(info) = self.operations.get(&id).and_then(Weak::upgrade) {
            return Ok(info);
        }
        let record = self.engine.journal.operation(id).await?;
        let record = record.ok_or(JournalError::NotFound { what: "operation", id: id.to_string() })?;
        let info = Arc::new(record.info);
        self.operations.retain(|_, known| known.strong_count() > 0);
        self.operations.insert(id, Arc::downgrade(&info));
        Ok(info)
    }

    async fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) -> Result<(), JournalError> {
        match ended {
            Ok((id, result)) => {
                self.engine.progress.clear(id);
                match (self.held.remove(&id), result) {
                    (Some(job), Err(error)) if error.is_lease_lost() => self.give_back(&job).await,
                    (_, result) => result,
                }
            }
            // Steps are guarded one by one, so this is a fault of the engine itself: stop rather than lose track of a job.
            Err(error) => Err(JournalError::Store { doing: "running a job", source: Box::new(error) }),
        }
    }

    /// A holder stopped because it saw its lease at an end. If the journal agrees, the job is somebody else's by now; if not, only the
    /// heartbeat was late (the process was stopped for a while), and the job is given back so that it is claimed anew.
    async fn give_back(&self, job: &HeldJob) -> Result<(), JournalError> {
        match self.engine.journal.finish(job.holder, Finish::Release, self.engine.clock.now()).await {
            Err(error) if error.is_lease_lost() => {
                self.engine.stats.leases_lost.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(job = %job.id(), "the lease of a running job was lost; its holder stopped");
                Ok(())
            }
            given_back => given_back,
        }
    }

    /// Extends the lease and passes cancellations on.
    async fn beat(&mut self) -> Result<(), JournalError> {
        let (now, steady) = (self.engine.clock.now(), self.engine.clock.steady());
        self.beat_at = steady + self.engine.config.heartbeat;
        let beat = self.engine.journal.heartbeat(self.owner, now + self.engine.config.lease_ttl, now).await?;
        self.lease.acknowledge(steady);
        for id in beat.cancelled {
            if let Some(job) = self.held.get(&id) {
                job.cancel.cancel();
            }
        }
        Ok(())
    }

    /// Calls under way are worth waiting for; at first also jobs that may be about to record something.
    fn worth_waiting(&self, at_first: bool) -> bool {
        self.held.values().any(|job| job.is_calling() || (at_first && !job.is_following()))
    }

    /// Lets calls under way end, gives everything else back.
    async fn drain(mut self) -> Result<(), JournalError> {
        let end = self.engine.clock.steady() + self.engine.config.drain;
        let clock = Arc::clone(&self.engine.clock);
        let quiet = clock.steady() + DRAIN_QUIET.min(self.engine.config.drain);
        while clock.steady() < end && self.worth_waiting(clock.steady() < quiet) {
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next() => self.ended(ended).await?,
                () = clock.sleep(DRAIN_LOOK) => {}
            }
        }
        self.tasks.shutdown().await;
        for (id, job) in std::mem::take(&mut self.held) {
            self.engine.progress.clear(id);
            match self.engine.journal.finish(job.holder, Finish::Release, clock.now()).await {
                Err(error) if !error.is_lease_lost() => return Err(error),
                _ => {}
            }
        }
        self.engine.journal.unregister(self.owner, clock.now()).await
    }
}

async fn changed(signal: &mut watch::Receiver<Signal>) -> Result<Signal, JournalError> {
    signal.changed().await.map_err(|_| JournalError::Poisoned)?;
    Ok(*signal.borrow_and_update())
}
