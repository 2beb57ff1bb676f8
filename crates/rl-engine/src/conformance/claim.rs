//! Handing out jobs.
use std::collections::HashMap;
use std::time::Duration;

use super::{Suite, key, known, payload};
use crate::journal::{ClaimRequest, Claimed, Finish};
use crate::spec::LockDomain;
use crate::state::{JobState, OperationState};
use crate::time::UnixMs;

pub(super) async fn follows_priority_turns_and_order(suite: Suite) {
    let mut large = suite.operation("large", &["l1", "l2", "l3", "l4"]);
    large.jobs[3].priority = 5;
    suite.submit(large).await;
    suite.submit(suite.operation("small", &["s1", "s2"])).await;
    let mut order = Vec::new();
    for _ in 0..6 {
        order.extend(suite.claim_keys(1).await);
    }
    assert_eq!(order[0], "l4", "the higher priority goes first");
    let of = |name: &str| order.iter().filter(|key| key.starts_with(name)).cloned().collect::<Vec<_>>();
    assert_eq!(of("l"), ["l4", "l1", "l2", "l3"], "in order within an operation");
    assert_eq!(of("s"), ["s1", "s2"]);
    let last_small = order.iter().position(|key| key == "s2").unwrap();
    assert!(last_small <= 4, "operations take turns, the small one does not wait for the large one: {order:?}");
    assert!(suite.claim(10).await.is_empty());
}

pub(super) async fn never_exceeds_a_lock_domain(suite: Suite) {
    let mut spec = suite.operation("shop", &["a", "b", "c", "d", "e", "f"]);
    for (at, job) in spec.jobs.iter_mut().enumerate() {
        job.locks = vec![LockDomain::limited("node", 2), LockDomain::exclusive(format!("guest:{}", at % 3))];
    }
    let id = suite.submit(spec).await;
    let mut running: Vec<Claimed> = Vec::new();
    let mut done = 0;
    while done < 6 {
        running.extend(suite.claim(10).await);
        assert!(!running.is_empty() && running.len() <= 2, "{} run, the domain allows 2", running.len());
        let mut guests: HashMap<String, u32> = HashMap::new();
        for claimed in &running {
            *guests.entry(claimed.job.spec.locks[1].name.clone()).or_default() += 1;
        }
        assert!(guests.values().all(|&count| count == 1), "{guests:?}");
        let first = running.remove(0);
        suite.finish(first.holder, Finish::Done).await.unwrap();
        done += 1;
    }
    assert_eq!(suite.state(id).await, OperationState::Done);
}

pub(super) async fn keeps_locks_while_a_call_is_open(suite: Suite) {
    let mut spec = suite.operation("shop", &["a", "b"]);
    for job in &mut spec.jobs {
        job.locks = vec![LockDomain::exclusive("guest:1")];
    }
    suite.submit(spec).await;
    let first = suite.claim(10).await.remove(0);
    suite.journal.intent(first.holder, key("s"), payload(), suite.now()).await.unwrap();
    let later = suite.now() + Duration::from_secs(5);
    let retry = Finish::Retry { not_before: later, reason: "busy".to_owned(), unreachable: None };
    suite.finish(first.holder, retry.clone()).await.unwrap();
    assert!(suite.claim(10).await.is_empty(), "the call may still be under way, so the guest stays locked");
    suite.clock.advance(Duration::from_secs(6));
    let again = suite.claim(10).await.remove(0);
    assert_eq!(again.job.spec.key, "a");
    suite.journal.withdraw(again.holder, key("s"), suite.now()).await.unwrap();
    suite
        .finish(
            again.holder,
            Finish::Retry {
                not_before: suite.now() + Duration::from_secs(5),
                reason: "busy".to_owned(),
                unreachable: None,
            },
        )
        .await
        .unwrap();
    assert_eq!(suite.claim_keys(10).await, ["b"], "a call that was not carried out locks nothing");
}

pub(super) async fn waits_out_a_back_off(suite: Suite) {
    let (id, claimed) = suite.one_running().await;
    let due = suite.now() + Duration::from_secs(30);
    suite
        .finish(claimed.holder, Finish::Retry { not_before: due, reason: "busy".to_owned(), unreachable: None })
        .await
        .unwrap();
    let status = suite.status(claimed.holder.job).await;
    assert_eq!((status.state, status.failures, status.reason.as_deref()), (JobState::Backoff, 1, Some("busy")));
    assert_eq!(suite.state(id).await, OperationState::Running);
    let claims = suite.journal.claim(suite.claim_request(suite.owner, 10), suite.now()).await.unwrap();
    assert!(claims.jobs.is_empty());
    assert!(claims.next_due.is_some_and(|next| next <= due && next > UnixMs(0)));
    suite.clock.advance(Duration::from_secs(31));
    let again = suite.claim(10).await.remove(0);
    assert_eq!(again.holder.fence, claimed.holder.fence + 1);
    assert_eq!(again.job.status.failures, 1);
}

