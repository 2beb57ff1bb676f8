//! The commits of an open store, counted, and timed for whoever wants to know.
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Is told how long each commit took, in the thread that writes: it may count, and must not wait.
pub type CommitHook = Box<dyn Fn(Duration) + Send + Sync>;

/// See the module.
#[derive(Default)]
pub(crate) struct Commits {
    count: AtomicU64,
    hook: OnceLock<CommitHook>,
}

impl Commits {
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// A commit is on disk.
    pub(crate) fn kept(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// A commit that began then has come to its end.
    pub(crate) fn took(&self, began: Instant) {
        if let Some(hook) = self.hook.get() {
            hook(began.elapsed());
        }
    }

    /// Only the first hook is told.
    pub(crate) fn tell(&self, hook: CommitHook) {
        let _ = self.hook.set(hook);
    }
}
