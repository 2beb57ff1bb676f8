//! Follows Proxmox tasks to their end with few requests: one task list per look answers for all tasks of a node, and
//! the first look comes when tasks of this type usually end.

mod board;
mod estimate;
mod look;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rl_model::{NodeName, Upid};
use tokio::time::Instant;

use crate::client::{Pace, Pve};
use crate::{ErrorKind, PveError, api};

use board::Board;

/// Most tasks followed at once on one node: a node keeps the results of about a thousand, so more could be forgotten
/// before they are read.
const FOLLOWED_MAX: usize = 10_000;
/// Times a follower starts anew because the watcher of its node ended under it, as it does when a runtime shuts down.
const RESTARTS_MAX: u32 = 3;

/// How a task ended. `Ok` does not prove its effect: look at the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskEnd {
    /// `OK`.
    Ok,
    /// Done, with this many warnings in its log.
    Warnings(u32),
    /// Failed, with the last line of its log, cut and without control characters; untrusted.
    Failed(String),
    /// Proxmox no longer knows the task: the state of the guest must decide.
    Unknown,
}

impl TaskEnd {
    /// What an exit status means (`PVE::UPID::status_is_error`).
    pub fn of_status(status: &str) -> Self {
        let status = status.trim();
        if status == "OK" {
            return Self::Ok;
        }
        let warnings = status.strip_prefix("WARNINGS: ").and_then(|count| count.trim().parse().ok());
        warnings.map_or_else(|| Self::Failed(crate::error::clean(status, 600)), Self::Warnings)
    }

    /// Whether it was done, with warnings or without.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Ok | Self::Warnings(_))
    }
}

/// The tasks that are followed on one site.
pub(crate) struct TaskWatch {
    board: Arc<Mutex<Board>>,
}

impl TaskWatch {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { board: Arc::new(Mutex::new(Board::new(pace))) }
    }

    /// Waits for the end of a task. All state is Proxmox's, so nothing is lost when the future is dropped.
    pub(crate) async fn follow(&self, pve: &Pve, upid: &Upid, earlier: bool) -> Result<TaskEnd, PveError> {
        let failed = |text: &str| PveError::new(&api::tasks::status(upid).call(), ErrorKind::Busy, text);
        for _ in 0..RESTARTS_MAX {
            let joined = lock(&self.board).join(upid, earlier, FOLLOWED_MAX);
            let Some((end, first)) = joined else { return Err(failed("too many tasks are followed already")) };
            if first {
                tokio::spawn(watch_node(pve.clone(), self.board.clone(), upid.node().clone()));
            }
            if let Ok(end) = end.await {
                return end;
            }
        }
        Err(failed("the task watcher ended"))
    }
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks after one node until nobody follows a task there.
async fn watch_node(pve: Pve, board: Arc<Mutex<Board>>, node: NodeName) {
    let _leave = Leave { board: board.clone(), node: node.clone() };
    let pace = pve.pace();
    let tick_min = pace.local(look::TICK_MIN).max(Duration::from_millis(2));
    let mut last_look = Instant::now() - tick_min;
    loop {
        let Some((next, wake)) = lock(&board).next_look(&node) else { return };
        let at = next.max(last_look + tick_min);
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(at) => {}
            () = wake.notified() => continue,
        }
        last_look = Instant::now();
        look::look(&pve, &board, &node).await;
    }
}

/// Takes the node off the board when its watcher ends, however it ends; followers then start a new one.
struct Leave {
    board: Arc<Mutex<Board>>,
    node: NodeName,
}

impl Drop for Leave {
    fn drop(&mut self) {
        lock(&self.board).remove_node(&self.node);
    }
}

#[cfg(test)]
mod tests;
