//! How long to wait before the next attempt: capped exponential back-off with full jitter.
use std::time::Duration;

use rand::Rng;

use crate::journal::WAIT_MAX;

/// The wait after the `failures`-th failed attempt: at least `after`, plus a random part of a span that doubles with every
/// failure from `base` up to `cap`. Random over the whole span, so that jobs that failed together do not come back together.
pub(crate) fn wait(after: Duration, failures: u32, base: Duration, cap: Duration, rng: &mut impl Rng) -> Duration {
    let doubled = base.saturating_mul(1u32.checked_shl(failures.min(31)).unwrap_or(u32::MAX));
    let span = doubled.min(cap);
    let jitter = span.mul_f64(rng.random::<f64>());
    after.saturating_add(jitter).min(WAIT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;

    proptest! {
        /// The wait is never shorter than asked, never longer than the cap allows, and never beyond the store's limit.
        #[test]
        fn stays_in_its_bounds(after_ms in 0u64..10_000_000, failures in 0u32..10_000, seed: u64) {
            let (base, cap) = (Duration::from_millis(500), Duration::from_secs(60));
            let after = Duration::from_millis(after_ms);
            let waited = wait(after, failures, base, cap, &mut rand::rngs::StdRng::seed_from_u64(seed));
            prop_assert!(waited >= after.min(WAIT_MAX));
            prop_assert!(waited <= (after + cap).min(WAIT_MAX));
        }
    }

    /// Jobs that failed together come back spread over the whole span, not at its end: full jitter.
    #[test]
    fn waits_are_spread_over_the_whole_span() {
        let (base, cap) = (Duration::from_secs(1), Duration::from_secs(64));
        for (failures, span) in [(0, 1), (1, 2), (3, 8), (6, 64), (20, 64)] {
            let mut rng = rand::rngs::StdRng::seed_from_u64(7);
            let mut tenths = [0u32; 10];
            for _ in 0..10_000 {
                let part = wait(Duration::ZERO, failures, base, cap, &mut rng).as_secs_f64() / f64::from(span);
                tenths[(part * 10.0).min(9.0) as usize] += 1;
            }
            assert!(tenths.iter().all(|count| (800..1_200).contains(count)), "after {failures} failures: {tenths:?}");
        }
    }
}
