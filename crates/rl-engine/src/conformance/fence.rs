//! Leases and fences: whoever lost a job cannot write about it.
use super::{Suite, key, known, lease_lost, payload};
use std::time::Duration;

use crate::journal::{Claimed, Finish, Holder, JournalError, RegisterRequest};
use crate::record::Unwind;
use crate::state::JobState;

async fn assert_all_refused(suite: &Suite, holder: Holder) {
    let (journal, now) = (&suite.journal, suite.now());
    assert!(lease_lost(journal.intent(holder, key("s"), payload(), now).await));
    assert!(lease_lost(journal.submitted(holder, key("s"), "ref".to_owned(), now).await));
    assert!(lease_lost(journal.withdraw(holder, key("s"), now).await));
    assert!(lease_lost(journal.outcome(holder, key("s"), payload(), None, now).await));
    assert!(lease_lost(journal.outcome(holder, key("s"), payload(), Some(Finish::Done), now).await));
    assert!(lease_lost(journal.turn(holder, Unwind::Failed, "late".to_owned(), now).await));
    assert!(lease_lost(journal.note(holder, None, "late".to_owned(), now).await));
    for finish in [Finish::Done, Finish::Release, Finish::Stuck { reason: "late".to_owned() }] {
        assert!(lease_lost(journal.finish(holder, finish, now).await));
    }
}

pub(super) async fn refuses_every_late_write(suite: Suite) {
    let (_, claimed) = suite.one_running().await;
    let job = claimed.holder.job;
    suite.finish(claimed.holder, Finish::Release).await.unwrap();
    assert_all_refused(&suite, claimed.holder).await;
    let again = suite.claim(10).await.remove(0);
    assert!(again.holder.fence > claimed.holder.fence, "every claim raises the fence");
    let before = suite.status(job).await;
    assert_all_refused(&suite, claimed.holder).await;
    assert_all_refused(&suite, Holder { owner: suite.ids.owner(), ..again.holder }).await;
    assert_all_refused(&suite, Holder { fence: again.holder.fence + 1, ..again.holder }).await;
    assert_eq!(suite.status(job).await, before, "a refused write changes nothing");
    assert!(suite.journal.steps(job).await.unwrap().is_empty());
    suite.finish(again.holder, Finish::Done).await.unwrap();
    assert_all_refused(&suite, again.holder).await;
}

pub(super) async fn takes_over_from_a_dead_owner(mut suite: Suite) {
    let (_, claimed) = suite.one_running().await;
    suite.journal.intent(claimed.holder, key("s"), payload(), suite.now()).await.unwrap();
    suite.journal.submitted(claimed.holder, key("s"), "UPID:1".to_owned(), suite.now()).await.unwrap();
    let dead = suite.owner;
    // Its lease has run out; a store held by one process would not even wait for that.
    suite.clock.advance(super::TTL * 2);
    suite.owner = suite.register(known()).await;
    assert_all_refused(&suite, claimed.holder).await;
    let beat = suite.journal.heartbeat(dead, suite.now() + super::TTL, suite.now()).await;
    assert!(matches!(beat, Err(JournalError::OwnerLost { .. })), "{beat:?}");
    let claim = suite.journal.claim(suite.claim_request(dead, 1), suite.now()).await;
    assert!(matches!(claim, Err(JournalError::OwnerLost { .. })), "{claim:?}");
    let again = suite.claim(10).await.remove(0);
    assert_eq!(again.holder.job, claimed.holder.job);
    assert_eq!(again.steps.len(), 1);
    assert_eq!(again.steps[0].ext_ref.as_deref(), Some("UPID:1"), "the new holder finds the task of the old one");
    suite.journal.heartbeat(suite.owner, suite.now() + super::TTL, suite.now()).await.unwrap();
    suite.finish(again.holder, Finish::Done).await.unwrap();
    suite.journal.unregister(suite.owner, suite.now()).await.unwrap();
}

