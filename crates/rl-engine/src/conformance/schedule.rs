//! Schedules: each time starts once, whatever was missed.
use std::time::Duration;

use super::Suite;
use crate::journal::{Finish, JournalError, OperationQuery};
use crate::schedule::{MissedPolicy, ScheduleRecord, ScheduleSpec, Timetable};
use crate::time::UnixMs;

const HOUR: Duration = Duration::from_secs(3600);
/// Longest until every server of a store knows of a change: several looks of one that misses notifications.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

/// A schedule at the full hour whose operation is alone in its stack.
pub(super) fn hourly(suite: &Suite, name: &str, missed: MissedPolicy) -> ScheduleSpec {
    let mut operation = suite.operation(name, &["look", "report"]);
    operation.exclusive = true;
    operation.jobs[1].after = vec![operation.jobs[0].id];
    ScheduleSpec {
        name: name.parse().unwrap(),
        at: Timetable::new("0 * * * *", "UTC").unwrap(),
        missed,
        catch_up_max: 3,
        operation,
    }
}

impl Suite {
    async fn fire(&self) -> usize {
        self.journal.fire_schedules(self.ids.clone(), self.now()).await.unwrap().started.len()
    }

    async fn schedule(&self, name: &str) -> ScheduleRecord {
        let all = self.journal.schedules().await.unwrap();
        all.into_iter().find(|record| record.spec.name.as_str() == name).expect("the schedule is stored")
    }

    /// Lets everything that was started end.
    async fn finish_all(&self) {
        loop {
            let claimed = self.claim(10).await;
            if claimed.is_empty() {
                return;
            }
            for claimed in claimed {
                self.finish(claimed.holder, Finish::Done).await.unwrap();
            }
        }
    }
}

pub(super) async fn starts_when_due(suite: Suite) {
    let mut signal = suite.journal.subscribe();
    let before = signal.borrow_and_update().schedules;
    let next = suite.journal.put_schedule(hourly(&suite, "nightly", MissedPolicy::Skip), suite.now()).await.unwrap();
    let next = next.expect("there is a next hour");
    // Another server of the store hears of it a moment later.
    let told = tokio::time::timeout(TOLD_WITHIN, signal.wait_for(|signal| signal.schedules > before)).await;
    assert!(told.is_ok_and(|signal| signal.is_ok()), "engines are told");
    assert_eq!(next.0 % 3_600_000, 0);
    assert_eq!(suite.fire().await, 0);
    suite.clock.advance(next.since(suite.now()));
    let fired = suite.journal.fire_schedules(suite.ids.clone(), suite.now()).await.unwrap();
    assert_eq!((fired.started.len(), fired.next_at), (1, Some(next + HOUR)));
    assert_eq!(suite.fire().await, 0, "a time starts once");
    let operation = suite.journal.operation(fired.started[0]).await.unwrap().unwrap();
    assert_eq!(operation.info.idempotency_key, Some(format!("schedule:nightly:{}", next.0)));
    assert_eq!(suite.claim_keys(10).await, ["look"], "the order of its jobs is kept");
    let record = suite.schedule("nightly").await;
    assert_eq!((record.next_at, record.state.last_at, record.state.fired), (Some(next + HOUR), Some(next), 1));
    assert_eq!(record.state.last_operation, Some(fired.started[0]));
}

/// Misses five hours and answers how many operations start, one after the other, and how many times were left out.
async fn missed(suite: &Suite, name: &str, policy: MissedPolicy) -> (usize, u64) {
    let next = suite.journal.put_schedule(hourly(suite, name, policy), suite.now()).await.unwrap().unwrap();
    suite.clock.advance(next.since(suite.now()) + HOUR * 4 + Duration::from_secs(600));
    let mut started = 0;
    for _ in 0..10 {
        started += suite.fire().await;
        suite.finish_all().await;
    }
    let record = suite.schedule(name).await;
    assert_eq!(record.next_at, Some(next + HOUR * 5), "it goes on with the next hour");
    suite.journal.remove_schedule(record.spec.name).await.unwrap();
    (started, record.state.missed)
}

