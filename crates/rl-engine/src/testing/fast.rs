//! A clock that runs faster than the world's.
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::time::{Clock, UnixMs};

/// The machine's clock, sped up: a step that waits a second waits a thousandth of one at factor 1000.
#[derive(Debug, Clone)]
pub struct FastClock {
    start: UnixMs,
    origin: Instant,
    factor: u32,
}

impl FastClock {
    /// A clock that starts at `start` and runs `factor` times as fast as the machine's (at least once as fast).
    pub fn new(start: UnixMs, factor: u32) -> Self {
        Self { start, origin: Instant::now(), factor: factor.max(1) }
    }
}

#[async_trait]
impl Clock for FastClock {
    fn now(&self) -> UnixMs {
        self.start + self.steady()
    }

    fn steady(&self) -> Duration {
        self.origin.elapsed().saturating_mul(self.factor)
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration / self.factor).await;
    }
}