pub(super) async fn counts_interrupted_runs_until_progress(mut suite: Suite) {
    let (_, mut claimed) = suite.one_running().await;
    for crashes in 1..=3 {
        suite.clock.advance(super::TTL * 2);
        suite.owner = suite.register(known()).await;
        claimed = suite.claim(10).await.remove(0);
        assert_eq!(claimed.job.status.crashes, crashes);
    }
    suite.journal.outcome(claimed.holder, key("s"), payload(), None, suite.now()).await.unwrap();
    let status = suite.status(claimed.holder.job).await;
    assert_eq!((status.state, status.crashes, status.failures), (JobState::Running, 0, 0));
}

pub(super) async fn counts_deadlines_from_the_current_owner(mut suite: Suite) {
    let (id, first) = suite.one_running().await;
    let deadline = |claimed: &Claimed| claimed.job.status.deadline_at.unwrap();
    let retry = Finish::Retry { not_before: suite.now(), reason: "busy".to_owned(), unreachable: None };
    suite.finish(first.holder, retry).await.unwrap();
    suite.clock.advance(Duration::from_secs(60));
    let second = suite.claim(10).await.remove(0);
    assert_eq!(deadline(&second), deadline(&first), "attempts share a deadline");
    // A night without a process in charge.
    suite.clock.advance(Duration::from_secs(12 * 3600));
    suite.owner = suite.register(known()).await;
    let third = suite.claim(10).await.remove(0);
    assert!(deadline(&third) > suite.now());
    suite.finish(third.holder, Finish::Blocked { reason: "look".to_owned(), hint: None, unknown: None }).await.unwrap();
    suite.clock.advance(Duration::from_secs(12 * 3600));
    suite.journal.retry(id, "tester".to_owned(), suite.now()).await.unwrap();
    assert!(deadline(&suite.claim(10).await[0]) > suite.now());
}

pub(super) async fn remembers_calls_of_a_dead_owner(mut suite: Suite) {
    let mut spec = suite.operation("shop", &["calling", "following", "resting"]);
    for job in &mut spec.jobs {
        job.deadline = Some(Duration::from_secs(86_400));
    }
    suite.submit(spec).await;
    let claimed = suite.claim(10).await;
    for claimed in &claimed[..2] {
        suite.journal.intent(claimed.holder, key("s"), payload(), suite.now()).await.unwrap();
    }
    suite.journal.submitted(claimed[1].holder, key("s"), "UPID:1".to_owned(), suite.now()).await.unwrap();
    suite.clock.advance(super::TTL * 2);
    let owner = suite.ids.owner();
    let grace = Duration::from_secs(180);
    let request = RegisterRequest { lease_until: suite.now() + super::TTL, known: known(), takeover_grace: grace };
    suite.journal.register(owner, request, suite.now()).await.unwrap();
    suite.owner = owner;
    let mut again = suite.claim(10).await;
    again.sort_by_key(|claimed| claimed.job.seq);
    let waits: Vec<_> = again.iter().map(|claimed| claimed.job.status.not_before).collect();
    assert_eq!(again.len(), 3, "every job is handed on at once");
    assert_eq!(waits[1..], [None, None], "what was answered, or never announced, holds nothing up");
    if let Some(until) = waits[0] {
        assert_eq!(until, suite.now() + grace, "a call that was not answered may still be under way");
        // The new holder backs off, is claimed again, and still knows.
        let retry = Finish::Retry {
            not_before: suite.now() + Duration::from_secs(1),
            reason: "look".to_owned(),
            unreachable: None,
        };
        suite.finish(again[0].holder, retry).await.unwrap();
        suite.clock.advance(grace - Duration::from_secs(1));
        suite.journal.heartbeat(owner, suite.now() + super::TTL, suite.now()).await.unwrap();
        assert!(suite.claim(10).await.is_empty());
        suite.clock.advance(Duration::from_secs(1));
        let calls = suite.claim(10).await;
        assert_eq!((calls.len(), calls[0].job.status.not_before), (1, None), "now it must have ended");
    }
}
