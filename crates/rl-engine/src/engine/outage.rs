//! Times in which the journal cannot be reached: it is tried again with growing random waits.
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{Engine, backoff};
use crate::journal::JournalError;

/// First wait before a journal that cannot be reached is tried again; doubles up to [`REACH_MAX`].
const REACH_FIRST: Duration = Duration::from_millis(100);
/// Longest such wait: work goes on soon after the journal is back.
const REACH_MAX: Duration = Duration::from_secs(3);

/// A time in which the journal cannot be reached.
#[derive(Debug, Default)]
pub(super) struct Outage {
    failures: u32,
}

impl Outage {
    pub(super) fn is_on(&self) -> bool {
        self.failures > 0
    }

    /// Notes a failure; answers how long to wait before the next try.
    pub(super) fn again(&mut self, engine: &Engine, error: &JournalError) -> Duration {
        if self.failures == 0 {
            engine.stats.outages.fetch_add(1, Ordering::Relaxed);
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "the journal cannot be reached; no call is started once the lease is over");
        }
        self.failures = self.failures.saturating_add(1);
        engine.stats.failed_tries.fetch_add(1, Ordering::Relaxed);
        let mut rng = StdRng::seed_from_u64(engine.ids.random());
        backoff::wait(REACH_FIRST, self.failures, REACH_FIRST, REACH_MAX, &mut rng)
    }

    pub(super) fn end(&mut self) {
        if std::mem::take(&mut self.failures) > 0 {
            tracing::info!("the journal can be reached again");
        }
    }
}
