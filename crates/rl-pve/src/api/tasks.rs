//! `/nodes/{node}/tasks`: what workers do and did.

use rl_model::{NodeName, Upid};
use serde::Deserialize;

use crate::Request;
use crate::wire::{Nothing, PveInt, PveText, Rows};

/// One task of a list.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct TaskRow {
    /// Its id.
    pub upid: String,
    /// Its type, such as `vzcreate`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is about, most often a VMID.
    pub id: Option<PveText>,
    /// Start by the node's clock, in seconds of Unix time.
    pub starttime: PveInt,
    /// End by the node's clock; absent while it runs.
    pub endtime: Option<PveInt>,
    /// How it ended; `RUNNING` (or nothing) while it runs.
    pub status: Option<PveText>,
}

impl TaskRow {
    /// How it ended, once it has.
    pub fn ended(&self) -> Option<&str> {
        match self.status.as_ref().map(|status| status.0.as_str()) {
            None | Some("" | "RUNNING") => None,
            Some(status) => Some(status),
        }
    }
}

/// Which tasks a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskSource {
    /// Those that run.
    Active,
    /// Those that ended.
    Archive,
    /// Both.
    All,
}

impl TaskSource {
    fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Archive => "archive",
            Self::All => "all",
        }
    }
}

/// What a task list shall show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskQuery {
    /// Running, ended or both.
    pub source: TaskSource,
    /// Only tasks started at or after this second of Unix time.
    pub since: Option<u64>,
    /// Most rows.
    pub limit: u32,
    /// Only tasks about this id.
    pub about: Option<rl_model::Vmid>,
}

/// `GET /nodes/{node}/tasks`, newest first. A token sees its own tasks, or all with `Sys.Audit` on the node.
pub fn list(node: &NodeName, query: &TaskQuery) -> Request<Rows<TaskRow>> {
    Request::get("/nodes/{node}/tasks")
        .on(node)
        .param("source", query.source.as_str())
        .maybe("since", query.since)
        .param("limit", query.limit)
        .maybe("vmid", query.about)
}

/// State of one task.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct TaskStatus {
    /// `running` or `stopped`.
    pub status: String,
    /// How it ended: `OK`, `WARNINGS: n`, `unexpected status` or an error text.
    #[serde(default)]
    pub exitstatus: Option<PveText>,
}

/// `GET /nodes/{node}/tasks/{upid}/status`; 400 `no such task` for one that is forgotten, or not visible yet.
pub fn status(upid: &Upid) -> Request<TaskStatus> {
    Request::get("/nodes/{node}/tasks/{upid}/status").on(upid.node()).arg("upid", upid)
}

/// One line of a task's log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct LogLine {
    /// Its number, from 1.
    pub n: PveInt,
    /// Its text.
    #[serde(default)]
    pub t: PveText,
}

/// A part of a task's log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Log {
    /// Its lines.
    pub data: Rows<LogLine>,
    /// How many lines the whole log has.
    pub total: PveInt,
}

/// `GET /nodes/{node}/tasks/{upid}/log`: `limit` lines from line `start` (from 0).
pub fn log(upid: &Upid, start: u64, limit: u32) -> Request<Log> {
    Request::get("/nodes/{node}/tasks/{upid}/log")
        .on(upid.node())
        .arg("upid", upid)
        .param("start", start)
        .param("limit", limit)
        .whole()
}

/// `DELETE /nodes/{node}/tasks/{upid}`: SIGTERM to its process group, SIGKILL after five seconds. What it was doing
/// may be left half done, with its lock.
pub fn stop(upid: &Upid) -> Request<Nothing> {
    Request::delete("/nodes/{node}/tasks/{upid}").on(upid.node()).arg("upid", upid).repeatable()
}
