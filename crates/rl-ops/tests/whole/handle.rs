//! The database as one run of a server reaches it: every write passes two points where the run may die, stand still or be
//! cut off, and is watched by the rules.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rl_engine::*;
use tokio::sync::watch;

use crate::broken::Broken;
use crate::database::Database;
use crate::life::Life;
use crate::rules::Rules;

/// A write that can be made more than once, on any journal, by any holder.
type Write<T> = Box<dyn Fn(MemoryJournal, Option<Holder>) -> BoxFuture<'static, Result<T, JournalError>> + Send + Sync>;

/// See the module.
pub(crate) struct Handle {
    pub(crate) database: Arc<Database>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) life: Arc<Life>,
    pub(crate) server: usize,
    rng: Mutex<SmallRng>,
}

impl Handle {
    pub(crate) fn new(
        database: &Arc<Database>,
        rules: &Arc<Rules>,
        life: &Arc<Life>,
        server: usize,
        seed: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            database: Arc::clone(database),
            rules: Arc::clone(rules),
            life: Arc::clone(life),
            server,
            rng: Mutex::new(SmallRng::seed_from_u64(seed)),
        })
    }

    /// The way to the database and back takes a moment.
    async fn way(&self) {
        let moment = self.rng.lock().unwrap().random_range(0..4);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        self.life.point().await;
    }

    async fn write<T: Debug + Send + 'static>(
        &self,
        name: &'static str,
        holder: Option<Holder>,
        write: Write<T>,
        seen: impl FnOnce(&Rules, &T) + Send,
    ) -> Result<T, JournalError> {
        self.way().await;
        if let Some(refusal) = self.database.refusal() {
            return Err(refusal);
        }
        let late = holder.is_some_and(|holder| self.rules.is_late(holder));
        let result = self.apply(holder, write).await;
        let (server, job) = (self.server, holder.map(|holder| (holder.job, holder.fence)));
        let came = match &result {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.to_string(),
        };
        self.rules.event(format!("server {server}: {name} {job:?} {came}"));
        if let Ok(value) = &result {
            seen(&self.rules, value);
        }
        if let Some(holder) = holder {
            let refused = result.as_ref().is_err_and(JournalError::is_lease_lost);
            self.rules.written(holder, late, result.is_ok(), refused);
        }
        self.rules.nothing_lost();
        self.database.tell();
        self.way().await;
        result
    }

    async fn apply<T: Debug + Send + 'static>(
        &self,
        holder: Option<Holder>,
        write: Write<T>,
    ) -> Result<T, JournalError> {
        let journal = self.database.journal();
        let result = write(journal.clone(), holder).await;
        if let (Broken::FenceNotChecked, Some(holder), Err(JournalError::LeaseLost { .. })) =
            (self.database.broken, holder, &result)
            && let Some((fence, owner)) =
                self.database.job(holder.job).and_then(|job| Some((job.status.fence, job.status.owner?)))
        {
            return write(journal, Some(Holder { fence, owner, ..holder })).await;
        }
        if result.is_ok() {
            self.database.keep(|| Box::new(move |journal| write(journal, holder).map(drop).boxed()));
        }
        result
    }

    /// A step as the journal would hold it, for a system that does not announce its calls.
    fn unwritten(holder: Holder, step: StepKey, value: Option<Envelope>, state: StepState, at: UnixMs) -> StepRecord {
        let StepKey { name, direction, position } = step;
        StepRecord {
            job: holder.job,
            name,
            direction,
            position,
            state,
            attempt: 1,
            intent: value,
            ext_ref: None,
            receipt: None,
            at,
        }
    }

    fn skips_intents(&self) -> bool {
        self.database.broken == Broken::IntentSkipped
    }
}

#[async_trait]
impl Journal for Handle {
    async fn submit(&self, spec: OperationSpec, now: UnixMs) -> Result<Submitted, JournalError> {
        let write: Write<_> = Box::new(move |journal, _| {
            let spec = spec.clone();
            async move { journal.submit(spec, now).await }.boxed()
        });
        self.write("submit", None, write, |_, _| {}).await
    }

    async fn register(&self, owner: OwnerId, request: RegisterRequest, now: UnixMs) -> Result<Recovered, JournalError> {
        let sent = self.database.elapsed();
        let write: Write<_> = Box::new(move |journal, _| {
            let request = request.clone();
            async move { journal.register(owner, request, now).await }.boxed()
        });
        let result = self.write("register", None, write, |_, _| {}).await;
        if result.is_ok() {
            self.rules.alive(owner, &self.life, sent);
        }
        result
    }

