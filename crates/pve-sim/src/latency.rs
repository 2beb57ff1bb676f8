//! How long a real node takes for each operation, with a spread drawn from the seed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// An operation that takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Unpack a template into a new volume.
    Unpack,
    Start,
    Shutdown,
    Stop,
    Destroy,
    Resize,
    Snapshot,
    Migrate,
    /// Copy so many bytes.
    Copy(u64),
    /// Turn a container into a template.
    Convert,
    Backup,
    /// Anything that is quick but not instant.
    Small,
}

/// The middle of the spread for each operation, from watching small containers on ordinary SSDs.
pub(crate) fn typical(work: Work) -> Duration {
    let seconds = match work {
        Work::Unpack => 6.0,
        Work::Start => 2.0,
        Work::Shutdown => 3.0,
        Work::Stop => 1.0,
        Work::Destroy => 1.5,
        Work::Resize | Work::Snapshot => 1.0,
        Work::Migrate => 8.0,
        Work::Copy(bytes) => 2.0 + 4.0 * bytes as f64 / f64::from(1 << 30),
        Work::Convert => 1.0,
        Work::Backup => 15.0,
        Work::Small => 0.2,
    };
    Duration::from_secs_f64(seconds)
}

/// Draws durations around the typical one, 15 % either way.
#[derive(Debug)]
pub(crate) struct Draws(Mutex<SmallRng>);

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(SmallRng::seed_from_u64(seed)))
    }

    pub(crate) fn duration(&self, work: Work) -> Duration {
        const SPREAD: f64 = 0.15;
        typical(work).mul_f64(1.0 + self.between(-SPREAD, SPREAD))
    }

    pub(crate) fn between(&self, low: f64, high: f64) -> f64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random_range(low..high)
    }

    pub(crate) fn number(&self) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random()
    }
}
