//! A journal that stops answering at a chosen write, as if the process had died there.
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::engine::{Engine, EngineConfig, EngineError};
use crate::envelope::Envelope;
use crate::id::{Ids, JobId, OperationId, OwnerId};
use crate::journal::{
    Beat, ClaimRequest, Claims, EventQuery, Finish, Holder, Journal, JournalError, Notice, OperationQuery, Recovered,
    RegisterRequest, Signal, StepKey, Submitted, settled,
};
use crate::record::{Event, JobRecord, JobSteps, OperationRecord, StepRecord, Unwind};
use crate::registry::Registry;
use crate::schedule::{Fired, ScheduleName, ScheduleRecord, ScheduleSpec};
use crate::spec::OperationSpec;
use crate::time::{Clock, UnixMs};

/// When to die. Every write has two points: before it is made and after it is on disk but not yet answered.
#[derive(Debug)]
pub struct Crash {
    at: u64,
    passed: AtomicU64,
    died: CancellationToken,
    cut: watch::Sender<bool>,
    cuts_at: bool,
    reached: CancellationToken,
}

impl Crash {
    /// Dies at the `at`-th point, counted from 1; never when 0.
    pub fn at(at: u64) -> Arc<Self> {
        Arc::new(Self::new(at, false))
    }

    /// As [`Crash::cut`] at the `at`-th point, until [`Crash::mend`].
    pub fn cut_at(at: u64) -> Arc<Self> {
        Arc::new(Self::new(at, true))
    }

    fn new(at: u64, cuts_at: bool) -> Self {
        Self {
            at,
            passed: AtomicU64::new(0),
            died: CancellationToken::new(),
            cut: watch::Sender::new(false),
            cuts_at,
            reached: CancellationToken::new(),
        }
    }

    /// Ends when the point it was made for is reached.
    pub async fn reached(&self) {
        self.reached.cancelled().await;
    }

    /// Points passed so far.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }

    /// Whether it has died.
    pub fn has_died(&self) -> bool {
        self.died.is_cancelled()
    }

    /// Ends when it dies.
    pub async fn died(&self) {
        self.died.cancelled().await;
    }

    /// Dies now, wherever it is: nothing is answered any more.
    pub fn die(&self) {
        self.died.cancel();
    }

    /// Cuts the way to the journal: what is asked of it waits until [`Crash::mend`], as on a broken network or in a process
    /// that was stopped.
    pub fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// Mends the way: everything that waited goes on, late.
    pub fn mend(&self) {
        self.cut.send_replace(false);
    }

    async fn point(&self) {
        if self.passed.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
            match self.cuts_at {
                true => self.cut(),
                false => self.die(),
            }
            self.reached.cancel();
        }
        self.pass().await;
    }

    /// Goes on only while the process lives and the way is open.
    async fn pass(&self) {
        // The sender lives in this value, so the wait can only end by mending.
        let _ = self.cut.subscribe().wait_for(|cut| !cut).await;
        if self.died.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }
}

/// See the module.
pub struct CrashJournal {
    inner: Arc<dyn Journal>,
    crash: Arc<Crash>,
}

impl CrashJournal {
    /// Passes everything on to `inner` until `crash` says stop.
    pub fn new(inner: Arc<dyn Journal>, crash: Arc<Crash>) -> Self {
        Self { inner, crash }
    }

    async fn write<T>(&self, write: impl Future<Output = Result<T, JournalError>>) -> Result<T, JournalError> {
        self.crash.point().await;
        let result = write.await;
        self.crash.point().await;
        result
    }

    /// A write that time brings about, and not the work: counted, it would move the points of the work from run to run.
    async fn timed<T>(&self, write: impl Future<Output = Result<T, JournalError>>) -> Result<T, JournalError> {
        self.crash.pass().await;
        let result = write.await;
        self.crash.pass().await;
        result
    }
}

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// At its crash point.
    Died,
    /// The operation goes on no more by itself.
    Settled(Box<OperationRecord>),
    /// The engine or the journal failed.
    Failed(EngineError),
}

/// Runs an engine until the operation is settled or the crash point is reached, then drops it with everything it was doing.
pub async fn run_until_settled(
    journal: &Arc<dyn Journal>,
    registry: Registry,
    context: Arc<dyn Any + Send + Sync>,
    clock: Arc<dyn Clock>,
    config: EngineConfig,
    operation: OperationId,
    crash: &Arc<Crash>,
) -> Ended {
    let crashing = Arc::new(CrashJournal::new(Arc::clone(journal), Arc::clone(crash)));
    let engine = Engine::new(crashing, registry, context, clock, config);
    tokio::select! {
        biased;
        () = crash.died() => Ended::Died,
        result = engine.run(CancellationToken::new()) => match result {
            Ok(()) => Ended::Failed(EngineError::Config("the engine ended without being asked to")),
            Err(error) => Ended::Failed(error),
        },
        result = settled(&**journal, operation) => match result {
            Ok(record) => Ended::Settled(Box::new(record)),
            Err(error) => Ended::Failed(EngineError::Journal(error)),
        },
    }
}

