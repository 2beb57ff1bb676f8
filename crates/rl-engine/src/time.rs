//! Time handed in: the wall clock for what people read, the steady clock for leases, and sleep.
use std::ops::Add;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// A moment of the wall clock, in milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMs(pub u64);

impl UnixMs {
    /// The time from `earlier` to this moment; zero when `earlier` is later.
    pub fn since(self, earlier: UnixMs) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for UnixMs {
    type Output = UnixMs;
    fn add(self, by: Duration) -> UnixMs {
        UnixMs(self.0.saturating_add(millis(by)))
    }
}

/// A duration in whole milliseconds, capped at what 64 bits hold.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The source of time of an engine. Everything that waits or dates goes through it, so that a test can hand in its own.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// The wall clock. It may jump; nothing that guards a lease reads it.
    fn now(&self) -> UnixMs;

    /// Time since some fixed moment of this process. It never jumps and never goes back.
    fn steady(&self) -> Duration;

    /// Waits for at least `duration` of the steady clock.
    async fn sleep(&self, duration: Duration);
}

/// The machine's clock.
#[derive(Debug, Clone)]
pub struct SystemClock {
    origin: std::time::Instant,
}

impl SystemClock {
    /// The machine's clock, its steady part counted from now.
    pub fn new() -> Self {
        Self { origin: std::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> UnixMs {
        UnixMs(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis))
    }

    fn steady(&self) -> Duration {
        self.origin.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
