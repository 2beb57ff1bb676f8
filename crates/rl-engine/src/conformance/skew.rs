//! Callers whose wall clocks are wrong, on a store with a clock of its own: nothing expires early, waits for ever or starts twice.
use std::time::Duration;

use super::{START, Suite, TTL, known, lease_lost, schedule};
use crate::id::OwnerId;
use crate::journal::{Claims, EventQuery, Finish, JournalError, RegisterRequest};
use crate::time::{Clock, UnixMs};

const HOUR: i64 = 3_600_000;
const TEN_YEARS: i64 = 10 * 365 * 24 * HOUR;
/// How far the clocks of two engines are off, in milliseconds.
const SKEWS: [(i64, i64); 7] =
    [(0, 0), (HOUR, 0), (0, HOUR), (-HOUR, HOUR), (TEN_YEARS, 0), (0, TEN_YEARS), (-TEN_YEARS, TEN_YEARS)];

impl Suite {
    /// What a wall clock shows that is so far off.
    fn seen(&self, skew: i64) -> UnixMs {
        UnixMs(self.clock.now().0.saturating_add_signed(skew))
    }

    async fn register_skewed(&self, skew: i64) -> OwnerId {
        let (owner, now) = (self.ids.owner(), self.seen(skew));
        let request = RegisterRequest { lease_until: now + TTL, known: known(), takeover_grace: Duration::ZERO };
        self.journal.register(owner, request, now).await.unwrap();
        owner
    }

    async fn claim_skewed(&self, owner: OwnerId, skew: i64) -> Claims {
        self.journal.claim(self.claim_request(owner, 10), self.seen(skew)).await.unwrap()
    }

    async fn beat_skewed(&self, owner: OwnerId, skew: i64) -> Result<(), JournalError> {
        let now = self.seen(skew);
        self.journal.heartbeat(owner, now + TTL, now).await.map(drop)
    }
}

pub(super) async fn leases_end_by_the_stores_clock(suite: Suite) {
    suite.journal.unregister(suite.owner, suite.now()).await.unwrap();
    for (ours, theirs) in SKEWS {
        let (a, b) = (suite.register_skewed(ours).await, suite.register_skewed(theirs).await);
        suite.submit(suite.operation("shop", &["only"])).await;
        let held = suite.claim_skewed(a, ours).await.jobs.remove(0);
        suite.clock.advance(TTL / 2);
        suite.beat_skewed(a, ours).await.unwrap();
        suite.beat_skewed(b, theirs).await.unwrap();
        suite.clock.advance(TTL - Duration::from_secs(1));
        suite.beat_skewed(b, theirs).await.unwrap();
        let early = suite.claim_skewed(b, theirs).await;
        assert!(early.jobs.is_empty(), "the lease is not over yet, whatever the clocks show ({ours}, {theirs})");
        let due = early.next_due.expect("b asks again when a's lease may be over");
        assert_eq!(due, suite.seen(theirs) + Duration::from_secs(1), "told in b's own clock ({ours}, {theirs})");
        suite.clock.advance(Duration::from_secs(2));
        let taken = suite.claim_skewed(b, theirs).await.jobs;
        assert_eq!(taken.len(), 1, "the lease is over ({ours}, {theirs})");
        assert!(lease_lost(suite.journal.finish(held.holder, Finish::Done, suite.seen(ours)).await));
        assert!(matches!(suite.beat_skewed(a, ours).await, Err(JournalError::OwnerLost { .. })));
        suite.journal.finish(taken[0].holder, Finish::Done, suite.seen(theirs)).await.unwrap();
        suite.journal.unregister(b, suite.seen(theirs)).await.unwrap();
    }
}

pub(super) async fn waits_and_deadlines_are_told_in_the_callers_clock(suite: Suite) {
    suite.journal.unregister(suite.owner, suite.now()).await.unwrap();
    for (ours, theirs) in SKEWS {
        let (a, b) = (suite.register_skewed(ours).await, suite.register_skewed(theirs).await);
        suite.submit(suite.operation("shop", &["only"])).await;
        let held = suite.claim_skewed(a, ours).await.jobs.remove(0);
        let retry = Finish::Retry {
            not_before: suite.seen(ours) + Duration::from_secs(30),
            reason: "busy".to_owned(),
            unreachable: None,
        };
        suite.journal.finish(held.holder, retry, suite.seen(ours)).await.unwrap();
        suite.clock.advance(Duration::from_secs(29));
        let early = suite.claim_skewed(b, theirs).await;
        assert!(early.jobs.is_empty(), "the wait is not over ({ours}, {theirs})");
        assert_eq!(early.next_due, Some(suite.seen(theirs) + Duration::from_secs(1)));
        suite.clock.advance(Duration::from_secs(2));
        let claimed = suite.claim_skewed(b, theirs).await.jobs.remove(0);
        let deadline = claimed.job.status.deadline_at.unwrap();
        let expected = suite.seen(theirs) + Duration::from_secs(3600 - 31);
        assert_eq!(deadline, expected, "an hour after the first start, in b's clock ({ours}, {theirs})");
        suite.journal.finish(claimed.holder, Finish::Done, suite.seen(theirs)).await.unwrap();
        for owner in [a, b] {
            suite.journal.unregister(owner, suite.now()).await.unwrap();
        }
    }
    let events = suite.journal.events(EventQuery { limit: 1_000, ..Default::default() }).await.unwrap();
    let latest = suite.now();
    assert!(events.iter().all(|event| (START..=latest).contains(&event.at)), "events bear the store's times");
}

pub(super) async fn nothing_is_deleted_early(suite: Suite) {
    let (id, claimed) = suite.one_running().await;
    suite.finish(claimed.holder, Finish::Done).await.unwrap();
    suite.clock.advance(Duration::from_secs(60));
    let keep = Duration::from_secs(3600);
    for skew in [HOUR, -HOUR, TEN_YEARS, -TEN_YEARS] {
        let now = suite.seen(skew);
        let before = UnixMs(now.0 - keep.as_millis() as u64);
        assert_eq!(suite.journal.prune(before, 10, now).await.unwrap(), 0, "an hour has not passed ({skew})");
    }
    suite.clock.advance(keep);
    let now = suite.seen(-TEN_YEARS);
    assert_eq!(suite.journal.prune(UnixMs(now.0 - keep.as_millis() as u64), 10, now).await.unwrap(), 1);
    assert!(suite.journal.operation(id).await.unwrap().is_none());
}

pub(super) async fn schedules_start_once(suite: Suite) {
    for (number, (ours, theirs)) in SKEWS.into_iter().enumerate() {
        let spec = schedule::hourly(&suite, &format!("s{number}"), crate::MissedPolicy::Skip);
        let next = suite.journal.put_schedule(spec.clone(), suite.seen(ours)).await.unwrap().unwrap();
        let wait = next.since(suite.seen(ours));
        assert!(wait <= Duration::from_secs(3600), "told in the caller's clock ({ours}, {theirs})");
        let fire =
            async |skew| suite.journal.fire_schedules(suite.ids.clone(), suite.seen(skew)).await.unwrap().started;
        assert!(fire(ours).await.is_empty() && fire(theirs).await.is_empty(), "it is not time ({ours}, {theirs})");
        suite.clock.advance(wait);
        let (first, second) = (fire(ours).await, fire(theirs).await);
        assert_eq!((first.len(), second.len()), (1, 0), "it starts once ({ours}, {theirs})");
        suite.journal.remove_schedule(spec.name).await.unwrap();
    }
}
