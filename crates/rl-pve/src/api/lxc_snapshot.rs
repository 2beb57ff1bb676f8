//! Snapshots of a container. Every operation answers with a task, even when it is certain to fail.

use std::fmt;
use std::str::FromStr;

use rl_model::{NodeName, ParseError, Upid, Vmid};
use serde::Deserialize;

use crate::Request;
use crate::wire::{PveInt, PveText, Rows};

/// Longest snapshot name (`pve-api`: `snapname`, maxLength).
const SNAPSHOT_NAME_LEN_MAX: usize = 40;

/// Name of a snapshot (format `pve-configid`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotName(String);

impl FromStr for SnapshotName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = |rule: &str| Err(ParseError::new("snapshot name", text, rule));
        if text.len() < 2 || text.len() > SNAPSHOT_NAME_LEN_MAX {
            return wrong("it must have 2 to 40 characters");
        }
        if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return wrong("it must begin with a letter");
        }
        if !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
            return wrong("only letters, digits, `-` and `_` are allowed");
        }
        if text == "current" {
            return wrong("Proxmox keeps `current` for the running state");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One snapshot.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SnapshotRow {
    /// Its name; `current` is the container itself.
    pub name: PveText,
    /// Its description.
    pub description: Option<PveText>,
    /// The snapshot before it.
    pub parent: Option<PveText>,
    /// When it was taken, in seconds of Unix time.
    pub snaptime: Option<PveInt>,
}

fn at<A>(request: Request<A>, node: &NodeName, vmid: Vmid) -> Request<A> {
    request.on(node).arg("vmid", vmid)
}

/// `GET …/snapshot`.
pub fn list_snapshots(node: &NodeName, vmid: Vmid) -> Request<Rows<SnapshotRow>> {
    at(Request::get("/nodes/{node}/lxc/{vmid}/snapshot"), node, vmid)
}

/// `POST …/snapshot`.
pub fn take_snapshot(node: &NodeName, vmid: Vmid, name: &SnapshotName, description: Option<&str>) -> Request<Upid> {
    at(Request::post("/nodes/{node}/lxc/{vmid}/snapshot"), node, vmid)
        .param("snapname", name)
        .maybe("description", description)
}

/// `DELETE …/snapshot/{snapname}`; `force` drops it from the configuration even when its disks cannot be removed.
pub fn delete_snapshot(node: &NodeName, vmid: Vmid, name: &SnapshotName, force: bool) -> Request<Upid> {
    at(Request::delete("/nodes/{node}/lxc/{vmid}/snapshot/{snapname}"), node, vmid)
        .arg("snapname", name)
        .flag("force", force)
}

/// `POST …/snapshot/{snapname}/rollback`: throws away everything since; a running container is stopped.
pub fn rollback_snapshot(node: &NodeName, vmid: Vmid, name: &SnapshotName, start: bool) -> Request<Upid> {
    at(Request::post("/nodes/{node}/lxc/{vmid}/snapshot/{snapname}/rollback"), node, vmid)
        .arg("snapname", name)
        .flag("start", start)
}
