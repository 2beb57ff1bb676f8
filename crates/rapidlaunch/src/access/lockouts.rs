//! How many lock-outs are written into the audit: strangers cause them, and must not fill a disk that never forgets.
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rl_engine::UnixMs;

/// Most lock-outs that are written within [`WINDOW`]: enough to see who is attacked, and from where.
const TOLD_MAX: u32 = 60;
/// See [`TOLD_MAX`].
const WINDOW: Duration = Duration::from_secs(3600);

/// See the module.
#[derive(Default)]
pub(super) struct Lockouts(Mutex<Window>);

#[derive(Default)]
struct Window {
    since: UnixMs,
    told: u32,
    untold: u64,
}

impl Lockouts {
    /// Whether another may be written: then how many failures were passed over before it.
    pub(super) fn may_tell(&self, now: UnixMs) -> Option<u64> {
        let mut window = self.lock();
        if u128::from(now.0.saturating_sub(window.since.0)) >= WINDOW.as_millis() {
            window.since = now;
            window.told = 0;
        }
        if window.told < TOLD_MAX {
            return Some(window.untold);
        }
        window.untold += 1;
        None
    }

    /// One was written.
    pub(super) fn told(&self) {
        let mut window = self.lock();
        window.told += 1;
        window.untold = 0;
    }

    fn lock(&self) -> MutexGuard<'_, Window> {
        // The numbers are whole after each statement, also where another thread has panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_cause_is_written_so_often_and_no_more() {
        let lockouts = Lockouts::default();
        let hour = |number: u64| UnixMs(1_700_000_000_000 + number * 3_600_000);
        for _ in 0..TOLD_MAX {
            assert_eq!(lockouts.may_tell(hour(0)), Some(0));
            lockouts.told();
        }
        assert_eq!([lockouts.may_tell(hour(0)), lockouts.may_tell(UnixMs(hour(1).0 - 1))], [None, None]);
        assert_eq!(lockouts.may_tell(hour(1)), Some(2), "the next one tells how many there were");
        lockouts.told();
        assert_eq!(lockouts.may_tell(hour(1)), Some(0));
    }
}