    async fn unregister(&self, owner: OwnerId, now: UnixMs) -> Result<(), JournalError> {
        let write: Write<_> = Box::new(move |journal, _| async move { journal.unregister(owner, now).await }.boxed());
        self.write("unregister", None, write, |_, _| {}).await
    }

    async fn claim(&self, request: ClaimRequest, now: UnixMs) -> Result<Claims, JournalError> {
        let owner = request.owner;
        let write: Write<_> = Box::new(move |journal, _| {
            let request = request.clone();
            async move { journal.claim(request, now).await }.boxed()
        });
        let claimed = self.write("claim", None, write, Rules::claimed).await;
        claimed.inspect_err(|error| self.gone(owner, error))
    }

    async fn heartbeat(&self, owner: OwnerId, lease_until: UnixMs, now: UnixMs) -> Result<Beat, JournalError> {
        let sent = self.database.elapsed();
        let write: Write<_> =
            Box::new(move |journal, _| async move { journal.heartbeat(owner, lease_until, now).await }.boxed());
        let result = self.write("heartbeat", None, write, |_, _| {}).await;
        match &result {
            Ok(_) => self.rules.alive(owner, &self.life, sent),
            Err(error) => self.gone(owner, error),
        }
        result
    }

    async fn intent(
        &self,
        holder: Holder,
        step: StepKey,
        value: Envelope,
        now: UnixMs,
    ) -> Result<StepRecord, JournalError> {
        if self.skips_intents() {
            return Ok(Self::unwritten(holder, step, Some(value), StepState::Intent, now));
        }
        let write: Write<_> = Box::new(move |journal, holder| {
            let (step, value) = (step.clone(), value.clone());
            async move { journal.intent(holder.unwrap(), step, value, now).await }.boxed()
        });
        self.write("intent", Some(holder), write, |_, _| {}).await
    }

    async fn submitted(
        &self,
        holder: Holder,
        step: StepKey,
        ext_ref: String,
        now: UnixMs,
    ) -> Result<StepRecord, JournalError> {
        if self.skips_intents() {
            return Ok(Self::unwritten(holder, step, None, StepState::Submitted, now));
        }
        let write: Write<_> = Box::new(move |journal, holder| {
            let (step, ext_ref) = (step.clone(), ext_ref.clone());
            async move { journal.submitted(holder.unwrap(), step, ext_ref, now).await }.boxed()
        });
        self.write("submitted", Some(holder), write, |_, _| {}).await
    }

    async fn withdraw(&self, holder: Holder, step: StepKey, now: UnixMs) -> Result<StepRecord, JournalError> {
        if self.skips_intents() {
            return Ok(Self::unwritten(holder, step, None, StepState::Withdrawn, now));
        }
        let write: Write<_> = Box::new(move |journal, holder| {
            let step = step.clone();
            async move { journal.withdraw(holder.unwrap(), step, now).await }.boxed()
        });
        self.write("withdraw", Some(holder), write, |_, _| {}).await
    }

    async fn outcome(
        &self,
        holder: Holder,
        step: StepKey,
        receipt: Envelope,
        finish: Option<Finish>,
        now: UnixMs,
    ) -> Result<StepRecord, JournalError> {
        let lets_go = finish.is_some();
        let write: Write<_> = Box::new(move |journal, holder| {
            let (step, receipt, finish) = (step.clone(), receipt.clone(), finish.clone());
            async move { journal.outcome(holder.unwrap(), step, receipt, finish, now).await }.boxed()
        });
        let seen = |rules: &Rules, _: &StepRecord| {
            if lets_go {
                rules.let_go(holder.job);
            }
        };
        self.write("outcome", Some(holder), write, seen).await
    }

    async fn turn(&self, holder: Holder, why: Unwind, reason: String, now: UnixMs) -> Result<(), JournalError> {
        let write: Write<_> = Box::new(move |journal, holder| {
            let reason = reason.clone();
            async move { journal.turn(holder.unwrap(), why, reason, now).await }.boxed()
        });
        self.write("turn", Some(holder), write, |_, _| {}).await
    }

