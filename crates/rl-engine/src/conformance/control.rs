//! Cancelling, sending on, pruning.
use std::time::Duration;

use super::{Suite, key, payload};
use crate::journal::{Finish, JournalError};
use crate::record::Unwind;
use crate::state::{JobState, OperationState};

pub(super) async fn cancels_in_every_state(suite: Suite) {
    let mut spec = suite.operation("shop", &["done", "traces", "clean", "blocked", "running", "waiting"]);
    let ids: Vec<_> = spec.jobs.iter().map(|job| job.id).collect();
    spec.jobs[5].after = vec![ids[4]];
    let id = suite.submit(spec).await;
    let held = suite.claim(10).await;
    let later = suite.now() + Duration::from_secs(600);
    let retry = || Finish::Retry { not_before: later, reason: "busy".to_owned(), unreachable: None };
    suite.finish(held[0].holder, Finish::Done).await.unwrap();
    suite.journal.intent(held[1].holder, key("s"), payload(), suite.now()).await.unwrap();
    suite.finish(held[1].holder, retry()).await.unwrap();
    suite.finish(held[2].holder, retry()).await.unwrap();
    suite
        .finish(held[3].holder, Finish::Blocked { reason: "look".to_owned(), hint: None, unknown: None })
        .await
        .unwrap();
    suite.journal.request_cancel(id, "tester".to_owned(), suite.now()).await.unwrap();
    suite.journal.request_cancel(id, "tester".to_owned(), suite.now()).await.unwrap();

    let mut states = Vec::new();
    for job in &ids {
        states.push(suite.job_state(*job).await);
    }
    use JobState::{Cancelled, Done, Ready, Running};
    assert_eq!(states, [Done, Ready, Cancelled, Cancelled, Running, Cancelled]);
    assert!(suite.status(ids[4]).await.cancel);
    let unwinding = suite.claim(10).await.remove(0);
    assert_eq!((unwinding.holder.job, unwinding.job.status.unwind), (ids[1], Some(Unwind::Cancelled)));
    suite.finish(unwinding.holder, Finish::Unwound).await.unwrap();
    // The holder of the running job lets go of it without having seen the request; the next claim sees it.
    suite.finish(held[4].holder, retry()).await.unwrap();
    let last = suite.claim(10).await.remove(0);
    assert_eq!(last.job.status.unwind, Some(Unwind::Cancelled));
    suite.finish(last.holder, Finish::Unwound).await.unwrap();
    assert_eq!(suite.state(id).await, OperationState::Cancelled);
}

pub(super) async fn tells_the_holder_of_a_cancellation(suite: Suite) {
    let (id, claimed) = suite.one_running().await;
    let mut signal = suite.journal.subscribe();
    let before = signal.borrow_and_update().cancels;
    let beat = || suite.journal.heartbeat(suite.owner, suite.now() + super::TTL, suite.now());
    assert!(beat().await.unwrap().cancelled.is_empty());
    suite.journal.request_cancel(id, "tester".to_owned(), suite.now()).await.unwrap();
    assert!(signal.borrow_and_update().cancels > before, "the holder is woken");
    assert_eq!(beat().await.unwrap().cancelled, [claimed.holder.job]);
    // A job whose steps were all done by then is done.
    suite.journal.outcome(claimed.holder, key("s"), payload(), Some(Finish::Done), suite.now()).await.unwrap();
    assert_eq!(suite.state(id).await, OperationState::Done);
    assert!(beat().await.unwrap().cancelled.is_empty());
}

pub(super) async fn refuses_what_does_not_fit(suite: Suite) {
    let (id, claimed) = suite.one_running().await;
    let (by, now) = (|| "tester".to_owned(), suite.now());
    let nothing = suite.journal.retry(id, by(), now).await;
    assert!(matches!(nothing, Err(JournalError::WrongState { .. })), "{nothing:?}");
    suite.finish(claimed.holder, Finish::Done).await.unwrap();
    let finished = suite.journal.request_cancel(id, by(), now).await;
    assert!(matches!(finished, Err(JournalError::WrongState { .. })), "{finished:?}");
    let unknown = suite.ids.operation();
    for result in [
        suite.journal.request_cancel(unknown, by(), now).await,
        suite.journal.retry(unknown, by(), now).await.map(drop),
    ] {
        assert!(matches!(result, Err(JournalError::NotFound { .. })), "{result:?}");
    }
}

pub(super) async fn prunes_old_operations(suite: Suite) {
    let (old, claimed) = suite.one_running().await;
    suite.journal.outcome(claimed.holder, key("s"), payload(), Some(Finish::Done), suite.now()).await.unwrap();
    suite.clock.advance(Duration::from_secs(3600));
    let (running, _) = suite.one_running().await;
    let before = suite.now();
    assert_eq!(suite.journal.prune(before, 10, suite.now()).await.unwrap(), 1);
    assert!(suite.journal.operation(old).await.unwrap().is_none());
    assert!(suite.journal.steps(claimed.holder.job).await.unwrap().is_empty());
    let events = suite.journal.events(crate::EventQuery { limit: 100, ..Default::default() }).await.unwrap();
    assert!(events.iter().all(|event| event.operation == running));
    assert_eq!(suite.journal.prune(before, 10, suite.now()).await.unwrap(), 0);
    assert_eq!(suite.state(running).await, OperationState::Running);
}
