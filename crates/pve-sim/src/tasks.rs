//! Tasks: what runs in a worker, its log, its end, and the list of them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

/// A node remembers about this many finished tasks (the index is cut at about 50,000 bytes, one old one is kept).
const FINISHED_TASKS: usize = 2_000;
/// Longest log kept per task, in lines; real logs of these operations stay far below.
const LOG_LINES: usize = 2_000;

/// A task; its parts after `user` change while it runs.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) upid: String,
    pub(crate) node: String,
    pub(crate) pid: u32,
    pub(crate) pstart: u32,
    /// Seconds since 1970.
    pub(crate) start: i64,
    pub(crate) kind: String,
    pub(crate) id: String,
    /// `user@realm` or `user@realm!token`.
    pub(crate) user: String,
    /// Asks the worker to stop, as SIGTERM does.
    pub(crate) interrupt: CancellationToken,
    /// Ends the worker at once, as SIGKILL or a dead node does.
    pub(crate) kill: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    log: Vec<String>,
    warnings: u32,
    end: Option<(i64, String)>,
}

impl Task {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn log(&self, line: impl Into<String>) {
        let mut state = self.state();
        if state.log.len() < LOG_LINES {
            state.log.push(line.into());
        }
    }

    pub(crate) fn warn(&self, line: &str) {
        self.log(format!("WARN: {line}"));
        self.state().warnings += 1;
    }

    /// End time and status, once it has ended.
    pub(crate) fn end(&self) -> Option<(i64, String)> {
        self.state().end.clone()
    }

    /// The log as it stands.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.state().log.clone()
    }

    /// Writes the last line and the status. `Err` is the error text; a killed task has no last line.
    fn finish(&self, result: &Result<(), String>, killed: bool, now: i64) -> String {
        let mut state = self.state();
        let status = match result {
            _ if killed => "unexpected status".to_owned(),
            Ok(()) if state.warnings > 0 => format!("WARNINGS: {}", state.warnings),
            Ok(()) => "OK".to_owned(),
            Err(text) => text.replace('\n', " ").trim_end().to_owned(),
        };
        if !killed {
            let line = match result {
                Ok(()) => format!("TASK {status}"),
                Err(text) => format!("TASK ERROR: {}", text.trim_end()),
            };
            state.log.push(line);
        }
        state.end = Some((now, status.clone()));
        status
    }
}

/// The tasks of all nodes.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    by_upid: HashMap<String, Arc<Task>>,
    nodes: HashMap<String, NodeTasks>,
    last_pid: u32,
}

#[derive(Debug, Default)]
struct NodeTasks {
    /// Newest last.
    active: Vec<Arc<Task>>,
    /// Newest first.
    finished: VecDeque<Arc<Task>>,
}

impl Tasks {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process id nobody has.
    pub(crate) fn next_pid(&self) -> u32 {
        let mut inner = self.inner();
        inner.last_pid = inner.last_pid.max(1_000) + 1;
        inner.last_pid
    }

    /// Registers a new task. `jiffies` is the node's uptime in hundredths of a second.
    pub(crate) fn begin(&self, node: &str, kind: &str, id: &str, user: &str, now: i64, jiffies: u32) -> Arc<Task> {
        let pid = self.next_pid();
        let upid = format!("UPID:{node}:{pid:08X}:{jiffies:08X}:{now:08X}:{kind}:{id}:{user}:");
        let task = Arc::new(Task {
            upid: upid.clone(),
            node: node.to_owned(),
            pid,
            pstart: jiffies,
            start: now,
            kind: kind.to_owned(),
            id: id.to_owned(),
            user: user.to_owned(),
            interrupt: CancellationToken::new(),
            kill: CancellationToken::new(),
            state: Mutex::default(),
        });
        let mut inner = self.inner();
        inner.by_upid.insert(upid, task.clone());
        inner.nodes.entry(node.to_owned()).or_default().active.push(task.clone());
        task
    }

    /// Ends a task: writes its status and moves it to the finished ones.
    pub(crate) fn finish(&self, task: &Arc<Task>, result: &Result<(), String>, killed: bool, now: i64) -> String {
        let status = task.finish(result, killed, now);
        let mut inner = self.inner();
        let node = inner.nodes.entry(task.node.clone()).or_default();
        node.active.retain(|t| t.upid != task.upid);
        node.finished.push_front(task.clone());
        let forgotten = if node.finished.len() > FINISHED_TASKS { node.finished.pop_back() } else { None };
        if let Some(old) = forgotten {
            inner.by_upid.remove(&old.upid);
        }
        status
    }

    /// Takes a finished task off its node's index.
    pub(crate) fn forget(&self, task: &Task) {
        let mut inner = self.inner();
        inner.by_upid.remove(&task.upid);
        if let Some(node) = inner.nodes.get_mut(&task.node) {
            node.finished.retain(|t| t.upid != task.upid);
        }
    }

    pub(crate) fn get(&self, upid: &str) -> Option<Arc<Task>> {
        self.inner().by_upid.get(upid).cloned()
    }

    /// Running tasks of a node, newest first.
    pub(crate) fn active(&self, node: &str) -> Vec<Arc<Task>> {
        self.inner().nodes.get(node).map(|n| n.active.iter().rev().cloned().collect()).unwrap_or_default()
    }

    /// Finished tasks of a node, newest first.
    pub(crate) fn finished(&self, node: &str) -> Vec<Arc<Task>> {
        self.inner().nodes.get(node).map(|n| n.finished.iter().cloned().collect()).unwrap_or_default()
    }

    /// The newest `limit` tasks of all nodes for the cluster-wide list.
    pub(crate) fn recent(&self, limit: usize) -> Vec<Arc<Task>> {
        let inner = self.inner();
        let mut all: Vec<Arc<Task>> = Vec::new();
        for node in inner.nodes.values() {
            all.extend(node.active.iter().rev().cloned());
            all.extend(node.finished.iter().take(limit).cloned());
        }
        all.sort_by_key(|t| (std::cmp::Reverse(t.start), std::cmp::Reverse(t.pid)));
        all.truncate(limit);
        all
    }
}

/// The parts of a task id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UpidParts<'a> {
    pub(crate) node: &'a str,
    pub(crate) user: &'a str,
}

/// Takes a task id apart; `None` when it is none. Process start is eight or nine hexadecimal digits.
pub(crate) fn parse_upid(upid: &str) -> Option<UpidParts<'_>> {
    let parts: Vec<&str> = upid.strip_prefix("UPID:")?.split(':').collect();
    let [node, pid, pstart, start, kind, _id, user, ""] = parts.as_slice() else { return None };
    let hex =
        |text: &str, lengths: &[usize]| lengths.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    let ok = hex(pid, &[8]) && hex(pstart, &[8, 9]) && hex(start, &[8]) && !kind.is_empty() && !user.is_empty();
    (ok && crate::api::format::is_label(node)).then_some(UpidParts { node, user })
}

#[cfg(test)]
mod tests;
