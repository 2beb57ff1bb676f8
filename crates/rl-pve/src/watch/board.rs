//! Who waits for which task, and when it is looked at next.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use rl_model::{NodeName, Upid};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::TaskEnd;
use super::estimate::{Ended, Estimates};
use crate::PveError;
use crate::client::Pace;

type End = Result<TaskEnd, PveError>;

/// Share of the estimate by which a look may be late so that it serves several tasks.
const SLACK_SHARE: u32 = 14;
/// A task that was not done when it was expected is looked at again after this share of its age, so that the end is
/// noticed late by no more than that share.
const RETRY_SHARE: u32 = 14;

/// All tasks that are followed on a site.
pub(super) struct Board {
    pace: Pace,
    nodes: HashMap<NodeName, NodeBoard>,
    estimates: Estimates,
}

struct NodeBoard {
    /// In the order of their ids, so that what is asked one by one is asked in the same order every time.
    tasks: BTreeMap<Upid, Followed>,
    wake: Arc<Notify>,
    failing_since: Option<Instant>,
}

struct Followed {
    waiters: Vec<oneshot::Sender<End>>,
    since: Instant,
    due: Instant,
    slack: Duration,
    ran_at: Option<Duration>,
    earlier: bool,
}

/// A task as a look sees it.
pub(super) struct Task {
    pub(super) upid: Upid,
    /// Since it was started, or since we began to follow it.
    pub(super) age: Duration,
    pub(super) due: bool,
}

impl Board {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, nodes: HashMap::new(), estimates: Estimates::new(pace) }
    }

    /// Adds a follower; `true` when the node needs a watcher. `None` when there are too many already.
    pub(super) fn join(&mut self, upid: &Upid, earlier: bool, max: usize) -> Option<(oneshot::Receiver<End>, bool)> {
        let first = !self.nodes.contains_key(upid.node());
        let expected = self.estimates.of(upid.kind());
        let board = self.nodes.entry(upid.node().clone()).or_insert_with(|| NodeBoard {
            tasks: BTreeMap::new(),
            wake: Arc::new(Notify::new()),
            failing_since: None,
        });
        if board.tasks.len() >= max && !board.tasks.contains_key(upid) {
            return None;
        }
        let now = Instant::now();
        let task = board.tasks.entry(upid.clone()).or_insert_with(|| Followed {
            waiters: Vec::new(),
            since: now,
            due: if earlier { now } else { now + expected },
            slack: expected / SLACK_SHARE,
            ran_at: None,
            earlier,
        });
        let (sender, receiver) = oneshot::channel();
        task.waiters.push(sender);
        board.wake.notify_one();
        Some((receiver, first))
    }

    /// When to look at a node next. `None` when nobody follows a task there any more; the node is then off the board.
    pub(super) fn next_look(&mut self, node: &NodeName) -> Option<(Instant, Arc<Notify>)> {
        let board = self.nodes.get_mut(node)?;
        board.tasks.retain(|_, task| {
            task.waiters.retain(|waiter| !waiter.is_closed());
            !task.waiters.is_empty()
        });
        let next = board.tasks.values().map(|task| task.due + task.slack).min();
        let wake = board.wake.clone();
        if next.is_none() {
            self.nodes.remove(node);
        }
        next.map(|next| (next, wake))
    }

    pub(super) fn remove_node(&mut self, node: &NodeName) {
        self.nodes.remove(node);
    }

    /// The tasks of a node as they stand.
    pub(super) fn tasks(&self, node: &NodeName) -> Vec<Task> {
        let now = Instant::now();
        let Some(board) = self.nodes.get(node) else { return Vec::new() };
        let seen =
            |(upid, task): (&Upid, &Followed)| Task { upid: upid.clone(), age: now - task.since, due: task.due <= now };
        board.tasks.iter().map(seen).collect()
    }

    /// A look found the task still running.
    pub(super) fn still_runs(&mut self, upid: &Upid, tick_min: Duration, tick_max: Duration) {
        let Some(task) = self.nodes.get_mut(upid.node()).and_then(|board| board.tasks.get_mut(upid)) else { return };
        let now = Instant::now();
        let age = now - task.since;
        task.ran_at = Some(age);
        if task.due <= now {
            let pause = (age / RETRY_SHARE).clamp(tick_min, tick_max.max(tick_min));
            task.due = now + pause;
            task.slack = pause / SLACK_SHARE;
        }
    }

    /// A task is done, or can no longer be followed: everyone who waits hears of it.
    pub(super) fn finish(&mut self, upid: &Upid, end: &End, took: Option<Duration>) {
        let Some(task) = self.nodes.get_mut(upid.node()).and_then(|board| board.tasks.remove(upid)) else { return };
        if end.is_ok() && !task.earlier {
            let ended = Ended { ran_at: task.ran_at, seen_at: task.since.elapsed(), took };
            self.estimates.learn(upid.kind(), &ended);
        }
        for waiter in task.waiters {
            // A waiter that is gone has no use for the end.
            let _ = waiter.send(end.clone());
        }
    }

    /// The node answered.
    pub(super) fn answered(&mut self, node: &NodeName) {
        if let Some(board) = self.nodes.get_mut(node) {
            board.failing_since = None;
        }
    }

    /// The node did not answer: puts its tasks off. Gives up after `patience`, and then everyone hears the error.
    pub(super) fn failing(&mut self, node: &NodeName, error: &PveError, pause: Duration, patience: Duration) {
        let Some(board) = self.nodes.get_mut(node) else { return };
        let now = Instant::now();
        let since = *board.failing_since.get_or_insert(now);
        if now - since < patience {
            for task in board.tasks.values_mut() {
                task.due = task.due.max(now + pause);
            }
            return;
        }
        self.fail_all(node, error);
    }

    /// Nothing can be learnt from the node: everyone hears why.
    pub(super) fn fail_all(&mut self, node: &NodeName, error: &PveError) {
        let upids: Vec<Upid> = self.tasks(node).into_iter().map(|task| task.upid).collect();
        for upid in upids {
            self.finish(&upid, &Err(error.clone()), None);
        }
    }

    pub(super) fn pace(&self) -> Pace {
        self.pace
    }
}