    async fn finish(&self, holder: Holder, finish: Finish, now: UnixMs) -> Result<(), JournalError> {
        let write: Write<_> = Box::new(move |journal, holder| {
            let finish = finish.clone();
            async move { journal.finish(holder.unwrap(), finish, now).await }.boxed()
        });
        self.write("finish", Some(holder), write, |rules, ()| rules.let_go(holder.job)).await
    }

    async fn note(&self, holder: Holder, step: Option<String>, text: String, now: UnixMs) -> Result<(), JournalError> {
        let write: Write<_> = Box::new(move |journal, holder| {
            let (step, text) = (step.clone(), text.clone());
            async move { journal.note(holder.unwrap(), step, text, now).await }.boxed()
        });
        self.write("note", Some(holder), write, |_, _| {}).await
    }

    async fn notice(&self, holder: Holder, notice: Notice, now: UnixMs) -> Result<(), JournalError> {
        let write: Write<_> = Box::new(move |journal, holder| {
            let notice = notice.clone();
            async move { journal.notice(holder.unwrap(), notice, now).await }.boxed()
        });
        self.write("notice", Some(holder), write, |_, _| {}).await
    }

    async fn request_cancel(&self, operation: OperationId, by: String, now: UnixMs) -> Result<(), JournalError> {
        let write: Write<_> = Box::new(move |journal, _| {
            let by = by.clone();
            async move { journal.request_cancel(operation, by, now).await }.boxed()
        });
        self.write("cancel", None, write, |rules, ()| rules.operation_may_have_ended(operation)).await
    }

    async fn retry(&self, operation: OperationId, by: String, now: UnixMs) -> Result<usize, JournalError> {
        let write: Write<_> = Box::new(move |journal, _| {
            let by = by.clone();
            async move { journal.retry(operation, by, now).await }.boxed()
        });
        self.write("retry", None, write, |_, _| {}).await
    }

    async fn operation(&self, id: OperationId) -> Result<Option<OperationRecord>, JournalError> {
        self.life.point().await;
        self.database.journal().operation(id).await
    }

    async fn operations(&self, query: OperationQuery) -> Result<Vec<OperationRecord>, JournalError> {
        self.database.journal().operations(query).await
    }

    async fn job(&self, id: JobId) -> Result<Option<JobRecord>, JournalError> {
        self.database.journal().job(id).await
    }

    async fn jobs(&self, operation: OperationId, from: u32, limit: usize) -> Result<Vec<JobRecord>, JournalError> {
        self.database.journal().jobs(operation, from, limit).await
    }

    async fn steps(&self, job: JobId) -> Result<Vec<StepRecord>, JournalError> {
        self.database.journal().steps(job).await
    }

    async fn jobs_with_steps(&self, id: OperationId, from: u32, limit: usize) -> Result<Vec<JobSteps>, JournalError> {
        self.database.journal().jobs_with_steps(id, from, limit).await
    }

    async fn events(&self, query: EventQuery) -> Result<Vec<Event>, JournalError> {
        self.database.journal().events(query).await
    }

    async fn unfinished(&self, subject: String) -> Result<Vec<OperationId>, JournalError> {
        self.database.journal().unfinished(subject).await
    }

    async fn prune(&self, before: UnixMs, limit: usize, now: UnixMs) -> Result<usize, JournalError> {
        self.database.journal().prune(before, limit, now).await
    }

    async fn put_schedule(&self, spec: ScheduleSpec, now: UnixMs) -> Result<Option<UnixMs>, JournalError> {
        self.database.journal().put_schedule(spec, now).await
    }

    async fn remove_schedule(&self, name: ScheduleName) -> Result<(), JournalError> {
        self.database.journal().remove_schedule(name).await
    }

    async fn pause_schedule(&self, name: ScheduleName, paused: bool, now: UnixMs) -> Result<(), JournalError> {
        self.database.journal().pause_schedule(name, paused, now).await
    }

    async fn schedules(&self) -> Result<Vec<ScheduleRecord>, JournalError> {
        self.database.journal().schedules().await
    }

    async fn fire_schedules(&self, ids: Ids, now: UnixMs) -> Result<Fired, JournalError> {
        self.life.point().await;
        self.database.journal().fire_schedules(ids, now).await
    }

    fn subscribe(&self) -> watch::Receiver<Signal> {
        self.database.follow()
    }
}

impl Handle {
    fn gone(&self, owner: OwnerId, error: &JournalError) {
        if error.is_lease_lost() {
            self.rules.lost(owner);
        }
    }
}
