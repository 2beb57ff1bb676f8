//! The journal of every backend.
use async_trait::async_trait;
use tokio::sync::watch;

use super::{claim, control, finish, owner, step, submit};
use crate::envelope::Envelope;
use crate::fail_point;
use crate::id::{JobId, OperationId, OwnerId};
use crate::journal::{
    Beat, ClaimRequest, Claims, EventQuery, Finish, Holder, Journal, JournalError, OperationQuery, PAGE_MAX, Recovered,
    RegisterRequest, Signal, StepKey, Submitted,
};
use crate::record::{Event, JobRecord, OperationRecord, StepRecord, Unwind};
use crate::rows::{Backend, Hint, Lane};
use crate::spec::OperationSpec;
use crate::time::UnixMs;

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
        self.write(Lane::Progress, move |tx| owner::register(tx, exclusive, owner, &request, now)).await
    }

    async fn unregister(&self, owner: OwnerId, now: UnixMs) -> Result<(), JournalError> {
        self.write(Lane::Progress, move |tx| owner::unregister(tx, owner, now)).await
    }

    async fn claim(&self, request: ClaimRequest, now: UnixMs) -> Result<Claims, JournalError> {
        let exclusive = self.exclusive();
        fail_point!("engine.claim.before");
        let claims = self.write(Lane::Progress, move |tx| claim::claim(tx, exclusive, &request, now)).await;
        fail_point!("engine.claim.after");
        claims
    }

    async fn heartbeat(&self, owner: OwnerId, lease_until: UnixMs, _now: UnixMs) -> Result<Beat, JournalError> {
        self.write(Lane::Progress, move |tx| owner::heartbeat(tx, owner, lease_until)).await
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
            .write_hinted(Lane::Progress, Hint::job(holder.job), move |tx| step::intent(tx, &holder, &key, value, now))
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
                step::submitted(tx, &holder, &key, ext_ref, now)
            })
            .await;
        fail_point!("engine.submitted.after");
        step
    }

    async fn withdraw(&self, holder: Holder, key: StepKey, now: UnixMs) -> Result<StepRecord, JournalError> {
        fail_point!("engine.withdraw.before");
        let step = self
            .write_hinted(Lane::Progress, Hint::job(holder.job), move |tx| step::withdraw(tx, &holder, &key, now))
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
                step::outcome(tx, &holder, &key, receipt, finish, now)
            })
            .await;
        fail_point!("engine.outcome.after");
        step
    }

    async fn turn(&self, holder: Holder, why: Unwind, reason: String, now: UnixMs) -> Result<(), JournalError> {
        fail_point!("engine.turn.before");
        let turned = self
            .write_hinted(Lane::Progress, Hint::job(holder.job), move |tx| finish::turn(tx, &holder, why, &reason, now))
            .await;
        fail_point!("engine.turn.after");
        turned
    }

    async fn finish(&self, holder: Holder, finish: Finish, now: UnixMs) -> Result<(), JournalError> {
        fail_point!("engine.finish.before");
        let finished = self
            .write_hinted(Lane::Progress, Hint::job(holder.job), move |tx| finish::finish(tx, &holder, &finish, now))
            .await;
        fail_point!("engine.finish.after");
        finished
    }

    async fn note(&self, holder: Holder, step: Option<String>, text: String, now: UnixMs) -> Result<(), JournalError> {
        self.write(Lane::Progress, move |tx| step::note(tx, &holder, step.as_deref(), &text, now)).await
    }

    async fn request_cancel(&self, operation: OperationId, by: String, now: UnixMs) -> Result<(), JournalError> {
        fail_point!("engine.cancel.before");
        let asked = self.write(Lane::Progress, move |tx| control::request_cancel(tx, operation, &by, now)).await;
        fail_point!("engine.cancel.after");
        asked
    }

    async fn retry(&self, operation: OperationId, by: String, now: UnixMs) -> Result<usize, JournalError> {
        self.write(Lane::Intake, move |tx| control::retry(tx, operation, &by, now)).await
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

    async fn events(&self, mut query: EventQuery) -> Result<Vec<Event>, JournalError> {
        query.limit = query.limit.min(PAGE_MAX);
        self.read(move |rows| rows.list_events(&query)).await
    }

    async fn unfinished(&self, subject: String) -> Result<Vec<OperationId>, JournalError> {
        self.read(move |rows| rows.unfinished(&subject)).await
    }

    async fn prune(&self, before: UnixMs, limit: usize) -> Result<usize, JournalError> {
        self.write(Lane::Intake, move |tx| control::prune(tx, before, limit.min(PAGE_MAX))).await
    }

    fn subscribe(&self) -> watch::Receiver<Signal> {
        self.signals()
    }
}
