//! What can happen to one run of a server's process: it dies, stands still, or is cut off from its database.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rl_engine::{Clock, SimClock, UnixMs};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// One run of a server.
#[derive(Debug)]
pub(crate) struct Life {
    /// Dies at this point of its journal, counted from 1; never when 0.
    crash_at: AtomicU64,
    /// Stands still from this point on, until somebody lets it go on; never when 0.
    halt_at: AtomicU64,
    halted: Notify,
    passed: AtomicU64,
    died: CancellationToken,
    state: Mutex<State>,
    /// Wakes those who wait in the order in which they began to; a watch channel would not.
    changed: Notify,
}

/// What a server cannot do at the moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// It stands still altogether, as after SIGSTOP.
    pub(crate) stopped: bool,
    /// It cannot reach the database.
    pub(crate) no_database: bool,
    /// It cannot reach the sites.
    pub(crate) no_sites: bool,
}

impl Life {
    pub(crate) fn new(crash_at: u64, halt_at: u64) -> Arc<Self> {
        Arc::new(Self {
            halt_at: AtomicU64::new(halt_at),
            halted: Notify::new(),
            crash_at: AtomicU64::new(crash_at),
            passed: AtomicU64::new(0),
            died: CancellationToken::new(),
            state: Mutex::default(),
            changed: Notify::new(),
        })
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_waiters();
    }

    /// Nothing goes wrong with it any more.
    pub(crate) fn mend(&self) {
        self.crash_at.store(0, Ordering::SeqCst);
        self.halt_at.store(0, Ordering::SeqCst);
        self.change(|state| *state = State::default());
    }

    pub(crate) fn state(&self) -> State {
        *self.state.lock().unwrap()
    }

    /// It dies now; whatever of it is left does nothing any more.
    pub(crate) fn die(&self) {
        self.died.cancel();
    }

    /// Ends when it stands still at the point it was made for.
    pub(crate) async fn halted(&self) {
        self.halted.notified().await;
    }

    /// Ends when it has died.
    pub(crate) async fn died(&self) {
        self.died.cancelled().await;
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.died.is_cancelled()
    }

    /// Something on the way to the database: there are two around each write, before it is made and after it is on disk.
    pub(crate) async fn point(&self) {
        let at = self.passed.fetch_add(1, Ordering::SeqCst) + 1;
        if at == self.crash_at.load(Ordering::SeqCst) {
            self.died.cancel();
        }
        if at == self.halt_at.load(Ordering::SeqCst) {
            self.change(|state| state.stopped = true);
            self.halted.notify_one();
        }
        self.wait(|state| !state.stopped && !state.no_database).await;
    }

    /// Waits until the process may do something; for ever when it is dead.
    pub(crate) async fn wait(&self, mut may: impl FnMut(&State) -> bool) {
        loop {
            let changed = self.changed.notified();
            if may(&self.state()) {
                break;
            }
            changed.await;
        }
        if self.died.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }
}

/// The clock of a server's process: whoever sleeps in a process that stands still wakes when it goes on.
pub(crate) struct ProcessClock {
    pub(crate) clock: SimClock,
    pub(crate) life: Arc<Life>,
}

#[async_trait]
impl Clock for ProcessClock {
    fn now(&self) -> UnixMs {
        self.clock.now()
    }

    fn steady(&self) -> Duration {
        self.clock.steady()
    }

    async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
        self.life.wait(|state| !state.stopped).await;
    }
}