pub(super) async fn parks_what_it_does_not_know(mut suite: Suite) {
    let mut spec = suite.operation("shop", &["old", "new", "other"]);
    spec.jobs[1].payload.version = 2;
    spec.jobs[2].payload.kind = "novel".to_owned();
    let (new, other) = (spec.jobs[1].id, spec.jobs[2].id);
    let id = suite.submit(spec).await;
    let claimed = suite.claim(10).await;
    assert_eq!(claimed.iter().map(|claimed| claimed.job.spec.key.as_str()).collect::<Vec<_>>(), ["old"]);
    suite.finish(claimed[0].holder, Finish::Done).await.unwrap();
    assert_eq!(suite.state(id).await, OperationState::Blocked);
    for job in [new, other] {
        let status = suite.status(job).await;
        assert_eq!(status.state, JobState::Parked);
        assert!(status.reason.unwrap().starts_with("needs at least"), "the text says what is needed");
    }
    // A newer release knows version 2 and takes that job up again, the other one waits on.
    let mut wider = known();
    wider.insert("toy".to_owned(), 1..=2);
    suite.owner = suite.register(wider).await;
    assert_eq!(suite.job_state(new).await, JobState::Ready);
    assert_eq!(suite.job_state(other).await, JobState::Parked);
}

pub(super) async fn serves_its_own_sites_first(suite: Suite) {
    let mut spec = suite.operation("shop", &["far", "near", "any"]);
    spec.jobs[0].site = Some("fra1".to_owned());
    spec.jobs[1].site = Some("ams1".to_owned());
    suite.submit(spec).await;
    let grace = Duration::from_secs(30);
    let request = || ClaimRequest {
        sites: vec!["ams1".to_owned()],
        foreign_grace: grace,
        ..suite.claim_request(suite.owner, 10)
    };
    let claims = suite.journal.claim(request(), suite.now()).await.unwrap();
    let keys: Vec<&str> = claims.jobs.iter().map(|claimed| claimed.job.spec.key.as_str()).collect();
    assert_eq!(keys, ["near", "any"]);
    assert!(claims.next_due.is_some_and(|due| due <= suite.now() + grace), "it asks again for the other");
    suite.clock.advance(grace - Duration::from_secs(1));
    assert!(suite.journal.claim(request(), suite.now()).await.unwrap().jobs.is_empty());
    suite.clock.advance(Duration::from_secs(1));
    let mut late = suite.journal.claim(request(), suite.now()).await.unwrap().jobs;
    if late.is_empty() {
        // Another server of the same store counts from when it first saw the job.
        suite.clock.advance(grace);
        late = suite.journal.claim(request(), suite.now()).await.unwrap().jobs;
    }
    assert_eq!(late.len(), 1, "its own servers did not take it");
    assert_eq!(late[0].job.spec.site.as_deref(), Some("fra1"));
}

/// Each server counts for itself, so that of several that take turns some jobs more go on before all know.
pub(super) async fn probes_a_node_that_does_not_answer(suite: Suite) {
    let keys: Vec<String> = (0..30).map(|number| format!("j{number}")).collect();
    let mut spec = suite.operation("shop", &keys.iter().map(String::as_str).collect::<Vec<_>>());
    for job in &mut spec.jobs {
        job.node = Some("fra1/pve1".to_owned());
    }
    let id = suite.submit(spec).await;
    let (mut failed, mut refused) = (0, 0);
    while refused < 2 {
        let Some(claimed) = suite.claim(1).await.pop() else {
            refused += 1;
            continue;
        };
        failed += 1;
        let not_before = suite.now() + Duration::from_secs(600);
        let unreachable = Some("fra1/pve1".to_owned());
        let retry = Finish::Retry { not_before, reason: "no answer".to_owned(), unreachable };
        suite.finish(claimed.holder, retry).await.unwrap();
    }
    assert!((5..=12).contains(&failed), "after {failed} failures the node's jobs wait");
    let claims = suite.journal.claim(suite.claim_request(suite.owner, 10), suite.now()).await.unwrap();
    assert!(claims.jobs.is_empty());
    let due = claims.next_due.expect("until a probe is due");
    let jobs = suite.journal.jobs(id, 0, 30).await.unwrap();
    let waiting = jobs.iter().filter(|job| job.status.state == JobState::Ready);
    let told =
        waiting.filter(|job| job.status.reason.as_deref().is_some_and(|why| why.contains("fra1/pve1 does not answer")));
    assert_eq!(told.count(), 30 - failed, "every job that waits says why");
    suite.clock.advance(due.since(suite.now()));
    let mut going = suite.claim(10).await;
    assert_eq!(going.len(), 1, "one job tries it");
    let mut left = 30 - failed;
    for _ in 0..60 {
        left -= going.len();
        for claimed in going {
            suite.journal.outcome(claimed.holder, key("s"), payload(), Some(Finish::Done), suite.now()).await.unwrap();
        }
        going = suite.claim(10).await;
    }
    assert_eq!(left, 0, "it answers, so the others go on");
    let events = suite.journal.events(crate::EventQuery { limit: 1_000, ..Default::default() }).await.unwrap();
    let told = |kind: &str| events.iter().filter(|event| event.kind == kind).count();
    assert!((1..=2).contains(&told("target.unreachable")) && (1..=2).contains(&told("target.answers")));
}