#[async_trait]
impl Journal for CrashJournal {
    async fn submit(&self, spec: OperationSpec, now: UnixMs) -> Result<Submitted, JournalError> {
        self.write(self.inner.submit(spec, now)).await
    }
    async fn register(&self, owner: OwnerId, request: RegisterRequest, now: UnixMs) -> Result<Recovered, JournalError> {
        self.write(self.inner.register(owner, request, now)).await
    }
    async fn unregister(&self, owner: OwnerId, now: UnixMs) -> Result<(), JournalError> {
        self.write(self.inner.unregister(owner, now)).await
    }
    async fn claim(&self, request: ClaimRequest, now: UnixMs) -> Result<Claims, JournalError> {
        self.write(self.inner.claim(request, now)).await
    }
    async fn heartbeat(&self, owner: OwnerId, lease_until: UnixMs, now: UnixMs) -> Result<Beat, JournalError> {
        self.timed(self.inner.heartbeat(owner, lease_until, now)).await
    }
    async fn intent(
        &self,
        holder: Holder,
        step: StepKey,
        value: Envelope,
        now: UnixMs,
    ) -> Result<StepRecord, JournalError> {
        self.write(self.inner.intent(holder, step, value, now)).await
    }
    async fn submitted(
        &self,
        holder: Holder,
        step: StepKey,
        ext_ref: String,
        now: UnixMs,
    ) -> Result<StepRecord, JournalError> {
        self.write(self.inner.submitted(holder, step, ext_ref, now)).await
    }
    async fn withdraw(&self, holder: Holder, step: StepKey, now: UnixMs) -> Result<StepRecord, JournalError> {
        self.write(self.inner.withdraw(holder, step, now)).await
    }
    async fn outcome(
        &self,
        holder: Holder,
        step: StepKey,
        receipt: Envelope,
        finish: Option<Finish>,
        now: UnixMs,
    ) -> Result<StepRecord, JournalError> {
        self.write(self.inner.outcome(holder, step, receipt, finish, now)).await
    }
    async fn turn(&self, holder: Holder, why: Unwind, reason: String, now: UnixMs) -> Result<(), JournalError> {
        self.write(self.inner.turn(holder, why, reason, now)).await
    }
    async fn finish(&self, holder: Holder, finish: Finish, now: UnixMs) -> Result<(), JournalError> {
        self.write(self.inner.finish(holder, finish, now)).await
    }
    async fn note(&self, holder: Holder, step: Option<String>, text: String, now: UnixMs) -> Result<(), JournalError> {
        self.write(self.inner.note(holder, step, text, now)).await
    }
    async fn request_cancel(&self, operation: OperationId, by: String, now: UnixMs) -> Result<(), JournalError> {
        self.write(self.inner.request_cancel(operation, by, now)).await
    }
    async fn retry(&self, operation: OperationId, by: String, now: UnixMs) -> Result<usize, JournalError> {
        self.write(self.inner.retry(operation, by, now)).await
    }
    async fn operation(&self, id: OperationId) -> Result<Option<OperationRecord>, JournalError> {
        self.inner.operation(id).await
    }
    async fn operations(&self, query: OperationQuery) -> Result<Vec<OperationRecord>, JournalError> {
        self.inner.operations(query).await
    }
    async fn job(&self, id: JobId) -> Result<Option<JobRecord>, JournalError> {
        self.inner.job(id).await
    }
    async fn jobs(&self, operation: OperationId, from: u32, limit: usize) -> Result<Vec<JobRecord>, JournalError> {
        self.inner.jobs(operation, from, limit).await
    }
    async fn steps(&self, job: JobId) -> Result<Vec<StepRecord>, JournalError> {
        self.inner.steps(job).await
    }
    async fn jobs_with_steps(&self, id: OperationId, from: u32, limit: usize) -> Result<Vec<JobSteps>, JournalError> {
        self.inner.jobs_with_steps(id, from, limit).await
    }
    async fn events(&self, query: EventQuery) -> Result<Vec<Event>, JournalError> {
        self.inner.events(query).await
    }
    async fn unfinished(&self, subject: String) -> Result<Vec<OperationId>, JournalError> {
        self.inner.unfinished(subject).await
    }
    async fn prune(&self, before: UnixMs, limit: usize, now: UnixMs) -> Result<usize, JournalError> {
        self.timed(self.inner.prune(before, limit, now)).await
    }
    async fn notice(&self, holder: Holder, notice: Notice, now: UnixMs) -> Result<(), JournalError> {
        self.write(self.inner.notice(holder, notice, now)).await
    }
    async fn put_schedule(&self, spec: ScheduleSpec, now: UnixMs) -> Result<Option<UnixMs>, JournalError> {
        self.write(self.inner.put_schedule(spec, now)).await
    }
    async fn remove_schedule(&self, name: ScheduleName) -> Result<(), JournalError> {
        self.write(self.inner.remove_schedule(name)).await
    }
    async fn pause_schedule(&self, name: ScheduleName, paused: bool, now: UnixMs) -> Result<(), JournalError> {
        self.write(self.inner.pause_schedule(name, paused, now)).await
    }
    async fn schedules(&self) -> Result<Vec<ScheduleRecord>, JournalError> {
        self.inner.schedules().await
    }
    async fn fire_schedules(&self, ids: Ids, now: UnixMs) -> Result<Fired, JournalError> {
        self.timed(self.inner.fire_schedules(ids, now)).await
    }
    fn subscribe(&self) -> watch::Receiver<Signal> {
        self.inner.subscribe()
    }
}
