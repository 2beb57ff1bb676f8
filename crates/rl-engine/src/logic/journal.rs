//! The journal of every backend.
use async_trait::async_trait;
use tokio::sync::watch;

use super::{claim, control, finish, owner, schedule, step, submit};
use crate::envelope::Envelope;
use crate::fail_point;
use crate::id::{Ids, JobId, OperationId, OwnerId};
use crate::journal::{
    Beat, ClaimRequest, Claims, EventQuery, Finish, Holder, Journal, JournalError, Notice, OperationQuery, PAGE_MAX,
    Recovered, RegisterRequest, Signal, StepKey, Submitted,
};
use crate::record::{Event, JobRecord, JobSteps, OperationRecord, StepRecord, Unwind};
use crate::rows::{Backend, Hint, Lane, RowResult};
use crate::sched::Queue;
use crate::schedule::{Fired, ScheduleName, ScheduleRecord, ScheduleSpec};
use crate::spec::OperationSpec;
use crate::time::UnixMs;
use crate::tx::Tx;

/// Writes a step at the store's time and tells it in the caller's.
fn step_at(
    tx: &mut Tx<'_>,
    now: UnixMs,
    write: impl FnOnce(&mut Tx<'_>, UnixMs) -> RowResult<StepRecord>,
) -> RowResult<StepRecord> {
    let at = tx.at(now);
    let mut step = write(tx, at.now())?;
    step.at = at.told(step.at);
    Ok(step)
}

#[async_trait]
impl<B: Backend> Journal for B {
    async fn submit(&self, spec: OperationSpec, now: UnixMs) -> Result<Submitted, JournalError> {
        fail_point!("engine.submit.before");
        let hint = submit::hint(&spec);
        let submitted = self.write_hinted(Lane::Intake, hint, move |tx| submit::submit(tx, &spec, now)).await;
        fail_point!("engine.submit.after");
        submitted
    }

    async fn register(&self, owner: OwnerId, request: RegisterRequest, now: UnixMs) -> Result<Recovered, JournalError> {
        let exclusive = self.exclusive();
        self.write(Lane::Progress, move |tx| owner::register(tx, exclusive, owner, &request, tx.at(now))).await
    }

    async fn unregister(&self, owner: OwnerId, now: UnixMs) -> Result<(), JournalError> {
        self.write(Lane::Progress, move |tx| owner::unregister(tx, owner, tx.at(now).now())).await
    }

    async fn claim(&self, request: ClaimRequest, now: UnixMs) -> Result<Claims, JournalError> {
        let exclusive = self.exclusive();
        fail_point!("engine.claim.before");
        let claims = self.write(Lane::Progress, move |tx| claim::claim(tx, exclusive, &request, tx.at(now))).await;
        fail_point!("engine.claim.after");
        claims
    }

    async fn heartbeat(&self, owner: OwnerId, lease_until: UnixMs, now: UnixMs) -> Result<Beat, JournalError> {
        self.write(Lane::Progress, move |tx| owner::heartbeat(tx, owner, lease_until, tx.at(now))).await
    }

    async fn intent(
        &self,
        holder: Holder,
        key: StepKey,
        value: Envelope,
        now: UnixMs,
    ) -> Result<StepRecord, JournalError> {
        fail_point!("engine.intent.before");
        let step = self
            .write_hinted(Lane::Progress, Hint::job(holder.job), move |tx| {
                step_at(tx, now, |tx, now| step::intent(tx, &holder, &key, value, now))
            })
            .await;
        fail_point!("engine.intent.after");
        step
    }

    async fn submitted(
        &self,
        holder: Holder,
        key: StepKey,
        ext_ref: String,
        now: UnixMs,
    ) -> Result<StepRecord, JournalError> {
        fail_point!("engine.submitted.before");
        let step = self
            .write_hinted(Lane::Progress, Hint::job(holder.job), move |tx| {
                step_at(tx, now, |tx, now| step::submitted(tx, &holder, &key, ext_ref, now))
            })
            .await;
        fail_point!("engine.submitted.after");
        step
    }

    async fn withdraw(&self, holder: Holder, key: StepKey, now: UnixMs) -> Result<StepRecord, JournalError> {
        fail_point!("engine.withdraw.before");
        let step = self
            .write_hinted(Lane::Progress, Hint::job(holder.job), move |tx| {
                step_at(tx, now, |tx, now| step::withdraw(tx, &holder, &key, now))
            })
            .await;
        fail_point!("engine.withdraw.after");
        step
    }

    async fn outcome(
        &self,
        holder: Holder,
        key: StepKey,
        receipt: Envelope,
        finish: Option<Finish>,
        now: UnixMs,
    ) -> Result<StepRecord, JournalError> {
        fail_point!("engine.outcome.before");
        let step = self
            .write_hinted(Lane::Progress, Hint::job(holder.job), move |tx| {
                let finish = finish.map(|finish| finish::stored(finish, tx.at(now)));
                step_at(tx, now, |tx, now| step::outcome(tx, &holder, &key, receipt, finish, now))
            })
            .await;
        fail_point!("engine.outcome.after");
        step
    }

    async fn turn(&self, holder: Holder, why: Unwind, reason: String, now: UnixMs) -> Result<(), JournalError> {
        fail_point!("engine.turn.before");
        let turned = self
            .write_hinted(Lane::Progress, Hint::job(holder.job), move |tx| {
                finish::turn(tx, &holder, why, &reason, tx.at(now).now())
            })
            .await;
        fail_point!("engine.turn.after");
        turned
    }

    async fn finish(&self, holder: Holder, finish: Finish, now: UnixMs) -> Result<(), JournalError> {
        fail_point!("engine.finish.before");
        let finished = self
            .write_hinted(Lane::Progress, Hint::job(holder.job), move |tx| {
                let at = tx.at(now);
                finish::finish(tx, &holder, &finish::stored(finish, at), at.now())
            })
            .await;
        fail_point!("engine.finish.after");
        finished
    }

    async fn note(&self, holder: Holder, step: Option<String>, text: String, now: UnixMs) -> Result<(), JournalError> {
        self.write(Lane::Progress, move |tx| step::note(tx, &holder, step.as_deref(), &text, tx.at(now).now())).await
    }

    async fn notice(&self, holder: Holder, notice: Notice, now: UnixMs) -> Result<(), JournalError> {
        self.write(Lane::Progress, move |tx| step::notice(tx, &holder, &notice, tx.at(now).now())).await
    }

    async fn request_cancel(&self, operation: OperationId, by: String, now: UnixMs) -> Result<(), JournalError> {
        fail_point!("engine.cancel.before");
        let asked =
            self.write(Lane::Progress, move |tx| control::request_cancel(tx, operation, &by, tx.at(now).now())).await;
        fail_point!("engine.cancel.after");
        asked
    }

    async fn retry(&self, operation: OperationId, by: String, now: UnixMs) -> Result<usize, JournalError> {
        self.write(Lane::Intake, move |tx| control::retry(tx, operation, &by, tx.at(now).now())).await
    }

    async fn operation(&self, id: OperationId) -> Result<Option<OperationRecord>, JournalError> {
        self.read(move |rows| {
            let Some(info) = rows.operation_info(id)? else { return Ok(None) };
            Ok(rows.operation_status(id)?.map(|status| OperationRecord { info, status }))
        })
        .await
    }

    async fn operations(&self, mut query: OperationQuery) -> Result<Vec<OperationRecord>, JournalError> {
        query.limit = query.limit.min(PAGE_MAX);
        self.read(move |rows| rows.list_operations(&query)).await
    }

    async fn job(&self, id: JobId) -> Result<Option<JobRecord>, JournalError> {
        self.read(move |rows| rows.job(id)).await
    }

    async fn jobs(&self, operation: OperationId, from: u32, limit: usize) -> Result<Vec<JobRecord>, JournalError> {
        self.read(move |rows| rows.list_jobs(operation, from, limit.min(PAGE_MAX))).await
    }

    async fn steps(&self, job: JobId) -> Result<Vec<StepRecord>, JournalError> {
        self.read(move |rows| rows.steps_of(job)).await
    }

    async fn jobs_with_steps(&self, id: OperationId, from: u32, limit: usize) -> Result<Vec<JobSteps>, JournalError> {
        self.read(move |rows| {
            let jobs = rows.list_jobs(id, from, limit.min(PAGE_MAX))?;
            jobs.into_iter()
                .map(|job| {
                    let steps = rows.steps_of(job.spec.id)?;
                    Ok((job, steps))
                })
                .collect()
        })
        .await
    }

    async fn events(&self, mut query: EventQuery) -> Result<Vec<Event>, JournalError> {
        query.limit = query.limit.min(PAGE_MAX);
        self.read(move |rows| control::events(rows, &query)).await
    }

    async fn queue(&self, now: UnixMs) -> Result<Queue, JournalError> {
        self.write(Lane::Progress, move |tx| Ok(tx.sched.queue(tx.at(now).now()))).await
    }

    async fn unfinished(&self, subject: String) -> Result<Vec<OperationId>, JournalError> {
        self.read(move |rows| rows.unfinished(&subject)).await
    }

    async fn prune(&self, before: UnixMs, limit: usize, now: UnixMs) -> Result<usize, JournalError> {
        self.write(Lane::Intake, move |tx| control::prune(tx, tx.at(now).stored(before), limit.min(PAGE_MAX))).await
    }

    async fn put_schedule(&self, spec: ScheduleSpec, now: UnixMs) -> Result<Option<UnixMs>, JournalError> {
        self.write(Lane::Intake, move |tx| {
            let at = tx.at(now);
            Ok(schedule::put(tx, spec, at.now())?.map(|next| at.told(next)))
        })
        .await
    }

    async fn remove_schedule(&self, name: ScheduleName) -> Result<(), JournalError> {
        self.write(Lane::Intake, move |tx| schedule::remove(tx, &name)).await
    }

    async fn pause_schedule(&self, name: ScheduleName, paused: bool, now: UnixMs) -> Result<(), JournalError> {
        self.write(Lane::Intake, move |tx| schedule::pause(tx, &name, paused, tx.at(now).now())).await
    }

    async fn schedules(&self) -> Result<Vec<ScheduleRecord>, JournalError> {
        self.read(|rows| rows.schedules()).await
    }

    async fn fire_schedules(&self, ids: Ids, now: UnixMs) -> Result<Fired, JournalError> {
        // Where there are none, a look costs no write.
        if self.read(|rows| rows.next_schedule()).await?.is_none() {
            return Ok(Fired::default());
        }
        fail_point!("engine.schedule.before");
        let fired = self.write(Lane::Intake, move |tx| schedule::fire(tx, &ids, tx.at(now))).await;
        fail_point!("engine.schedule.after");
        fired
    }

    fn subscribe(&self) -> watch::Receiver<Signal> {
        self.signals()
    }
}