pub(super) async fn follows_a_clock_that_is_set_back(suite: Suite) {
    const TEN_YEARS_MS: i64 = 10 * 365 * 24 * 3_600_000;
    let next = suite.journal.put_schedule(hourly(&suite, "hourly", MissedPolicy::Coalesce), suite.now()).await.unwrap();
    let next = next.expect("there is a next hour");
    suite.clock.advance(next.since(suite.now()));
    assert_eq!(suite.fire().await, 1);
    suite.finish_all().await;
    // Twenty minutes back: the hour comes a second time, and is the same.
    suite.clock.jump(-20 * 60_000);
    assert_eq!(suite.fire().await, 0);
    suite.clock.advance(Duration::from_secs(20 * 60));
    assert_eq!(suite.fire().await, 0, "an hour starts once");
    // Ten years ahead all that was missed is made up for once; back again the next hour counts, not that in ten years.
    suite.clock.jump(TEN_YEARS_MS);
    assert_eq!(suite.fire().await, 1);
    suite.clock.jump(-TEN_YEARS_MS);
    assert_eq!(suite.fire().await, 0);
    assert_eq!(suite.schedule("hourly").await.next_at, Some(next + HOUR));
    suite.finish_all().await;
    suite.clock.advance(HOUR);
    assert_eq!(suite.fire().await, 1);
    assert_eq!(suite.schedule("hourly").await.state.fired, 3);
}

pub(super) async fn makes_up_for_missed_times_as_told(suite: Suite) {
    assert_eq!(missed(&suite, "skip", MissedPolicy::Skip).await, (0, 5));
    assert_eq!(missed(&suite, "coalesce", MissedPolicy::Coalesce).await, (1, 4));
    assert_eq!(missed(&suite, "catch-up", MissedPolicy::CatchUp).await, (3, 2), "three at the most, as it says");
}

pub(super) async fn waits_for_the_operation_before(suite: Suite) {
    for (name, policy, after) in
        [("skip", MissedPolicy::Skip, 0), ("coalesce", MissedPolicy::Coalesce, 1), ("each", MissedPolicy::CatchUp, 1)]
    {
        let next = suite.journal.put_schedule(hourly(&suite, name, policy), suite.now()).await.unwrap().unwrap();
        suite.clock.advance(next.since(suite.now()));
        assert_eq!(suite.fire().await, 1);
        suite.clock.advance(HOUR);
        assert_eq!(suite.fire().await, 0, "the operation before is not finished");
        let problem = suite.schedule(name).await.state.problem.unwrap();
        assert!(problem.contains("unfinished operation"), "{problem}");
        suite.finish_all().await;
        assert_eq!(suite.fire().await, after, "{name}");
        suite.finish_all().await;
        suite.journal.remove_schedule(name.parse().unwrap()).await.unwrap();
    }
}

pub(super) async fn is_stopped_and_removed(suite: Suite) {
    let spec = hourly(&suite, "nightly", MissedPolicy::CatchUp);
    let next = suite.journal.put_schedule(spec.clone(), suite.now()).await.unwrap().unwrap();
    suite.journal.pause_schedule(spec.name.clone(), true, suite.now()).await.unwrap();
    suite.clock.advance(next.since(suite.now()) + HOUR * 3);
    assert_eq!(suite.fire().await, 0);
    suite.journal.pause_schedule(spec.name.clone(), false, suite.now()).await.unwrap();
    assert_eq!(suite.fire().await, 0, "what passed meanwhile is not made up for");
    assert!(suite.schedule("nightly").await.next_at.unwrap() > suite.now());
    suite.journal.remove_schedule(spec.name.clone()).await.unwrap();
    assert!(suite.journal.schedules().await.unwrap().is_empty());
    for refused in [
        suite.journal.remove_schedule(spec.name.clone()).await,
        suite.journal.pause_schedule(spec.name.clone(), true, suite.now()).await,
    ] {
        assert!(matches!(refused, Err(JournalError::Schedule { .. })), "{refused:?}");
    }
    assert!(suite.journal.operations(OperationQuery { limit: 10, ..Default::default() }).await.unwrap().is_empty());
}

pub(super) async fn refuses_what_would_not_work(suite: Suite) {
    let good = hourly(&suite, "nightly", MissedPolicy::Skip);
    let never = ScheduleSpec { at: Timetable::new("0 0 30 2 *", "UTC").unwrap(), ..good.clone() };
    let many = ScheduleSpec { catch_up_max: 1_000_000, ..good.clone() };
    let mut empty = good.clone();
    empty.operation.jobs[0].max_attempts = 0;
    for wrong in [never, many, empty] {
        let refused = suite.journal.put_schedule(wrong, suite.now()).await;
        assert!(matches!(refused, Err(JournalError::Schedule { .. })), "{refused:?}");
    }
    suite.journal.put_schedule(good, suite.now()).await.unwrap();
    let fired = suite.journal.fire_schedules(suite.ids.clone(), suite.now()).await.unwrap();
    assert!(fired.next_at.is_some_and(|next| next > suite.now() && next <= UnixMs(suite.now().0 + 3_600_000)));
}
