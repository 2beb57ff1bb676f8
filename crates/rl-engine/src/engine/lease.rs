//! The lease of an engine run as the run itself knows it: self-fencing by the steady clock.
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::step::StepError;
use crate::time::millis;

/// How long to wait for a heartbeat when the lease is too short for a call.
const BEAT_WAIT: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct Lease {
    ttl: Duration,
    acknowledged_ms: AtomicU64,
    lost: AtomicBool,
}

impl Lease {
    /// A lease whose registration was sent at `steady`.
    pub(crate) fn new(ttl: Duration, steady: Duration) -> Self {
        Self { ttl, acknowledged_ms: AtomicU64::new(millis(steady)), lost: AtomicBool::new(false) }
    }

    /// A heartbeat sent at `sent` was acknowledged: the lease lasts from the sending, not from the answer.
    pub(crate) fn acknowledge(&self, sent: Duration) {
        self.acknowledged_ms.fetch_max(millis(sent), Ordering::SeqCst);
    }

    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::SeqCst);
    }

    /// Whether a call of at most `timeout` may start now.
    pub(crate) fn may_call(&self, steady: Duration, timeout: Duration) -> Result<(), StepError> {
        let end = Duration::from_millis(self.acknowledged_ms.load(Ordering::SeqCst)) + self.ttl;
        if self.lost.load(Ordering::SeqCst) || steady >= end {
            return Err(StepError::LeaseLost);
        }
        if timeout > self.ttl {
            let reason =
                format!("a call may take {timeout:?}, longer than any lease ({:?}); raise the lease time", self.ttl);
            return Err(StepError::Fatal { reason });
        }
        if steady + timeout > end {
            return Err(StepError::retry(
                BEAT_WAIT,
                "the lease ends before the call would; waiting for the next heartbeat",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_fit_into_the_lease_or_do_not_start() {
        let second = Duration::from_secs;
        let lease = Lease::new(second(60), second(100));
        assert_eq!(lease.may_call(second(110), second(50)), Ok(()));
        assert!(matches!(lease.may_call(second(110), second(51)), Err(StepError::Retry { .. })));
        assert!(matches!(lease.may_call(second(110), second(61)), Err(StepError::Fatal { .. })));
        assert_eq!(lease.may_call(second(160), Duration::ZERO), Err(StepError::LeaseLost));
        lease.acknowledge(second(150));
        assert_eq!(lease.may_call(second(160), second(50)), Ok(()));
        lease.acknowledge(second(120));
        assert_eq!(lease.may_call(second(160), second(50)), Ok(()), "an answer that comes late takes nothing away");
        lease.lose();
        assert_eq!(lease.may_call(second(160), Duration::ZERO), Err(StepError::LeaseLost));
    }
}
