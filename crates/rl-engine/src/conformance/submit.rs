//! Accepting operations.
use std::time::Duration;

use super::{Suite, payload};
use crate::journal::{Finish, JournalError};
use crate::spec::{JobSpec, LockDomain, SpecError};
use crate::state::{JobState, OperationState};

pub(super) async fn stores_everything(suite: Suite) {
    let mut spec = suite.operation("shop", &["a", "b"]);
    spec.jobs[1].after = vec![spec.jobs[0].id];
    spec.jobs[1].locks = vec![LockDomain::limited("node:x", 2)];
    let submitted = suite.journal.submit(spec.clone(), suite.now()).await.unwrap();
    assert_eq!((submitted.id, submitted.existing), (spec.id, false));

    let read = suite.journal.operation(spec.id).await.unwrap().unwrap();
    assert_eq!((read.info.subject.as_str(), read.info.actor.as_str()), ("shop", "tester"));
    assert_eq!(read.info.payload, spec.payload);
    assert_eq!((read.status.state, read.status.counts.total()), (OperationState::Running, 2));
    let jobs = suite.journal.jobs(spec.id, 0, 10).await.unwrap();
    assert_eq!(jobs.iter().map(|job| job.spec.clone()).collect::<Vec<_>>(), spec.jobs);
    let states: Vec<JobState> = jobs.iter().map(|job| job.status.state).collect();
    assert_eq!(states, [JobState::Ready, JobState::Waiting]);
    assert_eq!(suite.journal.unfinished("shop".to_owned()).await.unwrap(), [spec.id]);
}

pub(super) async fn is_repeatable_by_id_and_by_key(suite: Suite) {
    let mut first = suite.operation("shop", &["a"]);
    first.idempotency_key = Some("again".to_owned());
    let id = suite.submit(first.clone()).await;
    let same = suite.journal.submit(first, suite.now()).await.unwrap();
    assert_eq!((same.id, same.existing), (id, true));
    let mut second = suite.operation("shop", &["b"]);
    second.idempotency_key = Some("again".to_owned());
    let same = suite.journal.submit(second.clone(), suite.now()).await.unwrap();
    assert_eq!((same.id, same.existing), (id, true));
    assert!(suite.journal.operation(second.id).await.unwrap().is_none());
    assert_eq!(suite.claim_keys(10).await, ["a"]);
}

pub(super) async fn refuses_what_cannot_work_and_stores_nothing(suite: Suite) {
    let mut circle = suite.operation("shop", &["a", "b"]);
    circle.jobs[0].after = vec![circle.jobs[1].id];
    circle.jobs[1].after = vec![circle.jobs[0].id];
    let mut dangling = suite.operation("shop", &["a"]);
    dangling.jobs[0].after = vec![suite.ids.job()];
    let twice = suite.operation("shop", &["a", "a"]);
    let mut unlockable = suite.operation("shop", &["a"]);
    unlockable.jobs[0].locks = vec![LockDomain::limited("x", 0)];
    for spec in [circle, dangling, twice, unlockable] {
        let refused = suite.journal.submit(spec.clone(), suite.now()).await;
        assert!(matches!(refused, Err(JournalError::Invalid(_))), "{refused:?}");
        assert!(suite.journal.operation(spec.id).await.unwrap().is_none());
    }
    let stored = suite.operation("shop", &["a"]);
    let job = stored.jobs[0].id;
    suite.submit(stored).await;
    let mut reused = suite.operation("shop", &["b"]);
    reused.jobs[0] = JobSpec::new(job, "b", payload());
    let refused = suite.journal.submit(reused, suite.now()).await;
    assert!(matches!(refused, Err(JournalError::Invalid(SpecError::Duplicate { .. }))), "{refused:?}");
    assert_eq!(suite.claim_keys(10).await, ["a"]);
}

pub(super) async fn lets_one_exclusive_operation_run(suite: Suite) {
    let mut first = suite.operation("shop", &["a"]);
    first.exclusive = true;
    let id = suite.submit(first).await;
    let mut second = suite.operation("shop", &["b"]);
    second.exclusive = true;
    let refused = suite.journal.submit(second.clone(), suite.now()).await;
    assert!(matches!(refused, Err(JournalError::Busy { operation, .. }) if operation == id), "{refused:?}");
    let mut elsewhere = suite.operation("mail", &["c"]);
    elsewhere.exclusive = true;
    suite.submit(elsewhere).await;
    suite.journal.request_cancel(id, "tester".to_owned(), suite.now()).await.unwrap();
    assert_eq!(suite.state(id).await, OperationState::Cancelled);
    suite.submit(second).await;
}

pub(super) async fn ends_an_operation_without_jobs_at_once(suite: Suite) {
    let id = suite.submit(suite.operation("shop", &[])).await;
    let read = suite.journal.operation(id).await.unwrap().unwrap();
    assert_eq!(read.status.state, OperationState::Done);
    assert!(read.status.finished_at.is_some());
    assert!(suite.journal.unfinished("shop".to_owned()).await.unwrap().is_empty());
}

pub(super) async fn refuses_more_when_the_queue_is_long(suite: Suite) {
    let keys: Vec<String> = (0..1_000).map(|number| format!("j{number}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    for _ in 0..21 {
        suite.submit(suite.operation("large", &keys)).await;
    }
    suite.submit(suite.operation("small", &["before anything was claimed"])).await;
    suite.clock.advance(Duration::from_millis(200));
    let quick = suite.claim(1).await.remove(0);
    suite.submit(suite.operation("small", &["a short wait"])).await;
    suite.clock.advance(Duration::from_millis(100));
    // Each server of a store measures for itself, so that of several that take turns some still accept.
    let mut refused = None;
    for round in 0..24 {
        for _ in 0..=round % 3 {
            suite.claim(1).await;
        }
        refused = suite.journal.submit(suite.operation("small", &["too long"]), suite.now()).await.err().or(refused);
    }
    let Some(JournalError::Full { retry_after, why }) = refused else { panic!("{refused:?}") };
    assert!(retry_after.is_some_and(|after| after >= Duration::from_secs(1)), "{why}");
    // What runs goes on as ever.
    suite.journal.intent(quick.holder, super::key("s"), super::payload(), suite.now()).await.unwrap();
    suite.finish(quick.holder, Finish::Done).await.unwrap();
    // When nothing is claimed any more, nothing is known of the wait.
    suite.clock.advance(Duration::from_secs(60));
    suite.submit(suite.operation("small", &["later"])).await;
}
