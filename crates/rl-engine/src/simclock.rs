//! A clock for tests: stands still until told, or runs ahead whenever nothing else can.
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::time::{Clock, UnixMs, millis};

/// A simulated clock. Clones share the same time.
#[derive(Debug, Clone)]
pub struct SimClock {
    start: UnixMs,
    jump_ms: Arc<AtomicI64>,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    /// Time moves only by [`SimClock::advance`].
    Manual(watch::Sender<Duration>),
    /// Time is tokio's own, which a paused runtime moves on whenever every task waits.
    Tokio(tokio::time::Instant),
}

impl SimClock {
    /// A clock that stands at `start` until [`SimClock::advance`] moves it.
    pub fn manual(start: UnixMs) -> Self {
        Self { start, jump_ms: Arc::default(), source: Source::Manual(watch::Sender::new(Duration::ZERO)) }
    }

    /// A clock that follows tokio's time from `start`. In a runtime started with `start_paused` it runs ahead to the next
    /// timer whenever every task waits, so that hours pass in no time and always in the same order.
    pub fn auto(start: UnixMs) -> Self {
        Self { start, jump_ms: Arc::default(), source: Source::Tokio(tokio::time::Instant::now()) }
    }

    /// Moves a manual clock on and wakes who slept until then. An automatic clock is not changed.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(elapsed) = &self.source {
            elapsed.send_modify(|now| *now += by);
        }
    }

    /// Lets the wall clock jump by `by_ms` (forward or back); the steady clock does not notice.
    pub fn jump(&self, by_ms: i64) {
        self.jump_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> UnixMs {
        let wall = self.start.0.saturating_add(millis(self.steady()));
        UnixMs(wall.saturating_add_signed(self.jump_ms.load(Ordering::SeqCst)))
    }

    fn steady(&self) -> Duration {
        match &self.source {
            Source::Manual(elapsed) => *elapsed.borrow(),
            Source::Tokio(origin) => origin.elapsed(),
        }
    }

    async fn sleep(&self, duration: Duration) {
        match &self.source {
            Source::Tokio(_) => tokio::time::sleep(duration).await,
            Source::Manual(elapsed) => {
                let until = *elapsed.borrow() + duration;
                let mut seen = elapsed.subscribe();
                // The sender lives in this clock, so the wait can only end by time.
                let _ = seen.wait_for(|now| *now >= until).await;
            }
        }
    }
}
