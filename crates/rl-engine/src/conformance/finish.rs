//! Letting go of jobs, and what follows.
use super::{Suite, key, payload};
use crate::journal::{Finish, JournalError};
use crate::record::{StepState, Unwind};
use crate::spec::LockDomain;
use crate::state::{JobState, OperationState};

pub(super) async fn starts_followers_and_ends_operations(suite: Suite) {
    let mut spec = suite.operation("shop", &["a", "b", "c"]);
    let ids: Vec<_> = spec.jobs.iter().map(|job| job.id).collect();
    // A name given twice counts once.
    spec.jobs[2].after = vec![ids[0], ids[1], ids[0]];
    let id = suite.submit(spec).await;
    let first = suite.claim(10).await;
    assert_eq!(first.len(), 2);
    suite.finish(first[0].holder, Finish::Done).await.unwrap();
    assert!(suite.claim(10).await.is_empty());
    assert_eq!(suite.state(id).await, OperationState::Running);
    suite.finish(first[1].holder, Finish::Done).await.unwrap();
    let last = suite.claim(10).await.remove(0);
    assert_eq!(last.job.spec.key, "c");
    suite.finish(last.holder, Finish::Done).await.unwrap();
    let read = suite.journal.operation(id).await.unwrap().unwrap();
    assert_eq!((read.status.state, read.status.counts.of(JobState::Done)), (OperationState::Done, 3));
    assert!(read.status.finished_at.is_some());
}

pub(super) async fn skips_what_comes_after_a_failure(suite: Suite) {
    let mut spec = suite.operation("shop", &["a", "b", "c", "free"]);
    let ids: Vec<_> = spec.jobs.iter().map(|job| job.id).collect();
    spec.jobs[1].after = vec![ids[0]];
    spec.jobs[2].after = vec![ids[1]];
    let id = suite.submit(spec).await;
    let claimed = suite.claim(10).await;
    let failing = claimed[0].holder;
    let early = suite.finish(failing, Finish::Unwound).await;
    assert!(matches!(early, Err(JournalError::WrongState { .. })), "only a turned job can be unwound: {early:?}");
    suite.journal.turn(failing, Unwind::Failed, "no room".to_owned(), suite.now()).await.unwrap();
    suite.finish(failing, Finish::Unwound).await.unwrap();
    let status = suite.status(ids[0]).await;
    assert_eq!((status.state, status.reason.as_deref()), (JobState::Failed, Some("no room")));
    for follower in [ids[1], ids[2]] {
        assert_eq!(suite.job_state(follower).await, JobState::Skipped);
    }
    assert_eq!(suite.state(id).await, OperationState::Running, "the free job goes on");
    suite.finish(claimed[1].holder, Finish::Done).await.unwrap();
    assert_eq!(suite.state(id).await, OperationState::Failed);
}

pub(super) async fn blocks_and_goes_on_by_hand(suite: Suite) {
    let (id, claimed) = suite.one_running().await;
    let finish =
        Finish::Blocked { reason: "foreign guest".to_owned(), hint: Some("adopt it".to_owned()), unknown: None };
    suite.finish(claimed.holder, finish).await.unwrap();
    let status = suite.status(claimed.holder.job).await;
    assert_eq!((status.state, status.hint.as_deref()), (JobState::Blocked, Some("adopt it")));
    assert_eq!(suite.state(id).await, OperationState::Blocked);
    assert_eq!(suite.journal.unfinished("one".to_owned()).await.unwrap(), [id], "a blocked operation is unfinished");
    assert!(suite.claim(10).await.is_empty());
    assert_eq!(suite.journal.retry(id, "tester".to_owned(), suite.now()).await.unwrap(), 1);
    assert_eq!(suite.state(id).await, OperationState::Running);
    let again = suite.claim(10).await.remove(0);
    assert_eq!(again.job.status.hint, None);
    suite.finish(again.holder, Finish::Done).await.unwrap();
    assert_eq!(suite.state(id).await, OperationState::Done);
}

pub(super) async fn is_stuck_until_sent_on(suite: Suite) {
    let (id, claimed) = suite.one_running().await;
    let holder = claimed.holder;
    suite.journal.outcome(holder, key("create"), payload(), None, suite.now()).await.unwrap();
    suite.journal.turn(holder, Unwind::Failed, "no room".to_owned(), suite.now()).await.unwrap();
    suite.finish(holder, Finish::Stuck { reason: "cannot destroy".to_owned() }).await.unwrap();
    assert_eq!(suite.state(id).await, OperationState::Stuck);
    suite.journal.retry(id, "tester".to_owned(), suite.now()).await.unwrap();
    assert_eq!(suite.state(id).await, OperationState::Running);
    let again = suite.claim(10).await.remove(0);
    assert_eq!(again.job.status.unwind, Some(Unwind::Failed), "it goes on undoing");
    suite.finish(again.holder, Finish::Unwound).await.unwrap();
    assert_eq!(suite.state(id).await, OperationState::Failed);
}

pub(super) async fn marks_a_step_of_unknown_fate(suite: Suite) {
    let mut spec = suite.operation("shop", &["opaque", "next"]);
    for job in &mut spec.jobs {
        job.locks = vec![LockDomain::exclusive("guest:1")];
    }
    let id = suite.submit(spec).await;
    let holder = suite.claim(10).await.remove(0).holder;
    suite.journal.intent(holder, key("script"), payload(), suite.now()).await.unwrap();
    let unknown = Finish::Blocked { reason: "look".to_owned(), hint: None, unknown: Some(key("script")) };
    suite.finish(holder, unknown).await.unwrap();
    assert_eq!(suite.journal.steps(holder.job).await.unwrap()[0].state, StepState::Unknown);
    assert!(suite.claim(10).await.is_empty(), "it may still be under way, so the guest stays locked");
    suite.journal.retry(id, "tester".to_owned(), suite.now()).await.unwrap();
    let again = suite.claim(10).await.remove(0);
    assert_eq!((again.holder.job, again.steps[0].state), (holder.job, StepState::Unknown));
    suite.finish(again.holder, Finish::Done).await.unwrap();
    assert_eq!(suite.claim_keys(10).await, ["next"]);
}
