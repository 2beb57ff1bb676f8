//! What every journal must do, as one suite that each store runs against itself.
//!
//! A store's test calls [`run`] with a function that makes an empty journal. A failed expectation panics with the case's name.
#![allow(clippy::unwrap_used)]

mod claim;
mod control;
mod fence;
mod finish;
mod read;
mod schedule;
mod skew;
mod step;
mod submit;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::envelope::Envelope;
use crate::id::{Ids, JobId, OperationId, OwnerId};
use crate::journal::{
    ClaimRequest, Claimed, Finish, Holder, Journal, JournalError, KnownKinds, RegisterRequest, StepKey,
};
use crate::record::{Direction, JobStatus};
use crate::simclock::SimClock;
use crate::spec::{JobSpec, OperationSpec};
use crate::state::{JobState, OperationState};
use crate::time::{Clock, UnixMs};

/// Lease of the owners in the suite.
const TTL: Duration = Duration::from_secs(60);
/// The moment every case starts at.
const START: UnixMs = UnixMs(1_700_000_000_000);

/// An empty journal under test; the second part is kept alive as long as it is used (a temporary directory).
pub type Made = (Arc<dyn Journal>, Box<dyn std::any::Any + Send>);
/// Makes an empty journal.
pub type Make<'a> = dyn Fn() -> Pin<Box<dyn Future<Output = Made> + 'a>> + 'a;
/// Makes an empty journal whose store takes its time from this clock.
pub type MakeClocked<'a> = dyn Fn(SimClock) -> Pin<Box<dyn Future<Output = Made> + 'a>> + 'a;

/// Runs every case on a journal of its own, and names each on standard error through tracing.
///
/// # Panics
/// When the journal does not do what a case expects.
pub async fn run(make: &Make<'_>) {
    run_all(&|_| make()).await;
}

/// As [`run`], for a store that has a clock of its own and is shared; also with callers whose clocks are wrong.
///
/// # Panics
/// When the journal does not do what a case expects.
pub async fn run_with_clock(make: &MakeClocked<'_>) {
    run_all(make).await;
    run_skewed(make).await;
}

macro_rules! cases {
    ($make:expr; $($module:ident :: $case:ident),* $(,)?) => {
        let mut seed = 0;
        $(
            let clock = SimClock::manual(START);
            let (journal, _kept) = $make(clock.clone()).await;
            seed += 1;
            tracing::info!(case = concat!(stringify!($module), "::", stringify!($case)), "conformance");
            $module::$case(Suite::new(journal, clock, seed).await).await;
        )*
    };
}

async fn run_skewed(make: &MakeClocked<'_>) {
    cases!(
        make;
        skew::leases_end_by_the_stores_clock,
        skew::waits_and_deadlines_are_told_in_the_callers_clock,
        skew::nothing_is_deleted_early,
        skew::schedules_start_once,
    );
}

async fn run_all(make: &MakeClocked<'_>) {
    run_across_servers(make).await;
    cases!(make; claim::probes_a_node_that_does_not_answer);
}

/// As [`run`], where each write may go to another server than the last. Which nodes did not answer is what each server knows
/// for itself, so that this is not asked.
///
/// # Panics
/// When the journal does not do what a case expects.
pub async fn run_across_servers(make: &MakeClocked<'_>) {
    cases!(
        make;
        submit::stores_everything,
        submit::is_repeatable_by_id_and_by_key,
        submit::refuses_what_cannot_work_and_stores_nothing,
        submit::lets_one_exclusive_operation_run,
        submit::ends_an_operation_without_jobs_at_once,
        claim::follows_priority_turns_and_order,
        claim::never_exceeds_a_lock_domain,
        claim::keeps_locks_while_a_call_is_open,
        claim::waits_out_a_back_off,
        claim::parks_what_it_does_not_know,
        fence::refuses_every_late_write,
        fence::takes_over_from_a_dead_owner,
        fence::counts_interrupted_runs_until_progress,
        step::records_intent_reference_and_outcome,
        step::wants_an_intent_before_a_reference,
        step::keeps_unknown_fields_of_payloads,
        finish::starts_followers_and_ends_operations,
        finish::skips_what_comes_after_a_failure,
        finish::blocks_and_goes_on_by_hand,
        finish::is_stuck_until_sent_on,
        finish::marks_a_step_of_unknown_fate,
        fence::counts_deadlines_from_the_current_owner,
        control::cancels_in_every_state,
        control::tells_the_holder_of_a_cancellation,
        control::refuses_what_does_not_fit,
        control::prunes_old_operations,
        read::pages_and_filters,
        read::numbers_events_in_order,
        read::says_when_events_are_gone,
        claim::serves_its_own_sites_first,
        fence::remembers_calls_of_a_dead_owner,
        step::tells_what_its_holder_saw,
        submit::refuses_more_when_the_queue_is_long,
        schedule::starts_when_due,
        schedule::follows_a_clock_that_is_set_back,
        schedule::makes_up_for_missed_times_as_told,
        schedule::waits_for_the_operation_before,
        schedule::is_stopped_and_removed,
        schedule::refuses_what_would_not_work,
    );
}

