//! What an engine does beside its jobs: starts schedules that are due, and deletes what is old. A task of its own, so that a slow
//! store holds up no job.
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Engine, EngineConfig};
use crate::id::Ids;
use crate::journal::{Journal, JournalError, Signal};
use crate::time::{Clock, UnixMs, millis};

/// Longest time between looks at the schedules: changes made through other servers are noticed after this at the latest.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Shortest time between looks, so that a schedule that cannot start does not keep the store busy.
const LOOK_REST: Duration = Duration::from_millis(100);
/// Time between rounds of deleting.
const DELETE_EVERY: Duration = Duration::from_secs(600);
/// Most operations deleted in one transaction.
const DELETE_CHUNK: usize = 500;
/// Rest between transactions of one round, in which others write.
const DELETE_REST: Duration = Duration::from_secs(1);

struct Chores {
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    ids: Ids,
    config: Arc<EngineConfig>,
    /// Steady times.
    look_at: Duration,
    delete_at: Duration,
}

/// Starts the chores; they end when the set is dropped.
pub(super) fn start(engine: &Engine) -> JoinSet<()> {
    let steady = engine.clock.steady();
    let chores = Chores {
        journal: Arc::clone(&engine.journal),
        clock: Arc::clone(&engine.clock),
        ids: engine.ids.clone(),
        config: Arc::clone(&engine.config),
        look_at: steady,
        delete_at: steady + DELETE_REST,
    };
    let mut set = JoinSet::new();
    set.spawn(chores.run());
    set
}

impl Chores {
    async fn run(mut self) {
        let mut signal = self.journal.subscribe();
        let mut seen = signal.borrow_and_update().schedules;
        loop {
            let steady = self.clock.steady();
            if steady >= self.look_at {
                self.look().await;
            }
            if steady >= self.delete_at {
                self.delete().await;
            }
            let next = self.look_at.min(self.delete_at).saturating_sub(self.clock.steady());
            tokio::select! {
                biased;
                changed = schedules_changed(&mut signal, seen) => match changed {
                    Some(now) => {
                        seen = now;
                        self.look_at = Duration::ZERO;
                    }
                    None => return,
                },
                () = self.clock.sleep(next.max(LOOK_REST)) => {}
            }
        }
    }

    async fn look(&mut self) {
        let now = self.clock.now();
        let wait = match self.journal.fire_schedules(self.ids.clone(), now).await {
            Ok(fired) => {
                if !fired.started.is_empty() {
                    tracing::info!(operations = fired.started.len(), "schedules were due");
                }
                fired.next_at.map_or(LOOK_EVERY, |next| next.since(now))
            }
            Err(error) => {
                warn("starting schedules", &error);
                LOOK_EVERY
            }
        };
        self.look_at = self.clock.steady() + wait.min(LOOK_EVERY);
    }

    /// Deletes one chunk of what is too old; the next soon, if there is more.
    async fn delete(&mut self) {
        let rest = match self.config.retention {
            None => DELETE_EVERY,
            Some(retention) => {
                let now = self.clock.now();
                let before = UnixMs(now.0.saturating_sub(millis(retention)));
                match self.journal.prune(before, DELETE_CHUNK, now).await {
                    Ok(DELETE_CHUNK) => DELETE_REST,
                    Ok(_) => DELETE_EVERY,
                    Err(error) => {
                        warn("deleting old operations", &error);
                        DELETE_EVERY
                    }
                }
            }
        };
        self.delete_at = self.clock.steady() + rest;
    }
}

fn warn(doing: &str, error: &JournalError) {
    tracing::warn!(error = error as &dyn std::error::Error, doing, "a chore of the engine failed; it is tried again");
}

/// Waits until a schedule was changed; `None` when the journal is gone.
async fn schedules_changed(signal: &mut watch::Receiver<Signal>, seen: u64) -> Option<u64> {
    loop {
        signal.changed().await.ok()?;
        let now = signal.borrow_and_update().schedules;
        if now != seen {
            return Some(now);
        }
    }
}
