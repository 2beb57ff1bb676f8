//! The lease of an engine run as the run itself knows it: self-fencing by the steady clock.
//!
//! Whoever takes a job over acts on it only when no call of its old holder can still be under way. So a call either ends before the
//! lease does, or is announced on disk first: the new holder finds the announcement, and waits out the longest call after the end of
//! the lease before it calls anything.
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::step::StepError;
use crate::time::millis;

/// How long to wait for a heartbeat when the lease is too short for a call.
const BEAT_WAIT: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct Lease {
    /// Time after the sending of an acknowledged heartbeat in which calls may start.
    good_for: Duration,
    acknowledged_ms: AtomicU64,
    lost: AtomicBool,
}

impl Lease {
    /// A lease whose registration was sent at `steady`. No call starts later than two thirds of `ttl` after an acknowledged heartbeat:
    /// the rest is for clocks that run at different speeds and for the way of the call.
    pub(crate) fn new(ttl: Duration, steady: Duration) -> Self {
        Self { good_for: ttl * 2 / 3, acknowledged_ms: AtomicU64::new(millis(steady)), lost: AtomicBool::new(false) }
    }

    /// A heartbeat sent at `sent` was acknowledged: the lease lasts from the sending, not from the answer.
    pub(crate) fn acknowledge(&self, sent: Duration) {
        self.acknowledged_ms.fetch_max(millis(sent), Ordering::SeqCst);
    }

    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::SeqCst);
    }

    /// Whether the right to act is over, for good or until the next heartbeat.
    pub(crate) fn is_over(&self, steady: Duration) -> bool {
        self.lost.load(Ordering::SeqCst) || steady >= self.end()
    }

    fn end(&self) -> Duration {
        Duration::from_millis(self.acknowledged_ms.load(Ordering::SeqCst)) + self.good_for
    }

    /// Whether a call of at most `timeout` may start now. An announced one may outlast the lease, but not `announced`, the time that a
    /// new holder waits.
    pub(crate) fn may_call(
        &self,
        steady: Duration,
        timeout: Duration,
        announced: Option<Duration>,
    ) -> Result<(), StepError> {
        if self.is_over(steady) {
            return Err(StepError::LeaseLost);
        }
        if steady + timeout <= self.end() {
            return Ok(());
        }
        match announced {
            Some(longest) if timeout <= longest => Ok(()),
            Some(longest) => Err(StepError::Fatal {
                reason: format!(
                    "a call may take {timeout:?}, longer than a new holder waits ({longest:?}); raise that time"
                ),
            }),
            None if timeout > self.good_for => Err(StepError::Fatal {
                reason: format!("a call may take {timeout:?}, longer than any lease; it must be announced first"),
            }),
            None => {
                Err(StepError::retry(BEAT_WAIT, "the lease ends before the call would; waiting for the next heartbeat"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn second(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn calls_fit_into_the_lease_or_do_not_start() {
        let lease = Lease::new(second(90), second(100));
        assert_eq!(lease.may_call(second(110), second(50), None), Ok(()));
        assert!(matches!(lease.may_call(second(110), second(51), None), Err(StepError::Retry { .. })));
        assert!(matches!(lease.may_call(second(110), second(61), None), Err(StepError::Fatal { .. })));
        assert_eq!(lease.may_call(second(160), Duration::ZERO, None), Err(StepError::LeaseLost), "two thirds of 90 s");
        lease.acknowledge(second(150));
        assert_eq!(lease.may_call(second(160), second(50), None), Ok(()));
        lease.acknowledge(second(120));
        assert_eq!(
            lease.may_call(second(160), second(50), None),
            Ok(()),
            "an answer that comes late takes nothing away"
        );
        lease.lose();
        assert_eq!(lease.may_call(second(160), Duration::ZERO, None), Err(StepError::LeaseLost));
    }

    #[test]
    fn announced_calls_may_outlast_the_lease_but_not_the_wait_of_the_next_holder() {
        let lease = Lease::new(second(15), second(100));
        let announced = Some(second(180));
        assert_eq!(lease.may_call(second(109), second(150), announced), Ok(()));
        assert!(matches!(lease.may_call(second(109), second(181), announced), Err(StepError::Fatal { .. })));
        assert_eq!(lease.may_call(second(110), second(1), announced), Err(StepError::LeaseLost), "none starts late");
    }
}
