//! The site's clock: real seconds for what a person reads, scaled seconds for how long operations take.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Model seconds pass `scale` times faster than real ones; the wall clock only moves by `skew`.
#[derive(Debug)]
pub(crate) struct Clock {
    scale: f64,
    booted: Instant,
    booted_epoch: f64,
    skew: AtomicI64,
}

impl Clock {
    /// A clock whose operations run `scale` times faster than on a real node. It shows `epoch` (time since 1970) now, or
    /// the machine's time.
    pub(crate) fn new(scale: f64, epoch: Option<Duration>) -> Self {
        let epoch = epoch.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        Self {
            scale: scale.max(0.001),
            booted: Instant::now(),
            booted_epoch: epoch.as_secs_f64(),
            skew: AtomicI64::new(0),
        }
    }

    /// Seconds since 1970, as the nodes see them.
    pub(crate) fn now(&self) -> i64 {
        self.now_precise().floor() as i64
    }

    /// Seconds since 1970 with their fraction.
    pub(crate) fn now_precise(&self) -> f64 {
        self.booted_epoch + self.booted.elapsed().as_secs_f64() + self.skew.load(Ordering::Relaxed) as f64
    }

    /// Real time since the site started.
    pub(crate) fn uptime(&self) -> Duration {
        self.booted.elapsed()
    }

    /// How many times faster than a real node the operations run.
    pub(crate) fn scale(&self) -> f64 {
        self.scale
    }

    /// Moves the wall clock by so many seconds, back when negative.
    pub(crate) fn shift(&self, seconds: i64) {
        self.skew.fetch_add(seconds, Ordering::Relaxed);
    }

    /// The real time that so much model time takes.
    pub(crate) fn real(&self, model: Duration) -> Duration {
        model.div_f64(self.scale)
    }

    /// Sleeps for so much model time.
    pub(crate) async fn sleep(&self, model: Duration) {
        tokio::time::sleep(self.real(model)).await;
    }
}