/// A journal under test with ids, a clock that only the case moves, and a registered owner.
struct Suite {
    journal: Arc<dyn Journal>,
    ids: Ids,
    clock: SimClock,
    owner: OwnerId,
}

fn payload() -> Envelope {
    Envelope::new("toy", 1, json!({ "size": 1 }))
}

fn key(name: &str) -> StepKey {
    StepKey { name: name.to_owned(), direction: Direction::Do, position: 0 }
}

fn known() -> KnownKinds {
    KnownKinds::from([("toy".to_owned(), 1..=1)])
}

impl Suite {
    async fn new(journal: Arc<dyn Journal>, clock: SimClock, seed: u64) -> Suite {
        let ids = Ids::from_seed(Arc::new(clock.clone()), seed);
        let mut suite = Suite { journal, clock, owner: ids.owner(), ids };
        suite.owner = suite.register(known()).await;
        suite
    }

    fn now(&self) -> UnixMs {
        self.clock.now()
    }

    async fn register(&self, known: KnownKinds) -> OwnerId {
        let owner = self.ids.owner();
        let request = RegisterRequest { lease_until: self.now() + TTL, known, takeover_grace: Duration::ZERO };
        self.journal.register(owner, request, self.now()).await.unwrap();
        owner
    }

    /// An operation with one job for each key, all with the same settings.
    fn operation(&self, subject: &str, keys: &[&str]) -> OperationSpec {
        // Ids made at different moments sort in the order of their making.
        self.clock.advance(Duration::from_millis(1));
        OperationSpec {
            id: self.ids.operation(),
            kind: "apply".to_owned(),
            subject: subject.to_owned(),
            actor: "tester".to_owned(),
            summary: format!("apply {subject}"),
            payload: Envelope::new("plan", 1, json!({})),
            idempotency_key: None,
            exclusive: false,
            jobs: keys.iter().map(|key| JobSpec::new(self.ids.job(), *key, payload())).collect(),
        }
    }

    async fn submit(&self, spec: OperationSpec) -> OperationId {
        self.journal.submit(spec, self.now()).await.unwrap().id
    }

    /// Submits an operation of one job and claims it.
    async fn one_running(&self) -> (OperationId, Claimed) {
        let id = self.submit(self.operation("one", &["only"])).await;
        let claimed = self.claim(10).await;
        let [claimed] = <[Claimed; 1]>::try_from(claimed).expect("exactly one job is ready");
        (id, claimed)
    }

    fn claim_request(&self, owner: OwnerId, limit: usize) -> ClaimRequest {
        ClaimRequest::new(owner, limit, known())
    }

    async fn claim(&self, limit: usize) -> Vec<Claimed> {
        self.journal.claim(self.claim_request(self.owner, limit), self.now()).await.unwrap().jobs
    }

    async fn claim_keys(&self, limit: usize) -> Vec<String> {
        self.claim(limit).await.into_iter().map(|claimed| claimed.job.spec.key).collect()
    }

    async fn finish(&self, holder: Holder, finish: Finish) -> Result<(), JournalError> {
        self.journal.finish(holder, finish, self.now()).await
    }

    async fn status(&self, job: JobId) -> JobStatus {
        self.journal.job(job).await.unwrap().expect("the job is stored").status
    }

    async fn job_state(&self, job: JobId) -> JobState {
        self.status(job).await.state
    }

    async fn state(&self, operation: OperationId) -> OperationState {
        self.journal.operation(operation).await.unwrap().expect("the operation is stored").status.state
    }
}

fn lease_lost<T: std::fmt::Debug>(result: Result<T, JournalError>) -> bool {
    matches!(result, Err(JournalError::LeaseLost { .. }))
}
