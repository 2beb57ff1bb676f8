//! The end of a run: calls under way may end, everything else is given back.
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Run;
use crate::journal::{Finish, JournalError};

/// How long the drain waits for jobs that have no call under way: they look at things, or wait for their turn.
const DRAIN_QUIET: Duration = Duration::from_secs(1);
/// How often the drain looks whether the rest only follows tasks.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

impl Run<'_> {
    /// Calls under way are worth waiting for; at first also jobs that may be about to record something.
    fn worth_waiting(&self, at_first: bool) -> bool {
        self.held.values().any(|job| job.is_calling() || (at_first && !job.is_following()))
    }

    /// Lets calls under way end, gives everything else back.
    pub(super) async fn drain(mut self) -> Result<(), JournalError> {
        let end = self.engine.clock.steady() + self.engine.config.drain;
        let clock = Arc::clone(&self.engine.clock);
        let quiet = clock.steady() + DRAIN_QUIET.min(self.engine.config.drain);
        while clock.steady() < end && self.worth_waiting(clock.steady() < quiet) {
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next() => self.ended(ended).await?,
                () = clock.sleep(DRAIN_LOOK) => {}
            }
        }
        self.tasks.shutdown().await;
        // Nothing of this run holds the journal any more when it has ended.
        self.chores.shutdown().await;
        self.engine.stats.running.store(0, Ordering::Relaxed);
        for (id, job) in std::mem::take(&mut self.held) {
            self.engine.progress.clear(id);
            self.let_go(job.holder, Finish::Release).await?;
        }
        match self.engine.journal.unregister(self.owner, clock.now()).await {
            // Nobody knows that this engine has ended, so its jobs are taken over when its lease has run out.
            Err(error) if error.is_unavailable() => Ok(()),
            ended => ended,
        }
    }
}
